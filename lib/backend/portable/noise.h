/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gumbel noise without state, many numbers at a time. Number i of a seed and a stream is
 *
 *     g = -ln(-ln u)   with   u = 1e-6 + (1 - 2e-6) (word + 1/2) / 2^32
 *
 * and word number i mod 4 of Philox4x32-10 (Salmon et al., SC 2011) at counter (i / 4, stream) with
 * the seed as its key. Only for files compiled once per instruction set.
 */
#ifndef SGTI_NOISE_H
#define SGTI_NOISE_H

#include "vector_math.h"

/* One counter in each lane. Only the lower halves of lanes count; the upper ones may hold
 * anything, so that a product needs no clearing before it goes on. */
typedef uint64_t sgti_counters __attribute__((vector_size(SGTI_PIECE_BYTES)));

enum {
    SGTI_COUNTERS = SGTI_PIECE_BYTES / 8,
    SGTI_NOISE_BATCH = 4 * SGTI_COUNTERS /* numbers that are drawn together */
};

/* Lanes 0 and 2, 1 and 3 of each 128 bits side by side, as words in memory. */
typedef struct sgti_word_pieces {
    sgti_piece_i piece[2];
} sgti_word_pieces;

/* The products of the lower halves, all 64 bits of them. */
static inline sgti_counters sgti_counters_product(sgti_counters a, uint64_t factor)
{
    const sgti_counters b = (sgti_counters){0} + factor;
#if defined(__AVX512F__)
    return (sgti_counters)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (sgti_counters)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__) && !defined(__AVX__)
    return (sgti_counters)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xffffffffu) * b;
#endif
}

/* Both lower lanes of each 128 bits, then both upper ones: a, b become (a0, b0), (a1, b1). */
static inline sgti_word_pieces sgti_counters_unpack(sgti_counters a, sgti_counters b)
{
    sgti_word_pieces words;
#if defined(__AVX512F__)
    words.piece[0] = (sgti_piece_i)_mm512_unpacklo_epi64((__m512i)a, (__m512i)b);
    words.piece[1] = (sgti_piece_i)_mm512_unpackhi_epi64((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    words.piece[0] = (sgti_piece_i)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b);
    words.piece[1] = (sgti_piece_i)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b);
#else
    sgti_counters low, high;
    for (int i = 0; i < SGTI_COUNTERS; i += 2) {
        low[i] = a[i];
        low[i + 1] = b[i];
        high[i] = a[i + 1];
        high[i + 1] = b[i + 1];
    }
    words.piece[0] = (sgti_piece_i)low;
    words.piece[1] = (sgti_piece_i)high;
#endif
    return words;
}

/*
 * The words of counters `first` and on, in order. The two counters of 128 bits are half a batch
 * apart, because that is how unpacking brings their words into order:
 *
 *     lanes       0   1    2   3          words   counter 0, counter 1, ..  in piece 0
 *     counters    0   P    1   P+1   ->           counter P, counter P+1, ..  in piece 1
 */
static inline sgti_word_pieces sgti_philox(uint64_t first, uint64_t seed, uint64_t stream)
{
    sgti_counters index;
    for (int i = 0; i < SGTI_COUNTERS; i++)
        index[i] = first + (uint64_t)(i / 2 + i % 2 * (SGTI_COUNTERS / 2));
    sgti_counters a = index, b = index >> 32;
    sgti_counters c = (sgti_counters){0} + stream, d = (sgti_counters){0} + (stream >> 32);
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        sgti_counters product0 = sgti_counters_product(a, 0xd2511f53u);
        sgti_counters product1 = sgti_counters_product(c, 0xcd9e8d57u);
        a = (product1 >> 32) ^ b ^ (uint64_t)key0;
        c = (product0 >> 32) ^ d ^ (uint64_t)key1;
        b = product1;
        d = product0;
        key0 += 0x9e3779b9u;
        key1 += 0xbb67ae85u;
    }
    return sgti_counters_unpack((a & 0xffffffffu) | b << 32, (c & 0xffffffffu) | d << 32);
}

/*
 * -ln(-ln u). Near 1 a float32 u says little of -ln u, so the distance p to the nearer end of 0 and
 * 1 is taken from the word, exactly to float32, and for u above sqrt(1/2) the logarithm is that of
 * 1 - p with no 1 - p made.
 */
static inline sgti_piece sgti_gumbel(sgti_piece_i word)
{
    const float step = (float)((1.0 - 2e-6) / 4294967296.0);
    const float least = (float)(1e-6 + 0.5 * (1.0 - 2e-6) / 4294967296.0);
    sgti_piece_i upper = word >> 31; /* all bits where u is above 1/2 */
    sgti_piece p = __builtin_convertvector(word ^ upper, sgti_piece) * step + least;
    sgti_piece u = sgti_piece_select(upper, 1.0f - p, p);
    sgti_piece exponent, fraction;
    sgti_piece_split(&exponent, &fraction, u);
    fraction = sgti_piece_select(upper & (exponent == 0.0f), -p, fraction);
    sgti_piece minus_log = -sgti_piece_log1p(exponent, fraction);
    sgti_piece_split(&exponent, &fraction, minus_log);
    return -sgti_piece_log1p(exponent, fraction);
}

/* Numbers first .. first + SGTI_NOISE_BATCH - 1, where `first` is a multiple of 4. */
static inline void sgti_noise_batch(float *noise, uint64_t first, uint64_t seed, uint64_t stream)
{
    sgti_word_pieces words = sgti_philox(first / 4, seed, stream);
    for (int i = 0; i < 2; i++)
        *(sgti_loose_piece *)(void *)(noise + i * SGTI_PIECE_LANES) = sgti_gumbel(words.piece[i]);
}

#endif
