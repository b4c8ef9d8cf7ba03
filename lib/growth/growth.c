/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver: after an optimizer step it shows a policy what the model observed, and hands the plan
 * that the policy wants to the model. It knows no policy in particular. A step that fails changes
 * neither model nor policy and may be repeated.
 *
 *     model --entropies, plan, FLOPs--> observation --> policy --plan--> model
 *                                                              --event--> host
 */
#include "growth.h"

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/memory.h"
#include "../base/structs.h"
#include "../core/context.h"
#include "../model/model.h"

#define OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_growth_options, observe_after_fix)
#define INPUT_MINIMUM   SGTI_SIZE_THROUGH(sgt_growth_input, grad_norm)

static const sgt_growth_options default_options = {.size = sizeof default_options};

sgt_status sgt_growth_options_init(sgt_growth_options *options, size_t size)
{
    return sgti_struct_init(options, size, &default_options, sizeof default_options,
                            OPTIONS_MINIMUM, "sgt_growth_options");
}

/* ---- attaching ---- */

void sgti_growth_refresh(sgt_growth *growth)
{
    int over = growth->policy->fixed && !growth->options.observe_after_fix;
    sgti_model_want_entropy(growth->model,
                            over ? SGT_ENTROPY_NONE : growth->policy->vtable.entropy);
}

static sgt_status check_pair(const sgt_model *model, const sgt_growth_policy *policy)
{
    if (model->config.n_layers != policy->n_layers || model->config.n_heads != policy->n_heads)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "the policy is for %d layers of %d heads, the model has %d of %d",
                         (int)policy->n_layers, (int)policy->n_heads, (int)model->config.n_layers,
                         (int)model->config.n_heads);
    if (policy->growth)
        return sgti_fail(SGT_E_STATE, "the policy is attached to a model already");
    return SGT_OK;
}

/* Starts the policy on the model's plan, and gives the model the plan that it starts with. */
static sgt_status start(sgt_growth *growth, sgt_model *model, sgt_growth_policy *policy)
{
    const sgt_plan *plan = NULL;
    sgt_status status = sgti_model_attach_growth(model);
    if (status)
        return status;
    status = sgti_policy_start(&plan, policy, model->plan);
    if (status == SGT_OK)
        status = sgt_model_set_plan(model, plan);
    if (status) {
        sgti_model_detach_growth(model);
        return status;
    }
    growth->model = sgti_model_ref(model);
    growth->policy = sgti_policy_ref(policy);
    policy->growth = growth;
    sgti_growth_refresh(growth);
    return SGT_OK;
}

sgt_status sgt_growth_create(sgt_growth **growth, sgt_model *model, sgt_growth_policy *policy,
                             const sgt_growth_options *options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_growth_options own = default_options;
    void *memory;
    sgt_status status = SGT_OK;
    if (!growth || !model || !policy)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL",
                         !growth  ? "growth"
                         : !model ? "model"
                                  : "policy");
    if (options)
        status = sgti_struct_read(&own, sizeof own, options, OPTIONS_MINIMUM,
                                  "sgt_growth_options");
    if (status == SGT_OK)
        status = check_pair(model, policy);
    if (status == SGT_OK)
        status = sgti_allocate_zeroed(&memory, &model->context->memory, 1, sizeof **growth,
                                      "a growth");
    if (status)
        return status;
    sgt_growth *made = memory;
    made->options = own;
    status = start(made, model, policy);
    if (status) {
        sgti_release(&model->context->memory, memory, sizeof *made);
        return status;
    }
    *growth = made;
    return SGT_OK;
}

void sgt_growth_free(sgt_growth *growth)
{
    if (!growth)
        return;
    sgt_model *model = growth->model;
    sgt_growth_policy *policy = growth->policy;
    sgti_model_detach_growth(model);
    policy->growth = NULL;
    sgti_memory *memory = &model->context->memory;
    sgti_release(memory, growth->entropies, growth->capacity * sizeof(double));
    sgti_release(memory, growth, sizeof *growth);
    sgti_policy_unref(policy);
    sgti_model_unref(model);
}

/* ---- a step ---- */

/* Makes room for `count` doubles. */
static sgt_status reserve(sgt_growth *growth, uint64_t count)
{
    sgti_memory *memory = &growth->model->context->memory;
    void *grown = NULL;
    if (count <= growth->capacity)
        return SGT_OK;
    sgt_status status = sgti_allocate_zeroed(&grown, memory, count, sizeof(double),
                                             "the entropies of an observation");
    if (status)
        return status;
    sgti_release(memory, growth->entropies, growth->capacity * sizeof(double));
    growth->entropies = grown;
    growth->capacity = count;
    return SGT_OK;
}

