/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The depth plan as data: making, reading, comparing, editing. An edit that fails leaves the plan
 * as it was. Nothing here knows a model.
 */
#include "plan_data.h"

#include <math.h>
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/memory.h"
#include "../core/context.h"

uint64_t sgti_plan_memory(int32_t n_layers, const sgt_plan *plan)
{
    uint64_t bytes = sizeof *plan + (uint64_t)n_layers * sizeof plan->layers[0];
    for (int32_t i = 0; plan && i < n_layers; i++)
        bytes += 2 * sgti_gain_count(plan, plan->layers[i].depth) * sizeof(float);
    return bytes;
}

static float *targets_of(const sgt_plan *plan, const sgti_layer_plan *layer)
{
    return layer->gains + sgti_gain_count(plan, layer->depth);
}

static void release_gains(sgt_plan *plan, sgti_layer_plan *layer)
{
    uint64_t count = sgti_gain_count(plan, layer->depth);
    sgti_release(&plan->context->memory, layer->gains, 2 * count * sizeof(float));
    layer->gains = NULL;
    layer->depth = 0;
}

static sgt_status allocate_gains(float **gains, sgt_plan *plan, int32_t depth)
{
    void *memory = NULL;
    uint64_t count = sgti_gain_count(plan, depth);
    sgt_status status = sgti_allocate_zeroed(&memory, &plan->context->memory, 2 * count,
                                             sizeof(float), "the gains of a depth plan");
    if (status == SGT_OK)
        *gains = memory;
    return status;
}

/* ---- making ---- */

sgt_status sgt_plan_create(sgt_plan **plan, sgt_context *context, int32_t n_layers, int32_t n_heads)
{
    SGTI_DEFAULT_FLOATS;
    void *memory = NULL;
    if (!plan || !context)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !plan ? "plan" : "context");
    if (n_layers < 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "n_layers is %d, not at least 1", (int)n_layers);
    if (n_heads < 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "n_heads is %d, not at least 1", (int)n_heads);
    sgt_status status = sgti_allocate_zeroed(&memory, &context->memory,
                                             sgti_plan_memory(n_layers, NULL), 1, "a depth plan");
    if (status)
        return status;
    sgt_plan *made = memory;
    made->context = sgti_context_ref(context);
    made->n_layers = n_layers;
    made->n_heads = n_heads;
    *plan = made;
    return SGT_OK;
}

/* Copies a plan into another context, or the same. */
static sgt_status clone_in(sgt_plan **copy, sgt_context *context, const sgt_plan *plan)
{
    sgt_plan *made = NULL;
    sgt_status status = sgt_plan_create(&made, context, plan->n_layers, plan->n_heads);
    if (status)
        return status;
    for (int32_t i = 0; i < plan->n_layers; i++) {
        const sgti_layer_plan *from = &plan->layers[i];
        sgti_layer_plan *to = &made->layers[i];
        uint64_t count = sgti_gain_count(plan, from->depth);
        to->extra_runs = from->extra_runs;
        if (from->depth == 0)
            continue;
        status = allocate_gains(&to->gains, made, from->depth);
        if (status) {
            sgt_plan_free(made);
            return status;
        }
        to->depth = from->depth;
        memcpy(to->gains, from->gains, 2 * count * sizeof(float));
    }
    *copy = made;
    return SGT_OK;
}

sgt_status sgt_plan_clone(sgt_plan **copy, const sgt_plan *plan)
{
    SGTI_DEFAULT_FLOATS;
    if (!copy || !plan)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !copy ? "copy" : "plan");
    return clone_in(copy, plan->context, plan);
}

void sgt_plan_free(sgt_plan *plan)
{
    if (!plan)
        return;
    sgt_context *context = plan->context;
    for (int32_t i = 0; i < plan->n_layers; i++)
        release_gains(plan, &plan->layers[i]);
    sgti_release(&context->memory, plan, sgti_plan_memory(plan->n_layers, NULL));
    sgti_context_unref(context);
}

static int has_depths_of(const sgt_plan *plan, const sgt_plan *other)
{
    for (int32_t i = 0; i < plan->n_layers; i++) {
        if (plan->layers[i].depth != other->layers[i].depth)
            return 0;
    }
    return 1;
}

/* Makes the plan a copy of `source`, with new memory for the gains of each layer. */
static sgt_status take_copy(sgt_plan *plan, const sgt_plan *source)
{
    sgt_plan *copy = NULL;
    sgt_status status = clone_in(&copy, plan->context, source);
    if (status)
        return status;
    for (int32_t i = 0; i < plan->n_layers; i++) {
        sgti_layer_plan old = plan->layers[i];
        plan->layers[i] = copy->layers[i];
        copy->layers[i] = old;
    }
    sgt_plan_free(copy);
    return SGT_OK;
}

