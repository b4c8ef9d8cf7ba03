/* SPDX-License-Identifier: BSD-3-Clause */
#include "small_training.h"

#include <string.h>

/* ---- kinds and sizes ---- */

static const sgt_attention_pattern local[] = {
    {.size = sizeof *local, .sets = SGT_KEYS_LOCAL, .stride = 3}};

static const sgt_attention_pattern by_group[] = {
    {.size = sizeof *by_group, .sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 4,
     .summary = 1},
    {.size = sizeof *by_group, .sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED, .stride = 2}};

static const sgt_block_config patterns[] = {
    {.size = sizeof *patterns, .n_patterns = 1, .patterns = local},
    {.size = sizeof *patterns, .n_patterns = 2, .patterns = by_group}};

/* Products with chosen units alone need some of them in a group; the other block has too few. */
static const sgt_block_config swiglu_of_units[] = {
    {.size = sizeof *swiglu_of_units, .units = 9, .controller_rank = 5, .temperature = 0.1,
     .hard_fraction = 0.5},
    {.size = sizeof *swiglu_of_units, .units = 3, .controller_rank = 4, .temperature = 0.1,
     .hard_fraction = 0.5}};

static const sgt_block_config relu_of_units[] = {
    {.size = sizeof *relu_of_units, .feed_forward = SGT_FEED_FORWARD_RELU, .units = 8,
     .controller_rank = 3, .temperature = 0.1, .hard_fraction = 0.5}};

static const sgt_block_config modules[] = {
    {.size = sizeof *modules, .attention = SGT_ATTENTION_MULTIPLICATIVE},
    {.size = sizeof *modules, .attention = SGT_ATTENTION_MULTIPLICATIVE, .mult_kernel = 4,
     .attention_output = SGT_ATTENTION_OUTPUT_NONE}};

static const sgt_block_config modules_and_all[] = {
    {.size = sizeof *modules_and_all, .n_patterns = 2, .patterns = by_group,
     .attention = SGT_ATTENTION_MULTIPLICATIVE, .mult_kernel = 2,
     .attention_output = SGT_ATTENTION_OUTPUT_NONE,
     .feed_forward = SGT_FEED_FORWARD_RELU, .units = 8, .controller_rank = 3, .temperature = 0.1,
     .hard_fraction = 0.5},
    {.size = sizeof *modules_and_all, .n_patterns = 1, .patterns = local}};

const sgtt_small_kind sgtt_small_kinds[SGTT_KINDS] = {
    /* heads, groups, tied, recompute, loops, extra runs, blocks, streams, head, modules */
    [SGTT_KIND_DENSE] = {"dense", 4, 2, 0, 0, 0, 0, 0, NULL, 0, 0, 0, 0},
    [SGTT_KIND_GROUPED_TIED] = {"grouped queries, tied", 4, 2, 1, 0, 0, 0, 0, NULL, 0, 0, 0, 0},
    [SGTT_KIND_LOOPS] = {"loops", 4, 2, 0, 0, 1, 0, 0, NULL, 0, 0, 0, 0},
    [SGTT_KIND_BLOCK_LOOPS] = {"block loops", 4, 2, 0, 0, 1, 1, 0, NULL, 0, 0, 0, 0},
    [SGTT_KIND_RECOMPUTE] = {"recompute", 3, 3, 1, 1, 0, 0, 0, NULL, 0, 0, 0, 0},
    [SGTT_KIND_RECOMPUTED_LOOPS] = {"recompute with loops", 3, 3, 1, 1, 1, 1, 0, NULL, 0, 0, 0, 0},
    [SGTT_KIND_PATTERNS] = {"patterns", 4, 2, 0, 0, 1, 1, 2, patterns, 0, 0, 0, 0},
    [SGTT_KIND_STREAMS] = {"streams", 4, 2, 1, 0, 1, 1, 0, NULL, 2, SGT_ALTUP_RECYCLED, 0, 0},
    [SGTT_KIND_WIDE_STREAMS] = {"wide streams", 4, 2, 0, 1, 1, 1, 2, patterns, 3, SGT_ALTUP_WIDE,
                                0, 0},
    [SGTT_KIND_UNITS] = {"units", 4, 2, 0, 0, 1, 1, 2, swiglu_of_units, 0, 0, 0, 0},
    [SGTT_KIND_RELU_UNITS] = {"relu units", 4, 2, 0, 1, 0, 1, 1, relu_of_units, 2,
                              SGT_ALTUP_RECYCLED, 3, 0},
    [SGTT_KIND_HEAD_MODULES] = {"head modules", 4, 2, 0, 0, 1, 0, 0, NULL, 0, 0, 4, 0},
    [SGTT_KIND_MODULES] = {"modules", 4, 4, 1, 1, 1, 1, 2, modules, 0, 0, 0, 1},
    [SGTT_KIND_MODULES_AND_ALL] = {"modules and all", 4, 4, 0, 0, 1, 1, 2, modules_and_all, 2,
                                   SGT_ALTUP_WIDE, 3, 1},
};

