/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One block on the rows of a chunk: every attention pass appends its keys and values to its own
 * part of the cache and reads all that is there. The residual stream x [rows,d] is worked on in
 * place. Rows of different sequences share every product; rotation and attention go by sequence.
 */
#include <math.h>

#include "../core/tensors.h"
#include "session.h"

/* One pass at work. */
typedef struct pass_at_work {
    const sgti_chunk *chunk;
    const sgti_decode_pass *pass;
    uint64_t cache; /* elements: where this run has it */
    int32_t own;    /* 1: the block's own pass, every gain 1 */
} pass_at_work;

sgt_tensor sgti_decode_at(const sgt_session *session, uint64_t offset, int64_t rows, int64_t cols)
{
    return sgti_tensor_2d(session->state.scratch.buffer, offset, rows, cols);
}

sgt_status sgti_decode_norm(const sgt_session *session, int32_t row, int32_t rows,
                            int32_t parameter)
{
    const sgt_model *model = session->model;
    const sgti_decode_layout *layout = &session->state.layout;
    int64_t d = model->config.d_model;
    sgt_tensor x = sgti_rows(sgti_decode_at(session, layout->x, row + rows, d), row, rows);
    sgt_tensor h = sgti_rows(sgti_decode_at(session, layout->h, row + rows, d), row, rows);
    sgt_tensor weight = sgti_weight(model, parameter);
    sgt_rmsnorm_args args = {
        .eps = (float)model->config.norm_eps, .x = &x, .weight = &weight, .y = &h};
    return sgti_rmsnorm(model->dispatch, &args);
}

/* Heads of a [rows, width dh] matrix, for `count` sequences of which each has `rows` rows. */
static sgt_tensor heads_of(const sgti_segment *first, int32_t sequences, sgt_tensor matrix,
                           int64_t head, int64_t heads, int64_t head_dim)
{
    sgt_tensor rows = sgti_rows(matrix, first->row, (int64_t)sequences * first->count);
    return sgti_split_heads(sgti_columns(rows, head * head_dim, heads * head_dim), sequences,
                            heads);
}

/* [sequences, L, heads, dh] of the cache: from `head` on of the 2g that each sequence has. */
static sgt_tensor cache_of(const pass_at_work *work, int32_t sequence, int32_t sequences,
                           int64_t head, int64_t heads)
{
    const sgti_decode_state *state = &work->chunk->session->state;
    int64_t dh = work->chunk->session->model->config.head_dim;
    int64_t length = state->layout.max_length;
    int64_t per_sequence = 2 * (int64_t)work->pass->n_groups * length * dh;
    sgt_tensor tensor = sgti_tensor_1d(state->cache.buffer,
                                       work->cache + (uint64_t)(sequence * per_sequence +
                                                                head * length * dh),
                                       dh);
    const int64_t shape[] = {sequences, length, heads, dh};
    const int64_t strides[] = {per_sequence, dh, length * dh, 1};
    tensor.rank = 4;
    for (int i = 0; i < 4; i++) {
        tensor.shape[i] = shape[i];
        tensor.strides[i] = strides[i];
    }
    return tensor;
}

/* Rotates queries and keys by their positions. */
static sgt_status rotate(const pass_at_work *work, const sgt_tensor *rotated,
                         const int32_t *positions)
{
    const sgt_model *model = work->chunk->session->model;
    int64_t table = model->config.max_seq_len, half = model->config.head_dim / 2;
    sgt_tensor cosine = sgti_tensor_2d(model->rope.buffer, 0, table, half);
    sgt_tensor sine = sgti_tensor_2d(model->rope.buffer, (uint64_t)(table * half), table, half);
    sgt_rope_args args = {.x = rotated, .cosine = &cosine, .sine = &sine, .offsets = positions};
    return sgti_rope(model->dispatch, &args);
}

/* Puts the keys and values of a segment behind those that its sequence has. */
static sgt_status append(const pass_at_work *work, const sgti_segment *segment, int32_t position,
                         sgt_tensor qkv)
{
    const sgt_model *model = work->chunk->session->model;
    int64_t dh = model->config.head_dim, h = work->pass->n_heads, g = work->pass->n_groups;
    sgt_tensor from = heads_of(segment, 1, qkv, h, 2 * g, dh);
    sgt_tensor to = cache_of(work, segment->sequence, 1, 0, 2 * g);
    to.offset += (uint64_t)(position * dh);
    to.shape[1] = segment->count;
    return sgti_copy(model->dispatch, &to, &from);
}

