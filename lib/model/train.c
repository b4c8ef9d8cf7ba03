/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Training forward and backward, and the rules of what may follow what:
 *
 *     any state    --forward-->         LOSS_READY
 *     any state    --forward_logits-->  LOGITS_READY
 *     LOSS_READY   --backward-->        IDLE
 *     LOGITS_READY --backward_logits--> IDLE
 *     any state    --a change of plan or weights, a forward that fails on its way--> IDLE
 */
#include <math.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../core/tensors.h"
#include "batch.h"
#include "parts/blocks.h"
#include "work.h"

/* *zero becomes 1 when all matrices are 0. `room` is memory of the backend for the sum, a
 * double. */
static sgt_status find_weights(int *zero, const sgt_model *model, const sgti_storage *room)
{
    sgt_tensor weights =
        sgti_tensor_1d(model->weights.buffer, 0, (int64_t)model->parameters.elements);
    sgt_tensor sum = sgti_tensor_1d(room->buffer, 0, 1);
    sgt_status status = SGT_OK;
    sum.dtype = SGT_F64;
    *zero = 1;
    for (int32_t i = 0; i < model->parameters.count && *zero && status == SGT_OK; i++) {
        const sgti_parameter *parameter = &model->parameters.list[i];
        const int64_t first = (int64_t)parameter->offset, count = (int64_t)parameter->count;
        sgt_norm_args args = {
            .n_pieces = 1, .x = &weights, .sum = &sum, .firsts = &first, .counts = &count};
        double squares = 0.0;
        if (parameter->initial != SGTI_INITIAL_NORMAL)
            continue;
        status = sgti_norm(model->dispatch, &args);
        if (status == SGT_OK)
            status = sgti_read(model->dispatch, &squares, &sum);
        *zero = squares == 0.0;
    }
    return status;
}

/* Warns when training begins with all matrices 0: their gradients are 0 too, so they would stay so
 * for ever. The weights are looked at only if nobody said that they changed; a host may have
 * written them through views all the same. */
static sgt_status warn_of_missing_weights(const sgt_model *model, const sgti_storage *room)
{
    int zero;
    if (sgt_model_generation(model) != SGTI_FIRST_GENERATION)
        return SGT_OK;
    sgt_status status = find_weights(&zero, model, room);
    if (status == SGT_OK && zero)
        sgti_log(model->context, SGT_LOG_WARNING,
                 "a model is trained whose weights nobody has written: all matrices are 0, and "
                 "their gradients stay 0; call sgt_model_init_weights");
    return status;
}

/* Gradients are allocated, as zeros, by the first training forward. */
static sgt_status ensure_gradients(sgt_model *model)
{
    if (model->gradients.buffer)
        return SGT_OK;
    sgti_storage block;
    sgt_status status =
        sgti_storage_allocate(&block, model->dispatch, model->weights.bytes, "the gradients");
    if (status)
        return status;
    sgt_tensor all =
        sgti_tensor_1d(block.buffer, 0, (int64_t)(block.bytes / sizeof(float)));
    status = warn_of_missing_weights(model, &block);
    if (status == SGT_OK)
        status = sgti_fill(model->dispatch, &all, 0.0);
    if (status) {
        sgti_storage_free(&block, model->dispatch);
        return status;
    }
    model->gradients = block;
    return SGT_OK;
}

/* The common part of both forwards: takes memory, brings the batch into the arena, runs all
 * blocks. */
static sgt_status run_blocks(sgti_work *work, sgt_model *model, const sgt_batch *batch,
                             sgti_mode mode)
{
    int32_t kinds = model->entropies.kinds | model->growth_entropy;
    sgti_shape shape =
        sgti_batch_shape(&model->config, &model->options, mode, batch->batch, batch->seq);
    shape.passes = model->passes;
    shape.logits_bytes = sgti_logits_bytes(model->dispatch);
    sgt_status status = ensure_gradients(model);
    if (status)
        return status;
    model->state = SGTI_IDLE;
    status = sgti_workspace_prepare(&model->training, model->dispatch, &model->context->memory,
                                    &shape);
    if (status)
        return status;
    status = sgti_entropies_reserve(model, model->passes->most_passes, kinds);
    if (status)
        return status;
    status = sgti_model_prepare_weights(model);
    if (status)
        return status;
    /* From here on nothing has to be allocated: a step that began does not fail for lack of
     * memory. */
    *work = sgti_batch_work(model, &model->training);
    work->phase = SGT_PHASE_FORWARD;
    work->draw = model->draws;
    work->entropy = kinds;
    status = sgti_write_batch(work, batch);
    return status ? status : sgti_blocks_forward(work);
}

