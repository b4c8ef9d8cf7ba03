/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of bench_train and bench_decode: the model, its depth plan, how it runs. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static const char usage[] =
    "usage: bench_train or bench_decode [options]\n"
    "  --d-model N --layers N --heads N --kv-heads N --ff N --vocab N   the model\n"
    "  --batch N --seq N                                                the step\n"
    "  --threads N --backend NAME --isa NAME                            how it runs\n"
    "  --steps N        pairs of steps that are timed\n"
    "  --prompt N --tokens N   bench_decode: context, and tokens of a step\n"
    "  --far N          bench_decode: a longer context, compared with the first\n"
    "  --recompute      keep only the inputs of blocks\n"
    "  --plan P         none, sgt:LAYERS,HEADS[,DEPTH], allheads:LAYERS, blocks:LAYERS\n"
    "  --altup K              streams of a token (recycled); default 1\n"
    "  --pattern SPEC[,SPEC..]   which keys queries see; the list goes round by layer\n"
    "  --attention softmax|multiplicative --attention-output projection|none\n"
    "  --feed-forward swiglu|relu --units N --controller-rank N --hard-fraction P\n"
    "  --head-modules N\n"
    "  --against dense  bench_decode: in turn with the plain model, which may have\n"
    "                   --dense-ff N --dense-feed-forward swiglu|relu of its own;\n"
    "                   --batches N,N.. sequences at a time, --weights f32|bf16\n"
    "  --against soft   bench_train: steps that are all hard in turn with soft ones\n"
    "  --json FILE      write the figures\n";

static void fail_usage(const char *what, const char *value)
{
    fprintf(stderr, "bench: %s '%s'\n%s", what, value, usage);
    exit(2);
}

static int32_t number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 0 || value > 1 << 30)
        fail_usage("not a number:", text);
    return (int32_t)value;
}

static double fraction(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(value >= 0.0 && value <= 1.0))
        fail_usage("not a number from 0 to 1:", text);
    return value;
}

/* The place of `word` in a list of two; 0 without one. */
static int32_t choose(const char *word, const char *first, const char *second)
{
    if (word && strcmp(word, first) != 0 && strcmp(word, second) != 0)
        fail_usage("not a word of that option:", word);
    return word && strcmp(word, second) == 0;
}

/* Layer i is made of the i-th block of a list that goes round; they differ by their patterns. */
static void read_blocks(bench_options *o)
{
    int32_t n = 0;
    o->blocks[0] = o->block;
    for (const char *at = o->pattern; at; n++) {
        char spec[80];
        const char *end = strchr(at, ',');
        int length = end ? (int)(end - at) : (int)strlen(at);
        if (n == BENCH_PATTERNS)
            fail_usage("too many patterns:", o->pattern);
        snprintf(spec, sizeof spec, "%.*s", length, at);
        o->patterns[n].size = sizeof o->patterns[n];
        bench_check(sgt_attention_pattern_parse(&o->patterns[n], spec), "--pattern");
        o->blocks[n] = o->block;
        o->blocks[n].n_patterns = 1;
        o->blocks[n].patterns = &o->patterns[n];
        at = end ? end + 1 : NULL;
    }
    o->config.n_blocks = n > 0 ? n : 1;
    o->config.blocks = o->blocks;
}

static void read_batches(bench_options *o)
{
    const char *at = o->batches;
    for (int n = 0; at; n++) {
        char text[12];
        const char *end = strchr(at, ',');
        snprintf(text, sizeof text, "%.*s", end ? (int)(end - at) : (int)strlen(at), at);
        if (n == BENCH_BATCHES || number(text) < 1)
            fail_usage("not a list of batches:", o->batches);
        o->batch_sizes[n] = number(text);
        o->n_batches = n + 1;
        at = end ? end + 1 : NULL;
    }
}

