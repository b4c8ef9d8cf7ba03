/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * FLOPs accounting. Matrix products only, a multiply-add counts as two. Per token and layer:
 * projections 2 d dh (2 H + 2 Hkv), attention 4 dh H for each key that the token sees, feed-forward
 * 6 d d_ff; the head 2 d V per token. A loop pass with h heads over g key/value groups: projections
 * 2 d dh (2 h + 2 g) and its attention. Backward is twice forward.
 *
 * Keys that a token of a sequence of T sees: T / 2 in the mean of a whole sequence (causal), T in
 * the full count (as the paper), T when it is decoded as token number T. Under an attention pattern
 * these are, for each head by its own pattern, the pairs of the pattern divided by T; T; and what
 * the last token of T sees.
 *
 * Threads. Any; counting a model's total only reads the model.
 */
#ifndef SGT_FLOPS_H
#define SGT_FLOPS_H

#include <sgt/model.h>

SGT_BEGIN_DECLS

/* Which loops are counted. */
enum sgt_flops_loops {
    SGT_FLOPS_LOOPS_VANILLA = 0, /* without any loop */
    SGT_FLOPS_LOOPS_NOW = 1,     /* the heads whose gain is above 0 */
    SGT_FLOPS_LOOPS_GROWN = 2    /* the heads whose target is above 0: when the ramps are over */
};

/* What is counted. */
typedef struct sgt_flops_options {
    uint32_t size;
    int32_t seq;         /* T; 0: max_seq_len */
    int32_t loops;       /* enum sgt_flops_loops; default SGT_FLOPS_LOOPS_NOW. Since 0.2 */
    int32_t full_square; /* 1: attention over all T keys, as the paper counts; default 0: causal */
    int32_t phase;       /* enum sgt_phase: what a token is counted in. SGT_PHASE_FORWARD (default;
                            0 means it too): a training step, the mean token of a sequence of T.
                            SGT_PHASE_EVALUATE: an evaluation, likewise. SGT_PHASE_DECODE: a
                            session, token number T of its sequence; it sees T keys, or what its
                            pattern says, whatever full_square says. Since 0.2 */
} sgt_flops_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.1. */
SGT_API sgt_status sgt_flops_options_init(sgt_flops_options *options, size_t size);

/* FLOPs of one token. */
typedef struct sgt_flops {
    uint32_t size;
    int32_t reserved;    /* 0 */
    double forward;      /* its forward pass: the sum of the components below */
    double training;     /* its part of a training step, forward and backward: 3 x forward; 0 in
                            other phases than SGT_PHASE_FORWARD */
    double projections;  /* Q, K, V and output of every attention pass */
    double attention;    /* scores and weighted sums of every attention pass */
    double feed_forward; /* gate, up and down, and the controllers of sparse parts */
    double head;         /* the output head */
    double mixing;       /* what AltUp makes of several streams. Since 0.2 */
    double weight_bytes; /* the weights that are read, 4 bytes each, but for the embedding: by the
                            forward of a batch, or in SGT_PHASE_DECODE by that of one token, where
                            sparse parts read only what they chose. Since 0.2 */
} sgt_flops;

/* Counts for a config and a plan (NULL: no loops). options may be NULL. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE (the message names the option; another phase),
 * SGT_E_STRUCT_SIZE. Since 0.1. */
SGT_API sgt_status sgt_flops_count(sgt_flops *flops, const sgt_model_config *config,
                                   const sgt_plan *plan, const sgt_flops_options *options);

/* What a training has cost so far. */
typedef struct sgt_flops_total {
    uint32_t size;
    int32_t reserved; /* 0 */
    double executed; /* training FLOPs since the model was made (causal count) */
    double vanilla;  /* what the same tokens would have cost without loops */
    double overhead; /* executed / vanilla - 1; 0 before the first forward */
} sgt_flops_total;

/* The running total of a model's training: forwards and backwards that were finished. Where no
 * target of a batch is counted, forward skips the head and backward has nothing to do, so that
 * neither counts. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since 0.2. */
SGT_API sgt_status sgt_model_get_flops(sgt_flops_total *total, const sgt_model *model);

SGT_END_DECLS

#endif
