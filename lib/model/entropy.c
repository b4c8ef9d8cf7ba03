/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sums over the micro-batches of a step. Attention parts leave entropies for each sequence in the
 * arena; here they become means over the batch, are added up for each layer, pass and head, and are
 * divided by the number of batches when somebody asks.
 */
#include "entropy.h"

#include <math.h>
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../core/tensors.h"
#include "work.h"

void sgti_entropies_clear(sgti_entropies *entropies)
{
    entropies->collected = SGT_ENTROPY_NONE;
    entropies->batches = 0;
    entropies->unseen = 0;
}

/* How many sums of one kind there are. */
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
    if (e->capacity > 0) /* a plan that fails later must leave what was collected */
        memcpy(fresh, e->last, e->capacity * sizeof(double));
    sgti_entropies_destroy(e, &model->context->memory);
    e->last = fresh;
    e->mean = e->last + count_of(model, e->max_passes);
    e->capacity = wanted;
    return SGT_OK;
}

/* Goes on with the sums of this step, or starts new ones: when an optimizer has closed the step, or
 * when kinds or passes are others now, so that old and new sums mean different things. */
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

/* Adds the mean over the batch of values [B,h] to the sums [H] of one pass; the first batch of a
 * step replaces the NaN that says that a head did not run. */
static void add_pass(double *sums, const double *values, int32_t batch, const sgti_pass *pass,
                     int first)
{
    for (int32_t i = 0; i < pass->n_heads; i++) {
        double sum = 0.0;
        for (int32_t b = 0; b < batch; b++)
            sum += values[(int64_t)b * pass->n_heads + i];
        double *slot = &sums[pass->heads[i]];
        *slot = (first ? 0.0 : *slot) + sum / batch;
    }
}

/* Adds what one attention part left in `values`, at the sums of its layer and pass. */
static void add_part(sgti_entropies *e, const sgt_model *model, const double *values,
                     const sgti_shape *shape, const sgti_part *part, int32_t kinds)
{
    uint64_t place = ((uint64_t)part->layer * (uint64_t)e->max_passes +
                      (uint64_t)part->entropy_pass) * (uint64_t)model->config.n_heads;
    uint64_t count = (uint64_t)shape->batch * (uint64_t)part->pass->n_heads;
    values += part->entropy;
    if (kinds & SGT_ENTROPY_LAST)
        add_pass(e->last + place, values, shape->batch, part->pass, e->batches == 0);
    if (kinds & SGT_ENTROPY_MEAN)
        add_pass(e->mean + place, values + count, shape->batch, part->pass, e->batches == 0);
}

sgt_status sgti_entropies_add(sgt_model *model, const sgti_work *work, double *values)
{
    sgti_entropies *e = &model->entropies;
    const sgti_layout *layout = work->layout;
    const sgti_passes *passes = layout->shape.passes;
    int32_t kinds = work->entropy;
    if (kinds != SGT_ENTROPY_NONE) {
        sgt_tensor all = sgti_tensor_flat(sgti_at(work, &layout->entropy));
        sgt_status status = sgti_read(work->dispatch, values, &all);
        if (status)
            return status;
    }
    begin(model, passes->most_passes, kinds);
    for (int32_t i = 0; kinds != SGT_ENTROPY_NONE && i < layout->n_parts; i++)
        if (layout->parts[i].pass)
            add_part(e, model, values, &layout->shape, &layout->parts[i], kinds);
    e->collected = kinds;
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

void sgti_entropies_mark_seen(sgti_entropies *entropies)
{
    entropies->unseen = 0;
}

int sgti_entropies_unseen(sgti_entropy_record *record, const sgt_model *model)
{
    const sgti_entropies *e = &model->entropies;
    if (!e->unseen || e->batches == 0)
        return 0;
    *record = (sgti_entropy_record){
        .kinds = e->collected, .batches = e->batches, .max_passes = e->max_passes};
    if (e->collected != SGT_ENTROPY_NONE) {
        record->count = count_of(model, e->max_passes);
        record->last = e->last;
    }
    return 1;
}

void sgti_entropies_restore(sgt_model *model, sgti_entropy_record *record)
{
    sgti_entropies *e = &model->entropies;
    sgti_entropies_clear(e);
    if (2 * record->count > e->capacity) {
        sgti_entropies_destroy(e, &model->context->memory);
        e->last = record->last;
        e->capacity = 2 * record->count;
        record->last = NULL;
    } else if (record->count > 0) {
        memcpy(e->last, record->last, 2 * (size_t)record->count * sizeof(double));
    }
    if (record->count > 0)
        e->mean = e->last + record->count;
    e->collected = record->kinds;
    e->batches = record->batches;
    e->max_passes = record->max_passes;
    e->unseen = 1;
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
    const sgti_layer_passes *passes = &model->passes->layers[layer];
    return passes->n_runs * passes->n_passes;
}

sgt_status sgt_model_get_entropies(double *entropies, const sgt_model *model, int32_t layer,
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
