/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs all parts of a forward one after another; backward goes through the same list from its end.
 * Between the runs of blocks the host's progress callback may stop either.
 */
#include "streams.h"

static sgt_status run_forward(const sgti_work *work, const sgti_run *run)
{
    sgt_status status = SGT_OK;
    for (int32_t i = 0; i < run->n_parts && status == SGT_OK; i++) {
        const sgti_part *part = &work->layout->parts[run->first_part + i];
        status = part->kind->forward(work, part);
    }
    return status;
}

/* Under recompute the activations of a run were not kept: the run's parts make them again before
 * its backward. Its output is not needed, and entropies were collected the first time. */
static sgt_status remake(const sgti_work *work, const sgti_run *run)
{
    sgti_work again = *work;
    again.entropy = SGT_ENTROPY_NONE;
    again.remake = 1;
    return run_forward(&again, run);
}

static sgt_status run_backward(const sgti_work *work, const sgti_run *run)
{
    sgt_status status = work->layout->shape.recompute ? remake(work, run) : SGT_OK;
    for (int32_t i = run->n_parts - 1; i >= 0 && status == SGT_OK; i--) {
        const sgti_part *part = &work->layout->parts[run->first_part + i];
        status = part->kind->backward(work, part);
    }
    return status;
}

static sgt_status report(const sgti_work *work, int64_t runs)
{
    return sgti_progress(work->model->context, work->phase, work->progress_done + runs,
                         work->progress_total);
}

static sgt_status layer_forward(const sgti_work *work, int32_t layer)
{
    const sgti_layer_place *place = &work->layout->layers[layer];
    sgt_status status = SGT_OK;
    for (int32_t i = 0; i < place->n_runs && status == SGT_OK; i++) {
        status = report(work, place->first_run + i);
        if (status == SGT_OK)
            status = run_forward(work, &work->layout->runs[place->first_run + i]);
    }
    return status ? status : sgti_streams_mix(work, layer);
}

sgt_status sgti_blocks_forward(const sgti_work *work)
{
    sgt_status status = sgti_streams_begin(work);
    for (int32_t layer = 0; layer < work->config->n_layers && status == SGT_OK; layer++)
        status = layer_forward(work, layer);
    return status ? status : sgti_streams_end(work);
}

/* Where a layer's weights begin in the buffer; for layer n_layers, where those of the last one end:
 * the final norm and the head come there. */
static uint64_t first_element(const sgt_model *model, int32_t layer)
{
    const sgti_parameters *p = &model->parameters;
    int32_t index = layer < model->config.n_layers ? p->layers[layer].parameter[SGTI_ATTENTION]
                                                   : p->final_norm;
    return p->list[index].offset;
}

/* Tells that the gradients of these elements are complete. */
static void announce(const sgt_model *model, uint64_t first, uint64_t end)
{
    if (model->gradients_ready)
        model->gradients_ready(model->ready_user, first, end - first);
}

static sgt_status layer_backward(const sgti_work *work, int32_t layer)
{
    const sgti_layer_place *place = &work->layout->layers[layer];
    sgt_status status = sgti_streams_mix_backward(work, layer);
    for (int32_t i = place->n_runs - 1; i >= 0 && status == SGT_OK; i--) {
        const int32_t run = place->first_run + i;
        status = report(work, work->layout->n_runs - 1 - run);
        if (status == SGT_OK)
            status = run_backward(work, &work->layout->runs[run]);
    }
    return status ? status : sgti_streams_finish_backward(work, layer);
}

sgt_status sgti_blocks_backward(const sgti_work *work)
{
    const sgt_model *model = work->model;
    /* The head has added its gradients before the blocks begin. */
    announce(model, first_element(model, model->config.n_layers), model->parameters.elements);
    sgt_status status = sgti_streams_end_backward(work);
    for (int32_t layer = model->config.n_layers - 1; layer >= 0 && status == SGT_OK; layer--) {
        status = layer_backward(work, layer);
        if (status == SGT_OK)
            announce(model, first_element(model, layer), first_element(model, layer + 1));
    }
    if (status == SGT_OK)
        status = sgti_streams_begin_backward(work);
    if (status == SGT_OK)
        announce(model, 0, first_element(model, 0));
    return status;
}
