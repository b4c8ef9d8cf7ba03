/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes the policy of the paper: its options, its one block of memory, the functions of its
 * vtable. */
#include "policy_sparse.h"

#include "policy.h"

#include "../base/carver.h"
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../core/context.h"

#define OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_growth_sparse_options, n_groups)

static const int32_t default_exclude[] = {0};

static const sgt_growth_sparse_options default_options = {
    .size = sizeof default_options,
    .top_k_layers = 3,
    .first_step = 250,
    .window = 250,
    .max_layers = 3,
    .max_depth = 1,
    .keep_heads = 2,
    .ramp = SGT_RAMP_REFERENCE,
    .fade = SGT_FADE_LINEAR,
    .entropy = SGT_ENTROPY_LAST,
    .average = 0.5,
    .direction = SGT_DIRECTION_DEEP_TO_SHALLOW,
    .head_choice = SGT_HEADS_HIGHEST,
    .exclude = default_exclude,
    .n_exclude = 1,
    .max_gain = 1.0,
};

sgt_status sgt_growth_sparse_options_init(sgt_growth_sparse_options *options, size_t size)
{
    return sgti_struct_init(options, size, &default_options, sizeof default_options,
                            OPTIONS_MINIMUM, "sgt_growth_sparse_options");
}

/* ---- checks ---- */

static sgt_status check_range(const char *field, int64_t value, int64_t least, int64_t most)
{
    if (value >= least && value <= most)
        return SGT_OK;
    return sgti_fail(SGT_E_OUT_OF_RANGE, "%s is %lld, not in %lld to %lld", field,
                     (long long)value, (long long)least, (long long)most);
}

static sgt_status check_excluded(const sgt_growth_sparse_options *o, int32_t n_layers)
{
    if (o->n_exclude > 0 && !o->exclude)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "exclude is NULL, n_exclude is %d",
                         (int)o->n_exclude);
    for (int32_t i = 0; i < o->n_exclude; i++) {
        if (o->exclude[i] < 0 || o->exclude[i] >= n_layers)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "exclude[%d] is %d, the model has %d layers",
                             (int)i, (int)o->exclude[i], (int)n_layers);
    }
    return SGT_OK;
}

static sgt_status check_groups(const sgt_growth_sparse_options *o)
{
    if (o->n_groups > 0 && !o->groups)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "groups is NULL, n_groups is %d",
                         (int)o->n_groups);
    for (int32_t i = 0; i < o->n_groups; i++) {
        if (o->groups[i] < 0)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "groups[%d] is %d, less than 0", (int)i,
                             (int)o->groups[i]);
    }
    return SGT_OK;
}

static sgt_status check_options(const sgt_growth_sparse_options *o, int32_t n_layers,
                                int32_t n_heads)
{
    const struct {
        const char *field;
        int64_t value, least, most;
    } ranges[] = {
        {"top_k_layers", o->top_k_layers, 1, INT32_MAX},
        {"first_step", o->first_step, 1, INT64_MAX},
        {"window", o->window, 1, INT64_MAX},
        {"max_layers", o->max_layers, 1, INT32_MAX},
        {"max_depth", o->max_depth, 1, SGT_PLAN_MAX_DEPTH},
        {"keep_heads", o->keep_heads, 1, n_heads},
        {"ramp", o->ramp, SGT_RAMP_REFERENCE, SGT_RAMP_WARM},
        {"fade", o->fade, SGT_FADE_LINEAR, SGT_FADE_EXPONENTIAL},
        {"entropy", o->entropy, SGT_ENTROPY_LAST, SGT_ENTROPY_MEAN},
        {"direction", o->direction, SGT_DIRECTION_DEEP_TO_SHALLOW, SGT_DIRECTION_SHALLOW_TO_DEEP},
        {"head_choice", o->head_choice, SGT_HEADS_HIGHEST, SGT_HEADS_RANDOM},
        {"n_exclude", o->n_exclude, 0, INT32_MAX},
        {"n_groups", o->n_groups, 0, n_layers},
    };
    sgt_status status = SGT_OK;
    for (size_t i = 0; status == SGT_OK && i < sizeof ranges / sizeof ranges[0]; i++)
        status = check_range(ranges[i].field, ranges[i].value, ranges[i].least, ranges[i].most);
    if (status)
        return status;
    if (!(o->average >= 0.0 && o->average < 1.0))
        return sgti_fail(SGT_E_OUT_OF_RANGE, "average is %g, not in [0,1)", o->average);
    if (!(o->max_gain > 0.0 && o->max_gain <= 1.0))
        return sgti_fail(SGT_E_OUT_OF_RANGE, "max_gain is %g, not in (0,1]", o->max_gain);
    status = check_excluded(o, n_layers);
    return status ? status : check_groups(o);
}

/* ---- memory ---- */

static void carve_state(sgti_sparse_state *state, sgti_carver *block,
                        const sgti_sparse_policy *policy)
{
    int64_t n_layers = policy->n_layers;
    state->averages = sgti_carve(block, n_layers * policy->n_heads, sizeof(double));
    state->starts = sgti_carve(block, n_layers * policy->options.max_depth, sizeof(int64_t));
    state->depths = sgti_carve(block, n_layers, sizeof(int32_t));
    state->selected = sgti_carve(block, n_layers, sizeof(int32_t));
    state->kept = sgti_carve(block, n_layers * policy->options.keep_heads, sizeof(int32_t));
}

