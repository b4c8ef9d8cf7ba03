/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes and frees optimizers, and lets hosts reach their rates, factors and moments. The update
 * itself is in step.c.
 */
#include "optimizer.h"

#include <string.h>

#include "../base/carver.h"
#include "../base/checked.h"
#include "../base/error.h"
#include "../base/float32.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../core/tensors.h"
#include "schedule.h"

/* Cuts the lists out of the host allocation and returns its bytes; host NULL: only counts. */
static uint64_t cut_lists(sgt_optimizer *optimizer, char *host, int32_t n_parameters)
{
    sgti_carver c = {.memory = host};
    optimizer->factors = sgti_carve(&c, n_parameters, sizeof *optimizer->factors);
    optimizer->firsts = sgti_carve(&c, n_parameters, sizeof *optimizer->firsts);
    optimizer->counts = sgti_carve(&c, n_parameters, sizeof *optimizer->counts);
    optimizer->rates = sgti_carve(&c, n_parameters, sizeof *optimizer->rates);
    optimizer->decays = sgti_carve(&c, n_parameters, sizeof *optimizer->decays);
    return c.bytes;
}

static uint64_t lists_bytes(int32_t n_parameters)
{
    sgt_optimizer none;
    return cut_lists(&none, NULL, n_parameters);
}

uint64_t sgti_optimizer_bytes(int32_t n_parameters)
{
    return sizeof(sgt_optimizer) + lists_bytes(n_parameters) + sizeof(double);
}

static sgt_status create_lists(sgt_optimizer *optimizer)
{
    const sgt_model *model = optimizer->model;
    int32_t count = model->parameters.count;
    sgt_status status = sgti_allocate_aligned(&optimizer->host, &model->context->memory, 64,
                                              lists_bytes(count), "the lists of an optimizer");
    if (status)
        return status;
    cut_lists(optimizer, optimizer->host, count);
    for (int32_t i = 0; i < count; i++)
        optimizer->factors[i] = (sgti_factors){.rate = 1.0, .decay = 1.0};
    return sgti_storage_allocate(&optimizer->norm, model->dispatch, sizeof(double),
                                 "the norm of the gradients");
}

static sgt_status create_moments(sgt_optimizer *optimizer)
{
    sgt_model *model = optimizer->model;
    uint64_t bytes;
    if (!sgti_mul_u64(&bytes, model->parameters.elements, 2 * sizeof(float)))
        return sgti_fail(SGT_E_OVERFLOW, "the size of the moments does not fit in 64 bits");
    sgt_status status =
        sgti_storage_allocate(&optimizer->moments, model->dispatch, bytes, "the moments");
    if (status)
        return status;
    sgt_tensor all = sgti_tensor_1d(optimizer->moments.buffer, 0,
                                    (int64_t)(2 * model->parameters.elements));
    return sgti_fill(model->dispatch, &all, 0.0);
}

sgt_status sgt_optimizer_create(sgt_optimizer **optimizer, sgt_model *model,
                                const sgt_optimizer_options *options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_optimizer_options chosen;
    void *memory = NULL;
    if (!optimizer)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "optimizer is NULL");
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = sgti_optimizer_options_read(&chosen, options);
    if (status == SGT_OK)
        status = sgti_allocate_zeroed(&memory, &model->context->memory, 1, sizeof **optimizer,
                                      "an optimizer");
    if (status)
        return status;
    sgt_optimizer *made = memory;
    made->model = sgti_model_ref(model);
    made->options = chosen;
    status = create_lists(made);
    if (status == SGT_OK)
        status = create_moments(made);
    if (status) {
        sgt_optimizer_free(made);
        return status;
    }
    *optimizer = made;
    return SGT_OK;
}

void sgt_optimizer_free(sgt_optimizer *optimizer)
{
    if (!optimizer)
        return;
    sgt_model *model = optimizer->model;
    sgti_memory *memory = &model->context->memory;
    sgti_storage_free(&optimizer->moments, model->dispatch);
    sgti_storage_free(&optimizer->norm, model->dispatch);
    sgti_release(memory, optimizer->host, lists_bytes(model->parameters.count));
    sgti_release(memory, optimizer, sizeof *optimizer);
    sgti_model_unref(model);
}

int64_t sgt_optimizer_steps(const sgt_optimizer *optimizer)
{
    return optimizer ? optimizer->steps : 0;
}

sgt_status sgt_optimizer_get_scheduled_rate(double *lr, const sgt_optimizer *optimizer,
                                            int64_t step)
{
    SGTI_DEFAULT_FLOATS;
    if (!lr || !optimizer)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !lr ? "lr" : "optimizer");
    if (step < 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "step is %lld; steps count from 1", (long long)step);
    *lr = sgti_schedule_rate(&optimizer->options, step);
    return SGT_OK;
}

