/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * This file is compiled once per instruction set. A loop handles sixteen elements a step and what
 * is left over as a part of sixteen; the step is written once, and is told how many elements it
 * has. Names here are as in the table of activation_kernels.h, which has the contracts.
 */
#include "activation_kernels.h"

#include "isa_name.h"
#include "noise.h"

#define LANES ((size_t)SGTI_LANES)
#define INLINE static inline __attribute__((always_inline))

/* Ones where there is no mask. */
INLINE sgti_v16 mask_part(const float *mask, size_t i, size_t count)
{
    return mask ? sgti_v16_load_part(mask + i, count, 0.0f) : sgti_v16_set(1.0f);
}

/* ---- SwiGLU ---- */

/* 1 / (1 + e^-x). */
INLINE sgti_v16 sigmoid(sgti_v16 x)
{
    sgti_v16 one = sgti_v16_set(1.0f);
    sgti_v16 e = sgti_v16_exp(sgti_v16_scale(x, -1.0f));
    return sgti_v16_div(one, sgti_v16_add(one, e));
}

INLINE void swiglu_step(const sgti_swiglu_row *row, int masked, size_t i, size_t count)
{
    sgti_v16 g = sgti_v16_load_part(row->gate + i, count, 0.0f);
    sgti_v16 u = sgti_v16_load_part(row->up + i, count, 0.0f);
    sgti_v16 silu = sgti_v16_mul(g, sigmoid(g));
    sgti_v16 out = sgti_v16_mul(silu, u);
    if (masked)
        out = sgti_v16_mul(out, mask_part(row->mask, i, count));
    sgti_v16_store_part(row->out + i, count, out);
}

INLINE void swiglu_steps(const sgti_swiglu_row *row, int masked, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        swiglu_step(row, masked, i, LANES);
    if (i < n)
        swiglu_step(row, masked, i, n - i);
}

/* Two loops, so that the one without a mask has nothing of it. */
static void swiglu(const sgti_swiglu_row *given, size_t n)
{
    const sgti_swiglu_row row = *given;
    if (row.mask)
        swiglu_steps(&row, 1, n);
    else
        swiglu_steps(&row, 0, n);
}

/* With s = sigmoid(g), silu'(g) = s (1 + g (1 - s)). Everything is read before anything is
 * written, because outputs may be inputs. */
INLINE void swiglu_backward_step(const sgti_swiglu_row *row, int masked, size_t i, size_t count)
{
    const sgti_v16 one = sgti_v16_set(1.0f);
    sgti_v16 g = sgti_v16_load_part(row->gate + i, count, 0.0f);
    sgti_v16 u = sgti_v16_load_part(row->up + i, count, 0.0f);
    sgti_v16 dout = sgti_v16_load_part(row->dout + i, count, 0.0f);
    sgti_v16 s = sigmoid(g);
    sgti_v16 silu = sgti_v16_mul(g, s);
    sgti_v16 slope = sgti_v16_mul(s, sgti_v16_fma(g, sgti_v16_sub(one, s), one));
    sgti_v16 out = sgti_v16_mul(silu, u);
    if (masked) {
        sgti_v16 m = mask_part(row->mask, i, count);
        if (row->dmask)
            sgti_v16_store_part(row->dmask + i, count, sgti_v16_mul(dout, out));
        out = sgti_v16_mul(out, m);
        dout = sgti_v16_mul(dout, m);
    }
    sgti_v16_store_part(row->dgate + i, count, sgti_v16_mul(sgti_v16_mul(dout, u), slope));
    sgti_v16_store_part(row->dup + i, count, sgti_v16_mul(dout, silu));
    sgti_v16_store_part(row->out + i, count, out);
}

INLINE void swiglu_backward_steps(const sgti_swiglu_row *row, int masked, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        swiglu_backward_step(row, masked, i, LANES);
    if (i < n)
        swiglu_backward_step(row, masked, i, n - i);
}

static void swiglu_backward(const sgti_swiglu_row *given, size_t n)
{
    const sgti_swiglu_row row = *given;
    if (row.mask || row.dmask)
        swiglu_backward_steps(&row, 1, n);
    else
        swiglu_backward_steps(&row, 0, n);
}

/* ---- ReLU ---- */

INLINE void relu_step(const sgti_relu_row *row, size_t i, size_t count)
{
    sgti_v16 x = sgti_v16_load_part(row->x + i, count, 0.0f);
    sgti_v16 masked = sgti_v16_mul(x, mask_part(row->mask, i, count));
    sgti_v16_store_part(row->out + i, count, sgti_v16_max(sgti_v16_zero(), masked));
}

static void relu(const sgti_relu_row *given, size_t n)
{
    const sgti_relu_row row = *given;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        relu_step(&row, i, LANES);
    if (i < n)
        relu_step(&row, i, n - i);
}

INLINE void relu_backward_step(const sgti_relu_row *row, size_t i, size_t count)
{
    sgti_v16 x = sgti_v16_load_part(row->x + i, count, 0.0f);
    sgti_v16 m = mask_part(row->mask, i, count);
    sgti_v16 dout = sgti_v16_load_part(row->dout + i, count, 0.0f);
    sgti_v16 masked = sgti_v16_mul(x, m);
    dout = sgti_v16_where_positive(masked, dout);
    sgti_v16_store_part(row->dx + i, count, sgti_v16_mul(dout, m));
    if (row->dmask)
        sgti_v16_store_part(row->dmask + i, count,
                            sgti_v16_mul(dout, sgti_v16_where_positive(masked, x)));
    sgti_v16_store_part(row->out + i, count, sgti_v16_max(sgti_v16_zero(), masked));
}

