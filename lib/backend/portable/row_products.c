/* SPDX-License-Identifier: BSD-3-Clause */
/* The products of each row of one matrix with each row of another, and their gradients. */
#include "operand.h"
#include "parts.h"
#include "row_kernels.h"

typedef struct job {
    const sgti_row_kernels *row;
    sgti_operand x; /* (A,D) */
    sgti_operand y; /* (B,D), or the gradient that is added to */
    float *out;     /* (A,B,D), or its gradient */
    int64_t out_x;  /* strides: of a step along x */
    int64_t out_y;  /* and along y */
    int64_t x_rows;
    int64_t y_rows;
    int64_t columns;
    int64_t per_part;
} job;

static void products(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t end = sgti_part_end(part, j->per_part, j->x_rows * j->y_rows);
    for (int64_t k = part * j->per_part; k < end; k++) {
        const int64_t a = k / j->y_rows, b = k % j->y_rows;
        j->row->multiply(j->out + a * j->out_x + b * j->out_y, sgti_row_of(&j->x, a),
                         sgti_row_of(&j->y, b), (size_t)j->columns);
    }
}

int32_t sgti_portable_row_products(void *instance, const sgt_row_products_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(row_products), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .row = portable->row,
        .x = sgti_operand_of(args->x),
        .y = sgti_operand_of(args->y),
        .out = sgti_data(args->out),
        .out_x = args->out->strides[0],
        .out_y = args->out->strides[1],
        .x_rows = args->out->shape[0],
        .y_rows = args->out->shape[1],
        .columns = args->out->shape[2],
        .per_part = sgti_rows_per_part(args->out->shape[2]),
    };
    sgti_run_parts(portable, sgti_ceil_div(j.x_rows * j.y_rows, j.per_part), products, &j);
    return SGT_OK;
}

/* A part is some columns of one row of y: so many that a part touches about as much as others. */
static void sums(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    const int64_t parts_of_row = sgti_ceil_div(j->columns, j->per_part);
    const int64_t b = part / parts_of_row, first = part % parts_of_row * j->per_part;
    const int64_t end = sgti_part_end(part % parts_of_row, j->per_part, j->columns);
    for (int64_t a = 0; a < j->x_rows; a++)
        j->row->multiply_add(sgti_row_of(&j->y, b) + first,
                             j->out + a * j->out_x + b * j->out_y + first,
                             sgti_row_of(&j->x, a) + first, (size_t)(end - first));
}

/* dy [b] += sum over a of dout[a,b] x[a], in the order of a. The gradient of x is the same with the
 * two exchanged. */
static void add_gradient(const sgti_portable *portable, const sgt_tensor *dy, const sgt_tensor *x,
                         const sgt_tensor *dout, int exchanged)
{
    if (!dy)
        return;
    job j = {
        .row = portable->row,
        .x = sgti_operand_of(x),
        .y = sgti_operand_of(dy),
        .out = sgti_data(dout),
        .out_x = dout->strides[exchanged],
        .out_y = dout->strides[!exchanged],
        .x_rows = dout->shape[exchanged],
        .y_rows = dout->shape[!exchanged],
        .columns = dout->shape[2],
    };
    j.per_part = sgti_ceil_div(SGTI_PART_ELEMENTS, j.x_rows);
    j.per_part = j.per_part < 256 ? 256 : j.per_part;
    sgti_run_parts(portable, j.y_rows * sgti_ceil_div(j.columns, j.per_part), sums, &j);
}

int32_t sgti_portable_row_products_backward(void *instance,
                                            const sgt_row_products_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(row_products_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    add_gradient(instance, args->dy, args->x, args->dout, 0);
    add_gradient(instance, args->dx, args->y, args->dout, 1);
    return SGT_OK;
}
