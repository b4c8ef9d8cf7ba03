/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of one step: the layout, the arena on the backend, and small host arrays. A model
 * has one for training, and a list of them for evaluations that run at the same time.
 */
#ifndef SGTI_WORKSPACE_H
#define SGTI_WORKSPACE_H

#include "../backend/storage.h"
#include "../base/locks.h"
#include "heads.h"
#include "layout.h"

typedef struct sgti_workspace {
    struct sgti_workspace *next; /* in the list of free ones */
    sgti_layout layout;
    sgti_storage arena;
    char *host;         /* the arrays below in one allocation */
    uint64_t host_bytes;
    float *losses;      /* [N] */
    double *entropies;  /* [n_entropies] */
    sgti_head_lists running; /* of the pass at work */
} sgti_workspace;

/* Plans a step and makes sure its memory is there; growing throws the old contents away. On
 * failure the workspace may be empty, but can be prepared again. */
sgt_status sgti_workspace_prepare(sgti_workspace *workspace, sgti_dispatch *dispatch,
                                  sgti_memory *memory, const sgt_model_config *config,
                                  const sgt_plan *plan, sgti_mode mode, int32_t batch,
                                  int32_t seq);

void sgti_workspace_destroy(sgti_workspace *workspace, sgti_dispatch *dispatch,
                            sgti_memory *memory);

/* Bytes on the backend and on the host that prepare would hold. */
sgt_status sgti_workspace_measure(uint64_t *arena_bytes, uint64_t *host_bytes,
                                  const sgt_model_config *config, const sgt_plan *plan,
                                  sgti_mode mode, int32_t batch, int32_t seq);

/* Workspaces of evaluations, taken and given back under a lock. */
typedef struct sgti_workspace_list {
    sgti_lock lock;
    sgti_workspace *free;
} sgti_workspace_list;

sgt_status sgti_workspace_take(sgti_workspace **workspace, sgti_workspace_list *list,
                               sgti_memory *memory);
void sgti_workspace_give_back(sgti_workspace_list *list, sgti_workspace *workspace);

#endif
