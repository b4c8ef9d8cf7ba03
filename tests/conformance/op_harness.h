/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running one operation of a backend, with inputs of any layout, and comparing what it gives.
 *
 * A machine is a context on the backend under test, whose slots it calls directly. Its tensors have
 * a copy in host memory of all that their buffer holds, gaps between rows included: after an
 * operation sgtt_expect compares every element with the expected value and every byte outside of
 * the tensor with what was there. Values go in and come out as dense row-major arrays of double.
 * Everything a machine hands out lives until sgtt_clear or sgtt_close.
 *
 * What the backend leaves out or declines the portable kernels do on host addresses, as in the
 * library. A machine can also be one of those kernels alone, on the backend's memory.
 *
 * A failed comparison ends the check (runner.h).
 */
#ifndef SGTT_OP_HARNESS_H
#define SGTT_OP_HARNESS_H

#include <sgt/sys/backend_args.h>

#include "runner.h"

#define SGTT_MAX_THINGS 96

/* What is tested, and how. */
typedef struct sgtt_subject {
    const char *backend; /* registered name */
    const char *isa;     /* NULL: the best */
    int32_t threads;
    int32_t rounds;
    uint64_t seed;
} sgtt_subject;

enum sgtt_layout {
    SGTT_DENSE,
    SGTT_ROWS,  /* gaps after each row, an odd start */
    SGTT_SWAPPED /* the last two dimensions stored transposed, with gaps */
};

typedef struct sgtt_tensor {
    sgt_tensor t;
    sgt_buffer *buffer;  /* the backend's; t.buffer is what the operations get */
    uint64_t count;      /* elements of the buffer */
    unsigned char *host; /* what the buffer holds */
} sgtt_tensor;

typedef struct sgtt_machine {
    const sgtt_subject *subject;
    sgt_context *context;
    const sgt_backend *memory;  /* the memory slots: the backend's, or those that stand in */
    void *memory_instance;
    const sgt_backend *slots;   /* the operations */
    void *slots_instance;
    const sgt_backend *mover;   /* copy and fill on the buffers that the operations get */
    void *mover_instance;
    const sgt_backend *stand_in; /* the portable kernels; NULL: memory is not host-visible */
    void *stand_in_instance;
    int32_t on_host;            /* 1: operations get host addresses for buffers */
    int32_t in_graphs;          /* 1: each call is captured, then replayed */
    int64_t calls;
    int64_t declined;           /* of them */
    uint64_t random;
    int32_t round;              /* 0: the listed shapes; from 1 on: random ones */
    int32_t tensors;
    int32_t temporaries;
    sgtt_tensor tensor[SGTT_MAX_THINGS];
    void *temporary[SGTT_MAX_THINGS];
} sgtt_machine;

/* The table and the instance whose memory slots a context uses. */
void sgtt_memory_of(const sgt_backend **table, void **instance, const sgt_context *context);

/* Opens a context with `threads` threads; stand_in: the portable kernels run all operations. */
void sgtt_open(sgtt_machine *machine, const sgtt_subject *subject, int32_t threads, int stand_in);
/* The same with the caller's options, without standing in. */
void sgtt_open_with(sgtt_machine *machine, const sgtt_subject *subject,
                    const sgt_context_options *options);
/* Frees what the machine handed out; its context stays. */
void sgtt_clear(sgtt_machine *machine);
void sgtt_close(sgtt_machine *machine);

/* Options for a context on the subject. */
sgt_context_options sgtt_subject_options(const sgtt_subject *subject);

/* Dense array of zeros that sgtt_clear frees. */
double *sgtt_doubles(sgtt_machine *machine, int64_t count);

/* Uniform in [low, high); integers in [0, below). */
double sgtt_uniform(sgtt_machine *machine, double low, double high);
int64_t sgtt_below(sgtt_machine *machine, int64_t below);

/* Bytes of an element. */
size_t sgtt_dtype_bytes(int32_t dtype);

