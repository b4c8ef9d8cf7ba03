/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policies that do not grow: one leaves the plan alone, the others keep one plan from the start.
 * They need no entropies. A static policy saves its plan only to notice when its bytes are loaded
 * into a policy with another plan.
 */
#include "policy.h"

#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/memory.h"
#include "../core/context.h"
#include "../model/plan_data.h"

static int32_t none_decide(void *state, void *user, const sgt_growth_observation *observation,
                           sgt_plan *plan, sgt_growth_event *event)
{
    (void)state, (void)user, (void)observation, (void)plan, (void)event;
    return SGT_OK;
}

static const sgt_growth_policy_vtable none_vtable = {
    .size = sizeof none_vtable,
    .entropy = SGT_ENTROPY_NONE,
    .decide = none_decide,
};

sgt_status sgt_growth_policy_none(sgt_growth_policy **policy, sgt_context *context,
                                  int32_t n_layers, int32_t n_heads)
{
    SGTI_DEFAULT_FLOATS;
    if (!policy || !context)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !policy ? "policy" : "context");
    return sgti_policy_new(policy, context, SGTI_POLICY_NONE, n_layers, n_heads, &none_vtable, NULL,
                           NULL);
}

/* ---- one plan from the start ---- */

typedef struct static_state {
    sgt_plan *plan;
    uint8_t *bytes; /* the bytes of the plan, kept so that neither save nor load allocates */
    size_t n_bytes;
} static_state;

static void static_destroy(void *state, void *user)
{
    static_state *own = state;
    /* The policy holds a reference to the context, so it is still there when the plan is gone. */
    sgti_memory *memory = &own->plan->context->memory;
    (void)user;
    sgti_release(memory, own->bytes, own->n_bytes);
    sgt_plan_free(own->plan);
    sgti_release(memory, own, sizeof *own);
}

static int32_t static_start(void *state, void *user, sgt_plan *plan)
{
    const static_state *own = state;
    (void)user;
    return sgti_plan_assign(plan, own->plan);
}

/* A host may have changed the model's plan: each step puts the policy's back. */
static int32_t static_decide(void *state, void *user, const sgt_growth_observation *observation,
                             sgt_plan *plan, sgt_growth_event *event)
{
    (void)observation, (void)event;
    return static_start(state, user, plan);
}

static int32_t static_save(const void *state, void *user, void *data, size_t *bytes)
{
    const static_state *own = state;
    (void)user;
    if (data)
        memcpy(data, own->bytes, own->n_bytes);
    *bytes = own->n_bytes;
    return SGT_OK;
}

static int32_t static_load(void *state, void *user, const void *data, size_t bytes)
{
    const static_state *own = state;
    (void)user;
    if (bytes != own->n_bytes || memcmp(data, own->bytes, bytes) != 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "the state is of a policy with another plan");
    return SGT_OK;
}

static const sgt_growth_policy_vtable static_vtable = {
    .size = sizeof static_vtable,
    .entropy = SGT_ENTROPY_NONE,
    .destroy = static_destroy,
    .start = static_start,
    .decide = static_decide,
    .save = static_save,
    .load = static_load,
};

/* Makes a policy that owns the plan; on failure the plan is freed. */
static sgt_status new_static(sgt_growth_policy **policy, sgt_context *context, sgt_plan *plan)
{
    sgti_memory *memory = &context->memory;
    void *bytes = NULL;
    void *state = NULL;
    size_t n_bytes = 0;
    sgt_status status = sgt_plan_save(NULL, &n_bytes, plan);
    if (status == SGT_OK)
        status = sgti_allocate_zeroed(&bytes, memory, n_bytes, 1, "the bytes of a static plan");
    if (status == SGT_OK)
        status = sgt_plan_save(bytes, &n_bytes, plan);
    if (status == SGT_OK)
        status = sgti_allocate_zeroed(&state, memory, 1, sizeof(static_state), "a static policy");
    if (status == SGT_OK) {
        *(static_state *)state = (static_state){.plan = plan, .bytes = bytes, .n_bytes = n_bytes};
        status = sgti_policy_new(policy, context, SGTI_POLICY_STATIC, plan->n_layers, plan->n_heads,
                                 &static_vtable, NULL, state);
    }
    if (status) {
        sgti_release(memory, state, sizeof(static_state));
        sgti_release(memory, bytes, n_bytes);
        sgt_plan_free(plan);
    }
    return status;
}

sgt_status sgt_growth_policy_static_blocks(sgt_growth_policy **policy, sgt_context *context,
                                           int32_t n_layers, int32_t n_heads,
                                           const int32_t *layers, const int32_t *extra_runs,
                                           int32_t count)
{
    SGTI_DEFAULT_FLOATS;
    sgt_plan *plan = NULL;
    if (!policy || !context)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !policy ? "policy" : "context");
    if (count < 0)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "count is %d, not at least 0", (int)count);
    if (count > 0 && (!layers || !extra_runs))
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !layers ? "layers" : "extra_runs");
    sgt_status status = sgt_plan_create(&plan, context, n_layers, n_heads);
    for (int32_t i = 0; status == SGT_OK && i < count; i++) {
        for (int32_t j = 0; status == SGT_OK && j < i; j++) {
            if (layers[j] == layers[i])
                status = sgti_fail(SGT_E_INVALID_ARGUMENT, "layers names layer %d twice",
                                   (int)layers[i]);
        }
        if (status == SGT_OK)
            status = sgt_plan_set_extra_runs(plan, layers[i], extra_runs[i]);
    }
    if (status) {
        sgt_plan_free(plan);
        return status;
    }
    return new_static(policy, context, plan);
}

sgt_status sgt_growth_policy_static_heads(sgt_growth_policy **policy, sgt_context *context,
                                          const sgt_plan *plan)
{
    SGTI_DEFAULT_FLOATS;
    sgt_plan *own = NULL;
    if (!policy || !context || !plan)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL",
                         !policy    ? "policy"
                         : !context ? "context"
                                    : "plan");
    sgt_status status = sgt_plan_create(&own, context, plan->n_layers, plan->n_heads);
    if (status == SGT_OK)
        status = sgti_plan_assign(own, plan);
    if (status) {
        sgt_plan_free(own);
        return status;
    }
    return new_static(policy, context, own);
}
