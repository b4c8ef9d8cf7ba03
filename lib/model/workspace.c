/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A step is planned in two runs of the same layout: the first measures it, then memory is taken,
 * and the second fills the lists of runs and parts, which lie in that memory themselves.
 */
#include "workspace.h"

#include <stdio.h>

#include "../base/carver.h"
#include "../base/error.h"

/* Cuts the arrays of a step out of the host allocation; host NULL: counts its bytes. */
static sgti_carver cut_arrays(sgti_workspace *workspace, char *host, const sgti_layout *layout)
{
    sgti_carver c = {.memory = host};
    workspace->entropies = sgti_carve(&c, (int64_t)layout->n_entropies, sizeof(double));
    workspace->layout.layers =
        sgti_carve(&c, layout->shape.config->n_layers, sizeof(sgti_layer_place));
    workspace->layout.runs = sgti_carve(&c, layout->n_runs, sizeof(sgti_run));
    workspace->layout.parts = sgti_carve(&c, layout->n_parts, sizeof(sgti_part));
    workspace->losses = sgti_carve(&c, layout->shape.rows, sizeof(float));
    return c;
}

/* What a step needs of each kind of memory. */
typedef struct sizes {
    uint64_t arena;    /* bytes */
    uint64_t host;     /* bytes */
    int32_t positions; /* of the rotary tables */
} sizes;

static sgt_status measure(sgti_layout *layout, sizes *needed, const sgti_shape *shape)
{
    sgti_layout measured = {0};
    sgti_workspace none = {0};
    sgt_status status = sgti_layout_plan(&measured, shape);
    if (status)
        return status;
    const sgti_carver host = cut_arrays(&none, NULL, &measured);
    *needed = (sizes){.arena = measured.bytes, .host = host.bytes, .positions = shape->seq};
    *layout = measured;
    if (host.overflow)
        return sgti_fail(SGT_E_OVERFLOW, "the losses of %lld tokens do not fit in memory",
                         (long long)shape->rows);
    return SGT_OK;
}

sgt_status sgti_workspace_measure(uint64_t *bytes, const sgti_shape *shape)
{
    sgti_layout layout;
    sizes needed;
    sgt_status status = measure(&layout, &needed, shape);
    if (status)
        return status;
    *bytes = needed.arena + needed.host + sgti_rotary_bytes(shape->config, needed.positions);
    return SGT_OK;
}

static sgt_status resize_host(sgti_workspace *workspace, sgti_memory *memory, uint64_t bytes)
{
    void *host = NULL;
    sgti_release(memory, workspace->host, workspace->host_bytes);
    workspace->host = NULL;
    workspace->host_bytes = 0;
    sgt_status status = sgti_allocate_aligned(&host, memory, 64, bytes, "the lists of a step");
    if (status)
        return status;
    workspace->host = host;
    workspace->host_bytes = bytes;
    return SGT_OK;
}

/* Gives up blocks that have another size and takes new ones. On failure some may be missing. */
static sgt_status resize(sgti_workspace *workspace, sgti_dispatch *dispatch, sgti_memory *memory,
                         const sgt_model_config *config, const sizes *new, const char *what)
{
    sgt_status status = SGT_OK;
    if (workspace->arena.bytes != new->arena) {
        sgti_storage_free(&workspace->arena, dispatch);
        if (new->arena > 0)
            status = sgti_storage_allocate(&workspace->arena, dispatch, new->arena, what);
    }
    if (status == SGT_OK && workspace->rotary.positions != new->positions)
        status = sgti_rotary_resize(&workspace->rotary, dispatch, config, new->positions);
    if (status == SGT_OK && workspace->host_bytes != new->host)
        status = resize_host(workspace, memory, new->host);
    return status;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Makes blocks at least as large as needed. Old blocks are given up before new ones are taken, so
 * that both never count together. If the new ones cannot be had, blocks of the old sizes are taken
 * back, and the message of the failure with them is kept. */
static sgt_status grow(sgti_workspace *workspace, sgti_dispatch *dispatch, sgti_memory *memory,
                       const sgt_model_config *config, const sizes *needed, const char *what)
{
    const sizes before = {workspace->arena.bytes, workspace->host_bytes,
                          workspace->rotary.positions};
    const sizes after = {larger(needed->arena, before.arena), larger(needed->host, before.host),
                         needed->positions > before.positions ? needed->positions
                                                              : before.positions};
    sgt_status status = resize(workspace, dispatch, memory, config, &after, what);
    if (status) {
        char message[512];
        snprintf(message, sizeof message, "%s", sgt_error_message());
        resize(workspace, dispatch, memory, config, &before, what);
        sgti_fail(status, "%s", message);
    }
    return status;
}

/* 1 when the layout was planned for this very shape; T follows from rows and batch. */
static int is_planned_for(const sgti_workspace *workspace, const sgti_shape *shape)
{
    const sgti_shape *own = &workspace->layout.shape;
    return workspace->planned && own->rows == shape->rows && own->mode == shape->mode &&
           own->batch == shape->batch && own->recompute == shape->recompute &&
           workspace->passes_serial == shape->passes->serial;
}

/* Measures a layout and takes memory for it; what was planned there before is gone. */
static sgt_status make_room(sgti_layout *layout, sgti_workspace *workspace,
                            sgti_dispatch *dispatch, sgti_memory *memory, const sgti_shape *shape)
{
    sizes needed;
    sgt_status status = measure(layout, &needed, shape);
    if (status)
        return status;
    workspace->planned = 0;
    return grow(workspace, dispatch, memory, shape->config, &needed,
                sgti_is_training(shape) ? "the activations of a training step"
                                        : "the activations of an evaluation");
}

sgt_status sgti_workspace_reserve(sgti_workspace *workspace, sgti_dispatch *dispatch,
                                  sgti_memory *memory, const sgti_shape *shape)
{
    sgti_layout layout;
    return make_room(&layout, workspace, dispatch, memory, shape);
}

sgt_status sgti_workspace_prepare(sgti_workspace *workspace, sgti_dispatch *dispatch,
                                  sgti_memory *memory, const sgti_shape *shape)
{
    sgti_layout layout;
    if (is_planned_for(workspace, shape))
        return SGT_OK;
    sgt_status status = make_room(&layout, workspace, dispatch, memory, shape);
    if (status == SGT_OK)
        status = sgti_rotary_fill(&workspace->rotary, dispatch, shape->config, shape->seq);
    if (status)
        return status;
    cut_arrays(workspace, workspace->host, &layout);
    workspace->passes_serial = shape->passes->serial;
    status = sgti_layout_plan(&workspace->layout, shape);
    workspace->planned = status == SGT_OK;
    return status;
}

void sgti_workspace_destroy(sgti_workspace *workspace, sgti_dispatch *dispatch,
                            sgti_memory *memory)
{
    sgti_storage_free(&workspace->arena, dispatch);
    sgti_rotary_free(&workspace->rotary, dispatch);
    sgti_release(memory, workspace->host, workspace->host_bytes);
    workspace->host = NULL;
    workspace->host_bytes = 0;
    workspace->planned = 0;
}
