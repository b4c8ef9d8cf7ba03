/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A depth plan: how often each layer's attention runs again, with which heads, and how often whole
 * blocks run again. It is plain data: growth writes it, the model reads it.
 *
 *     block with depth K:  X0 = X + Attn(X)                     pass 0, all heads, gain 1
 *                          Xk = Xk-1 + sum_h g[k][h] Attn_h     pass k = 1..K
 *                          Y  = XK + FFN(XK)
 *     block with n extra runs: the whole of the above n more times.
 *
 * A head with gain 0 in a pass is not computed in that pass. Beside its gain each head of a pass
 * has a target: what the gain will be when the ramp that is under way is over. Targets do not
 * change what is computed; they only serve to count the FLOPs that a plan will take.
 *
 * Threads. Calls that take a const plan may run at the same time; a call that changes a plan
 * excludes every other call on it.
 */
#ifndef SGT_PLAN_H
#define SGT_PLAN_H

#include <sgt/context.h>

SGT_BEGIN_DECLS

/* Depths, gains, targets and runs for one shape of model. */
typedef struct sgt_plan sgt_plan;

#define SGT_PLAN_MAX_DEPTH 64 /* extra attention passes of one layer */
#define SGT_PLAN_MAX_RUNS  64 /* extra runs of one block */

/*
 * Makes an empty plan (no loops) for n_layers layers of n_heads query heads. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. Since 0.1.
 */
SGT_API sgt_status sgt_plan_create(sgt_plan **plan, sgt_context *context, int32_t n_layers,
                                   int32_t n_heads);

/* Makes a copy that is independent of `plan`. Errors as sgt_plan_create. Since 0.1. */
SGT_API sgt_status sgt_plan_clone(sgt_plan **copy, const sgt_plan *plan);

/* Frees a plan that the host made; NULL is fine. Since 0.1. */
SGT_API void sgt_plan_free(sgt_plan *plan);

/* The shape the plan was made with; 0 for NULL. Since 0.1. */
SGT_API int32_t sgt_plan_n_layers(const sgt_plan *plan);
SGT_API int32_t sgt_plan_n_heads(const sgt_plan *plan);

/* 1 when both compute the same: shape, depths, gains and runs are equal, targets may differ. Else
 * 0. Since 0.1. */
SGT_API int32_t sgt_plan_equal(const sgt_plan *a, const sgt_plan *b);

/* The number of extra attention passes of a layer; 0 for a layer that is not there. Since 0.1. */
SGT_API int32_t sgt_plan_depth(const sgt_plan *plan, int32_t layer);

/*
 * Sets the depth of a layer, 0 to SGT_PLAN_MAX_DEPTH. New passes have gain and target 1 for every
 * head; passes that stay keep theirs. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE,
 * SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. Since 0.1.
 */
SGT_API sgt_status sgt_plan_set_depth(sgt_plan *plan, int32_t layer, int32_t depth);

/*
 * The gains or targets of a pass (1-based) as n_heads floats, borrowed until the plan changes; NULL
 * when the layer or pass is not there. Since 0.1.
 */
SGT_API const float *sgt_plan_gains(const sgt_plan *plan, int32_t layer, int32_t pass);
SGT_API const float *sgt_plan_targets(const sgt_plan *plan, int32_t layer, int32_t pass);

/*
 * Sets the n_heads gains of a pass, each in [0,1], and the targets to the same. Errors:
 * SGT_E_INVALID_ARGUMENT (NULL, NaN), SGT_E_OUT_OF_RANGE (layer, pass, gain). Since 0.1.
 */
SGT_API sgt_status sgt_plan_set_gains(sgt_plan *plan, int32_t layer, int32_t pass,
                                      const float *gains);

/* Sets one gain and its target. Errors as sgt_plan_set_gains. Since 0.1. */
SGT_API sgt_status sgt_plan_set_gain(sgt_plan *plan, int32_t layer, int32_t pass, int32_t head,
                                     float gain);

/* Sets the n_heads targets of a pass, each in [0,1]. Errors as sgt_plan_set_gains. Since 0.1. */
SGT_API sgt_status sgt_plan_set_targets(sgt_plan *plan, int32_t layer, int32_t pass,
                                        const float *targets);

/* How often the whole block runs again; 0 for a layer that is not there. Since 0.1. */
SGT_API int32_t sgt_plan_extra_runs(const sgt_plan *plan, int32_t layer);

/* Sets how often, 0 to SGT_PLAN_MAX_RUNS. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE. Since
 * 0.1. */
SGT_API sgt_status sgt_plan_set_extra_runs(sgt_plan *plan, int32_t layer, int32_t runs);

/*
 * Writes the plan as bytes (little-endian, versioned; equal plans give equal bytes). *bytes is the
 * room at `data` on entry and the length on return; with data NULL only the length is given.
 * Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE (too little room). Since 0.1.
 */
SGT_API sgt_status sgt_plan_save(void *data, size_t *bytes, const sgt_plan *plan);

/* Makes a plan of such bytes. Errors: SGT_E_FORMAT, SGT_E_VERSION, and as sgt_plan_create. Since
 * 0.1. */
SGT_API sgt_status sgt_plan_load(sgt_plan **plan, sgt_context *context, const void *data,
                                 size_t bytes);

SGT_END_DECLS

#endif
