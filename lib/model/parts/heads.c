/* SPDX-License-Identifier: BSD-3-Clause */
/* What every kind of attention does between its queries, keys and values and what its heads
 * read. */
#include <math.h>

#include "../../base/error.h"
#include "../../base/text.h"
#include "../../core/config_fields.h"
#include "../../core/patterns.h"
#include "../../core/tensors.h"
#include "attention.h"
#include "blocks.h"

/* Rotary positions turn pairs of a head, and kernels have room for so many. */
sgt_status sgti_heads_check(const sgt_model_config *config, const sgt_block_config *block)
{
    char from[64] = ""; /* where a head_dim comes from that perhaps nobody gave */
    (void)block;
    if ((int64_t)config->head_dim * config->n_heads == config->d_model)
        sgti_format(from, sizeof from, " (d_model %d / n_heads %d)", (int)config->d_model,
                    (int)config->n_heads);
    if (config->head_dim > SGTI_MAX_HEAD_DIM)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "head_dim is %d%s, must be 2 to %d",
                         (int)config->head_dim, from, SGTI_MAX_HEAD_DIM);
    if (config->head_dim % 2 != 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "head_dim is %d%s, must be even",
                         (int)config->head_dim, from);
    return SGT_OK;
}

sgti_qkv sgti_split_qkv(const sgti_pass *pass, const sgt_tensor *qkv, int64_t batch,
                        int64_t head_dim)
{
    int64_t h = pass->n_heads, g = pass->n_groups;
    sgti_qkv view;
    view.q = sgti_split_heads(sgti_columns(*qkv, 0, h * head_dim), batch, h);
    view.k = sgti_split_heads(sgti_columns(*qkv, h * head_dim, g * head_dim), batch, g);
    view.v = sgti_split_heads(sgti_columns(*qkv, (h + g) * head_dim, g * head_dim), batch, g);
    view.rotated = sgti_split_heads(sgti_columns(*qkv, 0, (h + g) * head_dim), batch, h + g);
    return view;
}

float sgti_attention_scale(const sgt_model_config *config)
{
    return (float)(1.0 / sqrt((double)config->head_dim));
}

void sgti_heads_place(sgti_part *part, sgti_regions *regions, const sgti_region *o_columns)
{
    const int64_t d = regions->shape->config->d_model, dh = regions->shape->config->head_dim;
    const int64_t h = part->pass->n_heads, g = part->pass->n_groups;
    sgti_region *own = part->own;
    own[SGTI_REGION_QKV] = sgti_take_activation(regions, (h + 2 * g) * dh);
    own[SGTI_REGION_OUT] = sgti_take_activation(regions, h * dh);
    own[SGTI_REGION_H] = sgti_take_scratch(regions, 0, d);
    if (!sgti_is_training(regions->shape))
        return;
    own[SGTI_REGION_LSE] = sgti_take_activation(regions, h);
    own[SGTI_REGION_D_O_COLUMNS] = sgti_take_scratch(regions, o_columns->rows, o_columns->columns);
    own[SGTI_REGION_DH] = sgti_take_scratch(regions, 0, d);
    own[SGTI_REGION_D_OUT] = sgti_take_scratch(regions, 0, h * dh);
    own[SGTI_REGION_D_QKV] = sgti_take_scratch(regions, 0, (h + 2 * g) * dh);
    own[SGTI_REGION_NORM] = sgti_take_scratch(regions, SGT_RMSNORM_PARTS, d);
}

/* ---- the softmax ---- */

sgt_status sgti_heads_backward(const sgti_work *work, const sgti_part *part)
{
    const sgti_pass *pass = part->pass;
    int64_t batch = work->layout->shape.batch, dh = work->config->head_dim;
    sgt_tensor qkv = sgti_at(work, &part->own[SGTI_REGION_QKV]);
    sgt_tensor flat = sgti_at(work, &part->own[SGTI_REGION_OUT]);
    sgt_tensor d_qkv = sgti_at(work, &part->own[SGTI_REGION_D_QKV]);
    sgt_tensor d_flat = sgti_at(work, &part->own[SGTI_REGION_D_OUT]);
    sgt_tensor lse = sgti_at(work, &part->own[SGTI_REGION_LSE]);
    sgti_qkv view = sgti_split_qkv(pass, &qkv, batch, dh);
    sgti_qkv d_view = sgti_split_qkv(pass, &d_qkv, batch, dh);
    sgt_tensor out = sgti_split_heads(flat, batch, pass->n_heads);
    sgt_tensor d_out = sgti_split_heads(d_flat, batch, pass->n_heads);
    lse = sgti_tensor_3d(lse.buffer, lse.offset, batch, pass->n_heads, work->layout->shape.seq);
    sgt_tensor kv_heads = sgti_list_at(work, pass, SGTI_LIST_KV_HEADS);
    sgt_tensor gains = sgti_list_at(work, pass, SGTI_LIST_GAINS);
    sgt_attention_backward_args args = {
        .scale = sgti_attention_scale(work->config),
        .q = &view.q,
        .k = &view.k,
        .v = &view.v,
        .out = &out,
        .lse = &lse,
        .dout = &d_out,
        .dq = &d_view.q,
        .dk = &d_view.k,
        .dv = &d_view.v,
        .kv_heads = &kv_heads,
        .gains = pass->gains ? &gains : NULL,
        .patterns = pass->patterns,
    };
    sgt_status status = sgti_attention_backward(work->dispatch, &args);
    return status ? status : sgti_rotate(work, &d_view.rotated, NULL, 1);
}

