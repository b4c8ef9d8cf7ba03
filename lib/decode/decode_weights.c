/* SPDX-License-Identifier: BSD-3-Clause */
#include "decode_weights.h"

#include "../base/arena.h"
#include "../core/tensors.h"
#include "cache.h"
#include "history.h"
#include "session.h"

/* The matrices of a session while they are listed. */
typedef struct planner {
    sgti_decode_matrices made;
    sgti_arena derived;
    sgti_arena rounded;
} planner;

static uint64_t take(sgti_arena *arena, const sgti_decode_matrix *matrix, size_t element)
{
    return sgti_arena_take(arena, (uint64_t)matrix->rows, (uint64_t)matrix->columns, element) /
           element;
}

static void add(planner *p, sgti_decode_matrix matrix)
{
    sgti_decode_matrices *made = &p->made;
    if (matrix.read && matrix.derived)
        matrix.offset = take(&p->derived, &matrix, sizeof(float));
    if (matrix.read)
        matrix.rounded = take(&p->rounded, &matrix, sizeof(uint16_t));
    if (matrix.read && matrix.columns > made->widest)
        made->widest = matrix.columns;
    if (made->list)
        made->list[made->count] = matrix;
    made->count++;
}

/* Lists the derived matrices of a part, and notes where they begin. */
static void add_derived(planner *p, int32_t *first, const sgt_model_config *config, int32_t layer,
                        enum sgti_block_part slot, const sgti_pass *pass)
{
    const sgti_part_kind *kind = sgti_block_of(config, layer).parts[slot];
    if (first)
        *first = p->made.count;
    for (int32_t i = 0; i < kind->n_derived; i++) {
        const sgti_derived size = kind->derived(config, layer, pass, i);
        add(p, (sgti_decode_matrix){.rows = size.rows,
                                    .columns = size.columns,
                                    .derived = 1,
                                    .read = size.needed});
    }
}

void sgti_decode_matrices_plan(sgti_decode_matrices *matrices, const sgt_model *model,
                               const sgti_passes *passes)
{
    planner p = {.made = {.list = matrices->list,
                          .of_pass = matrices->of_pass,
                          .of_layer = matrices->of_layer}};
    for (int32_t i = 0; i < model->parameters.n_matrices; i++) {
        const sgti_matrix *whole = &model->parameters.matrices[i];
        add(&p, (sgti_decode_matrix){.rows = whole->rows,
                                     .columns = whole->columns,
                                     .offset = whole->offset,
                                     .read = whole->decoded});
    }
    for (int32_t layer = 0; layer < passes->n_layers; layer++) {
        const sgti_layer_passes *of_layer = &passes->layers[layer];
        for (int32_t k = 0; k < of_layer->n_passes; k++) {
            const sgti_pass *pass = &of_layer->passes[k];
            add_derived(&p, p.made.of_pass ? &p.made.of_pass[pass->index] : NULL, &model->config,
                        layer, SGTI_ATTENTION, pass);
        }
    }
    for (int32_t layer = 0; layer < passes->n_layers; layer++)
        add_derived(&p, p.made.of_layer ? &p.made.of_layer[layer] : NULL, &model->config, layer,
                    SGTI_FEED_FORWARD, NULL);
    p.made.derived = p.derived.peak;
    p.made.rounded = p.rounded.peak;
    p.made.overflow = p.derived.overflow || p.rounded.overflow;
    *matrices = p.made;
}

/* ---- tensors ---- */

static sgt_tensor original(const sgt_session *session, int32_t number)
{
    const sgti_decode_matrix *matrix = &session->state.matrices.list[number];
    const sgti_storage *storage =
        matrix->derived ? &session->state.derived : &session->model->weights;
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

static sgt_status derived_of(sgt_tensor *matrix, const sgti_work *work, const sgti_part *part,
                             int32_t which)
{
    const sgti_decode_matrices *all = &((const sgti_chunk *)work)->session->state.matrices;
    const int32_t first = part->pass ? all->of_pass[part->pass->index] : all->of_layer[part->layer];
    *matrix = matrix_of(work, first + which);
    return SGT_OK;
}

const sgti_providers sgti_session_providers = {
    .matrix = matrix_of,
    .derived = derived_of,
    .attend = sgti_cache_attend,
    .remember = sgti_history_remember,
};

/* ---- filling ---- */

/* Makes those of one part, which begin at `first`. */
static sgt_status derive_part(sgt_session *session, int32_t layer, enum sgti_block_part slot,
                              const sgti_pass *pass, int32_t first)
{
    const sgti_part_kind *kind = sgti_block_of(&session->model->config, layer).parts[slot];
    sgt_status status = SGT_OK;
    for (int32_t i = 0; i < kind->n_derived && status == SGT_OK; i++) {
        if (!session->state.matrices.list[first + i].read)
            continue;
        const sgt_tensor to = original(session, first + i);
        status = kind->derive(session->model, layer, pass, session->state.lists.buffer, i, &to);
        if (status == SGT_OK)
            status = sgti_prepare_weight(session->model->dispatch, &to);
    }
    return status;
}

sgt_status sgti_decode_derive(sgt_session *session)
{
    const sgti_passes *passes = session->state.passes;
    const sgti_decode_matrices *matrices = &session->state.matrices;
    sgt_status status = SGT_OK;
    for (int32_t layer = 0; layer < passes->n_layers && status == SGT_OK; layer++) {
        const sgti_layer_passes *of_layer = &passes->layers[layer];
        for (int32_t k = 0; k < of_layer->n_passes && status == SGT_OK; k++) {
            const sgti_pass *pass = &of_layer->passes[k];
            status = derive_part(session, layer, SGTI_ATTENTION, pass,
                                 matrices->of_pass[pass->index]);
        }
        if (status == SGT_OK)
            status = derive_part(session, layer, SGTI_FEED_FORWARD, NULL,
                                 matrices->of_layer[layer]);
    }
    return status;
}

sgt_status sgti_decode_round(sgt_session *session)
{
    for (int32_t i = 0; i < session->state.matrices.count; i++) {
        sgt_tensor from = original(session, i), to = rounded(session, i);
        sgt_status status = SGT_OK;
        if (session->state.matrices.list[i].read)
            status = sgti_convert(session->model->dispatch, &to, &from);
        if (status)
            return status;
    }
    return SGT_OK;
}
