/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a block is made of. A block has an attention part and a feed-forward part; each kind of part
 * is one file of this folder, one table, and one row of kinds.c. Training, evaluation and decoding
 * run the same forward: what differs between them comes through sgti_work (products, attention,
 * where regions lie).
 */
#ifndef SGTI_PART_H
#define SGTI_PART_H

#include <sgt/flops.h>
#include <sgt/sys/operations.h>

#include "../layout.h"
#include "../placer.h"

struct sgti_work; /* work.h */

/* A matrix [rows, columns] that a part computes with and that is made of parameters: some heads
 * gathered, or a matrix turned. A session makes it once, a batch whenever it is asked for. */
typedef struct sgti_derived {
    int64_t rows, columns;
    int32_t needed; /* 0: not by this pass; a batch has room for it all the same, so that the memory
                       need not grow when a pass loses heads */
} sgti_derived;

/* What a session remembers of each token for a pass, beside keys and values. */
typedef struct sgti_history {
    int64_t steps;  /* how many tokens back */
    int64_t values; /* of each token */
} sgti_history;

/* What the FLOPs of one token are asked for. */
typedef struct sgti_flops_query {
    const sgt_model_config *config;
    int32_t layer;
    const float *values; /* [H] an attention pass runs the heads with a value above 0; NULL: all */
    double heads;        /* how many heads run */
    double groups;       /* how many key/value heads they read */
    int32_t seq;
    int full_square; /* 1: as if every query saw all seq keys */
    int32_t phase;   /* SGT_PHASE_FORWARD, _EVALUATE or _DECODE: what the token is computed in */
} sgti_flops_query;

typedef struct sgti_part_kind {
    const char *name;
    enum sgti_block_part slot; /* which part of a block it can be */
    const struct sgti_part_kind *with_units; /* of a feed-forward kind: what it is with a
                                                controller; NULL: it cannot have one */
    /* 1: a training forward draws random numbers. They depend on a seed, on the place of what is
     * drawn and on work->model->draws, and on nothing else. What was drawn is a decision: it is
     * kept in a region of that arena, where backward and a remade forward find it. */
    int32_t draws;

    /* Refuses a configuration, its head_dim and n_kv_heads resolved, that this kind cannot be part
     * of; NULL: it can be part of any. */
    sgt_status (*check)(const sgt_model_config *config, const sgt_block_config *block);

    /* Declares the parameters of layer placer->layer, in the order of the kind's own numbers. */
    void (*parameters)(sgti_placer *placer, const sgt_model_config *config);

    /* The derived matrices of a part of `layer`, pass NULL for a feed-forward part: their number,
     * how large number `which` is, and how it is made. `lists` are those of the passes. NULL where
     * there are none. */
    int32_t n_derived; /* at most SGTI_PART_DERIVED */
    sgti_derived (*derived)(const sgt_model_config *config, int32_t layer, const sgti_pass *pass,
                            int32_t which);
    sgt_status (*derive)(const sgt_model *model, int32_t layer, const sgti_pass *pass,
                         sgt_buffer *lists, int32_t which, const sgt_tensor *to);

    /* What a pass of an attention part remembers by the provider of that name; NULL: nothing. */
    sgti_history (*history)(const sgt_model_config *config, int32_t layer, const sgti_pass *pass);

    /* Takes the regions part->own; part->x is known, part->y not yet. */
    void (*place)(sgti_part *part, sgti_regions *regions);

    /* y [N,d] = x + what the part adds. With work->remake only what backward needs is made again. A
     * feed-forward part then need not make y, as it is the last of its run; an attention part must,
     * because y is the next part's x. */
    sgt_status (*forward)(const struct sgti_work *work, const sgti_part *part);

    /* Turns layout.dx [N,d] from the gradient of y into that of x, and adds to the gradients of
     * weights. */
    sgt_status (*backward)(const struct sgti_work *work, const sgti_part *part);

    /* Adds the forward FLOPs of one token to the components. */
    void (*flops)(sgt_flops *flops, const sgti_flops_query *query);
} sgti_part_kind;

/* The kind with a number of enum sgt_attention_kind or sgt_feed_forward_kind; NULL: there is none
 * (kinds.c). Numbers start at 0 and leave no hole. */
const sgti_part_kind *sgti_part_kind_of(enum sgti_block_part slot, int32_t number);

extern const sgti_part_kind sgti_softmax_attention; /* attention.c */
extern const sgti_part_kind sgti_multiplicative_attention; /* multiplicative.c */
extern const sgti_part_kind sgti_swiglu_feed_forward; /* feed_forward.c, like the next */
extern const sgti_part_kind sgti_relu_feed_forward;
extern const sgti_part_kind sgti_swiglu_of_units; /* units.c, like the next */
extern const sgti_part_kind sgti_relu_of_units;

#endif
