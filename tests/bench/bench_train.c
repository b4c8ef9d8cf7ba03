/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Training speed: steps of the vanilla model and of a depth plan in turn on one model, so that
 * both see the same machine. Figures are medians; the overhead is the median of the ratios of
 * neighbouring steps. With --against it is bench_train_against.c instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_train_against.h"

/* The most steps before those that are timed, and of those with a profile: no more than are timed,
 * since a step on a long text takes a minute. */
enum { WARM_UP = 2, PROFILED = 6 };

typedef struct bench_run {
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_plan *vanilla;
    sgt_plan *grown;
    sgt_batch batch;
} bench_run;

/* Seconds of a step, in all and by operation. */
typedef struct profile {
    double step;
    double components[SGTI_PROFILE_SLOTS];
} profile;

typedef struct figures {
    double vanilla; /* seconds of a step, median */
    double grown;
    double overhead; /* measured, median of pairs */
    double overhead_low, overhead_high; /* quartiles */
    double overhead_flops;
    double flops; /* of a vanilla step, causal count */
    double gemm_rate;
    double peak_rate;
    int64_t steady_allocations;
    double steady_page_faults; /* per step */
    int64_t peak_rss;
    uint64_t arena;
    sgt_context_memory memory;
    double parameters;
    profile vanilla_profile, grown_profile;
} figures;

static void make(bench_run *run, const bench_options *o)
{
    run->context = bench_context(o);
    run->grown = bench_plan(run->context, o);
    bench_check(sgt_plan_create(&run->vanilla, run->context, o->config.n_layers,
                                o->config.n_heads),
                "plan");
    bench_check(sgt_model_create(&run->model, run->context, &o->config, &o->model), "model");
    bench_check(sgt_model_init_weights(run->model, NULL), "init");
    bench_check(sgt_optimizer_create(&run->optimizer, run->model, NULL), "optimizer");
    size_t n = (size_t)o->batch * (size_t)o->seq;
    int32_t *tokens = bench_tokens(2 * n, o->config.vocab_size);
    run->batch = (sgt_batch){.size = sizeof run->batch,
                             .batch = o->batch,
                             .seq = o->seq,
                             .tokens = tokens,
                             .targets = tokens + n};
}

static void step(bench_run *run)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    bench_check(sgt_model_forward(&metrics, run->model, &run->batch), "forward");
    bench_check(sgt_model_backward(run->model, 1.0 / (double)metrics.count, NULL), "backward");
    bench_check(sgt_optimizer_step(NULL, run->optimizer, NULL), "optimizer");
}

static double timed_step(bench_run *run, const sgt_plan *plan)
{
    bench_check(sgt_model_set_plan(run->model, plan), "plan");
    double start = bench_now();
    step(run);
    return bench_now() - start;
}

/* Allocations and page faults are counted over steps of the grown plan alone. */
static void count_steady(bench_run *run, figures *f, int steps)
{
    sgt_context_memory before = {.size = sizeof before}, after = {.size = sizeof after};
    timed_step(run, run->grown);
    bench_check(sgt_context_get_memory(&before, run->context), "memory");
    int64_t faults = bench_page_faults();
    for (int i = 0; i < steps; i++)
        step(run);
    f->steady_page_faults = (double)(bench_page_faults() - faults) / steps;
    bench_check(sgt_context_get_memory(&after, run->context), "memory");
    f->steady_allocations = (int64_t)(after.allocations - before.allocations);
    f->memory = after;
}

static void add_step(profile *p, bench_run *run, const sgt_plan *plan, int of)
{
    double components[SGTI_PROFILE_SLOTS];
    sgti_profile_start(run->context->dispatch, components);
    p->step += timed_step(run, plan) / of;
    sgti_profile_stop(run->context->dispatch);
    for (int i = 0; i < SGTI_PROFILE_SLOTS; i++)
        p->components[i] += components[i] / of;
}

/* Steps of their own, in turn. */
static void time_components(figures *f, bench_run *run, int both, int steps)
{
    for (int i = 0; i < steps; i++) {
        add_step(&f->vanilla_profile, run, run->vanilla, steps);
        if (both)
            add_step(&f->grown_profile, run, run->grown, steps);
    }
}

static double training_flops(const bench_options *o, const sgt_plan *plan)
{
    sgt_flops flops = {.size = sizeof flops};
    sgt_flops_options options;
    sgt_flops_options_init(&options, sizeof options);
    options.seq = o->seq;
    bench_check(sgt_flops_count(&flops, &o->config, plan, &options), "flops");
    return flops.training * o->batch * o->seq;
}

static void measure(bench_run *run, figures *f, const bench_options *o)
{
    int pairs = o->steps;
    double *times = malloc(3 * (size_t)pairs * sizeof *times);
    if (!times)
        exit(1);
    double *vanilla = times, *grown = times + pairs, *ratios = times + 2 * pairs;
    int both = strcmp(o->plan, "none") != 0;
    for (int i = 0; i < WARM_UP && i < pairs; i++) {
        timed_step(run, run->grown);
        if (both)
            timed_step(run, run->vanilla);
    }
    f->peak_rss = bench_peak_rss();
    for (int i = 0; i < pairs; i++) {
        int vanilla_first = i % 2 == 0;
        if (vanilla_first)
            vanilla[i] = timed_step(run, run->vanilla);
        grown[i] = both ? timed_step(run, run->grown) : 0.0;
        if (!vanilla_first)
            vanilla[i] = timed_step(run, run->vanilla);
        ratios[i] = both ? grown[i] / vanilla[i] - 1.0 : 0.0;
    }
    count_steady(run, f, pairs < 3 ? pairs : 3);
    time_components(f, run, both, pairs < PROFILED ? pairs : PROFILED);
    f->vanilla = bench_median(vanilla, pairs);
    f->grown = both ? bench_median(grown, pairs) : f->vanilla;
    f->overhead = bench_median(ratios, pairs);
    f->overhead_low = bench_quantile(ratios, pairs, 0.25);
    f->overhead_high = bench_quantile(ratios, pairs, 0.75);
    f->flops = training_flops(o, run->vanilla);
    f->overhead_flops = training_flops(o, run->grown) / f->flops - 1.0;
    f->gemm_rate = bench_gemm_rate(run->context, o, BENCH_TRAINING);
    f->peak_rate = bench_peak_rate(sgti_pool_threads(run->context->pool));
    free(times);
}

