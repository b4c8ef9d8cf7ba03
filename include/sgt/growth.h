/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Growing depth while training: policies, and the driver that asks a policy once per optimizer
 * step and hands its plan to the model. Policies of the host's own: <sgt/sys/growth.h>.
 *
 * Threads. A policy and a growth are used by one thread at a time. Making, asking and freeing a
 * growth changes its model, and excludes every other call on that; saving only reads the policy.
 */
#ifndef SGT_GROWTH_H
#define SGT_GROWTH_H

#include <sgt/model.h>

SGT_BEGIN_DECLS

/* What decides, with all that it remembers. */
typedef struct sgt_growth_policy sgt_growth_policy;

/* A policy attached to a model. */
typedef struct sgt_growth sgt_growth;

/* What was decided at a step. */
enum sgt_growth_action {
    SGT_GROWTH_NONE = 0,   /* nothing new; gains may have moved along their ramps */
    SGT_GROWTH_SELECT = 1, /* a layer got its first loop */
    SGT_GROWTH_DEEPEN = 2, /* a layer got one more pass */
    SGT_GROWTH_FIX = 3     /* growth is over */
};

/* What a policy did. The arrays belong to the policy and live until it is asked again. */
typedef struct sgt_growth_event {
    uint32_t size;
    int32_t action;        /* enum sgt_growth_action */
    int32_t layer;         /* of select and deepen; else -1 */
    int32_t depth;         /* of that layer now */
    int32_t n_heads;       /* of select: heads kept, else 0 */
    int32_t n_layers;      /* of fix: layers that were selected, else 0 */
    const int32_t *heads;  /* highest average entropy first */
    const int32_t *layers; /* ascending */
} sgt_growth_event;

/* How the heads of a new loop come and go. */
enum sgt_ramp {
    SGT_RAMP_REFERENCE = 0, /* heads not kept fade out over the window, see sgt_fade */
    SGT_RAMP_HARD = 1,      /* kept heads only, at once, gain 1 */
    SGT_RAMP_WARM = 2       /* kept heads only; a new pass fades in over the window */
};

/* How heads that are not kept fade under SGT_RAMP_REFERENCE, p = (step - start) / window. */
enum sgt_fade {
    SGT_FADE_LINEAR = 0,     /* 1 - p */
    SGT_FADE_COSINE = 1,     /* (1 + cos(pi p)) / 2 */
    SGT_FADE_EXPONENTIAL = 2 /* e^(p ln 1e-8) */
};

/* Which of the candidate layers is taken, next to those selected already. */
enum sgt_growth_direction {
    SGT_DIRECTION_DEEP_TO_SHALLOW = 0, /* the deepest first, then none deeper than the shallowest */
    SGT_DIRECTION_SHALLOW_TO_DEEP = 1  /* the shallowest first, then none shallower than the deepest */
};

/* Which heads of a selected layer are kept. */
enum sgt_head_choice {
    SGT_HEADS_HIGHEST = 0, /* highest average entropy */
    SGT_HEADS_LOWEST = 1,  /* lowest average entropy */
    SGT_HEADS_RANDOM = 2   /* by seed and layer */
};

/* The policy of the paper (arXiv 2603.23998); doc/maths.md has the rule in full. */
typedef struct sgt_growth_sparse_options {
    uint32_t size;
    int32_t top_k_layers;    /* candidates: the layers of highest score; default 3 */
    int64_t first_step;      /* the first selection; default 250 */
    int64_t window;          /* steps between decisions and of a ramp; default 250 */
    int32_t max_layers;      /* default 3 */
    int32_t max_depth;       /* extra passes per layer; default 1 */
    int32_t keep_heads;      /* default 2 */
    int32_t ramp;            /* enum sgt_ramp; default reference */
    int32_t fade;            /* enum sgt_fade; default linear */
    int32_t entropy;         /* SGT_ENTROPY_LAST (default) or SGT_ENTROPY_MEAN */
    double average;          /* a of e <- a e + (1-a) E, in [0,1); default 0.5 */
    int32_t direction;       /* enum sgt_growth_direction */
    int32_t head_choice;     /* enum sgt_head_choice */
    uint64_t seed;           /* of SGT_HEADS_RANDOM; default 0 */
    const int32_t *exclude;  /* layers never selected, copied; default the one layer 0 */
    int32_t n_exclude;       /* default 1 */
    int32_t reserved;        /* 0 */
    double max_gain;         /* of every head of a loop, in (0,1]: the gains of each ramp are
                                multiplied by it; default 1. Since 0.2 */
} sgt_growth_sparse_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.2. */
SGT_API sgt_status sgt_growth_sparse_options_init(sgt_growth_sparse_options *options, size_t size);

