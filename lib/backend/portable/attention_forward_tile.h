/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One part of causal attention, with an online softmax (Milakov and Gimelshein, 2018; Dao et al.,
 * 2022): the scores of a row are never there all at once. For scores s of a row and values v, each
 * row keeps
 *
 *     m = max s                   Z = sum e^(s-m)
 *     O = sum e^(s-m) v           A = sum e^(s-m) (s-m)       (A only if entropies are wanted)
 *
 * over the keys so far. The next block of keys adds its terms to all four. If it raises m by D, the
 * old sums are first brought to the new maximum, by what e^(s-m-D) = e^-D e^(s-m) makes of them:
 *
 *     O' = e^-D O      Z' = e^-D Z      A' = e^-D (A - D Z)   with the old Z
 *
 * After the last block the row's output is O/Z, its log-sum-exp m + ln Z, and its entropy, with
 * probabilities p = e^(s-m)/Z, is - sum p ln p = ln Z - A/Z.
 *
 *     for each block of ATTENTION_KEYS keys:           packed once for all heads of the part
 *         for each head, for each strip of rows:
 *             scores  [STRIP_ROWS, keys]               strip_scores: q k^T
 *             scores become e^(s-m); m, Z, A follow    row_update
 *             O += scores v                            add_values
 *
 * A row depends only on the keys that it sees: not even a NaN in a later key or value reaches it.
 * Only for files compiled once per instruction set.
 */
#ifndef SGTI_ATTENTION_FORWARD_TILE_H
#define SGTI_ATTENTION_FORWARD_TILE_H

#include <math.h>

#include "../../core/patterns.h"
#include "attention_tile.h"
#include "gemm_tile.h"

/* With at most so many rows, as in decoding, keys are read where they are: packing would cost more
 * than the products. */
#define ATTENTION_FEW_ROWS 8

/* Rows whose scores with a block of keys are alive at one time: they stay near in the cache. */
#define STRIP_ROWS BAND_ROWS

/* A part's scratch; `width` is the head dimension filled up to whole vectors. */
typedef struct forward_state {
    float *keys;         /* [head_dim, ATTENTION_KEYS], transposed */
    float *values;       /* [ATTENTION_KEYS, width] */
    float *queries;      /* [STRIP_ROWS, width] */
    float *scores;       /* [STRIP_ROWS, SCORE_ROW], first s and then e^(s-m) */
    float *sums;         /* [heads * rows, width], O */
    double *total;       /* [heads * rows], Z */
    double *moment;      /* [heads * rows], A */
    float *maximum;      /* [heads * rows], m */
    ptrdiff_t width;
    int packed;          /* the block's keys are in `keys`; else key and value are read in place */
    const float *key;
    ptrdiff_t key_row;
    const float *value;  /* the block's values: packed, or where they are */
    ptrdiff_t value_row;
} forward_state;

/* A list of keys and the rows of the part that read it. */
typedef struct forward_walk {
    key_list list;
    ptrdiff_t first;     /* key of the list, */
    ptrdiff_t end;       /* to this one */
    ptrdiff_t row;       /* of the part, */
    ptrdiff_t row_step;
    ptrdiff_t rows;
    int64_t (*count)(const sgt_attention_pattern *pattern, int64_t i); /* keys of the list that a
                            query sees; NULL: its near ones */
} forward_walk;

_Static_assert(((2 * ATTENTION_KEYS + STRIP_ROWS + SGTI_ATTENTION_ROWS) *
                    SGTI_ATTENTION_MAX_HEAD_DIM +
                STRIP_ROWS * SCORE_ROW + SGTI_ATTENTION_ROWS * 5) * sizeof(float) <=
                   SGTI_MATRIX_SCRATCH_BYTES,
               "a part of attention fits the scratch");

/* Some rows of one head, and the block of keys from key0 on. */
typedef struct strip {
    ptrdiff_t head;
    ptrdiff_t row;       /* the first, in the part, */
    ptrdiff_t row_step;
    ptrdiff_t rows;
    ptrdiff_t key0;
    ptrdiff_t keys;
    int fresh;           /* 1: the first keys of all its rows, whose sums hold nothing yet */
    int nearest;         /* 1: near keys, whose first block begins a row */
    score_band band;
} strip;

