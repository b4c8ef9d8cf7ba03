/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One attention pass, x -> x + sum_h g_h Attn_h(RMSNorm1(x)), and its gradient. A pass with a
 * subset of the heads runs the same code on gathered weights. qkv [N,(h+2g)dh] holds the rotated
 * queries of h heads, then keys and values of g groups.
 */
#include <math.h>

#include "../core/tensors.h"
#include "step.h"

/* q [B,T,h,dh], k and v [B,T,g,dh] inside a [N,(h+2g)dh] matrix. */
typedef struct qkv_view {
    sgt_tensor q, k, v;
    sgt_tensor rotated; /* q and k: [B,T,h+g,dh] */
} qkv_view;

static qkv_view split_qkv(const sgti_step *step, const sgti_pass *pass, const sgt_tensor *qkv)
{
    int64_t dh = step->config->head_dim, h = pass->n_heads, g = pass->n_groups;
    int64_t batch = step->layout->batch;
    qkv_view view;
    view.q = sgti_split_heads(sgti_columns(*qkv, 0, h * dh), batch, h);
    view.k = sgti_split_heads(sgti_columns(*qkv, h * dh, g * dh), batch, g);
    view.v = sgti_split_heads(sgti_columns(*qkv, (h + g) * dh, g * dh), batch, g);
    view.rotated = sgti_split_heads(sgti_columns(*qkv, 0, (h + g) * dh), batch, h + g);
    return view;
}

static sgt_tensor qkv_at(const sgti_step *step, const sgti_pass *pass, uint64_t offset)
{
    return sgti_at(step, offset, step->layout->tokens,
                   (int64_t)(pass->n_heads + 2 * pass->n_groups) * step->config->head_dim);
}

static sgt_tensor out_at(const sgti_step *step, const sgti_pass *pass, uint64_t offset)
{
    return sgti_at(step, offset, step->layout->tokens,
                   (int64_t)pass->n_heads * step->config->head_dim);
}

/* The parameter `first` and its neighbours without gaps, seen as one matrix. */
static sgt_tensor stacked(const sgti_step *step, int32_t layer, enum sgti_layer_parameter first,
                          int64_t rows, int gradient)
{
    int32_t index = sgti_layer_parameter(layer, first);
    sgt_tensor one = gradient ? sgti_gradient(step->model, index) : sgti_weight(step->model, index);
    return sgti_tensor_2d(one.buffer, one.offset, rows, one.shape[1]);
}

/* The gathered (or whole) projections of a pass, as weights or as gradients: [(h+2g)dh, d]. */
static sgt_tensor pass_qkv(const sgti_step *step, int32_t layer, const sgti_pass *pass,
                           int gradient)
{
    int64_t rows = (int64_t)(pass->n_heads + 2 * pass->n_groups) * step->config->head_dim;
    if (!pass->sparse)
        return stacked(step, layer, SGTI_Q, rows, gradient);
    uint64_t at = gradient ? step->layout->d_packed : step->layout->packed;
    return sgti_at(step, at, rows, step->config->d_model);
}

/* [d, h dh] */
static sgt_tensor pass_o(const sgti_step *step, int32_t layer, const sgti_pass *pass, int gradient)
{
    int32_t index = sgti_layer_parameter(layer, SGTI_O);
    if (!pass->sparse)
        return gradient ? sgti_gradient(step->model, index) : sgti_weight(step->model, index);
    int64_t dh = step->config->head_dim, d = step->config->d_model;
    uint64_t qkv = (uint64_t)(pass->n_heads + 2 * pass->n_groups) * (uint64_t)(dh * d);
    uint64_t at = gradient ? step->layout->d_packed : step->layout->packed;
    return sgti_at(step, at + qkv, d, pass->n_heads * dh);
}

void sgti_list_heads(const sgti_step *step, int32_t layer, int32_t pass)
{
    const float *gains = step->model->plan->layers[layer].gains;
    int64_t heads = step->config->n_heads;
    sgti_select_heads(&step->workspace->running, step->config,
                      pass == 0 ? NULL : gains + (pass - 1) * heads);
}

