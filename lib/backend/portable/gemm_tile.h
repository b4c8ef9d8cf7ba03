/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One part of a matrix product: packed blocks of B and tile_product on them (the loops of Goto and
 * van de Geijn, 2008). Rows of A are read where they are: packing them was never faster. Columns of
 * A are packed. Products of a few rows, as in decoding, would spend their time packing B: they are
 * dot products straight from memory.
 *
 * Only for files compiled once per instruction set.
 */
#ifndef SGTI_GEMM_TILE_H
#define SGTI_GEMM_TILE_H

#include "matrix_kernels.h"
#include "tile_pack.h"
#include "tile_product.h"

/* A block of B fills half of the scratch; a block of A stays in the second-level cache. */
#define GEMM_DEPTH 256
#define GEMM_COLS 1024
#define GEMM_ROWS (TILE_ROWS * 40)

/* Up to so many rows are dot products. */
#define GEMM_FEW_ROWS 8

_Static_assert((GEMM_COLS * GEMM_DEPTH + GEMM_ROWS * (GEMM_DEPTH + SGTI_LANES)) * sizeof(float) <=
                   SGTI_MATRIX_SCRATCH_BYTES,
               "the blocks of a product fit the scratch");
_Static_assert(GEMM_COLS % TILE_COLS == 0, "a block of B is whole panels");

/* ---- few rows ---- */

/* c[i,j] = alpha a[i,:] . b[:,j] + beta d[i,j] for rows x cols elements from (i0, j0), where a's
 * rows and b's columns are contiguous. rows and cols are constants where this is inlined. */
static inline __attribute__((always_inline)) void dots_any(const sgti_gemm_part *p, ptrdiff_t i0,
                                                           ptrdiff_t j0, int rows, int cols)
{
    const float *a = p->a + i0 * p->a_row;
    const float *b = p->b + j0 * p->b_col;
    sgti_piece sum[3][4];

    TILE_UNROLL
    for (int i = 0; i < rows; i++)
        TILE_UNROLL
        for (int j = 0; j < cols; j++)
            sum[i][j] = (sgti_piece){0};

    ptrdiff_t k = 0;
    for (; k + SGTI_PIECE_LANES <= p->depth; k += SGTI_PIECE_LANES) {
        sgti_piece line[3];
        TILE_UNROLL
        for (int i = 0; i < rows; i++)
            line[i] = tile_load(a + i * p->a_row + k);
        TILE_UNROLL
        for (int j = 0; j < cols; j++) {
            sgti_piece column = tile_load(b + j * p->b_col + k);
            TILE_UNROLL
            for (int i = 0; i < rows; i++)
                sum[i][j] += line[i] * column;
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
                total += a[i * p->a_row + rest] * b[j * p->b_col + rest];
            total *= p->alpha;
            if (p->d)
                total += p->beta * p->d[(i0 + i) * p->d_row + (j0 + j) * p->d_col];
            p->c[(i0 + i) * p->c_row + j0 + j] = total;
        }
}

static void dots_3_4(const sgti_gemm_part *p, ptrdiff_t i, ptrdiff_t j)
{
    dots_any(p, i, j, 3, 4);
}

static void dots_1_4(const sgti_gemm_part *p, ptrdiff_t i, ptrdiff_t j)
{
    dots_any(p, i, j, 1, 4);
}

static void dots_1_1(const sgti_gemm_part *p, ptrdiff_t i, ptrdiff_t j)
{
    dots_any(p, i, j, 1, 1);
}

/* Four columns of B are read once from memory, and for the other rows from the cache. */
static void gemm_few_rows(const sgti_gemm_part *p)
{
    ptrdiff_t j = 0;
    for (; j + 4 <= p->cols; j += 4) {
        ptrdiff_t i = 0;
        for (; i + 3 <= p->rows; i += 3)
            dots_3_4(p, i, j);
        for (; i < p->rows; i++)
            dots_1_4(p, i, j);
    }
    for (; j < p->cols; j++)
        for (ptrdiff_t i = 0; i < p->rows; i++)
            dots_1_1(p, i, j);
}

/* ---- any rows ---- */

/* C = D for a D whose columns are not contiguous. */
static void gemm_copy_d(const sgti_gemm_part *p)
{
    for (ptrdiff_t i = 0; i < p->rows; i++)
        for (ptrdiff_t j = 0; j < p->cols; j++)
            p->c[i * p->c_row + j] = p->d[i * p->d_row + j * p->d_col];
}

/* All rows of the part with one block of B, given the tile for its first row and column. */
static void gemm_rows(const sgti_gemm_part *p, tile block, ptrdiff_t k0, ptrdiff_t cols,
                      float *packed_a)
{
    ptrdiff_t b_panel = block.depth * TILE_COLS;
    float *c = block.c;
    const float *d = block.d;

    for (ptrdiff_t i0 = 0; i0 < p->rows; i0 += GEMM_ROWS) {
        ptrdiff_t rows = p->rows - i0 < GEMM_ROWS ? p->rows - i0 : GEMM_ROWS;
        const float *a = p->a + i0 * p->a_row + k0 * p->a_col;
        block.c = c + i0 * block.ldc;
        block.d = d ? d + i0 * block.ldd : NULL;
        if (p->a_col == 1) {
            block.a = a;
            block.lda = p->a_row;
            tile_product(&block, rows, cols, TILE_ROWS * p->a_row, b_panel, TILE_BY_ROWS);
        } else {
            block.a = packed_a;
            block.lda = TILE_ROWS;
            pack_a_columns(packed_a, a, p->a_col, rows, block.depth);
            tile_product(&block, rows, cols, pack_a_pitch(block.depth), b_panel, TILE_BY_COLUMNS);
        }
    }
}

static void gemm_part(const sgti_gemm_part *p, void *scratch)
{
    float *packed_b = scratch;
    float *packed_a = packed_b + GEMM_COLS * GEMM_DEPTH;
    const float *d = p->d;
    ptrdiff_t d_row = p->d_row;

    if (p->rows <= GEMM_FEW_ROWS && p->a_col == 1 && p->b_row == 1) {
        gemm_few_rows(p);
        return;
    }
    if (d && p->d_col != 1) {
        gemm_copy_d(p);
        d = p->c;
        d_row = p->c_row;
    }

    for (ptrdiff_t j0 = 0; j0 < p->cols; j0 += GEMM_COLS) {
        ptrdiff_t cols = p->cols - j0 < GEMM_COLS ? p->cols - j0 : GEMM_COLS;
        for (ptrdiff_t k0 = 0; k0 < p->depth; k0 += GEMM_DEPTH) {
            ptrdiff_t depth = p->depth - k0 < GEMM_DEPTH ? p->depth - k0 : GEMM_DEPTH;
            for (ptrdiff_t j = 0; j < cols; j += TILE_COLS)
                pack_b_panel(packed_b + j * depth, p->b + k0 * p->b_row + (j0 + j) * p->b_col,
                             p->b_row, p->b_col, depth,
                             cols - j < TILE_COLS ? cols - j : TILE_COLS);
            tile block = {
                .b = packed_b,
                .ldb = TILE_COLS,
                .depth = depth,
                .c = p->c + j0,
                .ldc = p->c_row,
                .d = k0 > 0 ? p->c + j0 : d ? d + j0 : NULL,
                .ldd = k0 > 0 ? p->c_row : d_row,
                .alpha = p->alpha,
                .beta = k0 > 0 ? 1.0f : p->beta,
            };
            gemm_rows(p, block, k0, cols, packed_a);
        }
    }
}

#endif
