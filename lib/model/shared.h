/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What calls on one const model share while they run at the same time: references, the generation
 * of the weights, memory for evaluations. A model leads to it by a pointer, so that nothing that
 * holds a const model has to pretend that it does not.
 */
#ifndef SGTI_SHARED_H
#define SGTI_SHARED_H

#include <stdatomic.h>

#include "workspace.h"

/* Of weights that are as sgt_model_create left them. */
#define SGTI_FIRST_GENERATION 1

struct sgt_model;

typedef struct sgti_model_shared {
    struct sgt_model *model; /* whose it is; for those that keep it alive */
    atomic_int references;
    atomic_ullong generation;     /* grows with every change of weights */
    sgti_lock lock;               /* of what follows */
    uint64_t prepared_generation; /* of the last round of sgti_prepare_weight */
    sgti_workspace *free;         /* of evaluations that are over */
} sgti_model_shared;

/* With one reference. Errors: SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. */
sgt_status sgti_shared_create(sgti_model_shared **shared, struct sgt_model *model,
                              sgti_memory *memory);
void sgti_shared_free(sgti_model_shared *shared, sgti_dispatch *dispatch, sgti_memory *memory);

/* A workspace for one evaluation, used before or new; given back for the next. */
sgt_status sgti_workspace_take(sgti_workspace **workspace, sgti_model_shared *shared,
                               sgti_memory *memory);
void sgti_workspace_give_back(sgti_model_shared *shared, sgti_workspace *workspace);

#endif
