/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The second half of a load: the handles take over what was read. Once policy and plan are
 * accepted, it can only fail if the backend cannot copy or clear its own memory.
 */
#include "load_data.h"

#include "../base/error.h"
#include "../core/tensors.h"

/* Saves the state of the policy, so that there is a way back when the new state was loaded but the
 * plan is refused. */
static sgt_status save_policy(sgti_load *load, uint8_t **data, size_t *bytes)
{
    void *memory = NULL;
    sgt_status status = sgt_growth_policy_save(NULL, bytes, load->growth->policy);
    if (status == SGT_OK)
        status = sgti_allocate_zeroed(&memory, load->memory, *bytes, 1, "the state of a policy");
    if (status)
        return status;
    size_t room = *bytes;
    *data = memory;
    return sgt_growth_policy_save(memory, &room, load->growth->policy);
}

/* Changes both policy and plan, or neither. */
static sgt_status take_depth(sgti_load *load)
{
    uint8_t *before = NULL;
    size_t before_bytes = 0;
    sgt_status status = SGT_OK;
    if (!load->growth)
        return sgt_model_set_plan(load->model, load->plan);
    status = save_policy(load, &before, &before_bytes);
    if (status == SGT_OK) {
        status =
            sgt_growth_policy_load(load->growth->policy, load->policy, (size_t)load->policy_bytes);
        if (status < 0)
            status = sgti_fail(status, "%.200s: tensor 'growth.policy': %s",
                               load->checkpoint->file.path, sgt_error_message());
        else if (status == SGT_OK)
            status = sgt_model_set_plan(load->model, load->plan);
        if (status)
            sgt_growth_policy_load(load->growth->policy, before, before_bytes);
    }
    sgti_release(load->memory, before, before_bytes);
    return status;
}

static sgt_status copy_parameters(sgti_load *load)
{
    sgti_dispatch *dispatch = load->model->dispatch;
    sgt_status status = SGT_OK;
    for (int32_t i = 0; !load->fresh && i < load->model->parameters.count && status == SGT_OK;
         i++) {
        sgt_tensor to = sgti_weight(load->model, i), from = sgti_staged(&load->weights, to);
        status = sgti_copy(dispatch, &to, &from);
        for (int32_t m = SGT_MOMENT_FIRST; m <= SGT_MOMENT_SECOND && load->optimizer; m++) {
            to = sgti_moment(load->optimizer, i, m);
            from = sgti_staged(&load->moments, to);
            if (status == SGT_OK)
                status = sgti_copy(dispatch, &to, &from);
        }
    }
    return status;
}

static void take_optimizer(sgti_load *load)
{
    sgti_optimizer_record record = {.steps = load->numbers->steps,
                                    .updates = load->numbers->updates};
    if (!load->options.own_schedule) {
        record.options = &load->numbers->options;
        record.factors = load->factors;
    }
    sgti_optimizer_restore(load->optimizer, &record);
}

static void take_entropies(sgti_load *load)
{
    sgti_entropy_record record = {.kinds = load->numbers->entropy_kinds,
                                  .batches = load->numbers->entropy_batches,
                                  .max_passes = load->numbers->entropy_passes,
                                  .count = load->entropy_count,
                                  .last = load->entropies};
    if (!load->numbers->entropy_unseen) {
        sgti_entropies_clear(&load->model->entropies);
        return;
    }
    sgti_entropies_restore(load->model, &record);
    load->entropies = record.last;
}

/* Takes over what is no tensor: totals, tokens and notes of the model, and the steps of optimizer
 * and growth. */
static void take_numbers(sgti_load *load)
{
    sgt_model *model = load->model;
    const sgti_numbers *numbers = load->numbers;
    sgti_model_restore_totals(model, numbers->executed_flops, numbers->vanilla_flops,
                              numbers->draws);
    if (numbers->tokens.size > 0)
        model->tokens = numbers->tokens;
    if (numbers->has_notes)
        model->notes = numbers->notes;
    if (load->optimizer)
        take_optimizer(load);
    if (load->growth)
        load->growth->last_step = numbers->last_step;
}

sgt_status sgti_load_take(sgti_load *load)
{
    sgt_status status = take_depth(load);
    if (status)
        return status;
    status = copy_parameters(load);
    sgti_model_touch_weights(load->model);
    if (status == SGT_OK)
        status = sgt_model_zero_gradients(load->model);
    if (status)
        return status;
    take_numbers(load);
    take_entropies(load);
    return SGT_OK;
}