/* Records a finished forward in the model: entropies, FLOPs, draws, state. `with_head` tells
 * whether it ran the head. */
static sgt_status commit_forward(sgt_model *model, const sgti_work *work, sgti_model_state state,
                                 int with_head)
{
    double per_token[2];
    sgt_status status = sgti_entropies_add(model, work, model->training.entropies);
    if (status)
        return status;
    sgti_model_forward_flops(per_token, model, work->layout->shape.seq, with_head);
    for (int i = 0; i < 2; i++)
        model->step_flops[i] = per_token[i] * (double)work->rows;
    model->executed_flops += model->step_flops[0];
    model->vanilla_flops += model->step_flops[1];
    model->draws += sgti_blocks_draw(&model->config);
    model->step_closed = 0;
    model->state = state;
    return SGT_OK;
}

sgt_status sgt_model_forward(sgt_metrics *metrics, sgt_model *model, const sgt_batch *caller)
{
    SGTI_DEFAULT_FLOATS;
    sgti_checked_batch batch;
    sgti_work work;
    sgt_status status = sgti_batch_begin(&batch, model, caller, 1, metrics, SGTI_METRICS_MINIMUM,
                                         "sgt_metrics");
    if (status)
        return status;
    status = run_blocks(&work, model, &batch.batch, SGTI_TRAIN_LOSS);
    if (status == SGT_OK && batch.count > 0)
        status = sgti_head_losses(&work, model->training.losses);
    if (status == SGT_OK)
        status = commit_forward(model, &work, SGTI_LOSS_READY, batch.count > 0);
    if (status)
        return status;
    model->loss_count = batch.count;
    sgt_metrics own = sgti_batch_metrics(&batch, model->training.losses);
    sgti_struct_write(metrics, &own, sizeof own);
    return SGT_OK;
}

/* Either kind of backward: from the loss times `scale`, or from the host's dlogits. While it adds
 * to the gradients they are marked invalid, which they stay if it fails. */
static sgt_status backward(sgt_model *model, double scale, const float *dlogits)
{
    int nothing = !dlogits && model->loss_count == 0;
    model->state = SGTI_IDLE;
    if (!nothing) {
        sgti_work work =
            sgti_batch_work(model, &model->training);
        sgti_gradient_state before = model->gradient_state;
        work.phase = SGT_PHASE_BACKWARD;
        work.draw = model->draws - sgti_blocks_draw(&model->config);
        model->gradient_state = SGTI_GRADIENTS_INVALID;
        sgt_status status = dlogits ? sgti_head_logits_backward(&work, dlogits)
                                    : sgti_head_loss_backward(&work, scale);
        if (status == SGT_OK)
            status = sgti_blocks_backward(&work);
        if (status)
            return status;
        model->gradient_state = before;
        model->executed_flops += 2.0 * model->step_flops[0];
        model->vanilla_flops += 2.0 * model->step_flops[1];
    }
    if (model->gradient_state == SGTI_GRADIENTS_ZERO)
        model->gradient_state = SGTI_GRADIENTS_VALID;
    return SGT_OK;
}

#define BACKWARD_MINIMUM SGTI_SIZE_THROUGH(sgt_model_backward_options, reserved)

static const sgt_model_backward_options backward_defaults = {.size = sizeof backward_defaults};

sgt_status sgt_model_backward_options_init(sgt_model_backward_options *options, size_t size)
{
    return sgti_struct_init(options, size, &backward_defaults, sizeof backward_defaults,
                            BACKWARD_MINIMUM, "sgt_model_backward_options");
}

static sgt_status check_backward_options(const sgt_model_backward_options *caller)
{
    sgt_model_backward_options own = backward_defaults;
    if (!caller)
        return SGT_OK;
    sgt_status status = sgti_struct_read(&own, sizeof own, caller, BACKWARD_MINIMUM,
                                         "sgt_model_backward_options");
    return status ? status : sgti_check_reserved(own.reserved, "sgt_model_backward_options");
}

