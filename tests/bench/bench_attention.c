/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forward and gradient of one layer's attention, under a pattern and dense in turn.
 *
 *     bench_attention --seq 16384 --heads 8 --head-dim 64 --pattern local:256 --threads 2
 *
 * ratio is dense / pattern in time, pairs_ratio in pairs of a query and a key, bytes what the
 * operation reads and writes.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/dispatch.h"
#include "backend/storage.h"
#include "bench.h"
#include "core/patterns.h"
#include "core/tensors.h"

typedef struct bench {
    sgti_dispatch *dispatch;
    int64_t seq, heads, kv_heads, head_dim;
    sgti_storage storage, lists;
    sgt_tensor q, k, v, out, lse, dout, dq, dk, dv, list;
    sgt_attention_pattern *patterns; /* [kv_heads] */
} bench;

static int64_t number(const char *text)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (*end || value < 1) {
        fprintf(stderr, "bench_attention: '%s' is no number of at least 1\n", text);
        exit(2);
    }
    return value;
}

/* [1,T,heads,dh] behind what was taken already. */
static sgt_tensor take(const bench *b, uint64_t *taken, int64_t heads)
{
    sgt_tensor t = sgti_tensor_2d(b->storage.buffer, *taken, b->seq, heads * b->head_dim);
    *taken += (uint64_t)(b->seq * heads * b->head_dim);
    t.rank = 4;
    t.shape[0] = 1;
    t.shape[1] = b->seq;
    t.shape[2] = heads;
    t.shape[3] = b->head_dim;
    t.strides[0] = b->seq * heads * b->head_dim;
    t.strides[1] = heads * b->head_dim;
    t.strides[2] = b->head_dim;
    t.strides[3] = 1;
    return t;
}

static uint64_t elements(const bench *b)
{
    uint64_t wide = (uint64_t)(b->seq * b->heads * b->head_dim);
    uint64_t narrow = (uint64_t)(b->seq * b->kv_heads * b->head_dim);
    return 4 * wide + 4 * narrow + (uint64_t)(b->seq * b->heads);
}

static void make_tensors(bench *b)
{
    uint64_t taken = 0, count = elements(b);
    bench_check(sgti_storage_allocate(&b->storage, b->dispatch, count * sizeof(float), "tensors"),
                "memory");
    b->q = take(b, &taken, b->heads);
    b->out = take(b, &taken, b->heads);
    b->dout = take(b, &taken, b->heads);
    b->dq = take(b, &taken, b->heads);
    b->k = take(b, &taken, b->kv_heads);
    b->v = take(b, &taken, b->kv_heads);
    b->dk = take(b, &taken, b->kv_heads);
    b->dv = take(b, &taken, b->kv_heads);
    b->lse = sgti_tensor_2d(b->storage.buffer, taken, b->heads, b->seq);
    b->lse.rank = 3;
    b->lse.shape[0] = 1;
    b->lse.shape[1] = b->heads;
    b->lse.shape[2] = b->seq;
    b->lse.strides[0] = b->heads * b->seq;
    b->lse.strides[1] = b->seq;
    b->lse.strides[2] = 1;
    float *values = malloc(count * sizeof *values);
    for (uint64_t i = 0; i < count; i++)
        values[i] = (float)(i * 2654435761u % 2048) / 1024.0f - 1.0f;
    sgt_tensor all = sgti_tensor_1d(b->storage.buffer, 0, (int64_t)count);
    bench_check(sgti_write(b->dispatch, &all, values), "write");
    free(values);
}

static void make_list(bench *b)
{
    int32_t *list = malloc((size_t)b->heads * sizeof *list);
    for (int64_t i = 0; i < b->heads; i++)
        list[i] = (int32_t)(i / (b->heads / b->kv_heads));
    bench_check(sgti_storage_allocate(&b->lists, b->dispatch,
                                      (uint64_t)b->heads * sizeof(int32_t), "a list"),
                "memory");
    b->list = sgti_tensor_1d(b->lists.buffer, 0, b->heads);
    b->list.dtype = SGT_I32;
    bench_check(sgti_write(b->dispatch, &b->list, list), "write");
    free(list);
}

/* Seconds of one forward and of one gradient. */
static void run(double seconds[2], const bench *b, const sgt_attention_pattern *patterns)
{
    float scale = 0.125f;
    double start = bench_now();
    sgt_attention_args forward = {.scale = scale, .q = &b->q, .k = &b->k, .v = &b->v,
                                  .out = &b->out, .lse = &b->lse, .kv_heads = &b->list,
                                  .patterns = patterns};
    bench_check(sgti_attention(b->dispatch, &forward), "attention");
    bench_check(sgti_sync(b->dispatch), "sync");
    double middle = bench_now();
    sgt_attention_backward_args backward = {.scale = scale, .q = &b->q, .k = &b->k, .v = &b->v,
                                            .out = &b->out, .lse = &b->lse, .dout = &b->dout,
                                            .dq = &b->dq, .dk = &b->dk, .dv = &b->dv,
                                            .kv_heads = &b->list, .patterns = patterns};
    bench_check(sgti_attention_backward(b->dispatch, &backward), "attention_backward");
    bench_check(sgti_sync(b->dispatch), "sync");
    seconds[0] = middle - start;
    seconds[1] = bench_now() - middle;
}

