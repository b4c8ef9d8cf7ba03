/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The innermost product: a tile of C, at most TILE_ROWS x TILE_COLS, that stays in registers while
 * k runs over the whole depth. Everything above (gemm, attention) is loops around it.
 *
 *                          TILE_COLS                A comes in two forms, so that neither A nor A^T
 *                     +-----------------+           is ever transposed:
 *               depth | b[k * ldb + j]  |
 *                     +-----------------+             by rows     a(i,k) = a[i * lda + k]
 *           +------+  +-----------------+             by columns  a(i,k) = a[k * lda + i]
 * TILE_ROWS |a(i,k)|  | c += a b        |
 *           +------+  +-----------------+
 *             depth
 *
 * For each k the tile takes one row of B, TILE_VECTORS registers, and for each of its rows one
 * element of A, which is copied into all lanes of a register and multiplied with them:
 *
 *     b       | vector 0 | vector 1 | ..
 *     a(0,k)  | sum[0][0]| sum[0][1]| ..       24 sums with AVX-512 and ARM's 32 registers,
 *     a(1,k)  | sum[1][0]| sum[1][1]| ..       12 with the 16 registers of SSE and AVX
 *
 * k goes up from 0, each element of C has one accumulator, and the product with alpha is rounded
 * before it is added to anything: so a result does not depend on the tile that it was computed in.
 *
 * Only for files compiled once per instruction set.
 */
#ifndef SGTI_TILE_PRODUCT_H
#define SGTI_TILE_PRODUCT_H

#include <stddef.h>

#include "vector_math.h"

/* TILE_ROWS * TILE_VECTORS sums, TILE_VECTORS vectors of B and one of A fit the registers. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define TILE_VECTORS 4
#else
#define TILE_VECTORS 2
#endif
#define TILE_ROWS 6
#define TILE_COLS (TILE_VECTORS * SGTI_PIECE_LANES)

/* Stands before loops with a small, constant number of turns: compilers keep an array of sums in
 * registers only if every index is a constant. */
#if defined(__clang__)
#define TILE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TILE_UNROLL _Pragma("GCC unroll 8")
#endif

enum tile_form { TILE_BY_ROWS, TILE_BY_COLUMNS };

/* c = alpha a b + beta d; d NULL: c = alpha a b. d may be c. Rows of b are readable up to a whole
 * vector past the last column. */
typedef struct tile {
    const float *a;
    ptrdiff_t lda;
    const float *b;
    ptrdiff_t ldb;
    ptrdiff_t depth;
    float *c;
    ptrdiff_t ldc;
    const float *d;
    ptrdiff_t ldd;
    float alpha;
    float beta;
} tile;

typedef void (*tile_fn)(const tile *t, ptrdiff_t cols);

static inline sgti_piece tile_load(const float *source)
{
    return *(const sgti_loose_piece *)(const void *)source;
}

static inline void tile_store(float *target, sgti_piece value)
{
    *(sgti_loose_piece *)(void *)target = value;
}

/* The last columns of a row of C, fewer than a vector. */
static inline void tile_store_tail(float *c, const float *d, float beta, sgti_piece value,
                                   ptrdiff_t count)
{
    float lanes[SGTI_PIECE_LANES];
    tile_store(lanes, value);
    for (ptrdiff_t j = 0; j < count; j++)
        c[j] = d ? beta * d[j] + lanes[j] : lanes[j];
}

/* One tile with exactly `rows` rows and `vectors` vectors of columns. Both and `form` are constants
 * where this is inlined. The last vector of C may be partial: cols is above (vectors - 1) *
 * SGTI_PIECE_LANES and up to vectors * SGTI_PIECE_LANES. */
static inline __attribute__((always_inline)) void tile_any(const tile *t, ptrdiff_t cols, int rows,
                                                           int vectors, enum tile_form form)
{
    sgti_piece sum[TILE_ROWS][TILE_VECTORS];
    const float *a = t->a;
    const float *b = t->b;
    ptrdiff_t lda = t->lda;
    ptrdiff_t ldb = t->ldb;

    TILE_UNROLL
    for (int i = 0; i < rows; i++)
        TILE_UNROLL
        for (int j = 0; j < vectors; j++)
            sum[i][j] = (sgti_piece){0};

    for (ptrdiff_t k = t->depth; k > 0; k--) {
        sgti_piece line[TILE_VECTORS];
        TILE_UNROLL
        for (int j = 0; j < vectors; j++)
            line[j] = tile_load(b + j * SGTI_PIECE_LANES);
        TILE_UNROLL
        for (int i = 0; i < rows; i++) {
            sgti_piece factor = sgti_piece_set(form == TILE_BY_ROWS ? a[i * lda] : a[i]);
            TILE_UNROLL
            for (int j = 0; j < vectors; j++)
                sum[i][j] += factor * line[j];
        }
        a += form == TILE_BY_ROWS ? 1 : lda;
        b += ldb;
    }

    ptrdiff_t tail = cols - (vectors - 1) * SGTI_PIECE_LANES;
    TILE_UNROLL
    for (int i = 0; i < rows; i++) {
        float *c = t->c + i * t->ldc;
        const float *d = t->d ? t->d + i * t->ldd : NULL;
        TILE_UNROLL
        for (int j = 0; j < vectors; j++) {
            ptrdiff_t at = j * SGTI_PIECE_LANES;
            sgti_piece value = sgti_piece_rounded(sum[i][j] * t->alpha);
            if (j == vectors - 1 && tail < SGTI_PIECE_LANES)
                tile_store_tail(c + at, d ? d + at : NULL, t->beta, value, tail);
            else
                tile_store(c + at, d ? tile_load(d + at) * t->beta + value : value);
        }
    }
}

