/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies between a matrix that lies by rows and one that lies by columns. Such a copy touches a
 * cache line for each element of one side; so squares are turned in scratch, and whole lines of
 * both sides are read and written.
 */
#include "turn.h"

#include "matrix_kernels.h"
#include "parts.h"

#define STRIP_ROWS 64 /* rows of x in a part */

/* Smaller copies are not worth it. */
#define LEAST_SIDE 16

typedef struct job {
    const sgti_portable *portable;
    sgti_turn_part whole;
} job;

static void turn_strip(void *argument, int64_t part, int32_t thread)
{
    const job *j = argument;
    const int64_t first = part * STRIP_ROWS;
    sgti_turn_part strip = j->whole;
    strip.rows = sgti_part_end(part, STRIP_ROWS, j->whole.rows) - first;
    strip.x += first * strip.x_row;
    strip.y += first;
    j->portable->matrix->turn(&strip, sgti_thread_scratch(j->portable, thread));
}

int sgti_turn(const sgti_portable *portable, const sgt_tensor *y, const sgt_tensor *x)
{
    if (y->rank != 2 || y->dtype != SGT_F32 || y->shape[0] < LEAST_SIDE ||
        y->shape[1] < LEAST_SIDE)
        return 0;
    const int by_rows = y->strides[1] == 1 && x->strides[0] == 1 && x->strides[1] != 1;
    const int by_columns = y->strides[0] == 1 && x->strides[1] == 1 && y->strides[1] != 1;
    if (!by_rows && !by_columns)
        return 0;
    const int columns = by_rows ? 1 : 0; /* the dimension that runs along the lines of y */
    const job j = {
        .portable = portable,
        .whole = {.rows = y->shape[columns],
                  .columns = y->shape[1 - columns],
                  .x = sgti_data(x),
                  .x_row = x->strides[columns],
                  .y = sgti_data(y),
                  .y_row = y->strides[1 - columns]},
    };
    sgti_run_parts(portable, sgti_ceil_div(j.whole.rows, STRIP_ROWS), turn_strip, (void *)&j);
    return 1;
}