sgt_status sgt_model_backward(sgt_model *model, double scale,
                              const sgt_model_backward_options *options)
{
    SGTI_DEFAULT_FLOATS;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = check_backward_options(options);
    if (status)
        return status;
    if (!isfinite(scale) || fabs(scale) > 1e38)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "scale is %g, must be finite and within 1e38",
                         scale);
    if (model->state != SGTI_LOSS_READY)
        return sgti_fail(SGT_E_STATE,
                         "backward needs an sgt_model_forward that no other backward, plan change "
                         "or weight change has followed");
    return backward(model, scale, NULL);
}

/* In this mode one chunk has all rows, and their logits stay where they were made. */
static sgt_status keep_logits(const sgti_work *work, const sgt_tensor *logits, const sgt_tensor *h,
                              int64_t first, int64_t rows, void *argument)
{
    (void)logits;
    (void)h;
    (void)first;
    (void)rows;
    (void)argument;
    return sgti_sync(work->dispatch);
}

sgt_status sgt_model_forward_logits(sgt_tensor_view *logits, sgt_model *model,
                                    const sgt_batch *caller)
{
    SGTI_DEFAULT_FLOATS;
    sgti_checked_batch batch;
    sgti_work work;
    sgt_status status = sgti_batch_begin(&batch, model, caller, 0, logits, SGTI_VIEW_MINIMUM,
                                         "sgt_tensor_view");
    if (status)
        return status;
    status = run_blocks(&work, model, &batch.batch, SGTI_TRAIN_LOGITS);
    if (status == SGT_OK)
        status = sgti_head_logits(&work, 0, 1, work.rows, keep_logits, NULL);
    if (status == SGT_OK)
        status = commit_forward(model, &work, SGTI_LOGITS_READY, 1);
    if (status)
        return status;
    sgt_tensor tensor = sgti_at(&work, &work.layout->head.logits);
    sgt_tensor_view own = {.size = sizeof own, .dtype = SGT_F32, .rank = 3};
    own.shape[0] = batch.batch.batch;
    own.shape[1] = batch.batch.seq;
    own.shape[2] = model->config.vocab_size;
    own.count = (uint64_t)sgti_tensor_count(&tensor);
    own.data = sgti_host_address(model->dispatch, &tensor);
    sgti_struct_write(logits, &own, sizeof own);
    return SGT_OK;
}

sgt_status sgt_model_read_logits(float *logits, size_t count, const sgt_model *model)
{
    SGTI_DEFAULT_FLOATS;
    if (!logits || !model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", model ? "logits" : "model");
    if (model->state != SGTI_LOGITS_READY)
        return sgti_fail(SGT_E_STATE, "there are no logits: sgt_model_forward_logits comes first");
    sgti_work work = sgti_batch_work(model, &model->training);
    sgt_tensor tensor = sgti_at(&work, &work.layout->head.logits);
    int64_t elements = sgti_tensor_count(&tensor);
    if (count != (uint64_t)elements)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "count is %zu, the logits have %lld elements", count,
                         (long long)elements);
    return sgti_read(model->dispatch, logits, &tensor);
}

sgt_status sgt_model_backward_logits(sgt_model *model, const float *dlogits,
                                     const sgt_model_backward_options *options)
{
    SGTI_DEFAULT_FLOATS;
    if (!model || !dlogits)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", model ? "dlogits" : "model");
    sgt_status status = check_backward_options(options);
    if (status)
        return status;
    if (model->state != SGTI_LOGITS_READY)
        return sgti_fail(SGT_E_STATE,
                         "backward_logits needs an sgt_model_forward_logits that no other "
                         "backward, plan change or weight change has followed");
    return backward(model, 1.0, dlogits);
}

sgt_status sgt_model_zero_gradients(sgt_model *model)
{
    SGTI_DEFAULT_FLOATS;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    if (model->gradients.buffer) { /* a host may have written through a view */
        sgt_tensor all = sgti_tensor_1d(model->gradients.buffer, 0,
                                        (int64_t)(model->gradients.bytes / sizeof(float)));
        sgt_status status = sgti_fill(model->dispatch, &all, 0.0);
        if (status)
            return status;
    }
    sgti_model_close_step(model);
    return SGT_OK;
}