static sgt_status gather_weights(const sgti_step *step, int32_t layer, const sgti_pass *pass)
{
    if (!pass->sparse)
        return SGT_OK;
    sgt_tensor qkv = pass_qkv(step, layer, pass, 0), o = pass_o(step, layer, pass, 0);
    return sgti_gather_heads(step->model, layer, &step->workspace->running, &qkv, &o);
}

static sgt_status scatter_gradients(const sgti_step *step, int32_t layer, const sgti_pass *pass)
{
    if (!pass->sparse)
        return SGT_OK;
    sgt_tensor d_qkv = pass_qkv(step, layer, pass, 1), d_o = pass_o(step, layer, pass, 1);
    return sgti_scatter_heads(step->model, layer, &step->workspace->running, &d_qkv, &d_o);
}

static sgt_status rotate(const sgti_step *step, const sgt_tensor *x, int32_t inverse)
{
    int64_t positions = step->config->max_seq_len, half = step->config->head_dim / 2;
    sgt_buffer *tables = step->model->rope.buffer;
    sgt_tensor cosine = sgti_tensor_2d(tables, 0, positions, half);
    sgt_tensor sine = sgti_tensor_2d(tables, (uint64_t)(positions * half), positions, half);
    sgt_rope_args args = {.inverse = inverse, .x = x, .cosine = &cosine, .sine = &sine};
    return sgti_rope(step->dispatch, &args);
}

static float attention_scale(const sgti_step *step)
{
    return (float)(1.0 / sqrt((double)step->config->head_dim));
}

/* Entropy tensors of a pass: [B,h] doubles; kind 0: last, 1: mean. */
static sgt_tensor entropy_at(const sgti_step *step, const sgti_pass *pass, int kind)
{
    uint64_t count = (uint64_t)step->layout->batch * (uint64_t)pass->n_heads;
    sgt_tensor tensor =
        sgti_tensor_2d(step->workspace->arena.buffer,
                       step->layout->entropy + 2 * (pass->entropy + (uint64_t)kind * count),
                       step->layout->batch, pass->n_heads);
    return sgti_tensor_as(tensor, SGT_F64);
}

static sgt_status attend(const sgti_step *step, const sgti_pass *pass, const float *gains)
{
    sgt_tensor qkv = qkv_at(step, pass, pass->qkv), flat = out_at(step, pass, pass->out);
    qkv_view view = split_qkv(step, pass, &qkv);
    sgt_status status = rotate(step, &view.rotated, 0);
    if (status)
        return status;
    sgt_tensor out = sgti_split_heads(flat, step->layout->batch, pass->n_heads);
    sgt_tensor lse = sgti_tensor_3d(step->workspace->arena.buffer, pass->lse, step->layout->batch,
                                    pass->n_heads, step->layout->seq);
    sgt_tensor last = entropy_at(step, pass, 0), mean = entropy_at(step, pass, 1);
    int training = step->layout->mode != SGTI_EVALUATE;
    sgt_attention_args args = {
        .scale = attention_scale(step),
        .q = &view.q,
        .k = &view.k,
        .v = &view.v,
        .out = &out,
        .lse = training ? &lse : NULL,
        .entropy_last = step->entropy & SGT_ENTROPY_LAST ? &last : NULL,
        .entropy_mean = step->entropy & SGT_ENTROPY_MEAN ? &mean : NULL,
        .kv_heads = step->workspace->running.kv_heads,
        .gains = gains,
    };
    return sgti_attention(step->dispatch, &args);
}

sgt_status sgti_attention_forward(const sgti_step *step, const sgti_run *run, int32_t number,
                                  uint64_t y)
{
    const sgti_pass *pass = &step->layout->passes[run->first_pass + number];
    int64_t n = step->layout->tokens, d = step->config->d_model;
    sgt_tensor x = sgti_at(step, pass->x, n, d), ty = sgti_at(step, y, n, d);
    if (pass->n_heads == 0)
        return pass->x == y ? SGT_OK : sgti_copy(step->dispatch, &ty, &x);

    sgti_list_heads(step, run->layer, number);
    sgt_status status = gather_weights(step, run->layer, pass);
    if (status)
        return status;
    status = sgti_norm_forward(step, step->layout->h, pass->x,
                               sgti_layer_parameter(run->layer, SGTI_NORM1));
    if (status)
        return status;
    sgt_tensor h = sgti_at(step, step->layout->h, n, d);
    sgt_tensor qkv = qkv_at(step, pass, pass->qkv);
    sgt_tensor w = pass_qkv(step, run->layer, pass, 0);
    status = sgti_linear(step, &qkv, &h, &w, NULL);
    if (status)
        return status;
    status = attend(step, pass, number == 0 ? NULL : step->workspace->running.gains);
    if (status)
        return status;
    sgt_tensor out = out_at(step, pass, pass->out);
    w = pass_o(step, run->layer, pass, 0);
    return sgti_linear(step, &ty, &out, &w, &x);
}

