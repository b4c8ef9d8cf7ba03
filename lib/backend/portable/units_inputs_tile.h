/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * a[n,s] = x[n,:] . W(n,s). The lanes of a vector are sixteen groups of one token, each with a row
 * of its own, so four columns of the rows are transposed in registers:
 *
 *     rows of lanes 0, 4, ..   | k  k+1  k+2  k+3 | k  k+1 .. |        x[k]   * | W(lane,k)   |
 *     rows of lanes 1, 5, ..   | k  k+1  k+2  k+3 | k  k+1 .. |  -->   x[k+1] * | W(lane,k+1) |
 *     ..                                                               ..
 *
 * Up to SGTI_FEW_ROWS tokens, whose rows come from memory, are dot products.
 */
#ifndef SGTI_UNITS_INPUTS_TILE_H
#define SGTI_UNITS_INPUTS_TILE_H

#include "units_tile.h"

/* Quads of a register side by side, and the two steps of transposing them, each on its own. */
#if SGTI_PIECE_LANES == 16
#define UNITS_LOW(a, b)                                                                            \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define UNITS_HIGH(a, b)                                                                           \
    __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define UNITS_LOW_PAIRS(a, b)                                                                      \
    __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define UNITS_HIGH_PAIRS(a, b)                                                                     \
    __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#elif SGTI_PIECE_LANES == 8
#define UNITS_LOW(a, b)        __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define UNITS_HIGH(a, b)       __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define UNITS_LOW_PAIRS(a, b)  __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define UNITS_HIGH_PAIRS(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#else
#define UNITS_LOW(a, b)        __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define UNITS_HIGH(a, b)       __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define UNITS_LOW_PAIRS(a, b)  __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define UNITS_HIGH_PAIRS(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#endif

/* Four columns from k on of every fourth row: those of lanes 0, 4, .. With AVX-512 a load puts them
 * where they belong. */
static inline sgti_piece units_quads(const float *const *rows, ptrdiff_t k)
{
#if defined(__AVX512F__)
    __m512 quads = _mm512_broadcast_f32x4(_mm_loadu_ps(rows[0] + k));
    quads = _mm512_mask_broadcast_f32x4(quads, 0x00f0, _mm_loadu_ps(rows[4] + k));
    quads = _mm512_mask_broadcast_f32x4(quads, 0x0f00, _mm_loadu_ps(rows[8] + k));
    quads = _mm512_mask_broadcast_f32x4(quads, 0xf000, _mm_loadu_ps(rows[12] + k));
    return (sgti_piece)quads;
#elif SGTI_PIECE_LANES == 8
    return __builtin_shufflevector(quad_load(rows[0] + k), quad_load(rows[4] + k), 0, 1, 2, 3, 4, 5,
                                   6, 7);
#else
    return quad_load(rows[0] + k);
#endif
}

/* Adds four columns of a register of rows. */
static inline sgti_piece units_turn(sgti_piece sum, const float *x, const float *const *rows,
                                    ptrdiff_t k)
{
    sgti_piece a = units_quads(rows, k);
    sgti_piece b = units_quads(rows + 1, k);
    sgti_piece c = units_quads(rows + 2, k);
    sgti_piece d = units_quads(rows + 3, k);
    sgti_piece ab_low = UNITS_LOW(a, b), ab_high = UNITS_HIGH(a, b);
    sgti_piece cd_low = UNITS_LOW(c, d), cd_high = UNITS_HIGH(c, d);
    sum += sgti_piece_set(x[k]) * UNITS_LOW_PAIRS(ab_low, cd_low);
    sum += sgti_piece_set(x[k + 1]) * UNITS_HIGH_PAIRS(ab_low, cd_low);
    sum += sgti_piece_set(x[k + 2]) * UNITS_LOW_PAIRS(ab_high, cd_high);
    sum += sgti_piece_set(x[k + 3]) * UNITS_HIGH_PAIRS(ab_high, cd_high);
    return sum;
}

/* Tokens that are computed side by side, to hide how long a sum takes. */
#if SGTI_PIECES == 1
#define UNITS_TOKENS 2
#else
#define UNITS_TOKENS 1
#endif

