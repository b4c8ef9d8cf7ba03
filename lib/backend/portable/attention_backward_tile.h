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

#include "../../core/patterns.h"
#include "attention_tile.h"

/* Rows of a block of queries, and how many values of delta a part keeps. */
enum { BACKWARD_QUERIES = BAND_ROWS, KEPT_DELTAS = 8192 };

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
    float *deltas;            /* [heads, kept]: `out` lies far away, and a delta is wanted for each
                                 block of keys again */
    ptrdiff_t kept;
    ptrdiff_t width;
} backward_state;

_Static_assert(((5 * ATTENTION_KEYS + 2 * BACKWARD_QUERIES) * SGTI_ATTENTION_MAX_HEAD_DIM +
                2 * BACKWARD_QUERIES * SCORE_ROW + KEPT_DELTAS) * sizeof(float) <=
                   SGTI_MATRIX_SCRATCH_BYTES,
               "a part of the gradient of attention fits the scratch");

/* A list of keys and the queries that read it: query0, query0 + query_step, .. */
typedef struct backward_walk {
    key_list list;
    ptrdiff_t keys;       /* of the list */
    ptrdiff_t query0;
    ptrdiff_t query_step;
    ptrdiff_t queries;
    ptrdiff_t known;      /* if a query before this one comes again, its delta is there */
    int64_t (*count)(const sgt_attention_pattern *pattern, int64_t i); /* keys of the list that a
                             query sees; NULL: its near ones */
} backward_walk;

/* A block of queries of one head against the packed block of keys. */
typedef struct backward_block {
    const backward_walk *walk;
    ptrdiff_t head;
    ptrdiff_t query0;  /* position of the first row, */
    ptrdiff_t number;  /* which is this query of the walk */
    ptrdiff_t rows;
    ptrdiff_t key0;    /* of the list */
    ptrdiff_t keys;
    int fresh;         /* 1: the first keys of all rows, whose dq holds nothing yet */
    float gain;
    score_band band;
} backward_block;

static inline ptrdiff_t query_of(const backward_block *b, ptrdiff_t i)
{
    return b->query0 + i * b->walk->query_step;
}

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
    s.deltas = s.slopes + BACKWARD_QUERIES * SCORE_ROW;
    s.kept = larger(1, KEPT_DELTAS / p->heads);
    return s;
}

/* Brings a block of keys near, and what their gradients are so far: nothing for near keys, which
 * come first and are all keys. */
static void backward_pack_keys(const sgti_attention_backward_part *p, const backward_state *s,
                               const backward_walk *w, ptrdiff_t key0, ptrdiff_t keys)
{
    pack_keys_transposed(s->keys_transposed, p->k, p->k_row, &w->list, key0, keys, p->head_dim);
    pack_keys_transposed(s->values_transposed, p->v, p->v_row, &w->list, key0, keys, p->head_dim);
    if (p->dq)
        pack_key_rows(s->keys, p->k, p->k_row, &w->list, key0, keys, p->head_dim);
    if (!p->dk)
        return;
    if (w->count) {
        pack_key_rows(s->dk, p->dk, p->dk_row, &w->list, key0, keys, p->head_dim);
        pack_key_rows(s->dv, p->dv, p->dv_row, &w->list, key0, keys, p->head_dim);
    } else {
        memset(s->dk, 0, (size_t)(keys * s->width) * sizeof(float));
        memset(s->dv, 0, (size_t)(keys * s->width) * sizeof(float));
    }
}

/* Gradients of a block of keys go back to where the list has them. */
static void unpack_key_rows(float *target, ptrdiff_t target_row, const float *source,
                            const backward_walk *w, ptrdiff_t key0, ptrdiff_t keys,
                            ptrdiff_t head_dim)
{
    ptrdiff_t width = whole_vectors(head_dim);
    for (ptrdiff_t j = 0, step, count; j < keys; j += count) {
        count = even_keys(&step, &w->list, key0 + j, keys - j);
        pack_rows(target + key_position(&w->list, key0 + j) * target_row, step * target_row,
                  source + j * width, width, count, head_dim);
    }
}

/* Brings the rows of q and do that see keys of the block near. */
static void backward_pack_queries(const sgti_attention_backward_part *p, const backward_state *s,
                                  const backward_block *b)
{
    ptrdiff_t first = b->band.begin, rows = b->band.end - first, query = query_of(b, first);
    pack_vectors(s->queries + first * s->width, p->q + b->head * p->q_head + query * p->q_row,
                 p->q_row * b->walk->query_step, rows, p->head_dim);
    pack_vectors(s->douts + first * s->width,
                 p->dout + b->head * p->dout_head + query * p->dout_row,
                 p->dout_row * b->walk->query_step, rows, p->head_dim);
}

