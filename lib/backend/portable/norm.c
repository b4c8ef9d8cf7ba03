/* SPDX-License-Identifier: BSD-3-Clause */
/* The sum of squares of a dense tensor, in double, as partial sums added in order. */
#include "../../core/tensors.h"
#include "parts.h"
#include "row_kernels.h"

#define MAX_PARTS 256

typedef struct job {
    const sgti_row_kernels *row;
    const float *x;
    int64_t count;
    int64_t per_part;
    double partial[MAX_PARTS];
} job;

static void sum_part(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    job *j = argument;
    int64_t first = part * j->per_part;
    int64_t end = sgti_part_end(part, j->per_part, j->count);
    j->partial[part] = j->row->sum_of_squares(j->x + first, (size_t)(end - first));
}

int32_t sgti_portable_norm(void *instance, const sgt_norm_args *args)
{
    const sgti_portable *portable = instance;
    job j = {
        .row = portable->row,
        .x = sgti_data(args->x),
        .count = sgti_tensor_count(args->x),
    };
    j.per_part = sgti_ceil_div(j.count, MAX_PARTS);
    if (j.per_part < SGTI_PART_ELEMENTS)
        j.per_part = SGTI_PART_ELEMENTS;

    int64_t parts = sgti_ceil_div(j.count, j.per_part);
    sgti_run_parts(portable, parts, sum_part, &j);
    double sum = 0.0;
    for (int64_t part = 0; part < parts; part++)
        sum += j.partial[part];
    *args->sum_of_squares = sum;
    return SGT_OK;
}