/* Cuts the scratch. The doubles come before `maximum`, so that they stay aligned. */
static forward_state forward_layout(const sgti_attention_part *p, void *scratch)
{
    ptrdiff_t rows = p->heads * p->rows;
    forward_state s = {.width = whole_vectors(p->head_dim)};
    s.keys = scratch;
    s.values = s.keys + s.width * ATTENTION_KEYS;
    s.queries = s.values + s.width * ATTENTION_KEYS;
    s.scores = s.queries + STRIP_ROWS * s.width;
    s.sums = s.scores + STRIP_ROWS * SCORE_ROW;
    s.total = (double *)(void *)(s.sums + rows * s.width);
    s.moment = s.total + rows;
    s.maximum = (float *)(s.moment + rows);
    return s;
}

static inline float exp_one(float x)
{
    return sgti_piece_exp(sgti_piece_set(x))[0];
}

/* The maximum of `count` scores. A NaN may be passed over: its exponential is NaN, so that the sums
 * show it anyway. */
static inline float row_maximum(const float *score, ptrdiff_t count)
{
    sgti_v16 highest = sgti_v16_set(-INFINITY);
    ptrdiff_t j = 0;
    for (; j + SGTI_LANES <= count; j += SGTI_LANES)
        highest = sgti_v16_max(sgti_v16_load(score + j), highest);
    if (j < count)
        highest = sgti_v16_max(sgti_v16_load_tail(score + j, (size_t)(count - j), -INFINITY),
                               highest);
    return sgti_v16_highest(highest);
}

/* Turns scores into e^x with x = score - m, up to a whole number of vectors; those past `count`
 * become 0. *total becomes the sum of e^x and *moment, if entropies are wanted, that of e^x x.
 * with_moment is a constant where this is inlined. */
static inline __attribute__((always_inline)) void row_exponentials(float *score, ptrdiff_t count,
                                                                   float m, int with_moment,
                                                                   float *total, float *moment)
{
    sgti_v16 sum = sgti_v16_zero();
    sgti_v16 product = sgti_v16_zero();
    sgti_v16 shift = sgti_v16_set(m);

    for (ptrdiff_t j = 0; j < count; j += SGTI_LANES) {
        sgti_v16 s = j + SGTI_LANES <= count
                         ? sgti_v16_load(score + j)
                         : sgti_v16_load_tail(score + j, (size_t)(count - j), -INFINITY);
        sgti_v16 x = sgti_v16_sub(s, shift);
        /* A score of -infinity must add 0 to the moment, but 0 times -infinity is NaN. At -200 the
         * exponential is 0 already, and 0 times -200 is 0. A NaN stays one: it is the second
         * argument of max. */
        if (with_moment)
            x = sgti_v16_max(sgti_v16_set(-200.0f), x);
        sgti_v16 e = sgti_v16_exp(x);
        sum = sgti_v16_add(sum, e);
        if (with_moment)
            product = sgti_v16_fma(e, x, product);
        sgti_v16_store(score + j, e);
    }
    *total = sgti_v16_sum(sum);
    *moment = with_moment ? sgti_v16_sum(product) : 0.0f;
}

/* Where the near keys of a row of the part begin. */
static inline ptrdiff_t near_begin_of(const sgti_attention_part *p, ptrdiff_t row)
{
    return p->pattern ? sgti_pattern_near_begin(p->pattern, p->visible - 1 + row) : 0;
}

/* Where a strip's row has its m, Z, A and sums. */
static inline ptrdiff_t state_row(const sgti_attention_part *p, const strip *b, ptrdiff_t i)
{
    return b->head * p->rows + b->row + i * b->row_step;
}

