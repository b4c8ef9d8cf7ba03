/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole training in small: context, model, optimizer, growth that selects, deepens, fades and
 * fixes, micro-batches, evaluations, a step with a loss of the host's own, a plan of the host's
 * own at the end. Two lives with the same options must end with the same bits.
 */
#ifndef SGTT_TRAINING_LIFE_H
#define SGTT_TRAINING_LIFE_H

#include "fixtures.h"

#define LIFE_STEPS 14

typedef struct training_life {
    double losses[LIFE_STEPS];
    double evaluated[LIFE_STEPS];
    double grad_norms[LIFE_STEPS];
    int32_t actions[LIFE_STEPS]; /* enum sgt_growth_action */
    double entropies[4];         /* of the last step, one pass */
    unsigned char policy[2048];  /* what it remembers at the end */
    size_t policy_bytes;
    float *weights;              /* at the end */
    float *gradients;            /* of the last batch */
    uint64_t elements;
    int32_t refused;             /* calls that gave SGT_E_OUT_OF_MEMORY and were made again */
} training_life;

/* Lives it; every call that fails for want of memory is made again. */
void training_life_run(training_life *life, const sgt_context_options *options, int kind, int size);
void training_life_free(training_life *life);

/* Fails the test unless both are the same, bit for bit. */
void training_life_check_equal(const training_life *a, const training_life *b, const char *what);

#endif
