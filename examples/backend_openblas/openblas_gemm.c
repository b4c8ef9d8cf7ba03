/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * C = alpha A B + beta D by sgemm. C is cut into tiles, each one call of OpenBLAS on one of the
 * context's threads. The cut depends on the shape alone, so results do not depend on the number
 * of threads.
 */
#include "openblas_backend.h"

#include <limits.h>
#include <pthread.h>

#include <cblas.h>

/* A matrix as sgt_tensor has it: any strides. */
typedef struct matrix {
    float *data;
    int64_t rows;
    int64_t columns;
    int64_t row_stride;
    int64_t column_stride;
    int64_t batch_stride;
} matrix;

typedef struct product {
    matrix a;
    matrix b;
    matrix c;
    matrix d; /* data NULL: C itself, or not read */
    float alpha;
    float beta;
    int64_t tile_rows;
    int64_t tile_columns;
    int one_at_a_time;
} product;

/* ---- operands ---- */

/* The stride of a dimension of one element means nothing: it becomes that of a dense matrix. */
static matrix matrix_of(const sgt_tensor *tensor)
{
    const int32_t row = tensor->rank - 2;
    matrix x = {
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

static matrix transposed(matrix x)
{
    const matrix y = {.data = x.data,
                      .rows = x.columns,
                      .columns = x.rows,
                      .row_stride = x.column_stride,
                      .column_stride = x.row_stride,
                      .batch_stride = x.batch_stride};
    return y;
}

/* What BLAS takes: one stride 1, the other at least as long as the rows or columns, 32 bits. */
static int suits(const matrix *x)
{
    if (x->rows > INT_MAX || x->columns > INT_MAX || x->row_stride > INT_MAX ||
        x->column_stride > INT_MAX)
        return 0;
    return (x->column_stride == 1 && x->row_stride >= x->columns) ||
           (x->row_stride == 1 && x->column_stride >= x->rows);
}

static int by_rows(const matrix *x)
{
    return x->column_stride == 1 && x->row_stride >= x->columns;
}

static float *element(const matrix *x, int64_t batch, int64_t row, int64_t column)
{
    return x->data + batch * x->batch_stride + row * x->row_stride + column * x->column_stride;
}

/* ---- parts ---- */

#define TILE_ROWS    256
#define TILE_COLUMNS 512

static int64_t tiles(int64_t extent, int64_t tile)
{
    return (extent + tile - 1) / tile;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void copy_tile(const product *job, int64_t batch, int64_t row, int64_t column,
                      int64_t rows, int64_t columns)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++)
            *element(&job->c, batch, row + i, column + j) =
                *element(&job->d, batch, row + i, column + j);
    }
}

/* OpenBLAS is one for the whole process. Built without threads it has no locks either: two callers
 * get the same buffer, and now and then wrong sums. */
static pthread_mutex_t openblas = PTHREAD_MUTEX_INITIALIZER;

/* C is stored by rows here. */
static void multiply_tile(void *argument, int64_t part, int32_t thread)
{
    const product *job = argument;
    const int64_t down = tiles(job->c.rows, job->tile_rows);
    const int64_t across = tiles(job->c.columns, job->tile_columns);
    const int64_t batch = part / (down * across);
    const int64_t row = part / across % down * job->tile_rows;
    const int64_t column = part % across * job->tile_columns;
    const int64_t rows = least(job->tile_rows, job->c.rows - row);
    const int64_t columns = least(job->tile_columns, job->c.columns - column);
    const int a_by_rows = by_rows(&job->a), b_by_rows = by_rows(&job->b);
    (void)thread;
    if (job->d.data != NULL)
        copy_tile(job, batch, row, column, rows, columns);
    if (job->one_at_a_time)
        pthread_mutex_lock(&openblas);
    cblas_sgemm(CblasRowMajor, a_by_rows ? CblasNoTrans : CblasTrans,
                b_by_rows ? CblasNoTrans : CblasTrans, (int)rows, (int)columns,
                (int)job->a.columns, job->alpha, element(&job->a, batch, row, 0),
                (int)(a_by_rows ? job->a.row_stride : job->a.column_stride),
                element(&job->b, batch, 0, column),
                (int)(b_by_rows ? job->b.row_stride : job->b.column_stride), job->beta,
                element(&job->c, batch, row, column), (int)job->c.row_stride);
    if (job->one_at_a_time)
        pthread_mutex_unlock(&openblas);
}

int32_t openblas_gemm(void *instance, const sgt_gemm_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(gemm), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const openblas_backend *self = instance;
    const int64_t batches = args->c->rank == 3 ? args->c->shape[0] : 1;
    product job = {
        .a = matrix_of(args->a),
        .b = matrix_of(args->b),
        .c = matrix_of(args->c),
        .alpha = args->alpha,
        .beta = args->beta,
        .tile_rows = TILE_ROWS,
        .tile_columns = TILE_COLUMNS,
        .one_at_a_time = self->one_at_a_time,
    };
    if (args->d != NULL && args->beta != 0.0f)
        job.d = matrix_of(args->d);
    if (job.d.data == job.c.data)
        job.d.data = NULL;
    if (!suits(&job.a) || !suits(&job.b) || !suits(&job.c))
        return SGT_E_UNSUPPORTED; /* the portable kernels take it */
    if (!by_rows(&job.c)) { /* C' = B' A' is */
        const matrix a = job.a;
        job.a = transposed(job.b);
        job.b = transposed(a);
        job.c = transposed(job.c);
        job.d = transposed(job.d);
    }
    self->services->parallel_for(self->host,
                                 batches * tiles(job.c.rows, job.tile_rows) *
                                     tiles(job.c.columns, job.tile_columns),
                                 multiply_tile, &job);
    return SGT_OK;
}
