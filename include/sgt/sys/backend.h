/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For authors of tensor backends; doc/backends.md walks through one.
 *
 * A backend owns memory and runs operations on tensors in it. Buffers are opaque to the library:
 * it touches tensor memory only through the slots below, so they may live on a device. A plug-in
 * is a shared object with one entry, sgt_backend_entry, which returns a table of slots.
 *
 * Rules for every slot, unless its comment says otherwise:
 * - Argument structs are borrowed for the call. Tensors are described by struct, never owned.
 * - Strides are in elements, none is negative. A dense tensor is row-major. Where a comment says
 *   "rows", the last dimension has stride 1 and the one before it any stride.
 * - Outputs are overwritten; where it says "accumulates" they are added to.
 * - Inputs and outputs do not overlap unless the comment allows it.
 * - Tensors are of the types that sgt_backend_args_tensors lists. Sizes are positive; the library
 *   checks what it passes.
 * - A slot may decline a call: it returns SGT_E_UNSUPPORTED without a message, and has changed
 *   nothing. Where memory is host-visible the portable kernels then do it; elsewhere the call of
 *   the library fails and names the slot. A slot declines what it does not know: arguments with
 *   more fields than it was compiled with, or tensors of other types (sgt_args_fit of
 *   <sgt/sys/backend_args.h> says so). open, close, memory and graph slots cannot decline.
 * - A call may return before the work is done; later calls see its effects in order, and `sync`,
 *   `read` and calls that return host values wait for it.
 * - Calls that change a model come from one thread at a time for each instance. But evaluations in
 *   several threads call slots at the same time, each on outputs of its own.
 * - Results must not depend on the number of threads: cut work by shape only.
 * - Slots and the parts of their jobs run in the default floating-point environment; what they
 *   change of it does not outlive them.
 * - 0 is success. A negative sgt_status is a failure; the backend records the message with
 *   host->fail first. Nothing prints, aborts or throws.
 */
#ifndef SGT_SYS_BACKEND_H
#define SGT_SYS_BACKEND_H

#include <stddef.h>

#include <sgt/backend.h>
#include <sgt/sys/operations.h>

SGT_BEGIN_DECLS

#define SGT_BACKEND_ABI 2u /* changes when a backend must be compiled anew */

/* ---- what the library does for a backend ---- */

/* One part of a job; `thread` is in [0, threads), never the same for two parts at one time. */
typedef void (*sgt_part_fn)(void *argument, int64_t part, int32_t thread);

/* The table of slots below. */
typedef struct sgt_backend sgt_backend;

/* Services. `host` is the handle of sgt_backend_open_args. Any slot may call any of them. */
typedef struct sgt_backend_host {
    uint32_t size;
    uint32_t abi; /* SGT_BACKEND_ABI of the library */

    /* Records the message of a failure for this thread and returns status. */
    int32_t (*fail)(void *host, int32_t status, const char *message);
    /* Writes a line into the log of the context; level is an enum sgt_log_level. */
    void (*log)(void *host, int32_t level, const char *message);
    /* Takes memory from the context's allocator, counted and limited, and gives it back. On failure
     * allocate records a message and returns NULL. `alignment` is a power of two up to 4096. */
    void *(*allocate)(void *host, size_t alignment, size_t bytes);
    void (*release)(void *host, void *memory, size_t bytes);
    /* Runs parts 0 .. parts-1 on the context's threads and waits. A part must not call it again. */
    void (*parallel_for)(void *host, int64_t parts, sgt_part_fn part, void *argument);
    /* The portable backend, for composition: with tensors whose `buffer` is a pointer to host
     * memory its slots run on that memory. Open an instance of it to use it; it takes no
     * options. */
    const sgt_backend *portable;
    /* Counts memory that does not come from `allocate`, such as a device's, as memory of the
     * context. If that is over the limit it records a message and returns a status, and the backend
     * must not take the memory; else it returns 0. unreserve counts it back. */
    int32_t (*reserve)(void *host, uint64_t bytes);
    void (*unreserve)(void *host, uint64_t bytes);
} sgt_backend_host;

/* What open gets to make an instance. */
typedef struct sgt_backend_open_args {
    uint32_t size;
    int32_t threads;              /* of the context's pool, with the calling thread */
    const sgt_backend_host *services; /* lives as long as the instance */
    void *host;                   /* first argument of every service */
    const char *isa;              /* "baseline", "avx2", "avx512": the widest kernels to use */
    const char *options;          /* sgt_context_options.backend_options, "" when there are none, in
                                     the backend's own words; what it does not know it refuses */
} sgt_backend_open_args;