void bench_parse(bench_options *o, int argc, char **argv)
{
    enum { D, LAYERS, HEADS, KV, FF, VOCAB, BATCH, SEQ, THREADS, STEPS, PROMPT, TOKENS, FAR, ALTUP,
           UNITS, RANK, MODULES, DENSE_FF, BACKEND, ISA, PLAN, JSON, PATTERN, FEED_FORWARD,
           ATTENTION, OUTPUT, AGAINST, BATCHES, WEIGHTS, DENSE_FEED_FORWARD, HARD_FRACTION,
           RECOMPUTE, HELP };
    static const struct option options[] = {
        {"d-model", 1, NULL, D},       {"layers", 1, NULL, LAYERS},   {"heads", 1, NULL, HEADS},
        {"kv-heads", 1, NULL, KV},     {"ff", 1, NULL, FF},           {"vocab", 1, NULL, VOCAB},
        {"batch", 1, NULL, BATCH},     {"seq", 1, NULL, SEQ},         {"threads", 1, NULL, THREADS},
        {"steps", 1, NULL, STEPS},     {"prompt", 1, NULL, PROMPT},   {"tokens", 1, NULL, TOKENS},
        {"far", 1, NULL, FAR},         {"altup", 1, NULL, ALTUP},     {"units", 1, NULL, UNITS},
        {"controller-rank", 1, NULL, RANK},    {"head-modules", 1, NULL, MODULES},
        {"dense-ff", 1, NULL, DENSE_FF},       {"feed-forward", 1, NULL, FEED_FORWARD},
        {"attention", 1, NULL, ATTENTION},     {"attention-output", 1, NULL, OUTPUT},
        {"against", 1, NULL, AGAINST},         {"batches", 1, NULL, BATCHES},
        {"weights", 1, NULL, WEIGHTS},         {"hard-fraction", 1, NULL, HARD_FRACTION},
        {"dense-feed-forward", 1, NULL, DENSE_FEED_FORWARD},
        {"backend", 1, NULL, BACKEND}, {"isa", 1, NULL, ISA},
        {"plan", 1, NULL, PLAN},       {"json", 1, NULL, JSON},       {"pattern", 1, NULL, PATTERN},
        {"recompute", 0, NULL, RECOMPUTE}, {"help", 0, NULL, HELP},   {NULL, 0, NULL, 0}};
    const char *feed_forward = NULL, *attention = NULL, *output = NULL, *weights = NULL;
    const char *dense = NULL;
    int32_t *numbers[] = {&o->config.d_model, &o->config.n_layers,   &o->config.n_heads,
                          &o->config.n_kv_heads, &o->config.d_ff,    &o->config.vocab_size,
                          &o->batch,          &o->seq,               &o->threads,
                          &o->steps,          &o->prompt,            &o->tokens,
                          &o->far,            &o->config.altup_streams,
                          &o->block.units,    &o->block.controller_rank,
                          &o->config.head_modules, &o->dense_ff};
    const char **strings[] = {&o->backend,   &o->isa,    &o->plan,   &o->json,    &o->pattern,
                              &feed_forward, &attention, &output,    &o->against, &o->batches,
                              &weights,      &dense};
    int which;
    sgt_block_config_init(&o->block, sizeof o->block);
    sgt_block_config_init(&o->dense_block, sizeof o->dense_block);
    while ((which = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (which == RECOMPUTE)
            o->model.recompute = 1;
        else if (which == '?')
            exit(2);
        else if (which == HELP)
            printf("%s", usage), exit(0);
        else if (which == HARD_FRACTION)
            o->block.hard_fraction = fraction(optarg);
        else if (which >= BACKEND)
            *strings[which - BACKEND] = optarg;
        else
            *numbers[which] = number(optarg);
    }
    if (optind < argc)
        fail_usage("unexpected argument", argv[optind]);
    if (o->steps < 1)
        fail_usage("--steps must be at least", "1");
    o->config.max_seq_len = o->seq;
    o->block.feed_forward = choose(feed_forward, "swiglu", "relu");
    o->dense_block.feed_forward = choose(dense, "swiglu", "relu");
    o->block.attention = choose(attention, "softmax", "multiplicative");
    o->block.attention_output = choose(output, "projection", "none");
    o->weights = choose(weights, "f32", "bf16") ? SGT_BF16 : SGT_F32;
    if (o->against && strcmp(o->against, o->opponent) != 0)
        fail_usage("nothing to compare with here:", o->against);
    read_blocks(o);
    read_batches(o);
}

/* The last `layers` layers get `depth` passes with the first `heads` heads, spread evenly. */
static void loop_heads(sgt_plan *plan, int layers, int heads, int depth)
{
    int32_t n_layers = sgt_plan_n_layers(plan), n_heads = sgt_plan_n_heads(plan);
    for (int32_t layer = n_layers - layers; layer < n_layers; layer++) {
        bench_check(sgt_plan_set_depth(plan, layer, depth), "plan");
        for (int32_t pass = 1; pass <= depth; pass++)
            for (int32_t head = 0; head < n_heads; head++) {
                int kept = (head * heads) % n_heads < heads;
                bench_check(sgt_plan_set_gain(plan, layer, pass, head, kept ? 1.0f : 0.0f),
                            "plan");
            }
    }
}

sgt_plan *bench_plan(sgt_context *context, const bench_options *o)
{
    sgt_plan *plan = NULL;
    int layers = 0, heads = o->config.n_heads, depth = 1, end = 0, good = 0;
    int length = (int)strlen(o->plan);
    bench_check(sgt_plan_create(&plan, context, o->config.n_layers, o->config.n_heads), "plan");
    if (strcmp(o->plan, "none") == 0)
        return plan;
    if (sscanf(o->plan, "sgt:%d,%d%n,%d%n", &layers, &heads, &end, &depth, &end) >= 2 ||
        sscanf(o->plan, "allheads:%d%n", &layers, &end) == 1 ||
        sscanf(o->plan, "blocks:%d%n", &layers, &end) == 1)
        good = end == length && layers >= 1 && layers <= o->config.n_layers && heads >= 1 &&
               heads <= o->config.n_heads;
    if (!good)
        fail_usage("not a plan for this model:", o->plan);
    if (o->plan[0] != 'b') {
        loop_heads(plan, layers, heads, depth);
        return plan;
    }
    for (int32_t layer = o->config.n_layers - layers; layer < o->config.n_layers; layer++)
        bench_check(sgt_plan_set_extra_runs(plan, layer, 1), "plan");
    return plan;
}
