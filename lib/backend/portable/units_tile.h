/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One part of a product with chosen rows of a weight matrix (Jaszczur et al., 2021): of each group
 * of `units` rows, every token has one. An element gets the bits that the whole product would give
 * it (gemm_tile.h), since what is not chosen adds zeros there: it is summed upwards in pieces of
 * GEMM_DEPTH, each from 0, and the pieces are added up. So no sum may be split among lanes, and the
 * lanes of a vector are what lies beside each other in the result:
 *
 *     unit_inputs      16 groups of one token; four columns of their rows are transposed in
 *                      registers, since each group's row is elsewhere
 *     unit_outputs     columns; one row after the other is added to them
 *     unit_gradients   columns; for each unit, the tokens of a piece that chose it are listed
 *
 * With many tokens every row is read many times. Then the part copies its block of the weights
 * together, since rows of a power of two of bytes would fight for a few sets of the cache:
 *
 *                  SGTI_UNITS_COLS
 *     weights   |....|block|........|   groups with all their units, in the second-level cache
 *
 * With few tokens the rows come from memory, and are asked for some rows ahead. Up to SGTI_FEW_ROWS
 * tokens are in decoding: then inputs are the dot products of few_rows_tile.h.
 *
 * Only for files compiled once per instruction set.
 */
#ifndef SGTI_UNITS_TILE_H
#define SGTI_UNITS_TILE_H

#include "few_rows_tile.h"
#include "gemm_tile.h"

/* Scratch: a packed block, then what one product needs beside it. */
#define UNITS_BLOCK_FLOATS ((size_t)SGTI_UNITS_GROUPS * SGTI_UNITS_PACKED * SGTI_UNITS_COLS)

/* Units of a packed block of the outputs, whole pieces. */
#define UNITS_BLOCK_UNITS ((int64_t)GEMM_DEPTH * 4)

/* Vectors of columns whose sums are in registers at one time, eight of them. */
#define UNITS_VECTORS (8 / SGTI_PIECES)

_Static_assert(GEMM_DEPTH % SGTI_UNITS_COLS == 0, "packed columns end where pieces do");
_Static_assert(UNITS_BLOCK_UNITS * SGTI_UNITS_COLS <= UNITS_BLOCK_FLOATS, "a block fits");
_Static_assert(UNITS_BLOCK_FLOATS * 4 + SGTI_UNITS_ROWS * SGTI_LANES * 4 <=
                   SGTI_MATRIX_SCRATCH_BYTES,
               "inputs fit the scratch");
_Static_assert(UNITS_BLOCK_FLOATS * 4 + GEMM_DEPTH * (SGTI_UNITS_COLS * 4 + 2) +
                       SGTI_UNITS_MOST * 2 <= SGTI_MATRIX_SCRATCH_BYTES,
               "gradients fit the scratch");

/* Where rows of weights are: in the matrix, or in a packed block. */
typedef struct units_rows {
    const char *first;
    ptrdiff_t step; /* bytes */
    int is_bf16;
} units_rows;

static inline const char *units_row(const units_rows *w, ptrdiff_t row)
{
    return w->first + row * w->step;
}

/* `count` elements of a row from k on, 1 to 16; the other lanes are 0. */
static inline __attribute__((always_inline)) sgti_v16 units_load(const void *row, ptrdiff_t k,
                                                                 ptrdiff_t count, int is_bf16)
{
    sgti_v16 loaded;
    if (count == SGTI_LANES) {
#define SGTI_ACTION(i) loaded.piece[i] = few_load(row, k + (i) * SGTI_PIECE_LANES, is_bf16);
        SGTI_EACH(SGTI_ACTION)
#undef SGTI_ACTION
        return loaded;
    }
    if (!is_bf16)
        return sgti_v16_load_tail((const float *)row + k, (size_t)count, 0.0f);
    float lanes[SGTI_LANES] = {0};
    for (ptrdiff_t i = 0; i < count; i++)
        lanes[i] = few_one(row, k + i, is_bf16);
    return sgti_v16_load(lanes);
}

static inline void units_store(float *target, ptrdiff_t count, sgti_v16 value)
{
    if (count == SGTI_LANES)
        sgti_v16_store(target, value);
    else
        sgti_v16_store_tail(target, (size_t)count, value);
}

static inline ptrdiff_t units_least(ptrdiff_t a, ptrdiff_t b)
{
    return a < b ? a : b;
}

/* Asks for `bytes` bytes, whole lines of the cache. */
static inline __attribute__((always_inline)) void units_ask(const char *first, ptrdiff_t bytes)
{
    for (ptrdiff_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(first + i);
}

/* Rows ahead of the one that is copied, from which memory has the time to come. */
#define UNITS_COPY_AHEAD 4

/* Copies `rows` rows of at most SGTI_UNITS_COLS columns together, as float32. */
static inline __attribute__((always_inline)) void units_copy(float *target, const units_rows *w,
                                                             ptrdiff_t rows, ptrdiff_t col,
                                                             ptrdiff_t cols, int is_bf16)
{
    for (ptrdiff_t i = 0; i < rows; i++) {
        const char *row = units_row(w, i);
        units_ask(units_row(w, units_least(i + UNITS_COPY_AHEAD, rows - 1)) +
                      col * (is_bf16 ? 2 : 4),
                  cols * (is_bf16 ? 2 : 4));
        for (ptrdiff_t j = 0; j < cols; j += SGTI_LANES) {
            ptrdiff_t count = units_least(cols - j, SGTI_LANES);
            sgti_v16_store(target + i * SGTI_UNITS_COLS + j,
                           count == SGTI_LANES ? units_load(row, col + j, SGTI_LANES, is_bf16)
                                               : units_load(row, col + j, count, is_bf16));
        }
    }
}

static units_rows units_pack(float *target, const units_rows *w, ptrdiff_t rows, ptrdiff_t col,
                             ptrdiff_t cols)
{
    if (w->is_bf16)
        units_copy(target, w, rows, col, cols, 1);
    else
        units_copy(target, w, rows, col, cols, 0);
    return (units_rows){(const char *)target, SGTI_UNITS_COLS * sizeof(float), 0};
}

/* The part's weights from row `row` on. */
static inline units_rows units_of(const sgti_units_part *p, ptrdiff_t row)
{
    ptrdiff_t bytes = p->weight_is_bf16 ? 2 : 4;
    return (units_rows){(const char *)p->weight + row * p->weight_row * bytes,
                        p->weight_row * bytes, p->weight_is_bf16};
}

#endif
