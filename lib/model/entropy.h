/* SPDX-License-Identifier: BSD-3-Clause */
/* Collecting the entropies of a step: sums over micro-batches, in double. */
#ifndef SGTI_ENTROPY_H
#define SGTI_ENTROPY_H

#include "../base/memory.h"
#include "plan_data.h"

typedef struct sgti_entropies {
    int32_t kinds;      /* enum sgt_entropy the host chose */
    int32_t collected;  /* kinds present in the sums; 0: nothing was observed in this step */
    int32_t batches;    /* micro-batches in the sums */
    int32_t max_passes; /* the largest number of passes of a layer */
    double *last;       /* [n_layers, max_passes, n_heads] sums; NaN: did not run */
    double *mean;       /* likewise; the same allocation as last */
    uint64_t capacity;  /* of that allocation, in doubles */
} sgti_entropies;

struct sgt_model;

/* The means of this step as [n_layers, max_passes, n_heads]: writes n_layers * max_passes * n_heads
 * doubles of one kind. SGT_E_STATE when that kind was not collected. */
sgt_status sgti_entropies_copy(double *means, const struct sgt_model *model, int32_t kind);

#endif
