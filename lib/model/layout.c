/* SPDX-License-Identifier: BSD-3-Clause */
#include "layout.h"

#include <sgt/sys/backend.h>

#include "../base/arena.h"
#include "../base/error.h"
#include "config.h"
#include "heads.h"
#include "plan_data.h"

/* Logits are made for so many rows at a time that they take about this many elements. */
#define CHUNK_ELEMENTS (1 << 24)
#define CHUNK_MULTIPLE 64

typedef struct widths {
    uint64_t n, d, ff, v, q, kv; /* N, d, ff, V, H dh, Hkv dh */
} widths;

static widths widths_of(const sgt_model_config *config, int64_t tokens)
{
    widths w = {(uint64_t)tokens,
                (uint64_t)config->d_model,
                (uint64_t)config->d_ff,
                (uint64_t)config->vocab_size,
                (uint64_t)sgti_query_width(config),
                (uint64_t)sgti_key_width(config)};
    return w;
}

static const sgti_layer_plan *layer_plan(const sgt_plan *plan, int32_t layer)
{
    static const sgti_layer_plan no_loops = {0};
    return plan ? &plan->layers[layer] : &no_loops;
}

void sgti_layout_count(int32_t *n_runs, int32_t *n_passes, const sgt_model_config *config,
                       const sgt_plan *plan)
{
    *n_runs = 0;
    *n_passes = 0;
    for (int32_t i = 0; i < config->n_layers; i++) {
        int32_t runs = 1 + layer_plan(plan, i)->extra_runs;
        *n_runs += runs;
        *n_passes += runs * (1 + layer_plan(plan, i)->depth);
    }
}

/* The heads a pass computes; pass 0 computes all. */
static void count_heads(sgti_pass *pass, const sgt_model_config *config, const float *gains)
{
    sgti_head_lists lists = {0};
    sgti_select_heads(&lists, config, gains);
    pass->n_heads = lists.n_heads;
    pass->n_groups = lists.n_groups;
    pass->sparse = pass->n_heads < config->n_heads;
}

static void place_pass(sgti_pass *pass, sgti_arena *arena, sgti_layout *layout,
                       const sgt_model_config *config)
{
    uint64_t n = (uint64_t)layout->tokens, dh = (uint64_t)config->head_dim;
    uint64_t h = (uint64_t)pass->n_heads, g = (uint64_t)pass->n_groups;
    pass->qkv = sgti_arena_take(arena, n, (h + 2 * g) * dh);
    pass->out = sgti_arena_take(arena, n, h * dh);
    if (layout->mode == SGTI_EVALUATE)
        return;
    pass->lse = sgti_arena_take(arena, n, h);
    pass->entropy = layout->n_entropies;
    layout->n_entropies += 2 * (uint64_t)layout->batch * h;
}

/* One run; `x` is where its input lies, the return value where its output lies. */
static uint64_t place_run(sgti_layout *layout, sgti_arena *arena, uint64_t x, int32_t layer,
                          const sgt_model_config *config, const sgti_layer_plan *plan,
                          uint64_t *most_packed)
{
    uint64_t n = (uint64_t)layout->tokens, d = (uint64_t)config->d_model;
    uint64_t y = x;
    int in_place = layout->mode == SGTI_EVALUATE;
    int recompute = !in_place && config->recompute;

    /* A recomputed run works above its output. It may lie over the outputs of later runs: those
     * are made after it in forward, and no longer needed before it in backward. */
    if (recompute)
        y = sgti_arena_take(arena, n, d);
    uint64_t mark = sgti_arena_mark(arena);
    for (int32_t k = 0; k <= plan->depth; k++) {
        sgti_pass pass = {0};
        count_heads(&pass, config, k == 0 ? NULL : plan->gains + (k - 1) * config->n_heads);
        pass.x = x;
        place_pass(&pass, arena, layout, config);
        if (!in_place)
            x = sgti_arena_take(arena, n, d);
        else
            sgti_arena_reset(arena, mark);
        uint64_t packed = (2 * (uint64_t)pass.n_heads + 2 * (uint64_t)pass.n_groups) *
                          (uint64_t)config->head_dim * d;
        /* Also for a loop of all heads: losing some must not take more memory. */
        if (k > 0 && packed > *most_packed)
            *most_packed = packed;
        if (layout->passes)
            layout->passes[layout->n_passes] = pass;
        layout->n_passes++;
    }
    sgti_run run = {.layer = layer, .n_passes = 1 + plan->depth, .x_ffn = x};
    run.first_pass = layout->n_passes - run.n_passes;
    run.gate_up = sgti_arena_take(arena, n, 2 * (uint64_t)config->d_ff);
    if (in_place || recompute)
        sgti_arena_reset(arena, mark);
    else
        y = sgti_arena_take(arena, n, d);
    run.y = y;
    if (layout->runs)
        layout->runs[layout->n_runs] = run;
    layout->n_runs++;
    return y;
}

