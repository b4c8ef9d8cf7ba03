/* SPDX-License-Identifier: BSD-3-Clause */
/* out = max(0, x mask) and its gradients. With a choice instead of a mask nothing depends on the
 * columns that are not chosen, and only the others are computed. */
#include "activation_kernels.h"
#include "choices.h"
#include "operand.h"
#include "parts.h"

typedef struct job {
    const sgti_activation_kernels *kernels;
    sgti_operand x;
    sgti_operand mask;
    sgti_operand out;
    sgti_operand dout;
    sgti_operand dx;
    sgti_operand dmask;
    sgti_choice choice;
    int64_t rows;
    int64_t columns;
    int64_t rows_per_part;
} job;

static sgti_relu_row row_of(const job *j, int64_t row)
{
    return (sgti_relu_row){
        .out = sgti_row_of(&j->out, row),
        .dx = sgti_row_of(&j->dx, row),
        .dmask = sgti_row_of(&j->dmask, row),
        .dout = sgti_row_of(&j->dout, row),
        .x = sgti_row_of(&j->x, row),
        .mask = sgti_row_of(&j->mask, row),
    };
}

static void forward_of_chosen(const job *j, const sgti_relu_row *row, const int32_t *choice)
{
    float x[SGTI_CHOICES];
    const int64_t units = j->choice.units;
    for (int64_t s = 0; s < j->choice.groups; s += SGTI_CHOICES) {
        const int64_t left = j->choice.groups - s;
        const int64_t groups = left < SGTI_CHOICES ? left : SGTI_CHOICES;
        sgti_gather_chosen(x, row->x + s * units, choice + s, groups, units);
        j->kernels->relu(&(sgti_relu_row){.out = x, .x = x}, (size_t)groups);
        sgti_scatter_chosen(row->out + s * units, x, choice + s, groups, units);
    }
}

static void forward(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t end = sgti_part_end(part, j->rows_per_part, j->rows);
    for (int64_t n = part * j->rows_per_part; n < end; n++) {
        const sgti_relu_row row = row_of(j, n);
        if (j->choice.data)
            forward_of_chosen(j, &row, sgti_choice_row(&j->choice, n));
        else
            j->kernels->relu(&row, (size_t)j->columns);
    }
}

int32_t sgti_portable_relu(void *instance, const sgt_relu_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(relu), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .kernels = portable->activation,
        .x = sgti_operand_of(args->x),
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

static void backward_of_chosen(const job *j, const sgti_relu_row *row, const int32_t *choice)
{
    float x[SGTI_CHOICES], dout[SGTI_CHOICES], dmask[SGTI_CHOICES];
    const int64_t units = j->choice.units;
    for (int64_t s = 0; s < j->choice.groups; s += SGTI_CHOICES) {
        const int64_t left = j->choice.groups - s;
        const int64_t groups = left < SGTI_CHOICES ? left : SGTI_CHOICES;
        const int64_t i = s * units;
        sgti_gather_chosen(x, row->x + i, choice + s, groups, units);
        sgti_gather_chosen(dout, row->dout + i, choice + s, groups, units);
        j->kernels->relu_backward(
            &(sgti_relu_row){.out = dout, .dx = x, .dmask = dmask, .dout = dout, .x = x},
            (size_t)groups);
        sgti_scatter_chosen(row->dx + i, x, choice + s, groups, units);
        sgti_scatter_chosen(row->out + i, dout, choice + s, groups, units);
        if (row->dmask)
            sgti_scatter_chosen(row->dmask + i, dmask, choice + s, groups, units);
    }
}

static void backward(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t end = sgti_part_end(part, j->rows_per_part, j->rows);
    for (int64_t n = part * j->rows_per_part; n < end; n++) {
        const sgti_relu_row row = row_of(j, n);
        if (j->choice.data)
            backward_of_chosen(j, &row, sgti_choice_row(&j->choice, n));
        else
            j->kernels->relu_backward(&row, (size_t)j->columns);
    }
}

int32_t sgti_portable_relu_backward(void *instance, const sgt_relu_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(relu_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .kernels = portable->activation,
        .x = sgti_operand_of(args->x),
        .mask = sgti_operand_of(args->mask),
        .out = sgti_operand_of(args->out),
        .dout = sgti_operand_of(args->dout),
        .dx = sgti_operand_of(args->dx),
        .dmask = sgti_operand_of(args->dmask),
        .choice = sgti_choice_of(args->choice, args->units),
        .rows = args->out->shape[0],
        .columns = args->out->shape[1],
        .rows_per_part = sgti_rows_per_part(args->out->shape[1]),
    };
    sgti_run_parts(portable, sgti_ceil_div(j.rows, j.rows_per_part), backward, &j);
    return SGT_OK;
}
