/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random numbers without state (Philox4x32-10, Salmon et al., SC 2011, through Random123): a number
 * is a function of a seed, a stream and an index. So any thread can draw any number at any time,
 * and what is drawn does not depend on the order.
 */
#ifndef SGTI_RANDOM_H
#define SGTI_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "strict_math.h"

/* All streams of the library stand here, so that no two draw the same numbers. Code that draws from
 * one may add to it what fits into the lower 32 bits, a layer for example. */
#define SGTI_STREAM_WEIGHTS   UINT64_C(0)                  /* redraws count in the upper half */
#define SGTI_STREAM_HEADS     (UINT64_C(0x68656164) << 32) /* heads picked by chance, by layer */
#define SGTI_STREAM_TOKENS    (UINT64_C(0x7069636b) << 32) /* of a sampler */
#define SGTI_STREAM_NAMES     (UINT64_C(0x6e616d65) << 32) /* sgti_random_hash */
#define SGTI_STREAM_PARAMETER (UINT64_C(0x70617261) << 32) /* a parameter's own seed */
#define SGTI_STREAM_FORWARD   (UINT64_C(0x666f7277) << 32) /* the seed of a training forward, */
#define SGTI_STREAM_HARD      (UINT64_C(0x68617264) << 32) /* in which parts are hard, by run, */
#define SGTI_STREAM_CHOICES   (UINT64_C(0x63686f69) << 32) /* and their choices noisy, by run */

/* Four uniform 32-bit words. */
void sgti_random_bits(uint32_t bits[4], uint64_t seed, uint64_t stream, uint64_t index);

/* A standard normal number, redrawn until |z| <= cut (cut > 0). */
double sgti_random_truncated_normal(uint64_t seed, uint64_t stream, uint64_t index, double cut);

/* A hash: 64 bits that depend on every byte and on their number. */
uint64_t sgti_random_hash(const void *data, size_t bytes);

/* A seed for other streams: one for each `number` of this stream. */
uint64_t sgti_random_seed(uint64_t seed, uint64_t stream, uint64_t number);

#endif
