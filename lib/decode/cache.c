/* SPDX-License-Identifier: BSD-3-Clause */
#include "cache.h"

#include "../base/arena.h"
#include "../core/tensors.h"
#include "session.h"

uint64_t sgti_cache_plan(uint64_t *first, int *overflow, const sgt_model_config *config,
                         const sgti_passes *passes, const sgt_session_options *options)
{
    uint64_t per_head = (uint64_t)options->max_length * (uint64_t)config->head_dim;
    sgti_arena arena = {0};
    int32_t index = 0;
    for (int32_t layer = 0; layer < passes->n_layers; layer++) {
        const sgti_layer_passes *of_layer = &passes->layers[layer];
        for (int32_t i = 0; i < of_layer->n_runs * of_layer->n_passes; i++) {
            const sgti_pass *pass = &of_layer->passes[i % of_layer->n_passes];
            uint64_t heads = 2 * (uint64_t)options->sequences * (uint64_t)pass->n_groups;
            uint64_t at = sgti_arena_take(&arena, heads, per_head, sizeof(float));
            if (first)
                first[index] = at / sizeof(float);
            index++;
            if (pass->number + 1 == of_layer->n_passes)
                index++; /* a run ends with its feed-forward part, which has an index too */
        }
    }
    *overflow |= arena.overflow;
    return arena.peak;
}

/* A view of a part's cache as attention wants it, [sequences, L, heads, dh]: of `sequences`
 * sequences from `sequence` on, `heads` of their 2g heads from `head` on. */
static sgt_tensor cached(const sgt_session *session, const sgti_part *part, int32_t sequence,
                         int64_t sequences, int64_t head, int64_t heads)
{
    const sgti_decode_state *state = &session->state;
    int64_t dh = session->model->config.head_dim, length = session->options.max_length;
    int64_t per_sequence = 2 * (int64_t)part->pass->n_groups * length * dh;
    const int64_t shape[] = {sequences, length, heads, dh};
    const int64_t strides[] = {per_sequence, dh, length * dh, 1};
    sgt_tensor tensor = sgti_tensor_dense(
        state->cache.buffer,
        state->cache_first[part->index] + (uint64_t)(sequence * per_sequence + head * length * dh),
        4, shape);
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

/* Puts the keys and values of a segment behind the `position` ones that its sequence has. */
static sgt_status append(const sgti_chunk *chunk, const sgti_part *part,
                         const sgti_segment *segment, int32_t position, sgt_tensor qkv)
{
    int64_t dh = chunk->work.config->head_dim;
    int64_t h = part->pass->n_heads, g = part->pass->n_groups;
    sgt_tensor from = heads_of(segment, 1, qkv, h, 2 * g, dh);
    sgt_tensor to = cached(chunk->session, part, segment->sequence, 1, 0, 2 * g);
    to.offset += (uint64_t)(position * dh);
    to.shape[1] = segment->count;
    return sgti_copy(chunk->work.dispatch, &to, &from);
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

sgt_status sgti_cache_copy(const sgt_session *session, int32_t to, int32_t from, int32_t length)
{
    const sgti_layout *layout = &session->state.layout;
    sgt_status status = SGT_OK;
    for (int32_t i = 0; i < layout->n_parts && status == SGT_OK; i++) {
        const sgti_part *part = &layout->parts[i];
        if (!part->pass || part->pass->n_groups == 0)
            continue;
        int64_t heads = 2 * (int64_t)part->pass->n_groups;
        sgt_tensor source = cached(session, part, from, 1, 0, heads);
        sgt_tensor target = cached(session, part, to, 1, 0, heads);
        source.shape[1] = length;
        target.shape[1] = length;
        status = sgti_copy(session->model->dispatch, &target, &source);
    }
    return status;
}
