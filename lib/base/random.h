/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counter-based random numbers (Philox4x32-10, Salmon et al., SC 2011, through Random123): element
 * `index` of stream `stream` under `seed`, without any state.
 */
#ifndef SGTI_RANDOM_H
#define SGTI_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "strict_math.h"

/* Every stream of the library, so that no two draw the same numbers. A user may add what fits into
 * the lower 32 bits: a layer, say. */
#define SGTI_STREAM_WEIGHTS   UINT64_C(0)                  /* redraws count in the upper half */
#define SGTI_STREAM_HEADS     (UINT64_C(0x68656164) << 32) /* heads picked by chance, by layer */
#define SGTI_STREAM_TOKENS    (UINT64_C(0x7069636b) << 32) /* of a sampler */
#define SGTI_STREAM_NAMES     (UINT64_C(0x6e616d65) << 32) /* sgti_random_hash */
#define SGTI_STREAM_PARAMETER (UINT64_C(0x70617261) << 32) /* a parameter's own seed */

/* Four uniform 32-bit words. */
void sgti_random_bits(uint32_t bits[4], uint64_t seed, uint64_t stream, uint64_t index);

/* A normal deviate redrawn until |z| <= cut (cut > 0). */
double sgti_random_truncated_normal(uint64_t seed, uint64_t stream, uint64_t index, double cut);

/* 64 bits that depend on every byte and on their number. */
uint64_t sgti_random_hash(const void *data, size_t bytes);

/* A seed of its own for each `number` of a stream. */
uint64_t sgti_random_seed(uint64_t seed, uint64_t stream, uint64_t number);

#endif