/* Takes one row's scores of a block into its m, Z, A and rescales its sums of values. */
static void row_update(const forward_state *s, ptrdiff_t row, float *score, ptrdiff_t count,
                       int first, int with_moment)
{
    float old = first ? -INFINITY : s->maximum[row];
    float m = row_maximum(score, count);
    float total;
    float moment;

    m = m > old ? m : old;
    /* While all scores are -infinity each key weighs 0; -infinity minus itself would be NaN. */
    float shift = m > -INFINITY ? m : 0.0f;
    if (with_moment)
        row_exponentials(score, count, shift, 1, &total, &moment);
    else
        row_exponentials(score, count, shift, 0, &total, &moment);

    s->maximum[row] = m;
    if (first) {
        s->total[row] = total;
        s->moment[row] = moment;
        return;
    }
    if (m > old) {
        float growth = m - old;
        float factor = exp_one(-growth);
        float *sums = s->sums + row * s->width;
        for (ptrdiff_t d = 0; d < s->width; d += SGTI_LANES)
            sgti_v16_store(sums + d, sgti_v16_scale(sgti_v16_load(sums + d), factor));
        s->moment[row] = factor > 0.0f ? factor * (s->moment[row] - growth * s->total[row]) : 0.0;
        s->total[row] *= factor;
    }
    s->total[row] += total;
    s->moment[row] += moment;
}

/* sums += P V for rows i .. i + count - 1 and the columns `from` to `to` of the block. */
static void add_panel(const sgti_attention_part *p, const forward_state *s, const strip *b,
                      ptrdiff_t i, ptrdiff_t count, ptrdiff_t from, ptrdiff_t to)
{
    ptrdiff_t row = b->row_step * s->width;
    if (to <= from)
        return;
    for (ptrdiff_t j = 0; j < s->width; j += TILE_COLS) {
        float *sums = s->sums + state_row(p, b, i) * s->width + j;
        tile t = {
            .a = s->scores + i * SCORE_ROW + from,
            .lda = SCORE_ROW,
            .b = s->value + from * s->value_row + j,
            .ldb = s->value_row,
            .depth = to - from,
            .c = sums,
            .ldc = row,
            .d = b->fresh && from == 0 ? NULL : sums,
            .ldd = row,
            .alpha = 1.0f,
            .beta = 1.0f,
        };
        tile_run(t, count, smaller(s->width - j, TILE_COLS), TILE_BY_ROWS);
    }
}

/* sums += P V for a strip. A panel of rows takes the keys that all its rows see at once; the stairs
 * on both sides are taken row by row, so that no row multiplies a value that it does not see, not
 * even by 0. */
static void add_values(const sgti_attention_part *p, const forward_state *s, const strip *b)
{
    for (ptrdiff_t i = b->band.begin; i < b->band.end; i += TILE_ROWS) {
        ptrdiff_t count = smaller(b->band.end - i, TILE_ROWS);
        ptrdiff_t from = b->band.skip[i + count - 1], to = larger(from, b->band.seen[i]);
        add_panel(p, s, b, i, count, from, to);
        for (ptrdiff_t r = i; r < i + count; r++) {
            add_panel(p, s, b, r, 1, b->band.skip[r], smaller(from, b->band.seen[r]));
            add_panel(p, s, b, r, 1, larger(to, b->band.skip[r]), b->band.seen[r]);
        }
    }
}

/* scores = scale Q K^T for a strip; with few rows as dot products, also for keys that no row of the
 * strip sees (row_update leaves those out). */
static void strip_scores(const sgti_attention_part *p, const forward_state *s, const strip *b)
{
    const float *q = p->q + b->head * p->q_head + b->row * p->q_row;

    if (!s->packed) {
        sgti_gemm_part dots = {
            .rows = b->rows,
            .cols = b->keys,
            .depth = p->head_dim,
            .alpha = p->scale,
            .a = q,
            .a_row = p->q_row * b->row_step,
            .a_col = 1,
            .b = s->key,
            .b_row = 1,
            .b_col = s->key_row,
            .c = s->scores,
            .c_row = SCORE_ROW,
        };
        gemm_few_rows(&dots);
    } else {
        tile scores = {
            .a = s->queries,
            .lda = s->width,
            .b = s->keys,
            .ldb = ATTENTION_KEYS,
            .depth = p->head_dim,
            .c = s->scores,
            .ldc = SCORE_ROW,
            .alpha = p->scale,
        };
        pack_vectors(s->queries, q, p->q_row * b->row_step, b->rows, p->head_dim);
        band_scores(&scores, &b->band, b->keys);
    }
}