/* d_qkv from the gradient of the pass's output, through o, the softmax and the rotation; adds the
 * gradient of o. */
static sgt_status attend_backward(const sgti_step *step, int32_t layer, const sgti_pass *pass,
                                  const float *gains)
{
    const sgti_layout *layout = step->layout;
    sgt_tensor dy = sgti_at(step, layout->dx, layout->tokens, step->config->d_model);
    sgt_tensor flat = out_at(step, pass, pass->out), d_flat = out_at(step, pass, layout->d_out);
    sgt_tensor w = pass_o(step, layer, pass, 0), dw = pass_o(step, layer, pass, 1);
    sgt_status status =
        sgti_linear_weight_gradient(step, &dw, pass->sparse ? 0.0f : 1.0f, &dy, &flat);
    if (status)
        return status;
    status = sgti_linear_input_gradient(step, &d_flat, &dy, &w);
    if (status)
        return status;

    sgt_tensor qkv = qkv_at(step, pass, pass->qkv), d_qkv = qkv_at(step, pass, layout->d_qkv);
    qkv_view view = split_qkv(step, pass, &qkv), d_view = split_qkv(step, pass, &d_qkv);
    sgt_tensor out = sgti_split_heads(flat, layout->batch, pass->n_heads);
    sgt_tensor d_out = sgti_split_heads(d_flat, layout->batch, pass->n_heads);
    sgt_tensor lse = sgti_tensor_3d(step->workspace->arena.buffer, pass->lse, layout->batch,
                                    pass->n_heads, layout->seq);
    sgt_attention_backward_args args = {
        .scale = attention_scale(step),
        .q = &view.q,
        .k = &view.k,
        .v = &view.v,
        .out = &out,
        .lse = &lse,
        .dout = &d_out,
        .dq = &d_view.q,
        .dk = &d_view.k,
        .dv = &d_view.v,
        .kv_heads = step->workspace->running.kv_heads,
        .gains = gains,
    };
    status = sgti_attention_backward(step->dispatch, &args);
    return status ? status : rotate(step, &d_view.rotated, 1);
}

sgt_status sgti_attention_pass_backward(const sgti_step *step, const sgti_run *run, int32_t number)
{
    const sgti_layout *layout = step->layout;
    const sgti_pass *pass = &layout->passes[run->first_pass + number];
    int32_t norm = sgti_layer_parameter(run->layer, SGTI_NORM1);
    if (pass->n_heads == 0)
        return SGT_OK;

    sgti_list_heads(step, run->layer, number);
    sgt_status status = gather_weights(step, run->layer, pass);
    if (status)
        return status;
    status = attend_backward(step, run->layer, pass,
                             number == 0 ? NULL : step->workspace->running.gains);
    if (status)
        return status;
    status = sgti_norm_forward(step, layout->h, pass->x, norm);
    if (status)
        return status;
    sgt_tensor h = sgti_at(step, layout->h, layout->tokens, step->config->d_model);
    sgt_tensor dh = sgti_at(step, layout->dh, layout->tokens, step->config->d_model);
    sgt_tensor d_qkv = qkv_at(step, pass, layout->d_qkv);
    sgt_tensor w = pass_qkv(step, run->layer, pass, 0);
    sgt_tensor dw = pass_qkv(step, run->layer, pass, 1);
    status = sgti_linear_weight_gradient(step, &dw, pass->sparse ? 0.0f : 1.0f, &d_qkv, &h);
    if (status)
        return status;
    status = sgti_linear_input_gradient(step, &dh, &d_qkv, &w);
    if (status)
        return status;
    status = scatter_gradients(step, run->layer, pass);
    if (status)
        return status;
    return sgti_norm_backward(step, layout->dx, layout->dh, pass->x, norm);
}
