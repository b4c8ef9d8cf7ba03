/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Products of few rows, as in decoding, are dot products straight from memory. B is read once, in
 * the order in which it lies, which is what processors fetch ahead best; the arithmetic is done
 * while they wait for memory. Several rows of A take two columns of B at a time, so that the rows
 * are loaded half as often.
 *
 * An element is always summed in the same order, whatever rows and columns are computed with it: a
 * dot product is two chains of vectors (FEW_CHAINS), which lets two additions run at the same time,
 *
 *     column   | vector | vector | vector | vector | .. | rest |
 *     chain        0        1        0        1           one by one
 *
 * then the chains are added, then their lanes, then the rest. As in tile_product.h, the product
 * with alpha is rounded before it is added to anything.
 *
 * Only for files compiled once per instruction set.
 */
#ifndef SGTI_FEW_ROWS_TILE_H
#define SGTI_FEW_ROWS_TILE_H

#include "../../base/number_formats.h"
#include "matrix_kernels.h"
#include "tile_product.h"

/* The chains of a dot product, and how many columns of B and rows of A are multiplied with each
 * other once they are loaded: as many as have all their sums in registers. */
enum {
    FEW_CHAINS = 2,
    FEW_COLS = 2,
#if defined(__AVX512F__) || defined(__aarch64__)
    FEW_SHARED_ROWS = 4
#else
    FEW_SHARED_ROWS = 3
#endif
};

typedef uint16_t few_halves __attribute__((vector_size(SGTI_PIECE_BYTES / 2)));
typedef few_halves few_loose_halves __attribute__((aligned(2), may_alias));

/* Loads a register of a column from element k on. A bfloat16 is the upper half of a float32, so a
 * shift converts it. is_bf16 is a constant where this is inlined. */
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

/* Adds the chains up, then the lanes. */
static inline float few_total(const sgti_piece chain[FEW_CHAINS])
{
    sgti_quad quads[SGTI_PIECE_LANES / 4];
    sgti_piece sum = chain[0] + chain[1];
    memcpy(quads, &sum, sizeof quads);
    TILE_UNROLL
    for (int i = 1; i < SGTI_PIECE_LANES / 4; i++)
        quads[0] += quads[i];
    return (quads[0][0] + quads[0][2]) + (quads[0][1] + quads[0][3]);
}

/* Finishes element (i,j) of C: its chains, and the rest of the depth, which starts at k. */
static inline __attribute__((always_inline)) void few_store(const sgti_few_rows_part *p,
                                                            ptrdiff_t i, ptrdiff_t j, ptrdiff_t k,
                                                            const sgti_piece chain[FEW_CHAINS],
                                                            int is_bf16)
{
    const float *line = p->a + i * p->a_row;
    const void *column = (const char *)p->b + j * p->b_col * (is_bf16 ? 2 : 4);
    float total = few_total(chain);
    for (; k < p->depth; k++)
        total += line[k] * few_one(column, k, is_bf16);
    total = sgti_float_rounded(total * p->alpha);
    if (p->d)
        total += p->beta * p->d[i * p->d_row + j * p->d_col];
    p->c[i * p->c_row + j] = total;
}

/* Multiplies one vector of every row with one of every column, into chain c. */
static inline __attribute__((always_inline)) void
few_turn(sgti_piece sum[FEW_SHARED_ROWS][FEW_COLS][FEW_CHAINS], const float *a, ptrdiff_t a_row,
         const char *b, ptrdiff_t column, ptrdiff_t k, int c, int rows, int cols, int is_bf16)
{
    TILE_UNROLL
    for (int j = 0; j < cols; j++) {
        sgti_piece loaded = few_load(b + j * column, k + c * SGTI_PIECE_LANES, is_bf16);
        TILE_UNROLL
        for (int i = 0; i < rows; i++)
            sum[i][j][c] += tile_load(a + i * a_row + k + c * SGTI_PIECE_LANES) * loaded;
    }
}

/* rows x cols elements of C from (i0, j0); rows, cols and is_bf16 are constants where this is
 * inlined. */
static inline __attribute__((always_inline)) void few_dots(const sgti_few_rows_part *p,
                                                           ptrdiff_t i0, ptrdiff_t j0, int rows,
                                                           int cols, int is_bf16)
{
    const ptrdiff_t turn = FEW_CHAINS * SGTI_PIECE_LANES;
    const float *a = p->a + i0 * p->a_row;
    const char *b = (const char *)p->b + j0 * p->b_col * (is_bf16 ? 2 : 4);
    const ptrdiff_t column = p->b_col * (is_bf16 ? 2 : 4);
    sgti_piece sum[FEW_SHARED_ROWS][FEW_COLS][FEW_CHAINS] = {0};

    ptrdiff_t k = 0;
    for (; k + turn <= p->depth; k += turn)
        TILE_UNROLL
        for (int c = 0; c < FEW_CHAINS; c++)
            few_turn(sum, a, p->a_row, b, column, k, c, rows, cols, is_bf16);
    if (k + SGTI_PIECE_LANES <= p->depth) {
        few_turn(sum, a, p->a_row, b, column, k, 0, rows, cols, is_bf16);
        k += SGTI_PIECE_LANES;
    }
    TILE_UNROLL
    for (int i = 0; i < rows; i++)
        TILE_UNROLL
        for (int j = 0; j < cols; j++)
            few_store(p, i0 + i, j0 + j, k, sum[i][j], is_bf16);
}

/* All rows times `cols` columns: only the first few rows wait for the columns to come from
 * memory. */
static inline __attribute__((always_inline)) void few_columns(const sgti_few_rows_part *p,
                                                              ptrdiff_t j, int cols, int is_bf16)
{
    ptrdiff_t i = 0;
    for (; i + FEW_SHARED_ROWS <= p->rows; i += FEW_SHARED_ROWS)
        few_dots(p, i, j, FEW_SHARED_ROWS, cols, is_bf16);
    if (p->rows - i == 3)
        few_dots(p, i, j, 3, cols, is_bf16);
    else if (p->rows - i == 2)
        few_dots(p, i, j, 2, cols, is_bf16);
    else if (p->rows - i == 1)
        few_dots(p, i, j, 1, cols, is_bf16);
}

static inline __attribute__((always_inline)) void few_rows_of(const sgti_few_rows_part *p,
                                                              int is_bf16)
{
    ptrdiff_t j = 0;
    for (; p->rows > 1 && j + FEW_COLS <= p->cols; j += FEW_COLS)
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
