/* SPDX-License-Identifier: BSD-3-Clause */
/* Everything is a product: of K planes [K,N d] as they lie, or token by token where sums go over
 * all of them. */
#include "streams.h"

#include "../base/integers.h"
#include "../core/tensors.h"
#include "config.h"

static int64_t streams_of(const sgti_work *work)
{
    return work->config->altup_streams;
}

static const sgti_planes *gradients_before(const sgti_work *work, int32_t layer)
{
    return &work->layout->streams.d_streams[layer % 2];
}

/* ---- tensors ---- */

static sgt_tensor plane_at(const sgti_work *work, const sgti_planes *planes, int32_t k)
{
    const sgti_region plane = sgti_plane(planes, k);
    return sgti_at(work, &plane);
}

/* The first planes as the rows [count, N d] of a matrix. */
static sgt_tensor planes_at(const sgti_work *work, const sgti_planes *planes, int64_t count)
{
    const sgt_tensor first = sgti_at(work, &planes->first);
    sgt_tensor rows = sgti_tensor_2d(first.buffer, first.offset, count, sgti_tensor_count(&first));
    rows.strides[0] = (int64_t)(planes->step / sizeof(float));
    return rows;
}

/* The same by tokens, [N, count, d]. */
static sgt_tensor planes_by_token(const sgti_work *work, const sgti_planes *planes, int64_t count)
{
    const int64_t d = work->config->d_model;
    const sgt_tensor rows = planes_at(work, planes, count);
    sgt_tensor tokens = sgti_tensor_3d(rows.buffer, rows.offset, work->rows, count, d);
    tokens.strides[0] = d;
    tokens.strides[1] = rows.strides[0];
    return tokens;
}

/* A dense tensor as the matrix [rows, rest]. */
static sgt_tensor as_rows(const sgt_tensor *dense, int64_t rows)
{
    return sgti_tensor_2d(dense->buffer, dense->offset, rows, sgti_tensor_count(dense) / rows);
}

static sgt_tensor correct_of(sgt_tensor parameter)
{
    return as_rows(&parameter, parameter.shape[0]);
}

static int32_t predict_index(const sgti_work *work, int32_t layer)
{
    return work->model->parameters.layers[layer].predict;
}

/* Ones [1, count]. */
static sgt_status make_ones(sgt_tensor *ones, const sgti_work *work, int64_t count)
{
    *ones = sgti_columns(sgti_at(work, &work->layout->streams.ones), 0, count);
    return sgti_fill(work->dispatch, ones, 1.0);
}

/* ---- embedding ---- */

/* The columns of the embedding's table, or of its gradient, that stream k is made of. */
static sgt_tensor table_of(const sgti_work *work, sgt_tensor table, int32_t k)
{
    const int64_t d = work->config->d_model;
    return table.shape[1] == d ? table : sgti_columns(table, k * d, d);
}

sgt_status sgti_streams_begin(const sgti_work *work)
{
    const sgt_tensor whole = sgti_weight(work->model, work->model->parameters.embedding);
    sgt_tensor ids = sgti_tensor_flat(sgti_at(work, &work->layout->ids));
    sgt_status status = SGT_OK;
    for (int32_t k = 0; k < streams_of(work) && status == SGT_OK; k++) {
        sgt_tensor table = table_of(work, whole, k);
        sgt_tensor x = plane_at(work, &work->layout->layers[0].in, k);
        sgt_embedding_args args = {.table = &table, .ids = &ids, .out = &x};
        status = sgti_embedding(work->dispatch, &args);
    }
    return status;
}

sgt_status sgti_streams_begin_backward(const sgti_work *work)
{
    const sgt_tensor whole = sgti_gradient(work->model, work->model->parameters.embedding);
    sgt_tensor ids = sgti_tensor_flat(sgti_at(work, &work->layout->ids));
    sgt_status status = SGT_OK;
    for (int32_t k = 0; k < streams_of(work) && status == SGT_OK; k++) {
        sgt_tensor dtable = table_of(work, whole, k);
        sgt_tensor dx = plane_at(work, gradients_before(work, 0), k);
        sgt_embedding_backward_args args = {
            .scale = 1.0f, .dtable = &dtable, .ids = &ids, .dout = &dx};
        status = sgti_embedding_backward(work->dispatch, &args);
    }
    return status;
}

/* ---- mixing ---- */