static const struct {
    int32_t vocab_size, d_model, n_layers, head_dim, d_ff, max_seq_len;
} sizes[SGTT_SIZES] = {
    [SGTT_SIZE_TINY] = {11, 8, 2, 2, 12, 8},
    [SGTT_SIZE_ODD] = {19, 20, 3, 6, 27, 16},
    [SGTT_SIZE_EVEN] = {37, 24, 3, 6, 40, 14},
    [SGTT_SIZE_LARGE] = {97, 72, 3, 20, 150, 90},
};

/* The least multiple of `of`, 0 for 1, that is not below n. */
static int32_t multiple(int32_t n, int32_t of)
{
    return of > 0 ? (n + of - 1) / of * of : n;
}

sgt_model_config sgtt_small_config(int kind, int size)
{
    const sgtt_small_kind *k = &sgtt_small_kinds[kind];
    sgt_model_config config;
    if (sgt_model_config_init(&config, sizeof config))
        memset(&config, 0, sizeof config);
    config.vocab_size = multiple(sizes[size].vocab_size, k->head_modules);
    config.d_model = sizes[size].d_model;
    config.n_layers = sizes[size].n_layers;
    config.n_heads = k->n_heads;
    config.n_kv_heads = k->n_kv_heads;
    config.head_dim = sizes[size].head_dim;
    config.d_ff = multiple(sizes[size].d_ff, k->n_blocks > 0 ? k->blocks[0].units : 0);
    config.max_seq_len = sizes[size].max_seq_len;
    if (k->modules)
        config.d_model = config.n_heads * config.head_dim;
    config.tied = k->tied;
    config.altup_streams = k->streams;
    config.altup_table = k->altup_table;
    config.head_modules = k->head_modules;
    config.n_blocks = k->n_blocks;
    config.blocks = k->blocks;
    return config;
}

sgt_model_options sgtt_small_options(int kind)
{
    return (sgt_model_options){.size = sizeof(sgt_model_options),
                               .recompute = sgtt_small_kinds[kind].recompute};
}

sgt_status sgtt_small_loop(sgt_model *model, int kind)
{
    static const float gains[] = {0.5f, 0.0f, 1.0f, 0.25f};
    const sgtt_small_kind *k = &sgtt_small_kinds[kind];
    sgt_plan *plan = NULL;
    sgt_status status = sgt_plan_clone(&plan, sgt_model_plan(model));
    if (!status && k->loops)
        status = sgt_plan_set_depth(plan, 1, 2);
    if (!status && k->loops)
        status = sgt_plan_set_gains(plan, 1, 1, gains);
    if (!status && k->loops)
        status = sgt_plan_set_depth(plan, 2, 1);
    if (!status)
        status = sgt_plan_set_extra_runs(plan, 0, k->extra_runs);
    if (!status)
        status = sgt_model_set_plan(model, plan);
    sgt_plan_free(plan);
    return status;
}

sgt_growth_sparse_options sgtt_small_rule(int64_t first_step, int64_t window)
{
    sgt_growth_sparse_options rule;
    if (sgt_growth_sparse_options_init(&rule, sizeof rule))
        memset(&rule, 0, sizeof rule);
    rule.first_step = first_step;
    rule.window = window;
    rule.top_k_layers = 2;
    rule.max_layers = 2;
    rule.max_depth = 2;
    rule.fade = SGT_FADE_COSINE;
    return rule;
}

/* ---- making and freeing ---- */

static sgt_status checked(sgt_status status, const void *handle)
{
    return status && handle ? SGT_E_INTERNAL : status;
}

static sgt_status make_growth(small_training *t, const sgtt_small_recipe *r)
{
    sgt_status status = SGT_OK;
    if (r->rule && !t->policy) {
        status = sgt_growth_policy_sparse(&t->policy, t->context, r->config.n_layers,
                                          r->config.n_heads, r->rule);
        status = checked(status, t->policy);
    }
    if (!status && t->policy && !t->growth)
        status = checked(sgt_growth_create(&t->growth, t->model, t->policy, NULL), t->growth);
    return status;
}

