/* SPDX-License-Identifier: BSD-3-Clause */
/* x[n,:] = d[n,:] + sum over s of a[n,s] W(n,s): the rows that a token chose from a piece of units
 * are added up in registers, some columns at a time. */
#ifndef SGTI_UNITS_OUTPUTS_TILE_H
#define SGTI_UNITS_OUTPUTS_TILE_H

#include "units_tile.h"

/* Units [begin,end) of the part, whole pieces, whose first row is w's. */
typedef struct units_range {
    units_rows w;
    ptrdiff_t col; /* of the part, where w's columns begin */
    ptrdiff_t begin;
    ptrdiff_t end;
} units_range;

/* Adds what token n chose in the range to `vectors` vectors of its columns from col on, the last of
 * `last` lanes; all but p, range, n and col are constants where this is inlined. */
static inline __attribute__((always_inline)) void
units_add(const sgti_units_part *p, const units_range *range, ptrdiff_t n, ptrdiff_t col,
          int vectors, ptrdiff_t last, int is_bf16)
{
    const int32_t *choice = p->choice + n * p->choice_row;
    const float *a = p->a + n * p->a_row;
    float *x = p->x + n * p->x_row + col;
    const float *d = range->begin > 0 ? x : p->d ? p->d + n * p->d_row + col : NULL;
    sgti_v16 total[UNITS_VECTORS];
    for (int v = 0; v < vectors; v++) /* -0 and any sum are that sum, which 0 and -0 are not */
        total[v] = d ? units_load(d, v * SGTI_LANES, v < vectors - 1 ? SGTI_LANES : last, 0)
                     : sgti_v16_set(-0.0f);

    ptrdiff_t s = range->begin / p->units;
    s += s * p->units + choice[s] < range->begin;
    for (ptrdiff_t k0 = range->begin; k0 < range->end; k0 += GEMM_DEPTH) {
        ptrdiff_t end = units_least(k0 + GEMM_DEPTH, range->end);
        sgti_v16 sum[UNITS_VECTORS];
        TILE_UNROLL
        for (int v = 0; v < vectors; v++)
            sum[v] = sgti_v16_zero();
        for (; s < p->groups && s * p->units + choice[s] < end; s++) {
            ptrdiff_t unit = s * p->units + choice[s] - range->begin;
            const char *row = units_row(&range->w, unit);
            sgti_v16 factor = sgti_v16_set(a[s]);
            TILE_UNROLL
            for (int v = 0; v < vectors; v++)
                sum[v] = sgti_v16_fma(factor,
                                      units_load(row, col - range->col + v * SGTI_LANES,
                                                 v < vectors - 1 ? SGTI_LANES : last, is_bf16),
                                      sum[v]);
        }
        for (int v = 0; v < vectors; v++)
            total[v] = sgti_v16_add(total[v], sum[v]);
    }
    for (int v = 0; v < vectors; v++)
        units_store(x + v * SGTI_LANES, v < vectors - 1 ? SGTI_LANES : last, total[v]);
}

/* The columns [col, end) of token n. */
static inline __attribute__((always_inline)) void units_add_row(const sgti_units_part *p,
                                                                const units_range *range,
                                                                ptrdiff_t n, ptrdiff_t col,
                                                                ptrdiff_t end, int is_bf16)
{
    const ptrdiff_t whole = UNITS_VECTORS * SGTI_LANES;
    for (; col + whole <= end; col += whole)
        units_add(p, range, n, col, UNITS_VECTORS, SGTI_LANES, is_bf16);
    for (; col + SGTI_LANES <= end; col += SGTI_LANES)
        units_add(p, range, n, col, 1, SGTI_LANES, is_bf16);
    if (col < end)
        units_add(p, range, n, col, 1, end - col, is_bf16);
}

/* Asks for `bytes` bytes from one on of the rows that token n chose from a piece. */
static inline __attribute__((always_inline)) void
units_ask_piece(const sgti_units_part *p, const units_rows *w, ptrdiff_t n, ptrdiff_t begin,
                ptrdiff_t first, ptrdiff_t bytes)
{
    const int32_t *choice = p->choice + n * p->choice_row;
    for (ptrdiff_t s = begin / p->units; s < p->groups; s++) {
        ptrdiff_t unit = s * p->units + choice[s];
        if (unit >= begin + GEMM_DEPTH)
            break;
        units_ask(units_row(w, unit) + first, bytes);
    }
}

/* Piece by piece, token by token: while some columns of a piece are added, those of the next one
 * come from memory. */
static inline __attribute__((always_inline)) void units_add_in_place(const sgti_units_part *p,
                                                                     int is_bf16)
{
    const ptrdiff_t units = p->groups * p->units, bytes = is_bf16 ? 2 : 4;
    const ptrdiff_t whole = UNITS_VECTORS * SGTI_LANES;
    const units_rows w = units_of(p, 0);
    units_ask_piece(p, &w, 0, 0, 0, p->cols * bytes);
    for (ptrdiff_t n = 0; n < p->rows; n++)
        for (ptrdiff_t begin = 0; begin < units; begin += GEMM_DEPTH) {
            units_range piece = {.w = {units_row(&w, begin), w.step, is_bf16},
                                 .begin = begin,
                                 .end = units_least(begin + GEMM_DEPTH, units)};
            int is_last = piece.end == units;
            for (ptrdiff_t col = 0; col < p->cols; col += whole) {
                ptrdiff_t end = units_least(col + whole, p->cols);
                if (n + is_last < p->rows)
                    units_ask_piece(p, &w, n + is_last, is_last ? 0 : piece.end, col * bytes,
                                    (end - col) * bytes);
                units_add_row(p, &piece, n, col, end, is_bf16);
            }
        }
}

static void unit_outputs_part(const sgti_units_part *p, void *scratch)
{
    ptrdiff_t units = p->groups * p->units;
    if (!p->is_packed) {
        if (p->weight_is_bf16)
            units_add_in_place(p, 1);
        else
            units_add_in_place(p, 0);
        return;
    }
    for (ptrdiff_t col = 0; col < p->cols; col += SGTI_UNITS_COLS) {
        ptrdiff_t cols = units_least(p->cols - col, SGTI_UNITS_COLS);
        units_range range = {.col = col};
        for (; range.begin < units; range.begin = range.end) {
            range.end = units_least(range.begin + UNITS_BLOCK_UNITS, units);
            const units_rows w = units_of(p, range.begin);
            range.w = units_pack(scratch, &w, range.end - range.begin, col, cols);
            for (ptrdiff_t n = 0; n < p->rows; n++)
                units_add_row(p, &range, n, col, col + cols, 0);
        }
    }
}

#endif
