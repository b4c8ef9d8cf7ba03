/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the BLIS backend. It cuts a product into tiles, and each is one single-threaded
 * call of BLIS on a thread of the context; everything else it leaves to the portable kernels. This
 * is the only folder that knows blis.h.
 */
#ifndef SGTI_BLIS_PRIVATE_H
#define SGTI_BLIS_PRIVATE_H

#include <stdint.h>

#include SGTI_BLIS_HEADER

#include <sgt/sys/backend_args.h>

#include "../../base/strict_math.h"

typedef struct sgti_blis {
    const sgt_backend_host *services;
    void *host;
    int32_t threads;
    int32_t generic;    /* 1: no kernels for this processor */
    cntx_t *context;    /* BLIS's own: the kernels and the sizes of their blocks */
    char kernels[64];
} sgti_blis;

/* Starts BLIS and chooses kernels not wider than `isa`: sets context, generic, kernels. */
int32_t sgti_blis_choose(sgti_blis *blis, const char *isa);

/* Makes BLIS allocate now what products of this context will need: one set of blocks per thread.
 * BLIS ends the process when it gets no memory; so the memory is asked for here first, and later
 * products need none. */
int32_t sgti_blis_reserve(const sgti_blis *blis);

/* 0 in a child that was forked while a thread was inside BLIS: products must do without it. */
int sgti_blis_is_usable(void);

/* Called before and after everything in BLIS that takes its blocks; see blis_fork.c. */
void sgti_blis_enter(void);
void sgti_blis_leave(void);

int32_t sgti_blis_gemm(void *instance, const sgt_gemm_args *args);

#endif
