/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Policies of any kind: making, asking, keeping. Whatever fails on the way of a question, state
 * and plan are as before it. Buffers are kept, so that a step that changes no depth allocates
 * nothing.
 */
#include "policy.h"

#include "../base/bytes.h"
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/memory.h"
#include "../base/structs.h"
#include "../core/context.h"
#include "../model/plan_data.h"

#define STATE_MAGIC   UINT32_C(0x47544753) /* "SGTG" */
#define STATE_VERSION UINT32_C(1)

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
    sgt_growth_policy *made;
    sgt_status status = sgt_plan_create(&scratch, context, n_layers, n_heads);
    if (status)
        return status;
    status = sgti_allocate_zeroed(&memory, &context->memory, 1, sizeof *made, "a growth policy");
    if (status) {
        sgt_plan_free(scratch);
        return status;
    }
    made = memory;
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

/* What a function of a custom policy returned goes through untouched. It gets a message where none
 * was recorded meanwhile (`failures` were before), or one for something else than a code of the
 * host's own. */
static sgt_status callback_status(uint64_t failures, int32_t returned, const char *function)
{
    sgti_floats_renew();
    int told = sgti_failures() != failures && (returned < 0 || sgti_last_failure() == returned);
    if (returned != SGT_OK && !told)
        return sgti_fail(returned, "%s of the growth policy returned %d", function, (int)returned);
    return returned;
}

/* Both of its calls: how many bytes there are, and with room for so many. */
static sgt_status save_state(const sgt_growth_policy *policy, void *data, size_t *bytes)
{
    size_t room = *bytes;
    uint64_t failures = sgti_failures();
    sgt_status status = callback_status(
        failures, policy->vtable.save(policy->state, policy->user, data, bytes), "save");
    if (status == SGT_OK && data && *bytes != room)
        status = sgti_fail(SGT_E_INVALID_ARGUMENT,
                           "save of the growth policy said %zu bytes and wrote %zu", room, *bytes);
    return status;
}

static sgt_status load_state(sgt_growth_policy *policy, const void *data, size_t bytes)
{
    uint64_t failures = sgti_failures();
    return callback_status(
        failures, policy->vtable.load(policy->state, policy->user, data, bytes), "load");
}

static sgt_status read_vtable(sgt_growth_policy_vtable *own, const sgt_growth_policy_vtable *caller)
{
    const char *missing = NULL;
    if (!caller)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "vtable is NULL");
    sgt_status status =
        sgti_struct_read(own, sizeof *own, caller, VTABLE_MINIMUM, "sgt_growth_policy_vtable");
    if (status)
        return status;
    if (!own->create)
        missing = "create";
    else if (!own->decide)
        missing = "decide";
    else if (!own->save && own->load)
        missing = "save (load is there)";
    else if (!own->load && own->save)
        missing = "load (save is there)";
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
    uint64_t failures = sgti_failures();
    status = callback_status(failures, own.create(&made->state, user, n_layers, n_heads), "create");
    if (status) {
        made->vtable.destroy = NULL; /* there is no state to destroy */
        sgti_policy_unref(made);
        return status;
    }
    *policy = made;
    return SGT_OK;
}

/* ---- asking ---- */

static sgt_status remember(sgt_growth_policy *policy)
{
    sgti_memory *memory = &policy->context->memory;
    size_t bytes = 0;
    policy->saved_fixed = policy->fixed;
    policy->saved_bytes = 0;
    if (!policy->vtable.save)
        return SGT_OK;
    sgt_status status = save_state(policy, NULL, &bytes);
    if (status)
        return status;
    if (bytes > policy->saved_room) {
        void *grown = NULL;
        status = sgti_allocate_zeroed(&grown, memory, bytes, 1, "the state of a growth policy");
        if (status)
            return status;
        sgti_release(memory, policy->saved, policy->saved_room);
        policy->saved = grown;
        policy->saved_room = bytes;
    }
    status = save_state(policy, policy->saved, &bytes);
    if (status == SGT_OK)
        policy->saved_bytes = bytes;
    return status;
}

sgt_status sgti_policy_restore(sgt_growth_policy *policy, sgt_status status)
{
    sgt_status failed = SGT_OK;
    policy->fixed = policy->saved_fixed;
    if (policy->vtable.load)
        failed = load_state(policy, policy->saved, policy->saved_bytes);
    return failed ? failed : status;
}

sgt_status sgti_policy_start(const sgt_plan **candidate, sgt_growth_policy *policy,
                             const sgt_plan *plan)
{
    sgt_status status = sgti_plan_assign(policy->scratch, plan);
    uint64_t failures = sgti_failures();
    if (status == SGT_OK && policy->vtable.start)
        status = callback_status(
            failures, policy->vtable.start(policy->state, policy->user, policy->scratch), "start");
    if (status == SGT_OK)
        *candidate = policy->scratch;
    return status;
}

/* A list of an event: there, and each of it below `end`. */
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

