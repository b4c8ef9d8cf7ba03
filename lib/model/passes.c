/* SPDX-License-Identifier: BSD-3-Clause */
/* One walk over the plan makes everything. It runs twice: without memory it counts, with memory it
 * fills, so that the bytes are known before anything is allocated. */
#include "passes.h"

#include <string.h>

#include "../base/carver.h"
#include "parts/blocks.h"

/* The heads of one pass, while they are being listed. Arrays that are NULL are not filled: so the
 * same code counts and lists. */
typedef struct head_lists {
    int32_t n_heads, n_groups, n_modules;
    int32_t *rows, *kv_heads; /* list_heads puts the heads into rows; list_rows adds the rest */
    float *gains;
} head_lists;

/* Heads that read the same key/value head stand next to each other, so a new group begins whenever
 * the key/value head changes. Groups are numbered among those that are read. */
static void list_heads(head_lists *lists, const sgt_model_config *config, const float *values)
{
    int32_t per_group = config->n_heads / config->n_kv_heads;
    int32_t last_group = -1, end = 0; /* of the modules that are counted */
    for (int32_t head = 0; head < config->n_heads; head++) {
        if (values && values[head] <= 0.0f)
            continue;
        if (head / per_group != last_group) {
            last_group = head / per_group;
            lists->n_groups++;
        }
        const int32_t before = head > 0 ? head - 1 : 0;
        const int32_t behind = head + 1 < config->n_heads ? head + 2 : config->n_heads;
        lists->n_modules += behind - (before > end ? before : end);
        end = behind;
        if (lists->rows) {
            lists->rows[lists->n_heads] = head;
            lists->kv_heads[lists->n_heads] = lists->n_groups - 1;
        }
        if (lists->gains)
            lists->gains[lists->n_heads] = values[head];
        lists->n_heads++;
    }
}

void sgti_count_heads(int32_t *n_heads, int32_t *n_groups, const sgt_model_config *config,
                      const float *values)
{
    head_lists counted = {0};
    list_heads(&counted, config, values);
    *n_heads = counted.n_heads;
    *n_groups = counted.n_groups;
}

int32_t sgti_count_modules(const sgt_model_config *config, const float *values)
{
    head_lists counted = {0};
    list_heads(&counted, config, values);
    return counted.n_modules;
}

int64_t sgti_list_entries(const sgt_model_config *config)
{
    return 3 * (int64_t)config->n_heads + 2 * (int64_t)config->n_kv_heads;
}

void sgti_count_passes(int32_t *n_runs, int32_t *n_passes, const sgt_plan *plan, int32_t layer)
{
    *n_runs = 1 + sgt_plan_extra_runs(plan, layer);
    *n_passes = 1 + sgt_plan_depth(plan, layer);
}

int32_t sgti_most_passes(const sgt_model_config *config, const sgt_plan *plan)
{
    int32_t most = 0;
    for (int32_t layer = 0; layer < config->n_layers; layer++) {
        int32_t n_runs, n_passes;
        sgti_count_passes(&n_runs, &n_passes, plan, layer);
        if (n_runs * n_passes > most)
            most = n_runs * n_passes;
    }
    return most;
}

/* The gains [H] of a pass; NULL for the block's own. */
static const float *gains_of(const sgt_plan *plan, int32_t layer, int32_t number)
{
    return number == 0 ? NULL : sgt_plan_gains(plan, layer, number);
}

/* Makes a pass of its lists; its index is not known here. */
static sgti_pass pass_of(int32_t number, const sgt_model_config *config, const head_lists *lists)
{
    return (sgti_pass){.number = number,
                       .n_heads = lists->n_heads,
                       .n_groups = lists->n_groups,
                       .n_modules = lists->n_modules,
                       .sparse = lists->n_heads < config->n_heads,
                       .rows = lists->rows,
                       .heads = lists->rows,
                       .kv_heads = lists->kv_heads,
                       .gains = lists->gains};
}

