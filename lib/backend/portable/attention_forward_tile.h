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

#include "attention_tile.h"
#include "gemm_tile.h"

/* With at most so many rows, as in decoding, keys are read where they are: packing would cost more
 * than the products. */
#define ATTENTION_FEW_ROWS 8

/* The rows of a strip: few enough that its scores stay in a near cache until they are used. */
#define STRIP_ROWS 96

/* A part's scratch; `width` is the head dimension filled up to whole vectors. */
typedef struct forward_state {
    float *keys;         /* [head_dim, ATTENTION_KEYS], transposed */
    float *values;       /* [ATTENTION_KEYS, width] */
    float *scores;       /* [STRIP_ROWS, SCORE_ROW], first s and then e^(s-m) */
    float *sums;         /* [heads * rows, width], O */
    double *total;       /* [heads * rows], Z */
    double *moment;      /* [heads * rows], A */
    float *maximum;      /* [heads * rows], m */
    ptrdiff_t width;
    const float *value;  /* the block's values: packed, or where they are */
    ptrdiff_t value_row;
} forward_state;

_Static_assert(((2 * ATTENTION_KEYS + SGTI_ATTENTION_ROWS) * SGTI_ATTENTION_MAX_HEAD_DIM +
                STRIP_ROWS * SCORE_ROW + SGTI_ATTENTION_ROWS * 5) * sizeof(float) <=
                   SGTI_MATRIX_SCRATCH_BYTES,
               "a part of attention fits the scratch");

/* Some rows of one head, and the block of keys from key0 on. */
typedef struct strip {
    ptrdiff_t head;
    ptrdiff_t row;       /* the first, in the part */
    ptrdiff_t rows;
    ptrdiff_t state_row; /* where its m, Z, A and sums are */
    ptrdiff_t key0;
    ptrdiff_t keys;
    ptrdiff_t seen;      /* keys of the block that the first row sees, see attention_tile.h */
} strip;

