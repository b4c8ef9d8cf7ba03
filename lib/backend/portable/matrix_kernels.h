/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernels of matrix products and attention, compiled once per instruction set. Each works on one
 * part of an operation with the scratch of one thread; gemm.c, attention.c and
 * attention_backward.c cut operations into parts. Nothing here allocates or fails. An element of a
 * result is always summed in the same order, whichever part or thread computes it.
 */
#ifndef SGTI_MATRIX_KERNELS_H
#define SGTI_MATRIX_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "../../base/strict_math.h"
#include "../../core/patterns.h"

/* Scratch of a thread for any kernel of the table, aligned to 64 bytes. */
#define SGTI_MATRIX_SCRATCH_BYTES ((size_t)2 << 20)

/* The largest head dimension that the attention kernels take. */
#define SGTI_ATTENTION_MAX_HEAD_DIM 512

/*
 * Part of a product, C = alpha A B + beta D. The rows of C [rows,cols] are contiguous; A
 * [rows,depth] and B [depth,cols] each have one stride that is 1; D has any strides, is NULL for
 * beta 0, and may be C. Strides count floats: a_row is the step from one row of A to the next,
 * a_col from one column to the next, and so on.
 */
typedef struct sgti_gemm_part {
    int64_t rows;
    int64_t cols;
    int64_t depth;
    float alpha;
    float beta;
    const float *a;
    int64_t a_row;
    int64_t a_col;
    const float *b;
    int64_t b_row;
    int64_t b_col;
    float *c;
    int64_t c_row;
    const float *d;
    int64_t d_row;
    int64_t d_col;
} sgti_gemm_part;

/* Products of at most this many rows are computed as dot products. */
enum { SGTI_FEW_ROWS = 8 };

/* The same for few rows. The rows of A and the columns of B are contiguous, and B may be bf16. */
typedef struct sgti_few_rows_part {
    int64_t rows;
    int64_t cols;
    int64_t depth;
    float alpha;
    float beta;
    const float *a;
    int64_t a_row;
    const void *b;
    int64_t b_col;
    int32_t b_is_bf16;
    float *c;
    int64_t c_row;
    const float *d; /* NULL for beta 0 */
    int64_t d_row;
    int64_t d_col;
} sgti_few_rows_part;

/* Part of a copy: y[j * y_row + i] = x[i * x_row + j] for i below `rows`, j below `columns`. */
typedef struct sgti_turn_part {
    int64_t rows;
    int64_t columns;
    const float *x;
    int64_t x_row;
    float *y;
    int64_t y_row;
} sgti_turn_part;

/*
 * Part of a product with chosen rows of a weight matrix, as in sgt_units_args: some rows of x times
 * some groups of units, or some columns of x and of the weights. Pointers are at the first row,
 * group and column of the part; strides count elements.
 */
typedef struct sgti_units_part {
    int64_t rows;
    int64_t groups;
    int64_t units;
    int64_t cols; /* of x and of the weights */
    void *weight; /* only the gradients write it */
    int64_t weight_row;
    int32_t weight_is_bf16;
    int32_t is_packed; /* 1: blocks of the weights are copied into scratch, see below */
    const int32_t *choice;
    int64_t choice_row;
    float *a;
    int64_t a_row;
    float *x;
    int64_t x_row;
    const float *d; /* of the outputs; NULL: adds nothing */
    int64_t d_row;
} sgti_units_part;

/* Columns of a packed block, groups of a part of the inputs, the most units of a group whose block
 * is packed, the most rows of a part of the inputs and the most units of a group for gradients. */
enum {
    SGTI_UNITS_COLS = 128,
    SGTI_UNITS_GROUPS = 16,
    SGTI_UNITS_PACKED = 128,
    SGTI_UNITS_ROWS = 8192,
    SGTI_UNITS_MOST = 1 << 18
};

/* The most heads of a part of attention, its most rows in all (heads * rows), and how many keys the
 * kernels of attention and of its gradient take at a time, from the first key of a part on. */
enum { SGTI_ATTENTION_HEADS = 4, SGTI_ATTENTION_ROWS = 512, SGTI_ATTENTION_KEYS = 128 };

/* With smaller heads scratch has room for more rows, in all. */
static inline int64_t sgti_attention_room(int64_t head_dim)
{
    enum { VECTOR = 16 };
    int64_t width = (head_dim + VECTOR - 1) / VECTOR * VECTOR;
    return (int64_t)SGTI_ATTENTION_ROWS * SGTI_ATTENTION_MAX_HEAD_DIM / width;
}

