/* SPDX-License-Identifier: BSD-3-Clause */
#include "step.h"

#include "../core/tensors.h"

sgti_step sgti_step_of(const sgt_model *model, sgti_workspace *workspace)
{
    sgti_step step = {.model = model,
                      .dispatch = model->dispatch,
                      .config = &model->config,
                      .workspace = workspace,
                      .layout = &workspace->layout};
    return step;
}

sgt_tensor sgti_at(const sgti_step *step, uint64_t offset, int64_t rows, int64_t columns)
{
    return sgti_tensor_2d(step->workspace->arena.buffer, offset, rows, columns);
}

sgt_status sgti_linear(const sgti_step *step, const sgt_tensor *y, const sgt_tensor *x,
                       const sgt_tensor *w, const sgt_tensor *residual)
{
    sgt_tensor wt = sgti_transposed(*w);
    return sgti_gemm(step->dispatch, y, 1.0f, x, &wt, residual ? 1.0f : 0.0f, residual);
}

sgt_status sgti_linear_weight_gradient(const sgti_step *step, const sgt_tensor *dw, float beta,
                                       const sgt_tensor *dy, const sgt_tensor *x)
{
    sgt_tensor dyt = sgti_transposed(*dy);
    return sgti_gemm(step->dispatch, dw, 1.0f, &dyt, x, beta, NULL);
}

sgt_status sgti_linear_input_gradient(const sgti_step *step, const sgt_tensor *dx,
                                      const sgt_tensor *dy, const sgt_tensor *w)
{
    return sgti_gemm(step->dispatch, dx, 1.0f, dy, w, 0.0f, NULL);
}

sgt_status sgti_norm_forward(const sgti_step *step, uint64_t y, uint64_t x, int32_t parameter)
{
    int64_t n = step->layout->tokens, d = step->config->d_model;
    sgt_tensor tx = sgti_at(step, x, n, d), ty = sgti_at(step, y, n, d);
    sgt_tensor weight = sgti_weight(step->model, parameter);
    sgt_rmsnorm_args args = {
        .eps = (float)step->config->norm_eps, .x = &tx, .weight = &weight, .y = &ty};
    return sgti_rmsnorm(step->dispatch, &args);
}

sgt_status sgti_norm_backward(const sgti_step *step, uint64_t dx, uint64_t dy, uint64_t x,
                              int32_t parameter)
{
    int64_t n = step->layout->tokens, d = step->config->d_model;
    sgt_tensor tx = sgti_at(step, x, n, d), tdy = sgti_at(step, dy, n, d);
    sgt_tensor tdx = sgti_at(step, dx, n, d);
    sgt_tensor scratch = sgti_at(step, step->layout->norm_scratch, SGT_RMSNORM_PARTS, d);
    sgt_tensor weight = sgti_weight(step->model, parameter);
    sgt_tensor dweight = sgti_gradient(step->model, parameter);
    sgt_rmsnorm_backward_args args = {.eps = (float)step->config->norm_eps,
                                      .x = &tx,
                                      .weight = &weight,
                                      .dy = &tdy,
                                      .dx = &tdx,
                                      .dweight = &dweight,
                                      .scratch = &scratch};
    return sgti_rmsnorm_backward(step->dispatch, &args);
}

sgt_status sgti_write_batch(const sgti_step *step, const sgt_batch *batch)
{
    const sgti_layout *layout = step->layout;
    sgt_buffer *arena = step->workspace->arena.buffer;
    sgt_tensor ids = sgti_tensor_as(sgti_tensor_1d(arena, layout->ids, layout->tokens), SGT_I32);
    sgt_status status = sgti_write(step->dispatch, &ids, batch->tokens);
    if (status || !batch->targets)
        return status;
    sgt_tensor targets =
        sgti_tensor_as(sgti_tensor_1d(arena, layout->targets, layout->tokens), SGT_I32);
    return sgti_write(step->dispatch, &targets, batch->targets);
}
