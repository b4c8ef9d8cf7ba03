/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies of blocks of A and B in the order in which tile_product reads them. A is copied in the
 * form that it has; only a B whose columns are contiguous is transposed on the way. Columns are
 * filled up with zeros to whole vectors.
 *
 * Only for files compiled once per instruction set.
 */
#ifndef SGTI_TILE_PACK_H
#define SGTI_TILE_PACK_H

#include <stddef.h>
#include <string.h>

#include "tile_product.h"

typedef sgti_quad sgti_loose_quad __attribute__((aligned(4), may_alias));

static inline sgti_quad quad_load(const float *source)
{
    return *(const sgti_loose_quad *)(const void *)source;
}

static inline void quad_store(float *target, sgti_quad value)
{
    *(sgti_loose_quad *)(void *)target = value;
}

/* target[j][i] = factor * source[i][j] for i, j < 4. */
static inline void transpose_quad(float *target, ptrdiff_t target_row, const float *source,
                                  ptrdiff_t source_row)
{
    sgti_quad a = quad_load(source);
    sgti_quad b = quad_load(source + source_row);
    sgti_quad c = quad_load(source + 2 * source_row);
    sgti_quad d = quad_load(source + 3 * source_row);
    sgti_quad ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    sgti_quad ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    sgti_quad cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    sgti_quad cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    quad_store(target, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
    quad_store(target + target_row, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
    quad_store(target + 2 * target_row, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
    quad_store(target + 3 * target_row, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

/* target[j][i] = source[i][j], i < rows, j < cols. Sixteen columns at a time, so that both sides
 * stay within few lines of the cache. */
static inline void transpose(float *target, ptrdiff_t target_row, const float *source,
                             ptrdiff_t source_row, ptrdiff_t rows, ptrdiff_t cols)
{
    ptrdiff_t whole_rows = rows & ~(ptrdiff_t)3;
    ptrdiff_t whole_cols = cols & ~(ptrdiff_t)3;

    for (ptrdiff_t j0 = 0; j0 < whole_cols; j0 += 16) {
        ptrdiff_t j1 = j0 + 16 < whole_cols ? j0 + 16 : whole_cols;
        for (ptrdiff_t i = 0; i < whole_rows; i += 4)
            for (ptrdiff_t j = j0; j < j1; j += 4)
                transpose_quad(target + j * target_row + i, target_row, source + i * source_row + j,
                               source_row);
    }
    for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t j = i < whole_rows ? whole_cols : 0; j < cols; j++)
            target[j * target_row + i] = source[i * source_row + j];
}

/* Floats between panels of A packed by columns; the line between them keeps the panels, which are
 * filled side by side, out of the same cache sets. */
static inline ptrdiff_t pack_a_pitch(ptrdiff_t depth)
{
    return depth * TILE_ROWS + SGTI_LANES;
}

/* a[k * a_depth + i], i < rows, in panels of TILE_ROWS: panel[k * TILE_ROWS + i]. */
static inline void pack_a_columns(float *target, const float *a, ptrdiff_t a_depth, ptrdiff_t rows,
                                  ptrdiff_t depth)
{
    ptrdiff_t whole = rows - rows % TILE_ROWS;
    ptrdiff_t pitch = pack_a_pitch(depth);
    for (ptrdiff_t k = 0; k < depth; k++) {
        const float *source = a + k * a_depth;
        float *line = target + k * TILE_ROWS;
        for (ptrdiff_t i = 0; i < whole; i += TILE_ROWS, line += pitch)
            memcpy(line, source + i, TILE_ROWS * sizeof(float));
        for (ptrdiff_t i = whole; i < rows; i++)
            line[i - whole] = source[i];
    }
}

/* Rows of A one after the other, a_row apart before and target_row after. */
static inline void pack_rows(float *target, ptrdiff_t target_row, const float *a, ptrdiff_t a_row,
                             ptrdiff_t rows, ptrdiff_t cols)
{
    for (ptrdiff_t i = 0; i < rows; i++)
        memcpy(target + i * target_row, a + i * a_row, (size_t)cols * sizeof(float));
}

/* One panel of B, element (k,j) at b[k * b_row + j * b_col] where one stride is 1. */
static inline void pack_b_panel(float *target, const float *b, ptrdiff_t b_row, ptrdiff_t b_col,
                                ptrdiff_t depth, ptrdiff_t cols)
{
    if (b_col == 1) {
        if (cols == TILE_COLS)
            for (ptrdiff_t k = 0; k < depth; k++)
                memcpy(target + k * TILE_COLS, b + k * b_row, TILE_COLS * sizeof(float));
        else
            pack_rows(target, TILE_COLS, b, b_row, depth, cols);
    } else {
        transpose(target, TILE_COLS, b, b_col, cols, depth);
    }
    if (cols < TILE_COLS)
        for (ptrdiff_t k = 0; k < depth; k++)
            memset(target + k * TILE_COLS + cols, 0, (size_t)(TILE_COLS - cols) * sizeof(float));
}

#endif
