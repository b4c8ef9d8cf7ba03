/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small model and its training, for everyone who tests with one: tests, the installed conformance
 * programs, a module of a host that knows the public interface alone. Nothing here prints or ends a
 * test; a function returns the status of the call that failed. A new kind of model is a row of
 * sgtt_small_kinds.
 */
#ifndef SGTT_SMALL_TRAINING_H
#define SGTT_SMALL_TRAINING_H

#include <sgt/sgt.h>

/* What a model is like. */
enum {
    SGTT_KIND_DENSE,       /* queries in groups, nothing else about it */
    SGTT_KIND_GROUPED_TIED,
    SGTT_KIND_LOOPS,
    SGTT_KIND_BLOCK_LOOPS,
    SGTT_KIND_RECOMPUTE,   /* tied too; every head has its own keys */
    SGTT_KIND_RECOMPUTED_LOOPS,
    SGTT_KIND_PATTERNS,    /* of attention: by layer and by group, with both loops */
    SGTT_KIND_STREAMS,     /* two of them, with both loops */
    SGTT_KIND_WIDE_STREAMS, /* three, with patterns, recompute and both loops */
    SGTT_KIND_UNITS,        /* soft and hard swiglu with both loops */
    SGTT_KIND_RELU_UNITS,   /* soft and hard; recompute, block loops, two streams, head modules */
    SGTT_KIND_HEAD_MODULES, /* with loops */
    SGTT_KIND_MODULES,      /* multiplicative attention in both ways, recompute, both loops */
    SGTT_KIND_MODULES_AND_ALL, /* with patterns, units, streams, head modules */
    SGTT_KINDS
};

typedef struct sgtt_small_kind {
    const char *name;
    int32_t n_heads;
    int32_t n_kv_heads;
    int32_t tied;
    int32_t recompute;
    int32_t loops;      /* 1: layer 1 makes two further passes, one with some heads; layer 2 one */
    int32_t extra_runs; /* of block 0 */
    int32_t n_blocks;   /* and the blocks that layers are made of; 0: of standard ones */
    const sgt_block_config *blocks;
    int32_t streams;     /* of a token; 0: 1 */
    int32_t altup_table;
    int32_t head_modules; /* 0: a full head */
    int32_t modules; /* 1: d_model is what the heads are together */
} sgtt_small_kind;

extern const sgtt_small_kind sgtt_small_kinds[SGTT_KINDS];

/* How large it is. The vocabulary grows to a multiple of head_modules, d_ff to one of units. */
enum {
    SGTT_SIZE_TINY,  /* a few hundred weights */
    SGTT_SIZE_ODD,   /* nothing even about it */
    SGTT_SIZE_EVEN,
    SGTT_SIZE_LARGE, /* beyond one part of every operation, for threads to share */
    SGTT_SIZES
};

/* All zeros where the library refuses to begin one. */
sgt_model_config sgtt_small_config(int kind, int size);
sgt_model_options sgtt_small_options(int kind);

/* Sets the plan of a kind; the model has three layers or more where the kind loops. */
sgt_status sgtt_small_loop(sgt_model *model, int kind);

/* The built-in policy, busy: two layers at a time, two of them in all, two passes, cosine ramps. */
sgt_growth_sparse_options sgtt_small_rule(int64_t first_step, int64_t window);

typedef struct small_training {
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth_policy *policy; /* NULL: does not grow */
    sgt_growth *growth;
    uint64_t seed;             /* of its batches */
} small_training;

typedef struct sgtt_small_recipe {
    const sgt_context_options *context;
    sgt_model_config config;
    const sgt_model_options *options; /* this and the next two: NULL for the defaults */
    const sgt_model_init_options *init;
    const sgt_optimizer_options *optimizer;
    const sgt_growth_sparse_options *rule; /* NULL: it grows only by a policy it has already */
} sgtt_small_recipe;

/* Makes the handles that are not there yet, so that a call that failed can be made again.
 * SGT_E_INTERNAL: a call failed and made its handle all the same. */
sgt_status sgtt_small_make(small_training *t, const sgtt_small_recipe *recipe);
void sgtt_small_free(small_training *t);

/* `rows` sequences of `seq` random tokens, which depend on t->seed and the step; a few of the
 * targets, which can be learned, are -1. The arrays have rows * seq elements. */
sgt_batch sgtt_small_batch(int32_t *tokens, int32_t *targets, const small_training *t, int64_t step,
                           int32_t rows, int32_t seq);

typedef struct sgtt_small_taken {
    double loss;
    double grad_norm;
    int32_t skipped;
    sgt_growth_event event;
} sgtt_small_taken;

/* Forward, and backward of the mean loss; of the sum where no target counts. */
sgt_status sgtt_small_accumulate(sgt_metrics *metrics, sgt_model *model, const sgt_batch *batch);

/* The same, then the optimizer and growth. */
sgt_status sgtt_small_step(sgtt_small_taken *taken, const small_training *t, const sgt_batch *batch,
                           int64_t step);

/* A checkpoint of all there is, with n strings of the host's. */
sgt_status sgtt_small_save(const small_training *t, const char *path, const char *const *keys,
                           const char *const *values, int32_t n);

/* Reads it: into the handles of t, or where it has no model yet into new ones. */
sgt_status sgtt_small_resume(small_training *t, const char *path);

#endif
