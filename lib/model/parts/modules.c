/* SPDX-License-Identifier: BSD-3-Clause */
#include "modules.h"

#include "../../base/integers.h"
#include "../../core/tensors.h"

/* ---- modules and heads ---- */

int sgti_next_stretch(sgti_stretch *stretch, const sgt_model_config *config, const sgti_pass *pass)
{
    const int32_t *heads = pass->heads;
    int32_t i = stretch->head;
    if (i == pass->n_heads)
        return 0;
    int32_t end = heads[i] > 0 ? heads[i] - 1 : 0;
    stretch->place += stretch->count;
    stretch->first = end;
    while (i < pass->n_heads && heads[i] - 1 <= end) {
        end = heads[i] + 1 < config->n_heads ? heads[i] + 2 : config->n_heads;
        i++;
    }
    stretch->count = end - stretch->first;
    stretch->head = i;
    return 1;
}

int32_t sgti_count_neighbours(const sgti_pass *pass, int32_t head)
{
    int32_t count = 1;
    while (head + count < pass->n_heads && pass->heads[head + count] == pass->heads[head] + count)
        count++;
    return count;
}

/* The place of a head's own module among those of the pass. */
static int32_t place_of(const sgti_convolutions *c, int32_t head)
{
    sgti_stretch stretch = {0};
    while (stretch.head <= head)
        sgti_next_stretch(&stretch, c->work->config, c->part->pass);
    return stretch.place + c->part->pass->heads[head] - stretch.first;
}

/* ---- windows ---- */

sgt_tensor sgti_tap_of(const sgt_tensor *windows, int64_t batch, int64_t f)
{
    const int64_t seq = windows->shape[0] / batch;
    sgt_tensor tap = *windows;
    tap.offset += (uint64_t)(f * windows->strides[2]);
    tap.shape[0] = batch;
    tap.shape[1] = seq;
    tap.shape[2] = windows->shape[1];
    tap.strides[0] = seq * windows->strides[0];
    tap.strides[1] = windows->strides[0];
    tap.strides[2] = windows->strides[1];
    return tap;
}

sgt_tensor sgti_window_modules(const sgti_convolutions *c)
{
    const int64_t m = c->work->config->head_dim, n = c->part->pass->n_modules;
    const int64_t shape[] = {c->work->rows, n, c->taps, m};
    sgt_tensor modules = sgti_tensor_dense(
        c->windows.buffer, c->windows.offset + (uint64_t)(c->taps * m), 4, shape);
    modules.strides[0] = c->windows.strides[0];
    return modules;
}

/* ---- kernels ---- */

static int64_t span_of(enum sgti_convolution which)
{
    return which == SGTI_CONVOLVE_V ? 1 : 3;
}

int64_t sgti_kernel_columns(const sgt_model_config *config, const sgt_block_config *block,
                            enum sgti_convolution which)
{
    return span_of(which) * block->mult_kernel * config->head_dim;
}

sgt_tensor sgti_turned_kernel(sgt_tensor kernel)
{
    sgt_tensor turned = kernel;
    turned.shape[1] = kernel.shape[3];
    turned.strides[1] = kernel.strides[3];
    turned.shape[3] = kernel.shape[1];
    turned.strides[3] = kernel.strides[1];
    return turned;
}

/* ---- forward ---- */

/* The queries, keys or values of head number `head` of the pass. */
static sgt_tensor columns_of(const sgti_convolutions *c, const sgt_tensor *qkv,
                             enum sgti_convolution which, int32_t head)
{
    const int64_t m = c->work->config->head_dim;
    return sgti_columns(*qkv, ((int64_t)which * c->part->pass->n_heads + head) * m, m);
}

/* The columns of windows that the kernel reads for a head. */
static sgt_tensor window_of(const sgti_convolutions *c, enum sgti_convolution which, int32_t head)
{
    const int64_t width = c->taps * c->work->config->head_dim, span = span_of(which);
    const int64_t first = place_of(c, head) + 1 - span / 2;
    return sgti_columns(c->windows, first * width, span * width);
}

static sgt_tensor bias_of(const sgti_convolutions *c, enum sgti_convolution which)
{
    return sgti_weight(c->work->model, c->parameter + 2 * (int32_t)which + 1);
}

/* Some heads that follow one another, of one row: each is a row of the product. Their windows
 * overlap. */
static sgt_status convolve_row(const sgti_convolutions *c, const sgt_tensor *qkv,
                               enum sgti_convolution which, int32_t head, int32_t count,
                               int64_t row)
{
    const int64_t m = c->work->config->head_dim;
    const sgt_tensor bias = sgti_repeated(bias_of(c, which), count);
    sgt_tensor x = sgti_rows(window_of(c, which, head), row, count);
    sgt_tensor y = sgti_rows(columns_of(c, qkv, which, head), row, count);
    x.strides[0] = c->taps * m;
    y.strides[0] = m;
    return sgti_multiply(c->work, &y, &x, &c->kernels[which], &bias);
}

/* One head, of all rows. */
static sgt_status convolve_head(const sgti_convolutions *c, const sgt_tensor *qkv,
                                enum sgti_convolution which, int32_t head)
{
    const sgt_tensor bias = sgti_repeated(bias_of(c, which), c->work->rows);
    const sgt_tensor x = window_of(c, which, head), y = columns_of(c, qkv, which, head);
    return sgti_multiply(c->work, &y, &x, &c->kernels[which], &bias);
}

