/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a batch of equal sequences computes, in training and evaluation: with the model's own
 * weights, and with attention over the rows themselves.
 */
#include "../base/integers.h"
#include "../core/tensors.h"
#include "parts/modules.h"

static sgt_tensor matrix_of(const sgti_work *work, int32_t number)
{
    return sgti_matrix_weight(work->model, number);
}

static sgt_status derived_of(sgt_tensor *matrix, const sgti_work *work, const sgti_part *part,
                             int32_t which)
{
    *matrix = sgti_at(work, &part->derived[which]);
    sgt_status status = part->kind->derive(work->model, part->layer, part->pass, work->lists,
                                           which, matrix);
    return status ? status : sgti_prepare_weight(work->dispatch, matrix);
}

/* Where a pass leaves its entropies, [B,h] doubles; kind 0: last, 1: mean. */
static sgt_tensor entropy_of(const sgti_work *work, const sgti_part *part, int kind)
{
    int64_t batch = work->layout->shape.batch, heads = part->pass->n_heads;
    sgt_tensor all = sgti_at(work, &work->layout->entropy);
    sgt_tensor tensor = sgti_tensor_2d(all.buffer, 0, batch, heads);
    tensor.dtype = SGT_F64;
    tensor.offset = all.offset + part->entropy + (uint64_t)(kind * batch * heads);
    return tensor;
}

/* Attention among the rows of the batch. Training keeps the log-sum-exp of each row, from which
 * backward makes the probabilities again. */
static sgt_status attend(const sgti_work *work, const sgti_part *part, sgt_tensor qkv,
                         sgt_tensor flat)
{
    const sgti_shape *shape = &work->layout->shape;
    const sgti_pass *pass = part->pass;
    sgti_qkv view = sgti_split_qkv(pass, &qkv, shape->batch, work->config->head_dim);
    sgt_status status = sgti_rotate(work, &view.rotated, NULL, 0);
    if (status)
        return status;
    int training = sgti_is_training(shape);
    sgt_tensor out = sgti_split_heads(flat, shape->batch, pass->n_heads), lse = out;
    if (training) {
        lse = sgti_at(work, &part->own[SGTI_REGION_LSE]);
        lse = sgti_tensor_3d(lse.buffer, lse.offset, shape->batch, pass->n_heads, shape->seq);
    }
    sgt_tensor kv_heads = sgti_list_at(work, pass, SGTI_LIST_KV_HEADS);
    sgt_tensor gains = sgti_list_at(work, pass, SGTI_LIST_GAINS);
    sgt_tensor last = entropy_of(work, part, 0), mean = entropy_of(work, part, 1);
    sgt_attention_args args = {
        .scale = sgti_attention_scale(work->config),
        .q = &view.q,
        .k = &view.k,
        .v = &view.v,
        .out = &out,
        .lse = training ? &lse : NULL,
        .entropy_last = work->entropy & SGT_ENTROPY_LAST ? &last : NULL,
        .entropy_mean = work->entropy & SGT_ENTROPY_MEAN ? &mean : NULL,
        .kv_heads = &kv_heads,
        .gains = pass->gains ? &gains : NULL,
        .patterns = pass->patterns,
    };
    return sgti_attention(work->dispatch, &args);
}

/* The sequences lie one behind the other, each from its start on. */
static sgt_status remember(const sgti_work *work, const sgti_part *part, sgt_tensor u,
                           sgt_tensor windows)
{
    const int64_t batch = work->layout->shape.batch, seq = work->layout->shape.seq;
    const int64_t taps = windows.shape[2];
    sgt_status status = SGT_OK;
    (void)part;
    u = sgti_split_heads(u, batch, windows.shape[1]);
    for (int64_t f = 0; f < taps && status == SGT_OK; f++) {
        const int64_t lag = sgti_min_i64(taps - 1 - f, seq);
        const sgt_tensor tap = sgti_tap_of(&windows, batch, f);
        const sgt_tensor front = sgti_steps(tap, 0, lag);
        const sgt_tensor y = sgti_steps(tap, lag, seq - lag);
        const sgt_tensor x = sgti_steps(u, 0, seq - lag);
        if (lag > 0)
            status = sgti_fill(work->dispatch, &front, 0.0);
        if (status == SGT_OK && lag < seq)
            status = sgti_copy(work->dispatch, &y, &x);
    }
    return status;
}

static const sgti_providers batch_providers = {
    .matrix = matrix_of,
    .derived = derived_of,
    .attend = attend,
    .remember = remember,
};

sgti_work sgti_batch_work(const sgt_model *model, const sgti_workspace *workspace)
{
    const sgti_layout *layout = &workspace->layout;
    return (sgti_work){.model = model,
                       .dispatch = model->dispatch,
                       .config = &model->config,
                       .layout = layout,
                       .providers = &batch_providers,
                       .arena = workspace->arena.buffer,
                       .rotary = &workspace->rotary,
                       .lists = model->lists.buffer,
                       .rows = layout->shape.rows,
                       .progress_total = layout->n_runs};
}
