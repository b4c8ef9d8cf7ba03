/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of models share. The same programs run on several backends: the environment says
 * which.
 *
 *     SGT_TEST_BACKEND   name of the backend (a plug-in's: see plugins.h); unset: the default
 *     SGT_TEST_ISA       instruction set; unset: the best
 *     SGT_TEST_THREADS   threads of a context; unset: 2
 */
#ifndef SGTT_FIXTURES_H
#define SGTT_FIXTURES_H

#include <sgt/model.h>

#include "small_training.h"
#include "testing.h"

/* sgtt_run, or 77 (skipped) where this processor lacks the instruction set asked for. */
int sgtt_main(Suite *suite);

/* Options for a context as the environment asks for; backends of plug-ins are loaded. */
sgt_context_options sgtt_model_options(void);
sgt_context *sgtt_model_context(void);
sgt_context *sgtt_limited_context(uint64_t memory_limit);

/* A small shape with nothing even about it: 3 layers, 4 heads over 2 groups. */
sgt_model_config sgtt_config(void);

/* A model with random weights of a size that makes every term of the gradients matter: attention
 * is not uniform, norms are not ones. */
sgt_model *sgtt_model(sgt_context *context, const sgt_model_config *config, uint64_t seed);
sgt_model *sgtt_recomputing_model(sgt_context *context, const sgt_model_config *config,
                                  int32_t recompute, uint64_t seed);
void sgtt_randomize(sgt_model *model, uint64_t seed);

/* Random tokens and targets; about one target of `ignore` is -1 (0: none). */
sgt_batch sgtt_batch(int32_t batch, int32_t seq, int32_t vocab, uint64_t seed, int32_t ignore);
void sgtt_batch_free(sgt_batch *batch);

/* Uniform in [0,1), a function of its arguments. */
double sgtt_uniform(uint64_t seed, uint64_t index);

/* All tensors of a part, one after another; the caller frees. */
uint64_t sgtt_elements(const sgt_model *model);
float *sgtt_read_all(const sgt_model *model, int32_t part);

/* Forward, and backward of the mean loss; returns the metrics. */
sgt_metrics sgtt_step(sgt_model *model, const sgt_batch *batch);

/* Makes `depth` passes in a layer, each with these gains. */
void sgtt_loop(sgt_plan *plan, int32_t layer, int32_t depth, const float *gains);

/* A copy of the model's plan to edit. */
sgt_plan *sgtt_plan_of(const sgt_model *model);

/* The memory counters. */
sgt_context_memory sgtt_memory(const sgt_context *context);

#endif
