/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The product. C is cut into tiles, and each tile is one call of BLIS on one thread. The cut
 * depends on the shape only, so that results do not depend on the number of threads. BLIS ends the
 * process on strides that it finds inconsistent; so such a call is declined, and so is every call
 * in a forked child that cannot rely on BLIS.
 */
#include "blis_private.h"

#include <string.h>

#include "../../base/integers.h"

typedef struct operand {
    float *data;
    int64_t rows;
    int64_t columns;
    int64_t row_stride;
    int64_t column_stride;
    int64_t batch_stride;
} operand;

typedef struct product {
    const sgti_blis *blis;
    operand a;
    operand b;
    operand c;
    operand d; /* data NULL: C itself, or not read */
    float alpha;
    float beta;
    int64_t tile_rows;
    int64_t tile_columns;
} product;

/* ---- operands ---- */

/* A matrix as BLIS takes it. The stride of a dimension with one element says nothing about memory
 * and may be anything; it is replaced by one that BLIS accepts. */
static operand operand_of(const sgt_tensor *tensor)
{
    int32_t row = tensor->rank - 2;
    operand x = {
        .data = (float *)(void *)tensor->buffer + tensor->offset,
        .rows = tensor->shape[row],
        .columns = tensor->shape[row + 1],
        .row_stride = tensor->strides[row],
        .column_stride = tensor->strides[row + 1],
        .batch_stride = tensor->rank == 3 ? tensor->strides[0] : 0,
    };
    if (x.rows == 1)
        x.row_stride = x.column_stride == 1 ? x.columns : 1;
    else if (x.columns == 1)
        x.column_stride = x.row_stride == 1 ? x.rows : 1;
    return x;
}

static operand transposed(operand x)
{
    operand y = x;
    y.rows = x.columns;
    y.columns = x.rows;
    y.row_stride = x.column_stride;
    y.column_stride = x.row_stride;
    return y;
}

/* 1 when BLIS takes these strides: contiguous in one dimension, and rows or columns do not
 * overlap. */
static int is_matrix(const operand *x)
{
    return (x->column_stride == 1 && x->row_stride >= x->columns) ||
           (x->row_stride == 1 && x->column_stride >= x->rows);
}

static float *element(const operand *x, int64_t batch, int64_t row, int64_t column)
{
    return x->data + batch * x->batch_stride + row * x->row_stride + column * x->column_stride;
}

/* ---- the cut ---- */

/*
 * Large tiles run fast, and many tiles keep all threads busy. The cut aims at up to MOST_TILES
 * tiles of about TILE_WORK multiply-adds each. Sides are cut to at most TILE_ROWS and TILE_COLUMNS,
 * and as a rule not below TILE_LEAST. C is stored by rows here, and columns are cut before rows:
 * BLIS packs less for a narrow tile than for a low one. Tiles are multiples of 12 rows and 32
 * columns, which the kernels' own tiles divide.
 */
#define MOST_TILES  8
#define TILE_WORK   (1 << 25)
#define TILE_LEAST  256
#define TILE_ROWS   512
#define TILE_COLUMNS 1024
#define SPLIT_WORK  (1 << 22) /* below this a product is one part */

static int64_t even_tile(int64_t extent, int64_t tiles, int64_t unit)
{
    return sgti_min_i64(extent, sgti_ceil_div(sgti_ceil_div(extent, tiles), unit) * unit);
}

/* Chooses how many tiles are wanted from the work; cuts columns, then rows, until there are as
 * many; and cuts a product in two that is worth it but too small for the limits. */
