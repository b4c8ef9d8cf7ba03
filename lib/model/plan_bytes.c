/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A depth plan as bytes, for files and messages between programs. Equal plans have equal bytes.
 * Bytes may come from anybody, so they are checked before anything is allocated for what they
 * claim.
 *
 *     u32 magic, version, n_layers, n_heads
 *     per layer: u32 depth, extra runs; f32 gains [K,H], targets [K,H]
 */
#include "plan_data.h"

#include "../base/bytes.h"
#include "../base/error.h"
#include "../base/float_mode.h"

#define PLAN_MAGIC   UINT32_C(0x50544753) /* "SGTP" */
#define PLAN_VERSION UINT32_C(1)
#define LAYER_BYTES  8 /* what a layer without loops takes: depth and runs */

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
        for (uint64_t j = 0; j < 2 * sgti_gain_count(plan, layer->depth); j++)
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

/* Reads one layer into a plan that has no loops there yet. It allocates only when it has seen that
 * the bytes for it are there. */
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
    /* n_heads is a stranger's number, too: the gains must be there before they are allocated. */
    if (reader->failed || reader->left / sizeof(float) < 2 * sgti_gain_count(plan, depth))
        return sgti_fail(SGT_E_FORMAT, "plan bytes: cut short in layer %d", (int)layer);
    sgt_status status = sgt_plan_set_depth(plan, layer, depth);
    if (status)
        return status;
    to->extra_runs = runs;
    for (uint64_t j = 0; j < 2 * sgti_gain_count(plan, depth); j++) {
        float gain = sgti_get_f32(reader);
        if (!(gain >= 0.0f && gain <= 1.0f))
            return sgti_fail(SGT_E_FORMAT, "plan bytes: layer %d has a gain of %g", (int)layer,
                             (double)gain);
        to->gains[j] = sgti_unsigned_zero(gain);
    }
    return SGT_OK;
}

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

static sgt_status read_layers(sgt_plan *plan, sgti_reader *reader)
{
    sgt_status status = SGT_OK;
    for (int32_t i = 0; status == SGT_OK && i < plan->n_layers; i++)
        status = read_layer(plan, reader, i);
    if (status == SGT_OK && reader->left != 0)
        status = sgti_fail(SGT_E_FORMAT, "plan bytes: %zu bytes too many", reader->left);
    return status;
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
    if (status == SGT_OK)
        status = sgt_plan_create(&made, context, n_layers, n_heads);
    if (status == SGT_OK)
        status = read_layers(made, &reader);
    if (status) {
        sgt_plan_free(made);
        return status;
    }
    *plan = made;
    return SGT_OK;
}
