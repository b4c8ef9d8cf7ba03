/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of a sampler: their defaults and checks. Every message names the field. */
#include "sampler.h"

#include <float.h>
#include <math.h>

#include "../base/error.h"
#include "../base/structs.h"

#define OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_sampler_options, seed)

static const sgt_sampler_options default_options = {
    .size = sizeof(sgt_sampler_options),
    .temperature = 1,
    .top_p = 1,
    .repetition_penalty = 1,
    .repetition_window = 64,
};

sgt_status sgt_sampler_options_init(sgt_sampler_options *options, size_t size)
{
    return sgti_struct_init(options, size, &default_options, sizeof default_options,
                            OPTIONS_MINIMUM, "sgt_sampler_options");
}

/* Refuses a number that is not `good`: NaN as an invalid argument, others as out of range. */
static sgt_status check_number(double value, int good, const char *field, const char *range)
{
    if (good)
        return SGT_OK;
    return sgti_fail(isnan(value) ? SGT_E_INVALID_ARGUMENT : SGT_E_OUT_OF_RANGE,
                     "sgt_sampler_options.%s is %g, not %s", field, value, range);
}

static sgt_status check_count(int32_t count, const char *field)
{
    if (count >= 0)
        return SGT_OK;
    return sgti_fail(SGT_E_OUT_OF_RANGE, "sgt_sampler_options.%s is %d, below 0", field,
                     (int)count);
}

static sgt_status check_bias(const sgt_sampler_options *o, int32_t vocab_size)
{
    if (o->n_bias > 0 && (!o->bias_tokens || !o->bias))
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "sgt_sampler_options.%s is NULL, n_bias is %d",
                         !o->bias ? "bias" : "bias_tokens", (int)o->n_bias);
    for (int32_t i = 0; i < o->n_bias; i++) {
        if (o->bias_tokens[i] < 0 || o->bias_tokens[i] >= vocab_size)
            return sgti_fail(SGT_E_OUT_OF_RANGE,
                             "sgt_sampler_options.bias_tokens[%d] is %d, not in 0 .. %d", (int)i,
                             (int)o->bias_tokens[i], (int)vocab_size - 1);
        if (isnan(o->bias[i]) || (isinf(o->bias[i]) && o->bias[i] > 0))
            return sgti_fail(isnan(o->bias[i]) ? SGT_E_INVALID_ARGUMENT : SGT_E_OUT_OF_RANGE,
                             "sgt_sampler_options.bias[%d] is %g, neither finite nor -infinity",
                             (int)i, (double)o->bias[i]);
    }
    return SGT_OK;
}

static sgt_status check(const sgt_sampler_options *o, int32_t vocab_size)
{
    double penalty = o->repetition_penalty;
    sgt_status status = check_count(o->top_k, "top_k");
    if (status == SGT_OK)
        status = check_number(o->temperature, o->temperature >= 0 && o->temperature <= DBL_MAX,
                              "temperature", "a finite number of at least 0");
    if (status == SGT_OK)
        status = check_number(o->top_p, o->top_p > 0 && o->top_p <= 1, "top_p", "in (0,1]");
    if (status == SGT_OK)
        status = check_number(o->min_p, o->min_p >= 0 && o->min_p <= 1, "min_p", "in [0,1]");
    if (status == SGT_OK) /* in double, products and quotients with a logit are finite then */
        status = check_number(penalty, penalty >= FLT_MIN && penalty <= FLT_MAX,
                              "repetition_penalty", "a positive number of float32");
    if (status == SGT_OK)
        status = check_count(o->repetition_window, "repetition_window");
    if (status == SGT_OK)
        status = check_count(o->n_bias, "n_bias");
    return status == SGT_OK ? check_bias(o, vocab_size) : status;
}

sgt_status sgti_sampler_options_read(sgt_sampler_options *own, const sgt_sampler_options *caller,
                                     int32_t vocab_size)
{
    *own = default_options;
    if (!caller)
        return SGT_OK;
    sgt_status status =
        sgti_struct_read(own, sizeof *own, caller, OPTIONS_MINIMUM, "sgt_sampler_options");
    return status == SGT_OK ? check(own, vocab_size) : status;
}
