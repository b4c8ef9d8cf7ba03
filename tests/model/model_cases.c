/* SPDX-License-Identifier: BSD-3-Clause */
#include "model_cases.h"

/* ---- shapes ---- */

static void tied(sgt_model_config *config)
{
    config->tied = 1;
}

static void heads_alone(sgt_model_config *config)
{
    config->n_kv_heads = 0;
}

static void one_group(sgt_model_config *config)
{
    config->n_kv_heads = 1;
}

static void default_head_dim(sgt_model_config *config)
{
    config->d_model = 24;
    config->head_dim = 0;
}

static void odd_sizes(sgt_model_config *config)
{
    config->vocab_size = 31;
    config->d_model = 13;
    config->n_layers = 2;
    config->n_heads = 3;
    config->n_kv_heads = 3;
    config->head_dim = 10;
    config->d_ff = 17;
    config->rope_theta = 500.0;
    config->norm_eps = 1e-3;
}

static void smallest(sgt_model_config *config)
{
    config->vocab_size = 2;
    config->d_model = 1;
    config->n_layers = 1;
    config->n_heads = 1;
    config->n_kv_heads = 1;
    config->head_dim = 2;
    config->d_ff = 1;
}

/* Beyond one tile of every kernel. */
static void several_tiles(sgt_model_config *config)
{
    config->vocab_size = 70;
    config->d_model = 36;
    config->n_layers = 2;
    config->head_dim = 18;
    config->d_ff = 50;
    config->max_seq_len = 70;
}

/* A pattern for each group, one for both, none. */
static void patterns(sgt_model_config *config)
{
    static const sgt_attention_pattern two[] = {
        {.size = sizeof *two, .sets = SGT_KEYS_LOCAL, .stride = 3},
        {.size = sizeof *two, .sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 4,
         .summary = 1}};
    static const sgt_attention_pattern one[] = {
        {.size = sizeof *one, .sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED, .stride = 5}};
    static const sgt_block_config blocks[] = {
        {.size = sizeof *blocks, .n_patterns = 2, .patterns = two},
        {.size = sizeof *blocks, .n_patterns = 1, .patterns = one},
        {.size = sizeof *blocks}};
    config->n_blocks = config->n_layers < 3 ? config->n_layers : 3;
    config->blocks = blocks;
}

/* Heads that see each other's keys only in part, more heads than patterns. */
static void patterns_of_heads(sgt_model_config *config)
{
    static const sgt_attention_pattern three[] = {
        {.size = sizeof *three, .sets = SGT_KEYS_STRIDED, .stride = 3},
        {.size = sizeof *three},
        {.size = sizeof *three, .sets = SGT_KEYS_SUMMARY, .stride = 5, .summary = 2,
         .phase = 1}};
    static const sgt_block_config block = {
        .size = sizeof block, .n_patterns = 3, .patterns = three};
    heads_alone(config);
    config->n_blocks = 1;
    config->blocks = &block;
}

static void patterns_of_tiles(sgt_model_config *config)
{
    several_tiles(config);
    patterns(config);
}

static void streams(sgt_model_config *config)
{
    config->altup_streams = 2;
}

static void streams_of_one_layer(sgt_model_config *config)
{
    config->altup_streams = 4;
    config->altup_order = SGT_ALTUP_SAME;
    config->tied = 1;
}

static void wide_streams(sgt_model_config *config)
{
    config->altup_streams = 3;
    config->altup_table = SGT_ALTUP_WIDE;
}

static void wide_tied_streams(sgt_model_config *config)
{
    wide_streams(config);
    config->tied = 1;
    odd_sizes(config);
}

static void streams_of_tiles(sgt_model_config *config)
{
    patterns_of_tiles(config);
    config->altup_streams = 3;
}

/* Multiplicative attention in both ways, beside a standard layer. */
static void modules(sgt_model_config *config)
{
    static const sgt_block_config blocks[] = {
        {.size = sizeof *blocks, .attention = SGT_ATTENTION_MULTIPLICATIVE, .mult_kernel = 3},
        {.size = sizeof *blocks, .attention = SGT_ATTENTION_MULTIPLICATIVE, .mult_kernel = 2,
         .attention_output = SGT_ATTENTION_OUTPUT_NONE},
        {.size = sizeof *blocks}};
    config->n_kv_heads = 0;
    config->d_model = config->n_heads * config->head_dim;
    config->n_blocks = config->n_layers < 3 ? config->n_layers : 3;
    config->blocks = blocks;
}

/* More positions than a short text has, and patterns. */
static void far_modules(sgt_model_config *config)
{
    static const sgt_attention_pattern one[] = {
        {.size = sizeof *one, .sets = SGT_KEYS_LOCAL, .stride = 3}};
    static const sgt_block_config block = {
        .size = sizeof block, .n_patterns = 1, .patterns = one, .mult_kernel = 9,
        .attention = SGT_ATTENTION_MULTIPLICATIVE,
        .attention_output = SGT_ATTENTION_OUTPUT_NONE};
    modules(config);
    config->altup_streams = 2;
    config->n_blocks = 1;
    config->blocks = &block;
}

