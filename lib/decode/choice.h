/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arithmetic of choosing a token. Everything is done in double with the four operations, in an
 * order that depends on the vocabulary alone, so equal logits, settings and random number give the
 * same token on every machine. The caller sees to it that rounding is to the nearest.
 *
 * Values are logits after bias and penalty; -infinity is a token that is forbidden. A weight is
 * exp((value - highest value) / temperature), 1 for the likeliest. Of equal values the lower token
 * is the likelier.
 */
#ifndef SGTI_CHOICE_H
#define SGTI_CHOICE_H

#include <stdint.h>

enum { SGTI_CHOICE_BLOCK = 512 }; /* tokens whose weights are summed together */

typedef struct sgti_candidate {
    double value; /* its weight in the end */
    int32_t token;
} sgti_candidate;

typedef struct sgti_choice {
    int32_t vocab_size;
    int32_t top_k; /* 0: all */
    double temperature;
    double top_p;
    double min_p;
    double *values;             /* [V] */
    double *weights;            /* [V], and */
    double *blocks;             /* [V / SGTI_CHOICE_BLOCK, rounded up]: unless there is a top_k */
    sgti_candidate *candidates; /* [top_k], or [V] for top_p without top_k */
} sgti_choice;

/* Copies logits to values. Returns the place of the first NaN or +infinity, or -1. */
int32_t sgti_choice_read(double *values, const float *logits, int32_t vocab_size);

/* The value of a token that was there before: positive ones are divided, others multiplied. */
double sgti_choice_penalise(double value, double penalty);

/* The token of the highest value; -1 when all are forbidden. */
int32_t sgti_choice_likeliest(const double *values, int32_t vocab_size);

/*
 * The token that a random number in [0,1) picks from what top_k, top_p and min_p leave;
 * `likeliest` is the one of sgti_choice_likeliest. The temperature is above 0.
 */
int32_t sgti_choice_draw(const sgti_choice *choice, int32_t likeliest, double uniform);

/* The sum of exp(logit - highest), for the logarithm of a probability. */
double sgti_choice_sum_exp(const float *logits, int32_t vocab_size, double highest);

#endif