/* Cuts the block into the policy itself and all its arrays. */
static void carve_all(sgti_sparse_policy *policy, sgti_carver *block)
{
    int64_t n_layers = policy->n_layers;
    int64_t n_heads = policy->n_heads;
    sgti_carve(block, 1, sizeof *policy);
    carve_state(&policy->now, block, policy);
    carve_state(&policy->spare, block, policy);
    policy->excluded = sgti_carve(block, n_layers, sizeof(int32_t));
    policy->groups = sgti_carve(block, n_layers, sizeof(int32_t));
    policy->scores = sgti_carve(block, n_layers, sizeof(double));
    policy->keys = sgti_carve(block, n_heads, sizeof(double));
    policy->ranking = sgti_carve(block, n_layers > n_heads ? n_layers : n_heads, sizeof(int32_t));
    policy->fixed_layers = sgti_carve(block, n_layers, sizeof(int32_t));
    policy->gains = sgti_carve(block, n_heads, sizeof(float));
    policy->targets = sgti_carve(block, n_heads, sizeof(float));
}

/* Fills the lists of layers from those of the options. */
static void copy_lists(sgti_sparse_policy *policy, const sgt_growth_sparse_options *o)
{
    for (int32_t i = 0; i < o->n_exclude; i++)
        policy->excluded[o->exclude[i]] = 1;
    for (int32_t i = 0; o->n_groups > 0 && i < policy->n_layers; i++) {
        int32_t first = 0;
        while (o->groups[first] != o->groups[i % o->n_groups])
            first++;
        policy->groups[i] = first;
    }
    policy->options.exclude = NULL;
    policy->options.n_exclude = 0;
    policy->options.groups = NULL;
    policy->options.n_groups = 0;
}

/* Makes the policy's one block of memory. The policy is filled on the stack, first to count the
 * block and then with the pointers into it, and copied to the block's beginning. */
static sgt_status new_state(sgti_sparse_policy **state, sgti_memory *memory, int32_t n_layers,
                            int32_t n_heads, const sgt_growth_sparse_options *options)
{
    sgti_sparse_policy shape = {
        .memory = memory, .options = *options, .n_layers = n_layers, .n_heads = n_heads};
    sgti_carver block = {0};
    void *base = NULL;
    carve_all(&shape, &block);
    if (block.overflow)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "a growth policy for %d layers of %d heads is too big",
                         (int)n_layers, (int)n_heads);
    sgt_status status = sgti_allocate_zeroed(&base, memory, block.bytes, 1, "a growth policy");
    if (status)
        return status;
    shape.bytes = block.bytes;
    block = (sgti_carver){.memory = base};
    carve_all(&shape, &block);
    copy_lists(&shape, options);
    *state = base;
    **state = shape;
    return SGT_OK;
}

/* ---- the vtable ---- */

static void destroy(void *state, void *user)
{
    sgti_sparse_policy *policy = state;
    (void)user;
    sgti_release(policy->memory, policy, policy->bytes);
}

static int32_t decide(void *state, void *user, const sgt_growth_observation *observation,
                      sgt_plan *plan, sgt_growth_event *event)
{
    sgti_sparse_policy *policy = state;
    int mean = policy->options.entropy == SGT_ENTROPY_MEAN;
    const double *entropies = mean ? observation->mean_entropy : observation->last_entropy;
    (void)user;
    if (!entropies && !policy->now.fixed)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "the observation lacks %s",
                         mean ? "mean_entropy" : "last_entropy");
    if (entropies)
        sgti_sparse_observe(policy, entropies, observation->max_passes, observation->plan);
    sgti_sparse_act(policy, observation->step, event);
    return sgti_sparse_write_plan(policy, observation->step, plan);
}

sgt_status sgt_growth_policy_sparse(sgt_growth_policy **policy, sgt_context *context,
                                    int32_t n_layers, int32_t n_heads,
                                    const sgt_growth_sparse_options *options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_growth_policy_vtable vtable = {
        .size = sizeof vtable,
        .destroy = destroy,
        .decide = decide,
        .save = sgti_sparse_save,
        .load = sgti_sparse_load,
    };
    sgt_growth_sparse_options own = default_options;
    sgti_sparse_policy *state = NULL;
    sgt_status status = SGT_OK;
    if (!policy || !context)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !policy ? "policy" : "context");
    if (options)
        status = sgti_struct_read(&own, sizeof own, options, OPTIONS_MINIMUM,
                                  "sgt_growth_sparse_options");
    if (status == SGT_OK)
        status = check_range("n_layers", n_layers, 1, INT32_MAX);
    if (status == SGT_OK)
        status = check_range("n_heads", n_heads, 1, INT32_MAX);
    if (status == SGT_OK)
        status = check_options(&own, n_layers, n_heads);
    if (status == SGT_OK)
        status = new_state(&state, &context->memory, n_layers, n_heads, &own);
    if (status)
        return status;
    vtable.entropy = own.entropy;
    status = sgti_policy_new(policy, context, SGTI_POLICY_SPARSE, n_layers, n_heads, &vtable, NULL,
                             state);
    if (status)
        destroy(state, NULL);
    return status;
}
