/* SPDX-License-Identifier: BSD-3-Clause */
/* What parts compute with: regions as tensors, products, norms, rotation. */
#include "work.h"

#include "../base/integers.h"
#include "../core/tensors.h"

/* How many rows of a bf16 matrix are converted at a time where no kernel multiplies it as it is. */
#define PANEL_ROWS 512

sgt_tensor sgti_at(const sgti_work *work, const sgti_region *region)
{
    uint64_t bytes = work->layout->base[region->arena] + region->offset;
    sgt_tensor tensor =
        sgti_tensor_2d(work->arena, bytes / sgti_dtype_bytes(region->dtype),
                       region->rows ? region->rows : work->rows, region->columns);
    tensor.dtype = region->dtype;
    return tensor;
}

sgt_tensor sgti_list_at(const sgti_work *work, const sgti_pass *pass, sgti_pass_list which)
{
    return sgti_pass_list_of(work->lists, work->config, pass, which);
}

int32_t sgti_part_parameter(const sgti_work *work, const sgti_part *part, int32_t number)
{
    return work->model->parameters.layers[part->layer].parameter[part->kind->slot] + number;
}

int32_t sgti_part_matrix(const sgti_work *work, const sgti_part *part, int32_t number)
{
    return work->model->parameters.layers[part->layer].matrix[part->kind->slot] + number;
}

sgt_tensor sgti_matrix_gradient(const sgti_work *work, int32_t number)
{
    const sgti_matrix *matrix = &work->model->parameters.matrices[number];
    return sgti_tensor_2d(work->model->gradients.buffer, matrix->offset, matrix->rows,
                          matrix->columns);
}

/* ---- products ---- */

uint64_t sgti_panel_bytes(int64_t columns)
{
    return (uint64_t)PANEL_ROWS * (uint64_t)columns * sizeof(float);
}

/* Multiplies with a bf16 matrix, one panel of its rows after the other: a panel is converted to
 * float32, and gives some columns of y by an ordinary product. */
static sgt_status multiply_by_panels(const sgti_work *work, const sgt_tensor *y,
                                     const sgt_tensor *x, const sgt_tensor *w, const sgt_tensor *d)
{
    int64_t outputs = w->shape[0];
    for (int64_t first = 0; first < outputs; first += PANEL_ROWS) {
        int64_t count = sgti_min_i64(outputs - first, PANEL_ROWS);
        sgt_tensor from = sgti_rows(*w, first, count);
        sgt_tensor panel = sgti_tensor_2d(work->panel, 0, count, w->shape[1]);
        sgt_status status = sgti_convert(work->dispatch, &panel, &from);
        if (status)
            return status;
        sgt_tensor part = sgti_columns(*y, first, count), b = sgti_transposed(panel);
        sgt_tensor added = d ? sgti_columns(*d, first, count) : part;
        status = sgti_gemm(work->dispatch, &part, 1.0f, x, &b, d ? 1.0f : 0.0f, d ? &added : NULL);
        if (status)
            return status;
    }
    return SGT_OK;
}

sgt_status sgti_multiply(const sgti_work *work, const sgt_tensor *y, const sgt_tensor *x,
                         const sgt_tensor *w, const sgt_tensor *d)
{
    if (work->inference) {
        sgt_linear_args args = {.x = x, .weight = w, .y = y, .d = d};
        sgt_status status = sgti_linear(work->dispatch, &args);
        if (status != SGT_E_UNSUPPORTED)
            return status;
    }
    if (w->dtype != SGT_F32)
        return multiply_by_panels(work, y, x, w, d);
    sgt_tensor wt = sgti_transposed(*w);
    return sgti_gemm(work->dispatch, y, 1.0f, x, &wt, d ? 1.0f : 0.0f, d);
}

