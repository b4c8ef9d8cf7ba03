/* SPDX-License-Identifier: BSD-3-Clause */
#include "decode_layout.h"

#include "../base/arena.h"
#include "../base/error.h"
#include "../base/integers.h"
#include "../model/config.h"
#include "../model/model.h"

/* Logits are made for so many rows at a time that they take about this many elements. */
#define HEAD_ELEMENTS ((int64_t)1 << 23)

/* What the parts of a layout are planned with. */
typedef struct planner {
    sgti_decode_layout *layout;
    const sgt_model *model;
    const sgt_model_config *config;
    sgti_arena cache;
    sgti_arena gathered;
    sgti_arena packed;
} planner;

/* Appends a matrix; offset is where the model's weights have it, unless it is gathered. */
static int32_t add_matrix(planner *p, int64_t rows, int64_t cols, uint64_t offset, int32_t gathered)
{
    sgti_decode_layout *layout = p->layout;
    sgti_decode_matrix matrix = {.rows = rows, .cols = cols, .offset = offset, .gathered = gathered};
    if (gathered)
        matrix.offset = sgti_arena_take(&p->gathered, (uint64_t)rows, (uint64_t)cols);
    matrix.packed = sgti_arena_take(&p->packed, (uint64_t)rows, (uint64_t)cols);
    if (cols > layout->widest)
        layout->widest = cols;
    if (layout->matrices)
        layout->matrices[layout->n_matrices] = matrix;
    return layout->n_matrices++;
}

static uint64_t weight_offset(const planner *p, int32_t layer, enum sgti_layer_parameter which)
{
    return p->model->parameters.list[sgti_layer_parameter(layer, which)].offset;
}

/* The whole matrices of every layer, in the order of enum sgti_matrix_of_layer. */
static void add_layer_matrices(planner *p, int32_t layer)
{
    const sgt_model_config *config = p->config;
    int64_t d = config->d_model, ff = config->d_ff;
    int64_t q = sgti_query_width(config), kv = sgti_key_width(config);
    add_matrix(p, q + 2 * kv, d, weight_offset(p, layer, SGTI_Q), 0);
    add_matrix(p, d, q, weight_offset(p, layer, SGTI_O), 0);
    add_matrix(p, 2 * ff, d, weight_offset(p, layer, SGTI_GATE), 0);
    add_matrix(p, d, ff, weight_offset(p, layer, SGTI_DOWN), 0);
}

/* One pass of a layer: its heads, its matrices and its place in the cache of run 0. */
static void add_pass(planner *p, int32_t layer, const float *gains)
{
    sgti_decode_layout *layout = p->layout;
    const sgt_model_config *config = p->config;
    int64_t d = config->d_model, dh = config->head_dim;
    sgti_decode_pass pass = {.list = layout->n_listed,
                             .matrix = sgti_decode_matrix_of(layer, SGTI_MATRIX_QKV)};
    sgti_head_lists lists = {0};
    sgti_select_heads(&lists, config, gains);
    pass.n_heads = lists.n_heads;
    pass.n_groups = lists.n_groups;
    if (pass.n_heads < config->n_heads && pass.n_heads > 0) {
        int64_t width = (int64_t)(pass.n_heads + 2 * pass.n_groups) * dh;
        pass.matrix = add_matrix(p, width, d, 0, 1);
        add_matrix(p, d, pass.n_heads * dh, 0, 1);
    }
    pass.cache =
        sgti_arena_take(&p->cache, (uint64_t)layout->sequences * 2 * (uint64_t)pass.n_groups,
                        (uint64_t)layout->max_length * (uint64_t)dh);
    layout->n_listed += pass.n_heads;
    if (layout->passes)
        layout->passes[layout->n_passes] = pass;
    layout->n_passes++;
}

static void add_layer(planner *p, const sgt_plan *plan, int32_t number)
{
    sgti_decode_layout *layout = p->layout;
    const sgti_layer_plan *loops = &plan->layers[number];
    sgti_decode_layer layer = {.first_pass = layout->n_passes,
                               .n_passes = 1 + loops->depth,
                               .n_runs = 1 + loops->extra_runs};
    uint64_t begin = sgti_arena_mark(&p->cache);
    for (int32_t k = 0; k <= loops->depth; k++)
        add_pass(p, number,
                 k == 0 ? NULL : loops->gains + (size_t)(k - 1) * (size_t)plan->n_heads);
    layer.run_stride = sgti_arena_mark(&p->cache) - begin;
    sgti_arena_take(&p->cache, (uint64_t)loops->extra_runs, layer.run_stride);
    layout->n_runs += layer.n_runs;
    if (layout->layers)
        layout->layers[number] = layer;
}

static void place_scratch(planner *p, sgti_arena *arena)
{
    sgti_decode_layout *layout = p->layout;
    const sgt_model_config *config = p->config;
    uint64_t r = (uint64_t)layout->rows, d = (uint64_t)config->d_model;
    uint64_t q = (uint64_t)sgti_query_width(config), kv = (uint64_t)sgti_key_width(config);
    layout->x = sgti_arena_take(arena, r, d);
    layout->h = sgti_arena_take(arena, r, d);
    layout->ids = sgti_arena_take(arena, r, 1);
    layout->targets = sgti_arena_take(arena, r, 1);
    layout->losses = sgti_arena_take(arena, r, 1);
    uint64_t mark = sgti_arena_mark(arena);
    layout->qkv = sgti_arena_take(arena, r, q + 2 * kv);
    layout->out = sgti_arena_take(arena, r, q);
    layout->gate_up = sgti_arena_take(arena, r, 2 * (uint64_t)config->d_ff);
    sgti_arena_reset(arena, mark);
    layout->logits =
        sgti_arena_take(arena, (uint64_t)layout->head_rows, (uint64_t)config->vocab_size);
}

sgt_status sgti_decode_layout_plan(sgti_decode_layout *layout, const sgt_model *model,
                                   const sgt_plan *plan, const sgt_session_options *options)
{
    const sgt_model_config *config = &model->config;
    int64_t tokens = (int64_t)options->sequences * options->max_length;
    sgti_decode_layout fresh = {
        .sequences = options->sequences,
        .max_length = options->max_length,
        .rows = (int32_t)sgti_min_i64(options->chunk, tokens),
        .n_layers = config->n_layers,
        .layers = layout->layers,
        .passes = layout->passes,
        .matrices = layout->matrices,
    };
    int64_t head_rows = HEAD_ELEMENTS / config->vocab_size;
    fresh.head_rows = (int32_t)sgti_min_i64(head_rows > 1 ? head_rows : 1, fresh.rows);

    planner p = {.layout = &fresh, .model = model, .config = config};
    sgti_arena scratch = {0};
    for (int32_t layer = 0; layer < config->n_layers; layer++)
        add_layer_matrices(&p, layer);
    for (int32_t layer = 0; layer < config->n_layers; layer++)
        add_layer(&p, plan, layer);
    const sgti_parameter *head = &model->parameters.list[model->parameters.head];
    add_matrix(&p, head->shape[0], head->shape[1], head->offset, 0);
    place_scratch(&p, &scratch);
    if (p.cache.overflow || p.gathered.overflow || p.packed.overflow || scratch.overflow)
        return sgti_fail(SGT_E_OVERFLOW, "a session of %d sequences of %d tokens does not fit",
                         (int)options->sequences, (int)options->max_length);
    fresh.cache = p.cache.peak;
    fresh.gathered = p.gathered.peak;
    fresh.packed = p.packed.peak;
    fresh.scratch = scratch.peak;
    *layout = fresh;
    return SGT_OK;
}
