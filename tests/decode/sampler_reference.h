/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sampling as its documentation says it, with nothing clever: every token is sorted, every step is
 * a loop over all of them, exponentials are the C library's. Also logits to try it on.
 */
#ifndef SGTT_SAMPLER_REFERENCE_H
#define SGTT_SAMPLER_REFERENCE_H

#include <sgt/sampler.h>

#include "testing.h"

typedef struct reference_token {
    int32_t token;
    double value;
    double weight;
} reference_token;

typedef struct reference_sampler {
    sgt_sampler_options options;
    int32_t vocab_size;
    int32_t history[512]; /* all tokens so far */
    int32_t n_history;
    uint64_t drawn;
    reference_token *kept; /* [V] what the filters left, in the order of the draw */
    int32_t n_kept;
} reference_sampler;

void reference_open(reference_sampler *r, int32_t vocab_size, const sgt_sampler_options *options);
void reference_close(reference_sampler *r);

/* Fills kept. The logits allow at least one token. */
void reference_filter(reference_sampler *r, const float *logits);

/* The token of a random number; -1 where rounding may decide between two. */
int32_t reference_draw(const reference_sampler *r, double uniform);

/* A pick, and the token goes into the history (-1, as above, does not). */
int32_t reference_pick(reference_sampler *r, const float *logits);
void reference_accept(reference_sampler *r, int32_t token);

/* ---- logits ---- */

enum logits_kind {
    LOGITS_EVEN,      /* uniform in [-8,8) */
    LOGITS_PEAKED,    /* uniform in [-64,64) */
    LOGITS_TIES,      /* whole numbers: many are equal */
    LOGITS_FORBIDDEN, /* uniform, two thirds of them -infinity */
    LOGITS_EQUAL,     /* all alike */
    LOGITS_HUGE,      /* up to 1e36 */
    LOGITS_KINDS
};

/* Exact numbers, the same on every machine. */
void fill_logits(float *logits, int32_t count, enum logits_kind kind, uint64_t seed);

/* The defaults. */
sgt_sampler_options sampling_defaults(void);

#endif
