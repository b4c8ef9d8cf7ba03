/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Calls the functions of a policy. What a function returns is passed on untouched, even a code of
 * the host's own; a failure without a message gets one. A function may leave another floating-point
 * mode behind, so the mode is set anew after each.
 */
#include "policy.h"

#include "../base/error.h"
#include "../base/float_mode.h"

/* Makes sure that a failure has a message. `failures` is how many this thread had recorded before
 * the call; if there are more, the function left one. Where it returned a code above 0, its own,
 * the message must have been recorded with that code: another one is about something that failed on
 * the way and that the function went on after. */
static sgt_status judge(uint64_t failures, int32_t returned, const char *function)
{
    sgti_floats_renew();
    int told = sgti_failures() != failures && (returned < 0 || sgti_last_failure() == returned);
    if (returned != SGT_OK && !told)
        return sgti_fail(returned, "%s of the growth policy returned %d", function, (int)returned);
    return returned;
}

sgt_status sgti_policy_call_create(sgt_growth_policy *policy)
{
    uint64_t failures = sgti_failures();
    int32_t returned = policy->vtable.create(&policy->state, policy->user, policy->n_layers,
                                             policy->n_heads);
    return judge(failures, returned, "create");
}

sgt_status sgti_policy_call_start(sgt_growth_policy *policy, sgt_plan *plan)
{
    uint64_t failures = sgti_failures();
    return judge(failures, policy->vtable.start(policy->state, policy->user, plan), "start");
}

sgt_status sgti_policy_call_decide(sgt_growth_policy *policy,
                                   const sgt_growth_observation *observation, sgt_plan *plan,
                                   sgt_growth_event *event)
{
    uint64_t failures = sgti_failures();
    int32_t returned =
        policy->vtable.decide(policy->state, policy->user, observation, plan, event);
    return judge(failures, returned, "decide");
}

sgt_status sgti_policy_call_save(const sgt_growth_policy *policy, void *data, size_t *bytes)
{
    size_t room = *bytes;
    uint64_t failures = sgti_failures();
    int32_t returned = policy->vtable.save(policy->state, policy->user, data, bytes);
    sgt_status status = judge(failures, returned, "save");
    if (status == SGT_OK && data && *bytes != room)
        status = sgti_fail(SGT_E_INVALID_ARGUMENT,
                           "save of the growth policy said %zu bytes and wrote %zu", room, *bytes);
    return status;
}

sgt_status sgti_policy_call_load(sgt_growth_policy *policy, const void *data, size_t bytes)
{
    uint64_t failures = sgti_failures();
    return judge(failures, policy->vtable.load(policy->state, policy->user, data, bytes), "load");
}