/* Brings the keys first .. first + keys - 1 of a list near, or finds them where they are. */
static void pack_block(const sgti_attention_part *p, forward_state *s, const forward_walk *w,
                       ptrdiff_t first, ptrdiff_t keys)
{
    ptrdiff_t step;
    int even = even_keys(&step, &w->list, first, keys) == keys;
    ptrdiff_t at = key_position(&w->list, first);

    s->packed = w->rows > ATTENTION_FEW_ROWS || !even;
    s->key = p->k + at * p->k_row;
    s->key_row = step * p->k_row;
    s->value = p->v + at * p->v_row;
    s->value_row = step * p->v_row;
    if (s->packed)
        pack_keys_transposed(s->keys, p->k, p->k_row, &w->list, first, keys, p->head_dim);
    if (s->packed || s->width != p->head_dim) {
        pack_key_rows(s->values, p->v, p->v_row, &w->list, first, keys, p->head_dim);
        s->value = s->values;
        s->value_row = s->width;
    }
}

/* Writes out = gain O/Z, lse = m + ln Z and the entropies of one head's rows. An entropy is divided
 * by its largest possible value, the ln of the number of keys that the row sees. */
static void finish_head(const sgti_attention_part *p, const forward_state *s, ptrdiff_t head)
{
    float gain = p->gains ? p->gains[head] : 1.0f;
    double entropies = 0.0;
    double last = 0.0;

    for (ptrdiff_t i = 0; i < p->rows; i++) {
        ptrdiff_t row = head * p->rows + i;
        const float *sums = s->sums + row * s->width;
        float *out = p->out + head * p->out_head + i * p->out_row;
        float factor = (float)(gain / s->total[row]);
        ptrdiff_t d = 0;
        for (; d + SGTI_LANES <= p->head_dim; d += SGTI_LANES)
            sgti_v16_store(out + d, sgti_v16_scale(sgti_v16_load(sums + d), factor));
        for (; d < p->head_dim; d++)
            out[d] = sums[d] * factor;

        double log_total = p->lse || p->entropy_sum ? log(s->total[row]) : 0.0;
        if (p->lse)
            p->lse[head * p->lse_head + i * p->lse_row] = (float)(s->maximum[row] + log_total);
        if (p->entropy_sum) {
            int64_t visible = p->pattern ? sgti_pattern_visible(p->pattern, p->visible - 1 + i)
                                         : p->visible + i;
            last = visible > 1 ? (log_total - s->moment[row] / s->total[row]) / log((double)visible)
                               : 0.0;
            entropies += last;
        }
    }
    if (p->entropy_sum) {
        p->entropy_sum[head] = entropies;
        p->entropy_last[head] = last;
    }
}

/* Takes a strip through the three stages: scores, softmax, sums of values. */
static void run_strip(const sgti_attention_part *p, const forward_state *s, const strip *b)
{
    strip_scores(p, s, b);
    for (ptrdiff_t i = b->band.begin; i < b->band.end; i++) {
        ptrdiff_t skip = b->band.skip[i];
        int first = b->nearest && (skip > 0 || b->key0 == near_begin_of(p, b->row + i));
        row_update(s, state_row(p, b, i), s->scores + i * SCORE_ROW + skip,
                   b->band.seen[i] - skip, first, p->entropy_sum != NULL);
    }
    add_values(p, s, b);
}

/* The band of a strip among near keys. */
static void near_band(score_band *band, const sgti_attention_part *p, const strip *b)
{
    ptrdiff_t end = b->rows;
    if (!p->pattern) {
        dense_band(band, b->rows, b->keys, p->visible + b->row - b->key0);
        return;
    }
    band->begin = 0;
    for (ptrdiff_t i = 0; i < end; i++) {
        ptrdiff_t skip = near_begin_of(p, b->row + i) - b->key0;
        if (skip >= b->keys)
            end = i;
        band->skip[i] = (int32_t)larger(0, skip);
        band->seen[i] = (int32_t)smaller(b->keys, p->visible + b->row + i - b->key0);
    }
    band->end = end;
}

