/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the activations of one step lie in its arena. Derived from (config, plan, mode, B, T)
 * alone. N = B T rows. A training step keeps what backward needs; everything else is scratch:
 *
 *     | kept: x, q|k|v, out, lse of each pass; x, gate|up of each run | head | scratch |
 *
 * With recompute only the input of each run is kept, and all runs share one region. An evaluation
 * keeps nothing: every x is the same region.
 */
#ifndef SGTI_LAYOUT_H
#define SGTI_LAYOUT_H

#include <sgt/model.h>

typedef enum sgti_mode {
    SGTI_TRAIN_LOSS,   /* sgt_model_forward */
    SGTI_TRAIN_LOGITS, /* sgt_model_forward_logits */
    SGTI_EVALUATE
} sgti_mode;

/* One attention pass. Offsets are in float32 elements. */
typedef struct sgti_pass {
    int32_t n_heads;  /* h heads that are computed */
    int32_t n_groups; /* g key/value heads that they read */
    int32_t sparse;   /* 1: h < H, weights of the listed heads are gathered */
    uint64_t x;       /* [N,d] input */
    uint64_t qkv;     /* [N,(h+2g)dh], rotated */
    uint64_t out;     /* [N,h dh] */
    uint64_t lse;     /* [B,h,T] */
    uint64_t entropy; /* in doubles from layout.entropy: last [B,h], then mean [B,h] */
} sgti_pass;

/* One run of a block: its passes, then its feed-forward part. */
typedef struct sgti_run {
    int32_t layer;
    int32_t first_pass; /* index into passes */
    int32_t n_passes;   /* 1 + depth */
    int32_t first_entropy_pass; /* number of this run's pass 0 among the passes of the layer */
    uint64_t x_ffn;     /* [N,d] input of the feed-forward part */
    uint64_t gate_up;   /* [N,2ff] */
    uint64_t y;         /* [N,d] output */
} sgti_run;

typedef struct sgti_layout {
    sgti_mode mode;
    int32_t batch;
    int32_t seq;
    int64_t tokens; /* N */
    int32_t n_runs;
    int32_t n_passes;
    int32_t max_passes;   /* of one layer, over all its runs */
    sgti_run *runs;       /* NULL when only measured */
    sgti_pass *passes;

    uint64_t ids;         /* int32 [N] tokens */
    uint64_t targets;     /* int32 [N] */
    uint64_t losses;      /* [N] */
    uint64_t entropy;     /* float64, all passes */
    uint64_t n_entropies; /* doubles */

    uint64_t x_final;     /* [N,d] input of the final norm */
    int64_t chunk_rows;   /* R rows of logits at a time */
    uint64_t logits;      /* [R,V]; all [N,V] in mode logits */
    uint64_t d_head;      /* [V,d] unscaled gradient of the head; mode loss */
    uint64_t d_final;     /* [N,d] unscaled gradient of the normalised x_final */

    uint64_t h;           /* [N,d] output of a norm */
    uint64_t act;         /* [N,ff] silu(gate) up, or its gradient; an evaluation overwrites gate */
    uint64_t packed;      /* gathered weights of a sparse pass: q|k|v rows, then o columns */
    uint64_t d_packed;    /* their gradients */
    uint64_t dx;          /* [N,d] gradient of the residual stream */
    uint64_t dh;          /* [N,d] */
    uint64_t d_out;       /* [N,H dh] */
    uint64_t d_qkv;       /* [N,(H+2Hkv)dh] */
    uint64_t norm_scratch; /* [SGT_RMSNORM_PARTS,d] */

    uint64_t elements;    /* of the whole arena, float32 */
} sgti_layout;

/* How many runs and passes a plan makes. Plans may be NULL in this header: no loops. */
void sgti_layout_count(int32_t *n_runs, int32_t *n_passes, const sgt_model_config *config,
                       const sgt_plan *plan);

/* Fills a layout; runs and passes must be NULL (measuring) or hold as many as counted. Config is
 * resolved, B and T are checked. Errors: SGT_E_OVERFLOW. */
sgt_status sgti_layout_plan(sgti_layout *layout, const sgt_model_config *config,
                            const sgt_plan *plan, sgti_mode mode, int32_t batch, int32_t seq);

#endif
