/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The matrix product of the portable backend. It cuts C into parts by its shape and hands them to
 * the kernel. Each part packs what it reads of A and B for itself, so small parts would pack the
 * same matrix many times. No part shares the sum of an element with another, so the result is the
 * same for any number of threads.
 */
#include "portable.h"

#include "matrix_kernels.h"
#include "parts.h"

/* These give enough parts for a few cores, and none so small that packing B takes most of it. */
enum { WANTED_PARTS = 8, MIN_ROWS = 192, MIN_COLS = 256, MAX_ROWS = 1536, MAX_COLS = 1024 };

/* Parts of fewer multiply-adds than this are not halved: waking a thread would cost more. */
#define MIN_PART_WORK ((int64_t)1 << 21)

/* Edges of parts are multiples of these, which are whole tiles of every instruction set. */
enum { ROW_STEP = 6, COL_STEP = 64 };

typedef struct product {
    const sgti_portable *portable;
    sgti_gemm_part whole;
    int64_t a_batch;
    int64_t b_batch;
    int64_t c_batch;
    int64_t d_batch;
    int64_t part_rows;
    int64_t part_cols;
    int64_t row_parts;
    int64_t col_parts;
} product;

static void swap(int64_t *a, int64_t *b)
{
    int64_t kept = *a;
    *a = *b;
    *b = kept;
}

/* C^T = B^T A^T: kernels write rows of C, so for a C that lies by columns this is what they do. */
static void transpose_product(product *p)
{
    sgti_gemm_part old = p->whole;
    p->whole.a = old.b;
    p->whole.a_row = old.b_col;
    p->whole.a_col = old.b_row;
    p->whole.b = old.a;
    p->whole.b_row = old.a_col;
    p->whole.b_col = old.a_row;
    swap(&p->whole.rows, &p->whole.cols);
    swap(&p->whole.d_row, &p->whole.d_col);
    swap(&p->a_batch, &p->b_batch);
}

/* Returns the size of even pieces of `total`, about `size` each and a multiple of `step`. */
static int64_t even_pieces(int64_t *pieces, int64_t total, int64_t size, int64_t step)
{
    int64_t piece = sgti_ceil_div(sgti_ceil_div(total, sgti_ceil_div(total, size)), step) * step;
    *pieces = sgti_ceil_div(total, piece);
    return piece;
}

/* Halves the larger side of the parts until there are enough of them, or until they would be too
 * small; then makes the parts of each side even. */
static void cut(product *p, int64_t batches)
{
    int64_t m = p->whole.rows;
    int64_t n = p->whole.cols;
    int64_t rows = sgti_min_i64(m, MAX_ROWS);
    int64_t cols = sgti_min_i64(n, MAX_COLS);

    for (;;) {
        int64_t parts = batches * sgti_ceil_div(m, rows) * sgti_ceil_div(n, cols);
        if (parts >= WANTED_PARTS || rows * cols * p->whole.depth < MIN_PART_WORK)
            break;
        if (rows >= 2 * MIN_ROWS && (rows >= cols || cols < 2 * MIN_COLS))
            rows = sgti_ceil_div(rows, 2);
        else if (cols >= 2 * MIN_COLS)
            cols = sgti_ceil_div(cols, 2);
        else
            break;
    }
    p->part_rows = even_pieces(&p->row_parts, m, rows, ROW_STEP);
    p->part_cols = even_pieces(&p->col_parts, n, cols, COL_STEP);
}

static void run_part(void *argument, int64_t index, int32_t thread)
{
    const product *p = argument;
    int64_t batch = index / (p->row_parts * p->col_parts);
    int64_t row = index / p->col_parts % p->row_parts * p->part_rows;
    int64_t col = index % p->col_parts * p->part_cols;

    sgti_gemm_part part = p->whole;
    part.rows = sgti_min_i64(part.rows - row, p->part_rows);
    part.cols = sgti_min_i64(part.cols - col, p->part_cols);
    part.a += batch * p->a_batch + row * part.a_row;
    part.b += batch * p->b_batch + col * part.b_col;
    part.c += batch * p->c_batch + row * part.c_row + col;
    if (part.d)
        part.d += batch * p->d_batch + row * part.d_row + col * part.d_col;
    p->portable->matrix->gemm(&part, sgti_thread_scratch(p->portable, thread));
}

int32_t sgti_portable_gemm(void *instance, const sgt_gemm_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(gemm), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    const sgt_tensor *a = args->a;
    const sgt_tensor *b = args->b;
    const sgt_tensor *c = args->c;
    const sgt_tensor *d = args->beta == 0.0f ? NULL : args->d ? args->d : c;
    int32_t row = c->rank - 2;
    int32_t col = c->rank - 1;
    int batched = c->rank == 3;
    int64_t batches = batched ? c->shape[0] : 1;

    product p = {
        .portable = portable,
        .whole =
            {
                .rows = c->shape[row],
                .cols = c->shape[col],
                .depth = a->shape[col],
                .alpha = args->alpha,
                .beta = args->beta,
                .a = sgti_data(a),
                .a_row = a->strides[row],
                .a_col = a->strides[col],
                .b = sgti_data(b),
                .b_row = b->strides[row],
                .b_col = b->strides[col],
                .c = sgti_data(c),
                .c_row = c->strides[row],
                .d = d ? sgti_data(d) : NULL,
                .d_row = d ? d->strides[row] : 0,
                .d_col = d ? d->strides[col] : 0,
            },
        .a_batch = batched ? a->strides[0] : 0,
        .b_batch = batched ? b->strides[0] : 0,
        .c_batch = batched ? c->strides[0] : 0,
        .d_batch = batched && d ? d->strides[0] : 0,
    };
    /* Kernels take a C whose rows are contiguous; of the other kind they compute the transpose. */
    if (c->strides[col] != 1) {
        p.whole.c_row = c->strides[col];
        transpose_product(&p);
    }
    cut(&p, batches);
    portable->services->parallel_for(portable->host, batches * p.row_parts * p.col_parts, run_part,
                                     &p);
    return SGT_OK;
}