/* Medians of forward and gradient under the pattern, then dense, which take turns. */
static void time_both(double medians[4], const bench *b, int rounds)
{
    double *times = calloc((size_t)(4 * rounds), sizeof *times), pair[2];
    for (int round = -1; round < rounds; round++)
        for (int dense = 0; dense < 2; dense++) {
            run(pair, b, dense ? NULL : b->patterns);
            for (int i = 0; i < 2 && round >= 0; i++)
                times[(2 * dense + i) * rounds + round] = pair[i];
        }
    for (int i = 0; i < 4; i++)
        medians[i] = bench_median(times + i * rounds, rounds);
    free(times);
}

static void report(const bench *b, const double t[4], const char *spec, const char *file)
{
    double pairs = (double)sgti_pattern_pairs(b->patterns, b->seq);
    double all = (double)sgti_pattern_pairs(&sgti_dense_pattern, b->seq);
    double ratio = (t[2] + t[3]) / (t[0] + t[1]);
    printf("pattern      %s, T %lld, %lld heads of %lld\n", spec, (long long)b->seq,
           (long long)b->heads, (long long)b->head_dim);
    printf("forward      %.3f ms, dense %.3f ms: %.1f x\n", t[0] * 1e3, t[2] * 1e3, t[2] / t[0]);
    printf("gradient     %.3f ms, dense %.3f ms: %.1f x\n", t[1] * 1e3, t[3] * 1e3, t[3] / t[1]);
    printf("ratio        %.2f (pairs %.2f)\n", ratio, all / pairs);
    if (file)
        bench_write_json(json_pack("{s:s, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "pattern", spec,
                                   "seq", (json_int_t)b->seq, "forward", t[0], "gradient", t[1],
                                   "dense_forward", t[2], "dense_gradient", t[3], "ratio", ratio,
                                   "pairs_ratio", all / pairs, "bytes",
                                   (json_int_t)(elements(b) * sizeof(float))),
                         file);
}

int main(int argc, char **argv)
{
    enum { SEQ = 1, HEADS, KV_HEADS, HEAD_DIM, THREADS, ROUNDS, PATTERN, JSON, ISA };
    static const struct option options[] = {
        {"seq", 1, NULL, SEQ},           {"heads", 1, NULL, HEADS},
        {"kv-heads", 1, NULL, KV_HEADS}, {"head-dim", 1, NULL, HEAD_DIM},
        {"threads", 1, NULL, THREADS},   {"rounds", 1, NULL, ROUNDS},
        {"pattern", 1, NULL, PATTERN},   {"json", 1, NULL, JSON},
        {"isa", 1, NULL, ISA},           {NULL, 0, NULL, 0}};
    int64_t numbers[] = {0, 16384, 8, 0, 64, 0, 5};
    const char *strings[] = {"local:256", NULL, NULL};
    double medians[4];
    sgt_context *context = NULL;
    sgt_context_options chosen;
    for (int which; (which = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (which == '?')
            return 2;
        if (which < PATTERN)
            numbers[which] = number(optarg);
        else
            strings[which - PATTERN] = optarg;
    }
    bench_check(sgt_context_options_init(&chosen, sizeof chosen), "options");
    chosen.threads = (int32_t)numbers[THREADS];
    chosen.isa = strings[2];
    bench_check(sgt_context_create(&context, &chosen), "context");
    bench b = {.dispatch = context->dispatch, .seq = numbers[SEQ], .heads = numbers[HEADS],
               .kv_heads = numbers[KV_HEADS] ? numbers[KV_HEADS] : numbers[HEADS],
               .head_dim = numbers[HEAD_DIM]};
    b.patterns = calloc((size_t)b.kv_heads, sizeof *b.patterns);
    for (int64_t i = 0; i < b.kv_heads; i++) {
        b.patterns[i].size = sizeof b.patterns[i];
        bench_check(sgt_attention_pattern_parse(&b.patterns[i], strings[0]), "--pattern");
    }
    make_tensors(&b);
    make_list(&b);
    time_both(medians, &b, (int)numbers[ROUNDS]);
    report(&b, medians, strings[0], strings[1]);
    sgti_storage_free(&b.storage, b.dispatch);
    sgti_storage_free(&b.lists, b.dispatch);
    free(b.patterns);
    sgt_context_free(context);
    return 0;
}
