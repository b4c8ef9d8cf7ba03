/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One optimizer step: it chooses the rate and takes the norm of the gradients. Then it either runs
 * AdamW on every parameter that is not frozen or, if the norm is not finite or too large, only
 * zeroes the gradients. Nothing is allocated. Whatever can be refused is refused before the first
 * weight changes; if the backend fails after that, the gradients are marked invalid, since some of
 * them were used up.
 *
 *     weights                 | embedding | norm | q | k | v | o | ..    (and gradients, moments)
 *     pieces, `o` is frozen   |     0     |  1   | 2 | 3 | 4 |   | ..    each with rate and decay
 *
 * Norm and update are one call of the backend each, over all pieces.
 */
#include "optimizer.h"

#include <float.h>
#include <math.h>

#include "../base/error.h"
#include "../base/float32.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../core/tensors.h"
#include "schedule.h"

#define REPORT_MINIMUM SGTI_SIZE_THROUGH(sgt_step_report, clip_scale)
#define STEP_OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_optimizer_step_options, scale)

/* It is added to the norm that the gradients are divided by, in case that is near 0; PyTorch's
 * clip_grad_norm_ adds the same. */
static const double clip_margin = 1e-6;

static sgt_status check_state(const sgt_model *model)
{
    if (model->gradient_state == SGTI_GRADIENTS_INVALID)
        return sgti_fail(SGT_E_GRADIENTS_INVALID,
                         "a backward failed or was stopped: call sgt_model_zero_gradients first");
    if (model->gradient_state == SGTI_GRADIENTS_ZERO)
        return sgti_fail(SGT_E_STATE, "no backward since the last optimizer step");
    return SGT_OK;
}

static sgt_status choose_rate(double *lr, const sgt_optimizer *optimizer, int64_t step)
{
    const sgt_optimizer_options *options = &optimizer->options;
    double rate = sgti_schedule_rate(options, step);
    if (options->rate) {
        rate = options->rate(options->rate_user, step, rate);
        sgti_floats_renew();
    }
    if (!(rate >= 0.0 && rate <= FLT_MAX))
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "%s %g for step %lld, must be at least 0 and finite in float32",
                         options->rate ? "the rate callback returned" : "the schedule gives", rate,
                         (long long)step);
    *lr = rate;
    return SGT_OK;
}

static int is_frozen(const sgt_optimizer *optimizer, int32_t index)
{
    return optimizer->factors[index].rate == 0.0;
}

/* A vector of all elements of a buffer that is laid out as the weights, from `first` on. */
static sgt_tensor all_of(const sgt_model *model, const sgti_storage *storage, uint64_t first)
{
    return sgti_tensor_1d(storage->buffer, first, (int64_t)model->parameters.elements);
}

/* Lists the parameters that are not frozen. */
static void list_pieces(sgt_optimizer *optimizer)
{
    const sgti_parameters *parameters = &optimizer->model->parameters;
    int32_t piece = 0;
    for (int32_t i = 0; i < parameters->count; i++) {
        if (is_frozen(optimizer, i))
            continue;
        optimizer->firsts[piece] = (int64_t)parameters->list[i].offset;
        optimizer->counts[piece] = (int64_t)parameters->list[i].count;
        piece++;
    }
    optimizer->n_pieces = piece;
}

static sgt_status gradient_norm(double *norm, const sgt_optimizer *optimizer)
{
    const sgt_model *model = optimizer->model;
    sgt_tensor gradients = all_of(model, &model->gradients, 0);
    sgt_tensor sum = sgti_tensor_1d(optimizer->norm.buffer, 0, 1);
    double squared = 0.0;
    sum.dtype = SGT_F64;
    sgt_norm_args args = {.n_pieces = optimizer->n_pieces,
                          .x = &gradients,
                          .sum = &sum,
                          .firsts = optimizer->firsts,
                          .counts = optimizer->counts};
    sgt_status status = sgti_norm(model->dispatch, &args);
    if (status == SGT_OK)
        status = sgti_read(model->dispatch, &squared, &sum);
    *norm = sqrt(squared);
    return status;
}

static double clip_scale(double clip, double norm)
{
    if (clip == 0.0)
        return 1.0;
    return fmin(1.0, clip / (norm + clip_margin));
}

/* 1 - beta^t, with beta rounded to the float32 that the kernel uses: so the correction fits the
 * moments that it makes. */
static float bias_correction(double beta, int64_t updates)
{
    return (float)(1.0 - pow((double)(float)beta, (double)updates));
}

static double decay_of(const sgt_optimizer *optimizer, int32_t index)
{
    const sgt_optimizer_options *options = &optimizer->options;
    int decays = optimizer->model->parameters.list[index].decays;
    if (options->decay_scope == SGT_DECAY_MATRICES && !decays)
        return 0.0;
    return options->weight_decay * optimizer->factors[index].decay;
}

/* Checks that rate and decay, multiplied by their factors, stay within float32. */
static sgt_status check_products(const sgt_optimizer *optimizer, double lr)
{
    for (int32_t i = 0; i < optimizer->model->parameters.count; i++)
        if (!(lr * optimizer->factors[i].rate <= FLT_MAX && decay_of(optimizer, i) <= FLT_MAX))
            return sgti_fail(SGT_E_OUT_OF_RANGE,
                             "the rate or decay of %s times its factor is beyond float32",
                             optimizer->model->parameters.list[i].name);
    return SGT_OK;
}

/* Lists rate and decay of the parameters that are not frozen, in the order of list_pieces. */
static void list_rates(sgt_optimizer *optimizer, double lr)
{
    int32_t piece = 0;
    for (int32_t i = 0; i < optimizer->model->parameters.count; i++) {
        if (is_frozen(optimizer, i))
            continue;
        optimizer->rates[piece] = (float)(lr * optimizer->factors[i].rate);
        optimizer->decays[piece] = (float)decay_of(optimizer, i);
        piece++;
    }
}

