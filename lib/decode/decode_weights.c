/* SPDX-License-Identifier: BSD-3-Clause */
#include "decode_weights.h"

#include "../base/arena.h"
#include "../core/tensors.h"
#include "cache.h"
#include "session.h"

/* The matrices of a session while they are listed. */
typedef struct planner {
    sgti_decode_matrices made;
    sgti_arena gathered;
    sgti_arena rounded;
} planner;

static void add(planner *p, int64_t rows, int64_t columns, const sgti_matrix *whole)
{
    sgti_decode_matrices *made = &p->made;
    sgti_decode_matrix matrix = {.rows = rows, .columns = columns, .gathered = !whole};
    if (whole)
        matrix.offset = whole->offset;
    else
        matrix.offset = sgti_arena_take(&p->gathered, (uint64_t)rows, (uint64_t)columns,
                                        sizeof(float)) / sizeof(float);
    matrix.rounded = sgti_arena_take(&p->rounded, (uint64_t)rows, (uint64_t)columns,
                                     sizeof(uint16_t)) / sizeof(uint16_t);
    if (columns > made->widest)
        made->widest = columns;
    if (made->list)
        made->list[made->count] = matrix;
    made->count++;
}

void sgti_decode_matrices_plan(sgti_decode_matrices *matrices, const sgt_model *model,
                               const sgti_passes *passes)
{
    planner p = {.made = {.list = matrices->list, .of_pass = matrices->of_pass}};
    int64_t d = model->config.d_model, dh = model->config.head_dim;
    for (int32_t i = 0; i < model->parameters.n_matrices; i++) {
        const sgti_matrix *whole = &model->parameters.matrices[i];
        add(&p, whole->rows, whole->columns, whole);
    }
    for (int32_t i = 0; i < passes->n_passes; i++) {
        const sgti_pass *pass = &passes->all[i];
        int gathered = pass->sparse && pass->n_heads > 0;
        if (p.made.of_pass)
            p.made.of_pass[i] = gathered ? p.made.count : -1;
        if (!gathered)
            continue;
        add(&p, (pass->n_heads + 2 * (int64_t)pass->n_groups) * dh, d, NULL);
        add(&p, d, pass->n_heads * dh, NULL);
    }
    p.made.gathered = p.gathered.peak;
    p.made.rounded = p.rounded.peak;
    p.made.overflow = p.gathered.overflow || p.rounded.overflow;
    *matrices = p.made;
}

/* ---- tensors ---- */

static sgt_tensor original(const sgt_session *session, int32_t number)
{
    const sgti_decode_matrix *matrix = &session->state.matrices.list[number];
    const sgti_storage *storage =
        matrix->gathered ? &session->state.gathered : &session->model->weights;
    return sgti_tensor_2d(storage->buffer, matrix->offset, matrix->rows, matrix->columns);
}

static sgt_tensor rounded(const sgt_session *session, int32_t number)
{
    const sgti_decode_matrix *matrix = &session->state.matrices.list[number];
    sgt_tensor tensor = sgti_tensor_2d(session->state.rounded.buffer, matrix->rounded, matrix->rows,
                                       matrix->columns);
    tensor.dtype = SGT_BF16;
    return tensor;
}

static sgt_tensor matrix_of(const sgti_work *work, int32_t number)
{
    const sgt_session *session = ((const sgti_chunk *)work)->session;
    return session->options.weights == SGT_BF16 ? rounded(session, number)
                                                : original(session, number);
}

static sgt_status projections_of(sgti_projections *weights, const sgti_work *work,
                                 const sgti_part *part)
{
    const sgt_session *session = ((const sgti_chunk *)work)->session;
    int32_t gathered = session->state.matrices.of_pass[part->pass->index];
    int32_t qkv = gathered >= 0 ? gathered : sgti_part_matrix(work, part, SGTI_MATRIX_QKV);
    int32_t o = gathered >= 0 ? gathered + 1 : sgti_part_matrix(work, part, SGTI_MATRIX_O);
    *weights = (sgti_projections){.qkv = matrix_of(work, qkv), .o = matrix_of(work, o)};
    return SGT_OK;
}

const sgti_providers sgti_session_providers = {
    .matrix = matrix_of,
    .projections = projections_of,
    .attend = sgti_cache_attend,
};

/* ---- filling ---- */

sgt_status sgti_decode_gather(sgt_session *session)
{
    const sgti_passes *passes = session->state.passes;
    for (int32_t layer = 0; layer < passes->n_layers; layer++) {
        const sgti_layer_passes *of_layer = &passes->layers[layer];
        for (int32_t k = 0; k < of_layer->n_passes; k++) {
            const sgti_pass *pass = &of_layer->passes[k];
            int32_t number = session->state.matrices.of_pass[pass->index];
            if (number < 0)
                continue;
            sgti_projections gathered = {.qkv = original(session, number),
                                         .o = original(session, number + 1)};
            sgt_status status = sgti_gather_heads(session->model, layer, pass,
                                                  session->state.lists.buffer, &gathered);
            if (status)
                return status;
        }
    }
    return SGT_OK;
}

sgt_status sgti_decode_round(sgt_session *session)
{
    for (int32_t i = 0; i < session->state.matrices.count; i++) {
        sgt_tensor from = original(session, i), to = rounded(session, i);
        sgt_status status = sgti_convert(session->model->dispatch, &to, &from);
        if (status)
            return status;
    }
    return SGT_OK;
}
