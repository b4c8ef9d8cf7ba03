/* SPDX-License-Identifier: BSD-3-Clause */
/* Workspaces of finished evaluations wait in a list; an evaluation takes the first one, or makes
 * one when the list is empty. So there are as many as evaluations have ever run at the same
 * time. */
#include "shared.h"

#include "../base/error.h"

sgt_status sgti_shared_create(sgti_model_shared **shared, struct sgt_model *model,
                              sgti_memory *memory)
{
    void *fresh;
    sgt_status status =
        sgti_allocate_zeroed(&fresh, memory, 1, sizeof **shared, "what evaluations share");
    if (status)
        return status;
    sgti_model_shared *made = fresh;
    if (sgti_lock_init(&made->lock)) {
        sgti_release(memory, made, sizeof *made);
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "the lock of a model could not be made");
    }
    atomic_init(&made->references, 1);
    atomic_init(&made->generation, SGTI_FIRST_GENERATION);
    made->model = model;
    *shared = made;
    return SGT_OK;
}

void sgti_shared_free(sgti_model_shared *shared, sgti_dispatch *dispatch, sgti_memory *memory)
{
    sgti_workspace *next;
    for (sgti_workspace *ws = shared->free; ws; ws = next) {
        next = ws->next;
        sgti_workspace_destroy(ws, dispatch, memory);
        sgti_release(memory, ws, sizeof *ws);
    }
    sgti_lock_destroy(&shared->lock);
    sgti_release(memory, shared, sizeof *shared);
}

sgt_status sgti_workspace_take(sgti_workspace **workspace, sgti_model_shared *shared,
                               sgti_memory *memory)
{
    sgti_lock_take(&shared->lock);
    sgti_workspace *first = shared->free;
    if (first)
        shared->free = first->next;
    sgti_lock_give(&shared->lock);
    if (!first) {
        void *fresh;
        sgt_status status =
            sgti_allocate_zeroed(&fresh, memory, 1, sizeof *first, "an evaluation");
        if (status)
            return status;
        first = fresh;
    }
    *workspace = first;
    return SGT_OK;
}

void sgti_workspace_give_back(sgti_model_shared *shared, sgti_workspace *workspace)
{
    sgti_lock_take(&shared->lock);
    workspace->next = shared->free;
    shared->free = workspace;
    sgti_lock_give(&shared->lock);
}