/* sum[t] += x[t] times the rows of each lane; tokens is a constant where this is inlined. */
static inline __attribute__((always_inline)) void
units_dots(sgti_v16 *sum, const float *const *x,
           const float *const (*rows)[SGTI_UNITS_GROUPS], ptrdiff_t depth, int tokens)
{
    ptrdiff_t k = 0;
    for (; k + 4 <= depth; k += 4)
        TILE_UNROLL
        for (int t = 0; t < tokens; t++) {
#define SGTI_ACTION(i)                                                                             \
    sum[t].piece[i] = units_turn(sum[t].piece[i], x[t], rows[t] + (i) * SGTI_PIECE_LANES, k);
            SGTI_EACH(SGTI_ACTION)
#undef SGTI_ACTION
        }
    for (; k < depth; k++)
        TILE_UNROLL
        for (int t = 0; t < tokens; t++) {
            float lanes[SGTI_LANES];
            for (int i = 0; i < SGTI_LANES; i++)
                lanes[i] = rows[t][i][k];
            sum[t] = sgti_v16_fma(sgti_v16_set(x[t][k]), sgti_v16_load(lanes), sum[t]);
        }
}

/* A step of the inputs: some groups, some columns from `col` on. */
typedef struct units_step {
    units_rows w;
    ptrdiff_t group;
    ptrdiff_t lanes;
    ptrdiff_t col;
    ptrdiff_t cols;
    float *chain;  /* [rows, 16]: sums of the piece so far */
    float *copied; /* [UNITS_TOKENS, 16, SGTI_UNITS_COLS], for rows of bf16 */
} units_step;

/* The rows that token n chose, from the step's first column on. Lanes without a group get the first
 * one's, to have something to compute with. */
static inline void units_chosen(const float **rows, const sgti_units_part *p,
                                const units_step *step, ptrdiff_t n, float *copied)
{
    const int32_t *choice = p->choice + n * p->choice_row + step->group;
    for (ptrdiff_t i = 0; i < step->lanes; i++) {
        const char *row = units_row(&step->w, i * p->units + choice[i]);
        if (step->w.is_bf16) {
            const units_rows one = {row, 0, 1};
            units_pack(copied + i * SGTI_UNITS_COLS, &one, 1, step->col, step->cols);
            rows[i] = copied + i * SGTI_UNITS_COLS;
        } else {
            rows[i] = (const float *)(const void *)row + (p->is_packed ? 0 : step->col);
        }
    }
    for (ptrdiff_t i = step->lanes; i < SGTI_UNITS_GROUPS; i++)
        rows[i] = rows[0];
}

/* The step for tokens n .. n + tokens - 1; tokens is a constant where this is inlined. */
static inline __attribute__((always_inline)) void
units_step_of(const sgti_units_part *p, const units_step *step, ptrdiff_t n, int tokens)
{
    const float *rows[UNITS_TOKENS][SGTI_UNITS_GROUPS];
    const float *x[UNITS_TOKENS];
    sgti_v16 sum[UNITS_TOKENS];
    ptrdiff_t end = step->col + step->cols;

    for (int t = 0; t < tokens; t++) {
        units_chosen(rows[t], p, step, n + t,
                     step->copied + t * SGTI_UNITS_GROUPS * SGTI_UNITS_COLS);
        x[t] = p->x + (n + t) * p->x_row + step->col;
        sum[t] = step->col % GEMM_DEPTH == 0 ? sgti_v16_zero()
                                             : sgti_v16_load(step->chain + (n + t) * SGTI_LANES);
    }
    units_dots(sum, x, (const float *const (*)[SGTI_UNITS_GROUPS])rows, step->cols, tokens);
    for (int t = 0; t < tokens; t++) {
        float *a = p->a + (n + t) * p->a_row + step->group;
        if (end % GEMM_DEPTH != 0 && end < p->cols)
            sgti_v16_store(step->chain + (n + t) * SGTI_LANES, sum[t]);
        else if (step->col < GEMM_DEPTH)
            units_store(a, step->lanes, sum[t]);
        else
            units_store(a, step->lanes,
                        sgti_v16_add(units_load(a, 0, step->lanes, 0), sum[t]));
    }
}

static void units_step_rows(const sgti_units_part *p, const units_step *step)
{
    ptrdiff_t n = 0;
    for (; n + UNITS_TOKENS <= p->rows; n += UNITS_TOKENS)
        units_step_of(p, step, n, UNITS_TOKENS);
    for (; n < p->rows; n++)
        units_step_of(p, step, n, 1);
}

