/* SPDX-License-Identifier: BSD-3-Clause */
/* A load between its two halves: what reading puts aside, and what taking over then moves into the
 * handles. */
#ifndef SGTI_LOAD_DATA_H
#define SGTI_LOAD_DATA_H

#include "checkpoint.h"

typedef struct sgti_load {
    const sgt_checkpoint *checkpoint;
    const sgti_numbers *numbers; /* those of the checkpoint */
    sgt_model *model;
    sgt_optimizer *optimizer; /* NULL: the file's optimizer is not read */
    sgt_growth *growth;       /* NULL: the file's growth is not read */
    sgt_checkpoint_load_options options;
    sgti_memory *memory;
    int fresh; /* 1: the handles were made for this load, and a failure frees them */

    sgti_tensor_reader reader;
    sgti_storage weights; /* the new weights, put aside; empty when fresh */
    sgti_storage moments; /* the new moments, likewise */
    sgti_factors *factors; /* [parameters.count] */
    sgt_plan *plan;
    double *entropies;      /* [2, entropy_count] last, then mean; NULL: there are none */
    uint64_t entropy_count; /* of one kind */
    uint8_t *policy;
    uint64_t policy_bytes;
} sgti_load;

/* Reads and checks all tensors, and takes the memory that the new state needs (load_read.c).
 * Handles of the host stay as they are; handles made for this load get weights and moments at
 * once. */
sgt_status sgti_load_read(sgti_load *load);

/* Changes the handles (load_take.c). Policy and plan may be refused, so they come first: the
 * handles are then as before. */
sgt_status sgti_load_take(sgti_load *load);

/* Where a weight or moment is read to: its place in what is put aside or, without that, its own. */
static inline sgt_tensor sgti_staged(const sgti_storage *aside, sgt_tensor own)
{
    if (aside->buffer)
        own.buffer = aside->buffer;
    return own;
}

#endif
