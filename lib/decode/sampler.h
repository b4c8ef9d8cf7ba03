/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a sampler: sampler.c makes and uses it, sampler_options.c checks its options. */
#ifndef SGTI_SAMPLER_H
#define SGTI_SAMPLER_H

#include <sgt/sampler.h>

#include "../base/memory.h"
#include "choice.h"
#include "token_window.h"

struct sgt_sampler {
    sgt_context *context; /* counted */
    uint64_t seed;
    uint64_t drawn; /* random numbers used since the last reset */
    sgti_choice choice;
    int32_t n_bias;
    double penalty;
    int32_t *bias_tokens; /* [n_bias] */
    float *bias;          /* [n_bias] */
    sgti_token_window window; /* length 0: none is needed */
    int32_t picked; /* the newest token of the window, if it was picked; else -1 */
    float *logits;        /* [V] for sgt_session_generate */
    char *memory;         /* all the arrays */
    uint64_t memory_bytes;
};

/* Fills *own with defaults and what the caller set, checked for a vocabulary; caller may be
 * NULL. */
sgt_status sgti_sampling_options_read(sgt_sampler_options *own, const sgt_sampler_options *caller,
                                      int32_t vocab_size);

/* Puts a prompt of at least one token in the window. One that goes on with a text begins with the
 * token that was picked last, which is there already. */
sgt_status sgti_sampler_accept_prompt(sgt_sampler *sampler, const int32_t *prompt,
                                      int32_t n_prompt);

/* ln p of a token under logits without NaN or +infinity, some of which are finite. */
double sgti_log_prob(const float *logits, int32_t vocab_size, int32_t token);

#endif
