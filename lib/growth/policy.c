/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Makes and asks policies of any kind. When a question fails, state and plan are as they were
 * before it. Buffers are kept from one question to the next, so that a step which changes no depth
 * allocates nothing.
 */
#include "policy.h"

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/memory.h"
#include "../base/structs.h"
#include "../core/context.h"
#include "../model/plan_data.h"

/* Sizes of the callers' structs in their first version. */
#define OBSERVATION_MINIMUM SGTI_SIZE_THROUGH(sgt_growth_observation, vanilla_flops)
#define VTABLE_MINIMUM      SGTI_SIZE_THROUGH(sgt_growth_policy_vtable, load)

/* ---- making ---- */

sgt_status sgti_policy_new(sgt_growth_policy **policy, sgt_context *context, int32_t kind,
                           int32_t n_layers, int32_t n_heads,
                           const sgt_growth_policy_vtable *vtable, void *user, void *state)
{
    void *memory = NULL;
    sgt_plan *scratch = NULL;
    sgt_status status = sgt_plan_create(&scratch, context, n_layers, n_heads);
    if (status)
        return status;
    status = sgti_allocate_zeroed(&memory, &context->memory, 1, sizeof **policy, "a growth policy");
    if (status) {
        sgt_plan_free(scratch);
        return status;
    }
    sgt_growth_policy *made = memory;
    atomic_init(&made->references, 1);
    made->context = sgti_context_ref(context);
    made->n_layers = n_layers;
    made->n_heads = n_heads;
    made->kind = kind;
    made->vtable = *vtable;
    made->user = user;
    made->state = state;
    made->scratch = scratch;
    *policy = made;
    return SGT_OK;
}

sgt_growth_policy *sgti_policy_ref(sgt_growth_policy *policy)
{
    atomic_fetch_add(&policy->references, 1);
    return policy;
}

void sgti_policy_unref(sgt_growth_policy *policy)
{
    if (!policy || atomic_fetch_sub(&policy->references, 1) != 1)
        return;
    sgt_context *context = policy->context;
    if (policy->vtable.destroy)
        policy->vtable.destroy(policy->state, policy->user);
    sgt_plan_free(policy->scratch);
    sgti_release(&context->memory, policy->saved, policy->saved_room);
    sgti_release(&context->memory, policy, sizeof *policy);
    sgti_context_unref(context);
}

void sgt_growth_policy_free(sgt_growth_policy *policy)
{
    sgti_policy_unref(policy);
}

static const char *missing_function(const sgt_growth_policy_vtable *vtable)
{
    if (!vtable->create)
        return "create";
    if (!vtable->decide)
        return "decide";
    if (!vtable->save && vtable->load)
        return "save (load is there)";
    if (!vtable->load && vtable->save)
        return "load (save is there)";
    return NULL;
}

static sgt_status read_vtable(sgt_growth_policy_vtable *own, const sgt_growth_policy_vtable *caller)
{
    if (!caller)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "vtable is NULL");
    sgt_status status =
        sgti_struct_read(own, sizeof *own, caller, VTABLE_MINIMUM, "sgt_growth_policy_vtable");
    if (status)
        return status;
    const char *missing = missing_function(own);
    if (missing)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "the vtable of the policy lacks %s", missing);
    if (own->entropy < SGT_ENTROPY_NONE || own->entropy > SGT_ENTROPY_BOTH)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "entropy of the policy is %d, not an sgt_entropy",
                         (int)own->entropy);
    return SGT_OK;
}

sgt_status sgt_growth_policy_custom(sgt_growth_policy **policy, sgt_context *context,
                                    int32_t n_layers, int32_t n_heads,
                                    const sgt_growth_policy_vtable *vtable, void *user)
{
    SGTI_DEFAULT_FLOATS;
    sgt_growth_policy_vtable own = {0};
    sgt_growth_policy *made = NULL;
    if (!policy || !context)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !policy ? "policy" : "context");
    sgt_status status = read_vtable(&own, vtable);
    if (status)
        return status;
    status = sgti_policy_new(&made, context, SGTI_POLICY_CUSTOM, n_layers, n_heads, &own, user,
                             NULL);
    if (status)
        return status;
    status = sgti_policy_call_create(made);
    if (status) {
        made->vtable.destroy = NULL; /* there is no state to destroy */
        sgti_policy_unref(made);
        return status;
    }
    *policy = made;
    return SGT_OK;
}

