/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tells how much memory a model, its optimizer and a step will take, by the same arithmetic that
 * later allocates it. The file is here, and not with the model, because it knows optimizers too.
 */
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../model/config.h"
#include "../model/parts/blocks.h"
#include "optimizer.h"

#define OPTIONS_MINIMUM  SGTI_SIZE_THROUGH(sgt_model_memory_options, model)
#define MEMORY_MINIMUM SGTI_SIZE_THROUGH(sgt_model_memory, total)

sgt_status sgt_model_memory_options_init(sgt_model_memory_options *options, size_t size)
{
    static const sgt_model_memory_options defaults = {
        .size = sizeof defaults, .training = 1, .optimizer = 1};
    return sgti_struct_init(options, size, &defaults, sizeof defaults, OPTIONS_MINIMUM,
                            "sgt_model_memory_options");
}

/* Adds up the memory of a model and of a step of `shape`, whose plan may be NULL. */
static sgt_status estimate(sgt_model_memory *e, const sgti_shape *shape,
                           const sgt_model_memory_options *options)
{
    const sgt_model_config *config = shape->config;
    const sgt_plan *plan = shape->plan;
    int optimizer = options->training && options->optimizer;
    uint64_t workspace;
    sgti_parameters parameters;
    sgt_status status = sgti_parameters_measure(&parameters, config);
    if (status == SGT_OK)
        status = sgti_workspace_measure(&workspace, shape);
    if (status)
        return status;
    e->parameters = parameters.elements * sizeof(float);
    e->gradients = options->training ? e->parameters : 0;
    e->moments = optimizer ? 2 * e->parameters : 0;
    e->activations = workspace + (options->training ? 0 : sizeof(sgti_workspace));
    e->other = sizeof(sgt_model) + sizeof(sgti_model_shared) + parameters.bytes +
               sgti_blocks_bytes(config) +
               sgti_plan_memory(config->n_layers, plan) + sgti_passes_bytes(config, plan) +
               sgti_lists_bytes(config, plan) +
               (optimizer ? sgti_optimizer_bytes(parameters.count) : 0);
    e->total = e->context + e->parameters + e->gradients + e->moments + e->activations + e->other;
    return SGT_OK;
}

/* Reads the host's options, and the options of the model that they may point to. */
static sgt_status read_options(sgt_model_memory_options *own, sgt_model_options *model,
                               const sgt_model_memory_options *caller)
{
    sgt_status status = sgt_model_memory_options_init(own, sizeof *own);
    if (status == SGT_OK && caller)
        status = sgti_struct_read(own, sizeof *own, caller, OPTIONS_MINIMUM,
                                  "sgt_model_memory_options");
    return status ? status : sgti_model_options_read(model, own->model);
}

static sgt_status check_sizes(int32_t batch, int32_t seq, const sgt_model_config *config,
                              const sgt_plan *plan)
{
    if (batch < 1 || seq < 1 || seq > config->max_seq_len)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "batch %d, seq %d: at least 1, seq at most %d",
                         (int)batch, (int)seq, (int)config->max_seq_len);
    return plan ? sgti_plan_check(plan, config->n_layers, config->n_heads) : SGT_OK;
}

static sgti_mode step_mode(const sgt_model_memory_options *options)
{
    if (!options->training)
        return SGTI_EVALUATE;
    return options->logits ? SGTI_TRAIN_LOGITS : SGTI_TRAIN_LOSS;
}

sgt_status sgt_model_estimate_memory(sgt_model_memory *memory, const sgt_context *context,
                                     const sgt_model_config *caller, const sgt_plan *plan,
                                     int32_t batch, int32_t seq,
                                     const sgt_model_memory_options *caller_options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_model_memory own = {.size = sizeof own};
    sgt_context_memory usage = {.size = sizeof usage};
    sgt_model_memory_options options;
    sgt_model_options model;
    sgt_model_config config;
    sgt_status status = sgti_struct_check(memory, MEMORY_MINIMUM, "sgt_model_memory");
    if (status == SGT_OK)
        status = read_options(&options, &model, caller_options);
    if (status == SGT_OK)
        status = sgti_config_resolve(&config, caller);
    if (status == SGT_OK)
        status = check_sizes(batch, seq, &config, plan);
    if (status == SGT_OK)
        status = sgt_context_get_memory(&usage, context);
    if (status)
        return status;
    /* What is in use already counts against a memory_limit, too. */
    own.context = usage.current;
    sgti_shape shape = sgti_batch_shape(&config, &model, step_mode(&options), batch, seq);
    shape.plan = plan;
    shape.logits_bytes = sgti_logits_bytes(context->dispatch);
    status = estimate(&own, &shape, &options);
    if (status == SGT_OK)
        sgti_struct_write(memory, &own, sizeof own);
    return status;
}
