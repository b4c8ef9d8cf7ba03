/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The depth plan as data: making, editing, comparing, bytes. An edit that fails leaves the plan as
 * it was. Nothing here knows a model.
 */
#include "plan_data.h"

#include <math.h>
#include <string.h>

#include "../base/bytes.h"
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/memory.h"
#include "../core/context.h"

#define PLAN_MAGIC   UINT32_C(0x50544753) /* "SGTP" */
#define PLAN_VERSION UINT32_C(1)
#define LAYER_BYTES  8 /* of a layer without loops: depth, runs */

static uint64_t plan_bytes(int32_t n_layers)
{
    return sizeof(sgt_plan) + (uint64_t)n_layers * sizeof(sgti_layer_plan);
}

/* Gains of all passes of a layer: K*H. */
static uint64_t gain_count(const sgt_plan *plan, int32_t depth)
{
    return (uint64_t)depth * (uint64_t)plan->n_heads;
}

static float *targets_of(const sgt_plan *plan, const sgti_layer_plan *layer)
{
    return layer->gains + gain_count(plan, layer->depth);
}

static void release_gains(sgt_plan *plan, sgti_layer_plan *layer)
{
    uint64_t count = gain_count(plan, layer->depth);
    sgti_release(&plan->context->memory, layer->gains, 2 * count * sizeof(float));
    layer->gains = NULL;
    layer->depth = 0;
}

static sgt_status allocate_gains(float **gains, sgt_plan *plan, int32_t depth)
{
    void *memory = NULL;
    uint64_t count = gain_count(plan, depth);
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
    sgt_status status =
        sgti_allocate_zeroed(&memory, &context->memory, plan_bytes(n_layers), 1, "a depth plan");
    if (status)
        return status;
    sgt_plan *made = memory;
    made->context = sgti_context_ref(context);
    made->n_layers = n_layers;
    made->n_heads = n_heads;
    *plan = made;
    return SGT_OK;
}

/* A copy in a context of choice. */
static sgt_status clone_in(sgt_plan **copy, sgt_context *context, const sgt_plan *plan)
{
    sgt_plan *made = NULL;
    sgt_status status = sgt_plan_create(&made, context, plan->n_layers, plan->n_heads);
    if (status)
        return status;
    for (int32_t i = 0; i < plan->n_layers; i++) {
        const sgti_layer_plan *from = &plan->layers[i];
        sgti_layer_plan *to = &made->layers[i];
        uint64_t count = gain_count(plan, from->depth);
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
    sgti_release(&context->memory, plan, plan_bytes(plan->n_layers));
    sgti_context_unref(context);
}

uint64_t sgti_plan_bytes(const sgt_plan *plan)
{
    uint64_t bytes = plan_bytes(plan->n_layers);
    for (int32_t i = 0; i < plan->n_layers; i++)
        bytes += 2 * gain_count(plan, plan->layers[i].depth) * sizeof(float);
    return bytes;
}

sgt_status sgti_plan_assign(sgt_plan *plan, const sgt_plan *source)
{
    sgt_plan *copy = NULL;
    sgt_status status;
    int same_depths = 1;
    for (int32_t i = 0; i < plan->n_layers; i++)
        same_depths &= plan->layers[i].depth == source->layers[i].depth;
    if (!same_depths) {
        status = clone_in(&copy, plan->context, source);
        if (status)
            return status;
    }
    for (int32_t i = 0; i < plan->n_layers; i++) {
        sgti_layer_plan *to = &plan->layers[i];
        const sgti_layer_plan *from = &source->layers[i];
        if (!same_depths) {
            sgti_layer_plan old = *to;
            *to = copy->layers[i];
            copy->layers[i] = old;
        } else if (from->depth > 0) {
            memmove(to->gains, from->gains, 2 * gain_count(plan, to->depth) * sizeof(float));
        }
        to->extra_runs = from->extra_runs;
    }
    sgt_plan_free(copy);
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
    return found->gains + gain_count(plan, pass - 1);
}

const float *sgt_plan_targets(const sgt_plan *plan, int32_t layer, int32_t pass)
{
    const sgti_layer_plan *found = layer_of(plan, layer);
    if (!found || pass < 1 || pass > found->depth)
        return NULL;
    return targets_of(plan, found) + gain_count(plan, pass - 1);
}

int sgti_plan_same_layer(const sgt_plan *a, const sgt_plan *b, int32_t layer)
{
    const sgti_layer_plan *x = &a->layers[layer];
    const sgti_layer_plan *y = &b->layers[layer];
    if (x->depth != y->depth || x->extra_runs != y->extra_runs)
        return 0;
    for (uint64_t j = 0; j < gain_count(a, x->depth); j++)
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

/* Checks layer and pass of an edit. */
static sgt_status check_place(const sgt_plan *plan, int32_t layer, int32_t pass)
{
    if (!plan)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "plan is NULL");
    if (layer < 0 || layer >= plan->n_layers)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "layer is %d, the plan has %d layers", (int)layer,
                         (int)plan->n_layers);
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
    sgt_status status = check_place(plan, layer, pass);
    if (status == SGT_OK && !row)
        status = sgti_fail(SGT_E_INVALID_ARGUMENT, "%ss is NULL", what);
    for (int32_t h = 0; status == SGT_OK && h < plan->n_heads; h++)
        status = check_gain(what, h, row[h]);
    return status;
}

