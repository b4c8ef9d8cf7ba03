/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

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

/* Layer i is made of the i-th block of a list that goes round. */
static void read_patterns(bench_options *o)
{
    int32_t n = 0;
    for (const char *at = o->pattern; at; n++) {
        char spec[80];
        const char *end = strchr(at, ',');
        int length = end ? (int)(end - at) : (int)strlen(at);
        if (n == BENCH_PATTERNS)
            fail_usage("too many patterns:", o->pattern);
        snprintf(spec, sizeof spec, "%.*s", length, at);
        o->patterns[n].size = sizeof o->patterns[n];
        bench_check(sgt_attention_pattern_parse(&o->patterns[n], spec), "--pattern");
        o->blocks[n] = (sgt_block_config){
            .size = sizeof o->blocks[n], .n_patterns = 1, .patterns = &o->patterns[n]};
        at = end ? end + 1 : NULL;
    }
    o->config.n_blocks = n;
    o->config.blocks = o->blocks;
}

void bench_parse(bench_options *o, int argc, char **argv)
{
    enum { D, LAYERS, HEADS, KV, FF, VOCAB, BATCH, SEQ, THREADS, STEPS, PROMPT, TOKENS, FAR, ALTUP,
           BACKEND, ISA, PLAN, JSON, PATTERN, RECOMPUTE, HELP };
    static const struct option options[] = {
        {"d-model", 1, NULL, D},       {"layers", 1, NULL, LAYERS},   {"heads", 1, NULL, HEADS},
        {"kv-heads", 1, NULL, KV},     {"ff", 1, NULL, FF},           {"vocab", 1, NULL, VOCAB},
        {"batch", 1, NULL, BATCH},     {"seq", 1, NULL, SEQ},         {"threads", 1, NULL, THREADS},
        {"steps", 1, NULL, STEPS},     {"prompt", 1, NULL, PROMPT},   {"tokens", 1, NULL, TOKENS},
        {"far", 1, NULL, FAR},         {"altup", 1, NULL, ALTUP},
        {"backend", 1, NULL, BACKEND}, {"isa", 1, NULL, ISA},
        {"plan", 1, NULL, PLAN},       {"json", 1, NULL, JSON},       {"pattern", 1, NULL, PATTERN},
        {"recompute", 0, NULL, RECOMPUTE}, {"help", 0, NULL, HELP},   {NULL, 0, NULL, 0}};
    int32_t *numbers[] = {&o->config.d_model, &o->config.n_layers,   &o->config.n_heads,
                          &o->config.n_kv_heads, &o->config.d_ff,    &o->config.vocab_size,
                          &o->batch,          &o->seq,               &o->threads,
                          &o->steps,          &o->prompt,            &o->tokens,
                          &o->far,            &o->config.altup_streams};
    const char **strings[] = {&o->backend, &o->isa, &o->plan, &o->json, &o->pattern};
    int which;
    while ((which = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (which == RECOMPUTE)
            o->model.recompute = 1;
        else if (which == '?')
            exit(2);
        else if (which == HELP)
            printf("%s", usage), exit(0);
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
    read_patterns(o);
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

sgt_context *bench_context(const bench_options *o)
{
    sgt_context *context;
    sgt_context_options options;
    bench_check(sgt_context_options_init(&options, sizeof options), "options");
    options.threads = o->threads;
    options.backend = o->backend;
    options.isa = o->isa;
    bench_check(sgt_context_create(&context, &options), "context");
    return context;
}

int32_t *bench_tokens(size_t count, int32_t vocab)
{
    uint32_t state = 12345;
    int32_t *tokens = malloc(count * sizeof *tokens);
    if (!tokens)
        exit(1);
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        tokens[i] = (int32_t)((state >> 8) % (uint32_t)vocab);
    }
    return tokens;
}

void bench_print_components(const double seconds[SGTI_PROFILE_SLOTS], double total)
{
    double named = 0.0;
    for (int i = 0; i < SGTI_PROFILE_SLOTS; i++) {
        if (seconds[i] > 0.0)
            printf("  %-20s %8.3f ms  %5.1f %%\n", sgti_profile_name(i), seconds[i] * 1e3,
                   100.0 * seconds[i] / total);
        named += seconds[i];
    }
    printf("  %-20s %8.3f ms\n", "other", (total - named) * 1e3);
}

json_t *bench_components(const double seconds[SGTI_PROFILE_SLOTS])
{
    json_t *components = json_object();
    for (int i = 0; i < SGTI_PROFILE_SLOTS; i++)
        if (seconds[i] > 0.0)
            json_object_set_new(components, sgti_profile_name(i), json_real(seconds[i]));
    return components;
}

void bench_write_json(json_t *root, const char *file)
{
    if (!root || json_dump_file(root, file, JSON_INDENT(2))) {
        fprintf(stderr, "bench: cannot write %s\n", file);
        exit(1);
    }
    json_decref(root);
}

double bench_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int64_t bench_page_faults(void)
{
    struct rusage resources;
    getrusage(RUSAGE_SELF, &resources);
    return resources.ru_minflt + resources.ru_majflt;
}

int64_t bench_peak_rss(void)
{
    struct rusage resources;
    getrusage(RUSAGE_SELF, &resources);
    return (int64_t)resources.ru_maxrss * 1024;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(const double *sorted, int count, double q)
{
    double place = q * (count - 1);
    int below = (int)place;
    int above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

double bench_median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return bench_quantile(values, count, 0.5);
}

void bench_check(sgt_status status, const char *what)
{
    if (status == SGT_OK)
        return;
    fprintf(stderr, "bench: %s: %s: %s\n", what, sgt_status_name(status), sgt_error_message());
    exit(1);
}
