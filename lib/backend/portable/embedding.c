/* SPDX-License-Identifier: BSD-3-Clause */
/* Gathers the rows of a table that ids name, and adds their gradients back. */
#include <string.h>

#include "parts.h"
#include "row_kernels.h"

#define COLUMNS_PER_PART 64

typedef struct job {
    const sgti_row_kernels *row;
    float *table; /* (V,d), or its gradient */
    float *rows;  /* (N,d) */
    const int32_t *ids;
    int64_t count;
    int64_t columns;
    int64_t table_stride;
    int64_t row_stride;
    int64_t rows_per_part;
    float scale;
} job;

static const int32_t *ids_of(const sgt_tensor *ids)
{
    return (const int32_t *)(const void *)ids->buffer + ids->offset;
}

static void gather(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t end = sgti_part_end(part, j->rows_per_part, j->count);
    for (int64_t n = part * j->rows_per_part; n < end; n++)
        memcpy(j->rows + n * j->row_stride, j->table + j->ids[n] * j->table_stride,
               (size_t)j->columns * sizeof(float));
}

int32_t sgti_portable_embedding(void *instance, const sgt_embedding_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(embedding), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .table = sgti_data(args->table),
        .rows = sgti_data(args->out),
        .ids = ids_of(args->ids),
        .count = args->out->shape[0],
        .columns = args->out->shape[1],
        .table_stride = args->table->strides[0],
        .row_stride = args->out->strides[0],
        .rows_per_part = sgti_rows_per_part(args->out->shape[1]),
    };
    sgti_run_parts(portable, sgti_ceil_div(j.count, j.rows_per_part), gather, &j);
    return SGT_OK;
}

/* A part owns a range of columns of the whole table. So a row that several tokens name needs no
 * lock, and its gradient is always added up in the order of the tokens. */
static void scatter(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t first = part * COLUMNS_PER_PART;
    size_t width = (size_t)(sgti_part_end(part, COLUMNS_PER_PART, j->columns) - first);
    for (int64_t n = 0; n < j->count; n++)
        j->row->axpy(j->table + j->ids[n] * j->table_stride + first, j->scale,
                     j->rows + n * j->row_stride + first, width);
}

int32_t sgti_portable_embedding_backward(void *instance, const sgt_embedding_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(embedding_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .row = portable->row,
        .table = sgti_data(args->dtable),
        .rows = sgti_data(args->dout),
        .ids = ids_of(args->ids),
        .count = args->dout->shape[0],
        .columns = args->dout->shape[1],
        .table_stride = args->dtable->strides[0],
        .row_stride = args->dout->strides[0],
        .scale = args->scale,
    };
    sgti_run_parts(portable, sgti_ceil_div(j.columns, COLUMNS_PER_PART), scatter, &j);
    return SGT_OK;
}
