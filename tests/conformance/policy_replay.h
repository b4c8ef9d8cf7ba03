/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A growth policy without a model: it is shown entropies that are made up from a seed, the step,
 * the layer, the head and the pass, and edits a plan. Equal questions give equal observations, at
 * other addresses.
 */
#ifndef SGTT_POLICY_REPLAY_H
#define SGTT_POLICY_REPLAY_H

#include <sgt/sgt.h>
#include <sgt/sys/growth.h>

#include "runner.h"

/* The policy that is tested, and with what. */
typedef struct sgtt_policy_subject {
    const sgt_growth_policy_vtable *vtable;
    void *user;
    int32_t n_layers;
    int32_t n_heads;
    int64_t steps; /* of a replay */
    uint64_t seed;
    double most_overhead; /* loops may cost this share of the model's FLOPs */
} sgtt_policy_subject;

enum sgtt_showing {
    SGTT_SHOW_USUAL,      /* what a training shows: no entropies once growth is over */
    SGTT_SHOW_ALWAYS,     /* entropies also when growth is over */
    SGTT_SHOW_NAN         /* nothing but NaN */
};

typedef struct sgtt_replay {
    const sgtt_policy_subject *subject;
    enum sgtt_showing showing;
    sgt_context *context;
    sgt_growth_policy *policy;
    sgt_plan *plan;
    sgt_growth_observation observation;
    sgt_growth_event event; /* of the last question */
    int32_t over;           /* growth ended */
    double *last;
    double *mean;
} sgtt_replay;

sgt_growth_policy *sgtt_make_policy(sgt_context *context, const sgtt_policy_subject *subject);

/* A new policy and an empty plan, to which `start` was applied. */
void sgtt_replay_open(sgtt_replay *r, const sgtt_policy_subject *subject,
                      const sgt_allocator *allocator);
void sgtt_replay_close(sgtt_replay *r);

/* Makes r->observation for a step under r->plan. */
void sgtt_replay_observe(sgtt_replay *r, int64_t step);

/* Asks about a step, which must succeed. */
void sgtt_replay_ask(sgtt_replay *r, int64_t step);

/* The steps that a training shows: some are left out, as skipped steps are. The last one is at
 * least `steps`. */
int64_t sgtt_replay_next(const sgtt_policy_subject *subject, int64_t step);

/* What a question led to: the plan, the event, the state; as bytes to compare. */
typedef struct sgtt_transcript {
    int64_t step;
    uint64_t plan;
    uint64_t event;
    uint64_t state;
    int32_t action;
    int32_t layer;
} sgtt_transcript;

sgtt_transcript sgtt_replay_transcript(const sgtt_replay *r, int64_t step);

/* The two must agree; `what` says how the second one came about. */
void sgtt_compare_transcripts(const sgtt_transcript *a, const sgtt_transcript *b,
                              const char *what);

/* The state of the policy, and the plan, as bytes; the caller frees. */
void *sgtt_replay_state(size_t *bytes, const sgtt_replay *r);
void *sgtt_plan_bytes(size_t *bytes, const sgt_plan *plan);

/* Loops of the plan as a share of the passes of the model without any: what depth costs. */
double sgtt_plan_overhead(const sgt_plan *plan);

/* ---- checks; the argument is the sgtt_policy_subject ---- */

void sgtt_check_table(const void *subject);
void sgtt_check_start(const void *subject);
void sgtt_check_decisions(const void *subject);
void sgtt_check_missing(const void *subject);
void sgtt_check_over(const void *subject);
void sgtt_check_determinism(const void *subject);
void sgtt_check_refused_memory(const void *subject);
void sgtt_check_save(const void *subject);
void sgtt_check_resume(const void *subject);
void sgtt_check_restore(const void *subject);
void sgtt_check_damage(const void *subject);
void sgtt_check_policy_training(const void *subject);

#endif
