/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Training forward and backward, and the rules of what may follow what:
 *
 *     IDLE --forward--> LOSS_READY --backward--> IDLE
 *     IDLE --forward_logits--> LOGITS_READY --backward_logits--> IDLE
 *     any --plan or weight change, failed forward--> IDLE
 */
#include <math.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../core/tensors.h"
#include "batch.h"
#include "model.h"
#include "step.h"

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
    status = sgti_fill(model->dispatch, &all, 0.0);
    if (status) {
        sgti_storage_free(&block, model->dispatch);
        return status;
    }
    model->gradients = block;
    return SGT_OK;
}

/* Memory, the batch in the arena, all blocks. */
static sgt_status run_blocks(sgti_step *step, sgt_model *model, const sgt_batch *batch,
                             sgti_mode mode)
{
    int32_t kinds = model->entropies.kinds | model->growth_entropy;
    sgt_status status = ensure_gradients(model);
    if (status)
        return status;
    model->state = SGTI_IDLE;
    status = sgti_workspace_prepare(&model->training, model->dispatch, &model->context->memory,
                                    &model->config, model->plan, mode, batch->batch, batch->seq);
    if (status)
        return status;
    status = sgti_entropies_reserve(model, model->training.layout.max_passes, kinds);
    if (status)
        return status;
    status = sgti_model_prepare_weights(model);
    if (status)
        return status;
    *step = sgti_step_of(model, &model->training);
    step->entropy = kinds;
    status = sgti_write_batch(step, batch);
    return status ? status : sgti_blocks_forward(step, SGT_PHASE_FORWARD);
}

/* What a finished forward leaves behind. */
static sgt_status commit_forward(sgt_model *model, const sgti_step *step, sgti_model_state state)
{
    const sgti_layout *layout = step->layout;
    double per_token[2];
    sgt_status status = sgti_entropies_add(model, step);
    if (status)
        return status;
    sgti_model_forward_flops(per_token, model, layout->seq);
    for (int i = 0; i < 2; i++)
        model->step_flops[i] = per_token[i] * (double)layout->tokens;
    model->executed_flops += model->step_flops[0];
    model->vanilla_flops += model->step_flops[1];
    model->step_closed = 0;
    model->state = state;
    return SGT_OK;
}

sgt_status sgt_model_forward(sgt_metrics *metrics, sgt_model *model, const sgt_batch *caller)
{
    SGTI_DEFAULT_FLOATS;
    sgt_batch batch;
    sgti_step step;
    int64_t count;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = sgti_struct_check(metrics, SGTI_METRICS_MINIMUM, "sgt_metrics");
    if (status)
        return status;
    status = sgti_batch_read(&batch, &count, caller, &model->config, 1);
    if (status)
        return status;
    status = run_blocks(&step, model, &batch, SGTI_TRAIN_LOSS);
    if (status)
        return status;
    if (count > 0) {
        status = sgti_head_loss(&step);
        if (status)
            return status;
        sgt_tensor losses = sgti_tensor_1d(step.workspace->arena.buffer, step.layout->losses,
                                           step.layout->tokens);
        status = sgti_read(step.dispatch, step.workspace->losses, &losses);
        if (status)
            return status;
    }
    status = commit_forward(model, &step, SGTI_LOSS_READY);
    if (status)
        return status;
    model->loss_count = count;
    sgt_metrics own = sgti_batch_metrics(&batch, step.workspace->losses, count);
    sgti_struct_write(metrics, &own, sizeof own);
    return SGT_OK;
}

/* Either kind of backward: `scale` of the loss, or the host's dlogits. */
static sgt_status backward(sgt_model *model, double scale, const float *dlogits)
{
    sgti_step step = sgti_step_of(model, &model->training);
    int nothing = !dlogits && model->loss_count == 0;
    model->state = SGTI_IDLE;
    if (!nothing) {
        sgti_gradient_state before = model->gradient_state;
        model->gradient_state = SGTI_GRADIENTS_INVALID;
        sgt_status status = dlogits ? sgti_head_logits_backward(&step, dlogits)
                                    : sgti_head_loss_backward(&step, scale);
        if (status == SGT_OK)
            status = sgti_blocks_backward(&step);
        if (status)
            return status;
        model->gradient_state = before;
    }
    if (model->gradient_state == SGTI_GRADIENTS_ZERO)
        model->gradient_state = SGTI_GRADIENTS_VALID;
    model->executed_flops += 2.0 * model->step_flops[0];
    model->vanilla_flops += 2.0 * model->step_flops[1];
    return SGT_OK;
}

sgt_status sgt_model_backward(sgt_model *model, double scale)
{
    SGTI_DEFAULT_FLOATS;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    if (!isfinite(scale) || fabs(scale) > 1e38)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "scale is %g, must be finite and within 1e38",
                         scale);
    if (model->state != SGTI_LOSS_READY)
        return sgti_fail(SGT_E_STATE,
                         "backward needs an sgt_model_forward that no other backward, plan change "
                         "or weight change has followed");
    return backward(model, scale, NULL);
}

sgt_status sgt_model_forward_logits(sgt_tensor_view *logits, sgt_model *model,
                                    const sgt_batch *caller)
{
    SGTI_DEFAULT_FLOATS;
    sgt_batch batch;
    sgti_step step;
    int64_t count;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = sgti_struct_check(logits, SGTI_VIEW_MINIMUM, "sgt_tensor_view");
    if (status)
        return status;
    status = sgti_batch_read(&batch, &count, caller, &model->config, 0);
    if (status)
        return status;
    status = run_blocks(&step, model, &batch, SGTI_TRAIN_LOGITS);
    if (status)
        return status;
    status = sgti_head_logits(&step);
    if (status == SGT_OK)
        status = sgti_sync(step.dispatch);
    if (status == SGT_OK)
        status = commit_forward(model, &step, SGTI_LOGITS_READY);
    if (status)
        return status;
    sgt_tensor tensor =
        sgti_at(&step, step.layout->logits, step.layout->tokens, model->config.vocab_size);
    sgt_tensor_view own = {.size = sizeof own, .dtype = SGT_F32, .rank = 3};
    own.shape[0] = batch.batch;
    own.shape[1] = batch.seq;
    own.shape[2] = model->config.vocab_size;
    own.count = (uint64_t)(step.layout->tokens * model->config.vocab_size);
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
    const sgti_layout *layout = &model->training.layout;
    int64_t n = layout->tokens, v = model->config.vocab_size;
    if (count != (uint64_t)(n * v))
        return sgti_fail(SGT_E_OUT_OF_RANGE, "count is %zu, the logits have %lld elements", count,
                         (long long)(n * v));
    sgt_tensor tensor = sgti_tensor_2d(model->training.arena.buffer, layout->logits, n, v);
    return sgti_read(model->dispatch, logits, &tensor);
}

sgt_status sgt_model_backward_logits(sgt_model *model, const float *dlogits)
{
    SGTI_DEFAULT_FLOATS;
    if (!model || !dlogits)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", model ? "dlogits" : "model");
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
    model->gradient_state = SGTI_GRADIENTS_ZERO;
    model->step_closed = 1;
    return SGT_OK;
}