/* Cuts the scratch. The doubles come before `maximum`, so that they stay aligned. */
static forward_state forward_layout(const sgti_attention_part *p, void *scratch)
{
    ptrdiff_t rows = p->heads * p->rows;
    forward_state s = {.width = whole_vectors(p->head_dim)};
    s.keys = scratch;
    s.values = s.keys + s.width * ATTENTION_KEYS;
    s.scores = s.values + s.width * ATTENTION_KEYS;
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

/* Takes one row's scores of a block into its m, Z and A, turns them into e^(s-m), and rescales O.
 * The row has no old sums in the first block. */
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

/*
 * O += P V for a strip, where P holds the e^(s-m). A panel of rows takes the keys that all its rows
 * see in one product. The keys of its stairs are added row by row, so that no row multiplies a
 * value that it does not see: even 0 times NaN would be NaN.
 *
 *     panel   1 1 1 1 . . .      1: one product of `depth` keys for all rows
 *             1 1 1 1 2 . .      2: a product of one row each
 *             1 1 1 1 2 2 .
 */
static void add_values(const forward_state *s, const strip *b)
{
    for (ptrdiff_t j = 0; j < s->width; j += TILE_COLS) {
        ptrdiff_t cols = smaller(s->width - j, TILE_COLS);
        for (ptrdiff_t i = first_row(0, b->seen); i < b->rows; i += TILE_ROWS) {
            ptrdiff_t count = smaller(b->rows - i, TILE_ROWS);
            ptrdiff_t depth = smaller(b->keys, b->seen + i);
            float *sums = s->sums + (b->state_row + i) * s->width + j;
            tile t = {
                .a = s->scores + i * SCORE_ROW,
                .lda = SCORE_ROW,
                .b = s->value + j,
                .ldb = s->value_row,
                .depth = depth,
                .c = sums,
                .ldc = s->width,
                .d = b->key0 == 0 ? NULL : sums,
                .ldd = s->width,
                .alpha = 1.0f,
                .beta = 1.0f,
            };
            tile_run(t, count, cols, TILE_BY_ROWS);
            for (ptrdiff_t r = 1; r < count && depth < b->keys; r++) {
                t.a = s->scores + (i + r) * SCORE_ROW + depth;
                t.b = s->value + depth * s->value_row + j;
                t.depth = smaller(b->keys - depth, r);
                t.c = sums + r * s->width;
                t.d = t.c;
                tile_run(t, 1, cols, TILE_BY_ROWS);
            }
        }
    }
}

/* scores = scale Q K^T for a strip; with few rows as dot products, also for keys that no row of the
 * strip sees (row_update leaves those out). */
static void strip_scores(const sgti_attention_part *p, const forward_state *s, const strip *b)
{
    const float *q = p->q + b->head * p->q_head + b->row * p->q_row;

    if (p->rows <= ATTENTION_FEW_ROWS) {
        sgti_gemm_part dots = {
            .rows = b->rows,
            .cols = b->keys,
            .depth = p->head_dim,
            .alpha = p->scale,
            .a = q,
            .a_row = p->q_row,
            .a_col = 1,
            .b = p->k + b->key0 * p->k_row,
            .b_row = 1,
            .b_col = p->k_row,
            .c = s->scores,
            .c_row = SCORE_ROW,
        };
        gemm_few_rows(&dots);
    } else {
        tile scores = {
            .a = q,
            .lda = p->q_row,
            .b = s->keys,
            .ldb = ATTENTION_KEYS,
            .depth = p->head_dim,
            .c = s->scores,
            .ldc = SCORE_ROW,
            .alpha = p->scale,
        };
        causal_scores(&scores, b->rows, b->keys, b->seen);
    }
}

/* Packs a block of keys and values, where packing pays. Values whose rows are no whole vectors are
 * always packed, because tiles read whole vectors. */
static void pack_block(const sgti_attention_part *p, forward_state *s, ptrdiff_t key0,
                       ptrdiff_t keys)
{
    const float *v = p->v + key0 * p->v_row;

    if (p->rows > ATTENTION_FEW_ROWS)
        pack_keys_transposed(s->keys, p->k + key0 * p->k_row, p->k_row, keys, p->head_dim);
    if (p->rows > ATTENTION_FEW_ROWS || s->width != p->head_dim) {
        pack_vectors(s->values, v, p->v_row, keys, p->head_dim);
        s->value = s->values;
        s->value_row = s->width;
    } else {
        s->value = v;
        s->value_row = p->v_row;
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
            p->lse[head * p->lse_head + i] = (float)(s->maximum[row] + log_total);
        if (p->entropy_sum) {
            ptrdiff_t visible = p->visible + i;
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
    for (ptrdiff_t i = first_row(0, b->seen); i < b->rows; i++)
        row_update(s, b->state_row + i, s->scores + i * SCORE_ROW, smaller(b->keys, b->seen + i),
                   b->key0 == 0, p->entropy_sum != NULL);
    add_values(s, b);
}

/* The loops of the picture at the head of this file. Strips begin at the first row that sees a key
 * of the block: for the rows above, their last block has passed. */
static void attention_part(const sgti_attention_part *p, void *scratch)
{
    forward_state s = forward_layout(p, scratch);
    ptrdiff_t last_key = p->visible + p->rows - 1;

    for (ptrdiff_t key0 = 0; key0 < last_key; key0 += ATTENTION_KEYS) {
        ptrdiff_t keys = smaller(last_key - key0, ATTENTION_KEYS);
        pack_block(p, &s, key0, keys);
        for (ptrdiff_t head = 0; head < p->heads; head++)
            for (ptrdiff_t row = first_row(key0, p->visible); row < p->rows; row += STRIP_ROWS) {
                strip b = {
                    .head = head,
                    .row = row,
                    .rows = smaller(p->rows - row, STRIP_ROWS),
                    .state_row = head * p->rows + row,
                    .key0 = key0,
                    .keys = keys,
                    .seen = p->visible + row - key0,
                };
                run_strip(p, &s, &b);
            }
    }
    for (ptrdiff_t head = 0; head < p->heads; head++)
        finish_head(p, &s, head);
}

#endif