/* weights = scale q k^T and slopes = gain do v^T, up to where rows see. */
static void backward_scores(const sgti_attention_backward_part *p, const backward_state *s,
                            const backward_block *b)
{
    tile scores = {
        .a = s->queries,
        .lda = s->width,
        .b = s->keys_transposed,
        .ldb = ATTENTION_KEYS,
        .depth = p->head_dim,
        .c = s->weights,
        .ldc = SCORE_ROW,
        .alpha = p->scale,
    };
    band_scores(&scores, &b->band, b->keys);
    scores.a = s->douts;
    scores.b = s->values_transposed;
    scores.c = s->slopes;
    scores.alpha = b->gain;
    band_scores(&scores, &b->band, b->keys);
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

/* count scores become P, dP becomes dS. */
static inline void row_slopes(float *weight, float *slope, ptrdiff_t count, float lse, float delta)
{
    sgti_v16 shift = sgti_v16_set(lse);
    sgti_v16 mean = sgti_v16_set(delta);
    for (ptrdiff_t j = 0; j < count; j += SGTI_LANES) {
        sgti_v16 p = sgti_v16_exp(sgti_v16_sub(sgti_v16_load(weight + j), shift));
        sgti_v16 ds = sgti_v16_mul(p, sgti_v16_sub(sgti_v16_load(slope + j), mean));
        sgti_v16_store(weight + j, p);
        sgti_v16_store(slope + j, ds);
    }
}

/* Zeros on both sides of what row i sees, as far as products over panels of rows or of keys read
 * there. */
static inline void clear_sides(const backward_state *s, const backward_block *b, ptrdiff_t i)
{
    const score_band *band = &b->band;
    float *weight = s->weights + i * SCORE_ROW, *slope = s->slopes + i * SCORE_ROW;
    ptrdiff_t skip = band->skip[i], seen = band->seen[i];
    ptrdiff_t above = larger(band->begin, i - TILE_ROWS + 1);
    ptrdiff_t below = smaller(band->end, i + TILE_ROWS) - 1;
    ptrdiff_t from = larger(0, smaller(band->skip[above], skip - TILE_ROWS));
    ptrdiff_t to = smaller(b->keys, larger(band->seen[below], seen + TILE_ROWS));
    for (ptrdiff_t j = from; j < skip; j++)
        weight[j] = slope[j] = 0.0f;
    for (ptrdiff_t j = seen; j < to; j++)
        weight[j] = slope[j] = 0.0f;
}

/* Where a row's delta is kept, until that of the query `kept` further takes its place. With more
 * heads than places, which then keep nothing, heads share them. */
static inline float *kept_delta(const backward_state *s, const backward_block *b, ptrdiff_t i)
{
    return s->deltas + (b->head * s->kept + (b->number + i) % s->kept) % KEPT_DELTAS;
}

/* Turns the rows of a block into P and dS. Up to TILE_ROWS elements behind the stairs become zero:
 * so far a panel can read past the last key that a row sees. */
static void backward_rows(const sgti_attention_backward_part *p, const backward_state *s,
                          const backward_block *b)
{
    for (ptrdiff_t i = b->band.begin; i < b->band.end; i++) {
        ptrdiff_t row = query_of(b, i), skip = b->band.skip[i];
        float *delta = kept_delta(s, b, i);
        if (b->number + i >= b->walk->known)
            *delta = row_delta(s->douts + i * s->width,
                               p->out + b->head * p->out_head + row * p->out_row, p->head_dim);
        row_slopes(s->weights + i * SCORE_ROW + skip, s->slopes + i * SCORE_ROW + skip,
                   b->band.seen[i] - skip, p->lse[b->head * p->lse_head + row * p->lse_row],
                   *delta);
        clear_sides(s, b, i);
    }
}

/* target += alpha W^T X, where W is P or dS. For a panel of keys the sum over rows starts at the
 * first row that sees any of it. */
static void add_over_rows(const backward_state *s, const backward_block *b, float *target,
                          const float *weights, const float *vectors, float alpha)
{
    ptrdiff_t start = b->band.begin, stop = b->band.begin;
    for (ptrdiff_t key = 0; key < b->keys; key += TILE_ROWS) {
        ptrdiff_t count = smaller(b->keys - key, TILE_ROWS);
        while (start < b->band.end && b->band.seen[start] <= key)
            start++;
        stop = larger(stop, start);
        while (stop < b->band.end && b->band.skip[stop] < key + count)
            stop++;
        if (stop == start)
            continue;
        for (ptrdiff_t j = 0; j < s->width; j += TILE_COLS) {
            float *c = target + key * s->width + j;
            tile t = {
                .a = weights + start * SCORE_ROW + key,
                .lda = SCORE_ROW,
                .b = vectors + start * s->width + j,
                .ldb = s->width,
                .depth = stop - start,
                .c = c,
                .ldc = s->width,
                .d = c,
                .ldd = s->width,
                .alpha = alpha,
                .beta = 1.0f,
            };
            tile_run(t, count, smaller(s->width - j, TILE_COLS), TILE_BY_COLUMNS);
        }
    }
}

/* dq += scale dS k, or dq = for the first block of keys, so that nobody needs to clear it. */
static void add_over_keys(const sgti_attention_backward_part *p, const backward_state *s,
                          const backward_block *b)
{
    float *dq = p->dq + b->head * p->dq_head + b->query0 * p->dq_row;
    ptrdiff_t step = p->dq_row * b->walk->query_step;

    for (ptrdiff_t j = 0; j < p->head_dim; j += TILE_COLS)
        for (ptrdiff_t i = b->band.begin; i < b->band.end; i += TILE_ROWS) {
            ptrdiff_t count = smaller(b->band.end - i, TILE_ROWS);
            ptrdiff_t from = b->band.skip[i];
            float *c = dq + i * step + j;
            tile t = {
                .a = s->slopes + i * SCORE_ROW + from,
                .lda = SCORE_ROW,
                .b = s->keys + from * s->width + j,
                .ldb = s->width,
                .depth = b->band.seen[i + count - 1] - from,
                .c = c,
                .ldc = step,
                .d = b->fresh ? NULL : c,
                .ldd = step,
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
    backward_pack_queries(p, s, b);
    backward_scores(p, s, b);
    backward_rows(p, s, b);
    if (p->dk) {
        add_over_rows(s, b, s->dv, s->weights, s->douts, b->gain);
        add_over_rows(s, b, s->dk, s->slopes, s->queries, p->scale);
    }
    if (p->dq)
        add_over_keys(p, s, b);
}

/* What the queries of a block see of a block of near keys. */
static void near_queries(const sgti_attention_backward_part *p, backward_block *b)
{
    score_band *band = &b->band;
    if (!p->pattern) {
        dense_band(band, b->rows, b->keys, b->query0 - b->key0 + 1);
        return;
    }
    band->begin = 0;
    band->end = b->rows;
    for (ptrdiff_t i = 0; i < b->rows; i++) {
        ptrdiff_t query = query_of(b, i);
        ptrdiff_t skip = sgti_pattern_near_begin(p->pattern, query) - b->key0;
        band->skip[i] = (int32_t)larger(0, smaller(b->keys, skip));
        band->seen[i] = (int32_t)smaller(b->keys, query - b->key0 + 1);
        if (skip >= b->keys) {
            band->end = i;
            break;
        }
    }
}

/* The same of keys farther away. */
static void far_queries(const sgti_attention_backward_part *p, backward_block *b)
{
    score_band *band = &b->band;
    band->begin = band->end = b->rows;
    for (ptrdiff_t i = b->rows - 1; i >= 0; i--) {
        ptrdiff_t seen = b->walk->count(p->pattern, query_of(b, i)) - b->key0;
        if (seen <= 0)
            break;
        band->begin = i;
        band->skip[i] = 0;
        band->seen[i] = (int32_t)smaller(b->keys, seen);
    }
}

/* One block of keys against the queries first .. end - 1 of a walk, of all heads. Neither first nor
 * end falls from one block of keys to the next. */
static void backward_key_block(const sgti_attention_backward_part *p, const backward_state *s,
                               backward_walk *w, ptrdiff_t key0, ptrdiff_t keys,
                               ptrdiff_t first, ptrdiff_t end)
{
    backward_pack_keys(p, s, w, key0, keys);
    for (ptrdiff_t head = 0; head < p->heads; head++)
        for (ptrdiff_t query = first; query < end; query += BACKWARD_QUERIES) {
            backward_block block = {
                .walk = w,
                .head = head,
                .query0 = w->query0 + query * w->query_step,
                .number = query,
                .rows = smaller(end - query, BACKWARD_QUERIES),
                .key0 = key0,
                .keys = keys,
                .fresh = !p->pattern && key0 == 0,
                .gain = p->gains ? p->gains[head] : 1.0f,
            };
            if (w->count)
                far_queries(p, &block);
            else
                near_queries(p, &block);
            if (block.band.begin < block.band.end)
                backward_block_run(p, s, &block);
        }
    if (end - first <= s->kept)
        w->known = end;
    if (p->dk) {
        unpack_key_rows(p->dk, p->dk_row, s->dk, w, key0, keys, p->head_dim);
        unpack_key_rows(p->dv, p->dv_row, s->dv, w, key0, keys, p->head_dim);
    }
}

/* Nothing yet in the dq of queries that come next: cleared just before, it is near. */
static void clear_dq(const sgti_attention_backward_part *p, ptrdiff_t first, ptrdiff_t end)
{
    for (ptrdiff_t head = 0; p->dq && head < p->heads; head++)
        for (ptrdiff_t i = first; i < end; i++)
            memset(p->dq + head * p->dq_head + i * p->dq_row, 0,
                   (size_t)p->head_dim * sizeof(float));
}

/* The keys of a block from key0 on; it does not go beyond a span of the pattern. */
static ptrdiff_t near_keys(const sgti_attention_backward_part *p, ptrdiff_t key0)
{
    ptrdiff_t keys = smaller(p->key_end - key0, ATTENTION_KEYS);
    ptrdiff_t span = p->pattern ? sgti_pattern_near_span(p->pattern, ATTENTION_KEYS) : 0;
    return span > 0 ? smaller(keys, span - key0 % span) : keys;
}

static void backward_near(const sgti_attention_backward_part *p, const backward_state *s)
{
    backward_walk w = {.list = all_keys, .query_step = 1};
    ptrdiff_t cleared = p->query_begin;
    for (ptrdiff_t key0 = p->key_begin, keys; key0 < p->key_end; key0 += keys) {
        ptrdiff_t end = p->query_end;
        keys = near_keys(p, key0);
        if (p->pattern) {
            end = smaller(end, sgti_pattern_near_end(p->pattern, key0 + keys - 1));
            clear_dq(p, cleared, end);
            cleared = end;
        }
        backward_key_block(p, s, &w, key0, keys, larger(p->query_begin, key0), end);
    }
}

/* The keys of a walk from first_key on, against its queries from `first` on. Queries that see no
 * key of a block yet are left out by whole blocks of queries, so that what is added up in one go
 * does not depend on it. */
static void backward_far(const sgti_attention_backward_part *p, const backward_state *s,
                         backward_walk *w, ptrdiff_t first_key, ptrdiff_t first)
{
    for (ptrdiff_t key0 = first_key; key0 < w->keys; key0 += ATTENTION_KEYS) {
        ptrdiff_t last = smaller(first + BACKWARD_QUERIES, w->queries) - 1;
        while (w->count(p->pattern, w->query0 + last * w->query_step) <= key0) {
            first += BACKWARD_QUERIES;
            last = smaller(first + BACKWARD_QUERIES, w->queries) - 1;
        }
        backward_key_block(p, s, w, key0, smaller(w->keys - key0, ATTENTION_KEYS), first,
                           w->queries);
    }
}

/* Every place of the stride is a sequence of its own. */
static void backward_strided(const sgti_attention_backward_part *p, const backward_state *s)
{
    ptrdiff_t stride = p->pattern->stride;
    ptrdiff_t end = smaller(p->place_end, smaller(stride, p->query_end));
    for (ptrdiff_t place = p->place_begin; place < end; place++) {
        ptrdiff_t queries = (p->query_end - place + stride - 1) / stride;
        backward_walk w = {
            .list = {.first = place, .run = 1, .period = stride},
            .keys = sgti_pattern_strided(p->pattern, place + (queries - 1) * stride),
            .query0 = place,
            .query_step = stride,
            .queries = queries,
            .count = sgti_pattern_strided,
        };
        backward_far(p, s, &w, 0, 0);
    }
}

static void backward_summary(const sgti_attention_backward_part *p, const backward_state *s)
{
    const sgt_attention_pattern *pattern = p->pattern;
    backward_walk w = {
        .list = {.first = pattern->stride - (ptrdiff_t)pattern->summary * (pattern->phase + 1),
                 .run = pattern->summary,
                 .period = pattern->stride},
        .keys = smaller(p->key_end, sgti_pattern_summary(pattern, p->query_end - 1)),
        .query_step = 1,
        .queries = p->query_end,
        .count = sgti_pattern_summary,
    };
    backward_far(p, s, &w, p->key_begin, p->query_begin);
}

static void attention_backward_part(const sgti_attention_backward_part *p, void *scratch)
{
    backward_state s = backward_layout(p, scratch);

    if (p->lists & SGTI_KEYS_NEAR)
        backward_near(p, &s);
    if (p->pattern && (p->lists & SGTI_KEYS_STRIDED) && (p->pattern->sets & SGT_KEYS_STRIDED))
        backward_strided(p, &s);
    if (p->pattern && (p->lists & SGTI_KEYS_SUMMARY) && (p->pattern->sets & SGT_KEYS_SUMMARY))
        backward_summary(p, &s);
}

#endif