/* Adds the entropies that the model collected to an observation, in memory that the growth
 * keeps. */
static sgt_status copy_entropies(sgt_growth_observation *made, sgt_growth *growth)
{
    const sgt_model *model = growth->model;
    int32_t collected = model->entropies.collected;
    uint64_t count =
        (uint64_t)made->n_layers * (uint64_t)made->max_passes * (uint64_t)made->n_heads;
    sgt_status status = SGT_OK;
    if (collected != SGT_ENTROPY_NONE)
        status = reserve(growth, 2 * count);
    if (status == SGT_OK && (collected & SGT_ENTROPY_LAST)) {
        made->last_entropy = growth->entropies;
        status = sgti_entropies_copy(growth->entropies, model, SGT_ENTROPY_LAST);
    }
    if (status == SGT_OK && (collected & SGT_ENTROPY_MEAN)) {
        made->mean_entropy = growth->entropies + count;
        status = sgti_entropies_copy(growth->entropies + count, model, SGT_ENTROPY_MEAN);
    }
    return status;
}

/* Makes an observation of what the model saw since the last step. */
static sgt_status observe(sgt_growth_observation *observation, sgt_growth *growth,
                          const sgt_growth_input *input)
{
    const sgt_model *model = growth->model;
    int32_t needed = growth->policy->fixed ? SGT_ENTROPY_NONE : growth->policy->vtable.entropy;
    sgt_growth_observation made = {
        .size = sizeof made,
        .n_layers = model->config.n_layers,
        .n_heads = model->config.n_heads,
        .max_passes = model->entropies.max_passes,
        .step = input->step,
        .loss = input->loss,
        .grad_norm = input->grad_norm,
        .plan = model->plan,
        .executed_flops = model->executed_flops,
        .vanilla_flops = model->vanilla_flops,
    };
    if (!model->entropies.unseen)
        return sgti_fail(SGT_E_STATE, "no training forward since the last call or plan change");
    if ((model->entropies.collected & needed) != needed)
        return sgti_fail(SGT_E_STATE, "the training forwards of this step did not collect the "
                                      "entropies that the policy needs");
    sgt_status status = copy_entropies(&made, growth);
    if (status == SGT_OK)
        *observation = made;
    return status;
}

/* Shows the policy what was observed, and gives the model the plan that it decides on. */
static sgt_status grow(sgt_growth_event *event, sgt_growth *growth, const sgt_growth_input *input)
{
    sgt_growth_observation observation;
    const sgt_plan *plan = NULL;
    sgt_status status = observe(&observation, growth, input);
    if (status == SGT_OK)
        status = sgti_policy_ask(event, &plan, growth->policy, &observation, growth->model->plan);
    if (status)
        return status;
    /* A plan that does not fit in memory takes the decision back, so that the call can be
     * repeated. */
    status = sgt_model_set_plan(growth->model, plan);
    if (status)
        return sgti_policy_restore(growth->policy, status);
    sgti_growth_refresh(growth);
    return SGT_OK;
}

static sgt_status check_step(int64_t step, int64_t last_step)
{
    if (step < 1)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "step is %lld, not at least 1", (long long)step);
    if (step > SGTI_MOST_STEPS)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "step is %lld, more than 2^53", (long long)step);
    if (step <= last_step)
        return sgti_fail(SGT_E_STATE, "step is %lld, the last call had step %lld", (long long)step,
                         (long long)last_step);
    return SGT_OK;
}

sgt_status sgt_growth_step(sgt_growth_event *event, sgt_growth *growth,
                           const sgt_growth_input *input)
{
    SGTI_DEFAULT_FLOATS;
    sgt_growth_input own = {0};
    sgt_growth_event made = {.size = sizeof made, .action = SGT_GROWTH_NONE, .layer = -1};
    sgt_status status = SGT_OK;
    if (!growth || !input)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !growth ? "growth" : "input");
    if (event)
        status = sgti_struct_check(event, SGTI_EVENT_MINIMUM, "sgt_growth_event");
    if (status == SGT_OK)
        status = sgti_struct_read(&own, sizeof own, input, INPUT_MINIMUM, "sgt_growth_input");
    if (status == SGT_OK)
        status = check_step(own.step, growth->last_step);
    if (status == SGT_OK && !own.skipped)
        status = grow(&made, growth, &own);
    if (status)
        return status;
    growth->last_step = own.step;
    sgti_entropies_mark_seen(&growth->model->entropies);
    if (event)
        sgti_struct_write(event, &made, sizeof made);
    return SGT_OK;
}
