/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One part of a matrix product, in the loops of Goto and van de Geijn (2008), each of which keeps
 * something in a nearer cache:
 *
 *     for GEMM_COLS columns of C
 *         for GEMM_DEPTH of the depth:       pack a block of B             third-level cache
 *             for GEMM_ROWS rows of C:       pack a block of A, if needed  second-level cache
 *                 tile_product: for a panel of B                           first-level cache
 *                     for TILE_ROWS rows: a tile of C                      registers
 *
 * The second loop runs upwards, so an element of C is summed in pieces of GEMM_DEPTH, in the same
 * order whatever part it is in. Rows of A are read where they are, because packing them was never
 * faster; only an A that lies by columns is packed. Products of few rows, as in decoding, would
 * spend their time packing B: they are dot products straight from memory.
 *
 * Only for files compiled once per instruction set.
 */
#ifndef SGTI_GEMM_TILE_H
#define SGTI_GEMM_TILE_H

#include "few_rows_tile.h"
#include "matrix_kernels.h"
#include "tile_pack.h"
#include "tile_product.h"

/* A block of B fills half of a thread's scratch; a block of A fits the second-level cache. */
#define GEMM_DEPTH 256
#define GEMM_COLS 1024
#define GEMM_ROWS (TILE_ROWS * 40)

_Static_assert((GEMM_COLS * GEMM_DEPTH + GEMM_ROWS * (GEMM_DEPTH + SGTI_LANES)) * sizeof(float) <=
                   SGTI_MATRIX_SCRATCH_BYTES,
               "the blocks of a product fit the scratch");
_Static_assert(GEMM_COLS % TILE_COLS == 0, "a block of B is whole panels");

static void gemm_few_rows(const sgti_gemm_part *p)
{
    const sgti_few_rows_part few = {
        .rows = p->rows,
        .cols = p->cols,
        .depth = p->depth,
        .alpha = p->alpha,
        .beta = p->beta,
        .a = p->a,
        .a_row = p->a_row,
        .b = p->b,
        .b_col = p->b_col,
        .c = p->c,
        .c_row = p->c_row,
        .d = p->d,
        .d_row = p->d_row,
        .d_col = p->d_col,
    };
    few_rows_part(&few);
}

/* C = D, for a D whose rows are not contiguous: the tiles then read C instead. */
static void gemm_copy_d(const sgti_gemm_part *p)
{
    for (ptrdiff_t i = 0; i < p->rows; i++)
        for (ptrdiff_t j = 0; j < p->cols; j++)
            p->c[i * p->c_row + j] = p->d[i * p->d_row + j * p->d_col];
}

/* All rows of the part times one block of B; `block` is the tile at the first row and column. */
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

/* The two outer loops. The first block of the depth starts from D, every later one adds to what C
 * holds by then, whose beta is 1. */
static void gemm_part(const sgti_gemm_part *p, void *scratch)
{
    float *packed_b = scratch;
    float *packed_a = packed_b + GEMM_COLS * GEMM_DEPTH;
    const float *d = p->d;
    ptrdiff_t d_row = p->d_row;

    if (p->rows <= SGTI_FEW_ROWS && p->a_col == 1 && p->b_row == 1) {
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
