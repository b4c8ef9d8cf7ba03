/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The limits that a step is held against: the library's own products on the model's shapes, and
 * the multiply-adds and the reading of memory that the processor can do at all.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/dispatch.h"
#include "bench.h"
#include "core/tensors.h"

/* ---- products ---- */

typedef struct shape {
    int64_t m, n, k;
    int times; /* per step */
    int a_transposed, b_transposed;
} shape;

/* The products of a linear map [rows,in] -> [rows,out]: y = x w^T; and in training dx = dy w and
 * dw = dy^T x. */
static int linear(shape *list, int count, int64_t rows, int64_t in, int64_t out, int times,
                  enum bench_products products)
{
    list[count++] = (shape){rows, out, in, times, 0, 1};
    if (products == BENCH_TRAINING) {
        list[count++] = (shape){rows, in, out, times, 0, 0};
        list[count++] = (shape){out, in, rows, times, 1, 0};
    }
    return count;
}

static sgt_tensor operand(sgt_buffer *buffer, int64_t rows, int64_t columns, int transposed)
{
    return transposed ? sgti_transposed(sgti_tensor_2d(buffer, 0, columns, rows))
                      : sgti_tensor_2d(buffer, 0, rows, columns);
}

static double time_shape(sgti_dispatch *dispatch, const shape *s, sgt_buffer *const *buffers)
{
    sgt_tensor a = operand(buffers[0], s->m, s->k, s->a_transposed);
    sgt_tensor b = operand(buffers[1], s->k, s->n, s->b_transposed);
    sgt_tensor c = sgti_tensor_2d(buffers[2], 0, s->m, s->n);
    enum { ROUNDS = 7 };
    double seconds[ROUNDS];
    double flops = 2.0 * (double)s->m * (double)s->n * (double)s->k;
    int repeats = (int)(5e9 / flops) + 1;
    for (int round = -1; round < ROUNDS; round++) {
        double start = bench_now();
        for (int i = 0; i < repeats; i++)
            bench_check(sgti_gemm(dispatch, &c, 1.0f, &a, &b, 0.0f, NULL), "gemm");
        if (round >= 0)
            seconds[round] = (bench_now() - start) / repeats;
    }
    return bench_median(seconds, ROUNDS);
}

double bench_gemm_rate(sgt_context *context, const bench_options *o, enum bench_products products)
{
    const sgt_model_config *c = &o->config;
    int64_t rows = (int64_t)o->batch * o->seq, d = c->d_model, ff = c->d_ff, v = c->vocab_size;
    int64_t dh = c->head_dim ? c->head_dim : d / c->n_heads;
    int64_t kv = c->n_kv_heads ? c->n_kv_heads : c->n_heads;
    int64_t q = c->n_heads * dh, most = 0;
    int inputs = o->block.feed_forward == SGT_FEED_FORWARD_RELU ? 1 : 2;
    shape list[15];
    int count = 0;
    count = linear(list, count, rows, d, q + 2 * kv * dh, c->n_layers, products);
    count = linear(list, count, rows, q, d, c->n_layers, products);
    count = linear(list, count, rows, d, inputs * ff, c->n_layers, products);
    count = linear(list, count, rows, ff, d, c->n_layers, products);
    if (products == BENCH_TRAINING)
        count = linear(list, count, rows, d, v, 1, products);
    for (int i = 0; i < count; i++) {
        int64_t sizes[] = {list[i].m * list[i].k, list[i].k * list[i].n, list[i].m * list[i].n};
        for (int j = 0; j < 3; j++)
            most = sizes[j] > most ? sizes[j] : most;
    }
    sgt_buffer *buffers[3];
    for (int j = 0; j < 3; j++) {
        bench_check(sgti_buffer_allocate(&buffers[j], context->dispatch, (uint64_t)most * 4),
                    "buffers of the products");
        sgt_tensor all = sgti_tensor_1d(buffers[j], 0, most);
        bench_check(sgti_fill(context->dispatch, &all, 0.01), "fill");
    }
    double flops = 0.0, seconds = 0.0;
    for (int i = 0; i < count; i++) {
        double one = time_shape(context->dispatch, &list[i], buffers);
        double work = 2.0 * (double)list[i].m * (double)list[i].n * (double)list[i].k;
        printf("  gemm %6lld x %6lld x %6lld %s%s  %6.1f GFLOP/s\n", (long long)list[i].m,
               (long long)list[i].n, (long long)list[i].k, list[i].a_transposed ? "t" : "n",
               list[i].b_transposed ? "t" : "n", work / one * 1e-9);
        seconds += list[i].times * one;
        flops += list[i].times * work;
    }
    for (int j = 0; j < 3; j++)
        sgti_buffer_free(context->dispatch, buffers[j], (uint64_t)most * 4);
    return flops / seconds;
}

