/* SPDX-License-Identifier: BSD-3-Clause */
/* A load between its two halves: what reading puts aside, and taking over moves into the
 * handles. */
#ifndef SGTI_LOAD_DATA_H
#define SGTI_LOAD_DATA_H

#include "checkpoint.h"

typedef struct sgti_load {
    const sgt_checkpoint *checkpoint;
    const sgti_numbers *numbers; /* the checkpoint's */
    sgt_model *model;
    sgt_optimizer *optimizer; /* NULL: stays in the file, as growth */
    sgt_growth *growth;
    sgt_checkpoint_load_options options;
    sgti_memory *memory;
    int fresh; /* 1: the handles were made for this load, and a failure frees them */

    sgti_tensor_reader reader;
    sgti_storage weights; /* put aside; empty when fresh */
    sgti_storage moments;
    sgti_factors *factors; /* [parameters.count] */
    sgt_plan *plan;
    double *entropies;      /* [2, entropy_count] last, then mean; NULL: there are none */
    uint64_t entropy_count; /* of one kind */
    uint8_t *policy;
    uint64_t policy_bytes;
} sgti_load;

/* Reads and checks all tensors, and takes what memory the new state needs. Handles of the host stay
 * as they are; those made for this load get their weights and moments at once. (load_read.c) */
sgt_status sgti_load_read(sgti_load *load);

/* Changes the handles. What may be refused, policy and plan, comes first; when it is, the handles
 * are as before. (load_take.c) */
sgt_status sgti_load_take(sgti_load *load);

/* Where a weight or moment is read to: put aside, or the handle's own. */
static inline sgt_tensor sgti_staged(const sgti_storage *aside, sgt_tensor own)
{
    if (aside->buffer)
        own.buffer = aside->buffer;
    return own;
}

#endif
