/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Running one operation on every backend and instruction set there is, with inputs of any layout.
 *
 * A machine is a context of one such pair. Its tensors have a copy in host memory of all that
 * their buffer holds, gaps between rows included: after an operation sgtt_expect compares every
 * element with the expected value and every byte outside of the tensor with what was there.
 * Values go in and come out as dense row-major arrays of double. Everything a machine hands out
 * lives until sgtt_clear or sgtt_close.
 *
 * Plug-ins named in the environment variable SGT_TEST_BACKEND_PLUGINS (paths, separated by colons)
 * are tested too: a new backend inherits this suite.
 */
#ifndef SGTT_OP_HARNESS_H
#define SGTT_OP_HARNESS_H

#include "backend/dispatch.h"
#include "testing.h"

#define SGTT_MAX_THINGS 96

enum sgtt_layout {
    SGTT_DENSE,
    SGTT_ROWS,  /* gaps after each row, an odd start */
    SGTT_SWAPPED /* the last two dimensions stored transposed, with gaps */
};

typedef struct sgtt_tensor {
    sgt_tensor t;
    uint64_t count;      /* elements of the buffer */
    unsigned char *host; /* what the buffer holds */
} sgtt_tensor;

typedef struct sgtt_machine {
    const char *label; /* "portable avx2 with 2 threads", for messages */
    sgt_context *context;
    sgti_dispatch *dispatch;
    uint64_t random;
    int tensors;
    sgtt_tensor tensor[SGTT_MAX_THINGS];
    int temporaries;
    void *temporary[SGTT_MAX_THINGS];
    char text[96];
} sgtt_machine;

/* The pairs of backend and instruction set that work here; finds them on the first call, which
 * must come before Check forks. A plug-in that cannot be loaded ends the program. */
int sgtt_devices(void);

void sgtt_open(sgtt_machine *machine, int device, int32_t threads);
/* Frees what the machine handed out; its context stays. */
void sgtt_clear(sgtt_machine *machine);
void sgtt_close(sgtt_machine *machine);

/* Dense array of zeros that sgtt_clear frees. */
double *sgtt_doubles(sgtt_machine *machine, int64_t count);

/* Uniform in [low, high); integers in [0, below). */
double sgtt_uniform(sgtt_machine *machine, double low, double high);
int64_t sgtt_below(sgtt_machine *machine, int64_t below);

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

int64_t sgtt_count(const sgtt_tensor *tensor);

/* Sets the elements from doubles (rounded to the type), or to uniform random numbers. */
void sgtt_set(sgtt_machine *machine, sgtt_tensor *tensor, const double *values);
void sgtt_set_random(sgtt_machine *machine, sgtt_tensor *tensor, double low, double high);

/* The elements as they were set or last compared. */
double *sgtt_values(sgtt_machine *machine, const sgtt_tensor *tensor);
/* The same as the integers of an I32 tensor. */
int32_t *sgtt_integers(sgtt_machine *machine, const sgtt_tensor *tensor);

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

/* The same for finite sums of many terms of both signs: the norm of the error may be tolerance
 * times that of the expected values; single elements 20 times more. */
void sgtt_expect_norm(sgtt_machine *machine, sgtt_tensor *tensor, const double *expected,
                      double tolerance, const char *what);

/* Nothing of the buffer may have changed. */
void sgtt_expect_unchanged(sgtt_machine *machine, sgtt_tensor *tensor, const char *what);

/* Reads the buffer back and hashes all of it into *hash. */
void sgtt_hash(uint64_t *hash, sgtt_machine *machine, sgtt_tensor *tensor);

/* The call must succeed; the message names the machine. */
#define sgtt_run_op(machine, call)                                                                 \
    ck_assert_msg((call) == SGT_OK, "%s: %s: %s", (machine)->label, #call, sgt_error_message())

#endif
