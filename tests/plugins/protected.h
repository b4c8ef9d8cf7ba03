/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A backend that catches whoever touches tensor memory outside an operation. A buffer is a handle;
 * its memory cannot be read or written but while an operation on it runs, ends at a page that
 * never can, and starts as NaN. Tensors that do not lie in their buffers are refused. The work is
 * done by the portable backend, so results are the same, bit for bit.
 *
 *     page | ............ data | page that stays closed
 *                         ^ rounded up to 64 bytes
 *
 * A second one, protected-whole, lacks the slots for chosen units (WHOLE_UNITS).
 *
 * protected_memory.c has buffers, protected_operations.c what runs on them, protected_graph.c the
 * recording of it, protected_backend.c the table.
 */
#ifndef PROTECTED_H
#define PROTECTED_H

#include <pthread.h>

#include <sgt/sys/backend_args.h>

typedef struct backend {
    const sgt_backend_host *services;
    void *host;
    void *portable; /* instance of services->portable */
    size_t page;
    sgt_graph *graph; /* under capture */
} backend;

struct sgt_buffer {
    pthread_mutex_t lock;
    int32_t users; /* operations that run on it now */
    uint64_t bytes; /* as asked for */
    char *data;
    char *pages; /* the first page, and how many bytes open and close */
    size_t open_bytes;
    void *allocation;
    size_t allocated;
};

int32_t protected_fail(const backend *self, const char *what);

/* ---- protected_memory.c ---- */

/* Opens a buffer for an operation, and closes it behind the last one; 0: done. */
int protected_enter(sgt_buffer *buffer);
int protected_leave(sgt_buffer *buffer);

int32_t protected_allocate(void *instance, sgt_buffer **buffer, uint64_t bytes);
void protected_free(void *instance, sgt_buffer *buffer, uint64_t bytes);
int32_t protected_native(void *instance, sgt_native *native, sgt_buffer *buffer);

/* ---- protected_operations.c ---- */

/* Every slot that has an argument struct, with its type. */
#define PROTECTED_OPERATIONS(X)                                                                    \
    X(copy, sgt_elementwise_args)                                                                  \
    X(gemm, sgt_gemm_args)                                                                         \
    X(embedding, sgt_embedding_args)                                                               \
    X(embedding_backward, sgt_embedding_backward_args)                                             \
    X(rmsnorm, sgt_rmsnorm_args)                                                                   \
    X(rmsnorm_backward, sgt_rmsnorm_backward_args)                                                 \
    X(rope, sgt_rope_args)                                                                         \
    X(attention, sgt_attention_args)                                                               \
    X(attention_backward, sgt_attention_backward_args)                                             \
    X(swiglu, sgt_swiglu_args)                                                                     \
    X(swiglu_backward, sgt_swiglu_backward_args)                                                   \
    X(cross_entropy, sgt_cross_entropy_args)                                                       \
    X(add, sgt_elementwise_args)                                                                   \
    X(axpy, sgt_elementwise_args)                                                                  \
    X(scale, sgt_elementwise_args)                                                                 \
    X(norm, sgt_norm_args)                                                                         \
    X(convert, sgt_elementwise_args)                                                               \
    X(adamw, sgt_adamw_args)                                                                       \
    X(gather_rows, sgt_rows_args)                                                                  \
    X(scatter_add_rows, sgt_rows_args)                                                             \
    X(relu, sgt_relu_args)                                                                         \
    X(relu_backward, sgt_relu_backward_args)                                                       \
    X(choose, sgt_choose_args)                                                                     \
    X(choose_backward, sgt_choose_backward_args)                                                   \
    X(row_products, sgt_row_products_args)                                                         \
    X(row_products_backward, sgt_row_products_backward_args)                                       \
    X(unit_inputs, sgt_units_args)                                                                 \
    X(unit_outputs, sgt_units_args)                                                                \
    X(unit_gradients, sgt_units_args)

/* The arguments of any of them. */
typedef union any_args {
#define PROTECTED_MEMBER(slot, type) type slot;
    PROTECTED_OPERATIONS(PROTECTED_MEMBER)
#undef PROTECTED_MEMBER
} any_args;

#define PROTECTED_DECLARE(slot, type) int32_t protected_##slot(void *instance, const type *args);
PROTECTED_OPERATIONS(PROTECTED_DECLARE)
#undef PROTECTED_DECLARE

int32_t protected_read(void *instance, void *data, const sgt_tensor *tensor);
int32_t protected_write(void *instance, const sgt_tensor *tensor, const void *data);
int32_t protected_fill(void *instance, const sgt_tensor *tensor, double value);
int32_t protected_sync(void *instance);
int32_t protected_prepare_weight(void *instance, const sgt_prepare_weight_args *args);

/* Runs an operation, or a fill (its own slot, args NULL), now. */
int32_t protected_run(backend *self, size_t slot, const void *args);
int32_t protected_run_fill(backend *self, const sgt_tensor *tensor, double value);

/* What is wrong with a tensor; NULL: nothing. */
const char *protected_wrong(const sgt_tensor *tensor);

/* ---- protected_graph.c ---- */

/* Records a call of the graph under capture. */
int32_t protected_record(backend *self, size_t slot, const void *args, size_t bytes);
int32_t protected_record_fill(backend *self, const sgt_tensor *tensor, double value);

int32_t protected_capture_begin(void *instance);
int32_t protected_capture_end(void *instance, sgt_graph **graph);
int32_t protected_replay(void *instance, sgt_graph *graph);
void protected_free_graph(void *instance, sgt_graph *graph);

#endif
