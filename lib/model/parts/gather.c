/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The weights of some heads: their rows of q|k|v and their columns of o, gathered into small
 * matrices. Gradients take the way back.
 */
#include "../../core/tensors.h"
#include "../pass_lists.h"
#include "attention.h"

typedef sgt_status (*move_fn)(sgti_dispatch *dispatch, sgt_rows_args *args);

sgti_derived sgti_gathered(const sgt_model_config *config, const sgti_pass *pass,
                           enum sgti_attention_matrix which)
{
    const int64_t d = config->d_model, dh = config->head_dim;
    const int64_t h = pass->n_heads, g = pass->n_groups;
    const int64_t rows = which == SGTI_MATRIX_QKV ? (h + 2 * g) * dh : d;
    const int64_t columns = which == SGTI_MATRIX_QKV ? d : h * dh;
    return (sgti_derived){.rows = pass->number > 0 ? rows : 1,
                          .columns = pass->number > 0 ? columns : 0,
                          .needed = pass->sparse && h > 0};
}

/* Moves a matrix between its whole form and the gathered one, in the direction of `move`. It moves
 * rows; columns of o are rows of its transpose. */
static sgt_status move_heads(const sgt_model *model, const sgti_pass *pass, sgt_buffer *lists,
                             enum sgti_attention_matrix which, sgt_tensor whole, sgt_tensor part,
                             move_fn move)
{
    const sgti_pass_list list = which == SGTI_MATRIX_QKV ? SGTI_LIST_ROWS : SGTI_LIST_HEADS;
    if (which == SGTI_MATRIX_O) {
        whole = sgti_transposed(whole);
        part = sgti_transposed(part);
    }
    sgt_tensor index = sgti_pass_list_of(lists, &model->config, pass, list);
    sgt_rows_args args = {
        .block = model->config.head_dim, .whole = &whole, .part = &part, .index = &index};
    return move(model->dispatch, &args);
}

sgt_status sgti_gather_heads(const sgt_model *model, const sgti_pass *pass, sgt_buffer *lists,
                             enum sgti_attention_matrix which, const sgt_tensor *whole,
                             const sgt_tensor *gathered)
{
    return move_heads(model, pass, lists, which, *whole, *gathered, sgti_gather_rows);
}

sgt_status sgti_scatter_heads(const sgt_model *model, const sgti_pass *pass, sgt_buffer *lists,
                              enum sgti_attention_matrix which, const sgt_tensor *whole,
                              const sgt_tensor *gathered)
{
    return move_heads(model, pass, lists, which, *whole, *gathered, sgti_scatter_add_rows);
}