sgt_status sgti_multiply_turned(const sgti_work *work, const sgt_tensor *y, const sgt_tensor *x,
                                const sgt_tensor *w, const sgt_tensor *d)
{
    sgt_status status = SGT_OK;
    if (w->dtype == SGT_F32)
        return sgti_gemm(work->dispatch, y, 1.0f, x, w, 1.0f, d);
    for (int64_t first = 0, count; first < w->shape[0] && status == SGT_OK; first += count) {
        count = sgti_min_i64(w->shape[0] - first, PANEL_ROWS);
        const sgt_tensor from = sgti_rows(*w, first, count);
        const sgt_tensor panel = sgti_tensor_2d(work->panel, 0, count, w->shape[1]);
        const sgt_tensor part = sgti_columns(*x, first, count);
        status = sgti_convert(work->dispatch, &panel, &from);
        if (status == SGT_OK)
            status = sgti_gemm(work->dispatch, y, 1.0f, &part, &panel, 1.0f, first ? NULL : d);
    }
    return status;
}

sgt_status sgti_weight_gradient(const sgti_work *work, const sgt_tensor *dw, float beta,
                                const sgt_tensor *dy, const sgt_tensor *x)
{
    sgt_tensor dyt = sgti_transposed(*dy);
    return sgti_gemm(work->dispatch, dw, 1.0f, &dyt, x, beta, NULL);
}

sgt_status sgti_input_gradient(const sgti_work *work, const sgt_tensor *dx, const sgt_tensor *dy,
                               const sgt_tensor *w)
{
    return sgti_gemm(work->dispatch, dx, 1.0f, dy, w, 0.0f, NULL);
}

sgt_status sgti_add_column_sums(const sgti_work *work, const sgt_tensor *sums,
                                const sgt_tensor *rows, const sgt_tensor *ones)
{
    const int64_t count = rows->shape[0], columns = rows->shape[1];
    const sgt_tensor one = sgti_tensor_2d(ones->buffer, ones->offset, 1, columns);
    const sgt_tensor same = sgti_repeated(sgti_tensor_flat(one), count);
    const sgt_tensor to = sgti_tensor_2d(sums->buffer, sums->offset, 1, columns);
    sgt_tensor all = sgti_tensor_3d(rows->buffer, rows->offset, 1, count, columns);
    all.strides[1] = rows->strides[0];
    sgt_row_products_backward_args args = {.x = &one, .y = &same, .dout = &all, .dx = &to};
    sgt_status status = sgti_fill(work->dispatch, &one, 1.0);
    return status ? status : sgti_row_products_backward(work->dispatch, &args);
}

/* ---- norms ---- */

sgt_status sgti_norm_forward(const sgti_work *work, const sgt_tensor *y, const sgt_tensor *x,
                             int32_t parameter)
{
    sgt_tensor weight = sgti_weight(work->model, parameter);
    sgt_rmsnorm_args args = {
        .eps = (float)work->config->norm_eps, .x = x, .weight = &weight, .y = y};
    return sgti_rmsnorm(work->dispatch, &args);
}

sgt_status sgti_norm_backward(const sgti_work *work, const sgt_tensor *dx, const sgt_tensor *dy,
                              const sgt_tensor *x, int32_t parameter, const sgti_region *scratch)
{
    sgt_tensor room = sgti_at(work, scratch);
    sgt_tensor weight = sgti_weight(work->model, parameter);
    sgt_tensor dweight = sgti_gradient(work->model, parameter);
    sgt_rmsnorm_backward_args args = {.eps = (float)work->config->norm_eps,
                                      .x = x,
                                      .weight = &weight,
                                      .dy = dy,
                                      .dx = dx,
                                      .dweight = &dweight,
                                      .scratch = &room};
    return sgti_rmsnorm_backward(work->dispatch, &args);
}

/* ---- positions ---- */

sgt_status sgti_rotate(const sgti_work *work, const sgt_tensor *x, const sgt_tensor *offsets,
                       int32_t inverse)
{
    return sgti_rotary_apply(work->rotary, work->dispatch, x, offsets, inverse);
}
