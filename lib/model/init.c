/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Initial weights. Element i of a parameter depends on the seed, the parameter's name and i alone.
 * So it does not matter which thread draws it, nor which other parameters there are.
 */
#include <math.h>

#include "../base/error.h"
#include "../base/float32.h"
#include "../base/float_mode.h"
#include "../base/random.h"
#include "../base/structs.h"
#include "../core/tensors.h"
#include "model.h"

#define OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_model_init_options, reserved)
#define PART_ELEMENTS   65536
#define LARGEST_NORMAL  10.0 /* 53 random bits give no normal number as large as this */

sgt_status sgt_model_init_options_init(sgt_model_init_options *options, size_t size)
{
    static const sgt_model_init_options defaults = {
        .size = sizeof defaults, .seed = 0, .std = 0.02, .cut = 3.0};
    return sgti_struct_init(options, size, &defaults, sizeof defaults, OPTIONS_MINIMUM,
                            "sgt_model_init_options");
}

/* Consecutive elements of one parameter. */
typedef struct draw {
    float *values;
    uint64_t count;
    uint64_t first; /* index of values[0] in the parameter */
    uint64_t seed;  /* of the parameter */
    double std;
    double cut;
} draw;

static void draw_part(void *argument, int64_t part, int32_t thread)
{
    const draw *d = argument;
    uint64_t begin = (uint64_t)part * PART_ELEMENTS;
    uint64_t end = begin + PART_ELEMENTS < d->count ? begin + PART_ELEMENTS : d->count;
    (void)thread;
    for (uint64_t i = begin; i < end; i++) {
        double z = sgti_random_truncated_normal(d->seed, SGTI_STREAM_WEIGHTS, d->first + i,
                                                d->cut);
        d->values[i] = (float)(d->std * z);
    }
}

static void draw_all(sgt_model *model, draw *d)
{
    int64_t parts = (int64_t)((d->count + PART_ELEMENTS - 1) / PART_ELEMENTS);
    sgti_parallel_for(model->context->pool, parts, draw_part, d);
}

/* Draws into memory that the host cannot see: through a buffer large enough for all threads. */
static sgt_status draw_hidden(sgt_model *model, draw *d, const sgt_tensor *weight)
{
    uint64_t total = d->count, room = 64 * (uint64_t)PART_ELEMENTS;
    if (room > total)
        room = total;
    void *buffer;
    sgt_status status = sgti_allocate_aligned(&buffer, &model->context->memory, 64,
                                              room * sizeof(float), "initial weights");
    if (status)
        return status;
    d->values = buffer;
    for (uint64_t first = 0; first < total && status == SGT_OK; first += room) {
        d->first = first;
        d->count = total - first < room ? total - first : room;
        draw_all(model, d);
        sgt_tensor piece =
            sgti_tensor_1d(weight->buffer, weight->offset + first, (int64_t)d->count);
        status = sgti_write(model->dispatch, &piece, buffer);
    }
    sgti_release(&model->context->memory, buffer, room * sizeof(float));
    return status;
}

sgt_status sgti_set_plainly(sgt_model *model, int32_t index)
{
    sgt_tensor weight = sgti_weight(model, index), ones = weight;
    if (model->parameters.list[index].initial == SGTI_INITIAL_ZEROS)
        return sgti_fill(model->dispatch, &weight, 0.0);
    if (model->parameters.list[index].initial == SGTI_INITIAL_IDENTITY) {
        sgt_status status = sgti_fill(model->dispatch, &weight, 0.0);
        if (status)
            return status;
        ones = sgti_tensor_1d(weight.buffer, weight.offset, weight.shape[0]);
        ones.strides[0] = weight.shape[1] + 1;
    }
    return sgti_fill(model->dispatch, &ones, 1.0);
}

static sgt_status init_parameter(sgt_model *model, int32_t index,
                                 const sgt_model_init_options *options)
{
    sgt_tensor weight = sgti_weight(model, index);
    const sgti_parameter *parameter = &model->parameters.list[index];
    draw d = {.count = parameter->count,
              .seed = sgti_random_seed(options->seed, SGTI_STREAM_PARAMETER, parameter->stream),
              .std = options->std * parameter->spread,
              .cut = options->cut};
    if (parameter->std > 0.0)
        d.std = parameter->std;
    if (options->unit_scale && parameter->units > 0)
        d.std *= sqrt((double)parameter->units);
    if (options->residual && parameter->residual)
        d.std /= sqrt(2.0 * model->config.n_layers);
    if (parameter->initial != SGTI_INITIAL_NORMAL)
        return sgti_set_plainly(model, index);
    d.values = sgti_host_address(model->dispatch, &weight);
    if (!d.values)
        return draw_hidden(model, &d, &weight);
    draw_all(model, &d);
    return SGT_OK;
}

static sgt_status check_options(const sgt_model_init_options *options)
{
    if (!(options->cut >= 0.1))
        return sgti_fail(SGT_E_OUT_OF_RANGE, "cut is %g, must be at least 0.1", options->cut);
    if (options->residual != 0 && options->residual != 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "residual is %d, must be 0 or 1",
                         (int)options->residual);
    if (options->unit_scale != 0 && options->unit_scale != 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "unit_scale is %d, must be 0 or 1",
                         (int)options->unit_scale);
    sgt_status status = sgti_check_reserved(options->reserved, "sgt_model_init_options");
    if (status)
        return status;
    status = sgti_check_float32(options->std, SGTI_AT_LEAST_0, "std");
    if (status)
        return status;
    /* The largest weight that can be drawn must be a float32. */
    return sgti_check_float32(options->std * fmin(options->cut, LARGEST_NORMAL), SGTI_AT_LEAST_0,
                              "std times cut");
}

sgt_status sgt_model_init_weights(sgt_model *model, const sgt_model_init_options *caller)
{
    SGTI_DEFAULT_FLOATS;
    sgt_model_init_options options;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = sgt_model_init_options_init(&options, sizeof options);
    if (status == SGT_OK && caller)
        status = sgti_struct_read(&options, sizeof options, caller, OPTIONS_MINIMUM,
                                  "sgt_model_init_options");
    if (status)
        return status;
    status = check_options(&options);
    if (status)
        return status;
    sgti_model_touch_weights(model);
    status = sgti_sync(model->dispatch);
    for (int32_t i = 0; i < model->parameters.count && status == SGT_OK; i++)
        status = init_parameter(model, i, &options);
    return status;
}
