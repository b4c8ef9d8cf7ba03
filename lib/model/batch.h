/* SPDX-License-Identifier: BSD-3-Clause */
/* Checks the batch that a host gives, brings it into the arena, and turns its losses into
 * metrics. */
#ifndef SGTI_BATCH_H
#define SGTI_BATCH_H

#include <sgt/model.h>

#include "../base/structs.h"
#include "work.h"

#define SGTI_METRICS_MINIMUM SGTI_SIZE_THROUGH(sgt_metrics, loss)

/* A batch that was checked. */
typedef struct sgti_checked_batch {
    sgt_batch batch;
    int64_t count; /* targets that are not -1 */
} sgti_checked_batch;

/* Every call that takes a batch begins with this. It checks that the model is there, that the
 * caller's result struct `out` is right (`minimum` and `name` as in sgti_struct_check), and that
 * sizes, tokens and targets are in range; the message says which position is wrong. Targets are
 * only looked at when with_targets is 1. */
sgt_status sgti_batch_begin(sgti_checked_batch *batch, const sgt_model *model,
                            const sgt_batch *caller, int with_targets, const void *out,
                            size_t minimum, const char *name);

/* Uploads tokens, and targets where there are any. */
sgt_status sgti_write_batch(const sgti_work *work, const sgt_batch *batch);

/* Makes metrics of the losses [N] of all rows, which are summed in double, row by row. */
sgt_metrics sgti_batch_metrics(const sgti_checked_batch *batch, const float *losses);

#endif
