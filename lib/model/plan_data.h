/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a depth plan. */
#ifndef SGTI_PLAN_DATA_H
#define SGTI_PLAN_DATA_H

#include <sgt/plan.h>

typedef struct sgti_layer_plan {
    int32_t depth;      /* K extra attention passes */
    int32_t extra_runs; /* of the whole block */
    float *gains;       /* [K,H], then the targets [K,H] in the same allocation; NULL: K = 0 */
} sgti_layer_plan;

struct sgt_plan {
    sgt_context *context; /* counted */
    int32_t n_layers;
    int32_t n_heads;
    sgti_layer_plan layers[]; /* [n_layers] */
};

/* Bytes of memory that a plan takes. */
uint64_t sgti_plan_bytes(const sgt_plan *plan);

/* 1: the layer has the same depth, gains and runs in two plans of one shape. */
int sgti_plan_same_layer(const sgt_plan *a, const sgt_plan *b, int32_t layer);

/* Makes `plan` equal to `source` (same shape), targets too; untouched on failure. */
sgt_status sgti_plan_assign(sgt_plan *plan, const sgt_plan *source);

/* Checks that a plan has this shape and valid gains. */
sgt_status sgti_plan_check(const sgt_plan *plan, int32_t n_layers, int32_t n_heads);

#endif
