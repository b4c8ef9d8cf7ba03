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
#include <sgt/pattern.h>
#include <sgt/tensor.h>

SGT_BEGIN_DECLS

#define SGT_BACKEND_ABI 2u /* changes when a backend must be compiled anew */

/* A backend's memory: whatever it wants it to be. */
typedef struct sgt_buffer sgt_buffer;

/* A piece of a buffer, seen as an array. */
typedef struct sgt_tensor {
    uint32_t size;
    int32_t dtype;                 /* enum sgt_dtype */
    sgt_buffer *buffer;            /* of the backend that gets the tensor */
    uint64_t offset;               /* where element 0 is, in elements from the buffer's start */
    int32_t rank;                  /* 1 to SGT_MAX_RANK */
    int32_t reserved;              /* 0 */
    int64_t shape[SGT_MAX_RANK];   /* of the first `rank` dimensions */
    int64_t strides[SGT_MAX_RANK]; /* in elements; 0: all along it are the same element */
} sgt_tensor;

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

/* ---- argument structs, one per operation ---- */

/*
 * They grow at their ends: a later library may pass a larger struct. A slot that does not know the
 * added fields must decline, unless they are all 0, which means the same as without them. Whoever
 * passes a copy of a struct on gives it the size of the copy. `reserved` fills a hole: it is 0 and
 * never becomes a field, because a slot could not see that there is a field which it does not know.
 */

/* 1 when the struct has the size that the slot was compiled with, or is longer and else 0. */
static inline int sgt_args_known(const void *args, size_t own)
{
    const unsigned char *bytes = (const unsigned char *)args;
    const size_t size = *(const uint32_t *)args;
    for (size_t i = own; i < size; i++)
        if (bytes[i])
            return 0;
    return size >= own;
}

/* C = alpha A B + beta D. A [M,K], B [K,N], C [M,N], D [M,N]; or each has one more leading
 * dimension, the same for all, of independent products. In each of A, B, C, D one of the last two
 * strides is 1 (so a transpose is the strides swapped). D NULL means C itself. With beta 0 D is not
 * read, and a NaN in it does not matter. D may be C, otherwise nothing overlaps. */
typedef struct sgt_gemm_args {
    uint32_t size;
    float alpha;
    float beta;
    int32_t reserved;    /* 0 */
    const sgt_tensor *a; /* A */
    const sgt_tensor *b; /* B */
    const sgt_tensor *c; /* C, the output */
    const sgt_tensor *d; /* D */
} sgt_gemm_args;

/* y = x W^T + d: a product at inference. x [N,in], y [N,out], d [N,out] rows; W [out,in] rows, of
 * F32 or BF16. d NULL adds nothing; d may be y. N is often 1: then only reading W fast counts. */
typedef struct sgt_linear_args {
    uint32_t size;
    int32_t reserved;         /* 0 */
    const sgt_tensor *x;
    const sgt_tensor *weight; /* W */
    const sgt_tensor *y;
    const sgt_tensor *d;
} sgt_linear_args;

/* out[n,:] = table[ids[n],:]. table [V,d] rows, ids [N] int32 (valid), out [N,d] rows. */
typedef struct sgt_embedding_args {
    uint32_t size;
    int32_t reserved; /* 0 */
    const sgt_tensor *table;
    const sgt_tensor *ids;
    const sgt_tensor *out;
} sgt_embedding_args;

/* Accumulates dtable[ids[n],:] += scale * dout[n,:], in the order of n. */
typedef struct sgt_embedding_backward_args {
    uint32_t size;
    float scale;
    const sgt_tensor *dtable;
    const sgt_tensor *ids;
    const sgt_tensor *dout;
} sgt_embedding_backward_args;

/* y[n,:] = w * x[n,:] / sqrt(mean(x[n,:]^2) + eps). x, y [N,d] rows, w [d]. y may be x. */
typedef struct sgt_rmsnorm_args {
    uint32_t size;
    float eps;
    const sgt_tensor *x;
    const sgt_tensor *weight; /* w */
    const sgt_tensor *y;
} sgt_rmsnorm_args;

#define SGT_RMSNORM_PARTS 32 /* rows of the scratch of rmsnorm_backward */

/* Accumulates the gradients that follow from dy in dx and dweight; eps as above. x, dy, dx [N,d]
 * rows, weight, dweight [d], scratch [SGT_RMSNORM_PARTS, d] dense with undefined contents. */
