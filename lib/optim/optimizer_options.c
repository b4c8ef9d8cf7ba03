/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of an optimizer: defaults and checks. Every message names the field. */
#include "optimizer.h"

#include <float.h>

#include "../base/error.h"
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

/* The kernels take float32, so what is checked is the value as they will see it. */
static sgt_status check_not_negative(double value, const char *field)
{
    if (value >= 0.0 && value <= FLT_MAX)
        return SGT_OK;
    return sgti_fail(SGT_E_OUT_OF_RANGE,
                     "sgt_optimizer_options.%s is %g, not a finite number of at least 0", field,
                     value);
}

static sgt_status check_beta(double value, const char *field)
{
    if (value >= 0.0 && (float)value < 1.0f)
        return SGT_OK;
    return sgti_fail(SGT_E_OUT_OF_RANGE, "sgt_optimizer_options.%s is %g, not in [0,1)", field,
                     value);
}

static sgt_status check(const sgt_optimizer_options *options)
{
    sgt_status status = sgti_schedule_check(options);
    if (status == SGT_OK)
        status = check_not_negative(options->lr, "lr");
    if (status == SGT_OK)
        status = check_beta(options->beta1, "beta1");
    if (status == SGT_OK)
        status = check_beta(options->beta2, "beta2");
    if (status == SGT_OK)
        status = check_not_negative(options->weight_decay, "weight_decay");
    if (status == SGT_OK)
        status = check_not_negative(options->clip, "clip");
    if (status != SGT_OK)
        return status;
    /* Without it a weight whose gradient is always 0 would become 0/0. */
    if (!(options->eps <= FLT_MAX && (float)options->eps > 0.0f))
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "sgt_optimizer_options.eps is %g, not a float32 above 0", options->eps);
    if (options->decay_scope != SGT_DECAY_ALL && options->decay_scope != SGT_DECAY_MATRICES)
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "sgt_optimizer_options.decay_scope is %d, not an sgt_decay_scope",
                         (int)options->decay_scope);
    if (options->reserved != 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "sgt_optimizer_options.reserved is %d, not 0",
                         (int)options->reserved);
    return SGT_OK;
}

sgt_status sgti_optimizer_options_read(sgt_optimizer_options *own,
                                       const sgt_optimizer_options *caller)
{
    *own = default_options;
    if (caller == NULL)
        return SGT_OK;
    sgt_status status = sgti_struct_read(own, sizeof *own, caller,
                                         SGTI_OPTIMIZER_OPTIONS_MINIMUM,
                                         "sgt_optimizer_options");
    return status == SGT_OK ? check(own) : status;
}
