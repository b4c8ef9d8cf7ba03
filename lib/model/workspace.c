/* SPDX-License-Identifier: BSD-3-Clause */
#include "workspace.h"

#include <stdio.h>

#include "../base/carver.h"
#include "../base/error.h"

/* The lists of a step in the host allocation. */
static uint64_t lay_out(sgti_workspace *workspace, char *host, const sgti_layout *layout,
                        const sgt_model_config *config, int32_t n_runs, int32_t n_passes)
{
    sgti_carver c = {.memory = host};
    sgti_head_lists *running = &workspace->running;
    int64_t heads = config->n_heads;
    workspace->entropies = sgti_carve(&c, (int64_t)layout->n_entropies, sizeof(double));
    workspace->layout.runs = sgti_carve(&c, n_runs, sizeof(sgti_run));
    workspace->layout.passes = sgti_carve(&c, n_passes, sizeof(sgti_pass));
    workspace->losses = sgti_carve(&c, layout->tokens, sizeof(float));
    running->gains = sgti_carve(&c, heads, sizeof(float));
    running->heads = sgti_carve(&c, heads, sizeof(int32_t));
    running->kv_heads = sgti_carve(&c, heads, sizeof(int32_t));
    running->groups = sgti_carve(&c, config->n_kv_heads, sizeof(int32_t));
    return c.bytes;
}

static sgt_status measure(sgti_layout *layout, uint64_t *host_bytes,
                          const sgt_model_config *config, const sgt_plan *plan, sgti_mode mode,
                          int32_t batch, int32_t seq)
{
    sgti_layout measured = {0};
    sgti_workspace sizes = {0};
    int32_t n_runs, n_passes;
    sgt_status status = sgti_layout_plan(&measured, config, plan, mode, batch, seq);
    if (status)
        return status;
    sgti_layout_count(&n_runs, &n_passes, config, plan);
    *host_bytes = lay_out(&sizes, NULL, &measured, config, n_runs, n_passes);
    *layout = measured;
    return SGT_OK;
}

sgt_status sgti_workspace_measure(uint64_t *arena_bytes, uint64_t *host_bytes,
                                  const sgt_model_config *config, const sgt_plan *plan,
                                  sgti_mode mode, int32_t batch, int32_t seq)
{
    sgti_layout layout;
    sgt_status status = measure(&layout, host_bytes, config, plan, mode, batch, seq);
    if (status)
        return status;
    *arena_bytes = layout.elements * sizeof(float);
    return SGT_OK;
}

/* Gives up blocks of another size, then takes these. On failure some may be missing. */
static sgt_status resize(sgti_workspace *workspace, sgti_dispatch *dispatch, sgti_memory *memory,
                         uint64_t arena_bytes, uint64_t host_bytes, const char *what)
{
    sgt_status status = SGT_OK;
    if (workspace->arena.bytes != arena_bytes) {
        sgti_storage_free(&workspace->arena, dispatch);
        if (arena_bytes > 0)
            status = sgti_storage_allocate(&workspace->arena, dispatch, arena_bytes, what);
    }
    if (status == SGT_OK && workspace->host_bytes != host_bytes) {
        void *host = NULL;
        sgti_release(memory, workspace->host, workspace->host_bytes);
        workspace->host = NULL;
        workspace->host_bytes = 0;
        status = sgti_allocate_aligned(&host, memory, 64, host_bytes, "the lists of a step");
        if (status == SGT_OK) {
            workspace->host = host;
            workspace->host_bytes = host_bytes;
        }
    }
    return status;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Old blocks are given up first, so that old and new never add up; when the new ones cannot be
 * had, the old sizes are taken back. */
static sgt_status grow(sgti_workspace *workspace, sgti_dispatch *dispatch, sgti_memory *memory,
                       uint64_t arena_bytes, uint64_t host_bytes, const char *what)
{
    uint64_t arena_before = workspace->arena.bytes, host_before = workspace->host_bytes;
    sgt_status status = resize(workspace, dispatch, memory, larger(arena_bytes, arena_before),
                               larger(host_bytes, host_before), what);
    if (status) {
        char message[512];
        snprintf(message, sizeof message, "%s", sgt_error_message());
        resize(workspace, dispatch, memory, arena_before, host_before, what);
        sgti_fail(status, "%s", message);
    }
    return status;
}

sgt_status sgti_workspace_prepare(sgti_workspace *workspace, sgti_dispatch *dispatch,
                                  sgti_memory *memory, const sgt_model_config *config,
                                  const sgt_plan *plan, sgti_mode mode, int32_t batch,
                                  int32_t seq)
{
    sgti_layout layout;
    uint64_t host_bytes;
    int32_t n_runs, n_passes;
    sgt_status status = measure(&layout, &host_bytes, config, plan, mode, batch, seq);
    if (status)
        return status;
    status = grow(workspace, dispatch, memory, layout.elements * sizeof(float), host_bytes,
                  mode == SGTI_EVALUATE ? "the activations of an evaluation"
                                        : "the activations of a training step");
    if (status)
        return status;
    sgti_layout_count(&n_runs, &n_passes, config, plan);
    lay_out(workspace, workspace->host, &layout, config, n_runs, n_passes);
    return sgti_layout_plan(&workspace->layout, config, plan, mode, batch, seq);
}

void sgti_workspace_destroy(sgti_workspace *workspace, sgti_dispatch *dispatch,
                            sgti_memory *memory)
{
    sgti_storage_free(&workspace->arena, dispatch);
    sgti_release(memory, workspace->host, workspace->host_bytes);
    workspace->host = NULL;
    workspace->host_bytes = 0;
}

sgt_status sgti_workspace_take(sgti_workspace **workspace, sgti_workspace_list *list,
                               sgti_memory *memory)
{
    sgti_lock_take(&list->lock);
    sgti_workspace *first = list->free;
    if (first)
        list->free = first->next;
    sgti_lock_give(&list->lock);
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

void sgti_workspace_give_back(sgti_workspace_list *list, sgti_workspace *workspace)
{
    sgti_lock_take(&list->lock);
    workspace->next = list->free;
    list->free = workspace;
    sgti_lock_give(&list->lock);
}
