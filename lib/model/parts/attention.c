/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One attention pass, y = x + sum_h g_h Attn_h(RMSNorm1(x)), and its gradient. A pass of some of
 * the heads runs the same code on gathered weights, so that every product shrinks with their
 * number.
 *
 *     forward                                 backward, from dy
 *       h    = RMSNorm1(x)       [N,d]          dWo   += dy^T out,  d_out = dy Wo
 *       qkv  = h Wqkv^T          [N,(h+2g)dh]   d_qkv  = through the softmax, then rotated back
 *       q, k are rotated in place               h      = RMSNorm1(x) once more
 *       out  = g Attn(q, k, v)   [N,h dh]       dWqkv += d_qkv^T h,  dh = d_qkv Wqkv
 *       y    = x + out Wo^T      [N,d]          dx     = dy + through the norm, from dh
 *
 * Training keeps qkv, out and the log-sum-exp of each row; h is cheap and is made again.
 */
#include "attention.h"

#include <math.h>

#include "../../base/error.h"
#include "../../base/text.h"
#include "../../core/config_fields.h"
#include "../../core/patterns.h"
#include "../../core/tensors.h"
#include "../config.h"
#include "blocks.h"

/* Rotary positions turn pairs of a head, and kernels have room for so many. */
static sgt_status check(const sgt_model_config *config, const sgt_block_config *block)
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

static void declare(sgti_placer *placer, const sgt_model_config *config)
{
    static const char *const names[] = {"self_attn.q_proj.weight", "self_attn.k_proj.weight",
                                        "self_attn.v_proj.weight"};
    int64_t d = config->d_model, q = sgti_query_width(config), kv = sgti_key_width(config);
    const int64_t rows[] = {q, kv, kv};
    sgti_place_vector(placer, "input_layernorm.weight", d, SGTI_INITIAL_ONES);
    sgti_place_matrices(placer, names, rows, 3, d);
    sgti_place_residual(placer, "self_attn.o_proj.weight", d, q);
}

static sgti_derived derived(const sgt_model_config *config, int32_t layer, const sgti_pass *pass,
                            int32_t which)
{
    (void)layer;
    return sgti_gathered(config, pass, (enum sgti_attention_matrix)which);
}

static sgt_status derive(const sgt_model *model, int32_t layer, const sgti_pass *pass,
                         sgt_buffer *lists, int32_t which, const sgt_tensor *to)
{
    const int32_t first = model->parameters.layers[layer].matrix[SGTI_ATTENTION];
    const sgt_tensor whole = sgti_matrix_weight(model, first + which);
    return sgti_gather_heads(model, pass, lists, (enum sgti_attention_matrix)which, &whole, to);
}

static sgti_region take_as(sgti_regions *regions, const sgti_region *like)
{
    return sgti_take_scratch(regions, like->rows, like->columns);
}

