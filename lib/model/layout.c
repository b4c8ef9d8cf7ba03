/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walks through a forward without running it: each part takes its regions from the arenas in the
 * order in which it will run. The same walk measures a layout and fills it. Nothing here depends on
 * values, so that a layout can be made, and its memory known, before anything runs.
 */
#include "layout.h"

#include <sgt/sys/backend.h>

#include "../base/checked.h"
#include "../base/error.h"
#include "../base/integers.h"
#include "../core/tensors.h"
#include "config.h"
#include "logits.h"
#include "parts/blocks.h"

/* Unless the backend wishes something else, logits are made for so many rows at a time that they
 * take about this many bytes: enough for the products of a processor to run at full speed, and
 * little beside the activations. */
#define CHUNK_BYTES    ((uint64_t)64 << 20)
#define CHUNK_MULTIPLE 64

/* A layout being made. */
typedef struct planner {
    sgti_layout *layout;
    sgti_regions regions;
    sgti_region x;  /* the stream as the last part leaves it */
    const sgti_region *y; /* where the layer shall leave it; NULL: anywhere */
    uint64_t scratch_mark; /* scratch below it, dx, lives through the whole step */
} planner;

static sgti_region take_stream(planner *p)
{
    return sgti_take(&p->regions, SGTI_KEPT, 0, p->regions.shape->config->d_model, SGT_F32);
}

/* Places one part of a run. *y is where it shall leave the stream; NULL: in a fresh region. Scratch
 * of the part before is over, so this part's begins at the same mark. */
static void place_part(planner *p, sgti_part *part, const sgti_region *y)
{
    sgti_regions *regions = &p->regions;
    sgti_arena_reset(&regions->arenas[SGTI_SCRATCH], p->scratch_mark);
    part->index = p->layout->n_parts;
    part->x = p->x;
    for (int32_t i = 0; i < part->kind->n_derived && regions->shape->mode != SGTI_DECODE; i++) {
        const sgti_derived matrix =
            part->kind->derived(regions->shape->config, part->layer, part->pass, i);
        part->derived[i] = sgti_take_scratch(regions, matrix.rows, matrix.columns);
    }
    part->kind->place(part, regions);
    part->y = y ? *y : take_stream(p);
    if (part->pass && sgti_is_training(regions->shape)) {
        part->entropy = p->layout->n_entropies;
        p->layout->n_entropies +=
            2 * (uint64_t)regions->shape->batch * (uint64_t)part->pass->n_heads;
    }
    p->x = part->y;
    if (p->layout->parts)
        p->layout->parts[part->index] = *part;
    p->layout->n_parts++;
}

/* How many runs a layer has and passes each of them. */
static void count_passes(int32_t *n_runs, int32_t *n_passes, const sgti_shape *shape, int32_t layer)
{
    sgti_count_passes(n_runs, n_passes, shape->plan, layer);
    if (!shape->passes)
        return;
    *n_runs = shape->passes->layers[layer].n_runs;
    *n_passes = shape->passes->layers[layer].n_passes;
}

/* Places the attention part of one pass. While only measuring there may be no unrolled passes; then
 * the pass is counted here, and nothing keeps a pointer to it. */
static void place_pass(planner *p, sgti_part *part, int32_t number, const sgti_region *y)
{
    const sgti_shape *shape = p->regions.shape;
    sgti_pass counted;
    if (!shape->passes)
        counted = sgti_count_pass(shape->config, shape->plan, part->layer, number);
    part->pass = shape->passes ? &shape->passes->layers[part->layer].passes[number] : &counted;
    place_part(p, part, y);
}

/* Places one run of a layer; layout.h has a picture. `inner` is where the parts but the last leave
 * the stream, and `last` where that one does; NULL means a fresh region each time. */
