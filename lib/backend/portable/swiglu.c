/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The elementwise middle of SwiGLU (Shazeer, arXiv 2002.05202), without its three matrix products:
 * out = silu(gate) up with silu(x) = x / (1 + e^-x).
 */
#include "parts.h"
#include "row_kernels.h"

typedef struct operand {
    float *data; /* (N,f) */
    int64_t stride;
} operand;

typedef struct job {
    const sgti_row_kernels *row;
    operand gate;
    operand up;
    operand out;
    operand dout;
    operand dgate;
    operand dup;
    int64_t rows;
    int64_t columns;
    int64_t rows_per_part;
} job;

static operand operand_of(const sgt_tensor *tensor)
{
    return (operand){sgti_data(tensor), tensor->strides[0]};
}

static float *at(const operand *o, int64_t row)
{
    return o->data + row * o->stride;
}

static void forward(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t end = sgti_part_end(part, j->rows_per_part, j->rows);
    for (int64_t n = part * j->rows_per_part; n < end; n++)
        j->row->swiglu(at(&j->out, n), at(&j->gate, n), at(&j->up, n), (size_t)j->columns);
}

int32_t sgti_portable_swiglu(void *instance, const sgt_swiglu_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(swiglu), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .row = portable->row,
        .gate = operand_of(args->gate),
        .up = operand_of(args->up),
        .out = operand_of(args->out),
        .rows = args->out->shape[0],
        .columns = args->out->shape[1],
        .rows_per_part = sgti_rows_per_part(args->out->shape[1]),
    };
    sgti_run_parts(portable, sgti_ceil_div(j.rows, j.rows_per_part), forward, &j);
    return SGT_OK;
}

static void backward(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t end = sgti_part_end(part, j->rows_per_part, j->rows);
    for (int64_t n = part * j->rows_per_part; n < end; n++)
        j->row->swiglu_backward(at(&j->dgate, n), at(&j->dup, n), at(&j->out, n), at(&j->dout, n),
                                at(&j->gate, n), at(&j->up, n), (size_t)j->columns);
}

int32_t sgti_portable_swiglu_backward(void *instance, const sgt_swiglu_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(swiglu_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .row = portable->row,
        .gate = operand_of(args->gate),
        .up = operand_of(args->up),
        .out = operand_of(args->out),
        .dout = operand_of(args->dout),
        .dgate = operand_of(args->dgate),
        .dup = operand_of(args->dup),
        .rows = args->out->shape[0],
        .columns = args->out->shape[1],
        .rows_per_part = sgti_rows_per_part(args->out->shape[1]),
    };
    sgti_run_parts(portable, sgti_ceil_div(j.rows, j.rows_per_part), backward, &j);
    return SGT_OK;
}
