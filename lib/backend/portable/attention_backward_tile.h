/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One part of the gradient of causal attention, on blocks of keys times blocks of queries. The
 * forward gave o = gain P v and left the log-sum-exp of each row, so that the probabilities P need
 * no second softmax. With delta = sum over a row of do o, which is sum_j P_j dP_j:
 *
 *     P  = exp(scale q k^T - lse)        dv += gain P^T do
 *     dP = gain do v^T                   dk += scale dS^T q
 *     dS = P (dP - delta)                dq += scale dS k
 *
 * Blocks of keys are the outer loop: a block is packed once, and its dk and dv stay in scratch
 * until they are whole. dq is added up in place, over the blocks of keys from the first on. Scratch
 * holds P and dS of one pair of blocks only, never of a whole sequence.
 *
 * Only for files compiled once per instruction set.
 */
#ifndef SGTI_ATTENTION_BACKWARD_TILE_H
#define SGTI_ATTENTION_BACKWARD_TILE_H

#include "attention_tile.h"

enum { BACKWARD_QUERIES = 96 };

/* A part's scratch; `width` is the head dimension filled up to whole vectors. */
typedef struct backward_state {
    float *keys_transposed;   /* [head_dim, ATTENTION_KEYS] */
    float *values_transposed; /* [head_dim, ATTENTION_KEYS] */
    float *keys;              /* [ATTENTION_KEYS, width] */
    float *dk;                /* [ATTENTION_KEYS, width] */
    float *dv;                /* [ATTENTION_KEYS, width] */
    float *queries;           /* [BACKWARD_QUERIES, width] */
    float *douts;             /* [BACKWARD_QUERIES, width] */
    float *weights;           /* [BACKWARD_QUERIES, SCORE_ROW], scores and then P */
    float *slopes;            /* [BACKWARD_QUERIES, SCORE_ROW], dP and then dS */
    ptrdiff_t width;
} backward_state;

_Static_assert(((5 * ATTENTION_KEYS + 2 * BACKWARD_QUERIES) * SGTI_ATTENTION_MAX_HEAD_DIM +
                2 * BACKWARD_QUERIES * SCORE_ROW) * sizeof(float) <= SGTI_MATRIX_SCRATCH_BYTES,
               "a part of the gradient of attention fits the scratch");

/* A block of queries of one head, and the packed block of keys. */
typedef struct backward_block {
    ptrdiff_t head;
    ptrdiff_t query0;
    ptrdiff_t rows;
    ptrdiff_t key0;
    ptrdiff_t keys;
    ptrdiff_t seen; /* keys of the block that the first row sees, see attention_tile.h */
    float gain;
} backward_block;

static backward_state backward_layout(const sgti_attention_backward_part *p, void *scratch)
{
    backward_state s = {.width = whole_vectors(p->head_dim)};
    ptrdiff_t key_floats = ATTENTION_KEYS * s.width;
    ptrdiff_t query_floats = BACKWARD_QUERIES * s.width;
    s.keys_transposed = scratch;
    s.values_transposed = s.keys_transposed + key_floats;
    s.keys = s.values_transposed + key_floats;
    s.dk = s.keys + key_floats;
    s.dv = s.dk + key_floats;
    s.queries = s.dv + key_floats;
    s.douts = s.queries + query_floats;
    s.weights = s.douts + query_floats;
    s.slopes = s.weights + BACKWARD_QUERIES * SCORE_ROW;
    return s;
}

static void backward_pack_keys(const sgti_attention_backward_part *p, const backward_state *s,
                               ptrdiff_t key0, ptrdiff_t keys)
{
    const float *k = p->k + key0 * p->k_row;
    const float *v = p->v + key0 * p->v_row;

    pack_keys_transposed(s->keys_transposed, k, p->k_row, keys, p->head_dim);
    pack_keys_transposed(s->values_transposed, v, p->v_row, keys, p->head_dim);
    if (p->dq)
        pack_vectors(s->keys, k, p->k_row, keys, p->head_dim);
    if (p->dk) {
        memset(s->dk, 0, (size_t)(keys * s->width) * sizeof(float));
        memset(s->dv, 0, (size_t)(keys * s->width) * sizeof(float));
    }
}