sgti_pass sgti_count_pass(const sgt_model_config *config, const sgt_plan *plan, int32_t layer,
                          int32_t number)
{
    head_lists counted = {0};
    list_heads(&counted, config, gains_of(plan, layer, number));
    return pass_of(number, config, &counted);
}

/* The arrays of one allocation, while it is cut and filled. */
typedef struct builder {
    sgti_pass *passes;
    sgti_layer_passes *layers;
    int32_t *lists;
    sgt_attention_pattern *patterns; /* the next that no pass has yet */
    sgti_carver carver;
    const sgt_model_config *config;
    const sgt_plan *plan;
} builder;

/* Completes `rows`. q|k|v is a matrix of blocks of head_dim rows: first H blocks of q, then Hkv of
 * k and Hkv of v. The heads, which list_heads has put there, are their own blocks of q; behind them
 * come the blocks of their key/value heads in k and in v. */
static void list_rows(head_lists *lists, const sgt_model_config *config)
{
    int32_t per_group = config->n_heads / config->n_kv_heads;
    int32_t *of_k = lists->rows + lists->n_heads, *of_v = of_k + lists->n_groups;
    for (int32_t i = 0; i < lists->n_heads; i++) {
        of_k[lists->kv_heads[i]] = config->n_heads + lists->rows[i] / per_group;
        of_v[lists->kv_heads[i]] = of_k[lists->kv_heads[i]] + config->n_kv_heads;
    }
}

/* Gives a pass the patterns of the key/value heads that it reads; NULL where a layer has none. */
static const sgt_attention_pattern *add_patterns(builder *b, const head_lists *lists, int32_t layer)
{
    const sgt_block_config block = sgti_block_config_of(b->config, layer);
    const int32_t *of_k = lists->rows + lists->n_heads;
    sgt_attention_pattern *patterns = b->patterns;
    if (!sgti_block_has_patterns(&block))
        return NULL;
    for (int32_t g = 0; g < lists->n_groups; g++)
        patterns[g] = sgti_block_pattern_of(&block, of_k[g] - b->config->n_heads);
    b->patterns += b->config->n_kv_heads;
    return patterns;
}

static void add_pass(builder *b, int32_t layer, int32_t number, int32_t index)
{
    const sgt_model_config *config = b->config;
    if (!b->passes)
        return;
    head_lists lists = {.rows = b->lists + index * sgti_list_entries(config)};
    lists.kv_heads = lists.rows + config->n_heads + 2 * (int64_t)config->n_kv_heads;
    if (number > 0)
        lists.gains = (float *)(void *)(lists.kv_heads + config->n_heads);
    list_heads(&lists, config, gains_of(b->plan, layer, number));
    list_rows(&lists, config);
    b->passes[index] = pass_of(number, config, &lists);
    b->passes[index].index = index;
    b->passes[index].patterns = add_patterns(b, &lists, layer);
}

static void add_layer(builder *b, int32_t layer, sgti_passes *totals)
{
    int32_t n_runs, n_passes, first = totals->n_passes;
    sgti_count_passes(&n_runs, &n_passes, b->plan, layer);
    for (int32_t k = 0; k < n_passes; k++)
        add_pass(b, layer, k, first + k);
    totals->n_passes += n_passes;
    totals->n_runs += n_runs;
    if (b->layers)
        b->layers[layer] = (sgti_layer_passes){
            .n_runs = n_runs, .n_passes = n_passes, .passes = b->passes + first};
}

static size_t lists_bytes_of_pass(const sgt_model_config *config)
{
    return (size_t)sgti_list_entries(config) * sizeof(int32_t);
}

/* How many passes have patterns. */
static int32_t count_with_patterns(const sgt_model_config *config, const sgt_plan *plan)
{
    int32_t count = 0;
    for (int32_t layer = 0; layer < config->n_layers; layer++) {
        const sgt_block_config block = sgti_block_config_of(config, layer);
        if (sgti_block_has_patterns(&block))
            count += 1 + sgt_plan_depth(plan, layer);
    }
    return count;
}

