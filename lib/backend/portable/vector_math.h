/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sixteen floats as one value, whatever the instruction set: one register of 512 bits, two of 256
 * or four of 128, called its pieces. Lane i is always element i, so that code over lanes means the
 * same everywhere and a reduction adds in one fixed order. (A plain 64-byte vector type would do
 * the same, but compilers keep it in memory where the hardware has no such register.)
 *
 * Only for files compiled once per instruction set. NaN and infinities pass through as in IEEE
 * arithmetic; products and sums may be fused.
 */
#ifndef SGTI_VECTOR_MATH_H
#define SGTI_VECTOR_MATH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define SGTI_LANES 16

/* SGTI_EACH(action) does `action` for every piece, by its constant index: a loop would be correct
 * too, but compilers do not always unroll it, and then the pieces go through memory. */
#if defined(__AVX512F__)
#define SGTI_PIECES 1
#define SGTI_EACH(action) action(0)
#elif defined(__AVX__)
#define SGTI_PIECES 2
#define SGTI_EACH(action) action(0) action(1)
#else
#define SGTI_PIECES 4
#define SGTI_EACH(action) action(0) action(1) action(2) action(3)
#endif

#define SGTI_PIECE_LANES (SGTI_LANES / SGTI_PIECES)
#define SGTI_PIECE_BYTES (64 / SGTI_PIECES)

/* What one register holds; the loose twin may lie anywhere and alias anything. */
typedef float sgti_piece __attribute__((vector_size(SGTI_PIECE_BYTES)));
typedef int32_t sgti_piece_i __attribute__((vector_size(SGTI_PIECE_BYTES)));
typedef uint32_t sgti_piece_u __attribute__((vector_size(SGTI_PIECE_BYTES)));
typedef sgti_piece sgti_loose_piece __attribute__((aligned(4), may_alias));

typedef float sgti_quad __attribute__((vector_size(16)));

typedef struct sgti_v16 {
    sgti_piece piece[SGTI_PIECES];
} sgti_v16;

/* ---- one register ---- */

/* All lanes get the value. It is written as a difference because a vector and a scalar make a
 * vector, and x - 0 is x for every x, which x + 0 is not for -0. */
static inline sgti_piece sgti_piece_set(float value)
{
    return value - (sgti_piece){0};
}

/* Forces a product to be rounded before it is used: the compiler cannot look through the empty
 * assembly and so cannot fuse the product with a sum that follows. Left alone, it would fuse in one
 * variant of a kernel and not in the next, and the bits would differ. */
static inline sgti_piece sgti_piece_rounded(sgti_piece value)
{
#if defined(__SSE2__)
    __asm__("" : "+v"(value));
#elif defined(__aarch64__)
    __asm__("" : "+w"(value));
#else
    __asm__("" : "+m"(value));
#endif
    return value;
}

/* The same for one float. */
static inline float sgti_float_rounded(float value)
{
#if defined(__SSE2__)
    __asm__("" : "+v"(value));
#elif defined(__aarch64__)
    __asm__("" : "+w"(value));
#else
    __asm__("" : "+m"(value));
#endif
    return value;
}

static inline sgti_piece sgti_piece_select(sgti_piece_i mask, sgti_piece yes, sgti_piece no)
{
    return (sgti_piece)((mask & (sgti_piece_i)yes) | (~mask & (sgti_piece_i)no));
}

/* a > b ? a : b, so b where either is NaN. */
static inline sgti_piece sgti_piece_max(sgti_piece a, sgti_piece b)
{
#if defined(__AVX512F__)
    return (sgti_piece)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
    return (sgti_piece)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (sgti_piece)_mm_max_ps((__m128)a, (__m128)b);
#else
    return sgti_piece_select(a > b, a, b);
#endif
}

/* a < b ? a : b, so b where either is NaN. */
static inline sgti_piece sgti_piece_min(sgti_piece a, sgti_piece b)
{
#if defined(__AVX512F__)
    return (sgti_piece)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
    return (sgti_piece)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
    return (sgti_piece)_mm_min_ps((__m128)a, (__m128)b);
#else
    return sgti_piece_select(a < b, a, b);
#endif
}

