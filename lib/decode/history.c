/* SPDX-License-Identifier: BSD-3-Clause */
#include "history.h"

#include "../base/integers.h"
#include "../core/tensors.h"
#include "../model/parts/modules.h"
#include "cache.h"

/* The history of one sequence as [1,rows,n,M]. */
static sgt_tensor rows_of(const sgt_session *session, const sgti_part *part, int32_t sequence)
{
    const sgti_cache_place *place = &session->state.caches.places[part->index];
    const int64_t m = session->model->config.head_dim, n = place->history_values / m;
    const uint64_t per_sequence = (uint64_t)(place->history_rows * place->history_values);
    const int64_t shape[] = {1, place->history_rows, n, m};
    return sgti_tensor_dense(session->state.cache.buffer,
                             place->history + (uint64_t)sequence * per_sequence, 4, shape);
}

/* Fills the tap that lags so many rows: `tap` and u are those of a segment, [1,T,n,M]. Its first
 * rows are in front of the segment, and those in front of the sequence are zeros. */
static sgt_status fill_tap(const sgti_chunk *chunk, const sgti_ring *past, int64_t lag,
                           sgt_tensor tap, sgt_tensor u)
{
    const int64_t seq = tap.shape[1], before = sgti_min_i64(lag, seq), position = past->position;
    const int64_t zeros = position < lag ? sgti_min_i64(lag - position, seq) : 0;
    const sgt_tensor nothing = sgti_steps(tap, 0, zeros);
    const sgt_tensor y = sgti_steps(tap, before, seq - before);
    const sgt_tensor x = sgti_steps(u, 0, seq - before);
    sgti_ring ring = *past;
    sgt_status status = SGT_OK;
    ring.position = position + zeros - lag;
    if (zeros > 0)
        status = sgti_fill(chunk->work.dispatch, &nothing, 0.0);
    if (status == SGT_OK)
        status = sgti_cache_go_round(chunk->work.dispatch, &ring,
                                     sgti_steps(tap, zeros, before - zeros), 0);
    if (status == SGT_OK && before < seq)
        status = sgti_copy(chunk->work.dispatch, &y, &x);
    return status;
}

/* The windows of a segment; then its rows join the history. */
static sgt_status remember_segment(const sgti_chunk *chunk, const sgti_part *part, int32_t number,
                                   sgt_tensor u, sgt_tensor windows)
{
    const sgti_segment *segment = &chunk->segments[number];
    const int64_t taps = windows.shape[2];
    const sgt_tensor rows =
        sgti_split_heads(sgti_rows(u, segment->row, segment->count), 1, windows.shape[1]);
    sgti_ring ring = {.position = chunk->positions[number]};
    sgt_status status = SGT_OK;
    windows.offset += (uint64_t)(segment->row * windows.strides[0]);
    windows.shape[0] = segment->count;
    if (taps > 1)
        ring.rows = rows_of(chunk->session, part, segment->sequence);
    ring.period = ring.rows.shape[1];
    for (int64_t f = 0; f < taps && status == SGT_OK; f++)
        status = fill_tap(chunk, &ring, taps - 1 - f, sgti_tap_of(&windows, 1, f), rows);
    if (status == SGT_OK && taps > 1)
        status = sgti_cache_go_round(chunk->work.dispatch, &ring, rows, 1);
    return status;
}

sgt_status sgti_history_remember(const sgti_work *work, const sgti_part *part, sgt_tensor u,
                                 sgt_tensor windows)
{
    const sgti_chunk *chunk = (const sgti_chunk *)work; /* its first member */
    sgt_status status = SGT_OK;
    for (int32_t i = 0; i < chunk->n_segments && status == SGT_OK; i++)
        status = remember_segment(chunk, part, i, u, windows);
    return status;
}

/* As for keys: a ring that may have gone round is copied whole. */
sgt_status sgti_history_copy(const sgt_session *session, const sgti_part *part, int32_t to,
                             int32_t from, int32_t length)
{
    const sgti_cache_place *place = &session->state.caches.places[part->index];
    const int64_t rows = place->history_rows;
    const int64_t count = session->state.shortest[from] > 0 ? rows : sgti_min_i64(length, rows);
    if (place->history_values == 0 || count == 0)
        return SGT_OK;
    const sgt_tensor x = sgti_steps(rows_of(session, part, from), 0, count);
    const sgt_tensor y = sgti_steps(rows_of(session, part, to), 0, count);
    return sgti_copy(session->model->dispatch, &y, &x);
}
