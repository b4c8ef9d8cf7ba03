/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decoding speed. Sessions of the vanilla model, of a depth plan and of bf16 copies take turns, a
 * few tokens each at the same length of context, so that all see the same machine; with --far one
 * more of the vanilla model, behind a longer context. Figures are medians; ratios are medians of
 * the ratios of neighbours. With --against it is bench_decode_against.c instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "bench_decode_against.h"
#include "core/context.h"

enum { VANILLA, GROWN, ROUNDED, FAR, KINDS, MOST_SEQUENCES = 8 };

typedef struct bench_run {
    sgt_context *context;
    sgt_model *model;
    sgt_plan *plans[KINDS];
    sgt_session *sessions[KINDS];
    int32_t *tokens;
    float *logits; /* [MOST_SEQUENCES,V] */
} bench_run;

typedef struct figures {
    double token;         /* seconds of a vanilla token, median */
    double bytes;         /* of weights that it reads */
    double read_rate;     /* bytes per second of the machine, median */
    double share;         /* bytes / token against it, median of neighbours */
    double overhead, overhead_low, overhead_high, overhead_bytes;
    double bf16_gain;
    double far_ratio;     /* tokens per second behind the longer context against the first */
    double cache_bytes[KINDS];
    double shared[MOST_SEQUENCES + 1]; /* seconds of one token each of so many sequences */
    double prefill;       /* seconds of the whole context */
    double prefill_flops;
    double gemm_rate;
    double components[SGTI_PROFILE_SLOTS];
} figures;

static void use_plan(bench_run *run, int kind)
{
    bench_check(sgt_model_set_plan(run->model, run->plans[kind]), "plan");
}

static int count_kinds(const bench_options *o)
{
    return o->far > 0 ? KINDS : FAR;
}

static int32_t context_of(int kind, const bench_options *o)
{
    return kind == FAR ? o->far : o->prompt;
}

static void make_session(bench_run *run, figures *f, int kind, const bench_options *o)
{
    sgt_session_options options;
    sgt_session_memory memory = {.size = sizeof memory};
    int32_t prompt = context_of(kind, o);
    sgt_session_options_init(&options, sizeof options);
    options.max_length = prompt + o->tokens;
    options.weights = kind == ROUNDED ? SGT_BF16 : SGT_F32;
    use_plan(run, kind);
    bench_check(sgt_session_estimate_memory(&memory, run->model, &options), "memory");
    f->cache_bytes[kind] = (double)memory.cache;
    bench_check(sgt_session_create(&run->sessions[kind], run->model, &options), "session");
    bench_check(sgt_session_feed(NULL, run->sessions[kind], 0, run->tokens, prompt), "prompt");
}

static void make(bench_run *run, figures *f, const bench_options *o)
{
    run->context = bench_context(o);
    for (int kind = 0; kind < KINDS; kind++)
        bench_check(sgt_plan_create(&run->plans[kind], run->context, o->config.n_layers,
                                    o->config.n_heads), "plan");
    sgt_plan_free(run->plans[GROWN]);
    run->plans[GROWN] = bench_plan(run->context, o);
    bench_check(sgt_model_create(&run->model, run->context, &o->config, &o->model), "model");
    bench_check(sgt_model_init_weights(run->model, NULL), "init");
    size_t n = (size_t)o->config.max_seq_len;
    run->tokens = bench_tokens(n, o->config.vocab_size);
    run->logits = malloc(MOST_SEQUENCES * (size_t)o->config.vocab_size * sizeof *run->logits);
    if (!run->logits)
        exit(1);
    for (int kind = 0; kind < count_kinds(o); kind++)
        make_session(run, f, kind, o);
}

/* Seconds per token of a few tokens after the prompt. */
static double decode(bench_run *run, int kind, const bench_options *o)
{
    sgt_session *session = run->sessions[kind];
    int32_t prompt = context_of(kind, o);
    use_plan(run, kind);
    bench_check(sgt_session_rewind(session, 0, prompt), "rewind");
    double start = bench_now();
    for (int32_t i = 0; i < o->tokens; i++)
        bench_check(sgt_session_feed(run->logits, session, 0, run->tokens + prompt + i, 1),
                    "token");
    return (bench_now() - start) / o->tokens;
}

