/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernels of matrix products and attention, compiled once per instruction set. Each works on one
 * part of an operation with the scratch of one thread; gemm.c, attention.c and
 * attention_backward.c cut operations into parts. Nothing here allocates or fails. An element of a
 * result is always summed in the same order, whichever part or thread computes it.
 */
#ifndef SGTI_MATRIX_KERNELS_H
#define SGTI_MATRIX_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Scratch of a thread for any kernel of the table, aligned to 64 bytes. */
#define SGTI_MATRIX_SCRATCH_BYTES ((size_t)2 << 20)

/* The largest head dimension that the attention kernels take. */
#define SGTI_ATTENTION_MAX_HEAD_DIM 512

/*
 * Part of a product, C = alpha A B + beta D: C [rows,cols] with columns contiguous, A [rows,depth]
 * and B [depth,cols] each with one of its strides 1, D with any, NULL for beta 0. D may be C.
 */
typedef struct sgti_gemm_part {
    int64_t rows;
    int64_t cols;
    int64_t depth;
    float alpha;
    float beta;
    const float *a;
    int64_t a_row;
    int64_t a_col;
    const float *b;
    int64_t b_row;
    int64_t b_col;
    float *c;
    int64_t c_row;
    const float *d;
    int64_t d_row;
    int64_t d_col;
} sgti_gemm_part;

typedef struct sgti_attention_part sgti_attention_part;
typedef struct sgti_attention_backward_part sgti_attention_backward_part;

typedef struct sgti_matrix_kernels {
    const char *isa;
    void (*gemm)(const sgti_gemm_part *part, void *scratch);
    void (*attention)(const sgti_attention_part *part, void *scratch);
    void (*attention_backward)(const sgti_attention_backward_part *part, void *scratch);
} sgti_matrix_kernels;

/* matrix_kernels.c gives the table of SGTI_ISA; only baseline exists for every processor. */
extern const sgti_matrix_kernels sgti_matrix_kernels_baseline;
extern const sgti_matrix_kernels sgti_matrix_kernels_avx2;
extern const sgti_matrix_kernels sgti_matrix_kernels_avx512;

#endif
