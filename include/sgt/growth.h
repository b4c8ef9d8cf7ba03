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

/* A policy decides about depth; it has all that it remembers for this. */
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

/* What a policy did. The arrays are the policy's and stay until it is asked again. */
typedef struct sgt_growth_event {
    uint32_t size;
    int32_t action;        /* enum sgt_growth_action */
    int32_t layer;         /* the layer that was selected or deepened; else -1 */
    int32_t depth;         /* its depth now */
    int32_t n_heads;       /* when a layer was selected: how many heads are kept; else 0 */
    int32_t n_layers;      /* when growth is over: how many layers were selected; else 0 */
    const int32_t *heads;  /* [n_heads] the highest average entropy first */
    const int32_t *layers; /* [n_layers] ascending */
} sgt_growth_event;

/* How the heads of a new loop come and go. */
enum sgt_ramp {
    SGT_RAMP_REFERENCE = 0, /* heads not kept fade out over the window, see sgt_fade */
    SGT_RAMP_HARD = 1,      /* only kept heads loop, with gain 1 at once */
    SGT_RAMP_WARM = 2       /* only kept heads loop; a new pass fades in over the window */
};

/* How heads that are not kept fade under SGT_RAMP_REFERENCE, with p = (step - start) / window. */
enum sgt_fade {
    SGT_FADE_LINEAR = 0,     /* 1 - p */
    SGT_FADE_COSINE = 1,     /* (1 + cos(pi p)) / 2 */
    SGT_FADE_EXPONENTIAL = 2 /* e^(p ln 1e-8) */
};

/* Which of the candidate layers is selected, after those that are selected already. */
enum sgt_growth_direction {
    SGT_DIRECTION_DEEP_TO_SHALLOW = 0, /* the deepest that is shallower than all selected ones */
    SGT_DIRECTION_SHALLOW_TO_DEEP = 1  /* the shallowest that is deeper than all selected ones */
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
    int32_t top_k_layers;    /* candidates: the layers of highest score of a group; default 3 */
    int64_t first_step;      /* the step of the first selection; default 250 */
    int64_t window;          /* steps from one decision to the next, and of a ramp; default 250 */
    int32_t max_layers;      /* how many layers are selected at most; default 3 */
    int32_t max_depth;       /* how many extra passes a layer gets at most; default 1 */
    int32_t keep_heads;      /* how many heads of a selected layer are kept; default 2 */
    int32_t ramp;            /* enum sgt_ramp; default reference */
    int32_t fade;            /* enum sgt_fade; default linear */
    int32_t entropy;         /* SGT_ENTROPY_LAST (default) or SGT_ENTROPY_MEAN */
    double average;          /* a of e <- a e + (1-a) E, in [0,1); default 0.5 */
    int32_t direction;       /* enum sgt_growth_direction */
    int32_t head_choice;     /* enum sgt_head_choice */
    uint64_t seed;           /* for SGT_HEADS_RANDOM; default 0 */
    const int32_t *exclude;  /* [n_exclude] layers never selected, copied; default: layer 0 */
    int32_t n_exclude;       /* default 1 */
    int32_t n_groups;        /* entries of groups, at most n_layers; default 0. Since 0.2 */
    double max_gain;         /* the largest gain of a head in a loop, in (0,1]: the gains of each
                                ramp are multiplied by it; default 1. Since 0.2 */
    const int32_t *groups;   /* [n_groups] from 0, copied: layers of one group are compared by
                                their scores, those of different groups never. Layer i is in group
                                groups[i % n_groups], as blocks of a model go round: {0, 1} for two
                                kinds of blocks in turn. Default NULL: one group. Since 0.2 */
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

/* Makes a policy whose plan has extra runs of whole blocks from the start: block layers[i] runs
 * extra_runs[i] more times, for i < count. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE,
 * SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. Since 0.1. */
SGT_API sgt_status sgt_growth_policy_static_blocks(sgt_growth_policy **policy,
                                                   sgt_context *context, int32_t n_layers,
                                                   int32_t n_heads, const int32_t *layers,
                                                   const int32_t *extra_runs, int32_t count);

/* Makes a policy that has a given plan from the start; the plan is copied. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. Since 0.1. */
SGT_API sgt_status sgt_growth_policy_static_heads(sgt_growth_policy **policy,
                                                  sgt_context *context, const sgt_plan *plan);

/* Drops the caller's reference; a growth keeps its policy alive. NULL is fine. Since 0.1. */
SGT_API void sgt_growth_policy_free(sgt_growth_policy *policy);

/* Writes everything that a policy remembers as bytes (little-endian, versioned; equal states give
 * equal bytes). *bytes is the room on entry and the length on return; with data NULL only the
 * length is given. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE (too little room), or what a
 * custom policy returned. Since 0.1. */
SGT_API sgt_status sgt_growth_policy_save(void *data, size_t *bytes,
                                          const sgt_growth_policy *policy);

/* Restores such bytes into a policy made with the same options; on failure the state stays as it
 * was. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_FORMAT, SGT_E_VERSION, or what a custom policy
 * returned. Since 0.1. */
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
 * Attaches a policy to a model, which then collects the entropies that the policy needs; a static
 * policy sets its plan now. The growth keeps both alive. options may be NULL. Errors:
 * SGT_E_INVALID_ARGUMENT (shapes differ), SGT_E_STATE (the model or the policy is attached
 * already), SGT_E_STRUCT_SIZE, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. Since 0.1.
 */
SGT_API sgt_status sgt_growth_create(sgt_growth **growth, sgt_model *model,
                                     sgt_growth_policy *policy,
                                     const sgt_growth_options *options);

/* Detaches the policy and frees the growth; the plan stays in the model. NULL is fine. Since
 * 0.1. */
SGT_API void sgt_growth_free(sgt_growth *growth);

/* What the host tells a policy about a step. */
typedef struct sgt_growth_input {
    uint32_t size;
    int32_t skipped;  /* 1: the optimizer skipped the step, so the policy is not asked */
    int64_t step;     /* 1-based optimizer step, larger than at the last call, at most 2^53 */
    double loss;      /* of the step, for policies that look at it; may be NaN */
    double grad_norm; /* likewise */
} sgt_growth_input;

/*
 * Asks the policy and gives the model the plan that it decides on; called after each optimizer
 * step. When the new plan does not fit in memory, plan and policy stay as they were and the call
 * may be repeated. event may be NULL. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE,
 * SGT_E_STATE (no training forward since the last call; step not larger), SGT_E_OUT_OF_MEMORY,
 * SGT_E_MEMORY_LIMIT, SGT_E_BACKEND, or what a custom policy returned. Since 0.1.
 */
SGT_API sgt_status sgt_growth_step(sgt_growth_event *event, sgt_growth *growth,
                                   const sgt_growth_input *input);

SGT_END_DECLS

#endif