static void cut(product *job)
{
    int64_t m = job->c.rows, n = job->c.columns;
    double work = (double)m * (double)n * (double)job->a.columns;
    int64_t wanted = work < SPLIT_WORK       ? 1
                     : work < 2.0 * TILE_WORK ? 2
                     : work < (double)MOST_TILES * TILE_WORK ? (int64_t)(work / TILE_WORK)
                                                             : MOST_TILES;
    int64_t down = 1, across = 1;
    if (wanted > 1) {
        down = sgti_ceil_div(m, TILE_ROWS);
        across = sgti_ceil_div(n, TILE_COLUMNS);
        while (down * across < wanted && n / (across + 1) >= TILE_LEAST)
            across++;
        while (down * across < wanted && m / (down + 1) >= TILE_LEAST)
            down++;
        if (down * across == 1) {
            if (n >= m)
                across = 2;
            else
                down = 2;
        }
    }
    job->tile_rows = even_tile(m, down, 12);
    job->tile_columns = even_tile(n, across, 32);
}

/* ---- one part ---- */

static void copy_tile(const operand *y, const operand *x, int64_t batch, int64_t row,
                      int64_t column, int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++) {
        float *to = element(y, batch, row + i, column);
        const float *from = element(x, batch, row + i, column);
        if (x->column_stride == 1) {
            memcpy(to, from, (size_t)columns * sizeof *to);
        } else {
            for (int64_t j = 0; j < columns; j++)
                to[j] = from[j * x->column_stride];
        }
    }
}

/* Computes one tile. BLIS adds to C only, so where there is another D, its tile is copied to C
 * first. */
static void gemm_part(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const product *job = argument;
    int64_t down = sgti_ceil_div(job->c.rows, job->tile_rows);
    int64_t across = sgti_ceil_div(job->c.columns, job->tile_columns);
    int64_t batch = part / (down * across);
    int64_t row = part / across % down * job->tile_rows;
    int64_t column = part % across * job->tile_columns;
    int64_t rows = sgti_min_i64(job->tile_rows, job->c.rows - row);
    int64_t columns = sgti_min_i64(job->tile_columns, job->c.columns - column);
    if (job->d.data != NULL)
        copy_tile(&job->c, &job->d, batch, row, column, rows, columns);
    float alpha = job->alpha, beta = job->beta;
    rntm_t runtime = BLIS_RNTM_INITIALIZER;
    bli_rntm_set_num_threads(1, &runtime);
    sgti_blis_enter();
    bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, rows, columns, job->a.columns, &alpha,
                 element(&job->a, batch, row, 0), job->a.row_stride, job->a.column_stride,
                 element(&job->b, batch, 0, column), job->b.row_stride, job->b.column_stride,
                 &beta, element(&job->c, batch, row, column), job->c.row_stride,
                 job->c.column_stride, job->blis->context, &runtime);
    sgti_blis_leave();
}

int32_t sgti_blis_gemm(void *instance, const sgt_gemm_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(gemm), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_blis *blis = instance;
    product job = {
        .blis = blis,
        .a = operand_of(args->a),
        .b = operand_of(args->b),
        .c = operand_of(args->c),
        .alpha = args->alpha,
        .beta = args->beta,
    };
    if (args->d != NULL && args->beta != 0) {
        job.d = operand_of(args->d);
        if (job.d.data == job.c.data)
            job.d.data = NULL;
    }
    if (!is_matrix(&job.a) || !is_matrix(&job.b) || !is_matrix(&job.c) || !sgti_blis_is_usable())
        return SGT_E_UNSUPPORTED;
    /* The cut wants a C stored by rows; of one stored by columns the transpose is computed. */
    if (job.c.column_stride != 1) {
        operand a = job.a;
        job.a = transposed(job.b);
        job.b = transposed(a);
        job.c = transposed(job.c);
        job.d = transposed(job.d);
    }
    cut(&job);
    int64_t batches = args->c->rank == 3 ? args->c->shape[0] : 1;
    int64_t parts = batches * sgti_ceil_div(job.c.rows, job.tile_rows) *
                    sgti_ceil_div(job.c.columns, job.tile_columns);
    blis->services->parallel_for(blis->host, parts, gemm_part, &job);
    return 0;
}
