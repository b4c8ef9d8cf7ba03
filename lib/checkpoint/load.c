/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads a checkpoint, into handles that are there or into new ones. First everything is read, then
 * the handles take it over, so that a load which fails leaves the host's handles as they were. New
 * handles need no such care, since a failure frees them: weights are read straight into them, which
 * saves the memory of a second copy.
 */
#include "load_data.h"

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"

#define LOAD_MINIMUM SGTI_SIZE_THROUGH(sgt_checkpoint_load_options, reserved)

static const sgt_checkpoint_load_options default_options = {.size = sizeof default_options,
                                                            .verify = 1};

sgt_status sgt_checkpoint_load_options_init(sgt_checkpoint_load_options *options, size_t size)
{
    return sgti_struct_init(options, size, &default_options, sizeof default_options, LOAD_MINIMUM,
                            "sgt_checkpoint_load_options");
}

static sgt_status read_options(sgt_checkpoint_load_options *own,
                               const sgt_checkpoint_load_options *caller)
{
    *own = default_options;
    if (!caller)
        return SGT_OK;
    sgt_status status =
        sgti_struct_read(own, sizeof *own, caller, LOAD_MINIMUM, "sgt_checkpoint_load_options");
    if (status == SGT_OK && (own->own_schedule >> 1 || own->verify >> 1))
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "own_schedule is %d, verify is %d: not both 0 or 1",
                         (int)own->own_schedule, (int)own->verify);
    return status ? status : sgti_check_reserved(own->reserved, "sgt_checkpoint_load_options");
}

static sgt_status check(const sgti_load *load)
{
    const char *path = load->checkpoint->file.path;
    sgt_model_config file = load->numbers->config;
    if (load->optimizer && load->optimizer->model != load->model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "optimizer is of another model");
    if (load->growth && load->growth->model != load->model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "growth is of another model");
    if (load->optimizer && !load->numbers->has_optimizer)
        return sgti_fail(SGT_E_NOT_FOUND, "%s: no optimizer was saved", path);
    if (load->growth && !load->numbers->has_growth)
        return sgti_fail(SGT_E_NOT_FOUND, "%s: no growth was saved", path);
    return sgti_config_compare(&load->model->config, &file, path);
}

/* Checks, reads, takes over; then frees what was put aside and not taken. */
static sgt_status run(sgti_load *load)
{
    load->memory = &load->model->context->memory;
    load->numbers = &load->checkpoint->numbers;
    sgt_status status = check(load);
    if (status == SGT_OK)
        status = sgti_load_read(load);
    if (status == SGT_OK)
        status = sgti_load_take(load);
    sgti_tensor_reader_close(&load->reader);
    sgti_storage_free(&load->weights, load->model->dispatch);
    sgti_storage_free(&load->moments, load->model->dispatch);
    sgti_release(load->memory, load->factors,
                 (uint64_t)load->model->parameters.count * sizeof *load->factors);
    sgti_release(load->memory, load->entropies, 2 * load->entropy_count * sizeof(double));
    sgti_release(load->memory, load->policy, load->policy_bytes);
    sgt_plan_free(load->plan);
    return status;
}

sgt_status sgt_checkpoint_load(sgt_model *model, sgt_optimizer *optimizer, sgt_growth *growth,
                               const sgt_checkpoint *checkpoint,
                               const sgt_checkpoint_load_options *options)
{
    SGTI_DEFAULT_FLOATS;
    sgti_load load = {
        .checkpoint = checkpoint, .model = model, .optimizer = optimizer, .growth = growth};
    if (!model || !checkpoint)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !model ? "model" : "checkpoint");
    sgt_status status = read_options(&load.options, options);
    return status == SGT_OK ? run(&load) : status;
}

/* ---- making ---- */

/* Makes the handles and loads into them; frees them again on failure. */
static sgt_status make_and_load(sgti_load *load, int with_optimizer, sgt_growth_policy *policy,
                                const sgt_model_options *options)
{
    const sgti_numbers *numbers = &load->checkpoint->numbers;
    sgt_status status = sgt_model_create(&load->model, load->checkpoint->context,
                                         &numbers->config, options);
    if (status == SGT_OK && with_optimizer)
        status = sgt_optimizer_create(&load->optimizer, load->model,
                                      numbers->has_optimizer ? &numbers->options : NULL);
    if (status == SGT_OK && policy)
        status = sgt_growth_create(&load->growth, load->model, policy, NULL);
    if (status == SGT_OK)
        status = run(load);
    if (status) {
        sgt_growth_free(load->growth);
        sgt_optimizer_free(load->optimizer);
        sgt_model_free(load->model);
    }
    return status;
}

sgt_status sgt_checkpoint_create(sgt_model **model, sgt_optimizer **optimizer, sgt_growth **growth,
                                 const sgt_checkpoint *checkpoint, sgt_growth_policy *policy,
                                 const sgt_model_options *model_options,
                                 const sgt_checkpoint_load_options *options)
{
    SGTI_DEFAULT_FLOATS;
    sgti_load load = {.checkpoint = checkpoint, .fresh = 1};
    if (!model || !checkpoint)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !model ? "model" : "checkpoint");
    if ((!growth) != (!policy))
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL, but not %s",
                         !growth ? "growth" : "policy", !growth ? "policy" : "growth");
    sgt_status status = read_options(&load.options, options);
    if (status == SGT_OK)
        status = make_and_load(&load, optimizer != NULL, policy, model_options);
    if (status)
        return status;
    *model = load.model;
    if (optimizer)
        *optimizer = load.optimizer;
    if (growth)
        *growth = load.growth;
    return SGT_OK;
}
