/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the floors above call: one function per operation, which goes to the context's backend, or
 * to the portable kernels on the same memory where the backend has no such slot or declines the
 * call. `size` of the argument struct is set here.
 */
#ifndef SGTI_DISPATCH_H
#define SGTI_DISPATCH_H

#include <sgt/sys/backend.h>

#include "../core/context.h"

typedef struct sgti_dispatch sgti_dispatch;

/* Opens the named backend (NULL: the default) with options of its own (NULL: none) for a context
 * made by sgti_context_new. */
sgt_status sgti_dispatch_open(sgt_context *context, const char *backend, const char *isa,
                              const char *options);

/* The logits that the backend likes to make at a time; 0: it has no preference. */
uint64_t sgti_logits_bytes(const sgti_dispatch *dispatch);

int sgti_host_visible(const sgti_dispatch *dispatch);

/* The address of the first element of a tensor; NULL where memory is not host-visible. */
void *sgti_host_address(const sgti_dispatch *dispatch, const sgt_tensor *tensor);

sgt_status sgti_buffer_allocate(sgt_buffer **buffer, sgti_dispatch *dispatch, uint64_t bytes);
void sgti_buffer_free(sgti_dispatch *dispatch, sgt_buffer *buffer, uint64_t bytes);

sgt_status sgti_read(sgti_dispatch *dispatch, void *data, const sgt_tensor *tensor);
sgt_status sgti_write(sgti_dispatch *dispatch, const sgt_tensor *tensor, const void *data);
sgt_status sgti_fill(sgti_dispatch *dispatch, const sgt_tensor *tensor, double value);
sgt_status sgti_sync(sgti_dispatch *dispatch);

/* In this order: y = x; y += alpha x; y *= alpha; y = x + z; y = x converted to the type of y. */
sgt_status sgti_copy(sgti_dispatch *dispatch, const sgt_tensor *y, const sgt_tensor *x);
sgt_status sgti_axpy(sgti_dispatch *dispatch, const sgt_tensor *y, float alpha,
                     const sgt_tensor *x);
sgt_status sgti_scale(sgti_dispatch *dispatch, const sgt_tensor *y, float alpha);
sgt_status sgti_add(sgti_dispatch *dispatch, const sgt_tensor *y, const sgt_tensor *x,
                    const sgt_tensor *z);
sgt_status sgti_convert(sgti_dispatch *dispatch, const sgt_tensor *y, const sgt_tensor *x);

/* C = alpha A B + beta D, where a NULL d stands for C itself. */
sgt_status sgti_gemm(sgti_dispatch *dispatch, const sgt_tensor *c, float alpha,
                     const sgt_tensor *a, const sgt_tensor *b, float beta, const sgt_tensor *d);

sgt_status sgti_embedding(sgti_dispatch *dispatch, sgt_embedding_args *args);
sgt_status sgti_embedding_backward(sgti_dispatch *dispatch, sgt_embedding_backward_args *args);
sgt_status sgti_rmsnorm(sgti_dispatch *dispatch, sgt_rmsnorm_args *args);
sgt_status sgti_rmsnorm_backward(sgti_dispatch *dispatch, sgt_rmsnorm_backward_args *args);
sgt_status sgti_rope(sgti_dispatch *dispatch, sgt_rope_args *args);
sgt_status sgti_attention(sgti_dispatch *dispatch, sgt_attention_args *args);
sgt_status sgti_attention_backward(sgti_dispatch *dispatch, sgt_attention_backward_args *args);
sgt_status sgti_swiglu(sgti_dispatch *dispatch, sgt_swiglu_args *args);
sgt_status sgti_swiglu_backward(sgti_dispatch *dispatch, sgt_swiglu_backward_args *args);
sgt_status sgti_cross_entropy(sgti_dispatch *dispatch, sgt_cross_entropy_args *args);
sgt_status sgti_norm(sgti_dispatch *dispatch, sgt_norm_args *args);
sgt_status sgti_adamw(sgti_dispatch *dispatch, sgt_adamw_args *args);
sgt_status sgti_gather_rows(sgti_dispatch *dispatch, sgt_rows_args *args);
sgt_status sgti_scatter_add_rows(sgti_dispatch *dispatch, sgt_rows_args *args);
sgt_status sgti_relu(sgti_dispatch *dispatch, sgt_relu_args *args);
sgt_status sgti_relu_backward(sgti_dispatch *dispatch, sgt_relu_backward_args *args);
sgt_status sgti_choose(sgti_dispatch *dispatch, sgt_choose_args *args);
sgt_status sgti_choose_backward(sgti_dispatch *dispatch, sgt_choose_backward_args *args);
sgt_status sgti_row_products(sgti_dispatch *dispatch, sgt_row_products_args *args);
sgt_status sgti_row_products_backward(sgti_dispatch *dispatch,
                                      sgt_row_products_backward_args *args);
/* SGT_E_UNSUPPORTED, without a message, means that the caller shall use gemm. */
sgt_status sgti_linear(sgti_dispatch *dispatch, sgt_linear_args *args);
/* 1 when the next three can be called. */
int sgti_has_units(const sgti_dispatch *dispatch);
sgt_status sgti_unit_inputs(sgti_dispatch *dispatch, sgt_units_args *args);
sgt_status sgti_unit_outputs(sgti_dispatch *dispatch, sgt_units_args *args);
sgt_status sgti_unit_gradients(sgti_dispatch *dispatch, sgt_units_args *args);
/* Tells the backend that products will read this weight; SGT_OK too where it prepares nothing. */
sgt_status sgti_prepare_weight(sgti_dispatch *dispatch, const sgt_tensor *weight);

/* ---- graphs: calls recorded once and replayed ---- */

int sgti_can_capture(const sgti_dispatch *dispatch);

/* Between these two calls nothing but operations, copies and fills may be called. They are recorded
 * instead of run, and an operation that the backend declines is an error then, because the portable
 * kernels cannot stand in inside a graph. sgti_capture_end ends the capture even when it fails. */
sgt_status sgti_capture_begin(sgti_dispatch *dispatch);
sgt_status sgti_capture_end(sgt_graph **graph, sgti_dispatch *dispatch);

sgt_status sgti_replay(sgti_dispatch *dispatch, sgt_graph *graph);
/* `graph` may be NULL. */
void sgti_graph_free(sgti_dispatch *dispatch, sgt_graph *graph);

/* *native becomes the backend's own handle of a buffer, for other libraries that know the device.
 * Errors: SGT_E_UNSUPPORTED (the backend does not tell). */
sgt_status sgti_native(sgt_native *native, sgti_dispatch *dispatch, sgt_buffer *buffer);

#endif