/* Adding 0 turns -0 into 0, so that equal plans have equal bytes. */
static void store(float *to, const float *from, int32_t count)
{
    for (int32_t h = 0; h < count; h++)
        to[h] = from[h] + 0.0f;
}

sgt_status sgt_plan_set_depth(sgt_plan *plan, int32_t layer, int32_t depth)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status;
    if (!plan)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "plan is NULL");
    if (layer < 0 || layer >= plan->n_layers)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "layer is %d, the plan has %d layers", (int)layer,
                         (int)plan->n_layers);
    if (depth < 0 || depth > SGT_PLAN_MAX_DEPTH)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "depth is %d, not in 0 to %d", (int)depth,
                         SGT_PLAN_MAX_DEPTH);
    sgti_layer_plan *old = &plan->layers[layer];
    if (depth == old->depth)
        return SGT_OK;
    sgti_layer_plan fresh =
        (sgti_layer_plan){.depth = depth, .extra_runs = old->extra_runs, .gains = NULL};
    if (depth > 0) {
        uint64_t kept = gain_count(plan, depth < old->depth ? depth : old->depth);
        status = allocate_gains(&fresh.gains, plan, depth);
        if (status)
            return status;
        for (uint64_t j = 0; j < gain_count(plan, depth); j++) {
            fresh.gains[j] = j < kept ? old->gains[j] : 1.0f;
            targets_of(plan, &fresh)[j] = j < kept ? targets_of(plan, old)[j] : 1.0f;
        }
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
    uint64_t row = gain_count(plan, pass - 1);
    store(found->gains + row, gains, plan->n_heads);
    store(targets_of(plan, found) + row, found->gains + row, plan->n_heads);
    return SGT_OK;
}

sgt_status sgt_plan_set_gain(sgt_plan *plan, int32_t layer, int32_t pass, int32_t head, float gain)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_place(plan, layer, pass);
    if (status == SGT_OK && (head < 0 || head >= plan->n_heads))
        status = sgti_fail(SGT_E_OUT_OF_RANGE, "head is %d, the plan has %d heads", (int)head,
                           (int)plan->n_heads);
    if (status == SGT_OK)
        status = check_gain("gain", head, gain);
    if (status)
        return status;
    sgti_layer_plan *found = &plan->layers[layer];
    uint64_t at = gain_count(plan, pass - 1) + (uint64_t)head;
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
    store(targets_of(plan, &plan->layers[layer]) + gain_count(plan, pass - 1), targets,
          plan->n_heads);
    return SGT_OK;
}

sgt_status sgt_plan_set_extra_runs(sgt_plan *plan, int32_t layer, int32_t runs)
{
    SGTI_DEFAULT_FLOATS;
    if (!plan)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "plan is NULL");
    if (layer < 0 || layer >= plan->n_layers)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "layer is %d, the plan has %d layers", (int)layer,
                         (int)plan->n_layers);
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

/* ---- bytes ---- */

/*
 *     u32 magic, version, n_layers, n_heads
 *     per layer: u32 depth, extra runs; f32 gains [K,H], targets [K,H]
 */
static void write_plan(sgti_writer *writer, const sgt_plan *plan)
{
    sgti_put_u32(writer, PLAN_MAGIC);
    sgti_put_u32(writer, PLAN_VERSION);
    sgti_put_i32(writer, plan->n_layers);
    sgti_put_i32(writer, plan->n_heads);
    for (int32_t i = 0; i < plan->n_layers; i++) {
        const sgti_layer_plan *layer = &plan->layers[i];
        sgti_put_i32(writer, layer->depth);
        sgti_put_i32(writer, layer->extra_runs);
        for (uint64_t j = 0; j < 2 * gain_count(plan, layer->depth); j++)
            sgti_put_f32(writer, layer->gains[j]);
    }
}

