/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two files of the backend share. */
#ifndef OPENBLAS_BACKEND_H
#define OPENBLAS_BACKEND_H

#include <sgt/sys/backend_args.h>

/* One per context. */
typedef struct openblas_backend {
    const sgt_backend_host *services;
    void *host;
    int one_at_a_time; /* this OpenBLAS must not be called by two threads at once */
    char kernels[64];
} openblas_backend;

int32_t openblas_gemm(void *instance, const sgt_gemm_args *args);

#endif
