/* SPDX-License-Identifier: BSD-3-Clause */
/* A small training that grows: 3 layers, decisions at steps 3, 7, 11, ..., ramps in between. */
#ifndef SGTT_TRAINING_H
#define SGTT_TRAINING_H

#include "small_training.h"

enum { TRAINING_STEPS = 14 };

sgt_model_config training_config(int kind);
sgt_optimizer_options training_optimizer(void);
sgt_growth_policy *training_policy(sgt_context *context, int kind);

/* A context with so many threads, on the backend that the environment asks for. */
sgt_context *training_context(int32_t threads);

/* Everything, freshly made; `seed` of the weights. The short one is of the dense kind, the first
 * takes over a context. */
small_training training_in(sgt_context *context, int kind, uint64_t seed);
small_training training_start_kind(int kind, int32_t threads, uint64_t seed);
small_training training_start(int32_t threads, uint64_t seed);

/* Takes the steps first .. last, each with two micro-batches. */
void training_run(small_training *t, int first, int last);

/* The parts of step `step`. */
void training_accumulate(small_training *t, int step);
void training_update(small_training *t);
void training_grow(small_training *t, int step);

/* Saves all of it with one string of the host's. */
sgt_status training_save(const small_training *t, const char *path);

/* Fails unless both are the same training, bit for bit. */
void training_compare(const small_training *a, const small_training *b);

#endif