sgt_status sgti_plan_assign(sgt_plan *plan, const sgt_plan *source)
{
    if (!has_depths_of(plan, source))
        return take_copy(plan, source);
    for (int32_t i = 0; i < plan->n_layers; i++) {
        sgti_layer_plan *to = &plan->layers[i];
        const sgti_layer_plan *from = &source->layers[i];
        to->extra_runs = from->extra_runs;
        if (from->depth > 0)
            memmove(to->gains, from->gains, 2 * sgti_gain_count(plan, to->depth) * sizeof(float));
    }
    return SGT_OK;
}

/* ---- reading ---- */

static const sgti_layer_plan *layer_of(const sgt_plan *plan, int32_t layer)
{
    return plan && layer >= 0 && layer < plan->n_layers ? &plan->layers[layer] : NULL;
}

int32_t sgt_plan_n_layers(const sgt_plan *plan)
{
    return plan ? plan->n_layers : 0;
}

int32_t sgt_plan_n_heads(const sgt_plan *plan)
{
    return plan ? plan->n_heads : 0;
}

int32_t sgt_plan_depth(const sgt_plan *plan, int32_t layer)
{
    const sgti_layer_plan *found = layer_of(plan, layer);
    return found ? found->depth : 0;
}

int32_t sgt_plan_extra_runs(const sgt_plan *plan, int32_t layer)
{
    const sgti_layer_plan *found = layer_of(plan, layer);
    return found ? found->extra_runs : 0;
}

const float *sgt_plan_gains(const sgt_plan *plan, int32_t layer, int32_t pass)
{
    const sgti_layer_plan *found = layer_of(plan, layer);
    if (!found || pass < 1 || pass > found->depth)
        return NULL;
    return found->gains + sgti_gain_count(plan, pass - 1);
}

const float *sgt_plan_targets(const sgt_plan *plan, int32_t layer, int32_t pass)
{
    const sgti_layer_plan *found = layer_of(plan, layer);
    if (!found || pass < 1 || pass > found->depth)
        return NULL;
    return targets_of(plan, found) + sgti_gain_count(plan, pass - 1);
}

int sgti_plan_same_layer(const sgt_plan *a, const sgt_plan *b, int32_t layer)
{
    const sgti_layer_plan *x = &a->layers[layer];
    const sgti_layer_plan *y = &b->layers[layer];
    if (x->depth != y->depth || x->extra_runs != y->extra_runs)
        return 0;
    for (uint64_t j = 0; j < sgti_gain_count(a, x->depth); j++)
        if (x->gains[j] != y->gains[j])
            return 0;
    return 1;
}

int32_t sgt_plan_equal(const sgt_plan *a, const sgt_plan *b)
{
    SGTI_DEFAULT_FLOATS;
    if (!a || !b || a->n_layers != b->n_layers || a->n_heads != b->n_heads)
        return 0;
    for (int32_t i = 0; i < a->n_layers; i++)
        if (!sgti_plan_same_layer(a, b, i))
            return 0;
    return 1;
}

/* ---- editing ---- */

static sgt_status check_layer(const sgt_plan *plan, int32_t layer)
{
    if (!plan)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "plan is NULL");
    if (layer < 0 || layer >= plan->n_layers)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "layer is %d, the plan has %d layers", (int)layer,
                         (int)plan->n_layers);
    return SGT_OK;
}

static sgt_status check_pass(const sgt_plan *plan, int32_t layer, int32_t pass)
{
    sgt_status status = check_layer(plan, layer);
    if (status)
        return status;
    if (pass < 1 || pass > plan->layers[layer].depth)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "pass is %d, layer %d has %d extra passes", (int)pass,
                         (int)layer, (int)plan->layers[layer].depth);
    return SGT_OK;
}

static sgt_status check_gain(const char *what, int32_t head, float gain)
{
    if (isnan(gain))
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "the %s of head %d is NaN", what, (int)head);
    if (gain < 0.0f || gain > 1.0f)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "the %s of head %d is %g, not in [0,1]", what,
                         (int)head, (double)gain);
    return SGT_OK;
}

static sgt_status check_row(const sgt_plan *plan, int32_t layer, int32_t pass, const char *what,
                            const float *row)
{
    sgt_status status = check_pass(plan, layer, pass);
    if (status == SGT_OK && !row)
        status = sgti_fail(SGT_E_INVALID_ARGUMENT, "%ss is NULL", what);
    for (int32_t h = 0; status == SGT_OK && h < plan->n_heads; h++)
        status = check_gain(what, h, row[h]);
    return status;
}

