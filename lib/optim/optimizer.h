/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of an optimizer, for the files of this folder and for checkpoints. */
#ifndef SGTI_OPTIMIZER_H
#define SGTI_OPTIMIZER_H

#include <sgt/optimizer.h>

#include "../base/structs.h"
#include "../model/model.h"

#define SGTI_OPTIMIZER_OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_optimizer_options, rate_user)

typedef struct sgti_factors {
    double rate; /* 0: the parameter is frozen */
    double decay;
} sgti_factors;

struct sgt_optimizer {
    sgt_model *model;              /* counted */
    sgt_optimizer_options options; /* checked */
    int64_t steps;                 /* steps taken, skipped ones too: what schedules see */
    int64_t updates;               /* steps that changed weights: t of the bias corrections */
    sgti_storage moments; /* all first moments, then all second ones, laid out as the weights */
    sgti_storage norm;    /* a double: the squared norm of a step's gradients */
    void *host;           /* one allocation for the lists below, all [parameters.count] */
    sgti_factors *factors;
    int32_t n_pieces;     /* the parameters that are not frozen: a piece of the weights each, */
    int64_t *firsts;      /* for which a step fills these four lists */
    int64_t *counts;
    float *rates;
    float *decays;
};

/* The bytes of an optimizer without its moments. */
uint64_t sgti_optimizer_bytes(int32_t n_parameters);

/* Reads the options that a caller gave (NULL: defaults) and checks them. */
sgt_status sgti_optimizer_options_read(sgt_optimizer_options *own,
                                       const sgt_optimizer_options *caller);

/* What a file tells about an optimizer. */
typedef struct sgti_optimizer_record {
    int64_t steps;
    int64_t updates;
    const sgt_optimizer_options *options; /* NULL: the optimizer keeps its own, and its factors */
    const sgti_factors *factors;          /* [parameters.count] */
} sgti_optimizer_record;

/* Lets the optimizer go on from what a file tells. The host's rate callback stays. */
void sgti_optimizer_restore(sgt_optimizer *optimizer, const sgti_optimizer_record *record);

/* A moment (enum sgt_moment) of a parameter as a tensor. */
sgt_tensor sgti_moment(const sgt_optimizer *optimizer, int32_t index, int32_t moment);

#endif