/* weights = scale q k^T and slopes = gain do v^T, as far as rows see. */
static void backward_scores(const sgti_attention_backward_part *p, const backward_state *s,
                            const backward_block *b)
{
    tile scores = {
        .a = p->q + b->head * p->q_head + b->query0 * p->q_row,
        .lda = p->q_row,
        .b = s->keys_transposed,
        .ldb = ATTENTION_KEYS,
        .depth = p->head_dim,
        .c = s->weights,
        .ldc = SCORE_ROW,
        .alpha = p->scale,
    };
    causal_scores(&scores, b->rows, b->keys, b->seen);
    scores.a = p->dout + b->head * p->dout_head + b->query0 * p->dout_row;
    scores.lda = p->dout_row;
    scores.b = s->values_transposed;
    scores.c = s->slopes;
    scores.alpha = b->gain;
    causal_scores(&scores, b->rows, b->keys, b->seen);
}

/* delta, the dot product of do and o, of one row. */
static inline float row_delta(const float *dout, const float *out, ptrdiff_t head_dim)
{
    sgti_v16 sum = sgti_v16_zero();
    ptrdiff_t d = 0;
    for (; d + SGTI_LANES <= head_dim; d += SGTI_LANES)
        sum = sgti_v16_fma(sgti_v16_load(dout + d), sgti_v16_load(out + d), sum);
    if (d < head_dim)
        sum = sgti_v16_fma(sgti_v16_load_tail(dout + d, (size_t)(head_dim - d), 0.0f),
                           sgti_v16_load_tail(out + d, (size_t)(head_dim - d), 0.0f), sum);
    return sgti_v16_sum(sum);
}

/* Turns scores into P and dP into dS for one row. What follows up to `end` becomes zero, because
 * the products over panels of rows or keys read a little beyond the stairs. */
static inline void row_slopes(float *weight, float *slope, ptrdiff_t count, ptrdiff_t end,
                              float lse, float delta)
{
    sgti_v16 shift = sgti_v16_set(lse);
    sgti_v16 mean = sgti_v16_set(delta);
    ptrdiff_t j = 0;
    for (; j < count; j += SGTI_LANES) {
        sgti_v16 p = sgti_v16_exp(sgti_v16_sub(sgti_v16_load(weight + j), shift));
        sgti_v16 ds = sgti_v16_mul(p, sgti_v16_sub(sgti_v16_load(slope + j), mean));
        sgti_v16_store(weight + j, p);
        sgti_v16_store(slope + j, ds);
    }
    for (j = count; j < end; j++)
        weight[j] = slope[j] = 0.0f;
}

/* Turns the rows of a block into P and dS. Up to TILE_ROWS elements behind the stairs become zero:
 * so far a panel can read past the last key that a row sees. */
static void backward_rows(const sgti_attention_backward_part *p, const backward_state *s,
                          const backward_block *b)
{
    for (ptrdiff_t i = first_row(0, b->seen); i < b->rows; i++) {
        ptrdiff_t row = b->query0 + i;
        ptrdiff_t count = smaller(b->keys, b->seen + i);
        float delta = row_delta(p->dout + b->head * p->dout_head + row * p->dout_row,
                                p->out + b->head * p->out_head + row * p->out_row, p->head_dim);
        row_slopes(s->weights + i * SCORE_ROW, s->slopes + i * SCORE_ROW, count,
                   smaller(b->keys, count + TILE_ROWS),
                   p->lse[b->head * p->lse_head + row], delta);
    }
}

/* target += alpha W^T X, where W is P or dS. For a panel of keys the sum over rows starts at the
 * first row that sees any of it. */
