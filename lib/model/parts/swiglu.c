/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The standard feed-forward part, y = x + Wdown (silu(Wgate h) * (Wup h)) with h = RMSNorm2(x), and
 * its gradient. gate_up [N,2ff] holds the two products side by side.
 */
#include "../../core/tensors.h"
#include "../work.h"

enum parameter { NORM, GATE, UP, DOWN };
enum matrix { MATRIX_GATE_UP, MATRIX_DOWN };
enum region {
    GATE_UP, /* [N,2ff] */
    H,       /* [N,d] output of the norm; this and all below are scratch */
    ACT,     /* [N,ff] silu(gate) up, or its gradient; training */
    DH,      /* [N,d] */
    NORM_SCRATCH
};

static void declare(sgti_placer *placer, const sgt_model_config *config)
{
    static const char *const names[] = {"mlp.gate_proj.weight", "mlp.up_proj.weight"};
    int64_t d = config->d_model, ff = config->d_ff;
    const int64_t rows[] = {ff, ff};
    sgti_place_vector(placer, "post_attention_layernorm.weight", d, SGTI_INITIAL_ONES);
    sgti_place_matrices(placer, names, rows, 2, d);
    sgti_place_residual(placer, "mlp.down_proj.weight", d, ff);
}

static void place(sgti_part *part, sgti_regions *regions)
{
    int64_t d = regions->shape->config->d_model, ff = regions->shape->config->d_ff;
    part->own[GATE_UP] = sgti_take_activation(regions, 2 * ff);
    part->own[H] = sgti_take_scratch(regions, 0, d);
    if (!sgti_is_training(regions->shape))
        return;
    part->own[ACT] = sgti_take_scratch(regions, 0, ff);
    part->own[DH] = sgti_take_scratch(regions, 0, d);
    part->own[NORM_SCRATCH] = sgti_take_scratch(regions, SGT_RMSNORM_PARTS, d);
}

/* The gate and up halves [N,ff] of gate_up. */
static sgt_tensor gate_of(sgt_tensor gate_up)
{
    return sgti_columns(gate_up, 0, gate_up.shape[1] / 2);
}

static sgt_tensor up_of(sgt_tensor gate_up)
{
    return sgti_columns(gate_up, gate_up.shape[1] / 2, gate_up.shape[1] / 2);
}

static sgt_tensor weight(const sgti_work *work, const sgti_part *part, int32_t matrix)
{
    return work->providers->matrix(work, sgti_part_matrix(work, part, matrix));
}

/* Makes h and gate_up from x. */
static sgt_status expand(const sgti_work *work, const sgti_part *part)
{
    sgt_tensor x = sgti_at(work, &part->x), h = sgti_at(work, &part->own[H]);
    sgt_tensor gate_up = sgti_at(work, &part->own[GATE_UP]);
    sgt_tensor w = weight(work, part, MATRIX_GATE_UP);
    sgt_status status =
        sgti_norm_forward(work, &h, &x, sgti_part_parameter(work, part, NORM));
    return status ? status : sgti_multiply(work, &gate_up, &h, &w, NULL);
}

static sgt_status forward(const sgti_work *work, const sgti_part *part)
{
    sgt_status status = expand(work, part);
    if (status || work->remake)
        return status;
    sgt_tensor gate_up = sgti_at(work, &part->own[GATE_UP]);
    sgt_tensor gate = gate_of(gate_up), up = up_of(gate_up);
    /* Backward needs the gate as it is; where no backward follows, the result may lie over it. */
    sgt_tensor act =
        sgti_is_training(&work->layout->shape) ? sgti_at(work, &part->own[ACT]) : gate;
    sgt_swiglu_args args = {.gate = &gate, .up = &up, .out = &act};
    status = sgti_swiglu(work->dispatch, &args);
    if (status)
        return status;
    sgt_tensor x = sgti_at(work, &part->x), y = sgti_at(work, &part->y);
    sgt_tensor w = weight(work, part, MATRIX_DOWN);
    return sgti_multiply(work, &y, &act, &w, &x);
}

/* Turns gate_up into its gradient and adds the gradient of Wdown. act is first the gradient of the
 * activation; the kernel then puts the activation itself there, which the gradient of Wdown
 * needs. */
static sgt_status down_backward(const sgti_work *work, const sgti_part *part)
{
    sgt_tensor dy = sgti_at(work, &work->layout->dx);
    sgt_tensor act = sgti_at(work, &part->own[ACT]), gate_up = sgti_at(work, &part->own[GATE_UP]);
    sgt_tensor w = weight(work, part, MATRIX_DOWN);
    sgt_tensor dw = sgti_gradient(work->model, sgti_part_parameter(work, part, DOWN));
    sgt_status status = sgti_input_gradient(work, &act, &dy, &w);
    if (status)
        return status;
    sgt_tensor gate = gate_of(gate_up), up = up_of(gate_up);
    sgt_swiglu_backward_args args = {
        .gate = &gate, .up = &up, .dout = &act, .dgate = &gate, .dup = &up, .out = &act};
    status = sgti_swiglu_backward(work->dispatch, &args);
    return status ? status : sgti_weight_gradient(work, &dw, 1.0f, &dy, &act);
}

static sgt_status backward(const sgti_work *work, const sgti_part *part)
{
    int32_t norm = sgti_part_parameter(work, part, NORM);
    sgt_status status = down_backward(work, part);
    if (status)
        return status;
    sgt_tensor x = sgti_at(work, &part->x), dx = sgti_at(work, &work->layout->dx);
    sgt_tensor h = sgti_at(work, &part->own[H]), dh = sgti_at(work, &part->own[DH]);
    status = sgti_norm_forward(work, &h, &x, norm);
    if (status)
        return status;
    sgt_tensor d_gate_up = sgti_at(work, &part->own[GATE_UP]);
    sgt_tensor w = weight(work, part, MATRIX_GATE_UP);
    sgt_tensor dw = sgti_matrix_gradient(work, sgti_part_matrix(work, part, MATRIX_GATE_UP));
    status = sgti_weight_gradient(work, &dw, 1.0f, &d_gate_up, &h);
    if (status)
        return status;
    status = sgti_input_gradient(work, &dh, &d_gate_up, &w);
    return status ? status
                  : sgti_norm_backward(work, &dx, &dh, &x, norm, &part->own[NORM_SCRATCH]);
}

static void count_flops(sgt_flops *flops, const sgti_flops_query *query)
{
    flops->feed_forward += 6.0 * query->config->d_model * query->config->d_ff;
}

const sgti_part_kind sgti_swiglu_feed_forward = {
    .name = "swiglu",
    .slot = SGTI_FEED_FORWARD,
    .parameters = declare,
    .place = place,
    .forward = forward,
    .backward = backward,
    .flops = count_flops,
};
