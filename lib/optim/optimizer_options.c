/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of an optimizer: defaults and checks. Every message names the field. */
#include "optimizer.h"

#include "../base/error.h"
#include "../base/float32.h"
#include "../base/structs.h"
#include "schedule.h"

static const sgt_optimizer_options default_options = {
    .size = sizeof(sgt_optimizer_options),
    .schedule = SGT_SCHEDULE_CONSTANT,
    .lr = 6e-4,
    .beta1 = 0.9,
    .beta2 = 0.95,
    .eps = 1e-8,
    .weight_decay = 0.1,
    .clip = 1.0,
    .decay_scope = SGT_DECAY_ALL,
    .final_factor = 0.1,
};

sgt_status sgt_optimizer_options_init(sgt_optimizer_options *options, size_t size)
{
    return sgti_struct_init(options, size, &default_options, sizeof default_options,
                            SGTI_OPTIMIZER_OPTIONS_MINIMUM, "sgt_optimizer_options");
}

/* Checks the numbers that kernels take as float32. */
static sgt_status check_numbers(const sgt_optimizer_options *options)
{
    const struct {
        double value;
        sgti_float32_range range;
        const char *field;
    } numbers[] = {
        {options->lr, SGTI_AT_LEAST_0, "sgt_optimizer_options.lr"},
        {options->beta1, SGTI_FROM_0_TO_1, "sgt_optimizer_options.beta1"},
        {options->beta2, SGTI_FROM_0_TO_1, "sgt_optimizer_options.beta2"},
        {options->weight_decay, SGTI_AT_LEAST_0, "sgt_optimizer_options.weight_decay"},
        {options->clip, SGTI_AT_LEAST_0, "sgt_optimizer_options.clip"},
        /* With eps 0, a weight whose gradient is always 0 would be changed by 0/0. */
        {options->eps, SGTI_ABOVE_0, "sgt_optimizer_options.eps"},
    };
    sgt_status status = SGT_OK;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && status == SGT_OK; i++)
        status = sgti_check_float32(numbers[i].value, numbers[i].range, numbers[i].field);
    return status;
}

static sgt_status check(const sgt_optimizer_options *options)
{
    sgt_status status = sgti_schedule_check(options);
    if (status == SGT_OK)
        status = check_numbers(options);
    if (status)
        return status;
    if (options->decay_scope != SGT_DECAY_ALL && options->decay_scope != SGT_DECAY_MATRICES)
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "sgt_optimizer_options.decay_scope is %d, not an sgt_decay_scope",
                         (int)options->decay_scope);
    return sgti_check_reserved(options->reserved, "sgt_optimizer_options");
}

sgt_status sgti_optimizer_options_read(sgt_optimizer_options *own,
                                       const sgt_optimizer_options *caller)
{
    *own = default_options;
    if (!caller)
        return SGT_OK;
    sgt_status status = sgti_struct_read(own, sizeof *own, caller,
                                         SGTI_OPTIMIZER_OPTIONS_MINIMUM,
                                         "sgt_optimizer_options");
    return status == SGT_OK ? check(own) : status;
}