/* Contents: a NaN in every element and gap, but for I32: 0. */
sgtt_tensor *sgtt_make(sgtt_machine *machine, int32_t dtype, enum sgtt_layout layout, int32_t rank,
                       const int64_t *shape);
/* The same with strides of the caller's. */
sgtt_tensor *sgtt_make_strided(sgtt_machine *machine, int32_t dtype, int32_t rank,
                               const int64_t *shape, const int64_t *strides);

/* F32 matrices and vectors of random values. */
sgtt_tensor *sgtt_random_matrix(sgtt_machine *machine, enum sgtt_layout layout, int64_t rows,
                                int64_t columns);
sgtt_tensor *sgtt_random_vector(sgtt_machine *machine, int64_t n);
/* Vectors of given values. */
sgtt_tensor *sgtt_integer_list(sgtt_machine *machine, int64_t n, const int32_t *values);
sgtt_tensor *sgtt_float_list(sgtt_machine *machine, int64_t n, const float *values);
/* I32 [n] in [low, below). */
sgtt_tensor *sgtt_random_integers(sgtt_machine *machine, int64_t n, int64_t low, int64_t below);

int64_t sgtt_count_of(const sgtt_tensor *tensor);

/* Sets the elements from doubles (rounded to the type), or to uniform random numbers. */
void sgtt_set(sgtt_machine *machine, sgtt_tensor *tensor, const double *values);
void sgtt_set_random(sgtt_machine *machine, sgtt_tensor *tensor, double low, double high);

/* The elements as they were set or last compared. */
double *sgtt_values(sgtt_machine *machine, const sgtt_tensor *tensor);
/* The same as the integers of an I32 tensor. */
int32_t *sgtt_integers(sgtt_machine *machine, const sgtt_tensor *tensor);

/* Dense elements of the tensor from and to host memory, through write and read. */
void sgtt_write(sgtt_machine *machine, const sgtt_tensor *tensor, const void *data);
void sgtt_read(sgtt_machine *machine, void *data, const sgtt_tensor *tensor);

/*
 * Reads the buffer back. Each element must be within tolerance * (|expected| + rms of all finite
 * expected) of its expected value, NaN where and only where NaN is expected, infinities equal;
 * tolerance 0 asks for equality. What lies between the elements must not have changed.
 */
void sgtt_expect(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                 double tolerance, const char *what);

/* The same with |got - expected| <= absolute. */
void sgtt_expect_within(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                        double absolute, const char *what);

/* The same for alpha A B + beta D with elements uniform in [-1,1): sums of k products have a
 * standard deviation of sqrt(k) / 3, and as many roundings, so the tolerance grows with the root of
 * k. */
void sgtt_expect_product(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                         int64_t k, float alpha, float beta, const char *what);

/* The same for finite sums of many terms of both signs: the norm of the error may be tolerance
 * times that of the expected values; single elements 20 times more. */
void sgtt_expect_norm(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                      double tolerance, const char *what);

/* Nothing of the buffer may have changed. */
void sgtt_expect_unchanged(sgtt_machine *machine, sgtt_tensor *tensor, const char *what);

/* Reads the buffer back and hashes all of it into *hash. */
void sgtt_hash(uint64_t *hash, sgtt_machine *machine, sgtt_tensor *tensor);

/* ---- calling slots ---- */

/* A copy of the arguments of one call, with what they point to. */
typedef struct sgtt_args_copy {
    _Alignas(16) unsigned char bytes[512];
    sgt_tensor tensors[SGT_MAX_ARGS_TENSORS];
    int next; /* of the bad ones */
    char what[64];
} sgtt_args_copy;

/* Arguments that a slot must decline, one after the other: with a field that it cannot know, and
 * with tensors of other types than it must take. NULL: there are no more; begin with next 0. */
const void *sgtt_bad_args(sgtt_args_copy *copy, size_t slot, const void *args, size_t bytes);
void sgtt_expect_declined(int32_t result, const char *slot, const sgtt_args_copy *copy);