typedef struct sgt_rmsnorm_backward_args {
    uint32_t size;
    float eps;
    const sgt_tensor *x;
    const sgt_tensor *weight;
    const sgt_tensor *dy;
    const sgt_tensor *dx;
    const sgt_tensor *dweight;
    const sgt_tensor *scratch;
} sgt_rmsnorm_backward_args;

/* Rotates the pairs (i, i + dh/2) of x [B,T,h,dh] (last stride 1) in place by the angle of position
 * offsets[b] + t. cosine and sine are [P, dh/2] dense, and P covers every position. inverse 1
 * rotates by minus the angle, as the gradient needs. offsets is int32 [B]; NULL: zeros. */
typedef struct sgt_rope_args {
    uint32_t size;
    int32_t inverse;
    const sgt_tensor *x;
    const sgt_tensor *cosine;
    const sgt_tensor *sine;
    const sgt_tensor *offsets;
} sgt_rope_args;

/*
 * Causal attention of a list of h heads over g key/value heads:
 *     s = scale q k^T;  p = softmax(s);  out = gain p v
 * q, out [B,Tq,h,dh]; k, v [B,Tk,g,dh]; last stride 1. Query t of sequence b sees the keys 0 ..
 * offsets[b] + t that its pattern has. Rows t >= lengths[b] are not computed and keep their out.
 * lse [B,h,Tq] dense gets ln sum exp(s) of each row. entropy_last and entropy_mean, F64 [B,h]
 * dense, get normalised entropies: the entropy of a row divided by ln(keys that it sees), 0 where
 * it sees one key only. The first gets that of the last computed row, the second the mean over the
 * computed rows that see more than one key.
 *
 * Key j is in row j of k and v. With a ring of R rows it is in row j mod R, but a key that only
 * SGT_KEYS_SUMMARY shows, the n-th summary cell of the sequence (from 0 on), in row R + n. Then
 * every pattern has sets, SGT_KEYS_STRIDED not among them, and the ring has room for all others.
 */
typedef struct sgt_attention_args {
    uint32_t size;
    float scale;
    const sgt_tensor *q;
    const sgt_tensor *k;
    const sgt_tensor *v;
    const sgt_tensor *out;
    const sgt_tensor *lse;          /* NULL: not wanted */
    const sgt_tensor *entropy_last; /* NULL: not wanted */
    const sgt_tensor *entropy_mean; /* NULL: not wanted */
    const sgt_tensor *kv_heads;     /* int32 [h] in [0,g), ascending: whose keys a head reads */
    const sgt_tensor *gains;        /* [h]; NULL: ones */
    const sgt_tensor *offsets;      /* int32 [B]; NULL: zeros */
    const sgt_tensor *lengths;      /* int32 [B] in [0,Tq]; NULL: Tq */
    const sgt_attention_pattern *patterns; /* [g], patterns[0].size bytes apart, host memory: what
                                       readers of a key/value head see; NULL: all earlier keys */
    int64_t ring;                   /* R; 0: none */
} sgt_attention_args;

/*
 * Gradients of the above with offsets 0, full lengths and Tq = Tk, from dout, the gradient of out
 * (which has the gains in it). out, lse, scale and kv_heads are those of the forward. dq, dk, dv,
 * shaped as q, k, v, are overwritten; a key/value head that no head of the list reads gets zeros.
 */
typedef struct sgt_attention_backward_args {
    uint32_t size;
    float scale;
    const sgt_tensor *q;
    const sgt_tensor *k;
    const sgt_tensor *v;
    const sgt_tensor *out;
    const sgt_tensor *lse;
    const sgt_tensor *dout;
    const sgt_tensor *dq;
    const sgt_tensor *dk;
    const sgt_tensor *dv;
    const sgt_tensor *kv_heads;
    const sgt_tensor *gains; /* NULL: ones */
    const sgt_attention_pattern *patterns; /* those of the forward */
} sgt_attention_backward_args;

/* out = silu(gate) * up. All [N,f] rows. out may be gate or up. */
typedef struct sgt_swiglu_args {
    uint32_t size;
    int32_t reserved; /* 0 */
    const sgt_tensor *gate;
    const sgt_tensor *up;
    const sgt_tensor *out;
} sgt_swiglu_args;

/* Gives dgate and dup, which follow from dout, and `out` as in the forward. All [N,f] rows. dgate
 * may be gate, dup may be up, out may be dout. */
