/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Learning-rate schedules: warm-up, then constant, linear, cosine (Loshchilov and Hutter, arXiv
 * 1608.03983) or stable-then-decay (Hu et al., arXiv 2404.06395).
 */
#include "schedule.h"

#include <math.h>

#include "../base/error.h"

static const double pi = 3.14159265358979323846;

/* Checks every field by itself. */
static sgt_status check_fields(const sgt_optimizer_options *options)
{
    const struct {
        const char *name;
        int64_t value;
    } counts[] = {{"warmup_steps", options->warmup_steps},
                  {"total_steps", options->total_steps},
                  {"decay_steps", options->decay_steps}};
    if (options->schedule < SGT_SCHEDULE_CONSTANT ||
        options->schedule > SGT_SCHEDULE_WARMUP_STABLE_DECAY)
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "sgt_optimizer_options.schedule is %d, not an sgt_schedule",
                         (int)options->schedule);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (counts[i].value < 0)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "sgt_optimizer_options.%s is %lld, below 0",
                             counts[i].name, (long long)counts[i].value);
    }
    if (!(options->final_factor >= 0.0 && options->final_factor <= 1.0))
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "sgt_optimizer_options.final_factor is %g, not in [0,1]",
                         options->final_factor);
    return SGT_OK;
}

sgt_status sgti_schedule_check(const sgt_optimizer_options *options)
{
    int64_t warmup = options->warmup_steps;
    int64_t total = options->total_steps;
    int64_t decay = options->decay_steps;
    sgt_status status = check_fields(options);
    if (status || options->schedule == SGT_SCHEDULE_CONSTANT)
        return status;
    if (total == 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "sgt_optimizer_options.total_steps is 0, but this schedule needs it");
    if (warmup > total)
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "sgt_optimizer_options.warmup_steps is %lld, more than total_steps = %lld",
                         (long long)warmup, (long long)total);
    if (options->schedule == SGT_SCHEDULE_WARMUP_STABLE_DECAY && decay > total - warmup)
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "sgt_optimizer_options.decay_steps is %lld, more than the %lld that "
                         "warm-up leaves",
                         (long long)decay, (long long)(total - warmup));
    return SGT_OK;
}

/* How far a step has come on the way from `from` (0) to `to` (1); always 0 if there is no way,
 * since `to` is not above `from`. */
static double fraction(int64_t step, int64_t from, int64_t to)
{
    if (step > to)
        step = to;
    return step <= from ? 0.0 : (double)(step - from) / (double)(to - from);
}

double sgti_schedule_rate(const sgt_optimizer_options *options, int64_t step)
{
    double lr = options->lr;
    double f = options->final_factor;
    int64_t warmup = options->warmup_steps;
    int64_t total = options->total_steps;
    if (step < warmup)
        return lr * (double)step / (double)warmup;
    switch (options->schedule) {
    case SGT_SCHEDULE_LINEAR:
        return lr * (1.0 - (1.0 - f) * fraction(step, warmup, total));
    case SGT_SCHEDULE_COSINE:
        return lr * (f + (1.0 - f) * 0.5 * (1.0 + cos(pi * fraction(step, warmup, total))));
    case SGT_SCHEDULE_WARMUP_STABLE_DECAY:
        return lr * (1.0 - (1.0 - f) * fraction(step, total - options->decay_steps, total));
    default:
        return lr;
    }
}
