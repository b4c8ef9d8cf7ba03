/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AdamW in one pass over parameters, gradients and moments; the formulas are in <sgt/optimizer.h>.
 * All parameters are one long vector, of which the arguments name pieces: each has a rate and a
 * decay of its own. A piece is cut into parts for the threads, and elements do not depend on each
 * other.
 *
 *     vector   | piece 0: rate, decay      | piece 1  | piece 2 ..
 *              | part | part | part | part | part     | part | part ..
 */
#include "parts.h"
#include "row_kernels.h"

typedef struct job {
    const sgti_row_kernels *row;
    sgti_adamw_step step;
    float *param;
    float *grad;
    float *moment1;
    float *moment2;
    uint16_t *copy; /* the new parameters as bf16; NULL: not wanted */
    int64_t count;
} job;

static void update(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t first = part * SGTI_PART_ELEMENTS;
    int64_t end = sgti_part_end(part, SGTI_PART_ELEMENTS, j->count);
    j->row->adamw(&j->step, j->param + first, j->grad + first, j->moment1 + first,
                  j->moment2 + first, (size_t)(end - first));
    if (j->copy)
        j->row->f32_to_bf16(j->copy + first, j->param + first, (size_t)(end - first));
}

/* Updates one piece. What does not depend on the element is computed once here: the bias
 * corrections go into the rate and into a factor of the second moment. */
static void update_piece(const sgti_portable *portable, const sgt_adamw_args *args, int32_t i)
{
    int64_t first = args->firsts[i];
    job j = {
        .row = portable->row,
        .step = {
            .grad_scale = args->grad_scale,
            .beta1 = args->beta1,
            .beta2 = args->beta2,
            .eps = args->eps,
            .decay = (float)(1.0 - (double)args->rates[i] * (double)args->decays[i]),
            .rate = args->rates[i] / args->correction1,
            .inverse_correction2 = 1.0f / args->correction2,
        },
        .param = sgti_data(args->param) + first,
        .grad = sgti_data(args->grad) + first,
        .moment1 = sgti_data(args->moment1) + first,
        .moment2 = sgti_data(args->moment2) + first,
        .count = args->counts[i],
    };
    if (args->copy)
        j.copy = (uint16_t *)(void *)args->copy->buffer + args->copy->offset + first;
    sgti_run_parts(portable, sgti_ceil_div(j.count, SGTI_PART_ELEMENTS), update, &j);
}

int32_t sgti_portable_adamw(void *instance, const sgt_adamw_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(adamw), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    for (int32_t i = 0; i < args->n_pieces; i++)
        update_piece(instance, args, i);
    return SGT_OK;
}
