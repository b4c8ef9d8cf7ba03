/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The weights of some heads: their rows of q, k, v and their columns of o, gathered into small
 * matrices. Gradients take the way back.
 */
#include "../../core/tensors.h"
#include "attention.h"

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

/* Row blocks list[0], list[1], ... of the whole, dh rows each, against consecutive ones of the
 * part. */
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

/* Every matrix of the pass between its whole form (a weight or a gradient) and the gathered one. */
static sgt_status move_all(const sgt_model *model, int32_t layer, const sgti_pass *pass,
                           const sgti_projections *gathered, move_fn move,
                           sgt_tensor (*tensor_of)(const sgt_model *, int32_t))
{
    const struct {
        enum sgti_attention_parameter which;
        const int32_t *list;
        int32_t count;
    } stacked[] = {{SGTI_ATTENTION_Q, pass->heads, pass->n_heads},
                   {SGTI_ATTENTION_K, pass->groups, pass->n_groups},
                   {SGTI_ATTENTION_V, pass->groups, pass->n_groups}};
    int32_t first = model->parameters.layers[layer].parameter[SGTI_ATTENTION];
    int64_t row = 0;
    for (int i = 0; i < 3; i++) {
        int64_t rows = (int64_t)stacked[i].count * model->config.head_dim;
        sgt_tensor part = sgti_rows(gathered->qkv, row, rows);
        sgt_tensor whole = tensor_of(model, first + (int32_t)stacked[i].which);
        sgt_status status =
            move_rows(model, move, &whole, &part, stacked[i].list, stacked[i].count);
        if (status)
            return status;
        row += rows;
    }
    sgt_tensor whole = sgti_transposed(tensor_of(model, first + SGTI_ATTENTION_O));
    sgt_tensor part = sgti_transposed(gathered->o);
    return move_rows(model, move, &whole, &part, pass->heads, pass->n_heads);
}

sgt_status sgti_gather_heads(const sgt_model *model, int32_t layer, const sgti_pass *pass,
                             const sgti_projections *gathered)
{
    sgt_status status = move_all(model, layer, pass, gathered, gather, sgti_weight);
    if (status == SGT_OK)
        status = sgti_prepare_weight(model->dispatch, &gathered->qkv);
    return status ? status : sgti_prepare_weight(model->dispatch, &gathered->o);
}

sgt_status sgti_scatter_heads(const sgt_model *model, int32_t layer, const sgti_pass *pass,
                              const sgti_projections *gradients)
{
    return move_all(model, layer, pass, gradients, scatter_add, sgti_gradient);
}
