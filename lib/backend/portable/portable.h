/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the portable backend: plain C for every slot, on host memory. A buffer is the
 * address of its memory. Inner loops are compiled once per instruction set and reached through
 * tables of kernels; the files named after operations cut the work into parts by shape.
 */
#ifndef SGTI_PORTABLE_H
#define SGTI_PORTABLE_H

#include <sgt/sys/backend_args.h>

#include "../../base/strict_math.h"

struct sgti_row_kernels;    /* row_kernels.h: elementwise work and reductions over rows */
struct sgti_activation_kernels; /* activation_kernels.h: the middle of feed-forwards */
struct sgti_matrix_kernels; /* matrix_kernels.h: tiles of products and attention */

typedef struct sgti_portable {
    const sgt_backend_host *services;
    void *host;
    int32_t threads;
    const char *isa;
    const struct sgti_row_kernels *row;
    const struct sgti_activation_kernels *activation;
    const struct sgti_matrix_kernels *matrix;
    char *scratch; /* threads * scratch_bytes, 64-byte aligned: packing and tiles */
    size_t scratch_bytes;
} sgti_portable;

/* The address of a float32 tensor's first element. */
static inline float *sgti_data(const sgt_tensor *tensor)
{
    return (float *)(void *)tensor->buffer + tensor->offset;
}

/* The same for lists of integers or floats that may be missing; NULL then. */
static inline const int32_t *sgti_integers(const sgt_tensor *tensor)
{
    return tensor ? (const int32_t *)(const void *)tensor->buffer + tensor->offset : NULL;
}

static inline const float *sgti_floats(const sgt_tensor *tensor)
{
    return tensor ? sgti_data(tensor) : NULL;
}

/* A thread's own scratch. */
static inline void *sgti_thread_scratch(const sgti_portable *portable, int32_t thread)
{
    return portable->scratch + (size_t)thread * portable->scratch_bytes;
}

/* The slots, one file per operation. They decline arguments that sgt_args_fit refuses: fields that
 * this version does not know, and types that the slot does not take. */
int32_t sgti_portable_gemm(void *instance, const sgt_gemm_args *args);
int32_t sgti_portable_linear(void *instance, const sgt_linear_args *args);
int32_t sgti_portable_unit_inputs(void *instance, const sgt_units_args *args);
int32_t sgti_portable_unit_outputs(void *instance, const sgt_units_args *args);
int32_t sgti_portable_unit_gradients(void *instance, const sgt_units_args *args);
int32_t sgti_portable_attention(void *instance, const sgt_attention_args *args);
int32_t sgti_portable_attention_backward(void *instance, const sgt_attention_backward_args *args);
int32_t sgti_portable_embedding(void *instance, const sgt_embedding_args *args);
int32_t sgti_portable_embedding_backward(void *instance, const sgt_embedding_backward_args *args);
int32_t sgti_portable_rmsnorm(void *instance, const sgt_rmsnorm_args *args);
int32_t sgti_portable_rmsnorm_backward(void *instance, const sgt_rmsnorm_backward_args *args);
int32_t sgti_portable_rope(void *instance, const sgt_rope_args *args);
int32_t sgti_portable_swiglu(void *instance, const sgt_swiglu_args *args);
int32_t sgti_portable_swiglu_backward(void *instance, const sgt_swiglu_backward_args *args);
int32_t sgti_portable_relu(void *instance, const sgt_relu_args *args);
int32_t sgti_portable_relu_backward(void *instance, const sgt_relu_backward_args *args);
int32_t sgti_portable_choose(void *instance, const sgt_choose_args *args);
int32_t sgti_portable_choose_backward(void *instance, const sgt_choose_backward_args *args);
int32_t sgti_portable_row_products(void *instance, const sgt_row_products_args *args);
int32_t sgti_portable_row_products_backward(void *instance,
                                            const sgt_row_products_backward_args *args);
int32_t sgti_portable_cross_entropy(void *instance, const sgt_cross_entropy_args *args);
int32_t sgti_portable_fill(void *instance, const sgt_tensor *tensor, double value);
int32_t sgti_portable_copy(void *instance, const sgt_elementwise_args *args);
int32_t sgti_portable_add(void *instance, const sgt_elementwise_args *args);
int32_t sgti_portable_axpy(void *instance, const sgt_elementwise_args *args);
int32_t sgti_portable_scale(void *instance, const sgt_elementwise_args *args);
int32_t sgti_portable_convert(void *instance, const sgt_elementwise_args *args);
int32_t sgti_portable_norm(void *instance, const sgt_norm_args *args);
int32_t sgti_portable_adamw(void *instance, const sgt_adamw_args *args);
int32_t sgti_portable_gather_rows(void *instance, const sgt_rows_args *args);
int32_t sgti_portable_scatter_add_rows(void *instance, const sgt_rows_args *args);

#endif