/* Attention of `sequences` segments of equal length whose sequences follow one another. */
static sgt_status attend(const pass_at_work *work, int32_t segment, int32_t sequences,
                         sgt_tensor qkv, sgt_tensor flat_out)
{
    const sgti_chunk *chunk = work->chunk;
    const sgti_decode_state *state = &chunk->session->state;
    const sgt_model *model = chunk->session->model;
    const sgti_segment *first = &chunk->segments[segment];
    const int32_t *positions = &chunk->positions[segment];
    int64_t dh = model->config.head_dim, h = work->pass->n_heads, g = work->pass->n_groups;

    sgt_tensor rotated = heads_of(first, sequences, qkv, 0, h + g, dh);
    sgt_status status = rotate(work, &rotated, positions);
    for (int32_t i = 0; i < sequences && status == SGT_OK; i++)
        status = append(work, first + i, positions[i], qkv);
    if (status)
        return status;
    sgt_tensor q = heads_of(first, sequences, qkv, 0, h, dh);
    sgt_tensor k = cache_of(work, first->sequence, sequences, 0, g);
    sgt_tensor v = cache_of(work, first->sequence, sequences, g, g);
    sgt_tensor out = heads_of(first, sequences, flat_out, 0, h, dh);
    sgt_attention_args args = {
        .scale = (float)(1.0 / sqrt((double)dh)),
        .q = &q,
        .k = &k,
        .v = &v,
        .out = &out,
        .kv_heads = state->kv_heads + work->pass->list,
        .gains = work->own ? NULL : state->gains + work->pass->list,
        .offsets = positions,
    };
    return sgti_attention(model->dispatch, &args);
}

/* How many segments from this one on have equal lengths and consecutive sequences. */
static int32_t alike(const sgti_chunk *chunk, int32_t segment)
{
    const sgti_segment *first = &chunk->segments[segment];
    int32_t count = 1;
    while (segment + count < chunk->n_segments && first[count].count == first->count &&
           first[count].sequence == first->sequence + count)
        count++;
    return count;
}

/* x += sum_h g_h Attn_h(RMSNorm1(x)) */
static sgt_status attention_pass(const pass_at_work *work, int32_t layer)
{
    const sgti_chunk *chunk = work->chunk;
    const sgt_session *session = chunk->session;
    const sgti_decode_layout *layout = &session->state.layout;
    int64_t rows = chunk->rows, d = session->model->config.d_model;
    int64_t dh = session->model->config.head_dim, h = work->pass->n_heads;
    sgt_status status = sgti_decode_norm(session, 0, chunk->rows,
                                         sgti_layer_parameter(layer, SGTI_NORM1));
    if (status)
        return status;
    sgt_tensor x = sgti_decode_at(session, layout->x, rows, d);
    sgt_tensor normed = sgti_decode_at(session, layout->h, rows, d);
    sgt_tensor qkv = sgti_decode_at(session, layout->qkv, rows, (h + 2 * work->pass->n_groups) * dh);
    sgt_tensor out = sgti_decode_at(session, layout->out, rows, h * dh);
    status = sgti_decode_linear(session, &qkv, &normed, work->pass->matrix, NULL);
    for (int32_t i = 0; i < chunk->n_segments && status == SGT_OK;) {
        int32_t sequences = alike(chunk, i);
        status = attend(work, i, sequences, qkv, out);
        i += sequences;
    }
    return status ? status
                  : sgti_decode_linear(session, &x, &out, work->pass->matrix + 1, &x);
}

/* x += FFN(RMSNorm2(x)) */
static sgt_status feed_forward(const sgti_chunk *chunk, int32_t layer)
{
    const sgt_session *session = chunk->session;
    const sgti_decode_layout *layout = &session->state.layout;
    int64_t rows = chunk->rows, d = session->model->config.d_model;
    int64_t ff = session->model->config.d_ff;
    sgt_status status = sgti_decode_norm(session, 0, chunk->rows,
                                         sgti_layer_parameter(layer, SGTI_NORM2));
    if (status)
        return status;
    sgt_tensor x = sgti_decode_at(session, layout->x, rows, d);
    sgt_tensor normed = sgti_decode_at(session, layout->h, rows, d);
    sgt_tensor gate_up = sgti_decode_at(session, layout->gate_up, rows, 2 * ff);
    sgt_tensor gate = sgti_columns(gate_up, 0, ff), up = sgti_columns(gate_up, ff, ff);
    status = sgti_decode_linear(session, &gate_up, &normed,
                                sgti_decode_matrix_of(layer, SGTI_MATRIX_GATE_UP), NULL);
    if (status)
        return status;
    sgt_swiglu_args args = {.gate = &gate, .up = &up, .out = &gate};
    status = sgti_swiglu(session->model->dispatch, &args);
    return status ? status
                  : sgti_decode_linear(session, &x, &gate,
                                       sgti_decode_matrix_of(layer, SGTI_MATRIX_DOWN), &x);
}

sgt_status sgti_decode_run(const sgti_chunk *chunk, int32_t layer, int32_t run)
{
    const sgti_decode_layout *layout = &chunk->session->state.layout;
    const sgti_decode_layer *of_layer = &layout->layers[layer];
    for (int32_t k = 0; k < of_layer->n_passes; k++) {
        const sgti_decode_pass *pass = &layout->passes[of_layer->first_pass + k];
        const pass_at_work work = {
            .chunk = chunk,
            .pass = pass,
            .cache = pass->cache + (uint64_t)run * of_layer->run_stride,
            .own = k == 0,
        };
        sgt_status status = pass->n_heads > 0 ? attention_pass(&work, layer) : SGT_OK;
        if (status)
            return status;
    }
    return feed_forward(chunk, layer);
}