static void add_over_rows(const backward_state *s, const backward_block *b, float *target,
                          const float *weights, const float *vectors, float alpha)
{
    for (ptrdiff_t j = 0; j < s->width; j += TILE_COLS)
        for (ptrdiff_t key = 0; key < b->keys; key += TILE_ROWS) {
            ptrdiff_t start = first_row(key, b->seen);
            if (start >= b->rows)
                break;
            float *c = target + key * s->width + j;
            tile t = {
                .a = weights + start * SCORE_ROW + key,
                .lda = SCORE_ROW,
                .b = vectors + start * s->width + j,
                .ldb = s->width,
                .depth = b->rows - start,
                .c = c,
                .ldc = s->width,
                .d = c,
                .ldd = s->width,
                .alpha = alpha,
                .beta = 1.0f,
            };
            tile_run(t, smaller(b->keys - key, TILE_ROWS), smaller(s->width - j, TILE_COLS),
                     TILE_BY_COLUMNS);
        }
}

/* dq += scale dS k, or dq = for the first block of keys, so that nobody needs to clear it. */
static void add_over_keys(const sgti_attention_backward_part *p, const backward_state *s,
                          const backward_block *b)
{
    float *dq = p->dq + b->head * p->dq_head + b->query0 * p->dq_row;

    for (ptrdiff_t j = 0; j < p->head_dim; j += TILE_COLS)
        for (ptrdiff_t i = first_row(0, b->seen); i < b->rows; i += TILE_ROWS) {
            ptrdiff_t count = smaller(b->rows - i, TILE_ROWS);
            float *c = dq + i * p->dq_row + j;
            tile t = {
                .a = s->slopes + i * SCORE_ROW,
                .lda = SCORE_ROW,
                .b = s->keys + j,
                .ldb = s->width,
                .depth = smaller(b->keys, b->seen + i + count - 1),
                .c = c,
                .ldc = p->dq_row,
                .d = b->key0 == 0 ? NULL : c,
                .ldd = p->dq_row,
                .alpha = p->scale,
                .beta = 1.0f,
            };
            tile_run(t, count, smaller(p->head_dim - j, TILE_COLS), TILE_BY_ROWS);
        }
}

/* One pair of blocks: P and dS first, then what they add to dv, dk and dq. */
static void backward_block_run(const sgti_attention_backward_part *p, const backward_state *s,
                               const backward_block *b)
{
    backward_scores(p, s, b);
    backward_rows(p, s, b);
    if (p->dk) {
        const float *q = p->q + b->head * p->q_head + b->query0 * p->q_row;
        const float *dout = p->dout + b->head * p->dout_head + b->query0 * p->dout_row;
        pack_vectors(s->queries, q, p->q_row, b->rows, p->head_dim);
        pack_vectors(s->douts, dout, p->dout_row, b->rows, p->head_dim);
        add_over_rows(s, b, s->dv, s->weights, s->douts, b->gain);
        add_over_rows(s, b, s->dk, s->slopes, s->queries, p->scale);
    }
    if (p->dq)
        add_over_keys(p, s, b);
}

/* All pairs of blocks of a part. Queries before a block of keys see none of it: they are left out.
 * dk and dv of a block are sums over all heads and queries, and go to memory when these are
 * through. */
static void attention_backward_part(const sgti_attention_backward_part *p, void *scratch)
{
    backward_state s = backward_layout(p, scratch);

    for (ptrdiff_t key0 = p->key_begin; key0 < p->key_end; key0 += ATTENTION_KEYS) {
        ptrdiff_t keys = smaller(p->key_end - key0, ATTENTION_KEYS);
        ptrdiff_t query_begin = larger(p->query_begin, key0);
        backward_pack_keys(p, &s, key0, keys);
        for (ptrdiff_t head = 0; head < p->heads; head++)
            for (ptrdiff_t query0 = query_begin; query0 < p->query_end;
                 query0 += BACKWARD_QUERIES) {
                backward_block block = {
                    .head = head,
                    .query0 = query0,
                    .rows = smaller(p->query_end - query0, BACKWARD_QUERIES),
                    .key0 = key0,
                    .keys = keys,
                    .seen = query0 - key0 + 1,
                    .gain = p->gains ? p->gains[head] : 1.0f,
                };
                backward_block_run(p, &s, &block);
            }
        if (p->dk) {
            pack_rows(p->dk + key0 * p->dk_row, p->dk_row, s.dk, s.width, keys, p->head_dim);
            pack_rows(p->dv + key0 * p->dv_row, p->dv_row, s.dv, s.width, keys, p->head_dim);
        }
    }
}

#endif
