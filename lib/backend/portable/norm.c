/* SPDX-License-Identifier: BSD-3-Clause */
/* The sum of squares of pieces of a vector, in double. Each part makes a partial sum; these are
 * added in the order of the parts, whichever thread made them. */
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

static double sum_piece(const sgti_portable *portable, const float *x, int64_t count)
{
    job j = {.row = portable->row, .x = x, .count = count};
    j.per_part = sgti_ceil_div(j.count, MAX_PARTS);
    if (j.per_part < SGTI_PART_ELEMENTS)
        j.per_part = SGTI_PART_ELEMENTS;

    int64_t parts = sgti_ceil_div(j.count, j.per_part);
    sgti_run_parts(portable, parts, sum_part, &j);
    double sum = 0.0;
    for (int64_t part = 0; part < parts; part++)
        sum += j.partial[part];
    return sum;
}

int32_t sgti_portable_norm(void *instance, const sgt_norm_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(norm), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    double *result = (double *)(void *)args->sum->buffer + args->sum->offset;
    double sum = 0.0;
    for (int32_t i = 0; i < args->n_pieces; i++)
        sum += sum_piece(instance, sgti_data(args->x) + args->firsts[i], args->counts[i]);
    *result = sum;
    return SGT_OK;
}