sgt_status sgt_plan_save(void *data, size_t *bytes, const sgt_plan *plan)
{
    SGTI_DEFAULT_FLOATS;
    sgti_writer writer = {0};
    if (!bytes || !plan)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !bytes ? "bytes" : "plan");
    write_plan(&writer, plan);
    if (data) {
        if (*bytes < writer.used)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "bytes is %zu, the plan needs %zu", *bytes,
                             (size_t)writer.used);
        writer = (sgti_writer){.data = data, .used = 0};
        write_plan(&writer, plan);
    }
    *bytes = (size_t)writer.used;
    return SGT_OK;
}

/* Reads one layer into an empty one; allocates only once its bytes are known to be there. */
static sgt_status read_layer(sgt_plan *plan, sgti_reader *reader, int32_t layer)
{
    int32_t depth = sgti_get_i32(reader);
    int32_t runs = sgti_get_i32(reader);
    sgti_layer_plan *to = &plan->layers[layer];
    if (depth < 0 || depth > SGT_PLAN_MAX_DEPTH)
        return sgti_fail(SGT_E_FORMAT, "plan bytes: layer %d has depth %d", (int)layer, (int)depth);
    if (runs < 0 || runs > SGT_PLAN_MAX_RUNS)
        return sgti_fail(SGT_E_FORMAT, "plan bytes: layer %d has %d extra runs", (int)layer,
                         (int)runs);
    if (reader->failed || reader->left / sizeof(float) < 2 * gain_count(plan, depth))
        return sgti_fail(SGT_E_FORMAT, "plan bytes: cut short in layer %d", (int)layer);
    sgt_status status = sgt_plan_set_depth(plan, layer, depth);
    if (status)
        return status;
    to->extra_runs = runs;
    for (uint64_t j = 0; j < 2 * gain_count(plan, depth); j++) {
        float gain = sgti_get_f32(reader);
        if (!(gain >= 0.0f && gain <= 1.0f))
            return sgti_fail(SGT_E_FORMAT, "plan bytes: layer %d has a gain of %g", (int)layer,
                             (double)gain);
        store(to->gains + j, &gain, 1);
    }
    return SGT_OK;
}

/* Reads the part before the layers. */
static sgt_status read_header(int32_t *n_layers, int32_t *n_heads, sgti_reader *reader)
{
    uint32_t magic = sgti_get_u32(reader);
    uint32_t version = sgti_get_u32(reader);
    if (reader->failed || magic != PLAN_MAGIC)
        return sgti_fail(SGT_E_FORMAT, "the bytes are no depth plan");
    if (version != PLAN_VERSION)
        return sgti_fail(SGT_E_VERSION, "plan bytes: version %lu is not known",
                         (unsigned long)version);
    *n_layers = sgti_get_i32(reader);
    *n_heads = sgti_get_i32(reader);
    if (reader->failed || *n_layers < 1 || *n_heads < 1)
        return sgti_fail(SGT_E_FORMAT, "plan bytes: no valid shape");
    if ((uint64_t)*n_layers > reader->left / LAYER_BYTES)
        return sgti_fail(SGT_E_FORMAT, "plan bytes: cut short, %d layers do not fit in %zu bytes",
                         (int)*n_layers, reader->left);
    return SGT_OK;
}

sgt_status sgt_plan_load(sgt_plan **plan, sgt_context *context, const void *data, size_t bytes)
{
    SGTI_DEFAULT_FLOATS;
    sgti_reader reader = {.data = data, .left = bytes};
    sgt_plan *made = NULL;
    int32_t n_layers = 0;
    int32_t n_heads = 0;
    if (!plan || !context || !data)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL",
                         !plan      ? "plan"
                         : !context ? "context"
                                    : "data");
    sgt_status status = read_header(&n_layers, &n_heads, &reader);
    if (status)
        goto done;
    status = sgt_plan_create(&made, context, n_layers, n_heads);
    if (status)
        goto done;
    for (int32_t i = 0; i < n_layers; i++) {
        status = read_layer(made, &reader, i);
        if (status)
            goto done;
    }
    if (reader.left != 0) {
        status = sgti_fail(SGT_E_FORMAT, "plan bytes: %zu bytes too many", reader.left);
        goto done;
    }
    *plan = made;
    made = NULL;
done:
    sgt_plan_free(made);
    return status;
}
