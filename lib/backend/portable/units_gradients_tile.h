/* SPDX-License-Identifier: BSD-3-Clause */
/* W(n,s) += a[n,s] x[n,:]: for each unit of a group, the tokens of a piece that chose it are listed
 * and added up in registers, some columns at a time. */
#ifndef SGTI_UNITS_GRADIENTS_TILE_H
#define SGTI_UNITS_GRADIENTS_TILE_H

#include "units_tile.h"

/* A piece of tokens, for one group: which ones chose each unit, in their order. */
typedef struct units_lists {
    float *x;       /* [GEMM_DEPTH, SGTI_UNITS_COLS], packed */
    int16_t *next;  /* [GEMM_DEPTH]: the next token with the same choice; -1: none */
    int16_t *first; /* [units]: of each unit; -1: none */
} units_lists;

static void units_list(const units_lists *lists, const int32_t *choice, ptrdiff_t choice_row,
                       ptrdiff_t rows, ptrdiff_t units)
{
    memset(lists->first, -1, (size_t)units * sizeof *lists->first);
    for (ptrdiff_t n = rows - 1; n >= 0; n--) {
        int32_t chosen = choice[n * choice_row];
        lists->next[n] = lists->first[chosen];
        lists->first[chosen] = (int16_t)n;
    }
}

/* Adds a list of tokens to `vectors` vectors of a unit's gradient. */
static inline __attribute__((always_inline)) void units_gather(float *target, const float *x,
                                                               const float *a, ptrdiff_t a_row,
                                                               const int16_t *next, int16_t first,
                                                               int vectors, ptrdiff_t last)
{
    sgti_v16 sum[UNITS_VECTORS];
    TILE_UNROLL
    for (int v = 0; v < vectors; v++)
        sum[v] = sgti_v16_zero();
    for (ptrdiff_t n = first; n >= 0; n = next[n]) {
        sgti_v16 factor = sgti_v16_set(a[n * a_row]);
        TILE_UNROLL
        for (int v = 0; v < vectors; v++)
            sum[v] = sgti_v16_fma(
                factor, sgti_v16_load(x + n * SGTI_UNITS_COLS + v * SGTI_LANES), sum[v]);
    }
    TILE_UNROLL
    for (int v = 0; v < vectors; v++) {
        ptrdiff_t count = v < vectors - 1 ? SGTI_LANES : last;
        float *at = target + v * SGTI_LANES;
        units_store(at, count, sgti_v16_add(units_load(at, 0, count, 0), sum[v]));
    }
}

/* All columns of a unit. */
static void units_gather_row(float *target, const float *x, const float *a, ptrdiff_t a_row,
                             const int16_t *next, int16_t first, ptrdiff_t cols)
{
    const ptrdiff_t whole = UNITS_VECTORS * SGTI_LANES;
    ptrdiff_t j = 0;
    for (; j + whole <= cols; j += whole)
        units_gather(target + j, x + j, a, a_row, next, first, UNITS_VECTORS, SGTI_LANES);
    for (; j + SGTI_LANES <= cols; j += SGTI_LANES)
        units_gather(target + j, x + j, a, a_row, next, first, 1, SGTI_LANES);
    if (j < cols)
        units_gather(target + j, x + j, a, a_row, next, first, 1, cols - j);
}

/* Adds all tokens to the rows of `w`, which hold the part's columns; at most SGTI_UNITS_COLS. */
static void units_gradients(const sgti_units_part *p, float *w, ptrdiff_t w_row,
                            const units_lists *lists)
{
    const units_rows x = {(const char *)p->x, p->x_row * (ptrdiff_t)sizeof(float), 0};
    for (ptrdiff_t n0 = 0; n0 < p->rows; n0 += GEMM_DEPTH) {
        ptrdiff_t rows = units_least(p->rows - n0, GEMM_DEPTH);
        const units_rows piece = {units_row(&x, n0), x.step, 0};
        units_pack(lists->x, &piece, rows, 0, p->cols);
        for (ptrdiff_t s = 0; s < p->groups; s++) {
            units_list(lists, p->choice + n0 * p->choice_row + s, p->choice_row, rows, p->units);
            for (ptrdiff_t u = 0; u < p->units; u++) {
                if (lists->first[u] >= 0)
                    units_gather_row(w + (s * p->units + u) * w_row, lists->x,
                                     p->a + n0 * p->a_row + s, p->a_row, lists->next,
                                     lists->first[u], p->cols);
            }
        }
    }
}

static void unit_gradients_part(const sgti_units_part *p, void *scratch)
{
    float *block = scratch;
    units_lists lists = {.x = block + UNITS_BLOCK_FLOATS};
    lists.next = (int16_t *)(void *)(lists.x + GEMM_DEPTH * SGTI_UNITS_COLS);
    lists.first = lists.next + GEMM_DEPTH;
    float *weight = p->weight;
    if (!p->is_packed) {
        units_gradients(p, weight, p->weight_row, &lists);
        return;
    }
    const units_rows w = units_of(p, 0);
    units_pack(block, &w, p->groups * p->units, 0, p->cols);
    units_gradients(p, block, SGTI_UNITS_COLS, &lists);
    for (ptrdiff_t i = 0; i < p->groups * p->units; i++)
        memcpy(weight + i * p->weight_row, block + i * SGTI_UNITS_COLS,
               (size_t)p->cols * sizeof(float));
}

#endif
