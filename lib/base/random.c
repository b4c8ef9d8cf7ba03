/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seed is Philox's key; index and stream are its counter. A redraw keeps the index and counts
 * in the upper half of the stream, so that streams below 2^32 never share a number.
 */
#include "random.h"

#include <math.h>

#include <Random123/philox.h>

#define TWO_PI 6.283185307179586476925286766559

void sgti_random_bits(uint32_t bits[4], uint64_t seed, uint64_t stream, uint64_t index)
{
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t counter = {
        {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)}};
    philox4x32_ctr_t drawn = philox4x32(counter, key);
    for (int i = 0; i < 4; i++)
        bits[i] = drawn.v[i];
}

/* Draws two numbers in [0,1), multiples of 2^-53. */
static void uniform_pair(double uniform[2], uint64_t seed, uint64_t stream, uint64_t index,
                         uint64_t draw)
{
    uint32_t bits[4];
    sgti_random_bits(bits, seed, stream + (draw << 32), index);
    for (int i = 0; i < 2; i++) {
        uint64_t word = (uint64_t)bits[2 * i + 1] << 32 | bits[2 * i];
        uniform[i] = (double)(word >> 11) * 0x1p-53;
    }
}

/* For a small cut, which most normal numbers would miss: a number uniform in -cut .. cut is kept
 * with a probability of e^(-z^2/2), the normal density at its place; so few are thrown away. */
static double narrow_normal(uint64_t seed, uint64_t stream, uint64_t index, double cut)
{
    for (uint64_t draw = 0;; draw++) {
        double uniform[2];
        uniform_pair(uniform, seed, stream, index, draw);
        double z = cut * (2 * uniform[0] - 1);
        if (uniform[1] < exp(-0.5 * z * z))
            return z;
    }
}

double sgti_random_truncated_normal(uint64_t seed, uint64_t stream, uint64_t index, double cut)
{
    if (cut < 1)
        return narrow_normal(seed, stream, index, cut);
    for (uint64_t draw = 0;; draw++) {
        double uniform[2];
        uniform_pair(uniform, seed, stream, index, draw);
        double radius = sqrt(-2 * log(1 - uniform[0])); /* Box and Muller, 1958 */
        double angle = TWO_PI * uniform[1];
        double z = radius * cos(angle);
        if (fabs(z) <= cut)
            return z;
        z = radius * sin(angle);
        if (fabs(z) <= cut)
            return z;
    }
}

uint64_t sgti_random_seed(uint64_t seed, uint64_t stream, uint64_t number)
{
    uint32_t bits[4];
    sgti_random_bits(bits, seed, stream, number);
    return (uint64_t)bits[1] << 32 | bits[0];
}

/* Each step takes eight bytes: they are Philox's index, and the hash so far is its key. */
uint64_t sgti_random_hash(const void *data, size_t bytes)
{
    const unsigned char *next = data;
    uint64_t hash = bytes;
    for (size_t left = bytes; left > 0;) {
        size_t count = left < 8 ? left : 8;
        uint64_t word = 0;
        for (size_t i = 0; i < count; i++)
            word |= (uint64_t)next[i] << (8 * i);
        hash = sgti_random_seed(hash, SGTI_STREAM_NAMES, word);
        next += count;
        left -= count;
    }
    return hash;
}