static void measure_decoding(bench_run *run, figures *f, const bench_options *o)
{
    int rounds = o->steps, threads = sgti_pool_threads(run->context->pool);
    int kinds = count_kinds(o);
    double *times = malloc(6 * (size_t)rounds * sizeof *times);
    char *memory = bench_read_memory();
    if (!times)
        exit(1);
    double *vanilla = times, *overhead = times + rounds, *gain = times + 2 * rounds;
    double *rate = times + 3 * rounds, *share = times + 4 * rounds;
    double *far = times + 5 * rounds;
    for (int round = -2; round < rounds; round++) {
        double seconds[KINDS] = {0};
        for (int i = 0; i < kinds; i++) {
            int kind = (round & 1) ? kinds - 1 - i : i;
            seconds[kind] = decode(run, kind, o);
        }
        double reading = bench_read_rate(memory, threads);
        if (round < 0)
            continue;
        rate[round] = reading;
        share[round] = f->bytes / seconds[VANILLA] / reading;
        vanilla[round] = seconds[VANILLA];
        overhead[round] = seconds[GROWN] / seconds[VANILLA] - 1.0;
        gain[round] = seconds[VANILLA] / seconds[ROUNDED];
        far[round] = kinds > FAR ? seconds[VANILLA] / seconds[FAR] : 0.0;
    }
    f->token = bench_median(vanilla, rounds);
    f->overhead = bench_median(overhead, rounds);
    f->overhead_low = bench_quantile(overhead, rounds, 0.25);
    f->overhead_high = bench_quantile(overhead, rounds, 0.75);
    f->bf16_gain = bench_median(gain, rounds);
    f->far_ratio = bench_median(far, rounds);
    f->read_rate = bench_median(rate, rounds);
    f->share = bench_median(share, rounds);
    free(memory);
    free(times);
    use_plan(run, VANILLA);
    sgti_profile_start(run->context->dispatch, f->components);
    decode(run, VANILLA, o);
    sgti_profile_stop(run->context->dispatch);
    for (int i = 0; i < SGTI_PROFILE_SLOTS; i++)
        f->components[i] /= o->tokens;
}

/* One token each of several sequences: they share one pass over the weights. */
static void measure_shared(bench_run *run, figures *f, const bench_options *o)
{
    enum { ROUNDS = 7, REPEATS = 4 };
    sgt_session *session;
    sgt_session_options options;
    sgt_session_options_init(&options, sizeof options);
    options.sequences = MOST_SEQUENCES;
    options.max_length = o->prompt + 1;
    use_plan(run, VANILLA);
    bench_check(sgt_session_create(&session, run->model, &options), "session");
    bench_check(sgt_session_feed(NULL, session, 0, run->tokens, o->prompt), "prompt");
    for (int32_t i = 1; i < MOST_SEQUENCES; i++)
        bench_check(sgt_session_copy(session, i, 0, o->prompt), "copy");
    for (int32_t count = 1; count <= MOST_SEQUENCES; count *= 2) {
        const sgt_feed feed = {.size = sizeof feed, .count = count, .tokens = run->tokens,
                               .logits = run->logits};
        double seconds[ROUNDS];
        for (int round = -1; round < ROUNDS; round++) {
            double start = bench_now();
            for (int i = 0; i < REPEATS; i++) {
                bench_check(sgt_session_feed_batch(session, &feed), "feed");
                for (int32_t s = 0; s < count; s++)
                    bench_check(sgt_session_rewind(session, s, o->prompt), "rewind");
            }
            if (round >= 0)
                seconds[round] = (bench_now() - start) / REPEATS;
        }
        f->shared[count] = bench_median(seconds, ROUNDS);
    }
    sgt_session_free(session);
}

static void measure_prefill(bench_run *run, figures *f, const bench_options *o)
{
    enum { ROUNDS = 5 };
    double seconds[ROUNDS];
    sgt_session *session;
    sgt_flops flops = {.size = sizeof flops};
    sgt_flops_options options;
    bench_options shape = *o;
    use_plan(run, VANILLA);
    bench_check(sgt_session_create(&session, run->model, NULL), "session");
    for (int round = -1; round < ROUNDS; round++) {
        bench_check(sgt_session_rewind(session, 0, 0), "rewind");
        double start = bench_now();
        bench_check(sgt_session_feed(run->logits, session, 0, run->tokens, o->seq), "prefill");
        if (round >= 0)
            seconds[round] = bench_now() - start;
    }
    sgt_session_free(session);
    f->prefill = bench_median(seconds, ROUNDS);
    sgt_flops_options_init(&options, sizeof options);
    options.seq = o->seq;
    options.phase = SGT_PHASE_EVALUATE;
    bench_check(sgt_flops_count(&flops, &o->config, run->plans[VANILLA], &options), "flops");
    f->prefill_flops = (flops.forward - flops.head) * o->seq + flops.head;
    shape.batch = 1;
    f->gemm_rate = bench_gemm_rate(run->context, &shape, BENCH_FORWARD_BLOCKS);
}

/* Of the weights that every token reads, and of those that loops add. */
static double weight_bytes(const bench_options *o)
{
    sgt_flops flops = {.size = sizeof flops};
    sgt_flops_options options;
    sgt_flops_options_init(&options, sizeof options);
    options.phase = SGT_PHASE_DECODE;
    bench_check(sgt_flops_count(&flops, &o->config, NULL, &options), "flops");
    return flops.weight_bytes;
}

static double plan_bytes(const bench_run *run)
{
    sgt_session_memory memory = {.size = sizeof memory};
    bench_check(sgt_session_estimate_memory(&memory, run->model, NULL), "memory");
    return (double)memory.weights;
}

