/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The modules of multiplicative attention, one to a head, and the convolutions that make queries,
 * keys and values of them. A pass computes the n modules that its heads see: those of its heads and
 * of their neighbours, in ascending order. Where they follow one another they are a stretch:
 *
 *     heads 0 3 4 of 7:   modules  0 1 | 2 3 4 5      one stretch, as 2 follows 1
 *     heads 0 5 of 7:     modules  0 1   4 5 6        two stretches
 *
 * A convolution sees F positions, the taps, and W neighbouring modules. So that it is one product,
 * windows hold all taps of a module side by side, and have a module of zeros on either side:
 *
 *     a row      | zeros | tap 0 tap 1 tap 2 | tap 0 tap 1 tap 2 | .. | zeros |   F M columns each
 *                          the first module    the second
 *     the kernel, turned into [M, W F M], reads 3 F M columns for q and k, and F M for v
 */
#ifndef SGTI_MODULES_H
#define SGTI_MODULES_H

#include "attention.h"

/* Modules that follow one another. */
typedef struct sgti_stretch {
    int32_t first; /* the number of the first module */
    int32_t count;
    int32_t place; /* of the first one among those of the pass */
    int32_t head;  /* the next head of the pass that is behind the stretch */
} sgti_stretch;

/* Goes on to the next stretch of a pass, from {0} to the first. Returns 0 behind the last. */
int sgti_next_stretch(sgti_stretch *stretch, const sgt_model_config *config, const sgti_pass *pass);

/* How many heads of a pass, from its head number `head` on, follow one another. */
int32_t sgti_count_neighbours(const sgti_pass *pass, int32_t head);

/* Tap f of windows [N,n,F,M], as [B,N/B,n,M]. */
sgt_tensor sgti_tap_of(const sgt_tensor *windows, int64_t batch, int64_t f);

enum sgti_convolution { SGTI_CONVOLVE_Q, SGTI_CONVOLVE_K, SGTI_CONVOLVE_V, SGTI_CONVOLUTIONS };

/* What the convolutions of a pass work with. */
typedef struct sgti_convolutions {
    const sgti_work *work;
    const sgti_part *part;
    int32_t parameter;   /* index of the first kernel [M,M,F,W]; then its bias [M], and so on */
    int64_t taps;        /* F */
    sgt_tensor windows;  /* [N,(n+2) F M] */
    sgt_tensor kernels[SGTI_CONVOLUTIONS]; /* [M, W F M] turned */
} sgti_convolutions;

/* The modules of windows, without the zeros: [N,n,F,M]. */
sgt_tensor sgti_window_modules(const sgti_convolutions *c);

/* How many columns a turned kernel has: W F M. */
int64_t sgti_kernel_columns(const sgt_model_config *config, const sgt_block_config *block,
                            enum sgti_convolution which);

/* Turns a kernel, or a gradient of its shape: [M_out,M_in,F,W] seen as [M_out,W,F,M_in]. */
sgt_tensor sgti_turned_kernel(sgt_tensor kernel);

/* Makes queries, keys and values [N, 3 h M]. */
sgt_status sgti_convolve(const sgti_convolutions *c, const sgt_tensor *qkv);

typedef struct sgti_convolve_backward_args {
    sgt_tensor d_qkv;     /* [N, 3 h M] */
    sgt_tensor d_kernels; /* scratch for the gradients of all turned kernels */
    sgt_tensor sums;      /* [2, 3 h M] scratch */
} sgti_convolve_backward_args;

/* Adds to the gradients of kernels and biases, and turns windows into their gradient. */
sgt_status sgti_convolve_backward(const sgti_convolutions *c,
                                  const sgti_convolve_backward_args *args);

/* Makes the gradient of u [N,n M] from that of windows: each tap adds as many rows earlier as it
 * lags. */
sgt_status sgti_windows_backward(const sgti_convolutions *c, const sgt_tensor *du);

#endif