/* What an instance says of itself. */
typedef struct sgt_backend_description {
    uint32_t size;
    int32_t generic;              /* 1: no kernel tuned for this processor */
    const char *kernels;          /* lives as long as the instance */
    uint64_t logits_bytes;        /* of logits that are best made at a time; 0: no wish */
} sgt_backend_description;

/* ---- graphs, and what lies behind a buffer ---- */

/* Calls that were recorded, as an object of the backend. */
typedef struct sgt_graph sgt_graph;

/* What a buffer is outside of the backend, for libraries that know such devices themselves. */
typedef struct sgt_native {
    uint32_t size;
    int32_t device;   /* the number of the device, as its driver counts */
    const char *kind; /* "cuda", "opencl", ..: what the pointers are; static */
    void *memory;     /* the memory of the buffer */
    void *stream;     /* the queue in which the instance's work runs in order; NULL: none */
} sgt_native;

/* ---- the table ---- */

/*
 * `instance` is what open made. Required slots must be there. Optional ones may be NULL when memory
 * is host-visible: the portable kernels then run on the backend's memory. A backend with memory of
 * its own and without host_pointer provides every slot that is not marked "may be NULL always".
 *
 * The memory slots (allocate, free, read, write, copy, fill, sync, and host_pointer if memory is
 * host-visible) are all there or all NULL. In the latter case memory is the portable backend's, it
 * is host-visible, and a buffer is the address of it.
 */
struct sgt_backend {
    uint32_t size;
    uint32_t abi;     /* SGT_BACKEND_ABI the backend was compiled with */
    const char *name; /* [a-z0-9_-]+ */

    /* Required. One instance per context. args is borrowed, args->services lives on. */
    int32_t (*open)(void **instance, const sgt_backend_open_args *args);
    void (*close)(void *instance);

    /* May be NULL always. Fills *description, which comes in as what is assumed otherwise. */
    int32_t (*describe)(void *instance, sgt_backend_description *description);

    /* Takes memory of `bytes` bytes, aligned to 64, contents undefined; gives it back. */
    int32_t (*allocate)(void *instance, sgt_buffer **buffer, uint64_t bytes);
    void (*free)(void *instance, sgt_buffer *buffer, uint64_t bytes);

    /* Gives the address of a buffer, which the host may read and write between calls; if the slot
     * is NULL, memory is not host-visible. It never fails and is cheap. An sgt_buffer need not be
     * that address: it may be any struct, and the library asks here, also for operations that it
     * leaves to the portable kernels. Only in their slots a buffer is the address itself. */
    void *(*host_pointer)(void *instance, sgt_buffer *buffer);

    /* read copies a dense tensor to host memory and waits for it. write copies host memory to a
     * dense tensor; when it returns, the host may change that memory. */
    int32_t (*read)(void *instance, void *data, const sgt_tensor *tensor);
    int32_t (*write)(void *instance, const sgt_tensor *tensor, const void *data);
    /* y = x, for any strides and every dtype. */
    int32_t (*copy)(void *instance, const sgt_elementwise_args *args);
    /* Sets every element to a value (F32 and F64), for any strides. */
    int32_t (*fill)(void *instance, const sgt_tensor *tensor, double value);
    /* Waits for all work. */
    int32_t (*sync)(void *instance);
    /* Required, but may decline. It gets the whole product and spreads it over threads itself. */
    int32_t (*gemm)(void *instance, const sgt_gemm_args *args);