static void place_run(planner *p, int32_t layer, int32_t run, int32_t n_passes, int is_last)
{
    const sgti_shape *shape = p->regions.shape;
    const sgti_block block = sgti_block_of(shape->config, layer);
    sgti_arena *kept = &p->regions.arenas[SGTI_KEPT];
    const int training = sgti_is_training(shape);
    sgti_region in_place = p->y ? *p->y : p->x, end;
    const sgti_region *inner = training ? NULL : &in_place, *last = inner;
    if (training && is_last)
        last = p->y;
    if (shape->recompute && !last) {
        /* The output of the run is kept. What is made again for its backward lies above it, where
         * later runs put their outputs. This does no harm: in forward those are made after this
         * run, and in backward they are no longer needed when this run is made again. */
        end = take_stream(p);
        last = &end;
    }
    uint64_t mark = sgti_arena_mark(kept);
    int32_t first_part = p->layout->n_parts;
    for (int32_t k = 0; k < n_passes; k++) {
        sgti_part part = {.kind = block.parts[SGTI_ATTENTION],
                          .layer = layer,
                          .run = run,
                          .entropy_pass = run * n_passes + k};
        place_pass(p, &part, k, inner);
    }
    sgti_part part = {
        .kind = block.parts[SGTI_FEED_FORWARD], .layer = layer, .run = run};
    place_part(p, &part, last);
    if (shape->recompute)
        sgti_arena_reset(kept, mark);
    if (p->layout->runs)
        p->layout->runs[p->layout->n_runs] =
            (sgti_run){.layer = layer, .first_part = first_part, .n_parts = n_passes + 1};
    p->layout->n_runs++;
}

sgti_region sgti_plane(const sgti_planes *planes, int32_t k)
{
    sgti_region plane = planes->first;
    plane.offset += (uint64_t)k * planes->step;
    return plane;
}

static sgti_planes take_planes(planner *p, sgti_arena_kind arena, int32_t count)
{
    const int64_t d = p->regions.shape->config->d_model;
    sgti_planes planes = {.first = sgti_take(&p->regions, arena, 0, d, SGT_F32)};
    planes.step = p->regions.arenas[arena].used - planes.first.offset;
    for (int32_t k = 1; k < count; k++)
        sgti_take(&p->regions, arena, 0, d, SGT_F32);
    return planes;
}

/* Places the runs of a layer, which find their streams in `in`. */
static void place_layer(planner *p, int32_t layer, const sgti_planes *in, const sgti_planes *out)
{
    const sgti_shape *shape = p->regions.shape;
    const int32_t k = shape->config->altup_streams;
    sgti_layer_place place = {.first_run = p->layout->n_runs, .in = *in, .out = *out};
    int32_t n_passes;
    if (shape->config->altup_order == SGT_ALTUP_ALTERNATE)
        place.active = layer % k;
    const sgti_region y = sgti_plane(in, k);
    p->x = sgti_plane(in, place.active);
    p->y = k > 1 ? &y : NULL;
    count_passes(&place.n_runs, &n_passes, shape, layer);
    for (int32_t run = 0; run < place.n_runs; run++)
        place_run(p, layer, run, n_passes, run == place.n_runs - 1);
    p->y = NULL;
    if (p->layout->layers)
        p->layout->layers[layer] = place;
}

/* Takes what streams are mixed with, which is over when a part runs or the head. In training so are
 * the streams behind the last layer. */
static void place_streams(planner *p)
{
    const int64_t k = p->regions.shape->config->altup_streams;
    sgti_streams_place *place = &p->layout->streams;
    sgti_regions *regions = &p->regions;
    place->weights = sgti_take_scratch(regions, k, k + 1);
    place->ones = sgti_take_scratch(regions, 1, SGTI_STREAM_SUMS);
    for (int i = 0; i < 2 && sgti_is_training(regions->shape); i++)
        place->products[i] = sgti_take_scratch(regions, 0, k * (k + 1));
}

/* In training every layer has streams of its own; otherwise two sets serve in turn. */
static void place_blocks(planner *p)
{
    const sgti_shape *shape = p->regions.shape;
    const int32_t n_layers = shape->config->n_layers, k = shape->config->altup_streams;
    const int many = k > 1, training = sgti_is_training(shape);
    sgti_planes in = take_planes(p, SGTI_KEPT, k + many), other = {0};
    if (many) {
        place_streams(p);
        other = take_planes(p, training ? SGTI_SCRATCH : SGTI_KEPT, k + 1);
    }
    for (int32_t layer = 0; layer < n_layers; layer++) {
        sgti_planes out = other;
        if (many && training && layer + 1 < n_layers)
            out = take_planes(p, SGTI_KEPT, k + 1);
        place_layer(p, layer, &in, &out);
        if (!training)
            other = in;
        in = many ? out : (sgti_planes){.first = p->x};
    }
    /* What follows lies above what the runs share under recompute. */
    sgti_arena *kept = &p->regions.arenas[SGTI_KEPT];
    sgti_arena_reset(kept, kept->peak);
}

