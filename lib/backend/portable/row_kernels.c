/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * This file is compiled once per instruction set. Where elements of the result do not depend on
 * each other, a plain loop is left to the compiler. Reductions and exponentials use sixteen lanes
 * by hand, so that the order of their sums is fixed; the last group, if it is not full, goes
 * through load_tail and store_tail. Names here are as in the table of row_kernels.h, which has the
 * contracts.
 */
#include "row_kernels.h"

#include <math.h>

#include "../../base/number_formats.h"
#include "isa_name.h"
#include "vector_math.h"

#define LANES ((size_t)SGTI_LANES)

#if defined(__GNUC__) && !defined(__clang__)
#define UNROLL _Pragma("GCC unroll 8")
#else
#define UNROLL
#endif

/* ---- elementwise ---- */

static void add(float *restrict y, const float *restrict x, const float *restrict z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] + z[i];
}

static void axpy(float *restrict y, float alpha, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += alpha * x[i];
}

static void multiply(float *restrict y, const float *restrict x, const float *restrict z,
                     size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * z[i];
}

static void multiply_add(float *restrict y, const float *restrict x, const float *restrict z,
                         size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i] * z[i];
}

static void scale(float *y, float alpha, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] *= alpha;
}

/* Gradients are set to zero on the way: they are in the cache, and nobody has to walk over them
 * again. */
static void adamw(const sgti_adamw_step *step, float *restrict param, float *restrict grad,
                  float *restrict moment1, float *restrict moment2, size_t n)
{
    const sgti_adamw_step s = *step;
    const float rest1 = 1.0f - s.beta1;
    const float rest2 = 1.0f - s.beta2;
    for (size_t i = 0; i < n; i++) {
        float g = grad[i] * s.grad_scale;
        float m = s.beta1 * moment1[i] + rest1 * g;
        float v = s.beta2 * moment2[i] + rest2 * (g * g);
        param[i] = param[i] * s.decay - s.rate * m / (sqrtf(v * s.inverse_correction2) + s.eps);
        moment1[i] = m;
        moment2[i] = v;
        grad[i] = 0.0f;
    }
}

static void f32_to_bf16(uint16_t *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = sgti_f32_to_bf16(x[i]);
}

static void f32_to_f16(uint16_t *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = sgti_f32_to_f16(x[i]);
}

static void bf16_to_f32(float *restrict y, const uint16_t *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = sgti_bf16_to_f32(x[i]);
}

static void f16_to_f32(float *restrict y, const uint16_t *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = sgti_f16_to_f32(x[i]);
}

/* ---- sums in double: the lanes of a vector added to sixteen doubles ---- */

typedef double wide __attribute__((vector_size(SGTI_PIECE_BYTES)));
typedef float narrow __attribute__((vector_size(SGTI_PIECE_BYTES / 2)));

enum { WIDE_PIECES = 2 * SGTI_PIECES };

/* Sixteen running sums, one a lane. */
typedef struct wide_sum {
    wide piece[WIDE_PIECES];
} wide_sum;

/* The lanes as doubles. */
static inline wide_sum widen(sgti_v16 value)
{
    wide_sum result;
#if defined(__AVX512F__)
    __m512 lanes = (__m512)value.piece[0];
    __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(lanes), 1));
    result.piece[0] = (wide)_mm512_cvtps_pd(_mm512_castps512_ps256(lanes));
    result.piece[1] = (wide)_mm512_cvtps_pd(upper);
#else
    narrow half[WIDE_PIECES];
    memcpy(half, &value, sizeof half);
    UNROLL
    for (int p = 0; p < WIDE_PIECES; p++)
        result.piece[p] = __builtin_convertvector(half[p], wide);
#endif
    return result;
}

static inline void add_lanes(wide_sum *sum, sgti_v16 value)
{
    wide_sum exact = widen(value);
    UNROLL
    for (int p = 0; p < WIDE_PIECES; p++)
        sum->piece[p] += exact.piece[p];
}