static void store(float *to, const float *from, int32_t count)
{
    for (int32_t h = 0; h < count; h++)
        to[h] = sgti_unsigned_zero(from[h]);
}

/* Passes that the layer already had keep their gains and targets; those of new passes are 1. */
static void fill_gains(sgti_layer_plan *fresh, const sgt_plan *plan, const sgti_layer_plan *old)
{
    int32_t common = fresh->depth < old->depth ? fresh->depth : old->depth;
    uint64_t kept = sgti_gain_count(plan, common);
    for (uint64_t i = 0; i < sgti_gain_count(plan, fresh->depth); i++) {
        fresh->gains[i] = i < kept ? old->gains[i] : 1.0f;
        targets_of(plan, fresh)[i] = i < kept ? targets_of(plan, old)[i] : 1.0f;
    }
}

sgt_status sgt_plan_set_depth(sgt_plan *plan, int32_t layer, int32_t depth)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_layer(plan, layer);
    if (status)
        return status;
    if (depth < 0 || depth > SGT_PLAN_MAX_DEPTH)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "depth is %d, not in 0 to %d", (int)depth,
                         SGT_PLAN_MAX_DEPTH);
    sgti_layer_plan *old = &plan->layers[layer];
    if (depth == old->depth)
        return SGT_OK;
    sgti_layer_plan fresh = {.depth = depth, .extra_runs = old->extra_runs};
    if (depth > 0) {
        status = allocate_gains(&fresh.gains, plan, depth);
        if (status)
            return status;
        fill_gains(&fresh, plan, old);
    }
    release_gains(plan, old);
    *old = fresh;
    return SGT_OK;
}

sgt_status sgt_plan_set_gains(sgt_plan *plan, int32_t layer, int32_t pass, const float *gains)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_row(plan, layer, pass, "gain", gains);
    if (status)
        return status;
    sgti_layer_plan *found = &plan->layers[layer];
    uint64_t row = sgti_gain_count(plan, pass - 1);
    store(found->gains + row, gains, plan->n_heads);
    store(targets_of(plan, found) + row, found->gains + row, plan->n_heads);
    return SGT_OK;
}

sgt_status sgt_plan_set_gain(sgt_plan *plan, int32_t layer, int32_t pass, int32_t head, float gain)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_pass(plan, layer, pass);
    if (status == SGT_OK && (head < 0 || head >= plan->n_heads))
        status = sgti_fail(SGT_E_OUT_OF_RANGE, "head is %d, the plan has %d heads", (int)head,
                           (int)plan->n_heads);
    if (status == SGT_OK)
        status = check_gain("gain", head, gain);
    if (status)
        return status;
    sgti_layer_plan *found = &plan->layers[layer];
    uint64_t at = sgti_gain_count(plan, pass - 1) + (uint64_t)head;
    store(found->gains + at, &gain, 1);
    store(targets_of(plan, found) + at, &gain, 1);
    return SGT_OK;
}

sgt_status sgt_plan_set_targets(sgt_plan *plan, int32_t layer, int32_t pass, const float *targets)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_row(plan, layer, pass, "target", targets);
    if (status)
        return status;
    store(targets_of(plan, &plan->layers[layer]) + sgti_gain_count(plan, pass - 1), targets,
          plan->n_heads);
    return SGT_OK;
}

sgt_status sgt_plan_set_extra_runs(sgt_plan *plan, int32_t layer, int32_t runs)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_layer(plan, layer);
    if (status)
        return status;
    if (runs < 0 || runs > SGT_PLAN_MAX_RUNS)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "runs is %d, not in 0 to %d", (int)runs,
                         SGT_PLAN_MAX_RUNS);
    plan->layers[layer].extra_runs = runs;
    return SGT_OK;
}

sgt_status sgti_plan_check(const sgt_plan *plan, int32_t n_layers, int32_t n_heads)
{
    sgt_status status = SGT_OK;
    if (!plan)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "plan is NULL");
    if (plan->n_layers != n_layers || plan->n_heads != n_heads)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "the plan is for %d layers of %d heads, not for %d layers of %d heads",
                         (int)plan->n_layers, (int)plan->n_heads, (int)n_layers, (int)n_heads);
    for (int32_t i = 0; i < n_layers; i++) {
        for (int32_t k = 1; status == SGT_OK && k <= plan->layers[i].depth; k++)
            status = check_row(plan, i, k, "gain", sgt_plan_gains(plan, i, k));
    }
    return status;
}
