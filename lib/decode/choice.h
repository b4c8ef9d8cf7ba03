/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arithmetic of choosing a token. Everything is done in double with the four operations, in an
 * order that depends on the size of the vocabulary alone. So equal logits, settings and random
 * numbers give the same token on every machine, as long as the caller sees to it that rounding is
 * to the nearest.
 *
 * Values are logits after bias and penalty; a token of value -infinity is forbidden. A weight is
 * exp((value - highest value) / temperature), which is 1 for the likeliest. Of equal values the
 * lower token counts as the likelier.
 */
#ifndef SGTI_CHOICE_H
#define SGTI_CHOICE_H

#include <stdint.h>

enum { SGTI_CHOICE_BLOCK = 512 }; /* tokens whose weights are summed together */

typedef struct sgti_candidate {
    double value; /* its value; once it is kept, its weight */
    int32_t token;
} sgti_candidate;

typedef struct sgti_choice {
    int32_t vocab_size;
    int32_t top_k; /* 0: all */
    double temperature;
    double top_p;
    double min_p;
    double *values;             /* [V] */
    double *weights;            /* [V]; not there with top_k, like the next */
    double *blocks;             /* [V / SGTI_CHOICE_BLOCK, rounded up] sums of weights */
    sgti_candidate *candidates; /* [top_k], or [V] for top_p without top_k */
} sgti_choice;

/* Copies logits to values. Returns the place of the first NaN or +infinity, or -1. */
int32_t sgti_choice_read(double *values, const float *logits, int32_t vocab_size);

/* The value of a token that the window has: divided by the penalty if positive, else multiplied. */
double sgti_choice_penalise(double value, double penalty);

/* The token of the highest value; -1 when all tokens are forbidden. */
int32_t sgti_choice_likeliest(const double *values, int32_t vocab_size);

/*
 * Draws a token from those that top_k, top_p and min_p leave; `uniform` is a random number in
 * [0,1), `likeliest` what sgti_choice_likeliest returned. The temperature must be above 0.
 */
int32_t sgti_choice_draw(const sgti_choice *choice, int32_t likeliest, double uniform);

/* The sum of exp(logit - highest) over all tokens, for the logarithm of a probability. */
double sgti_choice_sum_exp(const float *logits, int32_t vocab_size, double highest);

#endif
