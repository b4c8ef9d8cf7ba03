/* SPDX-License-Identifier: BSD-3-Clause */
/* Collects the entropies of the heads over a step: sums over its micro-batches, in double. */
#ifndef SGTI_ENTROPY_H
#define SGTI_ENTROPY_H

#include "../base/memory.h"
#include "plan_data.h"

typedef struct sgti_entropies {
    int32_t kinds;      /* enum sgt_entropy: what the host wants */
    int32_t collected;  /* kinds present in the sums */
    int32_t batches;    /* micro-batches in the sums; 0: nothing was observed in this step */
    int32_t unseen;     /* 1: a batch came since growth last looked, which sets it to 0 */
    int32_t max_passes; /* the largest number of passes of a layer */
    double *last;       /* [n_layers, max_passes, n_heads] sums; NaN: the head did not run */
    double *mean;       /* the same for the other kind; it lies in the allocation of `last` */
    uint64_t capacity;  /* of this allocation, in doubles */
} sgti_entropies;

/* What a step collected, on its way between a model and a file. */
typedef struct sgti_entropy_record {
    int32_t kinds;
    int32_t batches;
    int32_t max_passes;
    uint64_t count; /* doubles of one kind: n_layers * max_passes * n_heads; 0 without kinds */
    double *last;   /* [2, count] sums: last, then mean */
} sgti_entropy_record;

struct sgt_model;
struct sgti_work;

/* Forgets what was collected. */
void sgti_entropies_clear(sgti_entropies *entropies);

/* Takes the memory for a plan in which no layer runs more than max_passes; what was collected
 * stays. */
sgt_status sgti_entropies_reserve(struct sgt_model *model, int32_t max_passes, int32_t kinds);

/* Reads what the passes of a finished forward left in the arena into `values` [layout.n_entropies]
 * and adds it to the sums, whose memory was reserved. The first forward of a step starts new
 * sums. */
sgt_status sgti_entropies_add(struct sgt_model *model, const struct sgti_work *work,
                              double *values);

/* The means of this step as [n_layers, max_passes, n_heads]: writes n_layers * max_passes * n_heads
 * doubles of one kind. SGT_E_STATE when that kind was not collected. */
sgt_status sgti_entropies_copy(double *means, const struct sgt_model *model, int32_t kind);

/* Notes that growth has looked at what was collected. */
void sgti_entropies_mark_seen(sgti_entropies *entropies);

/* *record becomes what growth has not seen yet; its values stay the model's. Returns 0 when there
 * is nothing. */
int sgti_entropies_unseen(sgti_entropy_record *record, const struct sgt_model *model);

/* Puts a record in the place of what was collected. If there is room its values are copied; else
 * their memory is taken over, and NULL left in the record. */
void sgti_entropies_restore(struct sgt_model *model, sgti_entropy_record *record);

void sgti_entropies_destroy(sgti_entropies *entropies, sgti_memory *memory);

#endif
