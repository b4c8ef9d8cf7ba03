/* SPDX-License-Identifier: BSD-3-Clause */
/* Sessions of a looped model on the backend, fed in pieces, compared with the portable one. */
#include "suite.h"

#include "training.h"

enum { PROMPT = 7, MOST_VOCABULARY = 40, SEQUENCES = 3 };

typedef struct decoder {
    small_training training;
    sgt_session *session;
} decoder;

static sgt_session *session_of(const decoder *d, int32_t weights)
{
    sgt_session *session;
    sgt_session_options wanted;
    sgtt_ok(sgt_session_options_init(&wanted, sizeof wanted));
    wanted.sequences = SEQUENCES;
    wanted.chunk = 4; /* a prompt is cut */
    wanted.weights = weights;
    sgtt_ok(sgt_session_create(&session, d->training.model, &wanted));
    return session;
}

static void open_decoder(decoder *d, const sgt_context_options *options, int kind, uint64_t seed)
{
    sgtt_training_open_kind(&d->training, options, kind, seed);
    d->session = session_of(d, SGT_F32);
}

static void close_decoder(decoder *d)
{
    sgt_session_free(d->session);
    sgtt_small_free(&d->training);
}

static uint64_t vocabulary_of(const decoder *d)
{
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_model_get_config(&config, d->training.model));
    sgtt_require(config.vocab_size <= MOST_VOCABULARY, "no room for the logits");
    return (uint64_t)config.vocab_size;
}

/* Feeds both the same tokens and compares the logits. */
static void feed(decoder *subject, decoder *portable, int32_t sequence, const int32_t *tokens,
                 int32_t count, const char *what)
{
    float got[MOST_VOCABULARY], expected[MOST_VOCABULARY];
    sgtt_ok(sgt_session_feed(got, subject->session, sequence, tokens, count));
    sgtt_ok(sgt_session_feed(expected, portable->session, sequence, tokens, count));
    sgtt_compare_floats(got, expected, vocabulary_of(subject), SGTT_TENSOR_BOUND, 0.0, what);
}

/* One token each for all sequences. */
static void feed_all(decoder *subject, decoder *portable, const int32_t *tokens)
{
    float got[SEQUENCES * MOST_VOCABULARY], expected[SEQUENCES * MOST_VOCABULARY];
    sgt_feed pieces = {.size = sizeof pieces, .count = SEQUENCES, .tokens = tokens};
    pieces.logits = got;
    sgtt_ok(sgt_session_feed_batch(subject->session, &pieces));
    pieces.logits = expected;
    sgtt_ok(sgt_session_feed_batch(portable->session, &pieces));
    sgtt_compare_floats(got, expected, SEQUENCES * vocabulary_of(subject), SGTT_TENSOR_BOUND, 0.0,
                        "logits of sequences fed together");
}

static void decode(decoder *subject, decoder *portable)
{
    int32_t tokens[SGTT_BATCH * SGTT_SEQ], targets[SGTT_BATCH * SGTT_SEQ];
    decoder *const both[] = {subject, portable};
    sgtt_training_batch(tokens, targets, &portable->training, 1);
    feed(subject, portable, 0, tokens, PROMPT, "logits of a prompt");
    for (int i = 0; i < 2; i++) {
        sgtt_ok(sgt_session_copy(both[i]->session, 1, 0, PROMPT - 2));
        sgtt_ok(sgt_session_rewind(both[i]->session, 0, PROMPT - 1));
    }
    feed(subject, portable, 0, tokens + PROMPT, 1, "logits of a token");
    feed(subject, portable, 1, tokens + PROMPT, 2, "logits after a shared prefix");
    feed(subject, portable, 2, tokens + 3, 1, "logits of a first token");
    feed_all(subject, portable, tokens + 5);
    for (int i = 0; i < 2; i++) {
        sgt_session_free(both[i]->session);
        both[i]->session = session_of(both[i], SGT_BF16);
    }
    feed(subject, portable, 0, tokens, PROMPT, "logits of a prompt with weights in bf16");
    feed(subject, portable, 0, tokens + 8, 1, "logits with weights in bf16");
    feed_all(subject, portable, tokens + 9);
}

void sgtt_check_decoding_of(const sgtt_subject *subject, int kind)
{
    decoder d, portable;
    sgt_context_options options = sgtt_subject_options(subject);
    open_decoder(&d, &options, kind, subject->seed);
    options.backend = "portable";
    open_decoder(&portable, &options, kind, subject->seed);
    decode(&d, &portable);
    close_decoder(&d);
    close_decoder(&portable);
}

void sgtt_check_decoding(const void *subject)
{
    for (int kind = SGTT_KIND_LOOPS; kind < SGTT_KINDS; kind++)
        if (sgtt_features_of(kind) == 0)
            sgtt_check_decoding_of(subject, kind);
}