/* Arguments that mean the same: larger, but with 0 in the field that a slot cannot know. */
const void *sgtt_good_args(sgtt_args_copy *copy, size_t slot, const void *args, size_t bytes);
/* The same with host addresses for buffers. */
const void *sgtt_host_args(sgtt_args_copy *copy, sgtt_machine *machine, size_t slot,
                           const void *args, size_t bytes);

/* Around a call: captures it where the machine works in graphs. Afterwards the copy is cleared, so
 * that a replay cannot read it; 1: the call was declined under capture, and is to be made without.
 * */
void sgtt_begin_call(sgtt_machine *machine);
int sgtt_end_call(sgtt_machine *machine, sgtt_args_copy *copy, int32_t result, const char *slot);

/* 1: the slot declined, and the portable kernels do the call. */
int sgtt_is_left(sgtt_machine *machine, int32_t result);

/* Offers a slot what it must decline; sets the size of its arguments. */
#define sgtt_probe(machine, slot, args)                                                            \
    do {                                                                                           \
        sgtt_args_copy bad_ = {.next = 0};                                                         \
        const void *offered_;                                                                      \
        (args)->size = (uint32_t)sizeof *(args);                                                   \
        while ((offered_ = sgtt_bad_args(&bad_, SGT_SLOT(slot), args, sizeof *(args))) != NULL)    \
            sgtt_expect_declined((machine)->slots->slot((machine)->slots_instance, offered_),      \
                                 #slot, &bad_);                                                    \
    } while (0)

/* Calls a slot after probing it; it must succeed, or leave the call to the portable kernels. */
#define sgtt_call(machine, slot, args)                                                             \
    do {                                                                                           \
        sgtt_args_copy copy_ = {.next = 0};                                                        \
        int32_t result_;                                                                           \
        sgtt_probe(machine, slot, args);                                                           \
        const void *given_ = sgtt_good_args(&copy_, SGT_SLOT(slot), args, sizeof *(args));         \
        sgtt_begin_call(machine);                                                                  \
        result_ = (machine)->slots->slot((machine)->slots_instance, given_);                       \
        if (sgtt_end_call(machine, &copy_, result_, #slot))                                        \
            result_ = (machine)->slots->slot((machine)->slots_instance, args);                     \
        if (sgtt_is_left(machine, result_))                                                        \
            result_ = (machine)->stand_in->slot(                                                   \
                (machine)->stand_in_instance,                                                      \
                sgtt_host_args(&copy_, machine, SGT_SLOT(slot), args, sizeof *(args)));            \
        sgtt_slot_done(result_, #slot);                                                            \
    } while (0)
void sgtt_slot_done(int32_t result, const char *slot);

/* C = alpha A B + beta D. */
void sgtt_gemm(sgtt_machine *machine, const sgt_tensor *c, float alpha, const sgt_tensor *a,
               const sgt_tensor *b, float beta, const sgt_tensor *d);

/* y = x; y += alpha x; y *= alpha; y = x + z; y = x converted; y = value. */
void sgtt_copy(sgtt_machine *machine, const sgt_tensor *y, const sgt_tensor *x);
void sgtt_axpy(sgtt_machine *machine, const sgt_tensor *y, float alpha, const sgt_tensor *x);
void sgtt_scale(sgtt_machine *machine, const sgt_tensor *y, float alpha);
void sgtt_add(sgtt_machine *machine, const sgt_tensor *y, const sgt_tensor *x,
              const sgt_tensor *z);
void sgtt_convert(sgtt_machine *machine, const sgt_tensor *y, const sgt_tensor *x);
void sgtt_fill(sgtt_machine *machine, const sgt_tensor *y, double value);

/* The sum of the squares of a dense tensor. */
double sgtt_norm(sgtt_machine *machine, const sgt_tensor *x);

#endif
