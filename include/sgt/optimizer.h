/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AdamW with decoupled weight decay, learning-rate schedules and global-norm clipping.
 *
 *     g <- g min(1, clip / (norm + 1e-6))
 *     p <- p - lr wd p;  m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2
 *     p <- p - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
 *
 * Loshchilov and Hutter, arXiv 1711.05101; t counts the updates that were applied.
 *
 * Threads. Calls that take a const optimizer may run at the same time; the others exclude every
 * other call on it, and a step excludes those on its model too.
 */
#ifndef SGT_OPTIMIZER_H
#define SGT_OPTIMIZER_H

#include <sgt/model.h>

SGT_BEGIN_DECLS

/* Moments, counters and options for one model. */
typedef struct sgt_optimizer sgt_optimizer;

/* The learning rate by step. With s the 1-based step, W warm-up steps, S total steps, D decay steps
 * and f the final factor, it is lr s/W while s < W, and after that as below. Past S it stays at its
 * last value; where no step is left to decay in (W = S, or D = 0) that is lr. */
enum sgt_schedule {
    SGT_SCHEDULE_CONSTANT = 0,          /* lr */
    SGT_SCHEDULE_LINEAR = 1,            /* from lr to f lr over (s-W)/(S-W) */
    SGT_SCHEDULE_COSINE = 2,            /* f + (1-f) (1 + cos(pi (s-W)/(S-W))) / 2, times lr */
    SGT_SCHEDULE_WARMUP_STABLE_DECAY = 3 /* lr until S-D, then linear to f lr at S */
};

/* Which tensors weight decay shrinks. */
enum sgt_decay_scope {
    SGT_DECAY_ALL = 0,     /* every tensor, as in the paper */
    SGT_DECAY_MATRICES = 1 /* every tensor but the norm weights */
};

/* Gets the 1-based step and the rate of the schedule, and returns the rate to use. If that is not
 * finite or below 0, the step fails with SGT_E_OUT_OF_RANGE and changes nothing. */
typedef double (*sgt_rate_fn)(void *user, int64_t step, double scheduled);

/* Rates, schedule, decay and clipping. The kernels compute in float32: a number that becomes
 * infinite there, one that becomes 0 without being 0, and a beta that becomes 1 are
 * SGT_E_OUT_OF_RANGE. */
typedef struct sgt_optimizer_options {
    uint32_t size;
    int32_t schedule;     /* enum sgt_schedule; default constant */
    double lr;            /* peak rate; default 6e-4 */
    double beta1;         /* default 0.9 */
    double beta2;         /* default 0.95 */
    double eps;           /* outside the root; default 1e-8 */
    double weight_decay;  /* default 0.1 */
    double clip;          /* largest global gradient norm; default 1; 0: no clipping */
    int32_t decay_scope;  /* enum sgt_decay_scope; default all */
    int32_t reserved;     /* 0 */
    int64_t warmup_steps; /* W; default 0 */
    int64_t total_steps;  /* S; needed by every schedule but constant */
    int64_t decay_steps;  /* D, for warm-up-stable-decay; default 0 */
    double final_factor;  /* f; default 0.1 */
    sgt_rate_fn rate;     /* NULL: the schedule alone */
    void *rate_user;      /* for rate */
} sgt_optimizer_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.1. */
SGT_API sgt_status sgt_optimizer_options_init(sgt_optimizer_options *options, size_t size);

/*
 * Makes an optimizer with zero moments (8 bytes per weight); it keeps the model alive. options may
 * be NULL. Errors: SGT_E_INVALID_ARGUMENT and SGT_E_OUT_OF_RANGE (the message names the field),
 * SGT_E_STRUCT_SIZE, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT, SGT_E_BACKEND. Since 0.1.
 */
SGT_API sgt_status sgt_optimizer_create(sgt_optimizer **optimizer, sgt_model *model,
                                        const sgt_optimizer_options *options);

/* Frees the optimizer and drops its hold on the model; NULL is fine. Since 0.1. */
SGT_API void sgt_optimizer_free(sgt_optimizer *optimizer);

