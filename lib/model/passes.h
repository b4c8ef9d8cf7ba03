/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A depth plan, unrolled: which attention passes every layer runs, with which heads. The passes are
 * made when a plan is set; from then on layouts, sessions and entropies only read them.
 *
 * Pass 0 of a layer is the block's own, with every head at gain 1; pass k > 0 is the k-th loop and
 * runs the heads whose gain is above 0. All runs of a block have the same passes.
 *
 * What operations read of a pass are lists. They lie in one block, which looks the same on the host
 * and in the backend's memory (pass_lists.h). Each pass has room for all heads in it, so that its
 * place does not depend on how many run:
 *
 *     | rows [h + 2g] .. | kv_heads [h] .. | gains [h] .. |  of pass 0, then of pass 1, ..
 *       H + 2 Hkv          H                 H
 *
 * The patterns of a pass stay on the host. They have their room, of Hkv to a pass, only in layers
 * that have patterns.
 */
#ifndef SGTI_PASSES_H
#define SGTI_PASSES_H

#include <sgt/model.h>

#include "../base/memory.h"

typedef struct sgti_pass {
    int32_t number;          /* 0: the block's own */
    int32_t index;           /* among all passes of the model, each counted once */
    int32_t n_heads;         /* h query heads that run */
    int32_t n_groups;        /* g key/value heads that they read */
    int32_t n_modules;       /* how many heads those and their neighbours are, each counted once */
    int32_t sparse;          /* 1: h < H, so the weights of these heads are gathered */
    const int32_t *rows;     /* [h + 2g] its blocks of head_dim rows of q|k|v, ascending */
    const int32_t *heads;    /* [h] its heads, ascending; they are the first entries of rows */
    const int32_t *kv_heads; /* [h] which of its g key/value heads a head reads */
    const float *gains;      /* [h]; NULL for pass 0: all 1 */
    const sgt_attention_pattern *patterns; /* [g]; NULL: every head sees all earlier keys */
} sgti_pass;

typedef struct sgti_layer_passes {
    int32_t n_runs;          /* 1 + extra runs of the block */
    int32_t n_passes;        /* 1 + depth, in each run */
    const sgti_pass *passes; /* [n_passes] */
} sgti_layer_passes;

typedef struct sgti_passes {
    uint64_t bytes;      /* of the allocation */
    uint64_t serial;     /* tells these passes from all that the same model had before */
    int32_t n_layers;
    int32_t n_passes;    /* of all layers, each counted once */
    int32_t n_runs;      /* of all layers */
    int32_t most_passes; /* the most that one layer runs in a forward */
    int64_t n_entries;   /* entries in the lists of all passes */
    const int32_t *lists; /* [n_entries] */
    const sgti_pass *all;              /* [n_passes] */
    const sgti_layer_passes *layers;   /* [n_layers] */
} sgti_passes;

/* How many entries the lists of one pass have. */
int64_t sgti_list_entries(const sgt_model_config *config);

/* Counts the heads whose value in values [H] is above 0 (NULL: all), and the key/value heads that
 * they read. This is the only place where the heads of a pass are counted. */
void sgti_count_heads(int32_t *n_heads, int32_t *n_groups, const sgt_model_config *config,
                      const float *values);

/* Counts those heads and their neighbours, each once. */
int32_t sgti_count_modules(const sgt_model_config *config, const float *values);

/* What a layer would run under a plan (NULL: no loops) that is not unrolled. */
void sgti_count_passes(int32_t *n_runs, int32_t *n_passes, const sgt_plan *plan, int32_t layer);
/* The most passes that one layer would run in a forward. */
int32_t sgti_most_passes(const sgt_model_config *config, const sgt_plan *plan);
/* The numbers of one pass, without lists. */
sgti_pass sgti_count_pass(const sgt_model_config *config, const sgt_plan *plan, int32_t layer,
                          int32_t number);

/* Unrolls a plan of the config's shape (NULL: no loops) under a serial number. Errors:
 * SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. */
sgt_status sgti_passes_create(sgti_passes **passes, sgti_memory *memory,
                              const sgt_model_config *config, const sgt_plan *plan,
                              uint64_t serial);
/* Unrolls another plan, which takes as many bytes, in the memory of passes that exist. */
void sgti_passes_remake(sgti_passes *passes, const sgt_model_config *config, const sgt_plan *plan,
                        uint64_t serial);
void sgti_passes_free(sgti_passes *passes, sgti_memory *memory);

/* The bytes that passes take on the host, and those of their lists in the backend's memory. */
uint64_t sgti_passes_bytes(const sgt_model_config *config, const sgt_plan *plan);
uint64_t sgti_lists_bytes(const sgt_model_config *config, const sgt_plan *plan);

/* 1 when both run the same heads at the same gains. */
int sgti_passes_equal(const sgti_passes *a, const sgti_passes *b);

#endif
