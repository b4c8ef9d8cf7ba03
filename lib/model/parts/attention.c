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

#include "../../core/tensors.h"
#include "../config.h"

enum region {
    D_QKV_ROWS = SGTI_ATTENTION_REGIONS /* gradients of gathered weights; training */
};

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

static void place(sgti_part *part, sgti_regions *regions)
{
    const sgti_region *qkv = &part->derived[SGTI_MATRIX_QKV];
    sgti_heads_place(part, regions, &part->derived[SGTI_MATRIX_O]);
    if (sgti_is_training(regions->shape))
        part->own[D_QKV_ROWS] = sgti_take_scratch(regions, qkv->rows, qkv->columns);
}

/* The projection to queries, keys and values: the whole matrix, or what was gathered of it for some
 * heads. */
static sgt_status projection_of(sgt_tensor *qkv, const sgti_work *work, const sgti_part *part)
{
    if (part->pass->sparse)
        return work->providers->derived(qkv, work, part, SGTI_MATRIX_QKV);
    *qkv = work->providers->matrix(work, sgti_part_matrix(work, part, SGTI_MATRIX_QKV));
    return SGT_OK;
}

/* A pass without heads adds nothing: only the stream moves on, where x and y are apart. */
static sgt_status forward(const sgti_work *work, const sgti_part *part)
{
    sgt_tensor x = sgti_at(work, &part->x), y = sgti_at(work, &part->y), weights;
    if (part->pass->n_heads == 0)
        return x.offset == y.offset ? SGT_OK : sgti_copy(work->dispatch, &y, &x);
    sgt_status status = projection_of(&weights, work, part);
    if (status)
        return status;
    sgt_tensor h = sgti_at(work, &part->own[SGTI_REGION_H]);
    status = sgti_norm_forward(work, &h, &x, sgti_part_parameter(work, part, SGTI_ATTENTION_NORM));
    if (status)
        return status;
    sgt_tensor qkv = sgti_at(work, &part->own[SGTI_REGION_QKV]);
    status = sgti_multiply(work, &qkv, &h, &weights, NULL);
    if (status)
        return status;
    sgt_tensor out = sgti_at(work, &part->own[SGTI_REGION_OUT]);
    status = work->providers->attend(work, part, qkv, out);
    return status ? status : sgti_output_forward(work, part);
}

/* ---- backward ---- */

/* The gradient of the projection: added to that of the whole matrix, by way of gathered rows where
 * only some heads have run. */
static sgt_status projection_gradient(const sgti_work *work, const sgti_part *part,
                                      const sgt_tensor *d_qkv, const sgt_tensor *h)
{
    const sgt_tensor whole =
        sgti_matrix_gradient(work, sgti_part_matrix(work, part, SGTI_MATRIX_QKV));
    const sgt_tensor rows = sgti_at(work, &part->own[D_QKV_ROWS]);
    if (!part->pass->sparse)
        return sgti_weight_gradient(work, &whole, 1.0f, d_qkv, h);
    sgt_status status = sgti_weight_gradient(work, &rows, 0.0f, d_qkv, h);
    return status ? status
                  : sgti_scatter_heads(work->model, part->pass, work->lists, SGTI_MATRIX_QKV,
                                       &whole, &rows);
}

/* The lower half: the gradients of the input projections and of the norm, and what is added to dx,
 * which already is the gradient through the residual, so that the sum is the gradient of x. */
static sgt_status input_backward(const sgti_work *work, const sgti_part *part)
{
    int32_t norm = sgti_part_parameter(work, part, SGTI_ATTENTION_NORM);
    sgt_tensor x = sgti_at(work, &part->x), dx = sgti_at(work, &work->layout->dx);
    sgt_tensor h = sgti_at(work, &part->own[SGTI_REGION_H]);
    sgt_tensor dh = sgti_at(work, &part->own[SGTI_REGION_DH]);
    sgt_tensor d_qkv = sgti_at(work, &part->own[SGTI_REGION_D_QKV]), weights;
    sgt_status status = sgti_norm_forward(work, &h, &x, norm);
    if (status == SGT_OK)
        status = projection_of(&weights, work, part);
    if (status == SGT_OK)
        status = projection_gradient(work, part, &d_qkv, &h);
    if (status == SGT_OK)
        status = sgti_input_gradient(work, &dh, &d_qkv, &weights);
    return status ? status
                  : sgti_norm_backward(work, &dx, &dh, &x, norm, &part->own[SGTI_REGION_NORM]);
}

static sgt_status backward(const sgti_work *work, const sgti_part *part)
{
    if (part->pass->n_heads == 0)
        return SGT_OK;
    sgt_status status = sgti_output_backward(work, part);
    if (status == SGT_OK)
        status = sgti_heads_backward(work, part);
    return status ? status : input_backward(work, part);
}

/* ---- FLOPs ---- */

/* Each head takes 2 d dh for q and as much for o, and each key/value head the same for k and v. The
 * scores and the sums of values take 2 dh each for every key that a query sees. */
static void count_flops(sgt_flops *flops, const sgti_flops_query *query)
{
    double d = query->config->d_model, dh = query->config->head_dim;
    flops->projections += 4.0 * d * dh * (query->heads + query->groups);
    flops->weight_bytes += 4.0 * (2.0 * d * dh * (query->heads + query->groups) + d);
    flops->attention += 4.0 * dh * sgti_heads_keys(query);
}

const sgti_part_kind sgti_softmax_attention = {
    .name = "softmax",
    .slot = SGTI_ATTENTION,
    .check = sgti_heads_check,
    .parameters = declare,
    .n_derived = 2,
    .derived = derived,
    .derive = derive,
    .place = place,
    .forward = forward,
    .backward = backward,
    .flops = count_flops,
};