/* Rows that are multiplied side by side, while as many others come from memory. */
#define UNITS_AHEAD 4

/* Row number `index` of those that the tokens chose, group by group. */
static inline const char *units_listed(const sgti_units_part *p, const units_rows *w,
                                       ptrdiff_t index)
{
    ptrdiff_t s = index / p->rows, n = index % p->rows;
    return units_row(w, s * p->units + p->choice[n * p->choice_row + s]);
}

/* `count` dot products as in few_rows_tile.h, of listed rows from `index` on. */
static inline __attribute__((always_inline)) void
units_few_of(const sgti_units_part *p, const units_rows *w, ptrdiff_t index, int count, int is_bf16)
{
    const ptrdiff_t turn = FEW_CHAINS * SGTI_PIECE_LANES, bytes = is_bf16 ? 2 : 4;
    const ptrdiff_t last = p->rows * p->groups - 1;
    sgti_few_rows_part dot[UNITS_AHEAD];
    sgti_piece sum[UNITS_AHEAD][FEW_CHAINS] = {0};
    const char *next[UNITS_AHEAD];
    for (int r = 0; r < count; r++) {
        ptrdiff_t s = (index + r) / p->rows, n = (index + r) % p->rows;
        dot[r] = (sgti_few_rows_part){.depth = p->cols,
                                      .alpha = 1.0f,
                                      .a = p->x + n * p->x_row,
                                      .b = units_listed(p, w, index + r),
                                      .c = p->a + n * p->a_row + s};
        next[r] = units_listed(p, w, units_least(index + count + r, last));
    }
    ptrdiff_t k = 0;
    for (; k + turn <= p->cols; k += turn)
        TILE_UNROLL
        for (int r = 0; r < count; r++) {
            units_ask(next[r] + k * bytes, turn * bytes);
            TILE_UNROLL
            for (int c = 0; c < FEW_CHAINS; c++)
                sum[r][c] += tile_load(dot[r].a + k + c * SGTI_PIECE_LANES) *
                             few_load(dot[r].b, k + c * SGTI_PIECE_LANES, is_bf16);
        }
    if (k + SGTI_PIECE_LANES <= p->cols) {
        for (int r = 0; r < count; r++)
            sum[r][0] += tile_load(dot[r].a + k) * few_load(dot[r].b, k, is_bf16);
        k += SGTI_PIECE_LANES;
    }
    for (int r = 0; r < count; r++)
        few_store(&dot[r], 0, 0, k, sum[r], is_bf16);
}

/* One dot product for each token and group. */
static inline __attribute__((always_inline)) void units_few(const sgti_units_part *p, int is_bf16)
{
    const units_rows w = units_of(p, 0);
    const ptrdiff_t count = p->rows * p->groups;
    ptrdiff_t i = 0;
    for (; i < units_least(count, UNITS_AHEAD); i++)
        units_ask(units_listed(p, &w, i), p->cols * (is_bf16 ? 2 : 4));
    for (i = 0; i + UNITS_AHEAD <= count; i += UNITS_AHEAD)
        units_few_of(p, &w, i, UNITS_AHEAD, is_bf16);
    for (; i < count; i++)
        units_few_of(p, &w, i, 1, is_bf16);
}

static void unit_inputs_part(const sgti_units_part *p, void *scratch)
{
    if (!scratch) {
        if (p->weight_is_bf16)
            units_few(p, 1);
        else
            units_few(p, 0);
        return;
    }
    float *block = scratch;
    units_step step = {.chain = block + UNITS_BLOCK_FLOATS, .copied = block};
    for (step.group = 0; step.group < p->groups; step.group += SGTI_UNITS_GROUPS) {
        step.lanes = units_least(p->groups - step.group, SGTI_UNITS_GROUPS);
        for (step.col = 0; step.col < p->cols; step.col += SGTI_UNITS_COLS) {
            step.cols = units_least(p->cols - step.col, SGTI_UNITS_COLS);
            step.w = units_of(p, step.group * p->units);
            if (p->is_packed)
                step.w = units_pack(block, &step.w, step.lanes * p->units, step.col, step.cols);
            units_step_rows(p, &step);
        }
    }
}

#endif