sgt_status sgtt_small_make(small_training *t, const sgtt_small_recipe *r)
{
    sgt_status status = SGT_OK;
    if (!t->context)
        status = checked(sgt_context_create(&t->context, r->context), t->context);
    if (!status && !t->model)
        status = checked(sgt_model_create(&t->model, t->context, &r->config, r->options), t->model);
    if (!status && !t->optimizer)
        status = sgt_model_init_weights(t->model, r->init);
    if (!status && !t->optimizer)
        status = checked(sgt_optimizer_create(&t->optimizer, t->model, r->optimizer), t->optimizer);
    return status ? status : make_growth(t, r);
}

void sgtt_small_free(small_training *t)
{
    sgt_context_free(t->context); /* the others keep it while they need it */
    sgt_model_free(t->model);
    sgt_growth_policy_free(t->policy);
    sgt_optimizer_free(t->optimizer);
    sgt_growth_free(t->growth);
    memset(t, 0, sizeof *t);
}

/* ---- a step ---- */

/* SplitMix64 (Steele, Lea, Flood, 2014) of a counter. */
static uint64_t mixed(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

sgt_batch sgtt_small_batch(int32_t *tokens, int32_t *targets, const small_training *t, int64_t step,
                           int32_t rows, int32_t seq)
{
    sgt_batch batch = {.size = sizeof batch, .batch = rows, .seq = seq, .tokens = tokens,
                       .targets = targets};
    sgt_model_config config = {.size = sizeof config};
    if (sgt_model_get_config(&config, t->model))
        return (sgt_batch){0};
    for (int32_t i = 0; i < rows * seq; i++) {
        const uint64_t random = mixed(t->seed * 1000003u + (uint64_t)step * 4096u + (uint64_t)i);
        tokens[i] = (int32_t)(random % (uint64_t)config.vocab_size);
        targets[i] = random >> 60 == 0 ? -1 : (tokens[i] * 5 + 3) % config.vocab_size;
    }
    return batch;
}

sgt_status sgtt_small_accumulate(sgt_metrics *metrics, sgt_model *model, const sgt_batch *batch)
{
    metrics->size = sizeof *metrics;
    sgt_status status = sgt_model_forward(metrics, model, batch);
    if (status)
        return status;
    return sgt_model_backward(model, metrics->count > 0 ? 1.0 / (double)metrics->count : 1.0, NULL);
}

sgt_status sgtt_small_step(sgtt_small_taken *taken, const small_training *t, const sgt_batch *batch,
                           int64_t step)
{
    sgt_metrics metrics;
    sgt_step_report report = {.size = sizeof report};
    sgt_growth_event event = {.size = sizeof event};
    sgt_status status = sgtt_small_accumulate(&metrics, t->model, batch);
    if (!status)
        status = sgt_optimizer_step(&report, t->optimizer, NULL);
    if (!status && t->growth) {
        const sgt_growth_input input = {.size = sizeof input, .step = step, .loss = metrics.loss,
                                        .grad_norm = report.grad_norm};
        status = sgt_growth_step(&event, t->growth, &input);
    }
    if (!status)
        *taken = (sgtt_small_taken){metrics.loss, report.grad_norm, report.skipped, event};
    return status;
}

/* ---- files ---- */

sgt_status sgtt_small_save(const small_training *t, const char *path, const char *const *keys,
                           const char *const *values, int32_t n)
{
    sgt_checkpoint_save_options options;
    sgt_status status = sgt_checkpoint_save_options_init(&options, sizeof options);
    options.optimizer = t->optimizer;
    options.growth = t->growth;
    options.keys = keys;
    options.values = values;
    options.n_values = n;
    return status ? status : sgt_checkpoint_save(t->model, path, &options);
}

sgt_status sgtt_small_resume(small_training *t, const char *path)
{
    sgt_checkpoint *checkpoint = NULL;
    sgt_status status = sgt_checkpoint_open(&checkpoint, t->context, path);
    if (!status && t->model) {
        status = sgt_checkpoint_load(t->model, t->optimizer, t->growth, checkpoint, NULL);
    } else if (!status) {
        status = sgt_checkpoint_create(&t->model, &t->optimizer, &t->growth, checkpoint, t->policy,
                                       NULL, NULL);
        status = checked(status, t->model);
    }
    sgt_checkpoint_free(checkpoint);
    return status;
}
