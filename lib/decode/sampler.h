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
    uint64_t drawn; /* tokens picked since the last reset: the place in the stream of draws */
    sgti_choice choice;
    int32_t n_bias;
    double penalty;
    int32_t *bias_tokens; /* [n_bias] */
    float *bias;          /* [n_bias] */
    sgti_token_window window; /* of length 0 where no penalty needs one */
    int32_t picked;       /* the token that came last, if it was picked; else -1 */
    float *logits;        /* [V] room for a generation: the logits from which it picks */
    char *memory;         /* one allocation for all the arrays */
    uint64_t memory_bytes;
};

/* Fills *own with the caller's options (NULL: the defaults), checked for a vocabulary. */
sgt_status sgti_sampler_options_read(sgt_sampler_options *own, const sgt_sampler_options *caller,
                                     int32_t vocab_size);

/* Puts a prompt of at least one token in the window. A prompt that goes on with a text begins with
 * the token that was picked last; as the window has it already, it is not put there again. */
sgt_status sgti_sampler_accept_prompt(sgt_sampler *sampler, const int32_t *prompt,
                                      int32_t n_prompt);

/* ln p of a token under logits. None of them is NaN or +infinity, and at least one is finite. */
double sgti_log_prob(const float *logits, int32_t vocab_size, int32_t token);

#endif
