/* SPDX-License-Identifier: BSD-3-Clause */
/* A small training through the public interface, and comparing two of them. */
#ifndef SGTT_CONFORMANCE_TRAINING_H
#define SGTT_CONFORMANCE_TRAINING_H

#include "op_harness.h"
#include "small_training.h"

#define SGTT_BATCH 3
#define SGTT_SEQ   12

/* Bounds in float32, as the golden cases have them. */
#define SGTT_TENSOR_BOUND  2e-5 /* norm of the difference over the norm */
#define SGTT_ENTROPY_BOUND 1e-5
#define SGTT_LOSS_BOUND    1e-6 /* relative, of one forward */
#define SGTT_RUN_BOUND     5e-5 /* absolute, of the losses of a whole run */
#define SGTT_WEIGHT_BOUND  1e-3 /* of the weights after a run */

/* What a kind needs that a backend may decline. */
enum { SGTT_PATTERNS = 1, SGTT_CHOOSES = 2, SGTT_MODULES = 4 };

int sgtt_features_of(int kind);

/* Makes a model of a kind, even in size, with random weights, the same on every backend. The
 * configuration may be another than the kind's. */
void sgtt_training_open(small_training *t, const sgt_context_options *options,
                        const sgt_model_config *config, const sgt_model_options *model,
                        uint64_t seed);
void sgtt_training_open_kind(small_training *t, const sgt_context_options *options, int kind,
                             uint64_t seed);
/* Attaches a policy that acts at step 2 and every 3 steps. */
void sgtt_training_grow(small_training *t);

/* Tokens and targets of a step; a few are ignored. The arrays are of SGTT_BATCH * SGTT_SEQ. */
sgt_batch sgtt_training_batch(int32_t *tokens, int32_t *targets, const small_training *t,
                              int64_t step);

/* Forward, backward, optimizer, growth. */
sgtt_small_taken sgtt_training_step(const small_training *t, int64_t step);

/* A folder for a check's files, which the caller removes. */
void sgtt_make_folder(char *folder, size_t bytes);

/* Every tensor of a part of both models. */
void sgtt_compare_tensors(const small_training *got, const small_training *expected, int32_t part,
                          double bound, const char *what);

/* The entropies of every layer and pass; NaN where and only where the other has NaN. */
void sgtt_compare_entropies(const small_training *got, const small_training *expected);

/* The norm of the difference of n floats over the larger of `least` and the norm of what is
 * expected must be within the bound. */
void sgtt_compare_floats(const float *got, const float *expected, uint64_t n, double bound,
                         double least, const char *what);

void sgtt_compare_number(double got, double expected, double tolerance, const char *what);

/* All weights of a model, hashed. */
uint64_t sgtt_training_hash(const small_training *t);

#endif
