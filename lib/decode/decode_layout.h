/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session keeps and where it lies, derived from (config, plan, S, L, R) alone: S sequences
 * of at most L tokens, R rows of activations at a time. doc/decoding.md has a picture.
 *
 *     cache     per pass of every run: [S, 2g, L, dh], keys of g heads, then their values
 *     gathered  per sparse pass: q|k|v rows [(h+2g)dh, d], o columns [d, h dh]
 *     scratch   x, h, q|k|v, out, gate|up of R rows; logits over the last three
 */
#ifndef SGTI_DECODE_LAYOUT_H
#define SGTI_DECODE_LAYOUT_H

#include <sgt/session.h>

/* Matrices of a layer, in this order among all; those of sparse passes and the head follow. */
enum sgti_matrix_of_layer {
    SGTI_MATRIX_QKV,
    SGTI_MATRIX_O,
    SGTI_MATRIX_GATE_UP,
    SGTI_MATRIX_DOWN,
    SGTI_MATRICES_OF_LAYER
};

typedef struct sgti_decode_matrix {
    int64_t rows; /* outputs */
    int64_t cols; /* inputs */
    uint64_t offset;   /* elements: in the weights of the model, or in `gathered` */
    uint64_t packed;   /* elements: in the bf16 copies */
    int32_t gathered;  /* 1: of a sparse pass */
} sgti_decode_matrix;

/* An attention pass of a layer; all runs of the block share it. */
typedef struct sgti_decode_pass {
    int32_t n_heads;  /* h query heads that run */
    int32_t n_groups; /* g key/value heads that they read */
    int32_t matrix;   /* index of its q|k|v; o is the next one */
    int32_t list;     /* first entry in the lists of heads */
    uint64_t cache;   /* elements: of run 0 */
} sgti_decode_pass;

typedef struct sgti_decode_layer {
    int32_t first_pass;
    int32_t n_passes; /* 1 + depth */
    int32_t n_runs;   /* 1 + extra runs */
    uint64_t run_stride; /* elements of cache from run to run */
} sgti_decode_layer;

typedef struct sgti_decode_layout {
    int32_t sequences;  /* S */
    int32_t max_length; /* L */
    int32_t rows;       /* R */
    int32_t head_rows;  /* rows of logits at a time */
    int32_t n_layers;
    int32_t n_runs;     /* of all layers */
    int32_t n_passes;   /* each counted once for all runs of its block */
    int32_t n_matrices;
    int32_t n_listed;   /* entries of the lists of heads */
    int64_t widest;     /* the most columns of a matrix */
    sgti_decode_layer *layers;    /* NULL when only measured, like the next two */
    sgti_decode_pass *passes;
    sgti_decode_matrix *matrices;

    uint64_t cache;    /* elements */
    uint64_t gathered; /* elements */
    uint64_t packed;   /* elements (bf16) */

    uint64_t x;        /* offsets in the scratch, float32 elements; [R,d] */
    uint64_t h;        /* [R,d] */
    uint64_t ids;      /* int32 [R] */
    uint64_t targets;  /* int32 [R] */
    uint64_t losses;   /* [R] */
    uint64_t qkv;      /* [R,(H+2Hkv)dh] */
    uint64_t out;      /* [R,H dh] */
    uint64_t gate_up;  /* [R,2ff] */
    uint64_t logits;   /* [head_rows,V], over the last three */
    uint64_t scratch;  /* elements of all that */
} sgti_decode_layout;

/* Fills a layout; layers, passes and matrices are NULL (measuring) or hold as many as a first
 * call counted. Everything is checked before. Errors: SGT_E_OVERFLOW. */
sgt_status sgti_decode_layout_plan(sgti_decode_layout *layout, const sgt_model *model,
                                   const sgt_plan *plan, const sgt_session_options *options);

/* The layer's matrix. */
static inline int32_t sgti_decode_matrix_of(int32_t layer, enum sgti_matrix_of_layer which)
{
    return layer * SGTI_MATRICES_OF_LAYER + (int32_t)which;
}

#endif
