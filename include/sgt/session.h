/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Using a trained model token by token. A session keeps the keys and values of what it was fed, for
 * every attention pass of the model's current plan, so that each new token costs one token's work.
 *
 *     sgt_session_create(&session, model, NULL);
 *     sgt_session_feed(logits, session, 0, prompt, n_prompt);
 *     sgt_sampler_pick(&token, sampler, logits);
 *     sgt_session_feed(logits, session, 0, &token, 1);             ... and so on
 *
 * or sgt_session_generate, which does that loop, or sgt_session_generate_batch, which does it for
 * several texts at once. The logits are those of one forward over all tokens, however they were cut
 * into feeds.
 *
 * Keys and values that attention patterns (<sgt/pattern.h>) hide from all later tokens are given
 * up: a pass whose sets are LOCAL, BLOCK and SUMMARY keeps l + chunk positions and the summary
 * cells (of several groups what the largest needs), one with a dense or a STRIDED group all. Such a
 * session can go back by `chunk` tokens, or to the beginning.
 *
 * A session belongs to the weights and the plan that the model had when it was made: after a change
 * of either every call that computes is SGT_E_STATE until sgt_session_refresh.
 *
 * Threads. Sessions only read the model: several sessions of one model may be fed at the same time
 * in several threads, as long as nothing changes the model. One session is used by one thread at a
 * time. doc/decoding.md explains the cache.
 */
#ifndef SGT_SESSION_H
#define SGT_SESSION_H

#include <sgt/model.h>
#include <sgt/sampler.h>

SGT_BEGIN_DECLS

/* The keys and values of some sequences, for one model. */
typedef struct sgt_session sgt_session;

/* How much a session holds. */
typedef struct sgt_session_options {
    uint32_t size;
    int32_t sequences;  /* S sequences kept side by side; default 1 */
    int32_t max_length; /* tokens that each may have; 0 (default): the model's max_seq_len, which
                           it may not exceed. Keys and values take memory for all of them: for a
                           model from a file of others, whose max_seq_len may be anything up to
                           2^28, give a length */
    int32_t chunk;      /* rows of activations worked on at a time; longer feeds are cut; default
                           512. Under patterns, or with multiplicative attention, also how
                           far a sequence can go back */
    int32_t weights;    /* enum sgt_dtype: what products read. SGT_F32 (default; 0 means it too):
                           the model's own weights. SGT_BF16: copies of every matrix rounded to
                           bfloat16, which halve the bytes read for each token at some loss of
                           accuracy (doc/decoding.md). Since 0.2 */
} sgt_session_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.1. */
SGT_API sgt_status sgt_session_options_init(sgt_session_options *options, size_t size);

/* Bytes of a session, by what they are for. */
typedef struct sgt_session_memory {
    uint32_t size;
    int32_t reserved; /* 0 */
    uint64_t cache;   /* bytes of keys and values, and of what convolutions remember */
    uint64_t weights; /* bytes of weights in other forms: gathered for looped heads, turned for
                         sparse parts, rounded */
    uint64_t scratch; /* bytes of activations, lists and tables */
    uint64_t total;   /* sum of the above: what sgt_session_create takes from the context */
} sgt_session_memory;

/*
 * What a session of the model's current plan would take, before anything is allocated; options
 * may be NULL. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE, SGT_E_UNSUPPORTED (a type of
 * weights), SGT_E_STRUCT_SIZE, SGT_E_OVERFLOW. Since 0.1.
 */
SGT_API sgt_status sgt_session_estimate_memory(sgt_session_memory *memory, const sgt_model *model,
                                               const sgt_session_options *options);

/*
 * Makes a session with every sequence empty; options may be NULL. All memory of its later calls is
 * taken here, but for the lists of sgt_session_generate_batch. The session keeps the model alive.
 * Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE (the message names the option),
 * SGT_E_UNSUPPORTED (a type of weights), SGT_E_STRUCT_SIZE, SGT_E_OVERFLOW, SGT_E_OUT_OF_MEMORY,
 * SGT_E_MEMORY_LIMIT, SGT_E_BACKEND. Since 0.1.
 */
SGT_API sgt_status sgt_session_create(sgt_session **session, const sgt_model *model,
                                      const sgt_session_options *options);

/* Drops it, and its hold on the model; NULL is fine. Since 0.1. */
SGT_API void sgt_session_free(sgt_session *session);

/*
 * Starts over with the model's weights and plan of now: every sequence is empty afterwards, rounded
 * copies are made anew. The old memory is given up first; on failure the session stays out of date
 * and empty, and may be refreshed again. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OVERFLOW,
 * SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT, SGT_E_BACKEND. Since 0.1.
 */