/* ---- multiply-adds on registers ---- */

#define CHAINS 16
#define TURNS  20000000

typedef float lanes16 __attribute__((vector_size(64)));
typedef float lanes8 __attribute__((vector_size(32)));
typedef float lanes4 __attribute__((vector_size(16)));

#define PEAK_LOOP(name, lanes, target)                                                             \
    target static double name(void)                                                                \
    {                                                                                              \
        lanes sums[CHAINS], x = {0};                                                               \
        lanes y = x + 0.999999f;                                                                   \
        for (int i = 0; i < CHAINS; i++)                                                           \
            sums[i] = x + (float)i;                                                                \
        for (int turn = 0; turn < TURNS; turn++) {                                                 \
            _Pragma("GCC unroll 16") for (int i = 0; i < CHAINS; i++) sums[i] = sums[i] * y + y;   \
        }                                                                                          \
        for (int i = 1; i < CHAINS; i++)                                                           \
            sums[0] += sums[i];                                                                    \
        return (double)sums[0][0] * 0.0 + 2.0 * TURNS * CHAINS * (double)(sizeof x / 4);           \
    }

#if defined(__x86_64__)
PEAK_LOOP(peak_avx512, lanes16, __attribute__((target("avx512f"))))
PEAK_LOOP(peak_avx2, lanes8, __attribute__((target("avx2,fma"))))
PEAK_LOOP(peak_any, lanes4, )

static void *peak_thread(void *flops)
{
    *(double *)flops = __builtin_cpu_supports("avx512f") ? peak_avx512()
                       : __builtin_cpu_supports("fma")   ? peak_avx2()
                                                         : peak_any();
    return NULL;
}

double bench_peak_rate(int32_t threads)
{
    pthread_t ids[256];
    double flops[256], total = 0.0;
    double start = bench_now();
    for (int32_t i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, peak_thread, &flops[i]))
            return 0.0;
    for (int32_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        total += flops[i];
    }
    return total / (bench_now() - start);
}
#else
double bench_peak_rate(int32_t threads)
{
    (void)threads;
    return 0.0;
}
#endif

/* ---- reading memory ---- */

#define READ_BYTES ((size_t)1 << 30)
#define LARGE_PAGE ((size_t)2 << 20)

typedef struct read_share {
    const char *memory;
    size_t bytes;
    uint64_t sum;
} read_share;

/* Integer sums in many lanes: the compiler makes them as wide as it may, and memory is the limit
 * long before. */
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
static uint64_t sum_of(const uint64_t *words, size_t count)
{
    uint64_t lanes[32] = {0}, sum = 0;
    for (size_t i = 0; i + 32 <= count; i += 32)
        for (int lane = 0; lane < 32; lane++)
            lanes[lane] += words[i + (size_t)lane];
    for (int lane = 0; lane < 32; lane++)
        sum += lanes[lane];
    return sum;
}

static void *read_thread(void *argument)
{
    read_share *share = argument;
    share->sum = sum_of((const uint64_t *)(const void *)share->memory, share->bytes / 8);
    return NULL;
}

char *bench_read_memory(void)
{
    void *memory = NULL;
    if (posix_memalign(&memory, LARGE_PAGE, READ_BYTES))
        exit(1);
    madvise(memory, READ_BYTES, MADV_HUGEPAGE);
    memset(memory, 1, READ_BYTES);
    return memory;
}

double bench_read_rate(const char *memory, int32_t threads)
{
    pthread_t ids[256];
    read_share shares[256];
    size_t part = READ_BYTES / (size_t)threads / 4096 * 4096;
    double start = bench_now();
    for (int32_t i = 0; i < threads; i++) {
        shares[i] = (read_share){.memory = memory + (size_t)i * part, .bytes = part};
        if (pthread_create(&ids[i], NULL, read_thread, &shares[i]))
            exit(1);
    }
    for (int32_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        if (shares[i].sum != part / 8 * UINT64_C(0x0101010101010101))
            exit(1);
    }
    return (double)part * threads / (bench_now() - start);
}
