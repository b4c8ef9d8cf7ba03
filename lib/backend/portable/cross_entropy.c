/* SPDX-License-Identifier: BSD-3-Clause */
/* Softmax cross-entropy of rows of logits, with the gradient of the sum of all losses. A row with a
 * target below 0 is left out: its loss and its gradient are 0. */
#include <string.h>

#include "parts.h"
#include "row_kernels.h"

typedef struct job {
    const sgti_row_kernels *row;
    const float *logits; /* (R,V) */
    const int32_t *targets;
    float *losses;
    float *dlogits; /* (R,V) or NULL */
    int64_t logits_stride;
    int64_t dlogits_stride;
    int64_t rows;
    int64_t vocabulary;
    int64_t rows_per_part;
} job;

static void rows_of_part(void *argument, int64_t part, int32_t thread)
{
    (void)thread;
    const job *j = argument;
    const size_t vocabulary = (size_t)j->vocabulary;
    int64_t end = sgti_part_end(part, j->rows_per_part, j->rows);
    for (int64_t r = part * j->rows_per_part; r < end; r++) {
        float *dlogits = j->dlogits != NULL ? j->dlogits + r * j->dlogits_stride : NULL;
        int32_t target = j->targets[r];
        if (target >= 0) {
            j->losses[r] = j->row->cross_entropy(dlogits, j->logits + r * j->logits_stride,
                                                 (size_t)target, vocabulary);
        } else {
            j->losses[r] = 0.0f;
            if (dlogits != NULL)
                memset(dlogits, 0, vocabulary * sizeof(float));
        }
    }
}

int32_t sgti_portable_cross_entropy(void *instance, const sgt_cross_entropy_args *args)
{
    if (!sgt_args_fit(SGT_SLOT(cross_entropy), args, sizeof *args))
        return SGT_E_UNSUPPORTED;
    const sgti_portable *portable = instance;
    const sgt_tensor *logits = args->logits;
    const sgt_tensor *targets = args->targets;
    job j = {
        .row = portable->row,
        .logits = sgti_data(logits),
        .targets = sgti_integers(targets),
        .losses = sgti_data(args->losses),
        .dlogits = args->dlogits != NULL ? sgti_data(args->dlogits) : NULL,
        .logits_stride = logits->strides[0],
        .dlogits_stride = args->dlogits != NULL ? args->dlogits->strides[0] : 0,
        .rows = logits->shape[0],
        .vocabulary = logits->shape[1],
        .rows_per_part = sgti_rows_per_part(logits->shape[1]),
    };
    sgti_run_parts(portable, sgti_ceil_div(j.rows, j.rows_per_part), rows_of_part, &j);
    return SGT_OK;
}