/*
 * e^x within 1.1 units in the last place; 0 and infinity where the result leaves float32, denormals
 * on the way down; NaN for NaN.
 *
 *     x = n ln 2 + r  with a whole n and |r| <= ln(2)/2,  so  e^x = 2^n e^r
 *
 * Adding and subtracting 1.5 * 2^23 rounds to a whole number, because floats of that size have no
 * fraction; the last bits of the sum are n itself, as an integer. ln 2 is subtracted in two parts,
 * the first so short that its product with n is exact (Cody and Waite, 1980). e^r is a polynomial
 * (coefficients of Cephes expf). Without AVX-512, 2^n is multiplied in as two factors, since n may
 * be beyond what one exponent can say.
 */
static inline sgti_piece sgti_piece_exp(sgti_piece x)
{
    const float round = 12582912.0f; /* 1.5 * 2^23, whose bits are 0x4b400000 */
    sgti_piece t = sgti_piece_min(sgti_piece_set(89.0f), x);
    t = sgti_piece_max(sgti_piece_set(-104.0f), t);

    sgti_piece shifted = t * 1.44269504088896341f + round;
    sgti_piece n = shifted - round;
    sgti_piece r = t - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;

    sgti_piece p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r;
    p = p + 1.0f;

#if defined(__AVX512F__)
    return (sgti_piece)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    sgti_piece_i exponent = (sgti_piece_i)shifted - 0x4b400000;
    sgti_piece_i half = exponent >> 1;
    sgti_piece_u low = (sgti_piece_u)(half + 127) << 23;
    sgti_piece_u high = (sgti_piece_u)(exponent - half + 127) << 23;
    return p * (sgti_piece)low * (sgti_piece)high;
#endif
}

/* x = 2^exponent (1 + fraction) with |fraction| below 0.42, for positive normal x. Subtracting the
 * bits of sqrt(1/2) leaves in the upper bits how many times x is doubled from there. */
static inline void sgti_piece_split(sgti_piece *exponent, sgti_piece *fraction, sgti_piece x)
{
    sgti_piece_i doublings = ((sgti_piece_i)x - 0x3f3504f3) >> 23;
    *exponent = __builtin_convertvector(doublings, sgti_piece);
    *fraction = (sgti_piece)((sgti_piece_i)x - (doublings << 23)) - 1.0f;
}

/* ln(2^exponent (1 + fraction)) of such a pair, within 2 units in the last place (polynomial of
 * Cephes logf). As in the exponential ln 2 comes in two parts. */
static inline sgti_piece sgti_piece_log1p(sgti_piece exponent, sgti_piece fraction)
{
    sgti_piece square = fraction * fraction;
    sgti_piece p = fraction * 7.0376836292e-2f - 1.1514610310e-1f;
    p = p * fraction + 1.1676998740e-1f;
    p = p * fraction - 1.2420140846e-1f;
    p = p * fraction + 1.4249322787e-1f;
    p = p * fraction - 1.6668057665e-1f;
    p = p * fraction + 2.0000714765e-1f;
    p = p * fraction - 2.4999993993e-1f;
    p = p * fraction + 3.3333331174e-1f;
    p = p * fraction * square + exponent * -2.12194440e-4f;
    p = p - square * 0.5f;
    return (fraction + p) + exponent * 0.693359375f;
}

/* ---- sixteen lanes ---- */

static inline sgti_v16 sgti_v16_set(float value)
{
    sgti_v16 result;
#define SGTI_ACTION(i) result.piece[i] = sgti_piece_set(value);
    SGTI_EACH(SGTI_ACTION)
#undef SGTI_ACTION
    return result;
}

static inline sgti_v16 sgti_v16_zero(void)
{
    return sgti_v16_set(0.0f);
}