static void estimate(figures *f, const bench_run *run, const bench_options *o)
{
    sgt_model_memory e = {.size = sizeof e};
    sgt_model_memory_options options;
    sgt_model_memory_options_init(&options, sizeof options);
    options.model = &o->model;
    bench_check(sgt_model_estimate_memory(&e, run->context, &o->config, run->grown, o->batch,
                                          o->seq, &options),
                "estimate");
    f->arena = e.activations;
    f->parameters = (double)e.parameters / sizeof(float);
}

static void print(const figures *f, const bench_run *run, const bench_options *o)
{
    sgt_backend_info info = {.size = sizeof info};
    double tokens = (double)o->batch * o->seq, rate = f->flops / f->vanilla;
    bench_check(sgt_context_get_backend(&info, run->context), "info");
    printf("kernels             %s, %d threads\n", info.kernels, (int)info.threads);
    printf("parameters          %.2f M\n", f->parameters * 1e-6);
    printf("step                %.1f ms\n", f->vanilla * 1e3);
    printf("tokens/s            %.0f\n", tokens / f->vanilla);
    printf("GFLOP/s             %.1f (causal count)\n", rate * 1e-9);
    printf("GEMM ceiling        %.1f GFLOP/s, share %.1f %%\n", f->gemm_rate * 1e-9,
           100.0 * rate / f->gemm_rate);
    printf("multiply-add peak   %.1f GFLOP/s, share %.1f %%\n", f->peak_rate * 1e-9,
           100.0 * rate / f->peak_rate);
    printf("overhead of %-8s %.2f %% (quartiles %.2f to %.2f), FLOPs %.2f %%\n", o->plan,
           100.0 * f->overhead, 100.0 * f->overhead_low, 100.0 * f->overhead_high,
           100.0 * f->overhead_flops);
    printf("peak resident       %.1f MB\n", (double)f->peak_rss * 1e-6);
    printf("arena               %.1f MB\n", (double)f->arena * 1e-6);
    printf("steady step         %lld allocations, %.1f page faults\n",
           (long long)f->steady_allocations, f->steady_page_faults);
    bench_print_components(f->vanilla_profile.components, f->vanilla_profile.step);
    if (strcmp(o->plan, "none") != 0) {
        printf("with %s\n", o->plan);
        bench_print_components(f->grown_profile.components, f->grown_profile.step);
    }
}

static void write_json(const figures *f, const bench_options *o)
{
    double rate = f->flops / f->vanilla;
    json_t *root = json_pack(
        "{s:f, s:f, s:f, s:f, s:f, s:[f,f], s:f, s:f, s:f, s:I, s:I, s:I, s:f, s:I, s:s, s:o, s:o}",
        "tokens_per_s", (double)o->batch * o->seq / f->vanilla, "gflops", rate * 1e-9,
        "gemm_share", rate / f->gemm_rate, "peak_share", f->peak_rate > 0 ? rate / f->peak_rate : 0,
        "overhead", f->overhead, "overhead_quartiles", f->overhead_low, f->overhead_high,
        "overhead_flops", f->overhead_flops, "step_seconds", f->vanilla, "gemm_gflops",
        f->gemm_rate * 1e-9, "peak_rss_bytes", (json_int_t)f->peak_rss, "arena_bytes",
        (json_int_t)f->arena, "steady_allocations", (json_int_t)f->steady_allocations,
        "steady_page_faults", f->steady_page_faults, "parameters", (json_int_t)f->parameters,
        "plan", o->plan, "components", bench_components(f->vanilla_profile.components),
        "components_of_plan", bench_components(f->grown_profile.components));
    bench_write_json(root, o->json);
}

int main(int argc, char **argv)
{
    bench_options options = {.batch = 4, .seq = 512, .steps = 11, .plan = "none",
                             .opponent = "soft"};
    bench_run run = {0};
    figures f = {0};
    sgt_model_config_init(&options.config, sizeof options.config);
    sgt_model_options_init(&options.model, sizeof options.model);
    options.config.d_model = 512;
    options.config.n_layers = 8;
    options.config.n_heads = 8;
    options.config.d_ff = 2048;
    options.config.vocab_size = 256;
    bench_parse(&options, argc, argv);
    if (options.against) {
        bench_train_against(&options);
        return 0;
    }
    make(&run, &options);
    estimate(&f, &run, &options);
    measure(&run, &f, &options);
    print(&f, &run, &options);
    if (options.json)
        write_json(&f, &options);
    free((void *)(uintptr_t)run.batch.tokens);
    sgt_optimizer_free(run.optimizer);
    sgt_model_free(run.model);
    sgt_plan_free(run.grown);
    sgt_plan_free(run.vanilla);
    sgt_context_free(run.context);
    return 0;
}
