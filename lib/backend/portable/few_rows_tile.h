/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products of few rows, as in decoding: dot products straight from memory. B is read once, four of
 * its columns at a time, and what is done with it is hidden behind the reading. An element is
 * always summed in the same order, whatever the rows and columns beside it.
 *
 * Only for files compiled once per instruction set.
 */
#ifndef SGTI_FEW_ROWS_TILE_H
#define SGTI_FEW_ROWS_TILE_H

#include "../../base/number_formats.h"
#include "matrix_kernels.h"
#include "tile_product.h"

/* Columns of B side by side, and rows of A that share what was loaded of them. */
enum { FEW_COLS = 4, FEW_SHARED_ROWS = 3 };

typedef uint16_t few_halves __attribute__((vector_size(SGTI_PIECE_BYTES / 2)));
typedef few_halves few_loose_halves __attribute__((aligned(2), may_alias));

/* A register's worth of a column from element k on. is_bf16 is a constant where inlined. */
static inline __attribute__((always_inline)) sgti_piece few_load(const void *column, ptrdiff_t k,
                                                                 int is_bf16)
{
    if (!is_bf16)
        return tile_load((const float *)column + k);
    few_halves halves =
        *(const few_loose_halves *)(const void *)((const uint16_t *)column + k);
    return (sgti_piece)(__builtin_convertvector(halves, sgti_piece_u) << 16);
}

static inline __attribute__((always_inline)) float few_one(const void *column, ptrdiff_t k,
                                                           int is_bf16)
{
    return is_bf16 ? sgti_bf16_to_f32(((const uint16_t *)column)[k]) : ((const float *)column)[k];
}

/* The elements rows x cols of C from (i0, j0); rows, cols and is_bf16 are constants where this is
 * inlined. */
static inline __attribute__((always_inline)) void few_dots(const sgti_few_rows_part *p,
                                                           ptrdiff_t i0, ptrdiff_t j0, int rows,
                                                           int cols, int is_bf16)
{
    const float *a = p->a + i0 * p->a_row;
    const char *b = (const char *)p->b + j0 * p->b_col * (is_bf16 ? 2 : 4);
    const void *column[FEW_COLS];
    sgti_piece sum[FEW_SHARED_ROWS][FEW_COLS];

    TILE_UNROLL
    for (int j = 0; j < cols; j++)
        column[j] = b + j * p->b_col * (is_bf16 ? 2 : 4);
    TILE_UNROLL
    for (int i = 0; i < rows; i++)
        TILE_UNROLL
        for (int j = 0; j < cols; j++)
            sum[i][j] = (sgti_piece){0};

    ptrdiff_t k = 0;
    for (; k + SGTI_PIECE_LANES <= p->depth; k += SGTI_PIECE_LANES) {
        sgti_piece line[FEW_SHARED_ROWS];
        TILE_UNROLL
        for (int i = 0; i < rows; i++)
            line[i] = tile_load(a + i * p->a_row + k);
        TILE_UNROLL
        for (int j = 0; j < cols; j++) {
            sgti_piece loaded = few_load(column[j], k, is_bf16);
            TILE_UNROLL
            for (int i = 0; i < rows; i++)
                sum[i][j] += line[i] * loaded;
        }
    }

    TILE_UNROLL
    for (int i = 0; i < rows; i++)
        TILE_UNROLL
        for (int j = 0; j < cols; j++) {
            float lanes[SGTI_PIECE_LANES];
            float total = 0.0f;

            tile_store(lanes, sum[i][j]);
            for (int lane = 0; lane < SGTI_PIECE_LANES; lane++)
                total += lanes[lane];
            for (ptrdiff_t rest = k; rest < p->depth; rest++)
                total += a[i * p->a_row + rest] * few_one(column[j], rest, is_bf16);
            total *= p->alpha;
            if (p->d)
                total += p->beta * p->d[(i0 + i) * p->d_row + (j0 + j) * p->d_col];
            p->c[(i0 + i) * p->c_row + j0 + j] = total;
        }
}

/* All rows with `cols` columns; the columns come from the cache for all rows but the first few. */
static inline __attribute__((always_inline)) void few_columns(const sgti_few_rows_part *p,
                                                              ptrdiff_t j, int cols, int is_bf16)
{
    ptrdiff_t i = 0;
    for (; i + FEW_SHARED_ROWS <= p->rows; i += FEW_SHARED_ROWS)
        few_dots(p, i, j, FEW_SHARED_ROWS, cols, is_bf16);
    for (; i < p->rows; i++)
        few_dots(p, i, j, 1, cols, is_bf16);
}

static inline __attribute__((always_inline)) void few_rows_of(const sgti_few_rows_part *p,
                                                              int is_bf16)
{
    ptrdiff_t j = 0;
    for (; j + FEW_COLS <= p->cols; j += FEW_COLS)
        few_columns(p, j, FEW_COLS, is_bf16);
    for (; j < p->cols; j++)
        few_columns(p, j, 1, is_bf16);
}

static void few_rows_part(const sgti_few_rows_part *p)
{
    if (p->b_is_bf16)
        few_rows_of(p, 1);
    else
        few_rows_of(p, 0);
}

#endif
