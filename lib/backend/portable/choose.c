/* SPDX-License-Identifier: BSD-3-Clause */
/* Chooses a unit of each group of columns and makes masks: argmax with noise, softmax, and the
 * gradient of the softmax. What is drawn depends on the place of an element only. */
#include "activation_kernels.h"
#include "operand.h"
#include "parts.h"

typedef struct job {
    const sgti_activation_kernels *kernels;
    sgti_operand logits; /* or their gradient */
    sgti_operand mask;
    sgti_operand dmask;
    int32_t *chosen; /* [N, groups]; NULL: only the mask is wanted */
    sgti_choice choice;
    sgti_choice_noise noise;
    int64_t rows;
    int64_t groups;
    int64_t units;
    int64_t rows_per_part;
} job;

static void softmax_of_groups(const job *j, float *mask, const float *logits)
{
    for (int64_t i = 0; i < j->groups * j->units; i += j->units)
        j->kernels->softmax(mask + i, logits + i, (size_t)j->units);
}

/* The mask comes last because it may be the logits. */
static void choose(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t end = sgti_part_end(part, j->rows_per_part, j->rows);
    for (int64_t n = part * j->rows_per_part; n < end; n++) {
        const float *logits = sgti_row_of(&j->logits, n);
        float *mask = sgti_row_of(&j->mask, n);
        sgti_choice_noise noise = j->noise;
        noise.first = (uint64_t)(n * j->groups * j->units);
        if (j->chosen)
            j->kernels->choose(j->chosen + n * j->groups, logits, &noise, (size_t)j->groups,
                               (size_t)j->units);
        if (mask)
            softmax_of_groups(j, mask, logits);
    }
}

int32_t sgti_portable_choose(void *instance, const sgt_choose_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(choose), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .kernels = portable->activation,
        .logits = sgti_operand_of(args->logits),
        .mask = sgti_operand_of(args->mask),
        .noise = {.temperature = args->temperature, .seed = args->seed, .stream = args->stream},
        .rows = args->logits->shape[0],
        .groups = args->logits->shape[1] / args->units,
        .units = args->units,
        .rows_per_part = sgti_rows_per_part(args->logits->shape[1]),
    };
    if (args->choice)
        j.chosen = (int32_t *)(void *)args->choice->buffer + args->choice->offset;
    sgti_run_parts(portable, sgti_ceil_div(j.rows, j.rows_per_part), choose, &j);
    return SGT_OK;
}

static void backward_of_row(const job *j, int64_t n)
{
    const sgti_activation_kernels *kernels = j->kernels;
    const float *mask = sgti_row_of(&j->mask, n);
    const float *dmask = sgti_row_of(&j->dmask, n);
    float *dlogits = sgti_row_of(&j->logits, n);
    for (int64_t s = 0; s < j->groups; s++) {
        const int64_t i = s * j->units;
        if (j->choice.data)
            kernels->softmax_backward_of_one(dlogits + i, mask + i,
                                             sgti_choice_row(&j->choice, n)[s], dmask[s],
                                             (size_t)j->units);
        else
            kernels->softmax_backward(dlogits + i, mask + i, dmask + i, (size_t)j->units);
    }
}

static void backward(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    int64_t end = sgti_part_end(part, j->rows_per_part, j->rows);
    for (int64_t n = part * j->rows_per_part; n < end; n++)
        backward_of_row(j, n);
}

int32_t sgti_portable_choose_backward(void *instance, const sgt_choose_backward_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(choose_backward), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    job j = {
        .kernels = portable->activation,
        .logits = sgti_operand_of(args->dlogits),
        .mask = sgti_operand_of(args->mask),
        .dmask = sgti_operand_of(args->dmask),
        .choice = sgti_choice_of(args->choice, args->units),
        .rows = args->mask->shape[0],
        .groups = args->mask->shape[1] / args->units,
        .units = args->units,
        .rows_per_part = sgti_rows_per_part(args->mask->shape[1]),
    };
    sgti_run_parts(portable, sgti_ceil_div(j.rows, j.rows_per_part), backward, &j);
    return SGT_OK;
}
