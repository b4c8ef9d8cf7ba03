/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For authors of growth policies; doc/growth-policies.md walks through one.
 *
 * A policy must depend only on what it observes, so that a resumed run and every rank of a parallel
 * run decide alike: it uses no clock, no addresses, and no random numbers but counter-based ones.
 *
 * Threads. A policy is asked by one thread at a time, and its functions run on that thread.
 */
#ifndef SGT_SYS_GROWTH_H
#define SGT_SYS_GROWTH_H

#include <sgt/growth.h>

SGT_BEGIN_DECLS

/* What a policy sees at a step. All pointers are borrowed for the call. */
typedef struct sgt_growth_observation {
    uint32_t size;
    int32_t n_layers;            /* of the model */
    int32_t n_heads;             /* query heads of a layer */
    int32_t max_passes;          /* the middle dimension of the entropies */
    int64_t step;                /* 1-based optimizer step that was just taken */
    double loss;                 /* may be NaN: not known */
    double grad_norm;            /* may be NaN: not known */
    const sgt_plan *plan;        /* the plan the step ran under */
    const double *last_entropy;  /* [n_layers, max_passes, n_heads] NaN: the head did not run; NULL:
                                    this kind was not collected. The passes of all runs of a block
                                    follow one another. */
    const double *mean_entropy;  /* likewise */
    double executed_flops;       /* training FLOPs so far, 0 when asked without a model */
    double vanilla_flops;        /* what the same tokens cost without loops */
} sgt_growth_observation;

/*
 * The functions of a policy. All run on the thread that called the library. If one of them returns
 * other than 0, the call fails and returns that value to the host untouched; the model's plan is
 * then as before. Use positive values of your own, with a message: `return sgt_error_set(7, "the
 * budget is spent")`; or pass on the code of a function of the library that failed, which has left
 * a message. Without any, the message says which function of the policy returned what.
 */
typedef struct sgt_growth_policy_vtable {
    uint32_t size;
    int32_t entropy; /* the kinds it needs: enum sgt_entropy */

    /* Must be there. Makes the state for a shape. *state may stay NULL. */
    int32_t (*create)(void **state, void *user, int32_t n_layers, int32_t n_heads);

    /* May be NULL. Frees the state; it is called once for each create that succeeded. */
    void (*destroy)(void *state, void *user);

    /* May be NULL. It is called when the policy is attached to a model and may edit the plan that
     * the training starts with. It must be harmless when repeated. */
    int32_t (*start)(void *state, void *user, sgt_plan *plan);

    /* Must be there. Looks at the observation and may edit the plan, a copy of the current one.
     * `event` comes in as SGT_GROWTH_NONE. After SGT_GROWTH_FIX it is still called at every step,
     * and entropies may be missing by then. When the plan is refused because it does not fit in
     * memory, the state is restored through save and load, so a policy without them should keep no
     * state. An event that the plan does not show is refused with SGT_E_INVALID_ARGUMENT: it says
     * that a layer was selected or deepened whose depth, gains and runs are as before, or names
     * another depth than the layer has now. */
    int32_t (*decide)(void *state, void *user, const sgt_growth_observation *observation,
                      sgt_plan *plan, sgt_growth_event *event);

    /* Both are there or neither; without them the policy has no state to keep. save: *bytes is the
     * room on entry and the length on return; with data NULL it gives only the length; if the room
     * is too small it writes nothing and returns SGT_E_OUT_OF_RANGE. load: replaces the state, or
     * fails and leaves it as it is. */
    int32_t (*save)(const void *state, void *user, void *data, size_t *bytes);
    int32_t (*load)(void *state, void *user, const void *data, size_t bytes);
} sgt_growth_policy_vtable;

/*
 * The entry of a policy in a shared object, exported as "sgt_growth_policy_entry": what
 * sgt-policy-test loads. Returns the table, which lives as long as the process; *user, NULL on
 * entry, goes to its functions. libsgt itself never loads a policy.
 */
typedef const sgt_growth_policy_vtable *(*sgt_growth_policy_entry_fn)(void **user);

/* Makes a policy of the host's own; the table is copied, and `user` must outlive the policy.
 * Errors: SGT_E_INVALID_ARGUMENT (a missing function is named), SGT_E_STRUCT_SIZE,
 * SGT_E_OUT_OF_RANGE, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT, or what create returned. Since
 * 0.1. */
SGT_API sgt_status sgt_growth_policy_custom(sgt_growth_policy **policy, sgt_context *context,
                                            int32_t n_layers, int32_t n_heads,
                                            const sgt_growth_policy_vtable *vtable, void *user);

/*
 * Asks a policy without a model: for tests, tools and replays. Edits `plan`. On failure the plan
 * and the state are as before. event may be NULL. Errors: SGT_E_INVALID_ARGUMENT (shapes),
 * SGT_E_STRUCT_SIZE, SGT_E_OUT_OF_MEMORY, or what a custom policy returned. Since 0.1.
 */
SGT_API sgt_status sgt_growth_policy_decide(sgt_growth_event *event, sgt_growth_policy *policy,
                                            const sgt_growth_observation *observation,
                                            sgt_plan *plan);

SGT_END_DECLS

#endif