    /* Optional, see above. */
    int32_t (*embedding)(void *instance, const sgt_embedding_args *args);
    int32_t (*embedding_backward)(void *instance, const sgt_embedding_backward_args *args);
    int32_t (*rmsnorm)(void *instance, const sgt_rmsnorm_args *args);
    int32_t (*rmsnorm_backward)(void *instance, const sgt_rmsnorm_backward_args *args);
    int32_t (*rope)(void *instance, const sgt_rope_args *args);
    int32_t (*attention)(void *instance, const sgt_attention_args *args);
    int32_t (*attention_backward)(void *instance, const sgt_attention_backward_args *args);
    int32_t (*swiglu)(void *instance, const sgt_swiglu_args *args);
    int32_t (*swiglu_backward)(void *instance, const sgt_swiglu_backward_args *args);
    int32_t (*cross_entropy)(void *instance, const sgt_cross_entropy_args *args);
    int32_t (*add)(void *instance, const sgt_elementwise_args *args);
    int32_t (*axpy)(void *instance, const sgt_elementwise_args *args);
    int32_t (*scale)(void *instance, const sgt_elementwise_args *args);
    int32_t (*norm)(void *instance, const sgt_norm_args *args);
    int32_t (*convert)(void *instance, const sgt_elementwise_args *args);
    int32_t (*adamw)(void *instance, const sgt_adamw_args *args);
    int32_t (*gather_rows)(void *instance, const sgt_rows_args *args);
    int32_t (*scatter_add_rows)(void *instance, const sgt_rows_args *args);

    /* May be NULL always. */
    int32_t (*prepare_weight)(void *instance, const sgt_prepare_weight_args *args);

    /* May be NULL always, or decline: the library then uses gemm, after convert where W is BF16. */
    int32_t (*linear)(void *instance, const sgt_linear_args *args);

    /*
     * A backend has all four or none. Between capture_begin and capture_end operations, copy and
     * fill are recorded instead of run. A replay uses the argument structs, tensors and lists of
     * the recorded call, and what memory holds at the time of the replay. A call that cannot be
     * recorded is declined at once, not by capture_end. allocate, free, read, write and sync are
     * not called in between, nor is anything called by another thread. replay runs the recorded
     * calls in their order, as often as wanted; the buffers must still be there. capture_end gives
     * no graph when it fails; the capture is over in any case.
     */
    int32_t (*capture_begin)(void *instance);
    int32_t (*capture_end)(void *instance, sgt_graph **graph);
    int32_t (*replay)(void *instance, sgt_graph *graph);
    void (*free_graph)(void *instance, sgt_graph *graph);

    /* May be NULL always. Fills *native; what it points to lives as long as the buffer. */
    int32_t (*native)(void *instance, sgt_native *native, sgt_buffer *buffer);

    /* Operations of parts that not every model has, and so NULL where memory is not host-visible
     * as well: the library then refuses to run such a part. */
    int32_t (*relu)(void *instance, const sgt_relu_args *args);
    int32_t (*relu_backward)(void *instance, const sgt_relu_backward_args *args);
    int32_t (*choose)(void *instance, const sgt_choose_args *args);
    int32_t (*choose_backward)(void *instance, const sgt_choose_backward_args *args);
    int32_t (*row_products)(void *instance, const sgt_row_products_args *args);
    int32_t (*row_products_backward)(void *instance, const sgt_row_products_backward_args *args);

    /* A backend has all three or none; then the library computes all units with gemm. */
    int32_t (*unit_inputs)(void *instance, const sgt_units_args *args);
    int32_t (*unit_outputs)(void *instance, const sgt_units_args *args);
    int32_t (*unit_gradients)(void *instance, const sgt_units_args *args);
};

/*
 * The one entry of a plug-in, exported as "sgt_backend_entry". It gets the ABI of the library and
 * its services, which need a host handle and so can be used only from open on. It returns the
 * table, which lives as long as the process, or NULL when it cannot work with this ABI.
 */
typedef const sgt_backend *(*sgt_backend_entry_fn)(uint32_t host_abi,
                                                   const sgt_backend_host *services);

/* Gives the table and the open instance behind a context, for programs that test a backend; whoever
 * calls slots keeps the rules above. What an older plug-in does not have is NULL in *table. Both
 * are borrowed, the instance while the context lives. Any thread. Errors: SGT_E_INVALID_ARGUMENT.
 * Since 0.1. */
SGT_API sgt_status sgt_backend_instance(const sgt_backend **table, void **instance,
                                        const sgt_context *context);

/* Gives the same for the portable kernels that stand in for the backend: they do what it leaves out
 * or declines, with host addresses for buffers, and are its memory where its memory slots are NULL.
 * For the portable backend this gives the backend itself. Any thread. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_UNSUPPORTED (memory is not host-visible). Since 0.2. */
SGT_API sgt_status sgt_backend_stand_in(const sgt_backend **table, void **instance,
                                        const sgt_context *context);

SGT_END_DECLS

#endif