/* All runs of all layers. */
static void place_blocks(sgti_layout *layout, sgti_arena *arena, const sgt_model_config *config,
                         const sgt_plan *plan, uint64_t *most_packed)
{
    uint64_t x = sgti_arena_take(arena, (uint64_t)layout->tokens, (uint64_t)config->d_model);
    for (int32_t layer = 0; layer < config->n_layers; layer++) {
        const sgti_layer_plan *plan_of_layer = layer_plan(plan, layer);
        int32_t first = layout->n_passes;
        for (int32_t run = 0; run <= plan_of_layer->extra_runs; run++) {
            int32_t first_of_run = layout->n_passes - first;
            x = place_run(layout, arena, x, layer, config, plan_of_layer, most_packed);
            if (layout->runs)
                layout->runs[layout->n_runs - 1].first_entropy_pass = first_of_run;
        }
        if (layout->n_passes - first > layout->max_passes)
            layout->max_passes = layout->n_passes - first;
    }
    layout->x_final = x;
    sgti_arena_reset(arena, arena->peak); /* above what the runs share */
}

static void place_head(sgti_layout *layout, sgti_arena *arena, const widths *w)
{
    int64_t rows = CHUNK_ELEMENTS / (int64_t)w->v / CHUNK_MULTIPLE * CHUNK_MULTIPLE;
    if (rows < CHUNK_MULTIPLE)
        rows = CHUNK_MULTIPLE;
    layout->chunk_rows = rows < layout->tokens ? rows : layout->tokens;
    layout->ids = sgti_arena_take(arena, w->n, 1);
    layout->targets = sgti_arena_take(arena, w->n, 1);
    layout->losses = sgti_arena_take(arena, w->n, 1);
    layout->entropy = sgti_arena_take(arena, layout->n_entropies, 2);
    if (layout->mode == SGTI_TRAIN_LOSS)
        layout->d_head = sgti_arena_take(arena, w->v, w->d);
    if (layout->mode != SGTI_EVALUATE)
        layout->d_final = sgti_arena_take(arena, w->n, w->d);
    if (layout->mode == SGTI_TRAIN_LOGITS)
        layout->logits = sgti_arena_take(arena, w->n, w->v);
}

/* Scratch of the head and of backward share one region. */
static void place_scratch(sgti_layout *layout, sgti_arena *arena, const widths *w,
                          uint64_t packed)
{
    layout->h = sgti_arena_take(arena, w->n, w->d);
    layout->packed = sgti_arena_take(arena, packed, 1);
    uint64_t mark = sgti_arena_mark(arena);
    if (layout->mode != SGTI_TRAIN_LOGITS)
        layout->logits = sgti_arena_take(arena, (uint64_t)layout->chunk_rows, w->v);
    sgti_arena_reset(arena, mark);
    if (layout->mode == SGTI_EVALUATE)
        return;
    layout->dx = sgti_arena_take(arena, w->n, w->d);
    layout->dh = sgti_arena_take(arena, w->n, w->d);
    layout->norm_scratch = sgti_arena_take(arena, SGT_RMSNORM_PARTS, w->d);
    mark = sgti_arena_mark(arena);
    layout->act = sgti_arena_take(arena, w->n, w->ff);
    sgti_arena_reset(arena, mark);
    layout->d_out = sgti_arena_take(arena, w->n, w->q);
    layout->d_qkv = sgti_arena_take(arena, w->n, w->q + 2 * w->kv);
    layout->d_packed = sgti_arena_take(arena, packed, 1);
}

sgt_status sgti_layout_plan(sgti_layout *layout, const sgt_model_config *config,
                            const sgt_plan *plan, sgti_mode mode, int32_t batch, int32_t seq)
{
    sgti_layout fresh = {.mode = mode, .batch = batch, .seq = seq};
    sgti_arena arena = {0, 0, 0};
    uint64_t packed = 0;
    fresh.tokens = (int64_t)batch * seq;
    fresh.runs = layout->runs;
    fresh.passes = layout->passes;
    widths w = widths_of(config, fresh.tokens);
    place_blocks(&fresh, &arena, config, plan, &packed);
    place_head(&fresh, &arena, &w);
    place_scratch(&fresh, &arena, &w, packed);
    fresh.elements = arena.peak;
    if (arena.overflow)
        return sgti_fail(SGT_E_OVERFLOW, "the activations of %d sequences of %d tokens do not fit",
                         (int)batch, (int)seq);
    *layout = fresh;
    return SGT_OK;
}