/* Makes the weights [M | g] of a layer. */
static sgt_status make_weights(sgt_tensor *weights, const sgti_work *work, int32_t layer)
{
    const int64_t k = streams_of(work);
    const int32_t index = predict_index(work, layer);
    const sgt_tensor predict = sgti_weight(work->model, index);
    const sgt_tensor correct = correct_of(sgti_weight(work->model, index + 1));
    const sgt_tensor active = sgti_rows(predict, work->layout->layers[layer].active, 1);
    *weights = sgti_at(work, &work->layout->streams.weights);
    const sgt_tensor m = sgti_columns(*weights, 0, k), g = sgti_columns(*weights, k, 1);
    sgt_status status =
        sgti_gemm(work->dispatch, &m, -1.0f, &correct, &active, 1.0f, &predict);
    return status ? status : sgti_copy(work->dispatch, &g, &correct);
}

sgt_status sgti_streams_mix(const sgti_work *work, int32_t layer)
{
    const sgti_layer_place *place = &work->layout->layers[layer];
    const int64_t k = streams_of(work);
    sgt_tensor weights;
    if (k == 1)
        return SGT_OK;
    sgt_status status = make_weights(&weights, work, layer);
    const sgt_tensor in = planes_at(work, &place->in, k + 1);
    const sgt_tensor out = planes_at(work, &place->out, k);
    return status ? status : sgti_gemm(work->dispatch, &out, 1.0f, &weights, &in, 0.0f, NULL);
}

/* total [1,C] becomes the sum of the rows [N,C]. Rows are added SGTI_STREAM_SUMS at a time, so that
 * few terms are added one after the other; the rows and `room`, of the same size, are used up. */
static sgt_status sum_rows(sgt_tensor *total, const sgti_work *work, sgt_tensor rows,
                           sgt_tensor room)
{
    const int64_t n = SGTI_STREAM_SUMS, columns = rows.shape[1];
    sgt_tensor ones;
    sgt_status status = make_ones(&ones, work, n);
    while (rows.shape[0] > 1 && status == SGT_OK) {
        const int64_t whole = rows.shape[0] / n, rest = rows.shape[0] % n;
        /* Any n rows may be added together: those that are rows.shape[0] / n apart. */
        if (whole > 0) {
            sgt_tensor first = sgti_rows(rows, 0, whole * n), sums = sgti_rows(room, 0, whole);
            first = as_rows(&first, n);
            sums = as_rows(&sums, 1);
            status = sgti_gemm(work->dispatch, &sums, 1.0f, &ones, &first, 0.0f, NULL);
        }
        if (rest > 0 && status == SGT_OK) {
            const sgt_tensor last = sgti_rows(rows, whole * n, rest);
            const sgt_tensor sums = sgti_rows(room, whole, 1), few = sgti_columns(ones, 0, rest);
            status = sgti_gemm(work->dispatch, &sums, 1.0f, &few, &last, 0.0f, NULL);
        }
        const sgt_tensor used = rows;
        rows = sgti_rows(room, 0, whole + (rest > 0));
        room = used;
    }
    *total = sgti_tensor_2d(rows.buffer, rows.offset, 1, columns);
    return status;
}

/* Makes the sums S [K,K+1] of the head of streams.h. */
static sgt_status make_sums(sgt_tensor *sums, const sgti_work *work, int32_t layer)
{
    const sgti_streams_place *place = &work->layout->streams;
    const int64_t k = streams_of(work);
    const sgt_tensor d = planes_by_token(work, gradients_before(work, layer + 1), k);
    const sgt_tensor in = planes_by_token(work, &work->layout->layers[layer].in, k + 1);
    sgt_tensor in_t = in, rows = sgti_at(work, &place->products[0]), total;
    in_t.shape[1] = in.shape[2];
    in_t.shape[2] = in.shape[1];
    in_t.strides[1] = in.strides[2];
    in_t.strides[2] = in.strides[1];
    const sgt_tensor by_token = sgti_tensor_3d(rows.buffer, rows.offset, work->rows, k, k + 1);
    sgt_status status = sgti_gemm(work->dispatch, &by_token, 1.0f, &d, &in_t, 0.0f, NULL);
    if (status == SGT_OK)
        status = sum_rows(&total, work, rows, sgti_at(work, &place->products[1]));
    if (status)
        return status;
    *sums = as_rows(&total, k);
    return SGT_OK;
}

/* Adds to the gradients of predict and correct. */
static sgt_status add_gradients(const sgti_work *work, int32_t layer)
{
    const int64_t k = streams_of(work);
    const int32_t index = predict_index(work, layer), a = work->layout->layers[layer].active;
    const sgt_tensor predict = sgti_weight(work->model, index);
    const sgt_tensor dpredict = sgti_gradient(work->model, index);
    const sgt_tensor correct = correct_of(sgti_weight(work->model, index + 1));
    const sgt_tensor dcorrect = correct_of(sgti_gradient(work->model, index + 1));
    sgt_tensor sums;
    sgt_status status = make_sums(&sums, work, layer);
    if (status)
        return status;
    const sgt_tensor with_x = sgti_columns(sums, 0, k), with_y = sgti_columns(sums, k, 1);
    const sgt_tensor p_a = sgti_rows(predict, a, 1), dp_a = sgti_rows(dpredict, a, 1);
    const sgt_tensor p_at = sgti_transposed(p_a), g_t = sgti_transposed(correct);
    status = sgti_axpy(work->dispatch, &dcorrect, 1.0f, &with_y);
    if (status == SGT_OK)
        status = sgti_gemm(work->dispatch, &dcorrect, -1.0f, &with_x, &p_at, 1.0f, NULL);
    if (status == SGT_OK)
        status = sgti_axpy(work->dispatch, &dpredict, 1.0f, &with_x);
    if (status == SGT_OK)
        status = sgti_gemm(work->dispatch, &dp_a, -1.0f, &g_t, &with_x, 1.0f, NULL);
    return status;
}