/* ---- asking ---- */

static sgt_status make_room(sgt_growth_policy *policy, size_t bytes)
{
    sgti_memory *memory = &policy->context->memory;
    void *grown = NULL;
    if (bytes <= policy->saved_room)
        return SGT_OK;
    sgt_status status =
        sgti_allocate_zeroed(&grown, memory, bytes, 1, "the state of a growth policy");
    if (status)
        return status;
    sgti_release(memory, policy->saved, policy->saved_room);
    policy->saved = grown;
    policy->saved_room = bytes;
    return SGT_OK;
}

/* Saves what sgti_policy_restore goes back to. */
static sgt_status remember(sgt_growth_policy *policy)
{
    size_t bytes = 0;
    policy->saved_fixed = policy->fixed;
    policy->saved_bytes = 0;
    if (!policy->vtable.save)
        return SGT_OK;
    sgt_status status = sgti_policy_call_save(policy, NULL, &bytes);
    if (status == SGT_OK)
        status = make_room(policy, bytes);
    if (status == SGT_OK)
        status = sgti_policy_call_save(policy, policy->saved, &bytes);
    if (status == SGT_OK)
        policy->saved_bytes = bytes;
    return status;
}

sgt_status sgti_policy_restore(sgt_growth_policy *policy, sgt_status status)
{
    sgt_status failed = SGT_OK;
    policy->fixed = policy->saved_fixed;
    if (policy->vtable.load)
        failed = sgti_policy_call_load(policy, policy->saved, policy->saved_bytes);
    return failed ? failed : status;
}

sgt_status sgti_policy_start(const sgt_plan **candidate, sgt_growth_policy *policy,
                             const sgt_plan *plan)
{
    sgt_status status = sgti_plan_assign(policy->scratch, plan);
    if (status == SGT_OK && policy->vtable.start)
        status = sgti_policy_call_start(policy, policy->scratch);
    if (status == SGT_OK)
        *candidate = policy->scratch;
    return status;
}

/* Checks that a list of an event is there and each of its entries in 0 .. end - 1. */
static sgt_status check_list(const int32_t *list, int32_t count, int32_t end, const char *what)
{
    if (count < 0 || (count > 0 && !list))
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "the policy's event has %d %ss but no list",
                         (int)count, what);
    for (int32_t i = 0; i < count; i++)
        if (list[i] < 0 || list[i] >= end)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "the policy's event names %s %d of %d", what,
                             (int)list[i], (int)end);
    return SGT_OK;
}

/* Checks that the plan shows what the event of a custom policy claims. The built-in policies may
 * select a layer whose loops the plan had already before they were asked. */
static sgt_status check_claim(const sgt_growth_policy *policy, const sgt_growth_event *event,
                              const sgt_plan *before)
{
    const sgt_plan *after = policy->scratch;
    int32_t layer = event->layer, depth = sgt_plan_depth(after, layer);
    if (policy->kind != SGTI_POLICY_CUSTOM)
        return SGT_OK;
    if (sgti_plan_same_layer(before, after, layer))
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "the policy's event says that layer %d was %s, but its plan is as before",
                         (int)layer,
                         event->action == SGT_GROWTH_SELECT ? "selected" : "deepened");
    if (event->depth != depth)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "the policy's event says that layer %d has depth %d now, in the plan it "
                         "has %d",
                         (int)layer, (int)event->depth, (int)depth);
    return SGT_OK;
}

