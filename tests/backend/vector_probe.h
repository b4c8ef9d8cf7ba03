/* SPDX-License-Identifier: BSD-3-Clause */
/* Functions of vector_math.h and noise.h on arrays of sixteen, and products of few rows, compiled
 * once per instruction set. */
#ifndef SGTT_VECTOR_PROBE_H
#define SGTT_VECTOR_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "backend/portable/matrix_kernels.h"

typedef struct sgtt_vector_probe {
    void (*exponential)(float *y, const float *x);
    void (*logarithm)(float *y, const float *x);
    void (*gumbel)(float *g, const uint32_t *words);
    uint32_t (*equal)(const float *a, const float *b);
    float (*sum)(const float *x);
    float (*highest)(const float *x);
    /* Doubles the first `count`. */
    void (*tail)(float *y, const float *x, size_t count);
    /* The lanes that load_tail made. */
    void (*load_tail)(float *y, const float *x, size_t count, float rest);
    void (*few_rows)(const sgti_few_rows_part *part);
} sgtt_vector_probe;

extern const sgtt_vector_probe sgtt_vector_probe_baseline;
extern const sgtt_vector_probe sgtt_vector_probe_avx2;
extern const sgtt_vector_probe sgtt_vector_probe_avx512;

#endif
