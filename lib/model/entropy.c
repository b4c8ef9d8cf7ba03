/* SPDX-License-Identifier: BSD-3-Clause */
#include "entropy.h"

#include <math.h>
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../core/tensors.h"
#include "step.h"

void sgti_entropies_clear(sgti_entropies *entropies)
{
    entropies->collected = SGT_ENTROPY_NONE;
    entropies->batches = 0;
    entropies->unseen = 0;
}

/* Elements of one kind. */
static uint64_t count_of(const sgt_model *model, int32_t max_passes)
{
    return (uint64_t)model->config.n_layers * (uint64_t)max_passes *
           (uint64_t)model->config.n_heads;
}

sgt_status sgti_entropies_reserve(sgt_model *model, int32_t max_passes, int32_t kinds)
{
    sgti_entropies *e = &model->entropies;
    uint64_t wanted = 2 * count_of(model, max_passes);
    void *fresh = NULL;
    if (kinds == SGT_ENTROPY_NONE || wanted <= e->capacity)
        return SGT_OK;
    sgt_status status = sgti_allocate_zeroed(&fresh, &model->context->memory, wanted,
                                             sizeof(double), "the entropies of a step");
    if (status)
        return status;
    if (e->capacity > 0)
        memcpy(fresh, e->last, e->capacity * sizeof(double));
    sgti_entropies_destroy(e, &model->context->memory);
    e->last = fresh;
    e->mean = e->last + count_of(model, e->max_passes);
    e->capacity = wanted;
    return SGT_OK;
}

/* Starts anew when the step was closed or the kinds or the plan changed. */
static void begin(sgt_model *model, int32_t max_passes, int32_t kinds)
{
    sgti_entropies *e = &model->entropies;
    uint64_t count = count_of(model, max_passes);
    if (!model->step_closed && e->collected == kinds && e->max_passes == max_passes &&
        e->batches > 0)
        return;
    sgti_entropies_clear(e);
    e->max_passes = max_passes;
    e->mean = e->last ? e->last + count : NULL;
    for (uint64_t i = 0; kinds != SGT_ENTROPY_NONE && i < 2 * count; i++)
        e->last[i] = NAN;
}

/* Mean over the batch of values [B,h], added to the sums [H] of one pass. */
static void add_pass(double *sums, const double *values, const sgti_step *step,
                     const sgti_pass *pass, int first)
{
    int32_t batch = step->layout->batch;
    for (int32_t i = 0; i < pass->n_heads; i++) {
        double sum = 0.0;
        for (int32_t b = 0; b < batch; b++)
            sum += values[(int64_t)b * pass->n_heads + i];
        double *slot = &sums[step->workspace->running.heads[i]];
        *slot = (first ? 0.0 : *slot) + sum / batch;
    }
}

sgt_status sgti_entropies_add(sgt_model *model, const sgti_step *step)
{
    sgti_entropies *e = &model->entropies;
    const sgti_layout *layout = step->layout;
    double *values = step->workspace->entropies;
    if (step->entropy != SGT_ENTROPY_NONE) {
        sgt_tensor all =
            sgti_tensor_as(sgti_tensor_1d(step->workspace->arena.buffer, layout->entropy,
                                          (int64_t)layout->n_entropies),
                           SGT_F64);
        sgt_status status = sgti_read(step->dispatch, values, &all);
        if (status)
            return status;
    }
    begin(model, layout->max_passes, step->entropy);
    for (int32_t r = 0; step->entropy != SGT_ENTROPY_NONE && r < layout->n_runs; r++) {
        const sgti_run *run = &layout->runs[r];
        for (int32_t k = 0; k < run->n_passes; k++) {
            const sgti_pass *pass = &layout->passes[run->first_pass + k];
            uint64_t place = ((uint64_t)run->layer * (uint64_t)e->max_passes +
                              (uint64_t)(run->first_entropy_pass + k)) *
                             (uint64_t)model->config.n_heads;
            uint64_t count = (uint64_t)layout->batch * (uint64_t)pass->n_heads;
            sgti_list_heads(step, run->layer, k);
            if (step->entropy & SGT_ENTROPY_LAST)
                add_pass(e->last + place, values + pass->entropy, step, pass, e->batches == 0);
            if (step->entropy & SGT_ENTROPY_MEAN)
                add_pass(e->mean + place, values + pass->entropy + count, step, pass,
                         e->batches == 0);
        }
    }
    e->collected = step->entropy;
    e->batches++;
    e->unseen = 1;
    return SGT_OK;
}

static sgt_status sums_of(const double **sums, const sgt_model *model, int32_t kind)
{
    const sgti_entropies *e = &model->entropies;
    if (kind != SGT_ENTROPY_LAST && kind != SGT_ENTROPY_MEAN)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "entropy kind %d is neither last (1) nor mean (2)",
                         (int)kind);
    if (!(e->collected & kind))
        return sgti_fail(SGT_E_STATE, "no %s entropies were collected for this step and plan",
                         kind == SGT_ENTROPY_LAST ? "last" : "mean");
    *sums = kind == SGT_ENTROPY_LAST ? e->last : e->mean;
    return SGT_OK;
}

sgt_status sgti_entropies_copy(double *means, const sgt_model *model, int32_t kind)
{
    const double *sums = NULL;
    sgt_status status = sums_of(&sums, model, kind);
    if (status)
        return status;
    uint64_t count = count_of(model, model->entropies.max_passes);
    for (uint64_t i = 0; i < count; i++)
        means[i] = sums[i] / model->entropies.batches;
    return SGT_OK;
}

void sgti_entropies_destroy(sgti_entropies *entropies, sgti_memory *memory)
{
    sgti_release(memory, entropies->last, entropies->capacity * sizeof(double));
    entropies->last = NULL;
    entropies->mean = NULL;
    entropies->capacity = 0;
}

sgt_status sgt_model_collect_entropy(sgt_model *model, int32_t kinds)
{
    SGTI_DEFAULT_FLOATS;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    if (kinds < SGT_ENTROPY_NONE || kinds > SGT_ENTROPY_BOTH)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "entropy kinds %d, must be 0 to 3", (int)kinds);
    model->entropies.kinds = kinds;
    return SGT_OK;
}

int32_t sgt_model_n_passes(const sgt_model *model, int32_t layer)
{
    if (!model || layer < 0 || layer >= model->config.n_layers)
        return 0;
    const sgti_layer_plan *plan = &model->plan->layers[layer];
    return (1 + plan->extra_runs) * (1 + plan->depth);
}

sgt_status sgt_model_entropies(double *entropies, const sgt_model *model, int32_t layer,
                               int32_t pass, int32_t kind)
{
    SGTI_DEFAULT_FLOATS;
    if (!entropies || !model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", model ? "entropies" : "model");
    if (layer < 0 || layer >= model->config.n_layers)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "layer %d of a model of %d layers", (int)layer,
                         (int)model->config.n_layers);
    if (pass < 0 || pass >= sgt_model_n_passes(model, layer))
        return sgti_fail(SGT_E_OUT_OF_RANGE, "pass %d of layer %d, which has %d", (int)pass,
                         (int)layer, (int)sgt_model_n_passes(model, layer));
    const double *sums = NULL;
    sgt_status status = sums_of(&sums, model, kind);
    if (status)
        return status;
    uint64_t heads = (uint64_t)model->config.n_heads;
    sums += ((uint64_t)layer * (uint64_t)model->entropies.max_passes + (uint64_t)pass) * heads;
    for (uint64_t h = 0; h < heads; h++)
        entropies[h] = sums[h] / model->entropies.batches;
    return SGT_OK;
}
