/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the forward and the backward of attention share: a block of query rows against a block of a
 * list of keys (core/patterns.h), of which the rows see a band. Row i sees the columns from skip[i]
 * up to seen[i]; neither ever falls from one row to the next:
 *
 *     seen = 2 3 4 5 5       x x . . .        Panels of rows are computed from what their first row
 *     skip = 0 0 0 1 2       x x x . .        sees up to what their last row sees, and reductions
 *                            x x x x .        over rows take those that see a column; what lies
 *                            . x x x x        wholly beside the band costs nothing.
 *                            . . x x x
 *
 * Only for files compiled once per instruction set.
 */
#ifndef SGTI_ATTENTION_TILE_H
#define SGTI_ATTENTION_TILE_H

#include "matrix_kernels.h"
#include "tile_pack.h"
#include "tile_product.h"

/* Keys of a block, and floats between rows of its scores. The latter is no power of two, because
 * the elements of a column would then compete for few sets of the cache. */
enum { ATTENTION_KEYS = SGTI_ATTENTION_KEYS, SCORE_ROW = ATTENTION_KEYS + SGTI_LANES };

static inline ptrdiff_t smaller(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

static inline ptrdiff_t larger(ptrdiff_t a, ptrdiff_t b)
{
    return a > b ? a : b;
}

static inline ptrdiff_t whole_vectors(ptrdiff_t count)
{
    return (count + SGTI_LANES - 1) / SGTI_LANES * SGTI_LANES;
}

/* The most rows of a block. */
enum { BAND_ROWS = 96 };

/* Which columns of a block of keys the rows of a block see. */
typedef struct score_band {
    ptrdiff_t begin; /* the rows that see a column at all: from this one */
    ptrdiff_t end;   /* up to this one */
    int32_t skip[BAND_ROWS];
    int32_t seen[BAND_ROWS];
} score_band;

/* Keys in the order of a list: runs of `run` neighbours whose beginnings are `period` apart. */
typedef struct key_list {
    ptrdiff_t first;
    ptrdiff_t run;
    ptrdiff_t period;
} key_list;

/* Neighbours without end. */
static const key_list all_keys = {.first = 0, .run = PTRDIFF_MAX, .period = 0};

static inline ptrdiff_t key_position(const key_list *list, ptrdiff_t key)
{
    return list->first + key / list->run * list->period + key % list->run;
}

/* Keys from `key` on, at most `keys`, that lie one step apart; *step is that step in positions. */
static inline ptrdiff_t even_keys(ptrdiff_t *step, const key_list *list, ptrdiff_t key,
                                  ptrdiff_t keys)
{
    *step = list->run == 1 ? list->period : 1;
    return list->run == 1 ? keys : smaller(keys, list->run - key % list->run);
}

/* The band of `rows` rows of a dense block, whose first row sees `seen` columns and each next one
 * more; that may be none. */
static inline void dense_band(score_band *b, ptrdiff_t rows, ptrdiff_t keys, ptrdiff_t seen)
{
    b->begin = larger(0, 1 - seen);
    b->end = rows;
    for (ptrdiff_t i = b->begin; i < rows; i++) {
        b->skip[i] = 0;
        b->seen[i] = (int32_t)smaller(keys, seen + i);
    }
}

/* target[d][j] = element d of key first + j of the list for j < keys, zeros up to whole vectors of
 * keys. `source` is at position 0. */
static inline void pack_keys_transposed(float *target, const float *source, ptrdiff_t source_row,
                                        const key_list *list, ptrdiff_t first, ptrdiff_t keys,
                                        ptrdiff_t head_dim)
{
    ptrdiff_t filled = whole_vectors(keys);
    for (ptrdiff_t j = 0, step, count; j < keys; j += count) {
        count = even_keys(&step, list, first + j, keys - j);
        transpose(target + j, ATTENTION_KEYS,
                  source + key_position(list, first + j) * source_row, step * source_row, count,
                  head_dim);
    }
    if (filled > keys)
        for (ptrdiff_t d = 0; d < head_dim; d++)
            memset(target + d * ATTENTION_KEYS + keys, 0, (size_t)(filled - keys) * sizeof(float));
}

/* Copies rows of head_dim floats one behind the other, each filled with zeros to whole vectors. */
static inline void pack_vectors(float *target, const float *source, ptrdiff_t source_row,
                                ptrdiff_t rows, ptrdiff_t head_dim)
{
    ptrdiff_t width = whole_vectors(head_dim);
    pack_rows(target, width, source, source_row, rows, head_dim);
    if (width > head_dim)
        for (ptrdiff_t i = 0; i < rows; i++)
            memset(target + i * width + head_dim, 0, (size_t)(width - head_dim) * sizeof(float));
}

/* The same keys as rows of head_dim floats, filled with zeros to whole vectors. */
static inline void pack_key_rows(float *target, const float *source, ptrdiff_t source_row,
                                 const key_list *list, ptrdiff_t first, ptrdiff_t keys,
                                 ptrdiff_t head_dim)
{
    for (ptrdiff_t j = 0, step, count; j < keys; j += count) {
        count = even_keys(&step, list, first + j, keys - j);
        pack_vectors(target + j * whole_vectors(head_dim),
                     source + key_position(list, first + j) * source_row, step * source_row, count,
                     head_dim);
    }
}

/* Scores: C = alpha A B^T for the columns that rows see, and on to whole tiles and vectors: C has
 * room and B^T, packed by pack_keys_transposed, is filled. */
static inline void band_scores(const tile *block, const score_band *b, ptrdiff_t cols)
{
    for (ptrdiff_t past = 0; past < cols; past += TILE_COLS)
        for (ptrdiff_t i = b->begin; i < b->end; i += TILE_ROWS) {
            ptrdiff_t count = smaller(b->end - i, TILE_ROWS);
            ptrdiff_t j = b->skip[i] / SGTI_LANES * SGTI_LANES + past;
            ptrdiff_t width = whole_vectors(b->seen[i + count - 1]) - j;
            if (width <= 0)
                continue;
            tile t = *block;
            t.a += i * t.lda;
            t.b += j;
            t.c += i * t.ldc + j;
            tile_run(t, count, smaller(width, TILE_COLS), TILE_BY_ROWS);
        }
}

#endif