/*
 * Part of attention: consecutive query rows of one sequence, for heads that read one key/value
 * head. Pointers are at the first row of the part and its first head; k and v at key 0.
 */
typedef struct sgti_attention_part {
    int64_t heads;
    int64_t rows;
    int64_t head_dim;
    int64_t visible; /* 1 + the position of the first row, the most keys that it can see */
    const sgt_attention_pattern *pattern; /* NULL: each row sees every key up to its own */
    int64_t ring;    /* rows of the ring that keys are in, as in sgt_attention_args */
    float scale;
    const float *q;
    int64_t q_row;
    int64_t q_head;
    const float *k;
    int64_t k_row;
    const float *v;
    int64_t v_row;
    float *out;
    int64_t out_row;
    int64_t out_head;
    const float *gains;   /* per head; NULL: ones */
    float *lse;           /* NULL: not wanted */
    int64_t lse_row;
    int64_t lse_head;
    double *entropy_sum;  /* per head, over rows, of entropy / ln(visible); NULL: no entropies */
    double *entropy_last; /* per head: the same of the last row of the part */
} sgti_attention_part;

/* The lists of keys of core/patterns.h. */
enum { SGTI_KEYS_NEAR = 1, SGTI_KEYS_STRIDED = 2, SGTI_KEYS_SUMMARY = 4, SGTI_KEYS_LISTED = 7 };

/*
 * Part of the gradient of attention over one key/value head of one sequence: all pairs of a query
 * in [query_begin, query_end) and a key in [key_begin, key_end) of a list that it sees. Pointers
 * are at position 0 and the first head; strides are as in the forward. Near keys come first and
 * begin all gradients; what is strided and what are summaries add to them, in this order.
 */
typedef struct sgti_attention_backward_part {
    int64_t heads;
    int64_t head_dim;
    const sgt_attention_pattern *pattern; /* NULL: a query sees every key up to its own */
    int32_t lists;       /* which ones; without a pattern all keys are near */
    int64_t query_begin; /* strided keys are for all queries */
    int64_t query_end;
    int64_t key_begin;   /* of near keys their positions, of summaries their numbers in the list */
    int64_t key_end;
    int64_t place_begin; /* of strided keys their places in the stride; the end may be beyond */
    int64_t place_end;
    float scale;
    const float *gains; /* per head; NULL: ones */
    const float *q;
    int64_t q_row;
    int64_t q_head;
    const float *k;
    int64_t k_row;
    const float *v;
    int64_t v_row;
    const float *out;
    int64_t out_row;
    int64_t out_head;
    const float *dout;
    int64_t dout_row;
    int64_t dout_head;
    const float *lse;
    int64_t lse_row;
    int64_t lse_head;
    /* dq of the queries; NULL: not wanted. It is whole if no key that these queries see is left out
     * and, without a pattern, key_begin is 0. */
    float *dq;
    int64_t dq_row;
    int64_t dq_head;
    /* dk and dv of the keys; both NULL: not wanted. They are whole if no query that sees these keys
     * is left out. */
    float *dk;
    int64_t dk_row;
    float *dv;
    int64_t dv_row;
} sgti_attention_backward_part;

typedef struct sgti_matrix_kernels {
    const char *isa;
    void (*gemm)(const sgti_gemm_part *part, void *scratch);
    void (*few_rows)(const sgti_few_rows_part *part);
    void (*turn)(const sgti_turn_part *part, void *scratch);
    void (*unit_inputs)(const sgti_units_part *part, void *scratch);
    void (*unit_outputs)(const sgti_units_part *part, void *scratch);
    void (*unit_gradients)(const sgti_units_part *part, void *scratch);
    void (*attention)(const sgti_attention_part *part, void *scratch);
    void (*attention_backward)(const sgti_attention_backward_part *part, void *scratch);
} sgti_matrix_kernels;

/* matrix_kernels.c gives the table of SGTI_ISA; only baseline exists for every processor. */
extern const sgti_matrix_kernels sgti_matrix_kernels_baseline;
extern const sgti_matrix_kernels sgti_matrix_kernels_avx2;
extern const sgti_matrix_kernels sgti_matrix_kernels_avx512;

#endif
