/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decoding of a model with sparse parts against the plain one, dense with softmax attention, of the
 * same width, layers, heads and vocabulary, without depth plans. They take turns token by token, so
 * that noise hits both alike, and each finds the weights of the other in the caches. No two tokens
 * that are fed together or one after the other are the same, or chosen rows might be.
 *
 * The feed-forward alone is measured on models that have little else: as many layers, with one head
 * of width 2, and few tokens. What is left beside it in a token of theirs is that of a third model,
 * whose inner width is 1: ffn_speedup is the ratio without it, ffn_speedup_least with it.
 *
 * Times are medians, ratios medians of those of rounds; processor times help on a busy machine,
 * with one thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_decode_against.h"
#include "core/context.h"

enum { SPARSE, DENSE, REST, SIDES, FEW_TOKENS = 64, WARM_UP = 2 };

typedef struct contestant {
    sgt_model *model;
    sgt_session *session;
    double bytes; /* of the weights that one token reads */
} contestant;

typedef struct race {
    contestant sides[SIDES];
    int count; /* of sides that run */
    int32_t *tokens; /* [most sequences * (prompt + tokens)] */
    float *logits;   /* [most sequences, vocab] */
} race;

/* Seconds are those of a token of each sequence, medians. */
typedef struct result {
    double seconds[SIDES];
    double speedup, low, high; /* and its quartiles */
    double processor;          /* speedup in processor time */
    double least;              /* speedup with what the third side takes */
} result;

typedef struct figures {
    double bytes[SIDES], ffn_bytes[SIDES];
    result whole[BENCH_BATCHES], ffn[BENCH_BATCHES];
    double components[DENSE + 1][SGTI_PROFILE_SLOTS]; /* of the first batch */
    double ffn_components[DENSE + 1][SGTI_PROFILE_SLOTS];
} figures;

/* ---- the models ---- */

static sgt_model_config plain_of(const bench_options *o)
{
    sgt_model_config config = o->config;
    config.d_ff = o->dense_ff > 0 ? o->dense_ff : config.d_ff;
    config.altup_streams = 1;
    config.head_modules = 0;
    config.n_blocks = 1;
    config.blocks = &o->dense_block;
    return config;
}

/* The same blocks, but for their attention. */
static sgt_model_config feed_forward_of(const sgt_model_config *whole, sgt_block_config *block)
{
    sgt_model_config config = *whole;
    *block = *whole->blocks;
    block->attention = SGT_ATTENTION_SOFTMAX;
    block->attention_output = SGT_ATTENTION_OUTPUT_PROJECTION;
    block->n_patterns = 0;
    config.vocab_size = FEW_TOKENS;
    config.altup_streams = 1;
    config.n_heads = config.n_kv_heads = 1;
    config.head_dim = 2;
    config.head_modules = 0;
    config.n_blocks = 1;
    config.blocks = block;
    return config;
}

static int32_t most_sequences(const bench_options *o)
{
    int32_t most = 1;
    for (int i = 0; i < o->n_batches; i++)
        most = o->batch_sizes[i] > most ? o->batch_sizes[i] : most;
    return most;
}

static void add_side(race *r, sgt_context *context, const sgt_model_config *config,
                     const bench_options *o)
{
    contestant *s = &r->sides[r->count++];
    sgt_flops flops = {.size = sizeof flops};
    sgt_flops_options flops_options;
    sgt_session_options options;
    sgt_flops_options_init(&flops_options, sizeof flops_options);
    flops_options.seq = o->prompt;
    flops_options.phase = SGT_PHASE_DECODE;
    bench_check(sgt_flops_count(&flops, config, NULL, &flops_options), "flops");
    s->bytes = flops.weight_bytes;
    sgt_session_options_init(&options, sizeof options);
    options.sequences = most_sequences(o);
    options.max_length = o->prompt + o->tokens;
    options.weights = o->weights;
    bench_check(sgt_model_create(&s->model, context, config, &o->model), "model");
    bench_check(sgt_model_init_weights(s->model, NULL), "init");
    bench_check(sgt_session_create(&s->session, s->model, &options), "session");
    bench_check(sgt_session_feed(NULL, s->session, 0, r->tokens, o->prompt), "prompt");
    for (int32_t i = 1; i < options.sequences; i++)
        bench_check(sgt_session_copy(s->session, i, 0, o->prompt), "copy");
}

/* `vocab` tokens in a row differ: the step is a prime number. */
static race begin(int32_t vocab, const bench_options *o)
{
    const size_t sequences = (size_t)most_sequences(o);
    const size_t count = sequences * (size_t)(o->prompt + o->tokens);
    race r = {.count = 0};
    r.tokens = malloc(count * sizeof *r.tokens);
    r.logits = malloc(sequences * (size_t)vocab * sizeof *r.logits);
    if (!r.tokens || !r.logits)
        exit(1);
    for (size_t i = 0; i < count; i++)
        r.tokens[i] = (int32_t)(i * 7919 % (size_t)vocab);
    return r;
}

