/* SPDX-License-Identifier: BSD-3-Clause */
/* Rotary position embedding by the model's tables. */
#include "../core/tensors.h"
#include "work.h"

sgt_status sgti_rotate(const sgti_work *work, const sgt_tensor *x, const int32_t *offsets,
                       int32_t inverse)
{
    int64_t positions = work->config->max_seq_len, half = work->config->head_dim / 2;
    sgt_buffer *tables = work->model->rope.buffer;
    sgt_tensor cosine = sgti_tensor_2d(tables, 0, positions, half);
    sgt_tensor sine = sgti_tensor_2d(tables, (uint64_t)(positions * half), positions, half);
    sgt_rope_args args = {
        .inverse = inverse, .x = x, .cosine = &cosine, .sine = &sine, .offsets = offsets};
    return sgti_rope(work->dispatch, &args);
}