SGT_API sgt_status sgt_session_refresh(sgt_session *session);

/* ---- feeding ---- */

/*
 * Appends `count` tokens to a sequence. logits, unless NULL, gets the V logits of the last one. On
 * failure the sequence is as it was before, and logits may hold part of an answer. But one that had
 * tokens, and whose patterns do not reach back to its old end from where the failure was, has the
 * whole chunks before that too: sgt_session_length tells. Errors:
 * SGT_E_INVALID_ARGUMENT (NULL, count below 1), SGT_E_OUT_OF_RANGE (sequence, a token with its
 * position, max_length), SGT_E_STATE (weights or plan changed), SGT_E_BACKEND, or what the progress
 * callback returned. Since 0.1.
 */
SGT_API sgt_status sgt_session_feed(float *logits, sgt_session *session, int32_t sequence,
                                    const int32_t *tokens, int32_t count);

/* Pieces for several sequences at once: they share one pass over the weights. */
typedef struct sgt_feed {
    uint32_t size;
    int32_t count;             /* pieces, each of another sequence */
    const int32_t *sequences;  /* [count] which sequence each is for; NULL: 0 .. count-1 */
    const int32_t *lengths;    /* [count] tokens in each, at least 1; NULL: 1 each */
    const int32_t *tokens;     /* the tokens of the first piece, then those of the second, ... */
    float *logits;             /* [count,V] out: of the last token of each; NULL: not wanted */
    float *all_logits;         /* [sum of lengths,V] out: of every token; NULL: not wanted */
} sgt_feed;

/* The same for several sequences. Errors as sgt_session_feed, SGT_E_STRUCT_SIZE,
 * SGT_E_INVALID_ARGUMENT for a sequence named twice. Since 0.1. */
SGT_API sgt_status sgt_session_feed_batch(sgt_session *session, const sgt_feed *feed);

/* The tokens a sequence has; 0 for one that is not there. Since 0.1. */
SGT_API int32_t sgt_session_length(const sgt_session *session, int32_t sequence);

/* The tokens a sequence may have; 0 for NULL. Since 0.1. */
SGT_API int32_t sgt_session_max_length(const sgt_session *session);

/*
 * Forgets all but the first `length` tokens of a sequence. Where patterns or convolutions gave up
 * what was needed for that it is SGT_E_STATE, and the message tells how many tokens it can go back
 * by: at most `chunk`, counted from the most that it had since it was last empty; to 0 always goes.
 * Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE, SGT_E_STATE. Since 0.1.
 */
SGT_API sgt_status sgt_session_rewind(sgt_session *session, int32_t sequence, int32_t length);

/*
 * Makes sequence `to` the first `length` tokens of sequence `from` (a shared prefix), whatever it
 * was. `length` may be what `from` could be rewound to, and `to` can go back no further than
 * `from`. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE, SGT_E_STATE, SGT_E_BACKEND. Since
 * 0.1.
 */
SGT_API sgt_status sgt_session_copy(sgt_session *session, int32_t to, int32_t from,
                                    int32_t length);

/* How likely a text is. */
typedef struct sgt_score {
    uint32_t size;
    int32_t count;     /* tokens scored */
    double log_prob;   /* sum of ln p of them */
    double perplexity; /* exp(-log_prob / count); 1 when count is 0 */
} sgt_score;

/*
 * Appends `count` tokens to a sequence and tells how likely each was after those before it. The
 * first one is only fed: to score what follows a prompt, feed the prompt without its last token and
 * begin with that one. log_probs, unless NULL, gets count - 1 values, ln p of tokens 1 .. count-1.
 * Errors as sgt_session_feed, SGT_E_STRUCT_SIZE. Since 0.1.
 */
SGT_API sgt_status sgt_session_score(sgt_score *score, sgt_session *session, int32_t sequence,
                                     const int32_t *tokens, int32_t count, float *log_probs);

/* ---- generating ---- */

/*
 * Gets each token as it is chosen, `index` counting from 0. 0 goes on; a positive value ends the
 * generation, which then still succeeds; a negative one ends it and is returned.
 */
typedef int32_t (*sgt_token_fn)(void *user, int32_t token, int32_t index);

