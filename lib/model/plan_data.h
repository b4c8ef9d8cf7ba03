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

/* How many gains the passes of a layer of this depth have: K*H; as many targets. */
static inline uint64_t sgti_gain_count(const sgt_plan *plan, int32_t depth)
{
    return (uint64_t)depth * (uint64_t)plan->n_heads;
}

/* A gain of -0 becomes 0, so that equal plans have equal bytes. */
static inline float sgti_unsigned_zero(float gain)
{
    return gain + 0.0f;
}

/* Bytes of memory that a plan for so many layers takes; NULL: a plan without loops. */
uint64_t sgti_plan_memory(int32_t n_layers, const sgt_plan *plan);

/* 1: the layer has the same depth, gains and runs in two plans of one shape. */
int sgti_plan_same_layer(const sgt_plan *a, const sgt_plan *b, int32_t layer);

/* Makes `plan` equal to `source` (same shape), targets too; untouched on failure. */
sgt_status sgti_plan_assign(sgt_plan *plan, const sgt_plan *source);

/* Checks that a plan has this shape and valid gains. */
sgt_status sgti_plan_check(const sgt_plan *plan, int32_t n_layers, int32_t n_heads);

#endif