/* ---- the output projection ---- */

static sgt_status output_of(sgt_tensor *o, const sgti_work *work, const sgti_part *part)
{
    if (part->pass->sparse)
        return work->providers->derived(o, work, part, SGTI_MATRIX_O);
    *o = work->providers->matrix(work, sgti_part_matrix(work, part, SGTI_MATRIX_O));
    return SGT_OK;
}

sgt_status sgti_output_forward(const sgti_work *work, const sgti_part *part)
{
    const sgt_tensor x = sgti_at(work, &part->x), y = sgti_at(work, &part->y);
    const sgt_tensor out = sgti_at(work, &part->own[SGTI_REGION_OUT]);
    sgt_tensor o;
    sgt_status status = output_of(&o, work, part);
    return status ? status : sgti_multiply(work, &y, &out, &o, &x);
}

/* The gradient of a gathered o is written over, and then added to that of the whole one. */
sgt_status sgti_output_backward(const sgti_work *work, const sgti_part *part)
{
    const sgt_tensor dy = sgti_at(work, &work->layout->dx);
    const sgt_tensor out = sgti_at(work, &part->own[SGTI_REGION_OUT]);
    const sgt_tensor d_out = sgti_at(work, &part->own[SGTI_REGION_D_OUT]);
    const sgt_tensor gathered = sgti_at(work, &part->own[SGTI_REGION_D_O_COLUMNS]);
    const sgt_tensor whole =
        sgti_matrix_gradient(work, sgti_part_matrix(work, part, SGTI_MATRIX_O));
    const int sparse = part->pass->sparse;
    sgt_tensor o;
    sgt_status status = output_of(&o, work, part);
    if (status == SGT_OK)
        status = sgti_weight_gradient(work, sparse ? &gathered : &whole, sparse ? 0.0f : 1.0f, &dy,
                                      &out);
    if (status == SGT_OK && sparse)
        status = sgti_scatter_heads(work->model, part->pass, work->lists, SGTI_MATRIX_O, &whole,
                                    &gathered);
    return status ? status : sgti_input_gradient(work, &d_out, &dy, &o);
}

/* ---- FLOPs ---- */

/* The keys that a token sees under a pattern: in the mean of a sequence, where every earlier key
 * means half of it; as the last of it, when it is decoded. */
static double keys_of(const sgti_flops_query *query, const sgt_attention_pattern *pattern)
{
    if (query->phase == SGT_PHASE_DECODE)
        return (double)sgti_pattern_visible(pattern, (int64_t)query->seq - 1);
    if (query->full_square)
        return query->seq;
    if (sgti_pattern_is_dense(pattern))
        return 0.5 * query->seq;
    return (double)sgti_pattern_pairs(pattern, query->seq) / query->seq;
}

/* How many of the heads that run have pattern `which` of a block. */
static int32_t heads_of(const sgti_flops_query *query, const sgt_block_config *block, int32_t which)
{
    const sgt_model_config *config = query->config;
    const int32_t per_group = config->n_heads / config->n_kv_heads;
    int32_t count = 0;
    for (int32_t g = which; g < config->n_kv_heads; g += block->n_patterns) {
        for (int32_t head = g * per_group; head < (g + 1) * per_group; head++)
            count += !query->values || query->values[head] > 0.0f;
    }
    return count;
}

double sgti_heads_keys(const sgti_flops_query *query)
{
    const sgt_block_config block = sgti_block_config_of(query->config, query->layer);
    double keys = 0.0;
    if (!sgti_block_has_patterns(&block))
        return query->heads * keys_of(query, &sgti_dense_pattern);
    for (int32_t i = 0; i < block.n_patterns; i++) {
        const sgt_attention_pattern pattern = sgti_block_pattern_of(&block, i);
        keys += heads_of(query, &block, i) * keys_of(query, &pattern);
    }
    return keys;
}
