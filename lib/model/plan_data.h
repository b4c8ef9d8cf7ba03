/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a depth plan. A gain is what a head of a pass is multiplied by now; its target is
 * the gain that a ramp leads to.
 */
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

/* How many gains a layer of this depth has, K*H; it has as many targets. */
static inline uint64_t sgti_gain_count(const sgt_plan *plan, int32_t depth)
{
    return (uint64_t)depth * (uint64_t)plan->n_heads;
}

/* A gain of -0 becomes 0, so that equal plans have equal bytes. */
static inline float sgti_unsigned_zero(float gain)
{
    return gain + 0.0f;
}

/* The bytes of memory that a plan for n_layers takes; plan NULL: one without loops. */
uint64_t sgti_plan_memory(int32_t n_layers, const sgt_plan *plan);

/* 1: the layer has the same depth, gains and runs in two plans of one shape. */
int sgti_plan_same_layer(const sgt_plan *a, const sgt_plan *b, int32_t layer);

/* Makes `plan` equal to `source`, which has the same shape, targets too. On failure it is as it
 * was. */
sgt_status sgti_plan_assign(sgt_plan *plan, const sgt_plan *source);

/* Checks that a plan has this shape and valid gains. */
sgt_status sgti_plan_check(const sgt_plan *plan, int32_t n_layers, int32_t n_heads);

#endif
