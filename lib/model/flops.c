/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FLOPs of one token from a config and a plan, by component. They are doubles, in which the
 * count of one token is exact up to 2^53 and cannot overflow.
 */
#include "flops.h"

#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "config.h"
#include "logits.h"
#include "parts/blocks.h"
#include "plan_data.h"

#define OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_flops_options, phase)
#define FLOPS_MINIMUM   SGTI_SIZE_THROUGH(sgt_flops, weight_bytes)

/* Adds one attention pass that runs the heads with a value above 0; NULL: all. */
static void add_pass(sgt_flops *flops, const sgti_part_kind *kind, sgti_flops_query query,
                     const float *values)
{
    int32_t heads, groups;
    sgti_count_heads(&heads, &groups, query.config, values);
    query.values = values;
    query.heads = heads;
    query.groups = groups;
    kind->flops(flops, &query);
}

static void add_layer(sgt_flops *flops, const sgti_flops_query *query, const sgt_plan *plan,
                      int32_t loops)
{
    const int32_t layer = query->layer;
    const sgti_block block = sgti_block_of(query->config, layer);
    const sgti_part_kind *attention = block.parts[SGTI_ATTENTION];
    sgt_flops run = {0};
    double runs = 1.0;
    add_pass(&run, attention, *query, NULL);
    block.parts[SGTI_FEED_FORWARD]->flops(&run, query);
    if (plan && loops != SGT_FLOPS_LOOPS_VANILLA) {
        for (int32_t pass = 1; pass <= sgt_plan_depth(plan, layer); pass++)
            add_pass(&run, attention, *query,
                     loops == SGT_FLOPS_LOOPS_NOW ? sgt_plan_gains(plan, layer, pass)
                                                  : sgt_plan_targets(plan, layer, pass));
        runs += sgt_plan_extra_runs(plan, layer);
    }
    flops->projections += runs * run.projections;
    flops->attention += runs * run.attention;
    flops->feed_forward += runs * run.feed_forward;
    flops->weight_bytes += runs * run.weight_bytes;
}

/* Behind each layer K streams are made of those before it and of y; at the end of a recycled model
 * their mean. */
static double count_mixing(const sgt_model_config *config)
{
    const double k = config->altup_streams, d = config->d_model;
    const double mean = config->altup_table == SGT_ALTUP_RECYCLED ? 2.0 * k * d : 0.0;
    return k > 1.0 ? 2.0 * k * (k + 1.0) * d * config->n_layers + mean : 0.0;
}

/* The weights of predict and correct. */
static double mixing_weights(const sgt_model_config *config)
{
    const double k = config->altup_streams;
    return k > 1.0 ? k * (k + 1.0) * config->n_layers : 0.0;
}

void sgti_flops_measure(sgt_flops *flops, const sgt_model_config *config, const sgt_plan *plan,
                        const sgt_flops_options *options)
{
    sgti_flops_query query = {.config = config,
                              .seq = options->seq,
                              .full_square = options->full_square,
                              .phase = options->phase};
    memset(flops, 0, sizeof *flops);
    flops->size = sizeof *flops;
    for (query.layer = 0; query.layer < config->n_layers; query.layer++)
        add_layer(flops, &query, plan, options->loops);
    flops->head = 2.0 * (double)sgti_table_width(config) * config->vocab_size;
    flops->weight_bytes +=
        4.0 * (sgti_logits_weights(config) + (double)sgti_table_width(config));
    flops->mixing = count_mixing(config);
    flops->weight_bytes += 4.0 * mixing_weights(config);
    flops->forward = flops->projections + flops->attention + flops->feed_forward + flops->head +
                     flops->mixing;
    flops->training = options->phase == SGT_PHASE_FORWARD ? 3.0 * flops->forward : 0.0;
}

static const sgt_flops_options default_options = {
    .size = sizeof(sgt_flops_options),
    .loops = SGT_FLOPS_LOOPS_NOW,
    .phase = SGT_PHASE_FORWARD,
};

sgt_status sgt_flops_options_init(sgt_flops_options *options, size_t size)
{
    return sgti_struct_init(options, size, &default_options, sizeof default_options,
                            OPTIONS_MINIMUM, "sgt_flops_options");
}

static sgt_status check_options(sgt_flops_options *options, const sgt_model_config *config)
{
    if (options->seq < 0 || options->seq > config->max_seq_len)
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "sgt_flops_options.seq is %d, not in 0 .. max_seq_len = %d",
                         (int)options->seq, (int)config->max_seq_len);
    if (options->loops < SGT_FLOPS_LOOPS_VANILLA || options->loops > SGT_FLOPS_LOOPS_GROWN)
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "sgt_flops_options.loops is %d, not an sgt_flops_loops",
                         (int)options->loops);
    if (options->full_square != 0 && options->full_square != 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "sgt_flops_options.full_square is %d, not 0 or 1",
                         (int)options->full_square);
    if (options->phase == 0)
        options->phase = SGT_PHASE_FORWARD;
    if (options->phase != SGT_PHASE_FORWARD && options->phase != SGT_PHASE_EVALUATE &&
        options->phase != SGT_PHASE_DECODE)
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "sgt_flops_options.phase is %d, not SGT_PHASE_FORWARD (%d), "
                         "SGT_PHASE_EVALUATE (%d) or SGT_PHASE_DECODE (%d)",
                         (int)options->phase, SGT_PHASE_FORWARD, SGT_PHASE_EVALUATE,
                         SGT_PHASE_DECODE);
    if (options->seq == 0)
        options->seq = config->max_seq_len;
    return SGT_OK;
}

sgt_status sgt_flops_count(sgt_flops *flops, const sgt_model_config *config, const sgt_plan *plan,
                           const sgt_flops_options *options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_flops own;
    sgt_model_config resolved;
    sgt_flops_options chosen = default_options;
    sgt_status status = sgti_struct_check(flops, FLOPS_MINIMUM, "sgt_flops");
    if (status == SGT_OK)
        status = sgti_config_resolve(&resolved, config);
    if (status == SGT_OK && options)
        status = sgti_struct_read(&chosen, sizeof chosen, options, OPTIONS_MINIMUM,
                                  "sgt_flops_options");
    if (status == SGT_OK)
        status = check_options(&chosen, &resolved);
    if (status == SGT_OK && plan)
        status = sgti_plan_check(plan, resolved.n_layers, resolved.n_heads);
    if (status)
        return status;
    sgti_flops_measure(&own, &resolved, plan, &chosen);
    sgti_struct_write(flops, &own, sizeof own);
    return SGT_OK;
}