/* Makes everything in `memory`, or only counts where that is NULL. Both calls cut the memory
 * alike. */
static sgti_passes build(builder *b, void *memory, int32_t n_passes)
{
    sgti_passes totals = {.n_layers = b->config->n_layers};
    b->carver = (sgti_carver){.memory = memory};
    sgti_carve(&b->carver, 1, sizeof totals); /* the struct itself comes first */
    b->layers = sgti_carve(&b->carver, totals.n_layers, sizeof *b->layers);
    b->passes = sgti_carve(&b->carver, n_passes, sizeof *b->passes);
    b->lists = sgti_carve(&b->carver, n_passes, lists_bytes_of_pass(b->config));
    b->patterns = sgti_carve(&b->carver, count_with_patterns(b->config, b->plan),
                             (size_t)b->config->n_kv_heads * sizeof *b->patterns);
    if (b->lists) /* the backend gets all of it, also what a pass of fewer heads leaves free */
        memset(b->lists, 0, (size_t)n_passes * lists_bytes_of_pass(b->config));
    for (int32_t layer = 0; layer < totals.n_layers; layer++)
        add_layer(b, layer, &totals);
    totals.most_passes = sgti_most_passes(b->config, b->plan);
    totals.bytes = b->carver.bytes;
    totals.layers = b->layers;
    totals.all = b->passes;
    totals.n_entries = n_passes * sgti_list_entries(b->config);
    totals.lists = b->lists;
    return totals;
}

static int32_t count_all(const sgt_model_config *config, const sgt_plan *plan)
{
    int32_t count = 0;
    for (int32_t layer = 0; layer < config->n_layers; layer++)
        count += 1 + sgt_plan_depth(plan, layer);
    return count;
}

uint64_t sgti_passes_bytes(const sgt_model_config *config, const sgt_plan *plan)
{
    builder counting = {.config = config, .plan = plan};
    return build(&counting, NULL, count_all(config, plan)).bytes;
}

uint64_t sgti_lists_bytes(const sgt_model_config *config, const sgt_plan *plan)
{
    return (uint64_t)count_all(config, plan) * lists_bytes_of_pass(config);
}

void sgti_passes_remake(sgti_passes *passes, const sgt_model_config *config, const sgt_plan *plan,
                        uint64_t serial)
{
    builder b = {.config = config, .plan = plan};
    sgti_passes made = build(&b, passes, count_all(config, plan));
    made.serial = serial;
    *passes = made;
}

sgt_status sgti_passes_create(sgti_passes **passes, sgti_memory *memory,
                              const sgt_model_config *config, const sgt_plan *plan,
                              uint64_t serial)
{
    void *block;
    sgt_status status = sgti_allocate_aligned(
        &block, memory, 64, sgti_passes_bytes(config, plan), "the passes of a plan");
    if (status)
        return status;
    sgti_passes_remake(block, config, plan, serial);
    *passes = block;
    return SGT_OK;
}

void sgti_passes_free(sgti_passes *passes, sgti_memory *memory)
{
    if (passes)
        sgti_release(memory, passes, passes->bytes);
}

static int pass_equal(const sgti_pass *a, const sgti_pass *b)
{
    size_t heads = (size_t)a->n_heads;
    return a->n_heads == b->n_heads &&
           memcmp(a->heads, b->heads, heads * sizeof *a->heads) == 0 &&
           (!a->gains || memcmp(a->gains, b->gains, heads * sizeof *a->gains) == 0);
}

int sgti_passes_equal(const sgti_passes *a, const sgti_passes *b)
{
    if (a->n_layers != b->n_layers || a->n_passes != b->n_passes)
        return 0;
    for (int32_t layer = 0; layer < a->n_layers; layer++)
        if (a->layers[layer].n_runs != b->layers[layer].n_runs ||
            a->layers[layer].n_passes != b->layers[layer].n_passes)
            return 0;
    for (int32_t i = 0; i < a->n_passes; i++)
        if (!pass_equal(&a->all[i], &b->all[i]))
            return 0;
    return 1;
}