/* The band of a strip among the keys of a list farther away, which rows see from its first on. */
static void far_band(score_band *band, const sgti_attention_part *p, const strip *b,
                     const forward_walk *w)
{
    band->begin = band->end = b->rows;
    for (ptrdiff_t i = b->rows - 1; i >= 0; i--) {
        int64_t query = p->visible - 1 + b->row + i * b->row_step;
        ptrdiff_t seen = w->count(p->pattern, query) - b->key0;
        if (seen <= 0)
            break;
        band->begin = i;
        band->skip[i] = 0;
        band->seen[i] = (int32_t)smaller(b->keys, seen);
    }
}

/* All rows of a walk, of all heads, against all its keys. */
static void walk_keys(const sgti_attention_part *p, forward_state *s, const forward_walk *w)
{
    for (ptrdiff_t key0 = w->first; key0 < w->end; key0 += ATTENTION_KEYS) {
        ptrdiff_t keys = smaller(w->end - key0, ATTENTION_KEYS);
        ptrdiff_t start = w->count ? 0 : larger(0, key0 - p->visible + 1);
        pack_block(p, s, w, key0, keys);
        for (ptrdiff_t head = 0; head < p->heads; head++)
            for (ptrdiff_t row = start; row < w->rows; row += STRIP_ROWS) {
                strip b = {
                    .head = head,
                    .row = w->row + row * w->row_step,
                    .row_step = w->row_step,
                    .rows = smaller(w->rows - row, STRIP_ROWS),
                    .key0 = key0,
                    .keys = keys,
                    .fresh = !p->pattern && key0 == 0,
                    .nearest = !w->count,
                };
                if (w->count)
                    far_band(&b.band, p, &b, w);
                else
                    near_band(&b.band, p, &b);
                if (b.band.begin < b.band.end)
                    run_strip(p, s, &b);
            }
    }
}

/* The strided keys of a part: its rows of each place of the stride read a list of their own. */
static void walk_strided(const sgti_attention_part *p, forward_state *s)
{
    ptrdiff_t stride = p->pattern->stride;
    for (ptrdiff_t row = 0; row < smaller(p->rows, stride); row++) {
        ptrdiff_t rows = (p->rows - row + stride - 1) / stride;
        int64_t last = p->visible - 1 + row + (rows - 1) * stride;
        forward_walk w = {
            .list = {.first = last % stride, .run = 1, .period = stride},
            .end = sgti_pattern_strided(p->pattern, last),
            .row = row,
            .row_step = stride,
            .rows = rows,
            .count = sgti_pattern_strided,
        };
        walk_keys(p, s, &w);
    }
}

static void walk_summary(const sgti_attention_part *p, forward_state *s)
{
    const sgt_attention_pattern *pattern = p->pattern;
    const key_list behind_ring = {.first = p->ring, .run = PTRDIFF_MAX};
    const key_list in_blocks = {
        .first = pattern->stride - (ptrdiff_t)pattern->summary * (pattern->phase + 1),
        .run = pattern->summary,
        .period = pattern->stride};
    forward_walk w = {
        .list = p->ring ? behind_ring : in_blocks,
        .end = sgti_pattern_summary(pattern, p->visible - 2 + p->rows),
        .row_step = 1,
        .rows = p->rows,
        .count = sgti_pattern_summary,
    };
    walk_keys(p, s, &w);
}

/* The loops of the picture at the head of this file, for each list of keys. Near keys come first:
 * every row has some, and they begin its m, Z, A. */
static void attention_part(const sgti_attention_part *p, void *scratch)
{
    forward_state s = forward_layout(p, scratch);
    const key_list ring = {.run = p->ring};
    forward_walk near = {
        .list = p->ring ? ring : all_keys,
        .first = near_begin_of(p, 0),
        .end = p->visible + p->rows - 1,
        .row_step = 1,
        .rows = p->rows,
    };

    if (p->pattern)
        memset(s.sums, 0, (size_t)(p->heads * p->rows * s.width) * sizeof(float));
    walk_keys(p, &s, &near);
    if (p->pattern && (p->pattern->sets & SGT_KEYS_STRIDED))
        walk_strided(p, &s);
    if (p->pattern && (p->pattern->sets & SGT_KEYS_SUMMARY))
        walk_summary(p, &s);
    for (ptrdiff_t head = 0; head < p->heads; head++)
        finish_head(p, &s, head);
}

#endif