static void modules_of_tiles(sgt_model_config *config)
{
    several_tiles(config);
    modules(config);
}

/* ---- sparse parts, which draw nothing: hard_fraction is 0 or 1, temperature 0 ---- */

#define UNITS(kind, n, rank, hard)                                                                 \
    {.size = sizeof(sgt_block_config), .feed_forward = SGT_FEED_FORWARD_##kind, .units = n,        \
     .controller_rank = rank, .hard_fraction = hard}

static void with_block(sgt_model_config *config, const sgt_block_config *block)
{
    config->n_blocks = 1;
    config->blocks = block;
}

static void relu(sgt_model_config *config)
{
    static const sgt_block_config block = {
        .size = sizeof block, .feed_forward = SGT_FEED_FORWARD_RELU};
    with_block(config, &block);
}

static void soft_swiglu(sgt_model_config *config)
{
    static const sgt_block_config block = UNITS(SWIGLU, 9, 4, 0.0);
    with_block(config, &block);
}

static void hard_swiglu(sgt_model_config *config)
{
    static const sgt_block_config block = UNITS(SWIGLU, 3, 1, 1.0);
    with_block(config, &block);
}

static void soft_relu(sgt_model_config *config)
{
    static const sgt_block_config block = UNITS(RELU, 9, 5, 0.0);
    with_block(config, &block);
}

static void hard_relu(sgt_model_config *config)
{
    static const sgt_block_config block = UNITS(RELU, 9, 5, 1.0);
    with_block(config, &block);
}

/* So few that all are computed. */
static void hard_relu_of_few(sgt_model_config *config)
{
    static const sgt_block_config block = UNITS(RELU, 3, 5, 1.0);
    with_block(config, &block);
}

/* One group, and groups of one. */
static void extreme_units(sgt_model_config *config)
{
    static const sgt_block_config blocks[] = {UNITS(RELU, 27, 2, 1.0), UNITS(SWIGLU, 27, 2, 1.0),
                                              UNITS(SWIGLU, 1, 2, 0.0)};
    config->n_blocks = 3;
    config->blocks = blocks;
}

static void units_of_tiles(sgt_model_config *config)
{
    static const sgt_block_config blocks[] = {UNITS(RELU, 10, 20, 1.0), UNITS(SWIGLU, 25, 17, 1.0)};
    several_tiles(config);
    config->n_blocks = 2;
    config->blocks = blocks;
}

static void head_modules(sgt_model_config *config)
{
    config->vocab_size = 21;
    config->head_modules = 3;
}

static void head_of_one_module(sgt_model_config *config)
{
    config->head_modules = 1;
}

/* A module for each token. */
static void head_of_tokens(sgt_model_config *config)
{
    config->head_modules = config->vocab_size;
}

static void everything(sgt_model_config *config)
{
    static const sgt_attention_pattern local = {
        .size = sizeof local, .sets = SGT_KEYS_LOCAL, .stride = 3};
    static const sgt_block_config blocks[] = {
        UNITS(RELU, 9, 5, 1.0), UNITS(SWIGLU, 9, 4, 0.0),
        {.size = sizeof *blocks, .n_patterns = 1, .patterns = &local, .units = 3,
         .controller_rank = 3, .hard_fraction = 1.0}};
    wide_streams(config);
    head_modules(config);
    config->n_blocks = 3;
    config->blocks = blocks;
}

/* ---- plans for 4 heads in 2 groups ---- */

static void some_heads(sgt_plan *plan)
{
    const float second[] = {0.2f, 0.9f, 0.4f, 0.6f};
    sgtt_loop(plan, 0, 1, (const float[]){1.0f, 0.0f, 0.0f, 0.5f});
    sgtt_loop(plan, 2, 2, (const float[]){0.0f, 0.3f, 0.7f, 0.0f});
    sgtt_ok(sgt_plan_set_gains(plan, 2, 2, second));
}

/* Both heads of one group, then a pass of its neighbour alone. */
static void one_group_runs(sgt_plan *plan)
{
    sgtt_loop(plan, 1, 3, (const float[]){0.0f, 0.0f, 1.0f, 1.0f});
    sgtt_ok(sgt_plan_set_gains(plan, 1, 2, (const float[]){0.0f, 1.0f, 0.0f, 0.0f}));
}

static void no_head_runs(sgt_plan *plan)
{
    const float none[] = {0.0f, 0.0f, 0.0f, 0.0f};
    sgtt_loop(plan, 0, 1, none);
    sgtt_loop(plan, 1, 3, none);
    sgtt_ok(sgt_plan_set_gain(plan, 1, 2, 3, 0.75f));
}

static void all_heads(sgt_plan *plan)
{
    sgtt_loop(plan, 0, 2, (const float[]){1.0f, 1.0f, 1.0f, 1.0f});
    sgtt_loop(plan, 1, 1, (const float[]){0.1f, 0.35f, 0.6f, 0.95f});
}

