/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The feed-forward part, y = x + Wdown (silu(Wgate h) * (Wup h)) with h = RMSNorm2(x), and its
 * gradient. gate_up [N,2ff] holds the two products side by side.
 */
#include "../core/tensors.h"
#include "step.h"

/* gate and up stacked: [2ff,d]. */
static sgt_tensor gate_up_matrix(const sgti_step *step, int32_t layer, int gradient)
{
    int32_t index = sgti_layer_parameter(layer, SGTI_GATE);
    sgt_tensor gate =
        gradient ? sgti_gradient(step->model, index) : sgti_weight(step->model, index);
    return sgti_tensor_2d(gate.buffer, gate.offset, 2 * gate.shape[0], gate.shape[1]);
}

static sgt_tensor gate_up_at(const sgti_step *step, const sgti_run *run)
{
    return sgti_at(step, run->gate_up, step->layout->tokens, 2 * (int64_t)step->config->d_ff);
}

sgt_status sgti_ffn_forward(const sgti_step *step, const sgti_run *run, const uint64_t *y)
{
    const sgti_layout *layout = step->layout;
    int64_t n = layout->tokens, d = step->config->d_model, ff = step->config->d_ff;
    sgt_status status = sgti_norm_forward(step, layout->h, run->x_ffn,
                                          sgti_layer_parameter(run->layer, SGTI_NORM2));
    if (status)
        return status;
    sgt_tensor h = sgti_at(step, layout->h, n, d), gate_up = gate_up_at(step, run);
    sgt_tensor w = gate_up_matrix(step, run->layer, 0);
    status = sgti_linear(step, &gate_up, &h, &w, NULL);
    if (status || !y)
        return status;

    sgt_tensor gate = sgti_columns(gate_up, 0, ff), up = sgti_columns(gate_up, ff, ff);
    sgt_tensor act = layout->mode == SGTI_EVALUATE ? gate : sgti_at(step, layout->act, n, ff);
    sgt_swiglu_args args = {.gate = &gate, .up = &up, .out = &act};
    status = sgti_swiglu(step->dispatch, &args);
    if (status)
        return status;
    sgt_tensor x = sgti_at(step, run->x_ffn, n, d), ty = sgti_at(step, *y, n, d);
    w = sgti_weight(step->model, sgti_layer_parameter(run->layer, SGTI_DOWN));
    return sgti_linear(step, &ty, &act, &w, &x);
}

/* gate_up becomes its gradient and act what the forward gave; adds the gradient of down. */
static sgt_status down_backward(const sgti_step *step, const sgti_run *run)
{
    const sgti_layout *layout = step->layout;
    int64_t n = layout->tokens, ff = step->config->d_ff;
    int32_t index = sgti_layer_parameter(run->layer, SGTI_DOWN);
    sgt_tensor dy = sgti_at(step, layout->dx, n, step->config->d_model);
    sgt_tensor act = sgti_at(step, layout->act, n, ff), gate_up = gate_up_at(step, run);
    sgt_tensor w = sgti_weight(step->model, index), dw = sgti_gradient(step->model, index);
    sgt_status status = sgti_linear_input_gradient(step, &act, &dy, &w);
    if (status)
        return status;
    sgt_tensor gate = sgti_columns(gate_up, 0, ff), up = sgti_columns(gate_up, ff, ff);
    sgt_swiglu_backward_args args = {
        .gate = &gate, .up = &up, .dout = &act, .dgate = &gate, .dup = &up, .out = &act};
    status = sgti_swiglu_backward(step->dispatch, &args);
    return status ? status : sgti_linear_weight_gradient(step, &dw, 1.0f, &dy, &act);
}

sgt_status sgti_ffn_backward(const sgti_step *step, const sgti_run *run)
{
    const sgti_layout *layout = step->layout;
    int64_t n = layout->tokens, d = step->config->d_model;
    int32_t norm = sgti_layer_parameter(run->layer, SGTI_NORM2);
    sgt_status status = down_backward(step, run);
    if (status)
        return status;
    status = sgti_norm_forward(step, layout->h, run->x_ffn, norm);
    if (status)
        return status;
    sgt_tensor h = sgti_at(step, layout->h, n, d), dh = sgti_at(step, layout->dh, n, d);
    sgt_tensor d_gate_up = gate_up_at(step, run);
    sgt_tensor w = gate_up_matrix(step, run->layer, 0), dw = gate_up_matrix(step, run->layer, 1);
    status = sgti_linear_weight_gradient(step, &dw, 1.0f, &d_gate_up, &h);
    if (status)
        return status;
    status = sgti_linear_input_gradient(step, &dh, &d_gate_up, &w);
    return status ? status : sgti_norm_backward(step, layout->dx, layout->dh, run->x_ffn, norm);
}
