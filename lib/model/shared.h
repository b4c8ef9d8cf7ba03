/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What calls on one const model share and change while they run at the same time: references, the
 * generation of the weights, memory for evaluations. A model has it behind a pointer, so that calls
 * which hold a const model may change it without casting the const away.
 */
#ifndef SGTI_SHARED_H
#define SGTI_SHARED_H

#include <stdatomic.h>

#include "workspace.h"

/* The generation of weights that are as sgt_model_create left them. */
#define SGTI_FIRST_GENERATION 1

struct sgt_model;

typedef struct sgti_model_shared {
    struct sgt_model *model; /* the model, for those who add a reference through a const one */
    atomic_int references;
    atomic_ullong generation;     /* grows with every change of weights */
    sgti_lock lock;               /* guards what follows */
    uint64_t prepared_generation; /* the weights that the backend was last told of */
    sgti_workspace *free;         /* workspaces of evaluations that are over */
} sgti_model_shared;

/* Makes it, with one reference. Errors: SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. */
sgt_status sgti_shared_create(sgti_model_shared **shared, struct sgt_model *model,
                              sgti_memory *memory);
void sgti_shared_free(sgti_model_shared *shared, sgti_dispatch *dispatch, sgti_memory *memory);

/* Takes a workspace for one evaluation, one that was used before or a new one. It is given back for
 * the next evaluation, and its memory with it. */
sgt_status sgti_workspace_take(sgti_workspace **workspace, sgti_model_shared *shared,
                               sgti_memory *memory);
void sgti_workspace_give_back(sgti_model_shared *shared, sgti_workspace *workspace);

#endif
