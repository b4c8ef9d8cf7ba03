/* SPDX-License-Identifier: BSD-3-Clause */
#include "session_cases.h"

#include <math.h>
#include <stdlib.h>

#include <sgt/pattern.h>

static void loop_one(sgt_plan *plan)
{
    const float gains[] = {0.0f, 1.0f, 0.0f, 0.0f};
    sgtt_loop(plan, 2, 1, gains);
}

/* Several layers and depths, gains of a ramp, a pass without any head. */
static void loop_many(sgt_plan *plan)
{
    const float some[] = {1.0f, 0.0f, 0.0f, 0.25f}, none[] = {0.0f, 0.0f, 0.0f, 0.0f};
    sgtt_loop(plan, 0, 2, some);
    sgtt_loop(plan, 2, 3, some);
    sgtt_ok(sgt_plan_set_gains(plan, 2, 2, none));
}

/* In the middle of a ramp every head runs. */
static void ramp(sgt_plan *plan)
{
    const float gains[] = {1.0f, 0.5f, 0.5f, 0.5f};
    sgtt_loop(plan, 1, 2, gains);
}

static void blocks(sgt_plan *plan)
{
    sgtt_ok(sgt_plan_set_extra_runs(plan, 1, 1));
    sgtt_ok(sgt_plan_set_extra_runs(plan, 2, 2));
}

static void both(sgt_plan *plan)
{
    loop_many(plan);
    blocks(plan);
}

/* ---- attention patterns, whose caches are rings while chunks are short ---- */

#define PATTERN(...)  {.size = sizeof(sgt_attention_pattern), __VA_ARGS__}
#define BLOCK_OF(...) {.size = sizeof(sgt_block_config), __VA_ARGS__}

static void last_keys(sgt_model_config *config)
{
    static const sgt_attention_pattern one[] = {PATTERN(.sets = SGT_KEYS_LOCAL, .stride = 5)};
    static const sgt_block_config blocks[] = {BLOCK_OF(.n_patterns = 1, .patterns = one)};
    config->n_blocks = 1;
    config->blocks = blocks;
}

/* Groups that number cells of their own; one that has none; one that sees cells only. */
static void summaries(sgt_model_config *config)
{
    static const sgt_attention_pattern first[] = {
        PATTERN(.sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 6, .summary = 2, .phase = 1),
        PATTERN(.sets = SGT_KEYS_LOCAL | SGT_KEYS_SUMMARY, .stride = 3, .summary = 1)};
    static const sgt_attention_pattern second[] = {
        PATTERN(.sets = SGT_KEYS_BLOCK, .stride = 7),
        PATTERN(.sets = SGT_KEYS_SUMMARY, .stride = 5, .summary = 2)};
    static const sgt_block_config blocks[] = {BLOCK_OF(.n_patterns = 2, .patterns = first),
                                              BLOCK_OF(.n_patterns = 2, .patterns = second)};
    config->n_blocks = 2;
    config->blocks = blocks;
}

/* Rings of two lengths beside a layer with one strided group, which keeps every key. */
static void some_rings(sgt_model_config *config)
{
    static const sgt_attention_pattern first[] = {PATTERN(.sets = SGT_KEYS_LOCAL, .stride = 9)};
    static const sgt_attention_pattern second[] = {
        PATTERN(.sets = SGT_KEYS_LOCAL, .stride = 2),
        PATTERN(.sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED, .stride = 4)};
    static const sgt_attention_pattern third[] = {
        PATTERN(.sets = SGT_KEYS_LOCAL | SGT_KEYS_BLOCK, .stride = 4)};
    static const sgt_block_config blocks[] = {BLOCK_OF(.n_patterns = 1, .patterns = first),
                                              BLOCK_OF(.n_patterns = 2, .patterns = second),
                                              BLOCK_OF(.n_patterns = 1, .patterns = third)};
    config->n_blocks = 3;
    config->blocks = blocks;
}

static void strides(sgt_model_config *config)
{
    static const sgt_attention_pattern two[] = {
        PATTERN(.sets = SGT_KEYS_STRIDED, .stride = 3),
        PATTERN(.sets = SGT_KEYS_STRIDED | SGT_KEYS_SUMMARY, .stride = 4, .summary = 1)};
    static const sgt_block_config blocks[] = {BLOCK_OF(.n_patterns = 2, .patterns = two)};
    config->n_blocks = 1;
    config->blocks = blocks;
}

/* ---- streams ---- */

static void two_streams(sgt_model_config *config)
{
    config->altup_streams = 2;
}

static void wide_streams(sgt_model_config *config)
{
    config->altup_streams = 3;
    config->altup_table = SGT_ALTUP_WIDE;
}

static void streams_with_rings(sgt_model_config *config)
{
    some_rings(config);
    config->altup_streams = 4;
    config->altup_order = SGT_ALTUP_SAME;
}

/* ---- modules, whose last rows are remembered ---- */

static void modules(sgt_model_config *config)
{
    static const sgt_block_config blocks[] = {
        BLOCK_OF(.attention = SGT_ATTENTION_MULTIPLICATIVE, .mult_kernel = 6),
        BLOCK_OF(.attention = SGT_ATTENTION_MULTIPLICATIVE, .mult_kernel = 8,
                 .attention_output = SGT_ATTENTION_OUTPUT_NONE)};
    config->d_model = config->n_heads * config->head_dim;
    config->n_blocks = 2;
    config->blocks = blocks;
}

