/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of one step: the layout, the arena on the backend, and small arrays on the host. A
 * model has one for training, and a list of them for evaluations, which may run at the same time.
 */
#ifndef SGTI_WORKSPACE_H
#define SGTI_WORKSPACE_H

#include "../backend/storage.h"
#include "layout.h"
#include "rotary.h"

typedef struct sgti_workspace {
    struct sgti_workspace *next; /* in the list of free workspaces (shared.h) */
    sgti_layout layout;          /* its shape.rows is 0 before the first step */
    int32_t planned;             /* 1: layout and memory are there */
    uint64_t passes_serial;      /* the passes that it was planned for */
    sgti_storage arena;
    sgti_rotary rotary; /* for T positions or more */
    char *host;        /* one allocation for the arrays below and those of the layout */
    uint64_t host_bytes;
    float *losses;     /* [N] */
    double *entropies; /* [n_entropies] */
} sgti_workspace;

/* Plans a step and makes sure that its memory is there. If this has to grow, the old contents are
 * gone; if the shape is the same as before, nothing is done. On failure the workspace may be empty,
 * but it can be prepared again. */
sgt_status sgti_workspace_prepare(sgti_workspace *workspace, sgti_dispatch *dispatch,
                                  sgti_memory *memory, const sgti_shape *shape);

/* Only makes sure that memory for the shape is there; a step must be prepared all the same. */
sgt_status sgti_workspace_reserve(sgti_workspace *workspace, sgti_dispatch *dispatch,
                                  sgti_memory *memory, const sgti_shape *shape);

void sgti_workspace_destroy(sgti_workspace *workspace, sgti_dispatch *dispatch,
                            sgti_memory *memory);

/* Counts all bytes that a workspace prepared for the shape would hold. */
sgt_status sgti_workspace_measure(uint64_t *bytes, const sgti_shape *shape);

#endif
