/* SPDX-License-Identifier: BSD-3-Clause */
#include "workspace.h"

#include <stdio.h>

#include "../base/error.h"

sgt_status sgti_block_allocate(sgti_block_of_memory *block, sgti_dispatch *dispatch,
                               uint64_t bytes, const char *what)
{
    sgt_buffer *buffer;
    sgt_status status = sgti_buffer_allocate(&buffer, dispatch, bytes);
    if (status)
        return sgti_fail(status, "%s: %s", what, sgt_error_message());
    block->buffer = buffer;
    block->bytes = bytes;
    return SGT_OK;
}

void sgti_block_free(sgti_block_of_memory *block, sgti_dispatch *dispatch)
{
    if (block->buffer)
        sgti_buffer_free(dispatch, block->buffer, block->bytes);
    block->buffer = NULL;
    block->bytes = 0;
}

/* Cuts the host allocation (or counts its bytes when host is NULL), widest types first. */
static uint64_t cut_host(sgti_workspace *workspace, char *host, const sgti_layout *layout,
                         const sgt_model_config *config, int32_t n_runs, int32_t n_passes)
{
    uint64_t heads = (uint64_t)config->n_heads, groups = (uint64_t)config->n_kv_heads;
    const uint64_t sizes[] = {
        layout->n_entropies * sizeof(double),
        (uint64_t)n_runs * sizeof(sgti_run),
        (uint64_t)n_passes * sizeof(sgti_pass),
        (uint64_t)layout->tokens * sizeof(float),
        heads * sizeof(float),
        heads * sizeof(int32_t),
        heads * sizeof(int32_t),
        groups * sizeof(int32_t),
    };
    char *places[sizeof sizes / sizeof sizes[0]];
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        places[i] = host ? host + bytes : NULL;
        bytes += (sizes[i] + 7) / 8 * 8;
    }
    if (host) {
        workspace->entropies = (double *)(void *)places[0];
        workspace->layout.runs = (sgti_run *)(void *)places[1];
        workspace->layout.passes = (sgti_pass *)(void *)places[2];
        workspace->losses = (float *)(void *)places[3];
        workspace->running.gains = (float *)(void *)places[4];
        workspace->running.heads = (int32_t *)(void *)places[5];
        workspace->running.kv_heads = (int32_t *)(void *)places[6];
        workspace->running.groups = (int32_t *)(void *)places[7];
    }
    return bytes;
}

static sgt_status measure(sgti_layout *layout, uint64_t *host_bytes,
                          const sgt_model_config *config, const sgt_plan *plan, sgti_mode mode,
                          int32_t batch, int32_t seq)
{
    sgti_layout measured = {0};
    int32_t n_runs, n_passes;
    sgt_status status = sgti_layout_plan(&measured, config, plan, mode, batch, seq);
    if (status)
        return status;
    sgti_layout_count(&n_runs, &n_passes, config, plan);
    *host_bytes = cut_host(NULL, NULL, &measured, config, n_runs, n_passes);
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
        sgti_block_free(&workspace->arena, dispatch);
        if (arena_bytes > 0)
            status = sgti_block_allocate(&workspace->arena, dispatch, arena_bytes, what);
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
    cut_host(workspace, workspace->host, &layout, config, n_runs, n_passes);
    return sgti_layout_plan(&workspace->layout, config, plan, mode, batch, seq);
}

void sgti_workspace_destroy(sgti_workspace *workspace, sgti_dispatch *dispatch,
                            sgti_memory *memory)
{
    sgti_block_free(&workspace->arena, dispatch);
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
