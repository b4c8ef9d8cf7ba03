/* SPDX-License-Identifier: BSD-3-Clause */
/* A small training that grows: 3 layers, decisions at steps 3, 7, 11, ..., ramps in between. */
#ifndef SGTT_TRAINING_H
#define SGTT_TRAINING_H

#include <sgt/sgt.h>

typedef struct training {
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth_policy *policy;
    sgt_growth *growth;
} training;

enum { TRAINING_STEPS = 14 };

sgt_model_config training_config(void);
sgt_optimizer_options training_optimizer(void);
sgt_growth_policy *training_policy(sgt_context *context);

/* A context with so many threads, on the backend that the environment asks for. */
sgt_context *training_context(int32_t threads);

/* Everything, freshly made; `seed` of the weights. */
training training_start(int32_t threads, uint64_t seed);
void training_free(training *t);

/* Takes the steps first .. last, each with two micro-batches. */
void training_run(training *t, int first, int last);

/* The parts of step `step`. */
void training_accumulate(training *t, int step);
void training_update(training *t);
void training_grow(training *t, int step);

/* Saves all of it with one string of the host's. */
sgt_status training_save(const training *t, const char *path);

/* Fails unless both are the same training, bit for bit. */
void training_compare(const training *a, const training *b);

#endif
