/* SPDX-License-Identifier: BSD-3-Clause */
#include "cache.h"

#include "../base/integers.h"
#include "../core/patterns.h"
#include "../core/tensors.h"
#include "history.h"
#include "session.h"

static const sgti_cache_place *place_of(const sgt_session *session, const sgti_part *part)
{
    return &session->state.caches.places[part->index];
}

/* A view of a part's cache as attention wants it, [sequences, rows, heads, dh]: of `sequences`
 * sequences from `sequence` on, `heads` of their 2g heads from `head` on. */
static sgt_tensor cached(const sgt_session *session, const sgti_part *part, int32_t sequence,
                         int64_t sequences, int64_t head, int64_t heads)
{
    const sgti_decode_state *state = &session->state;
    const sgti_cache_place *place = place_of(session, part);
    int64_t dh = session->model->config.head_dim, per_head = place->rows * dh;
    int64_t per_sequence = 2 * (int64_t)part->pass->n_groups * per_head;
    const int64_t shape[] = {sequences, place->rows, heads, dh};
    const int64_t strides[] = {per_sequence, dh, per_head, 1};
    sgt_tensor tensor = sgti_tensor_dense(
        state->cache.buffer,
        place->first + (uint64_t)(sequence * per_sequence + head * per_head), 4, shape);
    for (int i = 0; i < 4; i++)
        tensor.strides[i] = strides[i];
    return tensor;
}

/* A view [sequences, T, heads, dh] of the rows of `sequences` segments of T tokens each, from
 * `first` on, in a matrix whose columns are heads side by side. */
static sgt_tensor heads_of(const sgti_segment *first, int32_t sequences, sgt_tensor matrix,
                           int64_t head, int64_t heads, int64_t head_dim)
{
    sgt_tensor rows = sgti_rows(matrix, first->row, (int64_t)sequences * first->count);
    return sgti_split_heads(sgti_columns(rows, head * head_dim, heads * head_dim), sequences,
                            heads);
}

/* The summary cells that lie in `n` pieces of `c` rows, from `row` on and `period` rows apart, as
 * [n,c,2,dh]: of one group of a view [1,rows,2g,dh], which begins with its keys. */
static sgt_tensor cells_of(sgt_tensor view, int64_t row, int64_t n, int64_t c, int64_t period)
{
    const int64_t groups = view.shape[2] / 2;
    view = sgti_steps(view, row, c);
    view.shape[0] = n;
    view.strides[0] = period * view.strides[1];
    view.shape[2] = 2;
    view.strides[2] *= groups;
    return view;
}

/* Copies those of the new rows that are summary cells of a group to their places behind the ring.
 * Cells of whole blocks go at once, those of blocks that the rows cut by themselves. */
static sgt_status append_cells(const sgti_chunk *chunk, const sgti_part *part, int64_t position,
                               int64_t group, sgt_tensor to, sgt_tensor from)
{
    const sgt_attention_pattern *pattern = &part->pass->patterns[group];
    const int64_t ring = place_of(chunk->session, part)->ring, c = pattern->summary;
    const int64_t end = sgti_pattern_cells(pattern, position + from.shape[1]);
    sgt_status status = SGT_OK;
    to.offset += (uint64_t)(group * to.strides[2]);
    from.offset += (uint64_t)(group * from.strides[2]);
    for (int64_t cell = sgti_pattern_cells(pattern, position), n; cell < end && status == SGT_OK;
         cell += n) {
        const int64_t rows = sgti_min_i64(end - cell, c - cell % c);
        const int64_t blocks = rows == c ? (end - cell) / c : 1;
        const int64_t row = sgti_pattern_cell(pattern, cell) - position;
        const sgt_tensor x = cells_of(from, row, blocks, rows, pattern->stride);
        const sgt_tensor y = cells_of(to, ring + cell, blocks, rows, c);
        status = sgti_copy(chunk->work.dispatch, &y, &x);
        n = blocks * rows;
    }
    return status;
}

sgt_status sgti_cache_go_round(sgti_dispatch *dispatch, const sgti_ring *ring, sgt_tensor steps,
                               int into)
{
    sgt_status status = SGT_OK;
    for (int64_t done = 0, count; done < steps.shape[1] && status == SGT_OK; done += count) {
        const int64_t row = (ring->position + done) % ring->period;
        count = sgti_min_i64(steps.shape[1] - done, ring->period - row);
        const sgt_tensor here = sgti_steps(steps, done, count);
        const sgt_tensor there = sgti_steps(ring->rows, row, count);
        status = sgti_copy(dispatch, into ? &there : &here, into ? &here : &there);
    }
    return status;
}

/* Puts the keys and values of a segment behind the `position` ones that its sequence has. */
static sgt_status append(const sgti_chunk *chunk, const sgti_part *part,
                         const sgti_segment *segment, int32_t position, sgt_tensor qkv)
{
    const sgti_cache_place *place = place_of(chunk->session, part);
    const int64_t dh = chunk->work.config->head_dim;
    const int64_t h = part->pass->n_heads, g = part->pass->n_groups;
    const sgt_tensor from = heads_of(segment, 1, qkv, h, 2 * g, dh);
    const sgt_tensor to = cached(chunk->session, part, segment->sequence, 1, 0, 2 * g);
    const sgti_ring ring = {.rows = to,
                            .position = position,
                            .period = place->ring > 0 ? place->ring : place->rows};
    sgt_status status = sgti_cache_go_round(chunk->work.dispatch, &ring, from, 1);
    for (int64_t group = 0; place->ring > 0 && group < g && status == SGT_OK; group++)
        status = append_cells(chunk, part, position, group, to, from);
    return status;
}