typedef struct sgt_swiglu_backward_args {
    uint32_t size;
    int32_t reserved; /* 0 */
    const sgt_tensor *gate;
    const sgt_tensor *up;
    const sgt_tensor *dout;
    const sgt_tensor *dgate;
    const sgt_tensor *dup;
    const sgt_tensor *out;
} sgt_swiglu_backward_args;

/* losses[r] = -ln softmax(logits[r,:])[targets[r]], 0 where the target is -1. logits [R,V] rows,
 * targets int32 [R], losses [R]. dlogits [R,V] rows gets the gradient of the sum of losses, 0 for
 * rows without a target; it may be logits; NULL: it is not wanted. */
typedef struct sgt_cross_entropy_args {
    uint32_t size;
    int32_t reserved; /* 0 */
    const sgt_tensor *logits;
    const sgt_tensor *targets;
    const sgt_tensor *losses;
    const sgt_tensor *dlogits;
} sgt_cross_entropy_args;

/* copy: y = x. axpy: y += alpha x. add: y = x + z. scale: y *= alpha. convert: y = x in y's dtype
 * (F32, F64, BF16, F16; to nearest even). x, y, z have one shape and any strides, but y's give each
 * element a place of its own. copy takes every dtype; the others, but for convert, F32. */
typedef struct sgt_elementwise_args {
    uint32_t size;
    float alpha;
    const sgt_tensor *x;
    const sgt_tensor *y;
    const sgt_tensor *z;
} sgt_elementwise_args;

/* sum[0] becomes the sum of squares of all pieces of x, in double. The sums of the pieces are added
 * in their order. x [E] dense, sum F64 [1]. A piece is the elements first .. first + count - 1, at
 * least one. The lists are in host memory and read during the call. */
typedef struct sgt_norm_args {
    uint32_t size;
    int32_t n_pieces; /* 0: the sum is 0 */
    const sgt_tensor *x;
    const sgt_tensor *sum;
    const int64_t *firsts; /* [n_pieces] */
    const int64_t *counts; /* [n_pieces] */
} sgt_norm_args;

/* One AdamW update of the elements of some pieces, which do not overlap; the formulas, with beta1,
 * beta2 and eps, are in <sgt/optimizer.h>. param, grad, moment1, moment2 and copy are [E] dense,
 * and a piece means the same elements of each. g is multiplied by grad_scale first and set to 0
 * afterwards. correction1 is 1 - beta1^t, correction2 is 1 - beta2^t. The lists are as above. */
typedef struct sgt_adamw_args {
    uint32_t size;
    float grad_scale;
    float beta1;
    float beta2;
    float eps;
    float correction1;
    float correction2;
    int32_t n_pieces;          /* 0: nothing is done */
    const sgt_tensor *param;   /* p */
    const sgt_tensor *grad;    /* g */
    const sgt_tensor *moment1; /* m */
    const sgt_tensor *moment2; /* v */
    const sgt_tensor *copy;    /* gets the updated p rounded to its type; NULL: not wanted */
    const int64_t *firsts;     /* [n_pieces] as above */
    const int64_t *counts;     /* [n_pieces] */
    const float *rates;        /* [n_pieces] lr of this step, with the factor of the parameter */
    const float *decays;       /* [n_pieces] wd, with the factor of the parameter */
} sgt_adamw_args;

/*
 * Copies or adds blocks of `block` rows that an index names: for i in [0,n) and r in [0,block)
 *     gather_rows:       part[i block + r, :] = whole[index[i] block + r, :]
 *     scatter_add_rows:  whole[index[i] block + r, :] += part[i block + r, :]
 * whole [R,C] and part [n block, C] have the same type, and one of the two strides of each is 1 (so
 * columns are rows with the strides swapped); index is int32 [n] and has no entry twice.
 */
typedef struct sgt_rows_args {
    uint32_t size;
    int32_t block;
    const sgt_tensor *whole;
    const sgt_tensor *part;
    const sgt_tensor *index;
} sgt_rows_args;

/* Tells, before products read it, that a weight matrix [out,in] is new or was changed since the
 * last call for it: this is the place to pack or convert a copy. */
typedef struct sgt_prepare_weight_args {
    uint32_t size;
    int32_t reserved; /* 0 */
    const sgt_tensor *weight;
} sgt_prepare_weight_args;

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