/* Rings of keys and of what is remembered, and a part that sees its own row only. */
static void modules_with_rings(sgt_model_config *config)
{
    static const sgt_attention_pattern one[] = {PATTERN(.sets = SGT_KEYS_LOCAL, .stride = 4)};
    static const sgt_block_config blocks[] = {
        BLOCK_OF(.n_patterns = 1, .patterns = one, .attention = SGT_ATTENTION_MULTIPLICATIVE,
                 .mult_kernel = 7),
        BLOCK_OF(.attention = SGT_ATTENTION_MULTIPLICATIVE, .mult_kernel = 1),
        BLOCK_OF(.n_patterns = 1, .patterns = one)};
    config->d_model = config->n_heads * config->head_dim;
    config->n_blocks = 3;
    config->blocks = blocks;
}

/* ---- sparse parts ---- */

#define UNITS(kind, n, rank)                                                                       \
    BLOCK_OF(.feed_forward = SGT_FEED_FORWARD_##kind, .units = n, .controller_rank = rank)

static void units(sgt_model_config *config)
{
    static const sgt_block_config blocks[] = {UNITS(SWIGLU, 9, 4)};
    config->n_blocks = 1;
    config->blocks = blocks;
}

/* One group; so few units that all are computed; a ReLU without any. */
static void units_of_relu(sgt_model_config *config)
{
    static const sgt_block_config blocks[] = {UNITS(RELU, 27, 3), UNITS(RELU, 3, 3),
                                              BLOCK_OF(.feed_forward = SGT_FEED_FORWARD_RELU)};
    config->n_blocks = 3;
    config->blocks = blocks;
}

static void head_modules(sgt_model_config *config)
{
    config->vocab_size = 20;
    config->head_modules = 4;
}

static void every_part(sgt_model_config *config)
{
    static const sgt_attention_pattern local[] = {PATTERN(.sets = SGT_KEYS_LOCAL, .stride = 5)};
    static const sgt_block_config blocks[] = {
        UNITS(RELU, 9, 5),
        BLOCK_OF(.n_patterns = 1, .patterns = local, .units = 9, .controller_rank = 2)};
    wide_streams(config);
    head_modules(config);
    config->n_blocks = 2;
    config->blocks = blocks;
}

const session_case session_cases[SESSION_CASES] = {
    {"vanilla", 4, 0, NULL, NULL},
    {"vanilla, one kv head, tied", 1, 1, NULL, NULL},
    {"a looped head", 2, 0, loop_one, NULL},
    {"loops of several depths", 2, 0, loop_many, NULL},
    {"a ramp", 4, 0, ramp, NULL},
    {"looped blocks", 2, 1, blocks, NULL},
    {"loops in looped blocks", 2, 0, both, NULL},
    {"rings", 2, 0, loop_many, last_keys},
    {"rings and summaries", 2, 0, both, summaries},
    {"some rings", 2, 1, loop_one, some_rings},
    {"rings of one stream of several", 2, 0, both, streams_with_rings},
    {"modules", 4, 0, both, modules},
    {"modules and rings", 4, 1, loop_many, modules_with_rings},
    {"strides", 2, 0, loop_one, strides},
    {"streams", 1, 1, loop_many, two_streams},
    {"wide streams", 4, 0, both, wide_streams},
    {"units", 2, 1, both, units},
    {"units of a ReLU", 2, 0, loop_one, units_of_relu},
    {"head modules", 4, 0, loop_many, head_modules},
    {"units, rings, wide streams, head modules", 2, 0, both, every_part},
};

sgt_model *session_model(sgt_context *context, const session_case *which)
{
    sgt_model_config config = sgtt_config();
    config.n_kv_heads = which->kv_heads;
    config.tied = which->tied;
    config.max_seq_len = SESSION_LENGTH;
    if (which->shape)
        which->shape(&config);
    sgt_model *model = sgtt_model(context, &config, 11);
    if (which->edit) {
        sgt_plan *plan = sgtt_plan_of(model);
        which->edit(plan);
        sgtt_ok(sgt_model_set_plan(model, plan));
        sgt_plan_free(plan);
    }
    return model;
}

int32_t session_vocab(const sgt_model *model)
{
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_model_get_config(&config, model));
    return config.vocab_size;
}

float *whole_logits(const sgt_model *model, const int32_t *tokens, int32_t length)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    const sgt_batch batch = {.size = sizeof batch, .batch = 1, .seq = length, .tokens = tokens};
    sgt_model_evaluate_options options;
    sgtt_ok(sgt_model_evaluate_options_init(&options, sizeof options));
    options.logits = calloc((size_t)length * (size_t)session_vocab(model), sizeof(float));
    sgtt_ok(sgt_model_evaluate(&metrics, model, &batch, &options));
    return options.logits;
}

int32_t *session_tokens(const sgt_model *model, uint64_t seed)
{
    int32_t vocab = session_vocab(model);
    int32_t *tokens = calloc(SESSION_LENGTH, sizeof *tokens);
    for (uint64_t i = 0; i < SESSION_LENGTH; i++)
        tokens[i] = (int32_t)(sgtt_uniform(seed, i) * vocab);
    return tokens;
}

void check_close(const float *a, const float *b, size_t count, double bound, const char *what)
{
    double difference = 0.0, size = 0.0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    ck_assert_msg(size > 0.0 && sqrt(difference) <= bound * sqrt(size),
                  "%s: relative error %g, over %g", what, sqrt(difference / size), bound);
}
