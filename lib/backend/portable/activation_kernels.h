/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inner loops of the middle of a feed-forward, compiled once per instruction set: activations with
 * or without a mask, and what chooses units and makes masks. Each works on contiguous elements, on
 * one thread, and sums in an order that depends on the length only. Arrays do not overlap unless
 * the comment says so.
 */
#ifndef SGTI_ACTIVATION_KERNELS_H
#define SGTI_ACTIVATION_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "../../base/strict_math.h"

/* One row of an operation. Where a comment says that an output may be an input, that holds for the
 * same elements. */
typedef struct sgti_swiglu_row {
    float *out;   /* may be dout, in the forward gate or up */
    float *dgate; /* may be gate */
    float *dup;   /* may be up */
    float *dmask; /* may be mask; NULL: not wanted */
    const float *dout;
    const float *gate;
    const float *up;
    const float *mask; /* NULL: ones */
} sgti_swiglu_row;

typedef struct sgti_relu_row {
    float *out;   /* may be dout, in the forward x */
    float *dx;    /* may be x */
    float *dmask; /* may be mask; NULL: not wanted */
    const float *dout;
    const float *x;
    const float *mask; /* NULL: ones */
} sgti_relu_row;

/* What choosing adds to logits: temperature times the numbers first, first + 1, .. of noise.h. */
typedef struct sgti_choice_noise {
    float temperature; /* 0: nothing */
    uint64_t seed;
    uint64_t stream;
    uint64_t first;
} sgti_choice_noise;

typedef struct sgti_activation_kernels {
    const char *isa;

    /* out = silu(gate) up mask. */
    void (*swiglu)(const sgti_swiglu_row *row, size_t n);
    /* The gradients, and also `out` as the forward gave it, so that nobody has to keep it. */
    void (*swiglu_backward)(const sgti_swiglu_row *row, size_t n);

    /* out = max(0, x mask), NaN for NaN. */
    void (*relu)(const sgti_relu_row *row, size_t n);
    void (*relu_backward)(const sgti_relu_row *row, size_t n);

    /* Gives the index of the largest of each group of logits [groups, units], the lowest of equals;
     * NaN counts as -infinity. */
    void (*choose)(int32_t *choice, const float *logits, const sgti_choice_noise *noise,
                   size_t groups, size_t units);

    /* The softmax of one group, which may be in place; and its gradient
     * dlogits = mask (dmask - sum mask dmask), where dlogits may be mask or dmask. */
    void (*softmax)(float *mask, const float *logits, size_t units);
    void (*softmax_backward)(float *dlogits, const float *mask, const float *dmask, size_t units);
    /* The same where dmask is 0 but for the chosen unit; dlogits may be mask. */
    void (*softmax_backward_of_one)(float *dlogits, const float *mask, int32_t chosen, float dmask,
                                    size_t units);
} sgti_activation_kernels;

/* activation_kernels.c gives the table of SGTI_ISA; only baseline exists for every processor. */
extern const sgti_activation_kernels sgti_activation_kernels_baseline;
extern const sgti_activation_kernels sgti_activation_kernels_avx2;
extern const sgti_activation_kernels sgti_activation_kernels_avx512;

#endif