static void relu_backward(const sgti_relu_row *given, size_t n)
{
    const sgti_relu_row row = *given;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        relu_backward_step(&row, i, LANES);
    if (i < n)
        relu_backward_step(&row, i, n - i);
}

/* ---- choosing ---- */

#define CHUNK 1024 /* numbers with noise that lie on the stack */

typedef struct best {
    float value;
    int32_t index;
} best;

/* Looks at x [n], whose first element has index `first` in its group. The largest value is sought
 * first and its place afterwards, which of equals finds the lowest. */
static void find_best(best *found, const float *x, size_t n, size_t first)
{
    const float top = sgti_highest(x, n);
    if (!(top > found->value))
        return;
    const sgti_v16 wanted = sgti_v16_set(top);
    uint32_t equal = 0;
    size_t i = 0;
    for (; !equal; i += LANES)
        equal = sgti_v16_equal(
            sgti_v16_load_part(x + i, n - i < LANES ? n - i : LANES, -INFINITY), wanted);
    *found = (best){top, (int32_t)(first + i - LANES) + (int32_t)__builtin_ctz(equal)};
}

/* Gives logits [n] + temperature g, where the noise is that of number `first` and on. A batch
 * begins at a multiple of 4, so up to 3 numbers before the first are drawn too. */
static const float *with_noise(float *room, const float *logits, const sgti_choice_noise *noise,
                               uint64_t first, size_t n)
{
    const size_t before = (size_t)(first % 4);
    for (size_t i = 0; i < before + n; i += SGTI_NOISE_BATCH)
        sgti_noise_batch(room + i, first - before + i, noise->seed, noise->stream);
    float *sum = room + before;
    for (size_t i = 0; i < n; i++)
        sum[i] = logits[i] + noise->temperature * sum[i];
    return sum;
}

/* Chunks and groups end where they want: the best of a group is carried over. */
static void choose(int32_t *choice, const float *logits, const sgti_choice_noise *noise,
                   size_t groups, size_t units)
{
    float room[CHUNK + 2 * SGTI_NOISE_BATCH];
    const size_t n = groups * units;
    const size_t chunk = noise->temperature != 0.0f ? CHUNK : n;
    best found = {-INFINITY, 0};
    size_t group = 0, inside = 0;
    for (size_t at = 0; at < n; at += chunk) {
        const size_t count = n - at < chunk ? n - at : chunk;
        const float *x = logits + at;
        if (noise->temperature != 0.0f)
            x = with_noise(room, x, noise, noise->first + at, count);
        for (size_t i = 0; i < count;) {
            const size_t length = units - inside < count - i ? units - inside : count - i;
            find_best(&found, x + i, length, inside);
            i += length;
            inside += length;
            if (inside == units) {
                choice[group++] = found.index;
                found = (best){-INFINITY, 0};
                inside = 0;
            }
        }
    }
}

/* ---- softmax ---- */

/* Gives e^(x - top), and adds it to sum. */
INLINE void exponential_step(float *e, const float *x, sgti_v16 top, sgti_v16 *sum, size_t count)
{
    sgti_v16 shifted = sgti_v16_sub(sgti_v16_load_part(x, count, -INFINITY), top);
    sgti_v16 value = sgti_v16_exp(shifted);
    *sum = sgti_v16_add(*sum, value);
    sgti_v16_store_part(e, count, value);
}

/* The largest logit is subtracted before the exponentials, so that none overflows. Where every
 * logit is -infinity, or one is +infinity or NaN, all results are NaN. */
static void softmax(float *mask, const float *logits, size_t units)
{
    const sgti_v16 top = sgti_v16_set(sgti_highest(logits, units));
    sgti_v16 sum = sgti_v16_zero();
    size_t i = 0;
    for (; i + LANES <= units; i += LANES)
        exponential_step(mask + i, logits + i, top, &sum, LANES);
    if (i < units)
        exponential_step(mask + i, logits + i, top, &sum, units - i);
    const float factor = 1.0f / sgti_v16_sum(sum);
    for (size_t j = 0; j < units; j++)
        mask[j] *= factor;
}

/* The sum of a b. */
static float dot(const float *a, const float *b, size_t n)
{
    sgti_v16 sum = sgti_v16_zero();
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        sum = sgti_v16_fma(sgti_v16_load(a + i), sgti_v16_load(b + i), sum);
    if (i < n)
        sum = sgti_v16_fma(sgti_v16_load_tail(a + i, n - i, 0.0f),
                           sgti_v16_load_tail(b + i, n - i, 0.0f), sum);
    return sgti_v16_sum(sum);
}

static void softmax_backward(float *dlogits, const float *mask, const float *dmask, size_t units)
{
    const float mean = dot(mask, dmask, units);
    for (size_t i = 0; i < units; i++)
        dlogits[i] = mask[i] * (dmask[i] - mean);
}

static void softmax_backward_of_one(float *dlogits, const float *mask, int32_t chosen, float dmask,
                                    size_t units)
{
    const float m = mask[chosen];
    const float mean = m * dmask;
    for (size_t i = 0; i < units; i++)
        dlogits[i] = mask[i] * -mean;
    dlogits[chosen] = m * (dmask - mean);
}

const sgti_activation_kernels SGTI_ISA_NAME(sgti_activation_kernels) = {
    .isa = SGTI_ISA_STRING,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .relu = relu,
    .relu_backward = relu_backward,
    .choose = choose,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .softmax_backward_of_one = softmax_backward_of_one,
};
