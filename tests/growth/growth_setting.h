/* SPDX-License-Identifier: BSD-3-Clause */
/* A small model with a growth, and a policy that only looks. */
#ifndef SGTT_GROWTH_SETTING_H
#define SGTT_GROWTH_SETTING_H

#include "growth_testing.h"

enum { LAYERS = 3, HEADS = 2, VOCABULARY = 11, BATCH = 2, SEQ = 5 };

typedef struct setting {
    sgt_context *context;
    sgt_model *model;
    sgt_growth_policy *policy;
    sgt_growth *growth;
    sgt_growth_event event;
} setting;

sgt_model *setting_model(sgt_context *context);

/* Selects layer 2 at step 2 and fixes a window later; in between heads fade out. */
sgt_growth_policy *setting_policy(sgt_context *context, int64_t window);

/* Context and model; memory may be NULL. */
void setting_open(setting *s, sgtt_faulty_memory *memory);

/* Takes over the policy. */
void setting_attach(setting *s, sgt_growth_policy *policy, const sgt_growth_options *options);
void setting_close(setting *s);

/* A training forward on one of several texts. */
void setting_forward_on(setting *s, int32_t text);

/* One training forward; the step is closed as the optimizer does it. */
void setting_forward(setting *s);

/* Asks growth, about a step that may have been skipped. */
sgt_status setting_grow(setting *s, int64_t step, int32_t skipped);

/* A forward, then growth; returns the action. */
int32_t setting_step(setting *s, int64_t step);

/* 1 when the model collects entropies. */
int32_t setting_collects(const setting *s);

/* ---- a policy that only looks ---- */

/* What it does, and what it was shown. */
typedef struct watcher {
    int decided;
    int32_t decide_status;
    int32_t start_status;
    int deepen_and_fix;
    sgt_growth_observation seen;
    double last[LAYERS * HEADS];
    double mean[LAYERS * HEADS];
} watcher;

/* `with_start`: its start deepens layer 1. */
sgt_growth_policy *make_watcher(sgt_context *context, watcher *user, int32_t entropy,
                                int with_start);

#endif