static void end(race *r)
{
    for (int i = 0; i < r->count; i++) {
        sgt_session_free(r->sides[i].session);
        sgt_model_free(r->sides[i].model);
    }
    free(r->tokens);
    free(r->logits);
}

/* ---- time ---- */

typedef struct times {
    double wall[SIDES], processor[SIDES];
} times;

static void feed(times *t, const race *r, int which, const int32_t *tokens, int32_t batch)
{
    const sgt_feed one = {.size = sizeof one, .count = batch, .tokens = tokens,
                          .logits = r->logits};
    double processor = bench_processor_now(), start = bench_now();
    bench_check(sgt_session_feed_batch(r->sides[which].session, &one), "token");
    t->wall[which] += bench_now() - start;
    t->processor[which] += bench_processor_now() - processor;
}

static void rewind_all(const race *r, int32_t batch, const bench_options *o)
{
    for (int side = 0; side < r->count; side++)
        for (int32_t s = 0; s < batch; s++)
            bench_check(sgt_session_rewind(r->sides[side].session, s, o->prompt), "rewind");
}

static times run_round(const race *r, int32_t batch, const bench_options *o)
{
    times t = {0};
    for (int32_t i = 0; i < o->tokens; i++)
        for (int turn = 0; turn < r->count; turn++)
            feed(&t, r, i % 2 ? r->count - 1 - turn : turn, r->tokens + (size_t)i * (size_t)batch,
                 batch);
    rewind_all(r, batch, o);
    return t;
}

static double ratio(const double seconds[SIDES])
{
    return (seconds[DENSE] - seconds[REST]) / (seconds[SPARSE] - seconds[REST]);
}

static result measure(const race *r, int32_t batch, const bench_options *o)
{
    const int rounds = o->steps;
    double *values = malloc((SIDES + 3) * (size_t)rounds * sizeof *values);
    if (!values)
        exit(1);
    double *ratios = values + SIDES * rounds, *processor = ratios + rounds;
    double *least = processor + rounds;
    result found = {0};
    for (int round = -WARM_UP; round < rounds; round++) {
        const times t = run_round(r, batch, o);
        if (round < 0)
            continue;
        for (int side = 0; side < SIDES; side++)
            values[side * rounds + round] = t.wall[side] / o->tokens;
        ratios[round] = ratio(t.wall);
        processor[round] = ratio(t.processor);
        least[round] = t.wall[DENSE] / t.wall[SPARSE];
    }
    for (int side = 0; side < SIDES; side++)
        found.seconds[side] = bench_median(values + side * rounds, rounds);
    found.speedup = bench_median(ratios, rounds);
    found.low = bench_quantile(ratios, rounds, 0.25);
    found.high = bench_quantile(ratios, rounds, 0.75);
    found.processor = bench_median(processor, rounds);
    found.least = bench_median(least, rounds);
    free(values);
    return found;
}

/* Tokens of their own: the two take turns here too. */
static void time_components(double components[][SGTI_PROFILE_SLOTS], const race *r,
                            sgt_context *context, const bench_options *o)
{
    const int32_t batch = o->batch_sizes[0];
    for (int32_t i = 0; i < o->tokens; i++)
        for (int side = SPARSE; side <= DENSE; side++) {
            double seconds[SGTI_PROFILE_SLOTS];
            times t = {0};
            sgti_profile_start(context->dispatch, seconds);
            feed(&t, r, side, r->tokens + (size_t)i * (size_t)batch, batch);
            sgti_profile_stop(context->dispatch);
            for (int j = 0; j < SGTI_PROFILE_SLOTS; j++)
                components[side][j] += seconds[j] / o->tokens;
        }
    rewind_all(r, batch, o);
}

static void race_models(figures *f, sgt_context *context, const bench_options *o)
{
    const sgt_model_config plain = plain_of(o);
    race r = begin(o->config.vocab_size, o);
    add_side(&r, context, &o->config, o);
    add_side(&r, context, &plain, o);
    for (int i = 0; i < o->n_batches; i++)
        f->whole[i] = measure(&r, o->batch_sizes[i], o);
    time_components(f->components, &r, context, o);
    for (int side = SPARSE; side <= DENSE; side++)
        f->bytes[side] = r.sides[side].bytes;
    end(&r);
}