/* Checks what a custom policy says it did, since hosts rely on it. */
static sgt_status check_event(const sgt_growth_policy *policy, const sgt_growth_event *event,
                              const sgt_plan *before)
{
    int has_layer = event->action == SGT_GROWTH_SELECT || event->action == SGT_GROWTH_DEEPEN;
    if (event->action < SGT_GROWTH_NONE || event->action > SGT_GROWTH_FIX)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "the policy's event has the action %d",
                         (int)event->action);
    if (has_layer && (event->layer < 0 || event->layer >= policy->n_layers))
        return sgti_fail(SGT_E_OUT_OF_RANGE, "the policy's event names layer %d of %d",
                         (int)event->layer, (int)policy->n_layers);
    sgt_status status = check_list(event->heads, event->n_heads, policy->n_heads, "head");
    if (status == SGT_OK)
        status = check_list(event->layers, event->n_layers, policy->n_layers, "layer");
    return status == SGT_OK && has_layer ? check_claim(policy, event, before) : status;
}

sgt_status sgti_policy_ask(sgt_growth_event *event, const sgt_plan **candidate,
                           sgt_growth_policy *policy, const sgt_growth_observation *observation,
                           const sgt_plan *plan)
{
    sgt_growth_event made = {.size = sizeof made, .action = SGT_GROWTH_NONE, .layer = -1};
    sgt_status status = sgti_plan_assign(policy->scratch, plan);
    if (status == SGT_OK)
        status = remember(policy);
    if (status)
        return status;
    status = sgti_policy_call_decide(policy, observation, policy->scratch, &made);
    if (status == SGT_OK)
        status = check_event(policy, &made, plan);
    if (status)
        return sgti_policy_restore(policy, status);
    if (made.action == SGT_GROWTH_FIX)
        policy->fixed = 1;
    *event = made;
    *candidate = policy->scratch;
    return SGT_OK;
}

static sgt_status check_observation(const sgt_growth_policy *policy,
                                    const sgt_growth_observation *observation)
{
    if (observation->n_layers != policy->n_layers || observation->n_heads != policy->n_heads)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "the observation has %d layers of %d heads, the policy is for %d of %d",
                         (int)observation->n_layers, (int)observation->n_heads,
                         (int)policy->n_layers, (int)policy->n_heads);
    if (observation->step < 1)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "step of the observation is %lld, not at least 1",
                         (long long)observation->step);
    if (observation->max_passes < 1 && (observation->last_entropy || observation->mean_entropy))
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "max_passes of the observation is %d, but it has entropies",
                         (int)observation->max_passes);
    return SGT_OK;
}

/* Reads what the caller shows. An observation that names no plan was made under `plan`. */
static sgt_status read_observation(sgt_growth_observation *own, const sgt_growth_policy *policy,
                                   const sgt_growth_observation *caller, const sgt_plan *plan)
{
    sgt_status status =
        sgti_struct_read(own, sizeof *own, caller, OBSERVATION_MINIMUM, "sgt_growth_observation");
    if (status == SGT_OK)
        status = check_observation(policy, own);
    if (status == SGT_OK)
        status = sgti_plan_check(plan, policy->n_layers, policy->n_heads);
    if (!own->plan)
        own->plan = plan;
    if (status == SGT_OK)
        status = sgti_plan_check(own->plan, policy->n_layers, policy->n_heads);
    return status;
}

sgt_status sgt_growth_policy_decide(sgt_growth_event *event, sgt_growth_policy *policy,
                                    const sgt_growth_observation *observation, sgt_plan *plan)
{
    SGTI_DEFAULT_FLOATS;
    sgt_growth_observation own = {0};
    sgt_growth_event made;
    const sgt_plan *candidate = NULL;
    sgt_status status = SGT_OK;
    if (!policy || !observation || !plan)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL",
                         !policy        ? "policy"
                         : !observation ? "observation"
                                        : "plan");
    if (event)
        status = sgti_struct_check(event, SGTI_EVENT_MINIMUM, "sgt_growth_event");
    if (status == SGT_OK)
        status = read_observation(&own, policy, observation, plan);
    if (status == SGT_OK)
        status = sgti_policy_ask(&made, &candidate, policy, &own, plan);
    if (status)
        return status;
    status = sgti_plan_assign(plan, candidate);
    if (status)
        return sgti_policy_restore(policy, status);
    if (event)
        sgti_struct_write(event, &made, sizeof made);
    return SGT_OK;
}