/* Squares of float32 are exact in double. */
static inline void add_squares(wide_sum *sum, sgti_v16 value)
{
    wide_sum exact = widen(value);
    UNROLL
    for (int p = 0; p < WIDE_PIECES; p++)
        sum->piece[p] += exact.piece[p] * exact.piece[p];
}

/* Adds the lanes, the upper half to the lower one until one is left. */
static double total(const wide_sum *sum)
{
    double lane[SGTI_LANES];
    memcpy(lane, sum, sizeof lane);
    for (size_t width = LANES / 2; width > 0; width /= 2) {
        for (size_t i = 0; i < width; i++)
            lane[i] += lane[i + width];
    }
    return lane[0];
}

static double sum_of_squares(const float *x, size_t n)
{
    wide_sum sum = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        add_squares(&sum, sgti_v16_load(x + i));
    if (i < n)
        add_squares(&sum, sgti_v16_load_tail(x + i, n - i, 0.0f));
    return total(&sum);
}

/* ---- RMSNorm ---- */

/* 1 / sqrt(mean(x^2) + eps). Two sums take turns, so that one addition need not wait for the
 * other. */
static float inverse_rms(const float *x, float eps, size_t d)
{
    sgti_v16 even = sgti_v16_zero();
    sgti_v16 odd = sgti_v16_zero();
    size_t i = 0;
    for (; i + 2 * LANES <= d; i += 2 * LANES) {
        sgti_v16 a = sgti_v16_load(x + i);
        sgti_v16 b = sgti_v16_load(x + i + LANES);
        even = sgti_v16_fma(a, a, even);
        odd = sgti_v16_fma(b, b, odd);
    }
    if (i + LANES <= d) {
        sgti_v16 a = sgti_v16_load(x + i);
        even = sgti_v16_fma(a, a, even);
        i += LANES;
    }
    if (i < d) {
        sgti_v16 a = sgti_v16_load_tail(x + i, d - i, 0.0f);
        odd = sgti_v16_fma(a, a, odd);
    }
    float sum = sgti_v16_sum(sgti_v16_add(even, odd));
    return 1.0f / sqrtf(sum / (float)d + eps);
}

static void rmsnorm(float *y, const float *x, const float *weight, float eps, size_t d)
{
    float r = inverse_rms(x, eps, d);
    size_t i = 0;
    for (; i + LANES <= d; i += LANES) {
        sgti_v16 normed = sgti_v16_scale(sgti_v16_load(x + i), r);
        sgti_v16_store(y + i, sgti_v16_mul(normed, sgti_v16_load(weight + i)));
    }
    if (i < d) {
        sgti_v16 normed = sgti_v16_scale(sgti_v16_load_tail(x + i, d - i, 0.0f), r);
        sgti_v16 w = sgti_v16_load_tail(weight + i, d - i, 0.0f);
        sgti_v16_store_tail(y + i, d - i, sgti_v16_mul(normed, w));
    }
}

/* With r the inverse RMS and c = sum_j dy_j w_j x_j: dx_i += r w_i dy_i - x_i c r^3 / d. */
static void rmsnorm_backward(float *restrict dx, float *restrict dweight,
                             const float *restrict dy, const float *restrict x,
                             const float *restrict weight, float eps, size_t d)
{
    sgti_v16 dot = sgti_v16_zero();
    size_t i = 0;
    for (; i + LANES <= d; i += LANES) {
        sgti_v16 wdy = sgti_v16_mul(sgti_v16_load(dy + i), sgti_v16_load(weight + i));
        dot = sgti_v16_fma(wdy, sgti_v16_load(x + i), dot);
    }
    if (i < d) {
        size_t rest = d - i;
        sgti_v16 wdy = sgti_v16_mul(sgti_v16_load_tail(dy + i, rest, 0.0f),
                                    sgti_v16_load_tail(weight + i, rest, 0.0f));
        dot = sgti_v16_fma(wdy, sgti_v16_load_tail(x + i, rest, 0.0f), dot);
    }
    float r = inverse_rms(x, eps, d);
    float along_x = sgti_v16_sum(dot) * r * r / (float)d;
    for (size_t j = 0; j < d; j++) {
        float normed = x[j] * r;
        dx[j] += r * (weight[j] * dy[j]) - along_x * normed;
        dweight[j] += dy[j] * normed;
    }
}