/* A function for each number of rows and vectors and each form, and a table of them all. */
#define TILE_DEFINE(rows, vectors)                                                                 \
    static void tile_rows_##rows##_##vectors(const tile *t, ptrdiff_t cols)                        \
    {                                                                                              \
        tile_any(t, cols, rows, vectors, TILE_BY_ROWS);                                            \
    }                                                                                              \
    static void tile_columns_##rows##_##vectors(const tile *t, ptrdiff_t cols)                     \
    {                                                                                              \
        tile_any(t, cols, rows, vectors, TILE_BY_COLUMNS);                                         \
    }

#if TILE_VECTORS == 4
#define TILE_DEFINE_ROWS(rows)                                                                     \
    TILE_DEFINE(rows, 1) TILE_DEFINE(rows, 2) TILE_DEFINE(rows, 3) TILE_DEFINE(rows, 4)
#define TILE_LIST(form, rows)                                                                      \
    {tile_##form##_##rows##_1, tile_##form##_##rows##_2, tile_##form##_##rows##_3,                 \
     tile_##form##_##rows##_4}
#else
#define TILE_DEFINE_ROWS(rows) TILE_DEFINE(rows, 1) TILE_DEFINE(rows, 2)
#define TILE_LIST(form, rows) {tile_##form##_##rows##_1, tile_##form##_##rows##_2}
#endif

TILE_DEFINE_ROWS(1)
TILE_DEFINE_ROWS(2)
TILE_DEFINE_ROWS(4)
TILE_DEFINE_ROWS(6)

/* There are tiles of 1, 2, 4 and 6 rows; 3 rows are a tile of 2 and one of 1, 5 are 4 and 1. */
static const tile_fn tile_table[2][4][TILE_VECTORS] = {
    {TILE_LIST(rows, 1), TILE_LIST(rows, 2), TILE_LIST(rows, 4), TILE_LIST(rows, 6)},
    {TILE_LIST(columns, 1), TILE_LIST(columns, 2), TILE_LIST(columns, 4), TILE_LIST(columns, 6)},
};
static const struct {
    int rows;
    int index;
} tile_step[TILE_ROWS + 1] = {{0, 0}, {1, 0}, {2, 1}, {2, 1}, {4, 2}, {4, 2}, {6, 3}};

#undef TILE_DEFINE
#undef TILE_DEFINE_ROWS
#undef TILE_LIST

/* One tile of any size up to TILE_ROWS x TILE_COLS. */
static inline void tile_run(tile t, ptrdiff_t rows, ptrdiff_t cols, enum tile_form form)
{
    ptrdiff_t a_row = form == TILE_BY_ROWS ? t.lda : 1;
    ptrdiff_t vectors = (cols + SGTI_PIECE_LANES - 1) / SGTI_PIECE_LANES;

    while (rows > 0) {
        ptrdiff_t step = tile_step[rows].rows;
        tile_table[form][tile_step[rows].index][vectors - 1](&t, cols);
        t.a += step * a_row;
        t.c += step * t.ldc;
        if (t.d)
            t.d += step * t.ldd;
        rows -= step;
    }
}

/*
 * A whole block of C, from the tile at its first row and column. A's panels of TILE_ROWS rows lie
 * a_panel floats apart and B's panels of TILE_COLS columns b_panel apart; where a matrix is not
 * packed its strides give these numbers. All rows use a panel of B before the next one's turn
 * comes, so that it stays in the nearest cache.
 */
static inline void tile_product(const tile *block, ptrdiff_t rows, ptrdiff_t cols,
                                ptrdiff_t a_panel, ptrdiff_t b_panel, enum tile_form form)
{
    for (ptrdiff_t j = 0; j < cols; j += TILE_COLS) {
        ptrdiff_t width = cols - j < TILE_COLS ? cols - j : TILE_COLS;
        tile t = *block;
        t.b += j / TILE_COLS * b_panel;
        t.c += j;
        if (t.d)
            t.d += j;
        for (ptrdiff_t i = 0; i < rows; i += TILE_ROWS) {
            tile_run(t, rows - i < TILE_ROWS ? rows - i : TILE_ROWS, width, form);
            t.a += a_panel;
            t.c += TILE_ROWS * t.ldc;
            if (t.d)
                t.d += TILE_ROWS * t.ldd;
        }
    }
}

#endif
