/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Final norm, output head and cross-entropy. A training step makes the gradient of the loss
 * together with the loss, a chunk of rows at a time, so that the logits of a big vocabulary are
 * never stored: d_final [N,d] and d_head [V,d] of the SUM of losses stay until backward knows its
 * scale.
 */
#include "../core/tensors.h"
#include "step.h"

static sgt_tensor head_weight(const sgti_step *step)
{
    return sgti_weight(step->model, step->model->parameters.head);
}

static sgt_status final_norm(const sgti_step *step)
{
    return sgti_norm_forward(step, step->layout->h, step->layout->x_final,
                             step->model->parameters.final_norm);
}

/* Loss and gradient of the rows first .. first+rows-1. */
static sgt_status chunk_loss(const sgti_step *step, int64_t first, int64_t rows)
{
    const sgti_layout *layout = step->layout;
    sgt_buffer *arena = step->workspace->arena.buffer;
    int64_t d = step->config->d_model, v = step->config->vocab_size;
    int training = layout->mode == SGTI_TRAIN_LOSS;
    sgt_tensor h = sgti_rows(sgti_at(step, layout->h, layout->tokens, d), first, rows);
    sgt_tensor logits = sgti_at(step, layout->logits, rows, v), w = head_weight(step);
    sgt_status status = sgti_linear(step, &logits, &h, &w, NULL);
    if (status)
        return status;
    sgt_tensor losses = sgti_tensor_1d(arena, layout->losses + (uint64_t)first, rows);
    sgt_tensor targets = sgti_tensor_as(
        sgti_tensor_1d(arena, layout->targets + (uint64_t)first, rows), SGT_I32);
    sgt_cross_entropy_args args = {.logits = &logits,
                                   .targets = &targets,
                                   .losses = &losses,
                                   .dlogits = training ? &logits : NULL};
    status = sgti_cross_entropy(step->dispatch, &args);
    if (status || !training)
        return status;
    sgt_tensor d_final = sgti_rows(sgti_at(step, layout->d_final, layout->tokens, d), first, rows);
    sgt_tensor d_head = sgti_at(step, layout->d_head, v, d);
    status = sgti_linear_input_gradient(step, &d_final, &logits, &w);
    if (status)
        return status;
    return sgti_linear_weight_gradient(step, &d_head, first == 0 ? 0.0f : 1.0f, &logits, &h);
}

sgt_status sgti_head_loss(const sgti_step *step)
{
    int64_t n = step->layout->tokens, chunk = step->layout->chunk_rows;
    sgt_status status = final_norm(step);
    for (int64_t first = 0; first < n && status == SGT_OK; first += chunk)
        status = chunk_loss(step, first, n - first < chunk ? n - first : chunk);
    return status;
}

/* layout.dx = gradient of x_final from layout.d_final. */
static sgt_status final_norm_backward(const sgti_step *step)
{
    const sgti_layout *layout = step->layout;
    sgt_tensor dx = sgti_at(step, layout->dx, layout->tokens, step->config->d_model);
    sgt_status status = sgti_fill(step->dispatch, &dx, 0.0);
    return status ? status
                  : sgti_norm_backward(step, layout->dx, layout->d_final, layout->x_final,
                                       step->model->parameters.final_norm);
}

sgt_status sgti_head_loss_backward(const sgti_step *step, double scale)
{
    const sgti_layout *layout = step->layout;
    int64_t d = step->config->d_model;
    sgt_tensor d_head = sgti_at(step, layout->d_head, step->config->vocab_size, d);
    sgt_tensor dw = sgti_gradient(step->model, step->model->parameters.head);
    sgt_status status = sgti_axpy(step->dispatch, &dw, (float)scale, &d_head);
    if (status)
        return status;
    sgt_tensor d_final = sgti_at(step, layout->d_final, layout->tokens, d);
    status = sgti_scale(step->dispatch, &d_final, (float)scale);
    return status ? status : final_norm_backward(step);
}

sgt_status sgti_head_logits(const sgti_step *step)
{
    const sgti_layout *layout = step->layout;
    sgt_status status = final_norm(step);
    if (status)
        return status;
    sgt_tensor h = sgti_at(step, layout->h, layout->tokens, step->config->d_model);
    sgt_tensor logits = sgti_at(step, layout->logits, layout->tokens, step->config->vocab_size);
    sgt_tensor w = head_weight(step);
    return sgti_linear(step, &logits, &h, &w, NULL);
}

sgt_status sgti_head_logits_backward(const sgti_step *step, const float *dlogits)
{
    const sgti_layout *layout = step->layout;
    int64_t n = layout->tokens, d = step->config->d_model;
    sgt_tensor h = sgti_at(step, layout->h, n, d), d_final = sgti_at(step, layout->d_final, n, d);
    sgt_tensor dl = sgti_at(step, layout->logits, n, step->config->vocab_size);
    sgt_tensor w = head_weight(step);
    sgt_tensor dw = sgti_gradient(step->model, step->model->parameters.head);
    /* A host may make them over the logits it was shown. */
    sgt_status status = sgti_host_address(step->dispatch, &dl) == dlogits
                            ? SGT_OK
                            : sgti_write(step->dispatch, &dl, dlogits);
    if (status)
        return status;
    status = final_norm(step);
    if (status)
        return status;
    status = sgti_linear_weight_gradient(step, &dw, 1.0f, &dl, &h);
    if (status)
        return status;
    status = sgti_linear_input_gradient(step, &d_final, &dl, &w);
    return status ? status : final_norm_backward(step);
}

sgt_status sgti_head_copy_logits(const sgti_step *step, float *logits, int64_t first,
                                 int64_t stride, int64_t count)
{
    const sgti_layout *layout = step->layout;
    int64_t d = step->config->d_model, v = step->config->vocab_size, chunk = layout->chunk_rows;
    sgt_tensor w = head_weight(step);
    for (int64_t i = 0; i < count; i += chunk) {
        int64_t rows = count - i < chunk ? count - i : chunk;
        uint64_t offset = layout->h + (uint64_t)((first + i * stride) * d);
        sgt_tensor h = sgti_at(step, offset, rows, d);
        sgt_tensor out = sgti_at(step, layout->logits, rows, v);
        h.strides[0] = stride * d;
        sgt_status status = sgti_linear(step, &out, &h, &w, NULL);
        if (status)
            return status;
        status = sgti_read(step->dispatch, logits + i * v, &out);
        if (status)
            return status;
    }
    return SGT_OK;
}