static void race_feed_forwards(figures *f, sgt_context *context, const bench_options *o)
{
    const sgt_model_config plain = plain_of(o);
    sgt_block_config blocks[SIDES];
    const sgt_model_config sparse = feed_forward_of(&o->config, &blocks[SPARSE]);
    const sgt_model_config dense = feed_forward_of(&plain, &blocks[DENSE]);
    sgt_model_config rest = feed_forward_of(&plain, &blocks[REST]);
    race r = begin(FEW_TOKENS, o);
    rest.d_ff = 1;
    add_side(&r, context, &sparse, o);
    add_side(&r, context, &dense, o);
    add_side(&r, context, &rest, o);
    for (int i = 0; i < o->n_batches; i++)
        f->ffn[i] = measure(&r, o->batch_sizes[i], o);
    time_components(f->ffn_components, &r, context, o);
    for (int side = SPARSE; side <= DENSE; side++)
        f->ffn_bytes[side] = r.sides[side].bytes - r.sides[REST].bytes;
    end(&r);
}

/* ---- figures ---- */

static void print_results(const char *what, const result *results, const bench_options *o)
{
    for (int i = 0; i < o->n_batches; i++) {
        const result *r = &results[i];
        printf("%-12s %3d at a time: %8.3f ms against %8.3f ms, %6.2f x as fast (quartiles %.2f "
               "to %.2f; by processor time %.2f)\n",
               what, (int)o->batch_sizes[i], 1e3 * (r->seconds[SPARSE] - r->seconds[REST]),
               1e3 * (r->seconds[DENSE] - r->seconds[REST]), r->speedup, r->low, r->high,
               r->processor);
    }
}

static void print(const figures *f, sgt_context *context, const bench_options *o)
{
    sgt_backend_info info = {.size = sizeof info};
    bench_check(sgt_context_get_backend(&info, context), "info");
    printf("kernels      %s, %d threads, %s weights\n", info.kernels, (int)info.threads,
           o->weights == SGT_BF16 ? "bf16" : "f32");
    printf("bytes        %.1f MB a token against %.1f, feed-forward %.1f against %.1f (float32)\n",
           f->bytes[SPARSE] * 1e-6, f->bytes[DENSE] * 1e-6, f->ffn_bytes[SPARSE] * 1e-6,
           f->ffn_bytes[DENSE] * 1e-6);
    print_results("token", f->whole, o);
    print_results("feed-forward", f->ffn, o);
    printf("a token, %d at a time, sparse\n", (int)o->batch_sizes[0]);
    bench_print_components(f->components[SPARSE], f->whole[0].seconds[SPARSE]);
    printf("dense\n");
    bench_print_components(f->components[DENSE], f->whole[0].seconds[DENSE]);
    printf("feed-forward with the rest, sparse\n");
    bench_print_components(f->ffn_components[SPARSE], f->ffn[0].seconds[SPARSE]);
    printf("dense\n");
    bench_print_components(f->ffn_components[DENSE], f->ffn[0].seconds[DENSE]);
}

static json_t *batches_of(const figures *f, const bench_options *o)
{
    json_t *batches = json_object();
    for (int i = 0; i < o->n_batches; i++) {
        const result *w = &f->whole[i], *n = &f->ffn[i];
        char name[12];
        snprintf(name, sizeof name, "%d", (int)o->batch_sizes[i]);
        json_object_set_new(
            batches, name,
            json_pack("{s:f, s:[f,f], s:f, s:[f,f], s:f, s:[f,f], s:f, s:f, s:[f,f,f]}", "speedup",
                      w->speedup, "speedup_quartiles", w->low, w->high, "processor_speedup",
                      w->processor, "seconds", w->seconds[SPARSE], w->seconds[DENSE],
                      "ffn_speedup", n->speedup, "ffn_speedup_quartiles", n->low, n->high,
                      "ffn_processor_speedup", n->processor, "ffn_speedup_least", n->least,
                      "ffn_seconds", n->seconds[SPARSE], n->seconds[DENSE], n->seconds[REST]));
    }
    return batches;
}

static void write_json(const figures *f, const bench_options *o)
{
    json_t *root = json_pack(
        "{s:f, s:f, s:f, s:[f,f], s:[f,f], s:s, s:o, s:o, s:o, s:o, s:o}",
        "speedup", f->whole[0].speedup, "ffn_speedup", f->ffn[0].speedup,
        "ffn_speedup_least", f->ffn[0].least,
        "bytes", f->bytes[SPARSE], f->bytes[DENSE],
        "ffn_bytes", f->ffn_bytes[SPARSE], f->ffn_bytes[DENSE],
        "weights", o->weights == SGT_BF16 ? "bf16" : "f32",
        "batches", batches_of(f, o),
        "components", bench_components(f->components[SPARSE]),
        "components_of_dense", bench_components(f->components[DENSE]),
        "ffn_components", bench_components(f->ffn_components[SPARSE]),
        "ffn_components_of_dense", bench_components(f->ffn_components[DENSE]));
    bench_write_json(root, o->json);
}

void bench_decode_against(const bench_options *o)
{
    figures f = {0};
    sgt_context *context = bench_context(o);
    race_models(&f, context, o);
    race_feed_forwards(&f, context, o);
    print(&f, context, o);
    if (o->json)
        write_json(&f, o);
    sgt_context_free(context);
}
