/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sparse part: which heads a pass runs, and their weights gathered from the whole matrices.
 * Shared by training, evaluation and decoding.
 */
#ifndef SGTI_HEADS_H
#define SGTI_HEADS_H

#include <sgt/model.h>

#include "../backend/dispatch.h"

/* The heads of a pass that run, in ascending order. */
typedef struct sgti_head_lists {
    int32_t n_heads;
    int32_t n_groups;  /* key/value heads that they read */
    int32_t *heads;    /* [H] query heads */
    int32_t *kv_heads; /* [H] their key/value heads, counted among those that run */
    int32_t *groups;   /* [Hkv] key/value heads */
    float *gains;      /* [H] */
} sgti_head_lists;

/* Fills the lists from the H gains of a pass; NULL: every head, with gain 1. Arrays that are NULL
 * are left out. */
void sgti_select_heads(sgti_head_lists *lists, const sgt_model_config *config, const float *gains);

/* The listed heads' rows of q, k, v to qkv [(h+2g)dh, d], and their columns of o to [d, h dh]. */
sgt_status sgti_gather_heads(const sgt_model *model, int32_t layer, const sgti_head_lists *lists,
                             const sgt_tensor *qkv, const sgt_tensor *o);

/* Adds gradients of such matrices to the gradients of the whole ones. */
sgt_status sgti_scatter_heads(const sgt_model *model, int32_t layer, const sgti_head_lists *lists,
                              const sgt_tensor *d_qkv, const sgt_tensor *d_o);

#endif
