/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counter-based random numbers (Philox4x32-10, Salmon et al., SC 2011, through Random123): element
 * `index` of stream `stream` under `seed`, without any state.
 */
#ifndef SGTI_RANDOM_H
#define SGTI_RANDOM_H

#include <stdint.h>

/* Four uniform 32-bit words. */
void sgti_random_bits(uint32_t bits[4], uint64_t seed, uint64_t stream, uint64_t index);

/* A normal deviate redrawn until |z| <= cut (cut > 0). */
double sgti_random_truncated_normal(uint64_t seed, uint64_t stream, uint64_t index, double cut);

#endif
