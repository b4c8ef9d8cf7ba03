/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The elementwise middle of SwiGLU (Shazeer, arXiv 2002.05202), without its three matrix products:
 * out = silu(gate) up mask with silu(x) = x / (1 + e^-x). Instead of a mask there may be a choice
 * of one unit in each group of columns.
 */
#include "activation_kernels.h"
#include "choices.h"
#include "operand.h"
#include "parts.h"

typedef struct job {
    const sgti_activation_kernels *kernels;
    sgti_operand gate;
    sgti_operand up;
    sgti_operand mask;
    sgti_operand out;
    sgti_operand dout;
    sgti_operand dgate;
    sgti_operand dup;
    sgti_operand dmask;
    sgti_choice choice;
    int64_t rows;
    int64_t columns;
    int64_t rows_per_part;
} job;

static sgti_swiglu_row row_of(const job *j, int64_t row)
{
    return (sgti_swiglu_row){
        .out = sgti_row_of(&j->out, row),
        .dgate = sgti_row_of(&j->dgate, row),
        .dup = sgti_row_of(&j->dup, row),
        .dmask = sgti_row_of(&j->dmask, row),
        .dout = sgti_row_of(&j->dout, row),
        .gate = sgti_row_of(&j->gate, row),
        .up = sgti_row_of(&j->up, row),
        .mask = sgti_row_of(&j->mask, row),
    };
}

/* Only the chosen columns are computed: they are put side by side, and back. */
static void forward_of_chosen(const job *j, const sgti_swiglu_row *row, const int32_t *choice)
{
    float gate[SGTI_CHOICES], up[SGTI_CHOICES];
    const int64_t units = j->choice.units;
    for (int64_t s = 0; s < j->choice.groups; s += SGTI_CHOICES) {
        const int64_t left = j->choice.groups - s;
        const int64_t groups = left < SGTI_CHOICES ? left : SGTI_CHOICES;
        sgti_gather_chosen(gate, row->gate + s * units, choice + s, groups, units);
        sgti_gather_chosen(up, row->up + s * units, choice + s, groups, units);
        j->kernels->swiglu(&(sgti_swiglu_row){.out = up, .gate = gate, .up = up}, (size_t)groups);
        sgti_scatter_chosen(row->out + s * units, up, choice + s, groups, units);
    }
}

static void forward(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t end = sgti_part_end(part, j->rows_per_part, j->rows);
    for (int64_t n = part * j->rows_per_part; n < end; n++) {
        const sgti_swiglu_row row = row_of(j, n);
        if (j->choice.data)
            forward_of_chosen(j, &row, sgti_choice_row(&j->choice, n));
        else
            j->kernels->swiglu(&row, (size_t)j->columns);
    }
}

int32_t sgti_portable_swiglu(void *instance, const sgt_swiglu_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(swiglu), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .kernels = portable->activation,
        .gate = sgti_operand_of(args->gate),
        .up = sgti_operand_of(args->up),
        .mask = sgti_operand_of(args->mask),
        .out = sgti_operand_of(args->out),
        .choice = sgti_choice_of(args->choice, args->units),
        .rows = args->out->shape[0],
        .columns = args->out->shape[1],
        .rows_per_part = sgti_rows_per_part(args->out->shape[1]),
    };
    sgti_run_parts(portable, sgti_ceil_div(j.rows, j.rows_per_part), forward, &j);
    return SGT_OK;
}

/* The gradient of the mask is wanted of all columns, so a choice is made a mask. */
static void backward_with_choice(const job *j, const sgti_swiglu_row *row, const int32_t *choice)
{
    float mask[SGTI_CHOICE_COLUMNS];
    for (int64_t i = 0; i < j->columns; i += SGTI_CHOICE_COLUMNS) {
        const int64_t left = j->columns - i;
        const int64_t count = left < SGTI_CHOICE_COLUMNS ? left : SGTI_CHOICE_COLUMNS;
        const sgti_swiglu_row columns = {
            .out = row->out + i,
            .dgate = row->dgate + i,
            .dup = row->dup + i,
            .dmask = row->dmask ? row->dmask + i : NULL,
            .dout = row->dout + i,
            .gate = row->gate + i,
            .up = row->up + i,
            .mask = mask,
        };
        sgti_mask_of_choice(mask, choice, i, count, j->choice.units);
        j->kernels->swiglu_backward(&columns, (size_t)count);
    }
}

static void backward(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t end = sgti_part_end(part, j->rows_per_part, j->rows);
    for (int64_t n = part * j->rows_per_part; n < end; n++) {
        const sgti_swiglu_row row = row_of(j, n);
        if (j->choice.data)
            backward_with_choice(j, &row, sgti_choice_row(&j->choice, n));
        else
            j->kernels->swiglu_backward(&row, (size_t)j->columns);
    }
}

int32_t sgti_portable_swiglu_backward(void *instance, const sgt_swiglu_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(swiglu_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .kernels = portable->activation,
        .gate = sgti_operand_of(args->gate),
        .up = sgti_operand_of(args->up),
        .mask = sgti_operand_of(args->mask),
        .out = sgti_operand_of(args->out),
        .dout = sgti_operand_of(args->dout),
        .dgate = sgti_operand_of(args->dgate),
        .dup = sgti_operand_of(args->dup),
        .dmask = sgti_operand_of(args->dmask),
        .choice = sgti_choice_of(args->choice, args->units),
        .rows = args->out->shape[0],
        .columns = args->out->shape[1],
        .rows_per_part = sgti_rows_per_part(args->out->shape[1]),
    };
    sgti_run_parts(portable, sgti_ceil_div(j.rows, j.rows_per_part), backward, &j);
    return SGT_OK;
}
