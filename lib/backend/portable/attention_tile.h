/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the forward and the backward of attention share: products of blocks of which a causal mask
 * leaves a staircase. Row i of a block of scores sees the first seen + i columns:
 *
 *     seen = 2:  x x . . .        Panels of rows are computed up to what their last row sees, and
 *                x x x . .        reductions over rows start at the first row that sees a column;
 *                x x x x .        what lies wholly above the stairs costs nothing.
 *
 * seen may be negative: the first rows then see nothing. Only for files compiled once per
 * instruction set.
 */
#ifndef SGTI_ATTENTION_TILE_H
#define SGTI_ATTENTION_TILE_H

#include "matrix_kernels.h"
#include "tile_pack.h"
#include "tile_product.h"

/* Keys of a block, and floats between rows of its scores: not a power of two, so that walking down
 * a column does not stay in few cache sets. */
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

/* The first row that sees a column. */
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

/* Rows of head_dim floats, filled with zeros to whole vectors. */
static inline void pack_vectors(float *target, const float *source, ptrdiff_t source_row,
                                ptrdiff_t rows, ptrdiff_t head_dim)
{
    ptrdiff_t width = whole_vectors(head_dim);
    pack_rows(target, width, source, source_row, rows, head_dim);
    if (width > head_dim)
        for (ptrdiff_t i = 0; i < rows; i++)
            memset(target + i * width + head_dim, 0, (size_t)(width - head_dim) * sizeof(float));
}

/* Scores: C = alpha A B^T for the columns that rows see, and on to whole vectors: C has room and
 * B^T, packed by pack_keys_transposed, is filled. */
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