static void print(const figures *f, const bench_run *run, const bench_options *o)
{
    sgt_backend_info info = {.size = sizeof info};
    bench_check(sgt_context_get_backend(&info, run->context), "info");
    printf("kernels             %s, %d threads\n", info.kernels, (int)info.threads);
    printf("token               %.2f ms after %d: %.2f tokens/s\n", f->token * 1e3,
           (int)o->prompt, 1.0 / f->token);
    printf("cache               %.0f bytes\n", f->cache_bytes[VANILLA]);
    if (o->far > 0)
        printf("after %-14d %.3f x the tokens/s, cache %.0f bytes\n", (int)o->far, f->far_ratio,
               f->cache_bytes[FAR]);
    printf("weights             %.1f MB a token, %.1f GB/s\n", f->bytes * 1e-6,
           f->bytes / f->token * 1e-9);
    printf("reading memory      %.1f GB/s, share %.1f %%\n", f->read_rate * 1e-9,
           100.0 * f->share);
    printf("overhead of %-8s %.2f %% (quartiles %.2f to %.2f), bytes %.2f %%\n", o->plan,
           100.0 * f->overhead, 100.0 * f->overhead_low, 100.0 * f->overhead_high,
           100.0 * f->overhead_bytes);
    printf("bf16 copies         %.2f x as fast\n", f->bf16_gain);
    for (int count = 1; count <= MOST_SEQUENCES; count *= 2)
        printf("%d sequences         %.2f tokens/s\n", count, count / f->shared[count]);
    printf("prefill of %-8d %.0f tokens/s, %.1f GFLOP/s, %.1f %% of the GEMM ceiling of %.1f\n",
           (int)o->seq, o->seq / f->prefill, f->prefill_flops / f->prefill * 1e-9,
           100.0 * f->prefill_flops / f->prefill / f->gemm_rate, f->gemm_rate * 1e-9);
    bench_print_components(f->components, f->token);
}

static void write_json(const figures *f, const bench_options *o)
{
    json_t *shared = json_object();
    for (int count = 1; count <= MOST_SEQUENCES; count *= 2) {
        char name[12];
        snprintf(name, sizeof name, "%d", count);
        json_object_set_new(shared, name, json_real(count / f->shared[count]));
    }
    json_t *root = json_pack(
        "{s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:[f,f], s:f, s:f, s:f, s:f, s:f, s:s, s:o, s:o}",
        "far_ratio", f->far_ratio, "cache_bytes", f->cache_bytes[VANILLA], "far_cache_bytes",
        f->cache_bytes[FAR], "tokens_per_s", 1.0 / f->token, "bandwidth_share", f->share,
        "read_gbytes_per_s", f->read_rate * 1e-9, "overhead", f->overhead, "overhead_quartiles",
        f->overhead_low, f->overhead_high, "overhead_bytes", f->overhead_bytes, "bf16_gain",
        f->bf16_gain, "prefill_tokens_per_s", o->seq / f->prefill, "prefill_gemm_share",
        f->prefill_flops / f->prefill / f->gemm_rate, "gemm_gflops", f->gemm_rate * 1e-9, "plan",
        o->plan, "sequences_tokens_per_s", shared, "components",
        bench_components(f->components));
    bench_write_json(root, o->json);
}

int main(int argc, char **argv)
{
    bench_options options = {.seq = 2048, .steps = 11, .prompt = 128, .tokens = 8,
                             .plan = "sgt:3,2", .opponent = "dense", .batches = "1"};
    bench_run run = {0};
    figures f = {0};
    sgt_model_config_init(&options.config, sizeof options.config);
    sgt_model_options_init(&options.model, sizeof options.model);
    options.config.d_model = 1024;
    options.config.n_layers = 16;
    options.config.n_heads = 16;
    options.config.d_ff = 4096;
    options.config.vocab_size = 50304;
    bench_parse(&options, argc, argv);
    int32_t longest = options.far > options.prompt ? options.far : options.prompt;
    if (options.config.max_seq_len < longest + options.tokens)
        options.config.max_seq_len = longest + options.tokens;
    if (options.against) {
        bench_decode_against(&options);
        return 0;
    }
    make(&run, &f, &options);
    f.bytes = weight_bytes(&options);
    measure_decoding(&run, &f, &options);
    use_plan(&run, GROWN);
    f.overhead_bytes = plan_bytes(&run) / f.bytes;
    measure_shared(&run, &f, &options);
    measure_prefill(&run, &f, &options);
    print(&f, &run, &options);
    if (options.json)
        write_json(&f, &options);
    free(run.tokens);
    free(run.logits);
    for (int kind = 0; kind < KINDS; kind++) {
        sgt_session_free(run.sessions[kind]);
        sgt_plan_free(run.plans[kind]);
    }
    sgt_model_free(run.model);
    sgt_context_free(run.context);
    return 0;
}
