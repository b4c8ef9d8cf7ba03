/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the OpenCL backend. One instance has one device, one context and one queue, which
 * runs its work in order: that gives the order that libsgt asks for. Buffers are device memory;
 * there is no host_pointer, so every operation runs on the device.
 *
 * Kernels keep their arguments, so an operation holds the lock of its instance while it sets them
 * and enqueues; evaluations may come from several threads.
 */
#ifndef OPENCL_BACKEND_H
#define OPENCL_BACKEND_H

#include <pthread.h>

#include <CL/cl.h>
#include <sgt/sys/backend_args.h>

/* The text of all .cl files. */
extern const char opencl_source[];

#define OPENCL_KERNELS(X)                                                                          \
    X(convert) X(fill) X(copy2) X(copy4) X(copy8) X(add) X(axpy) X(scale) X(norm) X(norm_sum)      \
    X(gemm)                                                                                        \
    X(linear) X(adamw) X(gather2) X(gather4) X(scatter_add) X(embedding) X(embedding_backward)     \
    X(rmsnorm) X(rmsnorm_dx) X(rmsnorm_parts) X(rmsnorm_dweight) X(rope) X(swiglu)                 \
    X(swiglu_backward) X(cross_entropy) X(attention) X(entropies) X(attention_dq)                  \
    X(attention_dkv)                                                                               \
    X(masked_swiglu) X(masked_swiglu_backward) X(relu) X(relu_backward) X(choose)                  \
    X(choose_backward) X(row_products) X(row_products_sum)

typedef enum opencl_kernel {
#define OPENCL_INDEX(name) OPENCL_##name,
    OPENCL_KERNELS(OPENCL_INDEX)
#undef OPENCL_INDEX
    OPENCL_KERNEL_COUNT
} opencl_kernel;

typedef struct opencl_backend {
    const sgt_backend_host *services;
    void *host;
    pthread_mutex_t lock;
    cl_device_id device;
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    cl_kernel kernels[OPENCL_KERNEL_COUNT];
    cl_mem scratch; /* of the operation under way; grows */
    size_t scratch_bytes;
    char description[160];
} opencl_backend;

struct sgt_buffer {
    cl_mem memory;
};

/* ---- opencl_device.c ---- */

/* Records what went wrong and returns a status. */
int32_t opencl_fail(const opencl_backend *self, const char *what, cl_int code);

/* Finds the device of the options and builds the kernels for it. */
int32_t opencl_start(opencl_backend *self, const char *options);
void opencl_stop(opencl_backend *self);

/* An argument of a kernel. */
typedef struct opencl_argument {
    size_t bytes;
    const void *value;
} opencl_argument;

#define OPENCL_VALUE(variable) {sizeof(variable), &(variable)}
#define OPENCL_BUFFER(tensor)  {sizeof(cl_mem), &(tensor)->buffer->memory}
#define OPENCL_COUNT(list)     ((int)(sizeof(list) / sizeof *(list)))

/* Enqueues a kernel for so many items, its first argument; under the lock. */
int32_t opencl_launch(opencl_backend *self, opencl_kernel which, cl_long items, int count,
                      const opencl_argument *arguments);

/* The same, taking the lock: an operation of one kernel. */
int32_t opencl_run(opencl_backend *self, opencl_kernel which, cl_long items, int count,
                   const opencl_argument *arguments);

/* Makes self->scratch at least this long; under the lock. */
int32_t opencl_reserve(opencl_backend *self, size_t bytes);

/* ---- tensors for kernels, as elementwise.cl has them ---- */

typedef struct opencl_view {
    cl_long offset;
    cl_long shape[SGT_MAX_RANK];
    cl_long strides[SGT_MAX_RANK];
} opencl_view;

opencl_view opencl_view_of(const sgt_tensor *tensor);

/* Where a dense tensor starts, as an argument of its own; -1 for one that is missing. */
cl_long opencl_offset(const sgt_tensor *tensor);

/* A tensor that may be missing, or another one in its place, which is not touched. */
static inline const sgt_tensor *opencl_either(const sgt_tensor *wanted, const sgt_tensor *other)
{
    return wanted ? wanted : other;
}

cl_long opencl_count(const sgt_tensor *tensor);
size_t opencl_element_bytes(int32_t dtype);

/* ---- the operations ---- */

int32_t opencl_copy(void *instance, const sgt_elementwise_args *args);
int32_t opencl_fill(void *instance, const sgt_tensor *tensor, double value);
int32_t opencl_gemm(void *instance, const sgt_gemm_args *args);
int32_t opencl_linear(void *instance, const sgt_linear_args *args);
int32_t opencl_add(void *instance, const sgt_elementwise_args *args);
int32_t opencl_axpy(void *instance, const sgt_elementwise_args *args);
int32_t opencl_scale(void *instance, const sgt_elementwise_args *args);
int32_t opencl_norm(void *instance, const sgt_norm_args *args);
int32_t opencl_convert(void *instance, const sgt_elementwise_args *args);
int32_t opencl_adamw(void *instance, const sgt_adamw_args *args);
int32_t opencl_gather_rows(void *instance, const sgt_rows_args *args);
int32_t opencl_scatter_add_rows(void *instance, const sgt_rows_args *args);
int32_t opencl_embedding(void *instance, const sgt_embedding_args *args);
int32_t opencl_embedding_backward(void *instance, const sgt_embedding_backward_args *args);
int32_t opencl_rmsnorm(void *instance, const sgt_rmsnorm_args *args);
int32_t opencl_rmsnorm_backward(void *instance, const sgt_rmsnorm_backward_args *args);
int32_t opencl_rope(void *instance, const sgt_rope_args *args);
int32_t opencl_swiglu(void *instance, const sgt_swiglu_args *args);
int32_t opencl_swiglu_backward(void *instance, const sgt_swiglu_backward_args *args);
int32_t opencl_cross_entropy(void *instance, const sgt_cross_entropy_args *args);
int32_t opencl_attention(void *instance, const sgt_attention_args *args);
int32_t opencl_attention_backward(void *instance, const sgt_attention_backward_args *args);
int32_t opencl_relu(void *instance, const sgt_relu_args *args);
int32_t opencl_relu_backward(void *instance, const sgt_relu_backward_args *args);
int32_t opencl_choose(void *instance, const sgt_choose_args *args);
int32_t opencl_choose_backward(void *instance, const sgt_choose_backward_args *args);
int32_t opencl_row_products(void *instance, const sgt_row_products_args *args);
int32_t opencl_row_products_backward(void *instance, const sgt_row_products_backward_args *args);

/* SwiGLU with a mask or a choice, or whose mask wants a gradient. */
int32_t opencl_masked_swiglu(void *instance, const sgt_swiglu_args *args);
int32_t opencl_masked_swiglu_backward(void *instance, const sgt_swiglu_backward_args *args);

#endif
