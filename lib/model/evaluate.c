/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loss and logits of a batch without gradients. An evaluation has a workspace of its own, so
 * that evaluations of one model may run in several threads.
 */
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "batch.h"

#define OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_model_evaluate_options, last_logits)

sgt_status sgt_model_evaluate_options_init(sgt_model_evaluate_options *options, size_t size)
{
    static const sgt_model_evaluate_options defaults = {.size = sizeof defaults};
    return sgti_struct_init(options, size, &defaults, sizeof defaults, OPTIONS_MINIMUM,
                            "sgt_model_evaluate_options");
}

/* Makes the outputs that were asked for. Losses stay in the workspace: the host gets them only when
 * everything has succeeded. */
static sgt_status evaluate_head(const sgti_work *work, const sgti_checked_batch *batch,
                                float *losses, const sgt_model_evaluate_options *options)
{
    int64_t seq = batch->batch.seq;
    sgt_status status = SGT_OK;
    if (batch->count > 0)
        status = sgti_head_losses(work, losses);
    if (status == SGT_OK && options->logits)
        status = sgti_head_read_logits(work, options->logits, 0, 1, work->rows);
    if (status == SGT_OK && options->last_logits)
        status = sgti_head_read_logits(work, options->last_logits, seq - 1, seq,
                                       batch->batch.batch);
    return status;
}

/* Evaluates a batch in a workspace that nobody else uses. */
static sgt_status evaluate(sgt_metrics *metrics, const sgt_model *model,
                           sgti_workspace *workspace, const sgti_checked_batch *batch,
                           const sgt_model_evaluate_options *options)
{
    sgti_shape shape = sgti_batch_shape(&model->config, &model->options, SGTI_EVALUATE,
                                        batch->batch.batch, batch->batch.seq);
    shape.passes = model->passes;
    shape.logits_bytes = sgti_logits_bytes(model->dispatch);
    sgt_status status = sgti_workspace_prepare(workspace, model->dispatch,
                                               &model->context->memory, &shape);
    if (status)
        return status;
    sgti_work work = sgti_batch_work(model, workspace);
    work.phase = SGT_PHASE_EVALUATE;
    status = sgti_write_batch(&work, &batch->batch);
    if (status == SGT_OK)
        status = sgti_blocks_forward(&work);
    if (status == SGT_OK)
        status = evaluate_head(&work, batch, workspace->losses, options);
    if (status)
        return status;
    size_t bytes = (size_t)work.rows * sizeof(float);
    if (options->token_losses && batch->count > 0)
        memcpy(options->token_losses, workspace->losses, bytes);
    else if (options->token_losses)
        memset(options->token_losses, 0, bytes);
    *metrics = sgti_batch_metrics(batch, workspace->losses);
    return SGT_OK;
}

sgt_status sgt_model_evaluate(sgt_metrics *metrics, const sgt_model *model,
                              const sgt_batch *caller,
                              const sgt_model_evaluate_options *caller_options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_model_evaluate_options options = {.size = sizeof options};
    sgti_checked_batch batch;
    sgti_workspace *workspace;
    sgt_metrics own;
    if (caller_options) {
        sgt_status status = sgti_struct_read(&options, sizeof options, caller_options,
                                             OPTIONS_MINIMUM, "sgt_model_evaluate_options");
        if (status == SGT_OK)
            status = sgti_check_reserved(options.reserved, "sgt_model_evaluate_options");
        if (status)
            return status;
    }
    sgt_status status =
        sgti_batch_begin(&batch, model, caller, 1, metrics, SGTI_METRICS_MINIMUM, "sgt_metrics");
    if (status)
        return status;
    status = sgti_model_prepare_weights(model);
    if (status)
        return status;
    status = sgti_workspace_take(&workspace, model->shared, &model->context->memory);
    if (status)
        return status;
    status = evaluate(&own, model, workspace, &batch, &options);
    sgti_workspace_give_back(model->shared, workspace);
    if (status == SGT_OK)
        sgti_struct_write(metrics, &own, sizeof own);
    return status;
}
