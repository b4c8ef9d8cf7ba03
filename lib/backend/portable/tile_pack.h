/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies blocks of A and B into the order in which tile_product reads them: panel after panel, and
 * in a panel k after k. The numbers say where an element goes, with panels of 3 and 4 for short:
 *
 *     B, panels of columns               A by columns, panels of rows
 *
 *     k=0   0  1  2  3 | 12 13 14 15               k=0 k=1
 *     k=1   4  5  6  7 | 16 17 18 19         i=0    0   3
 *     k=2   8  9 10 11 | 20 21 22 23         i=1    1   4
 *                                            i=2    2   5
 *                                                  -------
 *                                            i=3    6   9   (after a gap, see pack_a_pitch)
 *
 * So a tile reads its panel straight on, without jumps that cost address translations and cache
 * lines. A is copied in the form that it has; a B that lies by columns is transposed on the way.
 * The last panel of B is filled up with zeros to TILE_COLS columns.
 *
 * Only for files compiled once per instruction set.
 */
#ifndef SGTI_TILE_PACK_H
#define SGTI_TILE_PACK_H

#include <stddef.h>
#include <string.h>

#include "matrix_kernels.h"
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

/* target[j][i] = source[i][j] for i, j < 4: two rounds of interleaving, in registers. */
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

/* target[j][i] = source[i][j] for i < rows, j < cols. It goes by sixteen columns of the source, so
 * that the lines of the cache which both sides touch are used up before they are dropped. */
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

/* Turns squares in scratch, so that whole lines of y are written: y's rows are often so far apart
 * that few of them fit the first-level cache together. */
static void turn_part(const sgti_turn_part *p, void *scratch)
{
    enum { SIDE = 64, PITCH = SIDE + SGTI_LANES };
    float *square = scratch;
    for (ptrdiff_t i = 0; i < p->rows; i += SIDE) {
        ptrdiff_t rows = p->rows - i < SIDE ? p->rows - i : SIDE;
        for (ptrdiff_t j = 0; j < p->columns; j += SIDE) {
            ptrdiff_t columns = p->columns - j < SIDE ? p->columns - j : SIDE;
            transpose(square, PITCH, p->x + i * p->x_row + j, p->x_row, rows, columns);
            for (ptrdiff_t k = 0; k < columns; k++)
                memcpy(p->y + (j + k) * p->y_row + i, square + k * PITCH,
                       (size_t)rows * sizeof(float));
        }
    }
}

/* Floats from one panel of A, packed by columns, to the next. The panels are filled side by side;
 * the cache line between them keeps them from competing for the same sets of the cache. */
static inline ptrdiff_t pack_a_pitch(ptrdiff_t depth)
{
    return depth * TILE_ROWS + SGTI_LANES;
}

/* Packs A by columns: a[k * a_depth + i] becomes panel[k * TILE_ROWS + i], with i from the first
 * row of the panel on. */
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

/* Copies rows: a_row floats apart in the source, target_row apart in the target. */
static inline void pack_rows(float *target, ptrdiff_t target_row, const float *a, ptrdiff_t a_row,
                             ptrdiff_t rows, ptrdiff_t cols)
{
    for (ptrdiff_t i = 0; i < rows; i++)
        memcpy(target + i * target_row, a + i * a_row, (size_t)cols * sizeof(float));
}

/* Packs one panel of B, whose element (k,j) is b[k * b_row + j * b_col] with one of the strides
 * 1. */
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