sgt_status sgti_streams_mix_backward(const sgti_work *work, int32_t layer)
{
    const int64_t k = streams_of(work);
    sgt_tensor weights;
    if (k == 1)
        return SGT_OK;
    sgt_status status = add_gradients(work, layer);
    if (status == SGT_OK)
        status = make_weights(&weights, work, layer);
    if (status)
        return status;
    const sgt_tensor d = planes_at(work, gradients_before(work, layer + 1), k);
    const sgt_tensor dx = planes_at(work, gradients_before(work, layer), k);
    const sgt_tensor layer_dx = sgti_at(work, &work->layout->dx), dy = as_rows(&layer_dx, 1);
    const sgt_tensor m_t = sgti_transposed(sgti_columns(weights, 0, k));
    const sgt_tensor g_t = sgti_transposed(sgti_columns(weights, k, 1));
    status = sgti_gemm(work->dispatch, &dy, 1.0f, &g_t, &d, 0.0f, NULL);
    return status ? status : sgti_gemm(work->dispatch, &dx, 1.0f, &m_t, &d, 0.0f, NULL);
}

sgt_status sgti_streams_finish_backward(const sgti_work *work, int32_t layer)
{
    if (streams_of(work) == 1)
        return SGT_OK;
    const sgt_tensor through = sgti_at(work, &work->layout->dx);
    const sgt_tensor dx = plane_at(work, gradients_before(work, layer),
                                   work->layout->layers[layer].active);
    return sgti_axpy(work->dispatch, &dx, 1.0f, &through);
}

/* ---- the end ---- */

static const sgti_planes *last_streams(const sgti_work *work)
{
    return &work->layout->layers[work->config->n_layers - 1].out;
}

/* Copies every plane to or from its columns of a matrix [N, K d]. */
static sgt_status copy_columns(const sgti_work *work, const sgti_planes *planes,
                               const sgti_region *matrix, int to_planes)
{
    const int64_t d = work->config->d_model;
    sgt_status status = SGT_OK;
    for (int32_t k = 0; k < streams_of(work) && status == SGT_OK; k++) {
        const sgt_tensor plane = plane_at(work, planes, k);
        const sgt_tensor columns = sgti_columns(sgti_at(work, matrix), k * d, d);
        status = sgti_copy(work->dispatch, to_planes ? &plane : &columns,
                           to_planes ? &columns : &plane);
    }
    return status;
}

sgt_status sgti_streams_end(const sgti_work *work)
{
    const sgti_region *x = &work->layout->head.x;
    const int64_t k = streams_of(work);
    sgt_tensor ones;
    if (k == 1)
        return SGT_OK;
    if (work->config->altup_table == SGT_ALTUP_WIDE)
        return copy_columns(work, last_streams(work), x, 0);
    const sgt_tensor planes = planes_at(work, last_streams(work), k), whole = sgti_at(work, x);
    const sgt_tensor mean = as_rows(&whole, 1);
    sgt_status status = make_ones(&ones, work, k);
    return status ? status
                  : sgti_gemm(work->dispatch, &mean, 1.0f / (float)k, &ones, &planes, 0.0f, NULL);
}

sgt_status sgti_streams_end_backward(const sgti_work *work)
{
    const sgti_region *dx = &work->layout->head.dx;
    const sgti_planes *to = gradients_before(work, work->config->n_layers);
    const int64_t k = streams_of(work);
    sgt_tensor ones;
    if (k == 1)
        return SGT_OK;
    if (work->config->altup_table == SGT_ALTUP_WIDE)
        return copy_columns(work, to, dx, 1);
    const sgt_tensor planes = planes_at(work, to, k), whole = sgti_at(work, dx);
    const sgt_tensor mean = as_rows(&whole, 1);
    sgt_status status = make_ones(&ones, work, k);
    const sgt_tensor column = sgti_transposed(ones);
    return status ? status
                  : sgti_gemm(work->dispatch, &planes, 1.0f / (float)k, &column, &mean, 0.0f, NULL);
}
