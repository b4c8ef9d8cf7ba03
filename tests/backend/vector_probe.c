/* SPDX-License-Identifier: BSD-3-Clause */
#include "vector_probe.h"

#include "backend/portable/few_rows_tile.h"
#include "backend/portable/isa_name.h"
#include "backend/portable/noise.h"
#include "backend/portable/vector_math.h"

static void exponential(float *y, const float *x)
{
    sgti_v16_store(y, sgti_v16_exp(sgti_v16_load(x)));
}

static void logarithm(float *y, const float *x)
{
    sgti_v16 value = sgti_v16_load(x);
    for (int i = 0; i < SGTI_PIECES; i++) {
        sgti_piece exponent, fraction;
        sgti_piece_split(&exponent, &fraction, value.piece[i]);
        value.piece[i] = sgti_piece_log1p(exponent, fraction);
    }
    sgti_v16_store(y, value);
}

static void gumbel(float *g, const uint32_t *words)
{
    sgti_v16 value;
    for (int i = 0; i < SGTI_PIECES; i++) {
        sgti_piece_i word;
        memcpy(&word, words + i * SGTI_PIECE_LANES, sizeof word);
        value.piece[i] = sgti_gumbel(word);
    }
    sgti_v16_store(g, value);
}

static uint32_t equal(const float *a, const float *b)
{
    return sgti_v16_equal(sgti_v16_load(a), sgti_v16_load(b));
}

static float sum(const float *x)
{
    return sgti_v16_sum(sgti_v16_load(x));
}

static float highest(const float *x)
{
    return sgti_v16_highest(sgti_v16_load(x));
}

static void tail(float *y, const float *x, size_t count)
{
    sgti_v16_store_tail(y, count, sgti_v16_scale(sgti_v16_load_tail(x, count, 0.0f), 2.0f));
}

static void load_tail(float *y, const float *x, size_t count, float rest)
{
    sgti_v16_store(y, sgti_v16_load_tail(x, count, rest));
}

const sgtt_vector_probe SGTI_ISA_NAME(sgtt_vector_probe) = {
    exponential, logarithm, gumbel, equal, sum, highest, tail, load_tail, few_rows_part,
};
