/* SPDX-License-Identifier: BSD-3-Clause */
/* A small training through the public interface, and comparing two of them. */
#ifndef SGTT_CONFORMANCE_TRAINING_H
#define SGTT_CONFORMANCE_TRAINING_H

#include <sgt/sgt.h>

#include "op_harness.h"

#define SGTT_BATCH 3
#define SGTT_SEQ   12

/* Bounds in float32, as the golden cases have them. */
#define SGTT_TENSOR_BOUND  2e-5 /* norm of the difference over the norm */
#define SGTT_ENTROPY_BOUND 1e-5
#define SGTT_LOSS_BOUND    1e-6 /* relative, of one forward */
#define SGTT_RUN_BOUND     5e-5 /* absolute, of the losses of a whole run */
#define SGTT_WEIGHT_BOUND  1e-3 /* of the weights after a run */

typedef struct sgtt_training {
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth_policy *policy; /* NULL: does not grow */
    sgt_growth *growth;
    uint64_t seed;
} sgtt_training;

/* Number `shape` of two configurations: grouped keys; tied weights that are recomputed. */
sgt_model_config sgtt_training_config(int shape);

/* Makes a model with random weights, the same on every backend. */
void sgtt_training_open(sgtt_training *t, const sgt_context_options *options,
                        const sgt_model_config *config, uint64_t seed);
/* Attaches a policy that acts at step 2 and every 3 steps. */
void sgtt_training_grow(sgtt_training *t);
void sgtt_training_close(sgtt_training *t);

/* Tokens and targets of a step; a few are ignored. The arrays are of SGTT_BATCH * SGTT_SEQ. */
sgt_batch sgtt_training_batch(int32_t *tokens, int32_t *targets, const sgtt_training *t,
                              int64_t step);

typedef struct sgtt_step {
    double loss;
    double grad_norm;
    sgt_growth_event event;
} sgtt_step;

/* Forward, backward, optimizer, growth. */
sgtt_step sgtt_training_step(sgtt_training *t, int64_t step);

/* Saves all of it, between two steps. */
void sgtt_training_save(const char *path, const sgtt_training *t);

/* A folder for a check's files, which the caller removes. */
void sgtt_make_folder(char *folder, size_t bytes);

/* Two loops in the middle, one with some heads, and a block that runs twice. */
void sgtt_training_loop(sgtt_training *t);

/* Every tensor of a part of both models. */
void sgtt_compare_tensors(const sgtt_training *got, const sgtt_training *expected, int32_t part,
                          double bound, const char *what);

/* The entropies of every layer and pass; NaN where and only where the other has NaN. */
void sgtt_compare_entropies(const sgtt_training *got, const sgtt_training *expected);

/* The norm of the difference of n floats over the larger of `least` and the norm of what is
 * expected must be within the bound. */
void sgtt_compare_floats(const float *got, const float *expected, uint64_t n, double bound,
                         double least, const char *what);

void sgtt_compare_number(double got, double expected, double tolerance, const char *what);

/* All weights of a model, hashed. */
uint64_t sgtt_training_hash(const sgtt_training *t);

#endif
