/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Training steps of a model with sparse feed-forward parts that are all hard, against those of one
 * whose parts are all soft. They take turns, so that both see the same machine. Figures are
 * medians, ratios medians of those of neighbours.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "bench_train_against.h"
#include "core/context.h"

enum { HARD, SOFT, SIDES, WARM_UP = 2 };

typedef struct contestant {
    sgt_model *model;
    sgt_optimizer *optimizer;
    double flops; /* of a step */
} contestant;

typedef struct figures {
    double seconds[SIDES];
    double speedup, low, high; /* and its quartiles */
    double processor;          /* speedup in processor time */
    double flops[SIDES];
    double components[SIDES][SGTI_PROFILE_SLOTS];
} figures;

static contestant make_side(sgt_context *context, double hard_fraction, const bench_options *o)
{
    contestant s = {.flops = 0.0};
    sgt_flops flops = {.size = sizeof flops};
    sgt_flops_options options;
    sgt_block_config blocks[BENCH_PATTERNS];
    sgt_model_config config = o->config;
    for (int32_t i = 0; i < config.n_blocks; i++) {
        blocks[i] = config.blocks[i];
        blocks[i].hard_fraction = hard_fraction;
    }
    config.blocks = blocks;
    bench_check(sgt_model_create(&s.model, context, &config, &o->model), "model");
    bench_check(sgt_model_init_weights(s.model, NULL), "init");
    bench_check(sgt_optimizer_create(&s.optimizer, s.model, NULL), "optimizer");
    sgt_flops_options_init(&options, sizeof options);
    options.seq = o->seq;
    bench_check(sgt_flops_count(&flops, &config, NULL, &options), "flops");
    s.flops = flops.training * o->batch * o->seq;
    return s;
}

static void step(const contestant *s, const sgt_batch *batch)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    bench_check(sgt_model_forward(&metrics, s->model, batch), "forward");
    bench_check(sgt_model_backward(s->model, 1.0 / (double)metrics.count, NULL), "backward");
    bench_check(sgt_optimizer_step(NULL, s->optimizer, NULL), "optimizer");
}

static void measure(figures *f, const contestant sides[SIDES], const sgt_batch *batch,
                    const bench_options *o)
{
    const int rounds = o->steps;
    double *values = malloc((SIDES + 2) * (size_t)rounds * sizeof *values);
    if (!values)
        exit(1);
    double *ratios = values + SIDES * rounds, *processor = ratios + rounds;
    for (int round = -WARM_UP; round < rounds; round++) {
        double wall[SIDES], used[SIDES];
        for (int i = 0; i < SIDES; i++) {
            const int which = round % 2 ? SIDES - 1 - i : i;
            const double before = bench_processor_now(), start = bench_now();
            step(&sides[which], batch);
            wall[which] = bench_now() - start;
            used[which] = bench_processor_now() - before;
        }
        if (round < 0)
            continue;
        values[round] = wall[HARD];
        values[rounds + round] = wall[SOFT];
        ratios[round] = wall[SOFT] / wall[HARD];
        processor[round] = used[SOFT] / used[HARD];
    }
    f->seconds[HARD] = bench_median(values, rounds);
    f->seconds[SOFT] = bench_median(values + rounds, rounds);
    f->speedup = bench_median(ratios, rounds);
    f->low = bench_quantile(ratios, rounds, 0.25);
    f->high = bench_quantile(ratios, rounds, 0.75);
    f->processor = bench_median(processor, rounds);
    free(values);
}

static void print(const figures *f, sgt_context *context)
{
    static const char *const names[SIDES] = {"hard", "soft"};
    sgt_backend_info info = {.size = sizeof info};
    bench_check(sgt_context_get_backend(&info, context), "info");
    printf("kernels             %s, %d threads\n", info.kernels, (int)info.threads);
    printf("a hard step         %.2f x as fast as a soft one (quartiles %.2f to %.2f; by processor "
           "time %.2f; by FLOPs %.2f)\n",
           f->speedup, f->low, f->high, f->processor, f->flops[SOFT] / f->flops[HARD]);
    for (int i = 0; i < SIDES; i++) {
        printf("%-19s %.1f ms\n", names[i], f->seconds[i] * 1e3);
        bench_print_components(f->components[i], f->seconds[i]);
    }
}

static void write_json(const figures *f, const bench_options *o)
{
    json_t *root = json_pack(
        "{s:f, s:[f,f], s:f, s:f, s:[f,f], s:o, s:o}", "speedup", f->speedup, "speedup_quartiles",
        f->low, f->high, "processor_speedup", f->processor, "flops_ratio",
        f->flops[SOFT] / f->flops[HARD], "step_seconds", f->seconds[HARD], f->seconds[SOFT],
        "components", bench_components(f->components[HARD]), "components_of_soft",
        bench_components(f->components[SOFT]));
    bench_write_json(root, o->json);
}

void bench_train_against(const bench_options *o)
{
    figures f = {.speedup = 0.0};
    sgt_context *context = bench_context(o);
    const size_t n = (size_t)o->batch * (size_t)o->seq;
    int32_t *tokens = bench_tokens(2 * n, o->config.vocab_size);
    const sgt_batch batch = {.size = sizeof batch,
                             .batch = o->batch,
                             .seq = o->seq,
                             .tokens = tokens,
                             .targets = tokens + n};
    const contestant sides[SIDES] = {make_side(context, 1.0, o), make_side(context, 0.0, o)};
    measure(&f, sides, &batch, o);
    for (int i = 0; i < SIDES; i++) {
        f.flops[i] = sides[i].flops;
        sgti_profile_start(context->dispatch, f.components[i]);
        step(&sides[i], &batch);
        sgti_profile_stop(context->dispatch);
    }
    print(&f, context);
    if (o->json)
        write_json(&f, o);
    for (int i = 0; i < SIDES; i++) {
        sgt_optimizer_free(sides[i].optimizer);
        sgt_model_free(sides[i].model);
    }
    sgt_context_free(context);
    free(tokens);
}
