/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a model: creation, references, configuration, plan. */
#include "model.h"

#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../core/tensors.h"
#include "config.h"
#include "flops.h"
#include "parts/blocks.h"
#include "pass_lists.h"

#define TOTAL_MINIMUM SGTI_SIZE_THROUGH(sgt_flops_total, overhead)

/* Sets all weights to 0, but what starts as ones or as the identity to that. */
static sgt_status create_weights(sgt_model *model)
{
    sgt_status status = sgti_storage_allocate(&model->weights, model->dispatch,
                                              model->parameters.elements * sizeof(float),
                                              "the weights");
    if (status)
        return status;
    sgt_tensor all =
        sgti_tensor_1d(model->weights.buffer, 0, (int64_t)model->parameters.elements);
    status = sgti_fill(model->dispatch, &all, 0.0);
    for (int32_t i = 0; i < model->parameters.count && status == SGT_OK; i++) {
        if (model->parameters.list[i].initial != SGTI_INITIAL_NORMAL)
            status = sgti_set_plainly(model, i);
    }
    return status;
}

/* Copies the configuration, so that the list of its blocks may go. */
static sgt_status take_config(sgt_model *model, const sgt_model_config *resolved)
{
    model->config = *resolved;
    sgt_status status = sgti_blocks_copy(&model->blocks, &model->context->memory, resolved);
    model->config.blocks = model->blocks.blocks;
    return status;
}

/* Makes all parts of a model. If one fails, freeing the model frees those that were made. */
static sgt_status fill_model(sgt_model *model, const sgt_model_config *resolved)
{
    sgt_status status = take_config(model, resolved);
    if (status == SGT_OK)
        status =
            sgti_parameters_create(&model->parameters, &model->context->memory, &model->config);
    if (status == SGT_OK)
        status = sgt_plan_create(&model->plan, model->context, model->config.n_layers,
                                 model->config.n_heads);
    if (status == SGT_OK)
        status = sgti_passes_create(&model->passes, &model->context->memory, &model->config,
                                    model->plan, model->plans_set);
    if (status == SGT_OK)
        status = sgti_pass_lists_create(&model->lists, model->dispatch, model->passes, 0);
    if (status == SGT_OK)
        status = create_weights(model);
    return status;
}

sgt_status sgt_model_create(sgt_model **model, sgt_context *context,
                            const sgt_model_config *config, const sgt_model_options *caller)
{
    SGTI_DEFAULT_FLOATS;
    sgt_model_config resolved;
    sgt_model_options options;
    void *fresh;
    if (!model || !context)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", model ? "context" : "model");
    sgt_status status = sgti_config_resolve(&resolved, config);
    if (status == SGT_OK)
        status = sgti_model_options_read(&options, caller);
    if (status)
        return status;
    status = sgti_allocate_zeroed(&fresh, &context->memory, 1, sizeof **model, "a model");
    if (status)
        return status;
    sgt_model *m = fresh;
    status = sgti_shared_create(&m->shared, m, &context->memory);
    if (status) {
        sgti_release(&context->memory, m, sizeof *m);
        return status;
    }
    m->context = sgti_context_ref(context);
    m->dispatch = context->dispatch;
    m->options = options;
    m->tokens.size = sizeof m->tokens;
    m->notes = sgti_hf_default_notes;
    m->step_closed = 1; /* the first forward starts a step */
    status = fill_model(m, &resolved);
    if (status) {
        sgti_model_unref(m);
        return status;
    }
    *model = m;
    return SGT_OK;
}

sgt_model *sgti_model_ref(const sgt_model *model)
{
    atomic_fetch_add(&model->shared->references, 1);
    return model->shared->model;
}

void sgti_model_unref(sgt_model *model)
{
    if (!model || atomic_fetch_sub(&model->shared->references, 1) != 1)
        return;
    sgt_context *context = model->context;
    sgti_shared_free(model->shared, model->dispatch, &context->memory);
    sgti_workspace_destroy(&model->training, model->dispatch, &context->memory);
    sgti_entropies_destroy(&model->entropies, &context->memory);
    sgti_storage_free(&model->gradients, model->dispatch);
    sgti_storage_free(&model->weights, model->dispatch);
    sgti_storage_free(&model->lists, model->dispatch);
    sgti_passes_free(model->passes, &context->memory);
    sgt_plan_free(model->plan);
    sgti_parameters_destroy(&model->parameters, &context->memory);
    sgti_blocks_free(&model->blocks, &context->memory);
    sgti_release(&context->memory, model, sizeof *model);
    sgti_context_unref(context);
}

void sgt_model_free(sgt_model *model)
{
    sgti_model_unref(model);
}

sgt_status sgt_model_get_config(sgt_model_config *config, const sgt_model *model)
{
    SGTI_DEFAULT_FLOATS;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = sgti_struct_check(config, SGTI_CONFIG_MINIMUM, "sgt_model_config");
    if (status)
        return status;
    sgti_struct_write(config, &model->config, sizeof model->config);
    return SGT_OK;
}

sgt_status sgt_model_get_options(sgt_model_options *options, const sgt_model *model)
{
    SGTI_DEFAULT_FLOATS;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status =
        sgti_struct_check(options, SGTI_MODEL_OPTIONS_MINIMUM, "sgt_model_options");
    if (status)
        return status;
    sgti_struct_write(options, &model->options, sizeof model->options);
    return SGT_OK;
}

const sgt_plan *sgt_model_plan(const sgt_model *model)
{
    return model ? model->plan : NULL;
}

/* Makes sure that a step like the last one will have memory under a new plan, so that a plan which
 * is too large fails here and not in the middle of a step. There is nothing to do before the first
 * step. */
