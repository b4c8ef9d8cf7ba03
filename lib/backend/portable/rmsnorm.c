/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RMSNorm (Zhang and Sennrich, arXiv 1910.07467) of rows, forward and backward. The gradient of the
 * weight is a sum over all rows, which is taken in two stages so that threads do not meet: each
 * part of the rows sums into a row of the scratch of its own, and then those rows are added in
 * order.
 */
#include <string.h>

#include "parts.h"
#include "row_kernels.h"

typedef struct job {
    const sgti_row_kernels *row;
    const float *x; /* (N,d) */
    const float *weight;
    float *y;
    const float *dy;
    float *dx;
    float *dweight;
    float *scratch; /* (parts,d) */
    int64_t x_stride;
    int64_t y_stride;
    int64_t dy_stride;
    int64_t dx_stride;
    int64_t rows;
    int64_t rows_per_part;
    int64_t columns;
    float eps;
} job;

static void forward(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t end = sgti_part_end(part, j->rows_per_part, j->rows);
    for (int64_t n = part * j->rows_per_part; n < end; n++)
        j->row->rmsnorm(j->y + n * j->y_stride, j->x + n * j->x_stride, j->weight, j->eps,
                        (size_t)j->columns);
}

int32_t sgti_portable_rmsnorm(void *instance, const sgt_rmsnorm_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(rmsnorm), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .row = portable->row,
        .x = sgti_data(args->x),
        .weight = sgti_data(args->weight),
        .y = sgti_data(args->y),
        .x_stride = args->x->strides[0],
        .y_stride = args->y->strides[0],
        .rows = args->x->shape[0],
        .rows_per_part = sgti_rows_per_part(args->x->shape[1]),
        .columns = args->x->shape[1],
        .eps = args->eps,
    };
    sgti_run_parts(portable, sgti_ceil_div(j.rows, j.rows_per_part), forward, &j);
    return SGT_OK;
}

static void backward(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    float *dweight = j->scratch + part * j->columns;
    memset(dweight, 0, (size_t)j->columns * sizeof(float));
    int64_t end = sgti_part_end(part, j->rows_per_part, j->rows);
    for (int64_t n = part * j->rows_per_part; n < end; n++)
        j->row->rmsnorm_backward(j->dx + n * j->dx_stride, dweight, j->dy + n * j->dy_stride,
                                 j->x + n * j->x_stride, j->weight, j->eps,
                                 (size_t)j->columns);
}

int32_t sgti_portable_rmsnorm_backward(void *instance, const sgt_rmsnorm_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(rmsnorm_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .row = portable->row,
        .x = sgti_data(args->x),
        .weight = sgti_data(args->weight),
        .dy = sgti_data(args->dy),
        .dx = sgti_data(args->dx),
        .dweight = sgti_data(args->dweight),
        .scratch = sgti_data(args->scratch),
        .x_stride = args->x->strides[0],
        .dy_stride = args->dy->strides[0],
        .dx_stride = args->dx->strides[0],
        .rows = args->x->shape[0],
        .columns = args->x->shape[1],
        .eps = args->eps,
    };
    /* There are no more parts than rows of scratch, and none too small to be worth a thread. */
    j.rows_per_part = sgti_ceil_div(j.rows, SGT_RMSNORM_PARTS);
    if (j.rows_per_part < sgti_rows_per_part(j.columns))
        j.rows_per_part = sgti_rows_per_part(j.columns);
    int64_t parts = sgti_ceil_div(j.rows, j.rows_per_part);
    sgti_run_parts(portable, parts, backward, &j);
    for (int64_t part = 0; part < parts; part++)
        j.row->axpy(j.dweight, 1.0f, j.scratch + part * j.columns, (size_t)j.columns);
    return SGT_OK;
}