static sgt_status zero_frozen(const sgt_optimizer *optimizer)
{
    const sgt_model *model = optimizer->model;
    sgt_status status = SGT_OK;
    for (int32_t i = 0; i < model->parameters.count && status == SGT_OK; i++) {
        sgt_tensor gradient = sgti_gradient(model, i);
        if (is_frozen(optimizer, i))
            status = sgti_fill(model->dispatch, &gradient, 0.0);
    }
    return status;
}

/* Updates all weights; the gradients are zero afterwards. */
static sgt_status update_weights(sgt_optimizer *optimizer, double lr, double scale)
{
    sgt_model *model = optimizer->model;
    const sgt_optimizer_options *options = &optimizer->options;
    sgt_tensor weights = all_of(model, &model->weights, 0);
    sgt_tensor gradients = all_of(model, &model->gradients, 0);
    sgt_tensor moment1 = all_of(model, &optimizer->moments, 0);
    sgt_tensor moment2 = all_of(model, &optimizer->moments, model->parameters.elements);
    sgt_adamw_args args = {
        .grad_scale = (float)scale,
        .beta1 = (float)options->beta1,
        .beta2 = (float)options->beta2,
        .eps = (float)options->eps,
        .correction1 = bias_correction(options->beta1, optimizer->updates + 1),
        .correction2 = bias_correction(options->beta2, optimizer->updates + 1),
        .n_pieces = optimizer->n_pieces,
        .param = &weights,
        .grad = &gradients,
        .moment1 = &moment1,
        .moment2 = &moment2,
        .firsts = optimizer->firsts,
        .counts = optimizer->counts,
        .rates = optimizer->rates,
        .decays = optimizer->decays,
    };
    list_rates(optimizer, lr);
    /* The update zeroes the gradients that it uses; those of frozen parameters are left for here.
     * The weights count as changed even after a failure, since some of them may be. */
    sgt_status status = sgti_adamw(model->dispatch, &args);
    if (status == SGT_OK)
        status = zero_frozen(optimizer);
    sgti_model_touch_weights(model);
    if (status == SGT_OK)
        optimizer->updates++;
    return status;
}

/* The second moment holds squares of gradients in float32, and an infinite one would stay infinite
 * for ever. So a step whose norm is above this, about the root of the largest float32, is
 * skipped. */
#define LARGEST_NORM 1.8e19

static sgt_status zero_gradients(const sgt_model *model)
{
    sgt_tensor all = all_of(model, &model->gradients, 0);
    return sgti_fill(model->dispatch, &all, 0.0);
}

/* The part of a step that changes weights and gradients. When it fails half-way, the gradients are
 * of no use until they are set to zero. */
static sgt_status update_or_skip(sgt_step_report *report, sgt_optimizer *optimizer, double scale)
{
    sgt_model *model = optimizer->model;
    double clip = clip_scale(optimizer->options.clip, report->grad_norm);
    report->skipped = !(report->grad_norm * clip <= LARGEST_NORM);
    if (!report->skipped)
        report->clip_scale = clip;
    sgt_status status = report->skipped
                            ? zero_gradients(model)
                            : update_weights(optimizer, report->lr, scale * report->clip_scale);
    if (status) {
        sgti_model_spoil_gradients(model);
        return status;
    }
    sgti_model_close_step(model);
    optimizer->steps = report->step;
    return SGT_OK;
}

static const sgt_optimizer_step_options step_defaults = {.size = sizeof step_defaults,
                                                         .scale = 1.0};

sgt_status sgt_optimizer_step_options_init(sgt_optimizer_step_options *options, size_t size)
{
    return sgti_struct_init(options, size, &step_defaults, sizeof step_defaults,
                            STEP_OPTIONS_MINIMUM, "sgt_optimizer_step_options");
}

static sgt_status read_step_options(sgt_optimizer_step_options *own,
                                    const sgt_optimizer_step_options *caller)
{
    *own = step_defaults;
    if (!caller)
        return SGT_OK;
    sgt_status status = sgti_struct_read(own, sizeof *own, caller, STEP_OPTIONS_MINIMUM,
                                         "sgt_optimizer_step_options");
    if (status == SGT_OK)
        status = sgti_check_float32(own->scale, SGTI_ABOVE_0, "scale");
    return status ? status : sgti_check_reserved(own->reserved, "sgt_optimizer_step_options");
}

sgt_status sgt_optimizer_step(sgt_step_report *report, sgt_optimizer *optimizer,
                              const sgt_optimizer_step_options *caller)
{
    SGTI_DEFAULT_FLOATS;
    sgt_step_report own = {.size = sizeof own, .clip_scale = 1.0};
    sgt_optimizer_step_options options;
    if (!optimizer)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "optimizer is NULL");
    sgt_status status = read_step_options(&options, caller);
    if (status == SGT_OK && report)
        status = sgti_struct_check(report, REPORT_MINIMUM, "sgt_step_report");
    if (status == SGT_OK)
        status = check_state(optimizer->model);
    own.step = optimizer->steps + 1;
    if (status == SGT_OK)
        status = choose_rate(&own.lr, optimizer, own.step);
    if (status == SGT_OK)
        status = check_products(optimizer, own.lr);
    if (status == SGT_OK)
        list_pieces(optimizer);
    if (status == SGT_OK)
        status = gradient_norm(&own.grad_norm, optimizer);
    own.grad_norm *= options.scale;
    if (status == SGT_OK)
        status = update_or_skip(&own, optimizer, options.scale);
    if (status == SGT_OK && report)
        sgti_struct_write(report, &own, sizeof own);
    return status;
}
