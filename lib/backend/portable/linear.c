/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The products of decoding: few rows of x times a whole weight matrix, which is read once. Parts
 * are small pieces of the matrix, so that all threads read memory until the end. The matrix is cut
 * into as many runs as there are threads, and parts take turns among the runs, so that a thread's
 * next piece mostly follows its last one: memory is read fastest in long runs.
 *
 *     parts in the order of the matrix, two threads   | 0 2 4 6 8 ..       | 1 3 5 7 9 ..       |
 *
 * An element is one dot product, so that results depend neither on the cut nor on the threads.
 */
#include "portable.h"

#include "matrix_kernels.h"
#include "parts.h"

/* The bytes of the matrix in a part: some microseconds of reading. */
#define PART_BYTES ((int64_t)64 << 10)

/* A matrix of fewer bytes is one part. */
#define ALONE_BYTES ((int64_t)256 << 10)

typedef struct linear {
    const sgti_portable *portable;
    sgti_few_rows_part whole;
    int64_t element_bytes;
    int64_t per_part; /* columns of the product */
    int64_t parts;
    int64_t runs;     /* stretches of the matrix between which parts take turns */
    int64_t per_run;  /* pieces in a run */
} linear;

static void run_part(void *argument, int64_t index, int32_t thread)
{
    const linear *work = argument;
    int64_t piece = index % work->runs * work->per_run + index / work->runs;
    int64_t first = piece * work->per_part;
    sgti_few_rows_part part = work->whole;
    (void)thread;
    if (piece >= work->parts)
        return;
    part.cols = sgti_part_end(piece, work->per_part, part.cols) - first;
    part.b = (const char *)part.b + first * part.b_col * work->element_bytes;
    part.c += first;
    if (part.d)
        part.d += first;
    work->portable->matrix->few_rows(&part);
}

int32_t sgti_portable_linear(void *instance, const sgt_linear_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(linear), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    const sgt_tensor *w = args->weight;
    int is_bf16 = w->dtype == SGT_BF16;
    if (args->x->shape[0] > SGTI_FEW_ROWS)
        return SGT_E_UNSUPPORTED;
    linear work = {
        .portable = portable,
        .element_bytes = is_bf16 ? 2 : 4,
        .whole =
            {
                .rows = args->x->shape[0],
                .cols = w->shape[0],
                .depth = w->shape[1],
                .alpha = 1.0f,
                .beta = 1.0f,
                .a = sgti_data(args->x),
                .a_row = args->x->strides[0],
                .b_col = w->strides[0],
                .b_is_bf16 = is_bf16,
                .c = sgti_data(args->y),
                .c_row = args->y->strides[0],
                .d = args->d ? sgti_data(args->d) : NULL,
                .d_row = args->d ? args->d->strides[0] : 0,
                .d_col = 1,
            },
    };
    work.whole.b =
        (const char *)(const void *)w->buffer + (int64_t)w->offset * work.element_bytes;
    /* A row of the matrix gives one column of y. */
    int64_t row_bytes = w->shape[1] * work.element_bytes;
    work.per_part = sgti_ceil_div(PART_BYTES, row_bytes);
    if (row_bytes * w->shape[0] < ALONE_BYTES)
        work.per_part = w->shape[0];
    work.parts = sgti_ceil_div(w->shape[0], work.per_part);
    work.runs = sgti_min_i64(portable->threads, work.parts);
    work.per_run = sgti_ceil_div(work.parts, work.runs);
    sgti_run_parts(portable, work.runs * work.per_run, run_part, &work);
    return SGT_OK;
}
