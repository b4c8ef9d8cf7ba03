/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Regions of the memory of a forward. They are taken from three arenas, and a shape says how large
 * everything is. layout.h has a picture of them; each part takes its own.
 */
#ifndef SGTI_REGIONS_H
#define SGTI_REGIONS_H

#include <sgt/tensor.h>

#include "../base/arena.h"
#include "passes.h"

typedef enum sgti_mode {
    SGTI_TRAIN_LOSS,   /* sgt_model_forward */
    SGTI_TRAIN_LOGITS, /* sgt_model_forward_logits */
    SGTI_EVALUATE,
    SGTI_DECODE        /* rows of several sequences, each behind what its cache holds */
} sgti_mode;

/* Everything that a layout depends on. */
typedef struct sgti_shape {
    const sgt_model_config *config; /* resolved */
    const sgti_passes *passes; /* NULL: the layout is only measured, for the plan below */
    const sgt_plan *plan;      /* NULL: no loops; not read where there are passes */
    sgti_mode mode;
    int32_t recompute; /* 1: keep only the inputs of runs */
    int32_t batch;     /* B; 0 in decoding, where sequences have different lengths */
    int32_t seq;       /* T */
    int64_t rows;      /* N = B T; in decoding the most rows that run at a time */
    uint64_t logits_bytes; /* what the backend likes to make at a time; 0: the library chooses */
} sgti_shape;

/* The shape of a batch; passes or plan and the backend's wish for logits are left to the caller. */
sgti_shape sgti_batch_shape(const sgt_model_config *config, const sgt_model_options *options,
                            sgti_mode mode, int32_t batch, int32_t seq);

/* 1 for the modes that backward follows. */
static inline int sgti_is_training(const sgti_shape *shape)
{
    return shape->mode == SGTI_TRAIN_LOSS || shape->mode == SGTI_TRAIN_LOGITS;
}

typedef enum sgti_arena_kind {
    SGTI_KEPT,
    SGTI_DECISIONS,
    SGTI_SCRATCH,
    SGTI_ARENAS
} sgti_arena_kind;

/* A dense [rows, columns] piece of the block. */
typedef struct sgti_region {
    uint64_t offset;  /* bytes from the start of its arena */
    int64_t rows;     /* 0: the rows N of the call that works in it */
    int64_t columns;
    int32_t dtype;    /* enum sgt_dtype */
    int32_t arena;    /* sgti_arena_kind */
} sgti_region;

typedef struct sgti_regions {
    const sgti_shape *shape;
    sgti_arena arenas[SGTI_ARENAS];
} sgti_regions;

/* Takes a region from an arena. rows 0: as many as the shape has. */
sgti_region sgti_take(sgti_regions *regions, sgti_arena_kind arena, int64_t rows, int64_t columns,
                      int32_t dtype);

/* Takes a float32 region [N, columns] that lives until backward in training, and otherwise only
 * while the part runs. */
sgti_region sgti_take_activation(sgti_regions *regions, int64_t columns);

/* Takes a float32 region that lives only while the part runs. */
sgti_region sgti_take_scratch(sgti_regions *regions, int64_t rows, int64_t columns);

#endif
