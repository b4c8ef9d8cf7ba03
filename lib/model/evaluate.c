/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loss and logits of a batch without gradients. Works on a workspace of its own, so that
 * evaluations of one model may run in several threads.
 */
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../core/tensors.h"
#include "batch.h"
#include "model.h"
#include "step.h"

#define OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_evaluate_options, last_logits)

sgt_status sgt_evaluate_options_init(sgt_evaluate_options *options, size_t size)
{
    static const sgt_evaluate_options defaults = {.size = sizeof defaults};
    return sgti_struct_init(options, size, &defaults, sizeof defaults, OPTIONS_MINIMUM,
                            "sgt_evaluate_options");
}

/* Losses of all rows into the workspace's host array. */
static sgt_status evaluate_losses(const sgti_step *step)
{
    sgt_status status = sgti_head_loss(step);
    if (status)
        return status;
    sgt_tensor losses = sgti_tensor_1d(step->workspace->arena.buffer, step->layout->losses,
                                       step->layout->tokens);
    return sgti_read(step->dispatch, step->workspace->losses, &losses);
}

/* The outputs that were asked for; losses come last so that a failure leaves less behind. */
static sgt_status evaluate_head(const sgti_step *step, const sgt_batch *batch, int64_t count,
                                const sgt_evaluate_options *options)
{
    sgt_status status = SGT_OK;
    int logits = options->logits || options->last_logits;
    if (count > 0)
        status = evaluate_losses(step);
    else if (logits)
        status = sgti_norm_forward(step, step->layout->h, step->layout->x_final,
                                   step->model->parameters.final_norm);
    if (status == SGT_OK && options->logits)
        status = sgti_head_copy_logits(step, options->logits, 0, 1, step->layout->tokens);
    if (status == SGT_OK && options->last_logits)
        status = sgti_head_copy_logits(step, options->last_logits, batch->seq - 1, batch->seq,
                                       batch->batch);
    return status;
}

static sgt_status evaluate(sgt_metrics *metrics, const sgt_model *model,
                           sgti_workspace *workspace, const sgt_batch *batch, int64_t count,
                           const sgt_evaluate_options *options)
{
    sgt_status status = sgti_workspace_prepare(workspace, model->dispatch,
                                               &model->context->memory, &model->config,
                                               model->plan, SGTI_EVALUATE, batch->batch,
                                               batch->seq);
    if (status)
        return status;
    sgti_step step = sgti_step_of(model, workspace);
    status = sgti_write_batch(&step, batch);
    if (status == SGT_OK)
        status = sgti_blocks_forward(&step, SGT_PHASE_EVALUATE);
    if (status == SGT_OK)
        status = evaluate_head(&step, batch, count, options);
    if (status)
        return status;
    size_t rows = (size_t)step.layout->tokens;
    if (options->token_losses && count > 0)
        memcpy(options->token_losses, workspace->losses, rows * sizeof(float));
    else if (options->token_losses)
        memset(options->token_losses, 0, rows * sizeof(float));
    *metrics = sgti_batch_metrics(batch, workspace->losses, count);
    return SGT_OK;
}

sgt_status sgt_model_evaluate(sgt_metrics *metrics, const sgt_model *model,
                              const sgt_batch *caller, const sgt_evaluate_options *caller_options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_evaluate_options options = {.size = sizeof options};
    sgti_workspace *workspace;
    sgt_metrics own;
    sgt_batch batch;
    int64_t count;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = sgti_struct_check(metrics, SGTI_METRICS_MINIMUM, "sgt_metrics");
    if (status)
        return status;
    if (caller_options) {
        status = sgti_struct_read(&options, sizeof options, caller_options, OPTIONS_MINIMUM,
                                  "sgt_evaluate_options");
        if (status)
            return status;
    }
    status = sgti_batch_read(&batch, &count, caller, &model->config, 1);
    if (status)
        return status;
    status = sgti_model_prepare_weights((sgt_model *)model);
    if (status)
        return status;
    sgti_workspace_list *list = (sgti_workspace_list *)&model->evaluation;
    status = sgti_workspace_take(&workspace, list, &model->context->memory);
    if (status)
        return status;
    status = evaluate(&own, model, workspace, &batch, count, &options);
    sgti_workspace_give_back(list, workspace);
    if (status)
        return status;
    sgti_struct_write(metrics, &own, sizeof own);
    return SGT_OK;
}