/* Where a generation ends, and who sees it. */
typedef struct sgt_session_generate_options {
    uint32_t size;
    int32_t max_tokens;         /* new tokens at most; 0 (default): as many as fit */
    int32_t *tokens;            /* [max_tokens] out; NULL (default): only the callback sees them */
    const int32_t *stop_tokens; /* a token of this list ends the text; it is reported as well. NULL
                                   (default): the model's eos (sgt_special_tokens, since 0.2) */
    int32_t n_stop_tokens;      /* entries of the list; default 0 */
    int32_t reserved;           /* 0 */
    sgt_token_fn callback;      /* NULL: none */
    void *user;                 /* for callback */
    const int32_t *stop_sequences; /* lists of tokens, the first, then the second, ...: one at the
                                      end of the new tokens ends the text; its tokens are reported
                                      as well. They are looked for in `tokens`, which must be
                                      there. Since 0.2 */
    const int32_t *stop_lengths;   /* [n_stop_sequences] tokens of each list, at least 1. Since
                                      0.2 */
    int32_t n_stop_sequences;      /* lists; default 0. Since 0.2 */
    int32_t ignore_eos;            /* 1: where stop_tokens is NULL no token ends the text, the
                                      model's eos neither; default 0. Since 0.2 */
} sgt_session_generate_options;

/* Fills *options with the defaults. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since
 * 0.2. */
SGT_API sgt_status sgt_session_generate_options_init(sgt_session_generate_options *options,
                                                     size_t size);

/* Why a generation ended. */
enum sgt_generate_end {
    SGT_GENERATE_END_MAX_TOKENS = 1,   /* max_tokens were chosen */
    SGT_GENERATE_END_STOP_TOKEN = 2,   /* a token of stop_tokens, or an eos, was chosen */
    SGT_GENERATE_END_CALLBACK = 3,     /* the callback said so */
    SGT_GENERATE_END_FULL = 4,         /* the sequence reached max_length */
    SGT_GENERATE_END_STOP_SEQUENCE = 5 /* a list of stop_sequences was completed */
};

/* What a generation did. */
typedef struct sgt_generation {
    uint32_t size;
    int32_t count;     /* tokens that were chosen */
    int32_t end;       /* enum sgt_generate_end */
    int32_t reserved;  /* 0 */
    double log_prob;   /* sum of ln p of them under the unmodified logits */
} sgt_generation;

/*
 * Feeds a prompt of at least one token and goes on with tokens that the sampler picks. All of them
 * but the last are in the sequence afterwards; a next prompt that goes on begins with that last
 * one. The prompt is also put into the sampler's window, without its first token if that is the one
 * which the sampler picked last and so has there already. options may be NULL. A failure in the
 * middle keeps what was fed. Errors as sgt_session_feed and sgt_sampler_pick, SGT_E_STRUCT_SIZE.
 * Since 0.1.
 */
SGT_API sgt_status sgt_session_generate(sgt_generation *generation, sgt_session *session,
                                        int32_t sequence, sgt_sampler *sampler,
                                        const int32_t *prompt, int32_t n_prompt,
                                        const sgt_session_generate_options *options);

/* Texts to generate side by side, each in a sequence of its own. */
typedef struct sgt_generate_batch {
    uint32_t size;
    int32_t count;                /* texts */
    const int32_t *sequences;     /* [count] which sequence each is in; NULL: 0 .. count-1 */
    sgt_sampler *const *samplers; /* [count] each another one */
    const int32_t *prompts;       /* the tokens of the first prompt, then of the second, ... */
    const int32_t *lengths;       /* [count] tokens of each prompt, at least 1; NULL: 1 each */
    const sgt_session_generate_options *const *options; /* [count], each may be NULL; NULL: all
                                                           defaults */
    sgt_generation *const *generations; /* [count] out: what became of each */
} sgt_generate_batch;

/*
 * Generates several texts at once. All prompts share a pass over the weights, and so does then,
 * turn by turn, one token of each text; when a text ends, the others go on. Each text has its own
 * sampler, options and end. It gets the tokens that sgt_session_generate would make of it alone,
 * except where two tokens are equally likely within the rounding of sgt_session_feed_batch.
 * Callbacks come token by token in the order of the texts; a negative answer ends all texts.
 *
 * Takes some 300 bytes a text for the time of the call. A failure in the middle keeps what was fed,
 * and leaves the generations untouched. Errors as sgt_session_generate, the message naming the
 * text; SGT_E_INVALID_ARGUMENT for a sequence or a sampler named twice, SGT_E_OUT_OF_RANGE for more
 * texts than sequences, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. Since 0.2.
 */
SGT_API sgt_status sgt_session_generate_batch(sgt_session *session,
                                              const sgt_generate_batch *batch);

SGT_END_DECLS

#endif