/* Loads and stores take any address of floats; it need not be aligned to vectors. */
static inline sgti_v16 sgti_v16_load(const float *source)
{
    sgti_v16 result;
#define SGTI_ACTION(i)                                                                             \
    result.piece[i] = *(const sgti_loose_piece *)(const void *)(source + (i) * SGTI_PIECE_LANES);
    SGTI_EACH(SGTI_ACTION)
#undef SGTI_ACTION
    return result;
}

static inline void sgti_v16_store(float *target, sgti_v16 value)
{
#define SGTI_ACTION(i)                                                                             \
    *(sgti_loose_piece *)(void *)(target + (i) * SGTI_PIECE_LANES) = value.piece[i];
    SGTI_EACH(SGTI_ACTION)
#undef SGTI_ACTION
}

/* Loads the first `count` lanes (1 to 16) and sets the others to `rest`. No memory past the first
 * `count` floats is touched. */
static inline sgti_v16 sgti_v16_load_tail(const float *source, size_t count, float rest)
{
#if defined(__AVX512F__)
    sgti_v16 result;
    __mmask16 mask = (__mmask16)((1u << count) - 1u);
    result.piece[0] = (sgti_piece)_mm512_mask_loadu_ps(_mm512_set1_ps(rest), mask, source);
    return result;
#else
    float lane[SGTI_LANES];
    for (size_t i = 0; i < SGTI_LANES; i++)
        lane[i] = i < count ? source[i] : rest;
    return sgti_v16_load(lane);
#endif
}

static inline void sgti_v16_store_tail(float *target, size_t count, sgti_v16 value)
{
#if defined(__AVX512F__)
    __mmask16 mask = (__mmask16)((1u << count) - 1u);
    _mm512_mask_storeu_ps(target, mask, (__m512)value.piece[0]);
#else
    float lane[SGTI_LANES];
    sgti_v16_store(lane, value);
    for (size_t i = 0; i < count; i++)
        target[i] = lane[i];
#endif
}

#define SGTI_V16_BINARY(name, expression)                                                          \
    static inline sgti_v16 name(sgti_v16 a, sgti_v16 b)                                            \
    {                                                                                              \
        sgti_v16 result;                                                                           \
        SGTI_EACH(expression)                                                                      \
        return result;                                                                             \
    }

#define SGTI_ADD(i) result.piece[i] = a.piece[i] + b.piece[i];
#define SGTI_SUB(i) result.piece[i] = a.piece[i] - b.piece[i];
#define SGTI_MUL(i) result.piece[i] = a.piece[i] * b.piece[i];
#define SGTI_DIV(i) result.piece[i] = a.piece[i] / b.piece[i];
#define SGTI_MAX(i) result.piece[i] = sgti_piece_max(a.piece[i], b.piece[i]);
#define SGTI_MIN(i) result.piece[i] = sgti_piece_min(a.piece[i], b.piece[i]);

SGTI_V16_BINARY(sgti_v16_add, SGTI_ADD)
SGTI_V16_BINARY(sgti_v16_sub, SGTI_SUB)
SGTI_V16_BINARY(sgti_v16_mul, SGTI_MUL)
SGTI_V16_BINARY(sgti_v16_div, SGTI_DIV)
SGTI_V16_BINARY(sgti_v16_max, SGTI_MAX)
SGTI_V16_BINARY(sgti_v16_min, SGTI_MIN)

#undef SGTI_ADD
#undef SGTI_SUB
#undef SGTI_MUL
#undef SGTI_DIV
#undef SGTI_MAX
#undef SGTI_MIN
#undef SGTI_V16_BINARY

/* a b + c. */
static inline sgti_v16 sgti_v16_fma(sgti_v16 a, sgti_v16 b, sgti_v16 c)
{
    sgti_v16 result;
#define SGTI_ACTION(i) result.piece[i] = a.piece[i] * b.piece[i] + c.piece[i];
    SGTI_EACH(SGTI_ACTION)
#undef SGTI_ACTION
    return result;
}

static inline sgti_v16 sgti_v16_scale(sgti_v16 a, float factor)
{
    sgti_v16 result;
#define SGTI_ACTION(i) result.piece[i] = a.piece[i] * factor;
    SGTI_EACH(SGTI_ACTION)
#undef SGTI_ACTION
    return result;
}