static sgt_status reserve_for_plan(sgt_model *model, const sgt_plan *plan)
{
    sgti_shape shape = model->training.layout.shape;
    if (shape.rows == 0)
        return SGT_OK;
    model->state = SGTI_IDLE;
    shape.passes = NULL;
    shape.plan = plan;
    sgt_status status = sgti_workspace_reserve(&model->training, model->dispatch,
                                               &model->context->memory, &shape);
    if (status)
        return status;
    return sgti_entropies_reserve(model, sgti_most_passes(&model->config, plan),
                                  model->entropies.kinds | model->growth_entropy);
}

/* Unrolls a plan in the memory of the old passes and lists. On failure the model's plan is unrolled
 * there again. */
static sgt_status remake_passes(sgt_model *model, const sgt_plan *plan)
{
    sgti_passes_remake(model->passes, &model->config, plan, model->plans_set + 1);
    sgt_status status = sgti_pass_lists_write(&model->lists, model->dispatch, model->passes);
    if (status == SGT_OK)
        status = sgti_plan_assign(model->plan, plan);
    if (status) {
        sgti_passes_remake(model->passes, &model->config, model->plan, model->plans_set);
        sgti_pass_lists_write(&model->lists, model->dispatch, model->passes);
    }
    return status;
}

/* Unrolls a plan in new memory; the old passes go only when nothing can fail any more. */
static sgt_status replace_passes(sgt_model *model, const sgt_plan *plan)
{
    sgti_memory *memory = &model->context->memory;
    sgti_passes *passes = NULL;
    sgti_storage lists = {0};
    sgt_status status =
        sgti_passes_create(&passes, memory, &model->config, plan, model->plans_set + 1);
    if (status == SGT_OK)
        status = sgti_pass_lists_create(&lists, model->dispatch, passes, 0);
    if (status == SGT_OK)
        status = sgti_plan_assign(model->plan, plan);
    if (status) {
        sgti_storage_free(&lists, model->dispatch);
        sgti_passes_free(passes, memory);
        return status;
    }
    sgti_storage_free(&model->lists, model->dispatch);
    sgti_passes_free(model->passes, memory);
    model->lists = lists;
    model->passes = passes;
    return SGT_OK;
}

/* A plan that takes as many bytes as the old one, because only gains change for example, is
 * unrolled in place: so a ramp of gains allocates nothing. */
static sgt_status take_plan(sgt_model *model, const sgt_plan *plan)
{
    int fits = sgti_passes_bytes(&model->config, plan) == model->passes->bytes;
    sgt_status status = reserve_for_plan(model, plan);
    if (status == SGT_OK)
        status = fits ? remake_passes(model, plan) : replace_passes(model, plan);
    if (status)
        return status;
    model->plans_set++;
    model->state = SGTI_IDLE;
    sgti_entropies_clear(&model->entropies);
    return SGT_OK;
}

sgt_status sgt_model_set_plan(sgt_model *model, const sgt_plan *plan)
{
    SGTI_DEFAULT_FLOATS;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = sgti_plan_check(plan, model->config.n_layers, model->config.n_heads);
    if (status)
        return status;
    if (sgt_plan_equal(plan, model->plan)) /* only targets may differ, which no pass depends on */
        return sgti_plan_assign(model->plan, plan);
    return take_plan(model, plan);
}

void sgti_model_forward_flops(double flops[2], const sgt_model *model, int32_t seq, int with_head)
{
    static const int32_t loops[2] = {SGT_FLOPS_LOOPS_NOW, SGT_FLOPS_LOOPS_VANILLA};
    for (int i = 0; i < 2; i++)
        flops[i] = sgti_flops_forward(&model->config, model->plan, seq, loops[i], with_head);
}

sgt_status sgt_model_get_flops(sgt_flops_total *total, const sgt_model *model)
{
    SGTI_DEFAULT_FLOATS;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = sgti_struct_check(total, TOTAL_MINIMUM, "sgt_flops_total");
    if (status)
        return status;
    sgt_flops_total own = {.size = sizeof own,
                           .executed = model->executed_flops,
                           .vanilla = model->vanilla_flops};
    if (own.vanilla > 0.0)
        own.overhead = own.executed / own.vanilla - 1.0;
    sgti_struct_write(total, &own, sizeof own);
    return SGT_OK;
}

/* ---- what optimizers, growth and checkpoints tell a model ---- */

void sgti_model_close_step(sgt_model *model)
{
    model->gradient_state = SGTI_GRADIENTS_ZERO;
    model->step_closed = 1;
}

void sgti_model_spoil_gradients(sgt_model *model)
{
    model->gradient_state = SGTI_GRADIENTS_INVALID;
}

int sgti_model_step_is_open(const sgt_model *model)
{
    return model->gradient_state != SGTI_GRADIENTS_ZERO || !model->step_closed;
}

sgt_status sgti_model_attach_growth(sgt_model *model)
{
    if (model->growth_attached)
        return sgti_fail(SGT_E_STATE, "the model has a growth already");
    model->growth_attached = 1;
    return SGT_OK;
}

void sgti_model_detach_growth(sgt_model *model)
{
    model->growth_attached = 0;
    model->growth_entropy = SGT_ENTROPY_NONE;
}

void sgti_model_want_entropy(sgt_model *model, int32_t kinds)
{
    model->growth_entropy = kinds;
}

void sgti_model_restore_totals(sgt_model *model, double executed, double vanilla, int64_t draws)
{
    model->draws = draws;
    model->executed_flops = executed;
    model->vanilla_flops = vanilla;
}
