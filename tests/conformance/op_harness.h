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
 * Where an operation is left to the portable kernels a machine can stand in: the backend's memory,
 * the portable slots on its host addresses, as the library does it.
 *
 * A failed comparison ends the check (runner.h).
 */
#ifndef SGTT_OP_HARNESS_H
#define SGTT_OP_HARNESS_H

#include <sgt/sys/backend.h>

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
    const sgt_backend *backend; /* memory and transfers */
    void *instance;
    sgt_context *stand_in;      /* NULL: the backend runs the operations itself */
    const sgt_backend *slots;   /* the operations */
    void *slots_instance;
    uint64_t random;
    int32_t round;              /* 0: the listed shapes; from 1 on: random ones */
    int32_t tensors;
    int32_t temporaries;
    sgtt_tensor tensor[SGTT_MAX_THINGS];
    void *temporary[SGTT_MAX_THINGS];
} sgtt_machine;

/* Opens a context with `threads` threads; stand_in: the portable kernels run the operations. */
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

/* The same for alpha A B + beta D with elements uniform in [-1,1): sums of k products have a standard
 * deviation of sqrt(k) / 3, and as many roundings, so the tolerance grows with the root of k. */
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

/* Calls a slot, which must succeed; sets the size of its arguments. */
#define sgtt_call(machine, slot, args)                                                             \
    ((args)->size = (uint32_t)sizeof *(args),                                                      \
     sgtt_slot_done((machine)->slots->slot((machine)->slots_instance, args), #slot))
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

/* The sum of the squares. */
double sgtt_norm(sgtt_machine *machine, const sgt_tensor *x);

#endif