double sgt_optimizer_lr(const sgt_optimizer *optimizer)
{
    SGTI_DEFAULT_FLOATS;
    return optimizer ? optimizer->options.lr : 0.0;
}

sgt_status sgt_optimizer_set_lr(sgt_optimizer *optimizer, double lr)
{
    SGTI_DEFAULT_FLOATS;
    if (!optimizer)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "optimizer is NULL");
    sgt_status status = sgti_check_float32(lr, SGTI_AT_LEAST_0, "lr");
    if (!status)
        optimizer->options.lr = lr;
    return status;
}

/* The rate callback is a pointer of the running host, which a file cannot hold. */
void sgti_optimizer_restore(sgt_optimizer *optimizer, const sgti_optimizer_record *record)
{
    optimizer->steps = record->steps;
    optimizer->updates = record->updates;
    if (!record->options)
        return;
    sgt_optimizer_options stored = *record->options;
    stored.rate = optimizer->options.rate;
    stored.rate_user = optimizer->options.rate_user;
    optimizer->options = stored;
    memcpy(optimizer->factors, record->factors,
           (size_t)optimizer->model->parameters.count * sizeof *record->factors);
}

/* ---- per parameter ---- */

static sgt_status check_index(const sgt_optimizer *optimizer, int32_t index)
{
    if (!optimizer)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "optimizer is NULL");
    if (index < 0 || index >= optimizer->model->parameters.count)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "parameter index %d is not in 0 .. %d", (int)index,
                         (int)optimizer->model->parameters.count - 1);
    return SGT_OK;
}

sgt_status sgt_optimizer_set_factors(sgt_optimizer *optimizer, int32_t index, double rate_factor,
                                     double decay_factor)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_index(optimizer, index);
    if (status == SGT_OK)
        status = sgti_check_float32(rate_factor, SGTI_AT_LEAST_0, "rate_factor");
    if (status == SGT_OK)
        status = sgti_check_float32(decay_factor, SGTI_AT_LEAST_0, "decay_factor");
    if (status)
        return status;
    optimizer->factors[index] = (sgti_factors){.rate = rate_factor, .decay = decay_factor};
    return SGT_OK;
}

/* Moments lie as the weights do, so a weight's tensor with another buffer is that of a moment. */
sgt_tensor sgti_moment(const sgt_optimizer *optimizer, int32_t index, int32_t moment)
{
    sgt_tensor tensor = sgti_weight(optimizer->model, index);
    tensor.buffer = optimizer->moments.buffer;
    if (moment == SGT_MOMENT_SECOND)
        tensor.offset += optimizer->model->parameters.elements;
    return tensor;
}

static sgt_status check_moment(const sgt_optimizer *optimizer, int32_t index, int32_t moment)
{
    sgt_status status = check_index(optimizer, index);
    if (status == SGT_OK && moment != SGT_MOMENT_FIRST && moment != SGT_MOMENT_SECOND)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "moment is %d, not an sgt_moment", (int)moment);
    return status;
}

sgt_status sgt_optimizer_moment(sgt_tensor_view *view, const sgt_optimizer *optimizer,
                                int32_t index, int32_t moment)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = sgti_struct_check(view, SGTI_VIEW_MINIMUM, "sgt_tensor_view");
    if (status == SGT_OK)
        status = check_moment(optimizer, index, moment);
    if (status)
        return status;
    sgt_tensor tensor = sgti_moment(optimizer, index, moment);
    sgti_parameter_view(view, optimizer->model, index, &tensor);
    return SGT_OK;
}

sgt_status sgt_optimizer_read_moment(float *values, size_t count, const sgt_optimizer *optimizer,
                                     int32_t index, int32_t moment)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_moment(optimizer, index, moment);
    if (status == SGT_OK)
        status = sgti_check_count(optimizer->model, index, values, count);
    if (status)
        return status;
    sgt_tensor tensor = sgti_moment(optimizer, index, moment);
    return sgti_read(optimizer->model->dispatch, values, &tensor);
}

sgt_status sgt_optimizer_write_moment(sgt_optimizer *optimizer, int32_t index, int32_t moment,
                                      const float *values, size_t count)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_moment(optimizer, index, moment);
    if (status == SGT_OK)
        status = sgti_check_count(optimizer->model, index, values, count);
    if (status)
        return status;
    sgt_tensor tensor = sgti_moment(optimizer, index, moment);
    return sgti_write(optimizer->model->dispatch, &tensor, values);
}
