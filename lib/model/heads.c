/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pass that runs only some heads works on the rows of q, k, v and the columns of o that belong
 * to them, gathered into small matrices, so that every product of the pass shrinks with the number
 * of heads. Gradients take the way back.
 */
#include "heads.h"

#include "../core/tensors.h"
#include "model.h"

void sgti_select_heads(sgti_head_lists *lists, const sgt_model_config *config, const float *gains)
{
    int32_t per_group = config->n_heads / config->n_kv_heads;
    int32_t n_heads = 0, n_groups = 0, last_group = -1;
    for (int32_t head = 0; head < config->n_heads; head++) {
        if (gains && gains[head] <= 0.0f)
            continue;
        if (head / per_group != last_group) {
            last_group = head / per_group;
            if (lists->groups)
                lists->groups[n_groups] = last_group;
            n_groups++;
        }
        if (lists->heads)
            lists->heads[n_heads] = head;
        if (lists->kv_heads)
            lists->kv_heads[n_heads] = n_groups - 1;
        if (lists->gains)
            lists->gains[n_heads] = gains ? gains[head] : 1.0f;
        n_heads++;
    }
    lists->n_heads = n_heads;
    lists->n_groups = n_groups;
}

typedef sgt_status (*move_fn)(sgti_dispatch *dispatch, const sgt_tensor *whole,
                              const sgt_tensor *part);

static sgt_status gather(sgti_dispatch *dispatch, const sgt_tensor *whole, const sgt_tensor *part)
{
    return sgti_copy(dispatch, part, whole);
}

static sgt_status scatter_add(sgti_dispatch *dispatch, const sgt_tensor *whole,
                              const sgt_tensor *part)
{
    return sgti_axpy(dispatch, whole, 1.0f, part);
}

/* Row blocks of head_dim rows: block list[i] of `whole` against block i of `part`. */
static sgt_status move_rows(const sgt_model *model, move_fn move, const sgt_tensor *whole,
                            const sgt_tensor *part, const int32_t *list, int32_t count)
{
    int64_t dh = model->config.head_dim;
    for (int32_t i = 0; i < count; i++) {
        sgt_tensor from = sgti_rows(*whole, list[i] * dh, dh);
        sgt_tensor to = sgti_rows(*part, i * dh, dh);
        sgt_status status = move(model->dispatch, &from, &to);
        if (status)
            return status;
    }
    return SGT_OK;
}

/* Every matrix of the pass between its whole form and the gathered one. */
static sgt_status move_all(const sgt_model *model, int32_t layer, const sgti_head_lists *lists,
                           const sgt_tensor *qkv, const sgt_tensor *o, int gradient)
{
    const struct {
        enum sgti_layer_parameter which;
        const int32_t *list;
        int32_t count;
    } parts[] = {{SGTI_Q, lists->heads, lists->n_heads},
                 {SGTI_K, lists->groups, lists->n_groups},
                 {SGTI_V, lists->groups, lists->n_groups}};
    sgt_tensor (*tensor_of)(const sgt_model *, int32_t) = gradient ? sgti_gradient : sgti_weight;
    move_fn move = gradient ? scatter_add : gather;
    int64_t row = 0;
    for (int i = 0; i < 3; i++) {
        int64_t rows = (int64_t)parts[i].count * model->config.head_dim;
        sgt_tensor part = sgti_rows(*qkv, row, rows);
        sgt_tensor whole = tensor_of(model, sgti_layer_parameter(layer, parts[i].which));
        sgt_status status = move_rows(model, move, &whole, &part, parts[i].list, parts[i].count);
        if (status)
            return status;
        row += rows;
    }
    sgt_tensor whole = sgti_transposed(tensor_of(model, sgti_layer_parameter(layer, SGTI_O)));
    sgt_tensor part = sgti_transposed(*o);
    return move_rows(model, move, &whole, &part, lists->heads, lists->n_heads);
}

sgt_status sgti_gather_heads(const sgt_model *model, int32_t layer, const sgti_head_lists *lists,
                             const sgt_tensor *qkv, const sgt_tensor *o)
{
    return move_all(model, layer, lists, qkv, o, 0);
}

sgt_status sgti_scatter_heads(const sgt_model *model, int32_t layer, const sgti_head_lists *lists,
                              const sgt_tensor *d_qkv, const sgt_tensor *d_o)
{
    return move_all(model, layer, lists, d_qkv, d_o, 1);
}