static void place_batch(planner *p)
{
    sgti_layout *layout = p->layout;
    layout->ids = sgti_take(&p->regions, SGTI_KEPT, 0, 1, SGT_I32);
    layout->targets = sgti_take(&p->regions, SGTI_KEPT, 0, 1, SGT_I32);
    layout->losses = sgti_take(&p->regions, SGTI_KEPT, 0, 1, SGT_F32);
    layout->entropy =
        sgti_take(&p->regions, SGTI_KEPT, 1, (int64_t)layout->n_entropies, SGT_F64);
}

/* R, how many rows of logits are made at a time; all of them when the host is shown the logits. */
static int64_t chunk_rows(const sgti_shape *shape)
{
    uint64_t wanted = shape->logits_bytes ? shape->logits_bytes : CHUNK_BYTES;
    int64_t elements = (int64_t)(wanted / sizeof(float));
    int64_t rows = elements / shape->config->vocab_size / CHUNK_MULTIPLE * CHUNK_MULTIPLE;
    if (shape->mode == SGTI_TRAIN_LOGITS)
        return shape->rows;
    return sgti_min_i64(rows > CHUNK_MULTIPLE ? rows : CHUNK_MULTIPLE, shape->rows);
}

/* Places what the head works in. Logits that a host will be shown are kept; others are scratch. */
static void place_head(planner *p)
{
    const sgti_shape *shape = p->regions.shape;
    int64_t d = sgti_table_width(shape->config), v = shape->config->vocab_size;
    int64_t rows = chunk_rows(shape);
    sgti_regions *regions = &p->regions;
    sgti_head_place *head = &p->layout->head;
    sgti_arena_reset(&regions->arenas[SGTI_SCRATCH], p->scratch_mark);
    head->x = shape->config->altup_streams == 1 ? p->x
                                                : sgti_take(regions, SGTI_KEPT, 0, d, SGT_F32);
    head->chunk_rows = rows;
    head->h = sgti_take_scratch(regions, rows, d);
    if (shape->mode == SGTI_TRAIN_LOGITS)
        head->logits = sgti_take(regions, SGTI_KEPT, rows, v, SGT_F32);
    else
        head->logits = sgti_take_scratch(regions, rows, v);
    sgti_logits_place(head, regions);
    if (!sgti_is_training(shape))
        return;
    head->d_final = sgti_take(regions, SGTI_KEPT, 0, d, SGT_F32);
    head->norm_scratch = sgti_take_scratch(regions, SGT_RMSNORM_PARTS, d);
    head->dx = d == shape->config->d_model ? p->layout->dx : sgti_take_scratch(regions, 0, d);
}

/* Puts the arenas behind each other, now that their sizes are known; returns 1 when they fit. */
static int stack_arenas(sgti_layout *layout, const sgti_regions *regions)
{
    int fits = 1;
    uint64_t bytes = 0;
    for (int i = 0; i < SGTI_ARENAS; i++) {
        layout->base[i] = bytes;
        fits = fits && !regions->arenas[i].overflow &&
               sgti_add_u64(&bytes, bytes, regions->arenas[i].peak);
    }
    layout->bytes = bytes;
    return fits;
}

/* The gradients that live through the whole backward. */
static void place_gradients(planner *p)
{
    const int32_t k = p->regions.shape->config->altup_streams;
    sgti_planes *d_streams = p->layout->streams.d_streams;
    p->layout->dx = sgti_take_scratch(&p->regions, 0, p->regions.shape->config->d_model);
    for (int i = 0; i < 2; i++)
        d_streams[i] = k > 1 ? take_planes(p, SGTI_SCRATCH, k)
                             : (sgti_planes){.first = p->layout->dx};
}

sgt_status sgti_layout_plan(sgti_layout *layout, const sgti_shape *shape)
{
    sgti_layout fresh = {.shape = *shape,
                         .layers = layout->layers,
                         .runs = layout->runs,
                         .parts = layout->parts};
    planner p = {.layout = &fresh, .regions = {.shape = shape}};
    if (sgti_is_training(shape))
        place_gradients(&p);
    p.scratch_mark = sgti_arena_mark(&p.regions.arenas[SGTI_SCRATCH]);
    place_blocks(&p);
    place_batch(&p);
    place_head(&p);
    if (!stack_arenas(&fresh, &p.regions))
        return sgti_fail(SGT_E_OVERFLOW, "the activations of %lld tokens do not fit in memory",
                         (long long)shape->rows);
    *layout = fresh;
    return SGT_OK;
}
