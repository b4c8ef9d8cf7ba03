/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of plans and growth share: a context whose memory can fail, a policy on a plan. */
#ifndef SGTT_GROWTH_TESTING_H
#define SGTT_GROWTH_TESTING_H

#include <sgt/sgt.h>
#include <sgt/sys/growth.h>

#include "testing.h"

/* An allocator that refuses, from the moment `left` is 0; -1: never. `live` counts what was not
 * released. */
typedef struct sgtt_faulty_memory {
    int64_t left;
    int64_t live;
} sgtt_faulty_memory;

/* A context with the portable backend and one thread; memory may be NULL. */
sgt_context *sgtt_portable_context(sgtt_faulty_memory *memory);

/* A policy without a model: what it is shown next, and the plan it edits. */
typedef struct sgtt_replay {
    sgt_context *context;
    sgt_growth_policy *policy;
    sgt_plan *plan;
    sgt_growth_observation observation;
    sgt_growth_event event;
    double *entropies; /* [n_layers, max_passes, n_heads], shown as last and as mean */
} sgtt_replay;

/* Takes over context and policy. All entropies are 0. */
void sgtt_replay_open(sgtt_replay *replay, sgt_context *context, sgt_growth_policy *policy,
                      int32_t n_layers, int32_t n_heads, int32_t max_passes);
void sgtt_replay_close(sgtt_replay *replay);

/* Where the entropies of a pass are. */
double *sgtt_replay_entropies(const sgtt_replay *replay, int32_t layer, int32_t pass);

/* Sets the entropies of pass 0 of a layer. */
void sgtt_replay_set(sgtt_replay *replay, int32_t layer, const double *entropies);

/* Asks at a step, which must succeed; returns the action. */
int32_t sgtt_replay_step(sgtt_replay *replay, int64_t step);

/* The gains or targets of a pass must be these, to 1e-6. */
void sgtt_check_gains(const sgt_plan *plan, int32_t layer, int32_t pass, const double *expected);
void sgtt_check_targets(const sgt_plan *plan, int32_t layer, int32_t pass, const double *expected);

/* The state of a policy, the bytes of a plan: release with free. */
void *sgtt_policy_bytes(size_t *bytes, const sgt_growth_policy *policy);
void *sgtt_plan_bytes(size_t *bytes, const sgt_plan *plan);

/* The built-in policy; options may be NULL. */
sgt_growth_policy *sgtt_policy_sparse(sgt_context *context, int32_t n_layers, int32_t n_heads,
                                      const sgt_growth_sparse_options *options);

#endif