/* Attention of `sequences` segments of equal length whose sequences follow one another: only then
 * do they lie in the cache as one tensor, which one call can read. Their numbers of earlier
 * tokens may differ; `offsets` has them. */
static sgt_status attend_alike(const sgti_chunk *chunk, const sgti_part *part, int32_t segment,
                               int32_t sequences, sgt_tensor qkv, sgt_tensor flat_out)
{
    const sgti_segment *first = &chunk->segments[segment];
    const int32_t *positions = &chunk->positions[segment];
    sgt_tensor offsets = sgti_pass_lists_more(chunk->work.lists, chunk->session->state.passes,
                                              segment, sequences);
    const sgti_pass *pass = part->pass;
    int64_t dh = chunk->work.config->head_dim, h = pass->n_heads, g = pass->n_groups;
    sgt_tensor rotated = heads_of(first, sequences, qkv, 0, h + g, dh);
    sgt_status status = sgti_rotate(&chunk->work, &rotated, &offsets, 0);
    for (int32_t i = 0; i < sequences && status == SGT_OK; i++)
        status = append(chunk, part, first + i, positions[i], qkv);
    if (status)
        return status;
    sgt_tensor q = heads_of(first, sequences, qkv, 0, h, dh);
    sgt_tensor k = cached(chunk->session, part, first->sequence, sequences, 0, g);
    sgt_tensor v = cached(chunk->session, part, first->sequence, sequences, g, g);
    sgt_tensor out = heads_of(first, sequences, flat_out, 0, h, dh);
    sgt_tensor kv_heads = sgti_list_at(&chunk->work, pass, SGTI_LIST_KV_HEADS);
    sgt_tensor gains = sgti_list_at(&chunk->work, pass, SGTI_LIST_GAINS);
    sgt_attention_args args = {
        .scale = sgti_attention_scale(chunk->work.config),
        .q = &q,
        .k = &k,
        .v = &v,
        .out = &out,
        .kv_heads = &kv_heads,
        .gains = pass->gains ? &gains : NULL,
        .offsets = &offsets,
        .patterns = pass->patterns,
        .ring = place_of(chunk->session, part)->ring,
    };
    return sgti_attention(chunk->work.dispatch, &args);
}

/* How many segments from this one on have equal lengths and consecutive sequences. */
static int32_t count_alike(const sgti_chunk *chunk, int32_t segment)
{
    const sgti_segment *first = &chunk->segments[segment];
    int32_t count = 1;
    while (segment + count < chunk->n_segments && first[count].count == first->count &&
           first[count].sequence == first->sequence + count)
        count++;
    return count;
}

sgt_status sgti_cache_attend(const sgti_work *work, const sgti_part *part, sgt_tensor qkv,
                             sgt_tensor out)
{
    const sgti_chunk *chunk = (const sgti_chunk *)work; /* its first member */
    sgt_status status = SGT_OK;
    for (int32_t i = 0; i < chunk->n_segments && status == SGT_OK;) {
        int32_t sequences = count_alike(chunk, i);
        status = attend_alike(chunk, part, i, sequences, qkv, out);
        i += sequences;
    }
    return status;
}

/* Copies `count` rows of all heads, from `row` on. */
static sgt_status copy_rows(const sgt_session *session, const sgt_tensor *to,
                            const sgt_tensor *from, int64_t row, int64_t count)
{
    const sgt_tensor y = sgti_steps(*to, row, count), x = sgti_steps(*from, row, count);
    return count > 0 ? sgti_copy(session->model->dispatch, &y, &x) : SGT_OK;
}

/* How many rows behind the ring `length` tokens have taken. */
static int64_t count_cells(const sgti_pass *pass, int32_t length)
{
    int64_t most = 0;
    for (int32_t g = 0; g < pass->n_groups; g++) {
        const int64_t cells = sgti_pattern_cells(&pass->patterns[g], length);
        most = cells > most ? cells : most;
    }
    return most;
}

/* A ring that went round is copied whole: where the last keys are in it depends on more than
 * `length`. */
static sgt_status copy_part(const sgt_session *session, const sgti_part *part, int32_t to,
                            int32_t from, int32_t length)
{
    const int64_t heads = 2 * (int64_t)part->pass->n_groups, ring = place_of(session, part)->ring;
    const sgt_tensor source = cached(session, part, from, 1, 0, heads);
    const sgt_tensor target = cached(session, part, to, 1, 0, heads);
    const int went_round = ring > 0 && session->state.shortest[from] > 0;
    sgt_status status = copy_rows(session, &target, &source, 0, went_round ? ring : length);
    if (status == SGT_OK && ring > 0)
        status = copy_rows(session, &target, &source, ring, count_cells(part->pass, length));
    return status;
}

sgt_status sgti_cache_copy(const sgt_session *session, int32_t to, int32_t from, int32_t length)
{
    const sgti_layout *layout = &session->state.layout;
    sgt_status status = SGT_OK;
    for (int32_t i = 0; i < layout->n_parts && status == SGT_OK; i++) {
        const sgti_part *part = &layout->parts[i];
        if (part->pass && part->pass->n_groups > 0)
            status = copy_part(session, part, to, from, length);
        if (status == SGT_OK && part->pass)
            status = sgti_history_copy(session, part, to, from, length);
    }
    return status;
}
