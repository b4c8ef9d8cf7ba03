/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FLOPs of a forward pass from a config and a plan, by component. In double: the count of one
 * token is exact up to 2^53 and cannot overflow.
 */
#include "flops.h"

#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "config.h"
#include "plan_data.h"

#define OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_flops_options, full_square)
#define FLOPS_MINIMUM   SGTI_SIZE_THROUGH(sgt_flops, training)

/* What one attention pass costs per token, by heads and groups that run. */
typedef struct attention_cost {
    double per_head_projections; /* Q and O of one head; K and V of one group cost the same */
    double per_head_attention;
    int32_t heads_per_group;
} attention_cost;

static void add_pass(sgt_flops *flops, const attention_cost *cost, double heads, double groups)
{
    flops->projections += cost->per_head_projections * (heads + groups);
    flops->attention += cost->per_head_attention * heads;
}

/* A sparse pass: the heads with a value above 0, and the groups that any of them reads. */
static void add_sparse_pass(sgt_flops *flops, const attention_cost *cost, const float *values,
                            int32_t n_heads)
{
    int32_t heads = 0;
    int32_t groups = 0;
    int32_t last_group = -1;
    for (int32_t h = 0; h < n_heads; h++) {
        if (values[h] > 0.0f) {
            int32_t group = h / cost->heads_per_group;
            heads++;
            groups += group != last_group;
            last_group = group;
        }
    }
    add_pass(flops, cost, heads, groups);
}

static void add_layer(sgt_flops *flops, const sgt_model_config *config,
                      const attention_cost *cost, const sgt_plan *plan, int32_t layer,
                      int32_t depth)
{
    sgt_flops block = {0};
    double runs = 1.0;
    add_pass(&block, cost, config->n_heads, config->n_kv_heads);
    block.feed_forward = 6.0 * config->d_model * config->d_ff;
    if (plan != NULL && depth != SGT_FLOPS_VANILLA) {
        int32_t passes = sgt_plan_depth(plan, layer);
        for (int32_t pass = 1; pass <= passes; pass++)
            add_sparse_pass(&block, cost,
                            depth == SGT_FLOPS_NOW ? sgt_plan_gains(plan, layer, pass)
                                                   : sgt_plan_targets(plan, layer, pass),
                            config->n_heads);
        runs += sgt_plan_extra_runs(plan, layer);
    }
    flops->projections += runs * block.projections;
    flops->attention += runs * block.attention;
    flops->feed_forward += runs * block.feed_forward;
}

void sgti_flops_measure(sgt_flops *flops, const sgt_model_config *config, const sgt_plan *plan,
                        int32_t seq, int32_t depth, int full_square)
{
    double d = config->d_model;
    double dh = config->head_dim;
    attention_cost cost = {
        .per_head_projections = 4.0 * d * dh,
        .per_head_attention = (full_square ? 4.0 : 2.0) * seq * dh,
        .heads_per_group = config->n_heads / config->n_kv_heads,
    };
    memset(flops, 0, sizeof *flops);
    flops->size = sizeof *flops;
    for (int32_t layer = 0; layer < config->n_layers; layer++)
        add_layer(flops, config, &cost, plan, layer, depth);
    flops->head = 2.0 * d * config->vocab_size;
    flops->forward = flops->projections + flops->attention + flops->feed_forward + flops->head;
    flops->training = 3.0 * flops->forward;
}

static const sgt_flops_options default_options = {
    .size = sizeof(sgt_flops_options),
    .depth = SGT_FLOPS_NOW,
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
    if (options->depth < SGT_FLOPS_VANILLA || options->depth > SGT_FLOPS_GROWN)
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "sgt_flops_options.depth is %d, not an sgt_flops_depth",
                         (int)options->depth);
    if (options->full_square != 0 && options->full_square != 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "sgt_flops_options.full_square is %d, not 0 or 1",
                         (int)options->full_square);
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
    if (status == SGT_OK && options != NULL)
        status = sgti_struct_read(&chosen, sizeof chosen, options, OPTIONS_MINIMUM,
                                  "sgt_flops_options");
    if (status == SGT_OK)
        status = check_options(&chosen, &resolved);
    if (status == SGT_OK && plan != NULL)
        status = sgti_plan_check(plan, resolved.n_layers, resolved.n_heads);
    if (status != SGT_OK)
        return status;
    sgti_flops_measure(&own, &resolved, plan, chosen.seq, chosen.depth, chosen.full_square);
    sgti_struct_write(flops, &own, sizeof own);
    return SGT_OK;
}
