/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of one step: the layout, the arena on the backend, and small host arrays. A model
 * has one for training, and a list of them for evaluations that run at the same time.
 */
#ifndef SGTI_WORKSPACE_H
#define SGTI_WORKSPACE_H

#include "../backend/storage.h"
#include "layout.h"
#include "rotary.h"

typedef struct sgti_workspace {
    struct sgti_workspace *next; /* in the list of free ones */
    sgti_layout layout;          /* shape.rows is 0 before the first */
    int32_t planned;             /* 1: layout and memory are there */
    uint64_t passes_serial;      /* of the passes that it was planned for */
    sgti_storage arena;
    sgti_rotary rotary; /* of T positions, or more */
    char *host;        /* the arrays below and those of the layout in one allocation */
    uint64_t host_bytes;
    float *losses;     /* [N] */
    double *entropies; /* [n_entropies] */
} sgti_workspace;

/* Plans a step and makes sure its memory is there; growing throws the old contents away. The layout
 * of an equal shape is kept. On failure the workspace may be empty, but can be prepared again. */
sgt_status sgti_workspace_prepare(sgti_workspace *workspace, sgti_dispatch *dispatch,
                                  sgti_memory *memory, const sgti_shape *shape);

/* Only makes sure that memory for the shape is there. */
sgt_status sgti_workspace_reserve(sgti_workspace *workspace, sgti_dispatch *dispatch,
                                  sgti_memory *memory, const sgti_shape *shape);

void sgti_workspace_destroy(sgti_workspace *workspace, sgti_dispatch *dispatch,
                            sgti_memory *memory);

/* All bytes that prepare would hold. */
sgt_status sgti_workspace_measure(uint64_t *bytes, const sgti_shape *shape);

#endif
