/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs all parts of a forward one after another; backward goes through the same list from its end.
 * Between the runs of blocks the host's progress callback may stop either.
 */
#include "../core/tensors.h"
#include "work.h"

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

sgt_status sgti_blocks_forward(const sgti_work *work)
{
    int32_t n_runs = work->layout->n_runs;
    sgt_tensor table = sgti_weight(work->model, work->model->parameters.embedding);
    sgt_tensor ids = sgti_tensor_flat(sgti_at(work, &work->layout->ids));
    sgt_tensor x = sgti_at(work, &work->layout->parts[0].x);
    sgt_embedding_args args = {.table = &table, .ids = &ids, .out = &x};
    sgt_status status = sgti_embedding(work->dispatch, &args);
    for (int32_t i = 0; i < n_runs && status == SGT_OK; i++) {
        status = report(work, i);
        if (status == SGT_OK)
            status = run_forward(work, &work->layout->runs[i]);
    }
    return status;
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

/* Tells that the gradients of these elements are complete. A layer that runs several times is
 * complete after its first run, which backward reaches last. */
static void announce(const sgt_model *model, uint64_t first, uint64_t end)
{
    if (model->gradients_ready)
        model->gradients_ready(model->ready_user, first, end - first);
}

sgt_status sgti_blocks_backward(const sgti_work *work)
{
    const sgt_model *model = work->model;
    int32_t n_runs = work->layout->n_runs;
    /* The head has added its gradients before the blocks begin. */
    announce(model, first_element(model, model->config.n_layers), model->parameters.elements);
    for (int32_t i = n_runs - 1; i >= 0; i--) {
        const sgti_run *run = &work->layout->runs[i];
        sgt_status status = report(work, n_runs - 1 - i);
        if (status == SGT_OK)
            status = run_backward(work, run);
        if (status)
            return status;
        if (i == 0 || run[-1].layer != run->layer)
            announce(model, first_element(model, run->layer), first_element(model, run->layer + 1));
    }
    sgt_tensor dtable = sgti_gradient(work->model, work->model->parameters.embedding);
    sgt_tensor ids = sgti_tensor_flat(sgti_at(work, &work->layout->ids));
    sgt_tensor dx = sgti_at(work, &work->layout->dx);
    sgt_embedding_backward_args args = {
        .scale = 1.0f, .dtable = &dtable, .ids = &ids, .dout = &dx};
    sgt_status status = sgti_embedding_backward(work->dispatch, &args);
    if (status == SGT_OK)
        announce(model, 0, first_element(model, 0));
    return status;
}