static void place(sgti_part *part, sgti_regions *regions)
{
    const sgt_model_config *config = regions->shape->config;
    int64_t d = config->d_model, dh = config->head_dim;
    int64_t h = part->pass->n_heads, g = part->pass->n_groups;
    sgti_region *own = part->own;
    own[SGTI_REGION_QKV] = sgti_take_activation(regions, (h + 2 * g) * dh);
    own[SGTI_REGION_OUT] = sgti_take_activation(regions, h * dh);
    own[SGTI_REGION_H] = sgti_take_scratch(regions, 0, d);
    if (!sgti_is_training(regions->shape))
        return;
    own[SGTI_REGION_LSE] = sgti_take_activation(regions, h);
    own[SGTI_REGION_D_QKV_ROWS] = take_as(regions, &part->derived[SGTI_MATRIX_QKV]);
    own[SGTI_REGION_D_O_COLUMNS] = take_as(regions, &part->derived[SGTI_MATRIX_O]);
    own[SGTI_REGION_DH] = sgti_take_scratch(regions, 0, d);
    own[SGTI_REGION_D_OUT] = sgti_take_scratch(regions, 0, h * dh);
    own[SGTI_REGION_D_QKV] = sgti_take_scratch(regions, 0, (h + 2 * g) * dh);
    own[SGTI_REGION_NORM] = sgti_take_scratch(regions, SGT_RMSNORM_PARTS, d);
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

/* The projections of one attention pass: the whole matrices, or those gathered for some heads. */
typedef struct projections {
    sgt_tensor qkv; /* [(h+2g)dh, d] */
    sgt_tensor o;   /* [d, h dh] */
} projections;

static sgt_status projection_of(sgt_tensor *matrix, const sgti_work *work, const sgti_part *part,
                                enum sgti_attention_matrix which)
{
    if (part->pass->sparse)
        return work->providers->derived(matrix, work, part, which);
    *matrix = work->providers->matrix(work, sgti_part_matrix(work, part, which));
    return SGT_OK;
}

static sgt_status projections_of(projections *weights, const sgti_work *work,
                                 const sgti_part *part)
{
    sgt_status status = projection_of(&weights->qkv, work, part, SGTI_MATRIX_QKV);
    return status ? status : projection_of(&weights->o, work, part, SGTI_MATRIX_O);
}

/* A pass without heads adds nothing: only the stream moves on, where x and y are apart. */
static sgt_status forward(const sgti_work *work, const sgti_part *part)
{
    sgt_tensor x = sgti_at(work, &part->x), y = sgti_at(work, &part->y);
    projections weights;
    if (part->pass->n_heads == 0)
        return x.offset == y.offset ? SGT_OK : sgti_copy(work->dispatch, &y, &x);
    sgt_status status = projections_of(&weights, work, part);
    if (status)
        return status;
    sgt_tensor h = sgti_at(work, &part->own[SGTI_REGION_H]);
    status = sgti_norm_forward(work, &h, &x, sgti_part_parameter(work, part, SGTI_ATTENTION_NORM));
    if (status)
        return status;
    sgt_tensor qkv = sgti_at(work, &part->own[SGTI_REGION_QKV]);
    status = sgti_multiply(work, &qkv, &h, &weights.qkv, NULL);
    if (status)
        return status;
    sgt_tensor out = sgti_at(work, &part->own[SGTI_REGION_OUT]);
    status = work->providers->attend(work, part, qkv, out);
    return status ? status : sgti_multiply(work, &y, &out, &weights.o, &x);
}

/* ---- backward ---- */

/* Where the gradients of the pass's products go: added to those of the whole matrices (*beta 1), or
 * written over gathered ones (*beta 0), which are added to the whole ones afterwards. */
static projections gradients_of(float *beta, const sgti_work *work, const sgti_part *part)
{
    *beta = part->pass->sparse ? 0.0f : 1.0f;
    if (part->pass->sparse)
        return (projections){.qkv = sgti_at(work, &part->own[SGTI_REGION_D_QKV_ROWS]),
                             .o = sgti_at(work, &part->own[SGTI_REGION_D_O_COLUMNS])};
    return (projections){
        .qkv = sgti_matrix_gradient(work, sgti_part_matrix(work, part, SGTI_MATRIX_QKV)),
        .o = sgti_matrix_gradient(work, sgti_part_matrix(work, part, SGTI_MATRIX_O))};
}

/* Adds gathered gradients to those of the whole matrices. */
static sgt_status scatter(const sgti_work *work, const sgti_part *part,
                          const projections *gradients)
{
    const sgt_tensor *const gathered[] = {&gradients->qkv, &gradients->o};
    sgt_status status = SGT_OK;
    for (int which = SGTI_MATRIX_QKV; which <= SGTI_MATRIX_O && status == SGT_OK; which++) {
        const sgt_tensor whole =
            sgti_matrix_gradient(work, sgti_part_matrix(work, part, which));
        status = sgti_scatter_heads(work->model, part->pass, work->lists,
                                    (enum sgti_attention_matrix)which, &whole, gathered[which]);
    }
    return status;
}

/* Makes d_qkv from the gradient of what the heads read, through the softmax and the rotation. */
static sgt_status attend_backward(const sgti_work *work, const sgti_part *part, sgt_tensor *d_flat,
                                  sgt_tensor *d_qkv)
{
    const sgti_pass *pass = part->pass;
    int64_t batch = work->layout->shape.batch, dh = work->config->head_dim;
    sgt_tensor qkv = sgti_at(work, &part->own[SGTI_REGION_QKV]);
    sgt_tensor flat = sgti_at(work, &part->own[SGTI_REGION_OUT]);
    sgt_tensor lse = sgti_at(work, &part->own[SGTI_REGION_LSE]);
    sgti_qkv view = sgti_split_qkv(pass, &qkv, batch, dh);
    sgti_qkv d_view = sgti_split_qkv(pass, d_qkv, batch, dh);
    sgt_tensor out = sgti_split_heads(flat, batch, pass->n_heads);
    sgt_tensor d_out = sgti_split_heads(*d_flat, batch, pass->n_heads);
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

/* The upper half of backward: the gradient of the output projection, and d_qkv. */
static sgt_status output_backward(const sgti_work *work, const sgti_part *part,
                                  const projections *weights,
                                  const projections *gradients, float beta)
{
    sgt_tensor dy = sgti_at(work, &work->layout->dx);
    sgt_tensor out = sgti_at(work, &part->own[SGTI_REGION_OUT]);
    sgt_tensor d_out = sgti_at(work, &part->own[SGTI_REGION_D_OUT]);
    sgt_tensor d_qkv = sgti_at(work, &part->own[SGTI_REGION_D_QKV]);
    sgt_status status = sgti_weight_gradient(work, &gradients->o, beta, &dy, &out);
    if (status)
        return status;
    status = sgti_input_gradient(work, &d_out, &dy, &weights->o);
    return status ? status : attend_backward(work, part, &d_out, &d_qkv);
}

/* The lower half: the gradients of the input projections and of the norm, and what is added to dx,
 * which already is the gradient through the residual, so that the sum is the gradient of x. */
static sgt_status input_backward(const sgti_work *work, const sgti_part *part,
                                 const projections *weights,
                                 const projections *gradients, float beta)
{
    int32_t norm = sgti_part_parameter(work, part, SGTI_ATTENTION_NORM);
    sgt_tensor x = sgti_at(work, &part->x), dx = sgti_at(work, &work->layout->dx);
    sgt_tensor h = sgti_at(work, &part->own[SGTI_REGION_H]);
    sgt_tensor dh = sgti_at(work, &part->own[SGTI_REGION_DH]);
    sgt_tensor d_qkv = sgti_at(work, &part->own[SGTI_REGION_D_QKV]);
    sgt_status status = sgti_norm_forward(work, &h, &x, norm);
    if (status)
        return status;
    status = sgti_weight_gradient(work, &gradients->qkv, beta, &d_qkv, &h);
    if (status)
        return status;
    status = sgti_input_gradient(work, &dh, &d_qkv, &weights->qkv);
    if (status == SGT_OK && part->pass->sparse)
        status = scatter(work, part, gradients);
    return status ? status
                  : sgti_norm_backward(work, &dx, &dh, &x, norm, &part->own[SGTI_REGION_NORM]);
}

static sgt_status backward(const sgti_work *work, const sgti_part *part)
{
    projections weights;
    float beta;
    if (part->pass->n_heads == 0)
        return SGT_OK;
    sgt_status status = projections_of(&weights, work, part);
    if (status)
        return status;
    projections gradients = gradients_of(&beta, work, part);
    status = output_backward(work, part, &weights, &gradients, beta);
    return status ? status : input_backward(work, part, &weights, &gradients, beta);
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

/* The keys that a token sees, for all heads that run together. */
static double keys_of_heads(const sgti_flops_query *query)
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

/* Each head takes 2 d dh for q and as much for o, and each key/value head the same for k and v. The
 * scores and the sums of values take 2 dh each for every key that a query sees. */
static void count_flops(sgt_flops *flops, const sgti_flops_query *query)
{
    double d = query->config->d_model, dh = query->config->head_dim;
    flops->projections += 4.0 * d * dh * (query->heads + query->groups);
    flops->weight_bytes += 4.0 * (2.0 * d * dh * (query->heads + query->groups) + d);
    flops->attention += 4.0 * dh * keys_of_heads(query);
}

const sgti_part_kind sgti_softmax_attention = {
    .name = "softmax",
    .slot = SGTI_ATTENTION,
    .check = check,
    .parameters = declare,
    .n_derived = 2,
    .derived = derived,
    .derive = derive,
    .place = place,
    .forward = forward,
    .backward = backward,
    .flops = count_flops,
};
