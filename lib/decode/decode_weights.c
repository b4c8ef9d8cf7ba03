/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session multiplies with: the model's own matrices, gathered ones for passes of some
 * heads, or bf16 copies of both.
 */
#include "../base/integers.h"
#include "../core/tensors.h"
#include "session.h"

/* Rows of a bf16 matrix that are converted at a time where the backend does not multiply it. */
enum { PANEL_ROWS = 512 };

static sgt_tensor original(const sgt_session *session, const sgti_decode_matrix *matrix)
{
    const sgti_storage *block =
        matrix->gathered ? &session->state.gathered : &session->model->weights;
    return sgti_tensor_2d(block->buffer, matrix->offset, matrix->rows, matrix->cols);
}

static sgt_tensor rounded(const sgt_session *session, const sgti_decode_matrix *matrix)
{
    sgt_tensor tensor =
        sgti_tensor_2d(session->packed.buffer, matrix->packed, matrix->rows, matrix->cols);
    tensor.dtype = SGT_BF16;
    return tensor;
}

uint64_t sgti_decode_panel_bytes(const sgti_decode_layout *layout)
{
    return (uint64_t)PANEL_ROWS * (uint64_t)layout->widest * sizeof(float);
}

/* Panel after panel of the matrix: converted, then an ordinary product. */
static sgt_status multiply_by_panels(const sgt_session *session, const sgt_tensor *y,
                                     const sgt_tensor *x, const sgt_tensor *matrix,
                                     const sgt_tensor *d)
{
    sgti_dispatch *dispatch = session->model->dispatch;
    int64_t outputs = matrix->shape[0];
    for (int64_t first = 0; first < outputs; first += PANEL_ROWS) {
        int64_t count = sgti_min_i64(outputs - first, PANEL_ROWS);
        sgt_tensor from = sgti_rows(*matrix, first, count);
        sgt_tensor panel =
            sgti_tensor_2d(session->panel.buffer, 0, count, matrix->shape[1]);
        sgt_status status = sgti_convert(dispatch, &panel, &from);
        if (status)
            return status;
        sgt_tensor part = sgti_columns(*y, first, count), b = sgti_transposed(panel);
        sgt_tensor added = d ? sgti_columns(*d, first, count) : part;
        status = sgti_gemm(dispatch, &part, 1.0f, x, &b, d ? 1.0f : 0.0f, d ? &added : NULL);
        if (status)
            return status;
    }
    return SGT_OK;
}

sgt_status sgti_decode_linear(const sgt_session *session, const sgt_tensor *y, const sgt_tensor *x,
                              int32_t number, const sgt_tensor *d)
{
    sgti_dispatch *dispatch = session->model->dispatch;
    const sgti_decode_matrix *matrix = &session->state.layout.matrices[number];
    sgt_tensor w = session->rounded ? rounded(session, matrix) : original(session, matrix);
    sgt_linear_args args = {.x = x, .weight = &w, .y = y, .d = d};
    sgt_status status = sgti_linear_slot(dispatch, &args);
    if (status != SGT_E_UNSUPPORTED)
        return status;
    if (session->rounded)
        return multiply_by_panels(session, y, x, &w, d);
    sgt_tensor b = sgti_transposed(w);
    return sgti_gemm(dispatch, y, 1.0f, x, &b, d ? 1.0f : 0.0f, d);
}

/* The lists of a pass, and its matrices where they are gathered. */
static sgt_status gather_pass(sgt_session *session, int32_t layer, int32_t number)
{
    sgti_decode_state *state = &session->state;
    const sgt_model *model = session->model;
    const sgti_decode_layout *layout = &state->layout;
    const sgti_decode_pass *pass = &layout->passes[layout->layers[layer].first_pass + number];
    const float *gains = state->plan->layers[layer].gains;
    int64_t heads = model->config.n_heads;
    sgti_head_lists lists = {
        .heads = state->heads,
        .groups = state->groups,
        .kv_heads = state->kv_heads + pass->list,
        .gains = state->gains + pass->list,
    };
    sgti_select_heads(&lists, &model->config, number == 0 ? NULL : gains + (number - 1) * heads);
    const sgti_decode_matrix *matrix = &layout->matrices[pass->matrix];
    if (!matrix->gathered || pass->n_heads == 0)
        return SGT_OK;
    sgt_tensor qkv = original(session, matrix), o = original(session, matrix + 1);
    return sgti_gather_heads(model, layer, &lists, &qkv, &o);
}

sgt_status sgti_decode_gather(sgt_session *session)
{
    const sgti_decode_layout *layout = &session->state.layout;
    for (int32_t layer = 0; layer < layout->n_layers; layer++) {
        for (int32_t number = 0; number < layout->layers[layer].n_passes; number++) {
            sgt_status status = gather_pass(session, layer, number);
            if (status)
                return status;
        }
    }
    return SGT_OK;
}

sgt_status sgti_decode_convert(sgt_session *session)
{
    const sgti_decode_layout *layout = &session->state.layout;
    for (int32_t i = 0; i < layout->n_matrices; i++) {
        sgt_tensor from = original(session, &layout->matrices[i]);
        sgt_tensor to = rounded(session, &layout->matrices[i]);
        sgt_status status = sgti_convert(session->model->dispatch, &to, &from);
        if (status)
            return status;
    }
    return SGT_OK;
}