/* ---- RoPE ---- */

/* (a, b) becomes (a cos - b sin, b cos + a sin), for sixteen pairs at a time. */
static void rope(float *x, const float *cosine, const float *sine, float direction, size_t half)
{
    float *high = x + half;
    for (size_t i = 0; i < half; i += LANES) {
        size_t count = half - i;
        int whole = count >= LANES;
        sgti_v16 a = whole ? sgti_v16_load(x + i) : sgti_v16_load_tail(x + i, count, 0.0f);
        sgti_v16 b = whole ? sgti_v16_load(high + i) : sgti_v16_load_tail(high + i, count, 0.0f);
        sgti_v16 c = whole ? sgti_v16_load(cosine + i)
                           : sgti_v16_load_tail(cosine + i, count, 0.0f);
        sgti_v16 s = whole ? sgti_v16_load(sine + i) : sgti_v16_load_tail(sine + i, count, 0.0f);
        s = sgti_v16_scale(s, direction);
        sgti_v16 turned_a = sgti_v16_sub(sgti_v16_mul(a, c), sgti_v16_mul(b, s));
        sgti_v16 turned_b = sgti_v16_fma(b, c, sgti_v16_mul(a, s));
        if (whole) {
            sgti_v16_store(x + i, turned_a);
            sgti_v16_store(high + i, turned_b);
        } else {
            sgti_v16_store_tail(x + i, count, turned_a);
            sgti_v16_store_tail(high + i, count, turned_b);
        }
    }
}

/* ---- cross-entropy ---- */

/* The sum of e^(x - shift), whose terms are kept unless `terms` is NULL. It is in double, because
 * when the target is nearly certain, the loss is what little the other terms add to its 1. */
static double sum_of_exponentials(float *terms, const float *x, float shift, size_t n)
{
    const sgti_v16 minus = sgti_v16_set(shift);
    wide_sum sum = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        sgti_v16 e = sgti_v16_exp(sgti_v16_sub(sgti_v16_load(x + i), minus));
        add_lanes(&sum, e);
        if (terms != NULL)
            sgti_v16_store(terms + i, e);
    }
    if (i < n) {
        sgti_v16 tail = sgti_v16_load_tail(x + i, n - i, -INFINITY);
        sgti_v16 e = sgti_v16_exp(sgti_v16_sub(tail, minus));
        add_lanes(&sum, e);
        if (terms != NULL)
            sgti_v16_store_tail(terms + i, n - i, e);
    }
    return total(&sum);
}

/* The largest logit is subtracted before the exponentials, so that none overflows. dlogits may be
 * logits: so what is needed of logits[target] is read before the terms are written over it. Where
 * every logit is -infinity, or one is +infinity or NaN, all results are NaN. */
static float cross_entropy(float *dlogits, const float *logits, size_t target, size_t n)
{
    float top = sgti_highest(logits, n);
    double margin = (double)top - (double)logits[target];
    double z = sum_of_exponentials(dlogits, logits, top, n);
    if (dlogits != NULL) {
        double at_target = (double)dlogits[target] / z - 1.0;
        scale(dlogits, (float)(1.0 / z), n);
        dlogits[target] = (float)at_target;
    }
    return (float)(log(z) + margin);
}

const sgti_row_kernels SGTI_ISA_NAME(sgti_row_kernels) = {
    .isa = SGTI_ISA_STRING,
    .add = add,
    .axpy = axpy,
    .scale = scale,
    .multiply = multiply,
    .multiply_add = multiply_add,
    .sum_of_squares = sum_of_squares,
    .rmsnorm = rmsnorm,
    .rmsnorm_backward = rmsnorm_backward,
    .rope = rope,
    .cross_entropy = cross_entropy,
    .adamw = adamw,
    .f32_to_bf16 = f32_to_bf16,
    .f32_to_f16 = f32_to_f16,
    .bf16_to_f32 = bf16_to_f32,
    .f16_to_f32 = f16_to_f32,
};
