/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How much memory a model, its optimizer and a step will take, by the same arithmetic that later
 * allocates it. The file is here, and not with the model, because it knows optimizers too.
 */
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../model/config.h"
#include "optimizer.h"

#define OPTIONS_MINIMUM  SGTI_SIZE_THROUGH(sgt_memory_options, logits)
#define ESTIMATE_MINIMUM SGTI_SIZE_THROUGH(sgt_memory_estimate, total)

sgt_status sgt_memory_options_init(sgt_memory_options *options, size_t size)
{
    static const sgt_memory_options defaults = {
        .size = sizeof defaults, .batch = 1, .training = 1, .optimizer = 1};
    return sgti_struct_init(options, size, &defaults, sizeof defaults, OPTIONS_MINIMUM,
                            "sgt_memory_options");
}

static sgt_status estimate_for_plan(sgt_memory_estimate *e, const sgt_context *context,
                                    const sgt_model_config *config, const sgt_plan *plan,
                                    const sgt_memory_options *options)
{
    sgti_mode mode = !options->training ? SGTI_EVALUATE
                     : options->logits  ? SGTI_TRAIN_LOGITS
                                        : SGTI_TRAIN_LOSS;
    int optimizer = options->training && options->optimizer;
    uint64_t workspace;
    sgti_parameters parameters;
    sgt_status status = sgti_parameters_measure(&parameters, config);
    if (status)
        return status;
    sgti_shape shape = sgti_batch_shape(config, mode, options->batch, options->seq);
    shape.plan = plan;
    shape.logits_bytes = sgti_logits_bytes(context->dispatch);
    status = sgti_workspace_measure(&workspace, &shape);
    if (status)
        return status;
    e->parameters = parameters.elements * sizeof(float);
    e->gradients = options->training ? e->parameters : 0;
    e->moments = optimizer ? 2 * e->parameters : 0;
    e->activations = workspace + (options->training ? 0 : sizeof(sgti_workspace));
    e->other = sizeof(sgt_model) + sizeof(sgti_model_shared) + parameters.bytes +
               sgti_plan_memory(config->n_layers, plan) + sgti_passes_bytes(config, plan) +
               sgti_lists_bytes(config, plan) +
               (optimizer ? sgti_optimizer_bytes(parameters.count) : 0);
    e->total = e->context + e->parameters + e->gradients + e->moments + e->activations + e->other;
    return SGT_OK;
}

sgt_status sgt_model_estimate_memory(sgt_memory_estimate *estimate, const sgt_context *context,
                                     const sgt_model_config *caller, const sgt_plan *plan,
                                     const sgt_memory_options *caller_options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_memory_estimate own = {.size = sizeof own};
    sgt_memory_usage usage = {.size = sizeof usage};
    sgt_memory_options options;
    sgt_model_config config;
    sgt_status status = sgti_struct_check(estimate, ESTIMATE_MINIMUM, "sgt_memory_estimate");
    if (status)
        return status;
    if (!caller_options)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "options is NULL: batch and seq are needed");
    sgt_memory_options_init(&options, sizeof options);
    status = sgti_struct_read(&options, sizeof options, caller_options, OPTIONS_MINIMUM,
                              "sgt_memory_options");
    if (status)
        return status;
    status = sgti_config_resolve(&config, caller);
    if (status)
        return status;
    if (options.batch < 1 || options.seq < 1 || options.seq > config.max_seq_len)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "batch %d, seq %d: at least 1, seq at most %d",
                         (int)options.batch, (int)options.seq, (int)config.max_seq_len);
    status = sgt_context_memory(&usage, context);
    if (status)
        return status;
    own.context = usage.current;
    if (plan)
        status = sgti_plan_check(plan, config.n_layers, config.n_heads);
    if (status == SGT_OK)
        status = estimate_for_plan(&own, context, &config, plan, &options);
    if (status == SGT_OK)
        sgti_struct_write(estimate, &own, sizeof own);
    return status;
}
