/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocks: the attention passes of a run one after another, then the feed-forward part; runs one
 * after another. Backward goes through the same list from its end.
 */
#include "../core/tensors.h"
#include "step.h"

static sgt_status attention_passes(const sgti_step *step, const sgti_run *run)
{
    const sgti_pass *passes = &step->layout->passes[run->first_pass];
    for (int32_t k = 0; k < run->n_passes; k++) {
        uint64_t y = k + 1 < run->n_passes ? passes[k + 1].x : run->x_ffn;
        sgt_status status = sgti_attention_forward(step, run, k, y);
        if (status)
            return status;
    }
    return SGT_OK;
}

sgt_status sgti_run_forward(const sgti_step *step, const sgti_run *run)
{
    sgt_status status = attention_passes(step, run);
    return status ? status : sgti_ffn_forward(step, run, &run->y);
}

/* With recompute the activations of the run are made again first, all but its output. */
static sgt_status remake(const sgti_step *step, const sgti_run *run)
{
    sgti_step again = *step;
    again.entropy = SGT_ENTROPY_NONE;
    sgt_status status = attention_passes(&again, run);
    return status ? status : sgti_ffn_forward(&again, run, NULL);
}

sgt_status sgti_run_backward(const sgti_step *step, const sgti_run *run)
{
    sgt_status status = step->config->recompute ? remake(step, run) : SGT_OK;
    if (status)
        return status;
    status = sgti_ffn_backward(step, run);
    for (int32_t k = run->n_passes - 1; k >= 0 && status == SGT_OK; k--)
        status = sgti_attention_pass_backward(step, run, k);
    return status;
}

sgt_status sgti_blocks_forward(const sgti_step *step, int32_t phase)
{
    const sgti_layout *layout = step->layout;
    sgt_buffer *arena = step->workspace->arena.buffer;
    sgt_tensor table = sgti_weight(step->model, step->model->parameters.embedding);
    sgt_tensor ids = sgti_tensor_as(sgti_tensor_1d(arena, layout->ids, layout->tokens), SGT_I32);
    sgt_tensor x = sgti_at(step, layout->passes[0].x, layout->tokens, step->config->d_model);
    sgt_embedding_args args = {.table = &table, .ids = &ids, .out = &x};
    sgt_status status = sgti_embedding(step->dispatch, &args);
    for (int32_t i = 0; i < layout->n_runs && status == SGT_OK; i++) {
        status = sgti_progress(step->model->context, phase, i, layout->n_runs);
        if (status == SGT_OK)
            status = sgti_run_forward(step, &layout->runs[i]);
    }
    return status;
}

sgt_status sgti_blocks_backward(const sgti_step *step)
{
    const sgti_layout *layout = step->layout;
    sgt_buffer *arena = step->workspace->arena.buffer;
    for (int32_t i = layout->n_runs - 1; i >= 0; i--) {
        sgt_status status = sgti_progress(step->model->context, SGT_PHASE_BACKWARD,
                                          layout->n_runs - 1 - i, layout->n_runs);
        if (status == SGT_OK)
            status = sgti_run_backward(step, &layout->runs[i]);
        if (status)
            return status;
    }
    sgt_tensor dtable = sgti_gradient(step->model, step->model->parameters.embedding);
    sgt_tensor ids = sgti_tensor_as(sgti_tensor_1d(arena, layout->ids, layout->tokens), SGT_I32);
    sgt_tensor dx = sgti_at(step, layout->dx, layout->tokens, step->config->d_model);
    sgt_embedding_backward_args args = {
        .scale = 1.0f, .dtable = &dtable, .ids = &ids, .dout = &dx};
    return sgti_embedding_backward(step->dispatch, &args);
}
