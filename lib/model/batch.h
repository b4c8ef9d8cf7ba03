/* SPDX-License-Identifier: BSD-3-Clause */
/* Checking a batch at the border, and summing its losses. */
#ifndef SGTI_BATCH_H
#define SGTI_BATCH_H

#include <sgt/model.h>

#include "../base/structs.h"

#define SGTI_METRICS_MINIMUM SGTI_SIZE_THROUGH(sgt_metrics, loss)

/* Reads the caller's struct and checks sizes, tokens and (where `targets` is not 0) targets; the
 * message says which position is wrong. *count: targets that are not -1. */
sgt_status sgti_batch_read(sgt_batch *batch, int64_t *count, const sgt_batch *caller,
                           const sgt_model_config *config, int targets);

/* The metrics of per-row losses [N]; summed in double, row by row. */
sgt_metrics sgti_batch_metrics(const sgt_batch *batch, const float *losses, int64_t count);

#endif