/* The plan must have what the event of a custom policy claims; the built-in ones may select a layer
 * that had loops before they were asked. */
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

/* What a custom policy says it did must be something a host can rely on. */
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
    uint64_t failures = sgti_failures();
    status = callback_status(failures,
                             policy->vtable.decide(policy->state, policy->user, observation,
                                                   policy->scratch, &made),
                             "decide");
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
        status = sgti_struct_read(&own, sizeof own, observation, OBSERVATION_MINIMUM,
                                  "sgt_growth_observation");
    if (status == SGT_OK)
        status = check_observation(policy, &own);
    if (status == SGT_OK)
        status = sgti_plan_check(plan, policy->n_layers, policy->n_heads);
    if (!own.plan)
        own.plan = plan;
    if (status == SGT_OK)
        status = sgti_plan_check(own.plan, policy->n_layers, policy->n_heads);
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

/* ---- keeping ---- */

/*
 * The bytes of any policy:
 *     u32 magic, version, kind, n_layers, n_heads, fixed; u64 length of the policy's own bytes
 */
static void write_header(sgti_writer *writer, const sgt_growth_policy *policy, size_t length)
{
    sgti_put_u32(writer, STATE_MAGIC);
    sgti_put_u32(writer, STATE_VERSION);
    sgti_put_i32(writer, policy->kind);
    sgti_put_i32(writer, policy->n_layers);
    sgti_put_i32(writer, policy->n_heads);
    sgti_put_i32(writer, policy->fixed);
    sgti_put_u64(writer, length);
}

sgt_status sgt_growth_policy_save(void *data, size_t *bytes, const sgt_growth_policy *policy)
{
    SGTI_DEFAULT_FLOATS;
    sgti_writer header = {0};
    size_t length = 0;
    sgt_status status = SGT_OK;
    if (!bytes || !policy)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !bytes ? "bytes" : "policy");
    if (policy->vtable.save)
        status = save_state(policy, NULL, &length);
    if (status)
        return status;
    write_header(&header, policy, length);
    if (length > SIZE_MAX - header.used)
        return sgti_fail(SGT_E_OVERFLOW, "the state of the policy says it needs %zu bytes", length);
    if (data) {
        if (*bytes < header.used + length)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "bytes is %zu, the state of the policy needs %zu",
                             *bytes, (size_t)header.used + length);
        header = (sgti_writer){.data = data, .used = 0};
        write_header(&header, policy, length);
        if (policy->vtable.save)
            status = save_state(policy, header.data + header.used, &length);
        if (status)
            return status;
    }
    *bytes = (size_t)header.used + length;
    return SGT_OK;
}

/* Reads the header; leaves the policy's own bytes in the reader. */
static sgt_status read_header(int32_t *fixed, sgti_reader *reader, const sgt_growth_policy *policy)
{
    uint32_t magic = sgti_get_u32(reader);
    uint32_t version = sgti_get_u32(reader);
    if (reader->failed || magic != STATE_MAGIC)
        return sgti_fail(SGT_E_FORMAT, "the bytes are no state of a growth policy");
    if (version != STATE_VERSION)
        return sgti_fail(SGT_E_VERSION, "policy state: version %lu is not known",
                         (unsigned long)version);
    int32_t kind = sgti_get_i32(reader);
    int32_t n_layers = sgti_get_i32(reader);
    int32_t n_heads = sgti_get_i32(reader);
    int32_t is_fixed = sgti_get_i32(reader);
    uint64_t length = sgti_get_u64(reader);
    if (reader->failed || length != reader->left)
        return sgti_fail(SGT_E_FORMAT, "policy state: the length is wrong");
    if (is_fixed != 0 && is_fixed != 1)
        return sgti_fail(SGT_E_FORMAT, "policy state: fixed is %d", (int)is_fixed);
    if (kind != policy->kind)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "the state is of another kind of policy");
    if (n_layers != policy->n_layers || n_heads != policy->n_heads)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "the state is for %d layers of %d heads, the policy for %d of %d",
                         (int)n_layers, (int)n_heads, (int)policy->n_layers, (int)policy->n_heads);
    *fixed = is_fixed;
    return SGT_OK;
}

sgt_status sgt_growth_policy_load(sgt_growth_policy *policy, const void *data, size_t bytes)
{
    SGTI_DEFAULT_FLOATS;
    sgti_reader reader = {.data = data, .left = bytes};
    int32_t fixed = 0;
    if (!policy || !data)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !policy ? "policy" : "data");
    sgt_status status = read_header(&fixed, &reader, policy);
    if (status)
        return status;
    if (policy->vtable.load)
        status = load_state(policy, reader.data, reader.left);
    else if (reader.left != 0)
        status = sgti_fail(SGT_E_FORMAT, "policy state: %zu bytes for a policy that keeps none",
                           reader.left);
    if (status)
        return status;
    policy->fixed = fixed;
    if (policy->growth)
        sgti_growth_refresh(policy->growth);
    return SGT_OK;
}
