/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sampler chooses a token from logits, in these steps:
 *
 *     bias -> repetition penalty -> temperature -> top k -> top p -> min p -> draw
 *
 * A draw uses only the four operations of double arithmetic and a counter-based generator: so the
 * same seed, options and logits give the same token on every machine.
 *
 * Threads. A sampler is used by one thread at a time; several samplers know nothing of each other.
 */
#ifndef SGT_SAMPLER_H
#define SGT_SAMPLER_H

#include <sgt/context.h>

SGT_BEGIN_DECLS

/* A sampler has settings, a window of the latest tokens, and a place in a sequence of draws. */
typedef struct sgt_sampler sgt_sampler;

/* How a token is chosen. */
typedef struct sgt_sampler_options {
    uint32_t size;
    int32_t top_k;             /* keep the k likeliest; 0 (default): all */
    double temperature;        /* logits are divided by it; 0: the likeliest token, the lowest of
                                  equals; default 1 */
    double top_p;              /* keep the likeliest that together reach this probability, in
                                  (0,1]; default 1 */
    double min_p;              /* drop what is less likely than this part of the likeliest, in
                                  [0,1]; default 0 */
    double repetition_penalty; /* above 0; tokens of the window have positive logits divided by it
                                  and negative ones multiplied (Keskar et al. 2019); default 1 */
    int32_t repetition_window; /* how many of the latest tokens count; default 64 */
    int32_t n_bias;            /* entries of the two arrays below */
    const int32_t *bias_tokens; /* [n_bias] each in [0,V); copied */
    const float *bias;          /* [n_bias] added to the logits; -INFINITY forbids a token */
    uint64_t seed;              /* default 0 */
} sgt_sampler_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.2. */
SGT_API sgt_status sgt_sampler_options_init(sgt_sampler_options *options, size_t size);

/*
 * Makes a sampler for vocabularies of vocab_size tokens; options may be NULL. All memory of later
 * calls is taken here. It keeps the context alive. One thread at a time. Errors:
 * SGT_E_INVALID_ARGUMENT (NaN, a NULL array), SGT_E_OUT_OF_RANGE (the message names the option),
 * SGT_E_STRUCT_SIZE, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. Since 0.1.
 */
SGT_API sgt_status sgt_sampler_create(sgt_sampler **sampler, sgt_context *context,
                                      int32_t vocab_size, const sgt_sampler_options *options);

/* Frees a sampler and drops its hold on the context; NULL is fine. Since 0.1. */
SGT_API void sgt_sampler_free(sgt_sampler *sampler);

/*
 * Picks a token from vocab_size logits, which are left as they are, and puts it in the window.
 * Errors: SGT_E_INVALID_ARGUMENT (a NaN or +infinity among the logits, with its position; no token
 * left that is allowed). Nothing is drawn on failure. Since 0.1.
 */
SGT_API sgt_status sgt_sampler_pick(int32_t *token, sgt_sampler *sampler, const float *logits);

/* Puts tokens that were not picked, such as a prompt, in the window. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE. Since 0.1. */
SGT_API sgt_status sgt_sampler_accept(sgt_sampler *sampler, const int32_t *tokens, int32_t count);

/* Empties the window and goes to the beginning of the draws of `seed`. Errors:
 * SGT_E_INVALID_ARGUMENT. Since 0.1. */
SGT_API sgt_status sgt_sampler_reset(sgt_sampler *sampler, uint64_t seed);

SGT_END_DECLS

#endif