/* The peak rate `lr` of its options, which the schedule scales; 0 for NULL. Since 0.2. */
SGT_API double sgt_optimizer_lr(const sgt_optimizer *optimizer);

/*
 * Gives the optimizer another peak rate from the next step on, for hosts that find the rate on the
 * way; the rest of the schedule stays. Checkpoints hold it like the one of the options, so a
 * resumed run goes on with it. lr is finite and >= 0. Errors: SGT_E_INVALID_ARGUMENT,
 * SGT_E_OUT_OF_RANGE. Since 0.2.
 */
SGT_API sgt_status sgt_optimizer_set_lr(sgt_optimizer *optimizer, double lr);

/* Sets the factors that the rate and the weight decay of one parameter are multiplied by; both are
 * 1 without this call, finite and >= 0. A rate factor of 0 freezes the parameter: neither weight
 * nor moments change, and it does not count in the norm. Errors: SGT_E_INVALID_ARGUMENT,
 * SGT_E_OUT_OF_RANGE. Since 0.1. */
SGT_API sgt_status sgt_optimizer_set_factors(sgt_optimizer *optimizer, int32_t index,
                                             double rate_factor, double decay_factor);

/* What a step did. */
typedef struct sgt_step_report {
    uint32_t size;
    int32_t skipped;  /* 1: the gradient norm was not finite, or beyond 1.8e19 once clipped, which
                       * has no square in float32; weights and moments are as before */
    int64_t step;     /* 1-based number of this step; skipped ones count */
    double lr;        /* the rate of this step */
    double grad_norm; /* the norm of the gradients after scaling and before clipping */
    double clip_scale; /* what they were multiplied by to clip them; 1: they were not clipped */
} sgt_step_report;

/* How a step is taken. */
typedef struct sgt_optimizer_step_options {
    uint32_t size;
    int32_t reserved; /* 0 */
    double scale;     /* gradients are multiplied by it before they are clipped: for a mean whose
                         count is known only when the last micro-batch has gone backward. Above 0
                         and finite in float32; default 1 */
} sgt_optimizer_step_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.2. */
SGT_API sgt_status sgt_optimizer_step_options_init(sgt_optimizer_step_options *options,
                                                   size_t size);

/*
 * Takes a step: scales and clips the gradients, updates the weights, and sets the gradients to
 * zero. report and options may be NULL. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE,
 * SGT_E_OUT_OF_RANGE (scale; rate callback), SGT_E_STATE (no backward since the last step),
 * SGT_E_GRADIENTS_INVALID (a backward failed or was stopped), SGT_E_BACKEND. Since 0.2.
 */
SGT_API sgt_status sgt_optimizer_step(sgt_step_report *report, sgt_optimizer *optimizer,
                                      const sgt_optimizer_step_options *options);

/* How many steps were taken so far, skipped ones included; 0 for NULL. Since 0.1. */
SGT_API int64_t sgt_optimizer_steps(const sgt_optimizer *optimizer);

/* Tells the rate that the schedule has for a 1-based step, without the callback. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE. Since 0.2. */
SGT_API sgt_status sgt_optimizer_get_scheduled_rate(double *lr, const sgt_optimizer *optimizer,
                                                    int64_t step);

/* Which moment of a parameter. */
enum sgt_moment {
    SGT_MOMENT_FIRST = 1, /* m, the average of gradients */
    SGT_MOMENT_SECOND = 2 /* v, the average of their squares */
};

/* Give views and copies of the moments of a parameter, as for weights (model.h). Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE (of the view), SGT_E_OUT_OF_RANGE (index, moment,
 * count), SGT_E_BACKEND (of the copies). Since 0.1. */
SGT_API sgt_status sgt_optimizer_moment(sgt_tensor_view *view, const sgt_optimizer *optimizer,
                                        int32_t index, int32_t moment);
SGT_API sgt_status sgt_optimizer_read_moment(float *values, size_t count,
                                             const sgt_optimizer *optimizer, int32_t index,
                                             int32_t moment);
SGT_API sgt_status sgt_optimizer_write_moment(sgt_optimizer *optimizer, int32_t index,
                                              int32_t moment, const float *values, size_t count);

SGT_END_DECLS

#endif
