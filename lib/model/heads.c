/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sparse part: a pass that runs only some heads works on the rows of q, k, v and the columns
 * of o that belong to them, gathered into small matrices, so that every product of the pass
 * shrinks with the number of heads. Gradients take the way back.
 */
#include "step.h"

#include "../core/tensors.h"
#include "config.h"

void sgti_list_heads(const sgti_step *step, int32_t layer, int32_t pass)
{
    const sgt_model_config *config = step->config;
    sgti_workspace *ws = step->workspace;
    const float *gains = pass == 0 ? NULL
                                   : step->model->plan->layers[layer].gains +
                                         (size_t)(pass - 1) * (size_t)config->n_heads;
    int32_t per_group = config->n_heads / config->n_kv_heads;
    int32_t n_heads = 0, n_groups = 0;
    for (int32_t head = 0; head < config->n_heads; head++) {
        if (gains && gains[head] <= 0.0f)
            continue;
        int32_t group = head / per_group;
        if (n_groups == 0 || ws->groups[n_groups - 1] != group)
            ws->groups[n_groups++] = group;
        ws->heads[n_heads] = head;
        ws->kv_heads[n_heads] = n_groups - 1;
        ws->gains[n_heads] = gains ? gains[head] : 1.0f;
        n_heads++;
    }
}

/* The parameter `first` and its neighbours without gaps, seen as one matrix. */
static sgt_tensor stacked(const sgti_step *step, int32_t layer, enum sgti_layer_parameter first,
                          int64_t rows, int gradient)
{
    int32_t index = sgti_layer_parameter(layer, first);
    sgt_tensor one = gradient ? sgti_gradient(step->model, index) : sgti_weight(step->model, index);
    return sgti_tensor_2d(one.buffer, one.offset, rows, one.shape[1]);
}

sgt_tensor sgti_pass_qkv(const sgti_step *step, int32_t layer, const sgti_pass *pass,
                         int gradient)
{
    int64_t rows = (int64_t)(pass->n_heads + 2 * pass->n_groups) * step->config->head_dim;
    if (!pass->sparse)
        return stacked(step, layer, SGTI_Q, rows, gradient);
    uint64_t at = gradient ? step->layout->d_packed : step->layout->packed;
    return sgti_at(step, at, rows, step->config->d_model);
}

sgt_tensor sgti_pass_o(const sgti_step *step, int32_t layer, const sgti_pass *pass, int gradient)
{
    int32_t index = sgti_layer_parameter(layer, SGTI_O);
    if (!pass->sparse)
        return gradient ? sgti_gradient(step->model, index) : sgti_weight(step->model, index);
    int64_t dh = step->config->head_dim, d = step->config->d_model;
    uint64_t qkv = (uint64_t)(pass->n_heads + 2 * pass->n_groups) * (uint64_t)(dh * d);
    uint64_t at = gradient ? step->layout->d_packed : step->layout->packed;
    return sgti_at(step, at + qkv, d, pass->n_heads * dh);
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
static sgt_status move_rows(const sgti_step *step, move_fn move, const sgt_tensor *whole,
                            const sgt_tensor *part, const int32_t *list, int32_t count)
{
    int64_t dh = step->config->head_dim;
    for (int32_t i = 0; i < count; i++) {
        sgt_tensor from = sgti_rows(*whole, list[i] * dh, dh);
        sgt_tensor to = sgti_rows(*part, i * dh, dh);
        sgt_status status = move(step->dispatch, &from, &to);
        if (status)
            return status;
    }
    return SGT_OK;
}

/* Every matrix of the pass between its whole form and the gathered one. */
static sgt_status move_all(const sgti_step *step, int32_t layer, const sgti_pass *pass,
                           move_fn move, int gradient)
{
    const sgti_workspace *ws = step->workspace;
    const struct {
        enum sgti_layer_parameter which;
        const int32_t *list;
        int32_t count;
    } parts[] = {{SGTI_Q, ws->heads, pass->n_heads},
                 {SGTI_K, ws->groups, pass->n_groups},
                 {SGTI_V, ws->groups, pass->n_groups}};
    sgt_tensor packed = sgti_pass_qkv(step, layer, pass, gradient);
    int64_t row = 0;
    for (int i = 0; i < 3; i++) {
        int32_t index = sgti_layer_parameter(layer, parts[i].which);
        int64_t rows = (int64_t)parts[i].count * step->config->head_dim;
        sgt_tensor part = sgti_rows(packed, row, rows);
        sgt_tensor whole =
            gradient ? sgti_gradient(step->model, index) : sgti_weight(step->model, index);
        sgt_status status = move_rows(step, move, &whole, &part, parts[i].list, parts[i].count);
        if (status)
            return status;
        row += rows;
    }
    int32_t o = sgti_layer_parameter(layer, SGTI_O);
    sgt_tensor whole = sgti_transposed(gradient ? sgti_gradient(step->model, o)
                                                : sgti_weight(step->model, o));
    sgt_tensor part = sgti_transposed(sgti_pass_o(step, layer, pass, gradient));
    return move_rows(step, move, &whole, &part, ws->heads, pass->n_heads);
}

sgt_status sgti_gather_weights(const sgti_step *step, int32_t layer, const sgti_pass *pass)
{
    return move_all(step, layer, pass, gather, 0);
}

sgt_status sgti_scatter_gradients(const sgti_step *step, int32_t layer, const sgti_pass *pass)
{
    return move_all(step, layer, pass, scatter_add, 1);
}
