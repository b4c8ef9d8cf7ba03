/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the forward and the backward of attention share: products on blocks of scores (queries times
 * keys), of which the causal mask leaves a staircase. Query i sees the keys 0 .. i, so of the
 * blocks of scores those below the diagonal are whole, those above it are never made, and those on
 * it have stairs:
 *
 *              keys ->
 *     queries  +----+----+----+          a block on the diagonal: row i sees the first
 *        |     |####|    |    |          seen + i columns
 *        v     |####|\   |    |
 *              +----+----+----+              seen = 2:  x x . . .
 *              |####|####|\   |                         x x x . .
 *              |####|####|##\ |                         x x x x .
 *              +----+----+----+
 *
 * Products compute a panel of TILE_ROWS rows up to what its last row sees; sums over rows start at
 * the first row that sees a column. So only the corners inside a panel are computed for nothing.
 * `seen` may be negative: the first rows then see nothing.
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

/* The first row that sees `column`. */
static inline ptrdiff_t first_row(ptrdiff_t column, ptrdiff_t seen)
{
    return larger(0, column - seen + 1);
}

/* target[d][j] = source[j][d] for j < keys, zeros up to whole vectors of keys. */
static inline void pack_keys_transposed(float *target, const float *source, ptrdiff_t source_row,
                                        ptrdiff_t keys, ptrdiff_t head_dim)
{
    ptrdiff_t filled = whole_vectors(keys);
    transpose(target, ATTENTION_KEYS, source, source_row, keys, head_dim);
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

/* C = alpha A B^T for the columns that rows see, and on to whole vectors, for which C has room and
 * B^T, packed by pack_keys_transposed, has zeros. */
static inline void causal_scores(const tile *block, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t seen)
{
    for (ptrdiff_t j = 0; j < cols; j += TILE_COLS)
        for (ptrdiff_t i = first_row(0, seen); i < rows; i += TILE_ROWS) {
            ptrdiff_t count = smaller(rows - i, TILE_ROWS);
            ptrdiff_t width = whole_vectors(smaller(cols, seen + i + count - 1)) - j;
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
