/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Final norm, output head and cross-entropy, a chunk of rows at a time, so that the logits of a big
 * vocabulary are never all there. For this a training step makes the gradient of the loss in the
 * forward, while a chunk's logits are there. It does not know yet by which scale backward will
 * multiply the loss; so it keeps d_final [N,d] and those of the head's weights, the gradients of
 * the sum of all losses, and backward scales them.
 *
 *     for each chunk of R rows:    h = norm(x)          [R,d]
 *                                  logits of h          [R,V]    logits.h
 *                                  losses, dlogits      [R], and [R,V] over the logits
 *                                  d_final              [R,d]
 *                                  gradients of the head, added up
 */
#include "../base/integers.h"
#include "../core/tensors.h"
#include "logits.h"

sgt_status sgti_head_logits(const sgti_work *work, int64_t first, int64_t stride, int64_t count,
                            sgti_logits_fn use, void *argument)
{
    const sgti_head_place *head = &work->layout->head;
    sgt_tensor x = sgti_at(work, &head->x);
    sgt_status status = SGT_OK;
    for (int64_t done = 0; done < count && status == SGT_OK; done += head->chunk_rows) {
        int64_t rows = sgti_min_i64(head->chunk_rows, count - done);
        sgt_tensor from = sgti_every_row(x, first + done * stride, stride, rows);
        sgt_tensor h = sgti_rows(sgti_at(work, &head->h), 0, rows);
        sgt_tensor logits = sgti_rows(sgti_at(work, &head->logits), 0, rows);
        status = sgti_norm_forward(work, &h, &from, work->model->parameters.final_norm);
        if (status == SGT_OK)
            status = sgti_logits_make(work, &logits, &h);
        if (status == SGT_OK)
            status = use(work, &logits, &h, done, rows, argument);
    }
    return status;
}

/* Computes the losses of a chunk, and in a training step their gradients. */
static sgt_status chunk_loss(const sgti_work *work, const sgt_tensor *logits, const sgt_tensor *h,
                             int64_t first, int64_t rows, void *argument)
{
    const sgti_layout *layout = work->layout;
    int training = layout->shape.mode == SGTI_TRAIN_LOSS;
    sgt_tensor losses = sgti_tensor_flat(sgti_rows(sgti_at(work, &layout->losses), first, rows));
    sgt_tensor targets = sgti_tensor_flat(sgti_rows(sgti_at(work, &layout->targets), first, rows));
    sgt_cross_entropy_args args = {.logits = logits,
                                   .targets = &targets,
                                   .losses = &losses,
                                   .dlogits = training ? logits : NULL};
    (void)argument;
    sgt_status status = sgti_cross_entropy(work->dispatch, &args);
    if (status || !training)
        return status;
    sgt_tensor d_final = sgti_rows(sgti_at(work, &layout->head.d_final), first, rows);
    const sgti_head_gradients unscaled = sgti_logits_unscaled(work);
    return sgti_logits_backward(work, &unscaled, first == 0 ? 0.0f : 1.0f, &d_final, logits, h);
}

sgt_status sgti_head_losses(const sgti_work *work, float *losses)
{
    sgt_tensor all = sgti_tensor_flat(sgti_at(work, &work->layout->losses));
    sgt_status status = sgti_head_logits(work, 0, 1, work->rows, chunk_loss, NULL);
    return status ? status : sgti_read(work->dispatch, losses, &all);
}

/* head.dx becomes the gradient of the final norm's input, from d_final. */
static sgt_status final_norm_backward(const sgti_work *work)
{
    const sgti_head_place *head = &work->layout->head;
    sgt_tensor dx = sgti_at(work, &head->dx), x = sgti_at(work, &head->x);
    sgt_tensor d_final = sgti_at(work, &head->d_final);
    sgt_status status = sgti_fill(work->dispatch, &dx, 0.0);
    return status ? status
                  : sgti_norm_backward(work, &dx, &d_final, &x,
                                       work->model->parameters.final_norm, &head->norm_scratch);
}

sgt_status sgti_head_loss_backward(const sgti_work *work, double scale)
{
    const sgti_head_gradients from = sgti_logits_unscaled(work), to = sgti_logits_gradients(work);
    sgt_status status = sgti_axpy(work->dispatch, &to.weight, (float)scale, &from.weight);
    if (status == SGT_OK && work->config->head_modules > 0)
        status = sgti_axpy(work->dispatch, &to.scale, (float)scale, &from.scale);
    if (status == SGT_OK && work->config->head_modules > 0)
        status = sgti_axpy(work->dispatch, &to.bias, (float)scale, &from.bias);
    if (status)
        return status;
    sgt_tensor d_final = sgti_at(work, &work->layout->head.d_final);
    status = sgti_scale(work->dispatch, &d_final, (float)scale);
    return status ? status : final_norm_backward(work);
}

sgt_status sgti_head_logits_backward(const sgti_work *work, const float *dlogits)
{
    const sgti_head_place *head = &work->layout->head;
    sgt_tensor x = sgti_at(work, &head->x), h = sgti_at(work, &head->h);
    sgt_tensor d_final = sgti_at(work, &head->d_final), dl = sgti_at(work, &head->logits);
    const sgti_head_gradients gradients = sgti_logits_gradients(work);
    /* A host may have written dlogits over the logits that it was shown: then they are in place. */
    sgt_status status = sgti_host_address(work->dispatch, &dl) == dlogits
                            ? SGT_OK
                            : sgti_write(work->dispatch, &dl, dlogits);
    if (status)
        return status;
    status = sgti_norm_forward(work, &h, &x, work->model->parameters.final_norm);
    if (status == SGT_OK)
        status = sgti_logits_backward(work, &gradients, 1.0f, &d_final, &dl, &h);
    return status ? status : final_norm_backward(work);
}

static sgt_status read_chunk(const sgti_work *work, const sgt_tensor *logits, const sgt_tensor *h,
                             int64_t first, int64_t rows, void *argument)
{
    float *to = argument;
    (void)h;
    (void)rows;
    return sgti_read(work->dispatch, to + first * logits->shape[1], logits);
}

sgt_status sgti_head_read_logits(const sgti_work *work, float *logits, int64_t first,
                                 int64_t stride, int64_t count)
{
    return sgti_head_logits(work, first, stride, count, read_chunk, logits);
}
