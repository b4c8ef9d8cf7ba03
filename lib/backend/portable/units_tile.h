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

/* Copies `rows` rows of at most SGTI_UNITS_COLS columns together, as float32. */
static inline __attribute__((always_inline)) void units_copy(float *target, const units_rows *w,
                                                             ptrdiff_t rows, ptrdiff_t col,
                                                             ptrdiff_t cols, int is_bf16)
{
    for (ptrdiff_t i = 0; i < rows; i++) {
        const char *row = units_row(w, i);
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

/* ---- inputs ---- */

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

/* Four columns from k on of every fourth row: those of lanes 0, 4, .. */
static inline sgti_piece units_quads(const float *const *rows, ptrdiff_t k)
{
#if SGTI_PIECE_LANES == 16
    typedef float octet __attribute__((vector_size(32)));
    octet low = __builtin_shufflevector(quad_load(rows[0] + k), quad_load(rows[4] + k), 0, 1, 2, 3,
                                        4, 5, 6, 7);
    octet high = __builtin_shufflevector(quad_load(rows[8] + k), quad_load(rows[12] + k), 0, 1, 2,
                                         3, 4, 5, 6, 7);
    return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
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

/* One dot product for each token and group. */
static void units_few(const sgti_units_part *p)
{
    const units_rows w = units_of(p, 0);
    for (ptrdiff_t n = 0; n < p->rows; n++)
        for (ptrdiff_t s = 0; s < p->groups; s++) {
            const int32_t chosen = p->choice[n * p->choice_row + s];
            const sgti_few_rows_part dot = {
                .rows = 1,
                .cols = 1,
                .depth = p->cols,
                .alpha = 1.0f,
                .a = p->x + n * p->x_row,
                .b = units_row(&w, s * p->units + chosen),
                .b_is_bf16 = p->weight_is_bf16,
                .c = p->a + n * p->a_row + s,
            };
            few_rows_part(&dot);
        }
}

static void unit_inputs_part(const sgti_units_part *p, void *scratch)
{
    if (!scratch) {
        units_few(p);
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

/* ---- outputs ---- */

/* Vectors of a token's columns whose sums are in registers, eight of them. */
#define UNITS_VECTORS (8 / SGTI_PIECES)

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

/* The columns [col, end) of every token. */
static inline __attribute__((always_inline)) void units_add_rows(const sgti_units_part *p,
                                                                 const units_range *range,
                                                                 ptrdiff_t col, ptrdiff_t end,
                                                                 int is_bf16)
{
    const ptrdiff_t whole = UNITS_VECTORS * SGTI_LANES;
    for (ptrdiff_t n = 0; n < p->rows; n++) {
        ptrdiff_t j = col;
        for (; j + whole <= end; j += whole)
            units_add(p, range, n, j, UNITS_VECTORS, SGTI_LANES, is_bf16);
        for (; j + SGTI_LANES <= end; j += SGTI_LANES)
            units_add(p, range, n, j, 1, SGTI_LANES, is_bf16);
        if (j < end)
            units_add(p, range, n, j, 1, end - j, is_bf16);
    }
}

static void unit_outputs_part(const sgti_units_part *p, void *scratch)
{
    ptrdiff_t units = p->groups * p->units;
    if (!p->is_packed) {
        const units_range range = {.w = units_of(p, 0), .end = units};
        if (range.w.is_bf16)
            units_add_rows(p, &range, 0, p->cols, 1);
        else
            units_add_rows(p, &range, 0, p->cols, 0);
        return;
    }
    for (ptrdiff_t col = 0; col < p->cols; col += SGTI_UNITS_COLS) {
        ptrdiff_t cols = units_least(p->cols - col, SGTI_UNITS_COLS);
        units_range range = {.col = col};
        for (; range.begin < units; range.begin = range.end) {
            range.end = units_least(range.begin + UNITS_BLOCK_UNITS, units);
            const units_rows w = units_of(p, range.begin);
            range.w = units_pack(scratch, &w, range.end - range.begin, col, cols);
            units_add_rows(p, &range, col, col + cols, 0);
        }
    }
}

/* ---- gradients ---- */

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
