/* SPDX-License-Identifier: BSD-3-Clause */
/* Gathers and scatters blocks of rows that an index names; each block is one copy or one sum. */
#include "portable.h"

/* `count` rows of a matrix from row `first` on. */
static sgt_tensor rows_of(const sgt_tensor *matrix, int64_t first, int64_t count)
{
    sgt_tensor rows = *matrix;
    rows.offset += (uint64_t)(first * matrix->strides[0]);
    rows.shape[0] = count;
    return rows;
}

int32_t sgti_portable_gather_rows(void *instance, const sgt_rows_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(gather_rows), args, sizeof *args) ||
        args->whole->dtype != args->part->dtype)
        return SGT_E_UNSUPPORTED;
    const int32_t *index = sgti_integers(args->index);
    for (int64_t i = 0; i < args->index->shape[0]; i++) {
        sgt_tensor whole = rows_of(args->whole, (int64_t)index[i] * args->block, args->block);
        sgt_tensor part = rows_of(args->part, i * args->block, args->block);
        const sgt_elementwise_args move = {.size = sizeof move, .x = &whole, .y = &part};
        sgti_portable_copy(instance, &move);
    }
    return SGT_OK;
}

int32_t sgti_portable_scatter_add_rows(void *instance, const sgt_rows_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(scatter_add_rows), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const int32_t *index = sgti_integers(args->index);
    for (int64_t i = 0; i < args->index->shape[0]; i++) {
        sgt_tensor whole = rows_of(args->whole, (int64_t)index[i] * args->block, args->block);
        sgt_tensor part = rows_of(args->part, i * args->block, args->block);
        const sgt_elementwise_args add = {
            .size = sizeof add, .alpha = 1.0f, .x = &part, .y = &whole};
        sgti_portable_axpy(instance, &add);
    }
    return SGT_OK;
}