static void block_loops(sgt_plan *plan)
{
    sgtt_ok(sgt_plan_set_extra_runs(plan, 0, 1));
    sgtt_ok(sgt_plan_set_extra_runs(plan, 2, 2));
}

static void both_loops(sgt_plan *plan)
{
    some_heads(plan);
    one_group_runs(plan);
    block_loops(plan);
}

static void two_layers_loop(sgt_plan *plan)
{
    sgtt_loop(plan, 0, 1, (const float[]){0.0f, 1.0f, 0.0f, 0.0f});
    sgtt_loop(plan, 1, 1, (const float[]){0.8f, 0.0f, 0.3f, 1.0f});
    sgtt_ok(sgt_plan_set_extra_runs(plan, 1, 1));
}

const model_case model_cases[] = {
    {"vanilla", NULL, NULL, 2, 7, 0, 0},
    {"tied", tied, NULL, 2, 7, 0, 0},
    {"heads alone", heads_alone, NULL, 2, 7, 0, 0},
    {"one group", one_group, some_heads, 2, 7, 0, 0},
    {"default head_dim", default_head_dim, some_heads, 2, 7, 0, 0},
    {"odd sizes", odd_sizes, NULL, 3, 11, 0, 0},
    {"smallest", smallest, NULL, 1, 3, 0, 0},
    {"one token", NULL, some_heads, 1, 1, 0, 0},
    {"one token each", NULL, both_loops, 5, 1, 0, 0},
    {"some heads", NULL, some_heads, 2, 7, 0, 0},
    {"one group runs", heads_alone, one_group_runs, 2, 7, 0, 0},
    {"no head runs", NULL, no_head_runs, 2, 7, 0, 0},
    {"all heads", NULL, all_heads, 2, 7, 0, 0},
    {"block loops", NULL, block_loops, 2, 7, 0, 0},
    {"both loops", NULL, both_loops, 2, 7, 3, 0},
    {"tied, both loops", tied, both_loops, 1, 16, 4, 0},
    {"ignored rows", NULL, NULL, 3, 5, 2, 0},
    {"several tiles", several_tiles, two_layers_loop, 1, 70, 5, 0},
    {"patterns", patterns, both_loops, 2, 13, 4, 0},
    {"patterns of heads", patterns_of_heads, both_loops, 2, 16, 0, 0},
    {"patterns of several tiles", patterns_of_tiles, two_layers_loop, 1, 70, 5, 0},
    {"streams", streams, both_loops, 2, 13, 4, 0},
    {"streams of one layer", streams_of_one_layer, some_heads, 3, 7, 0, 0},
    {"wide streams", wide_streams, both_loops, 2, 13, 4, 0},
    {"wide tied streams", wide_tied_streams, NULL, 3, 11, 0, 0},
    {"streams with patterns", streams_of_tiles, two_layers_loop, 2, 70, 5, 0},
    {"streams of one token", streams, NULL, 1, 1, 0, 0},
    {"relu", relu, both_loops, 2, 7, 3, 0},
    {"soft swiglu", soft_swiglu, block_loops, 2, 7, 3, 1},
    {"hard swiglu", hard_swiglu, both_loops, 2, 7, 3, 0},
    {"soft relu", soft_relu, both_loops, 2, 7, 3, 1},
    {"hard relu", hard_relu, block_loops, 3, 12, 3, 0},
    {"hard relu of few units", hard_relu_of_few, block_loops, 2, 7, 3, 0},
    {"extreme units", extreme_units, some_heads, 3, 12, 0, 0},
    {"units of several tiles", units_of_tiles, two_layers_loop, 1, 70, 5, 0},
    {"head modules", head_modules, both_loops, 2, 7, 3, 0},
    {"head of one module", head_of_one_module, NULL, 2, 7, 0, 0},
    {"head of as many modules as tokens", head_of_tokens, NULL, 2, 7, 3, 0},
    {"units, patterns, streams, modules", everything, both_loops, 3, 13, 4, 1},
    {"units, patterns, streams, modules of one token", everything, NULL, 1, 1, 0, 1},
    {"modules", modules, both_loops, 2, 13, 4, 0},
    {"modules without heads", modules, no_head_runs, 2, 7, 0, 0},
    {"modules that see far", far_modules, both_loops, 2, 6, 0, 0},
    {"modules of several tiles", modules_of_tiles, two_layers_loop, 1, 40, 5, 0},
    {"modules of one token", modules, some_heads, 2, 1, 0, 0},
};

const int n_model_cases = (int)(sizeof model_cases / sizeof model_cases[0]);

sgt_model *model_case_create(sgt_batch *batch, sgt_context *context, const model_case *c)
{
    sgt_model_config config = sgtt_config();
    if (c->shape)
        c->shape(&config);
    sgt_model *model = sgtt_model(context, &config, 11);
    if (c->loops) {
        sgt_plan *plan = sgtt_plan_of(model);
        c->loops(plan);
        sgtt_ok(sgt_model_set_plan(model, plan));
        sgt_plan_free(plan);
    }
    *batch = sgtt_batch(c->batch, c->seq, config.vocab_size, 5, c->ignore);
    return model;
}