/*
 * Makes the policy of the paper; options may be NULL. All policies are made for models of n_layers
 * layers and n_heads query heads, and one policy serves one model at a time. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE (the message names the field), SGT_E_STRUCT_SIZE,
 * SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. Since 0.2.
 */
SGT_API sgt_status sgt_growth_policy_sparse(sgt_growth_policy **policy, sgt_context *context,
                                            int32_t n_layers, int32_t n_heads,
                                            const sgt_growth_sparse_options *options);

/* Makes a policy that never changes anything. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE,
 * SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. Since 0.1. */
SGT_API sgt_status sgt_growth_policy_none(sgt_growth_policy **policy, sgt_context *context,
                                          int32_t n_layers, int32_t n_heads);

/* Makes a policy of blocks that run again from the start: layers[i] runs extra_runs[i] more times,
 * i < count. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE, SGT_E_OUT_OF_MEMORY,
 * SGT_E_MEMORY_LIMIT. Since 0.1. */
SGT_API sgt_status sgt_growth_policy_static_blocks(sgt_growth_policy **policy,
                                                   sgt_context *context, int32_t n_layers,
                                                   int32_t n_heads, const int32_t *layers,
                                                   const int32_t *extra_runs, int32_t count);

/* Makes a policy of a given plan from the start; it is copied. Errors: SGT_E_INVALID_ARGUMENT,
 * SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. Since 0.1. */
SGT_API sgt_status sgt_growth_policy_static_heads(sgt_growth_policy **policy,
                                                  sgt_context *context, const sgt_plan *plan);

/* Drops the caller's reference; a growth keeps its policy alive. NULL is fine. Since 0.1. */
SGT_API void sgt_growth_policy_free(sgt_growth_policy *policy);

/* Everything a policy remembers, as bytes (little-endian, versioned; equal states give equal
 * bytes). *bytes: room on entry, length on return; data NULL: the length only. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE (too little room), or a custom policy's. Since 0.1. */
SGT_API sgt_status sgt_growth_policy_save(void *data, size_t *bytes,
                                          const sgt_growth_policy *policy);

/* Restores it into a policy made with the same options; on failure the state stays as it was.
 * Errors: SGT_E_INVALID_ARGUMENT, SGT_E_FORMAT, SGT_E_VERSION, or a custom policy's. Since 0.1. */
SGT_API sgt_status sgt_growth_policy_load(sgt_growth_policy *policy, const void *data,
                                          size_t bytes);

/* How a policy is attached. */
typedef struct sgt_growth_options {
    uint32_t size;
    int32_t observe_after_fix; /* 1: go on collecting entropies when growth is over; default 0 */
} sgt_growth_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.1. */
SGT_API sgt_status sgt_growth_options_init(sgt_growth_options *options, size_t size);

/*
 * Attaches a policy to a model, which then collects the entropies the policy needs; a static
 * policy sets its plan now. Keeps both alive. options may be NULL. Errors:
 * SGT_E_INVALID_ARGUMENT (shapes differ), SGT_E_STATE (the model or the policy is attached
 * already), SGT_E_STRUCT_SIZE, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. Since 0.1.
 */
SGT_API sgt_status sgt_growth_create(sgt_growth **growth, sgt_model *model,
                                     sgt_growth_policy *policy,
                                     const sgt_growth_options *options);

/* Detaches; the plan stays in the model. NULL is fine. Since 0.1. */
SGT_API void sgt_growth_free(sgt_growth *growth);

/* What the host tells a policy about a step. */
typedef struct sgt_growth_input {
    uint32_t size;
    int32_t skipped;  /* the optimizer skipped the step: the policy is not asked */
    int64_t step;     /* 1-based optimizer step, larger than at the last call, at most 2^53 */
    double loss;      /* of the step, for policies that look at it; may be NaN */
    double grad_norm; /* likewise */
} sgt_growth_input;

/*
 * Asks the policy, after the optimizer step, and gives the model its plan. When the new plan does
 * not fit in memory, plan and policy stay as they were and the call may be repeated. event may be
 * NULL. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE, SGT_E_STATE (no training forward since
 * the last call; step not larger), SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT, SGT_E_BACKEND, or
 * what a custom policy returned. Since 0.1.
 */
SGT_API sgt_status sgt_growth_step(sgt_growth_event *event, sgt_growth *growth,
                                   const sgt_growth_input *input);

SGT_END_DECLS

#endif
