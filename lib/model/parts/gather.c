/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The weights of some heads: their rows of q|k|v and their columns of o, gathered into small
 * matrices. Gradients take the way back.
 */
#include "../../core/tensors.h"
#include "../pass_lists.h"
#include "attention.h"

typedef sgt_status (*move_fn)(sgti_dispatch *dispatch, sgt_rows_args *args);

/* Moves both matrices of the pass between their whole form in `storage` (weights or gradients) and
 * the gathered one, in the direction of `move`. It moves rows; columns of o are rows of its
 * transpose. */
static sgt_status move_both(const sgt_model *model, int32_t layer, const sgti_pass *pass,
                            sgt_buffer *lists, const sgti_projections *gathered, move_fn move,
                            const sgti_storage *storage)
{
    int32_t first = model->parameters.layers[layer].matrix[SGTI_ATTENTION];
    const struct {
        enum sgti_attention_matrix number;
        sgti_pass_list list;
        const sgt_tensor *part;
        int transposed;
    } both[] = {{SGTI_MATRIX_QKV, SGTI_LIST_ROWS, &gathered->qkv, 0},
                {SGTI_MATRIX_O, SGTI_LIST_HEADS, &gathered->o, 1}};
    for (int i = 0; i < 2; i++) {
        const sgti_matrix *matrix = &model->parameters.matrices[first + (int32_t)both[i].number];
        sgt_tensor whole =
            sgti_tensor_2d(storage->buffer, matrix->offset, matrix->rows, matrix->columns);
        sgt_tensor part = *both[i].part;
        if (both[i].transposed) {
            whole = sgti_transposed(whole);
            part = sgti_transposed(part);
        }
        sgt_tensor index = sgti_pass_list_of(lists, &model->config, pass, both[i].list);
        sgt_rows_args args = {
            .block = model->config.head_dim, .whole = &whole, .part = &part, .index = &index};
        sgt_status status = move(model->dispatch, &args);
        if (status)
            return status;
    }
    return SGT_OK;
}

sgt_status sgti_gather_heads(const sgt_model *model, int32_t layer, const sgti_pass *pass,
                             sgt_buffer *lists, const sgti_projections *gathered)
{
    sgt_status status =
        move_both(model, layer, pass, lists, gathered, sgti_gather_rows, &model->weights);
    if (status == SGT_OK)
        status = sgti_prepare_weight(model->dispatch, &gathered->qkv);
    return status ? status : sgti_prepare_weight(model->dispatch, &gathered->o);
}

sgt_status sgti_scatter_heads(const sgt_model *model, int32_t layer, const sgti_pass *pass,
                              sgt_buffer *lists, const sgti_projections *gradients)
{
    return move_both(model, layer, pass, lists, gradients, sgti_scatter_add_rows,
                     &model->gradients);
}