static inline sgti_v16 sgti_v16_exp(sgti_v16 x)
{
    sgti_v16 result;
#define SGTI_ACTION(i) result.piece[i] = sgti_piece_exp(x.piece[i]);
    SGTI_EACH(SGTI_ACTION)
#undef SGTI_ACTION
    return result;
}

/* The lanes of value where those of x are above 0; else 0. */
static inline sgti_v16 sgti_v16_where_positive(sgti_v16 x, sgti_v16 value)
{
    sgti_v16 result;
#define SGTI_ACTION(i)                                                                             \
    result.piece[i] = sgti_piece_select(x.piece[i] > 0.0f, value.piece[i], sgti_piece_set(0.0f));
    SGTI_EACH(SGTI_ACTION)
#undef SGTI_ACTION
    return result;
}

/* The sum of the lanes: the upper half is added to the lower one until one lane is left. This tree
 * is the same for every instruction set. */
static inline float sgti_v16_sum(sgti_v16 value)
{
    sgti_quad q[4];
    memcpy(q, &value, sizeof q);
    sgti_quad sum = (q[0] + q[2]) + (q[1] + q[3]);
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/* The largest lane. If there is a NaN the result may be that or another lane. */
static inline float sgti_v16_highest(sgti_v16 value)
{
    sgti_quad q[4];
    memcpy(q, &value, sizeof q);
    float highest[4];
    for (int i = 0; i < 4; i++) {
        float a = q[0][i] > q[2][i] ? q[0][i] : q[2][i];
        float b = q[1][i] > q[3][i] ? q[1][i] : q[3][i];
        highest[i] = a > b ? a : b;
    }
    float a = highest[0] > highest[2] ? highest[0] : highest[2];
    float b = highest[1] > highest[3] ? highest[1] : highest[3];
    return a > b ? a : b;
}

/* One bit a lane, bit 0 for lane 0: where a equals b. */
static inline uint32_t sgti_v16_equal(sgti_v16 a, sgti_v16 b)
{
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)a.piece[0], (__m512)b.piece[0], _CMP_EQ_OQ);
#else
    uint32_t bits = 0;
    for (int i = 0; i < SGTI_PIECES; i++) {
        sgti_piece_i equal = a.piece[i] == b.piece[i];
#if defined(__AVX__)
        bits |= (uint32_t)_mm256_movemask_ps((__m256)equal) << (i * SGTI_PIECE_LANES);
#elif defined(__SSE2__)
        bits |= (uint32_t)_mm_movemask_ps((__m128)equal) << (i * SGTI_PIECE_LANES);
#else
        for (int lane = 0; lane < SGTI_PIECE_LANES; lane++)
            bits |= (uint32_t)(equal[lane] & 1) << (i * SGTI_PIECE_LANES + lane);
#endif
    }
    return bits;
#endif
}

/* ---- rows of any length ---- */

/* The first `count` lanes, which is all of them in a loop over whole sixteens; then the compiler
 * knows, and no branch is left. */
static inline sgti_v16 sgti_v16_load_part(const float *source, size_t count, float rest)
{
    return count == SGTI_LANES ? sgti_v16_load(source) : sgti_v16_load_tail(source, count, rest);
}

static inline void sgti_v16_store_part(float *target, size_t count, sgti_v16 value)
{
    if (count == SGTI_LANES)
        sgti_v16_store(target, value);
    else
        sgti_v16_store_tail(target, count, value);
}

/* The largest of x [n]; a NaN is passed over, and without any other number it is -infinity. */
static inline float sgti_highest(const float *x, size_t n)
{
    sgti_v16 top = sgti_v16_set(-INFINITY);
    size_t i = 0;
    for (; i + SGTI_LANES <= n; i += SGTI_LANES)
        top = sgti_v16_max(sgti_v16_load(x + i), top);
    if (i < n)
        top = sgti_v16_max(sgti_v16_load_tail(x + i, n - i, -INFINITY), top);
    return sgti_v16_highest(top);
}

#endif