/* One of the three, by rows or by heads, so that there are few products. */
static sgt_status convolve_one(const sgti_convolutions *c, const sgt_tensor *qkv,
                               enum sgti_convolution which)
{
    const sgti_pass *pass = c->part->pass;
    const int64_t rows = c->work->rows;
    sgt_status status = SGT_OK;
    for (int32_t head = 0; head < pass->n_heads && status == SGT_OK;) {
        const int32_t count = sgti_count_neighbours(pass, head);
        for (int64_t row = 0; rows < count && row < rows && status == SGT_OK; row++)
            status = convolve_row(c, qkv, which, head, count, row);
        for (int32_t i = 0; rows >= count && i < count && status == SGT_OK; i++)
            status = convolve_head(c, qkv, which, head + i);
        head += count;
    }
    return status;
}

sgt_status sgti_convolve(const sgti_convolutions *c, const sgt_tensor *qkv)
{
    sgt_status status = SGT_OK;
    for (int which = 0; which < SGTI_CONVOLUTIONS && status == SGT_OK; which++)
        status = convolve_one(c, qkv, (enum sgti_convolution)which);
    return status;
}

/* ---- backward ---- */

/* The biases: sums over all rows, and of these over the heads. */
static sgt_status bias_backward(const sgti_convolutions *c, const sgti_convolve_backward_args *args)
{
    const sgti_work *work = c->work;
    const int64_t h = c->part->pass->n_heads, m = work->config->head_dim;
    const sgt_tensor sums = sgti_tensor_flat(sgti_rows(args->sums, 0, 1));
    const sgt_tensor ones = sgti_tensor_flat(sgti_rows(args->sums, 1, 1));
    sgt_status status = sgti_fill(work->dispatch, &sums, 0.0);
    if (status == SGT_OK)
        status = sgti_add_column_sums(work, &sums, &args->d_qkv, &ones);
    for (int32_t which = 0; which < SGTI_CONVOLUTIONS && status == SGT_OK; which++) {
        const sgt_tensor of_heads =
            sgti_tensor_2d(sums.buffer, sums.offset + (uint64_t)(which * h * m), h, m);
        const sgt_tensor bias = sgti_gradient(work->model, c->parameter + 2 * which + 1);
        status = sgti_add_column_sums(work, &bias, &of_heads, &ones);
    }
    return status;
}

/* One kernel: the sum over the heads in its turned form, and that to the gradient. */
static sgt_status kernel_backward(const sgti_convolutions *c,
                                  const sgti_convolve_backward_args *args,
                                  enum sgti_convolution which)
{
    const int64_t m = c->work->config->head_dim, columns = c->kernels[which].shape[1];
    const int64_t shape[] = {m, span_of(which), c->taps, m};
    const sgt_tensor sum =
        sgti_tensor_2d(args->d_kernels.buffer, args->d_kernels.offset, m, columns);
    const sgt_tensor turned = sgti_tensor_dense(sum.buffer, sum.offset, 4, shape);
    const sgt_tensor gradient = sgti_turned_kernel(
        sgti_gradient(c->work->model, c->parameter + 2 * (int32_t)which));
    sgt_status status = SGT_OK;
    for (int32_t head = 0; head < c->part->pass->n_heads && status == SGT_OK; head++) {
        const sgt_tensor dy = columns_of(c, &args->d_qkv, which, head);
        const sgt_tensor x = window_of(c, which, head);
        status = sgti_weight_gradient(c->work, &sum, head > 0 ? 1.0f : 0.0f, &dy, &x);
    }
    return status ? status : sgti_axpy(c->work->dispatch, &gradient, 1.0f, &turned);
}

/* The windows of neighbours overlap: heads add to them one after the other. */
static sgt_status window_backward(const sgti_convolutions *c,
                                  const sgti_convolve_backward_args *args)
{
    const int32_t heads = c->part->pass->n_heads;
    sgt_status status = sgti_fill(c->work->dispatch, &c->windows, 0.0);
    for (int32_t i = 0; i < SGTI_CONVOLUTIONS * heads && status == SGT_OK; i++) {
        const enum sgti_convolution which = (enum sgti_convolution)(i / heads);
        const sgt_tensor dy = columns_of(c, &args->d_qkv, which, i % heads);
        const sgt_tensor dx = window_of(c, which, i % heads);
        status = sgti_gemm(c->work->dispatch, &dx, 1.0f, &dy, &c->kernels[which], 1.0f, NULL);
    }
    return status;
}

sgt_status sgti_convolve_backward(const sgti_convolutions *c,
                                  const sgti_convolve_backward_args *args)
{
    sgt_status status = bias_backward(c, args);
    for (int which = 0; which < SGTI_CONVOLUTIONS && status == SGT_OK; which++)
        status = kernel_backward(c, args, (enum sgti_convolution)which);
    return status ? status : window_backward(c, args);
}

sgt_status sgti_windows_backward(const sgti_convolutions *c, const sgt_tensor *du)
{
    const sgti_work *work = c->work;
    const int64_t batch = work->layout->shape.batch, seq = work->layout->shape.seq;
    const sgt_tensor windows = sgti_window_modules(c);
    const sgt_tensor all = sgti_split_heads(*du, batch, windows.shape[1]);
    sgt_tensor tap = sgti_tap_of(&windows, batch, c->taps - 1);
    sgt_status status = sgti_copy(work->dispatch, &all, &tap);
    for (int64_t lag = 1; lag < sgti_min_i64(c->taps, seq) && status == SGT_OK; lag++) {
        tap = sgti_tap_of(&windows, batch, c->taps - 1 - lag);
        const sgt_tensor x = sgti_steps(tap, lag, seq - lag);
        const sgt_tensor y = sgti_steps(all, 0, seq - lag);
        status = sgti_axpy(work->dispatch, &y, 1.0f, &x);
    }
    return status;
}
