/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policy of the paper (arXiv 2603.23998), in three files: policy_sparse.c makes it,
 * policy_sparse_rule.c has its rule, policy_sparse_state.c its bytes.
 */
#ifndef SGTI_POLICY_SPARSE_H
#define SGTI_POLICY_SPARSE_H

#include <sgt/sys/growth.h>

#include "../base/memory.h"

/* Everything that the policy remembers between steps. What depths, starts and kept say of layers
 * that are not selected is 0, and so are the entries of selected from n_selected on. Kept heads
 * are sorted by the averages they had when the layer was selected, the highest first. */
typedef struct sgti_sparse_state {
    int32_t fixed;         /* growth is over */
    int32_t n_selected;
    int64_t window_start;  /* the step that added the last pass; 0: none yet */
    double *averages;      /* [n_layers, n_heads] */
    int64_t *starts;       /* [n_layers, max_depth] the steps that added its passes */
    int32_t *depths;       /* [n_layers] */
    int32_t *selected;     /* [n_layers] in order of selection */
    int32_t *kept;         /* [n_layers, keep_heads] the heads that go on looping */
} sgti_sparse_state;

typedef struct sgti_sparse_policy {
    sgti_memory *memory;            /* of the context, which the policy keeps alive */
    uint64_t bytes;                 /* of this allocation, with all arrays */
    sgt_growth_sparse_options options; /* without lists: see excluded and groups */
    int32_t n_layers;
    int32_t n_heads;
    int32_t *excluded; /* [n_layers] 1: never selected */
    int32_t *groups;   /* [n_layers] the first layer of its group, so that equal groups have equal
                          lists whatever their numbers were; all 0: one group */
    sgti_sparse_state now;
    sgti_sparse_state spare; /* a load reads into it, then the two change places */

    /* Working memory of one decision. */
    double *scores;   /* [n_layers] */
    double *keys;     /* [n_heads] what the heads of a layer are ranked by */
    int32_t *ranking; /* [max(n_layers, n_heads)] indices, best first */
    int32_t *fixed_layers; /* [n_layers] for the event that ends growth */
    float *gains;     /* [n_heads] */
    float *targets;   /* [n_heads] */
} sgti_sparse_policy;

/* ---- policy_sparse_rule.c ---- */

/* Updates the averages from the entropies [n_layers, max_passes, n_heads] of a step that ran
 * under `plan`. Does nothing after growth is fixed. */
void sgti_sparse_observe(sgti_sparse_policy *policy, const double *entropies, int32_t max_passes,
                         const sgt_plan *plan);

/* Decides what a step brings, if anything; *event tells. */
void sgti_sparse_act(sgti_sparse_policy *policy, int64_t step, sgt_growth_event *event);

/* Gives the selected layers of the plan the depth, gains and targets that they have after
 * `step`. */
sgt_status sgti_sparse_write_plan(sgti_sparse_policy *policy, int64_t step, sgt_plan *plan);

/* ---- policy_sparse_state.c: the save and load of the vtable ---- */

int32_t sgti_sparse_save(const void *state, void *user, void *data, size_t *bytes);
int32_t sgti_sparse_load(void *state, void *user, const void *data, size_t bytes);

#endif
