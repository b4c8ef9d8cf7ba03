/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions whose caches are rings: what they take, how far they go back, what a failure leaves of
 * them; logits long after the rings went round.
 */
#include <stdlib.h>
#include <string.h>

#include "session_cases.h"

enum { RINGS = 7, SUMMARIES, SOME_RINGS, STREAM_RINGS, MODULES, MODULE_RINGS, STRIDES };
enum { VOCAB = 19, CHUNK = 4 };

static int32_t stop_at, seen; /* the call of `stop` that ends a feed; calls so far */

static int32_t stop(void *user, const sgt_progress *progress)
{
    (void)user;
    (void)progress;
    return seen++ == stop_at ? 7 : 0;
}

typedef struct setting {
    sgt_context *context;
    sgt_model *model;
    sgt_session *session;
    int32_t *tokens; /* [SESSION_LENGTH] */
    float *whole;    /* [SESSION_LENGTH,V] */
} setting;

static sgt_session *session_with(const sgt_model *model, int32_t sequences, int32_t max_length,
                                 int32_t chunk, uint64_t *cache)
{
    sgt_session_options options;
    sgt_session_memory memory = {.size = sizeof memory};
    sgt_session *session;
    sgtt_ok(sgt_session_options_init(&options, sizeof options));
    options.sequences = sequences;
    options.max_length = max_length;
    options.chunk = chunk;
    sgtt_ok(sgt_session_estimate_memory(&memory, model, &options));
    sgtt_ok(sgt_session_create(&session, model, &options));
    *cache = memory.cache;
    return session;
}

static setting begin(int which, int32_t sequences)
{
    setting s = {0};
    uint64_t cache;
    sgt_context_options options = sgtt_model_options();
    stop_at = -1;
    options.progress = stop;
    sgtt_ok(sgt_context_create(&s.context, &options));
    s.model = session_model(s.context, &session_cases[which]);
    ck_assert_int_eq(session_vocab(s.model), VOCAB);
    s.tokens = session_tokens(s.model, 5);
    s.whole = whole_logits(s.model, s.tokens, SESSION_LENGTH);
    s.session = session_with(s.model, sequences, 0, CHUNK, &cache);
    return s;
}

static void end(setting *s)
{
    sgt_session_free(s->session);
    sgt_model_free(s->model);
    sgt_context_free(s->context);
    free(s->tokens);
    free(s->whole);
}

/* Goes on with a sequence up to `length` tokens, and looks at the logits of the last. */
static void go_on(const setting *s, int32_t sequence, int32_t length)
{
    float logits[VOCAB];
    int32_t had = sgt_session_length(s->session, sequence);
    sgtt_ok(sgt_session_feed(logits, s->session, sequence, s->tokens + had, length - had));
    check_close(logits, s->whole + (size_t)(length - 1) * VOCAB, VOCAB, 1e-5, "going on");
}

/* ---- memory ---- */

/* Bytes of keys and values with so many rows of 6 numbers for each of 2 groups in some passes. */
static uint64_t bytes_of(uint64_t passes, uint64_t sequences, uint64_t rows)
{
    uint64_t bytes = 2 * 2 * sequences * rows * 6 * sizeof(float);
    return passes * ((bytes + 63) / 64 * 64);
}

/* The same for 4 groups, and rows of the 24 numbers of 4 modules behind them. */
static uint64_t bytes_with_history(uint64_t sequences, uint64_t rows, uint64_t history)
{
    uint64_t bytes = history * sequences * 24 * sizeof(float);
    return bytes_of(1, 2 * sequences, rows) + (bytes + 63) / 64 * 64;
}

static uint64_t cache_of(int which, int32_t sequences, int32_t max_length, int32_t chunk)
{
    session_case plain = session_cases[which];
    uint64_t cache;
    sgt_context *context = sgtt_model_context();
    plain.edit = NULL;
    sgt_model *model = session_model(context, &plain);
    uint64_t before = sgtt_memory(context).current;
    sgt_session *session = session_with(model, sequences, max_length, chunk, &cache);
    ck_assert_uint_gt(sgtt_memory(context).current - before, cache);
    sgt_session_free(session);
    sgt_model_free(model);
    sgt_context_free(context);
    return cache;
}

/* Models of 3 layers. */
START_TEST(caches_have_rows_for_what_is_seen)
{
    ck_assert_uint_eq(cache_of(RINGS, 1, 41, 4), bytes_of(3, 1, 5 + 4));
    ck_assert_uint_eq(cache_of(RINGS, 3, 22, 4), bytes_of(3, 3, 5 + 4));
    ck_assert_uint_eq(cache_of(RINGS, 1, 41, 35), bytes_of(3, 1, 40));
    ck_assert_uint_eq(cache_of(RINGS, 1, 41, 36), bytes_of(3, 1, 41));
    ck_assert_uint_eq(cache_of(RINGS, 1, 41, INT32_MAX), bytes_of(3, 1, 41));
    ck_assert_uint_eq(cache_of(RINGS, 1, 8, 4), bytes_of(3, 1, 8));
    /* Layers 0 and 2: 41 keys have 14 cells of block+summary:6:2:1 and 13 of local+summary:3:1.
     * Layer 1: 16 of summary:5:2. */
    ck_assert_uint_eq(cache_of(SUMMARIES, 2, 41, 4),
                      bytes_of(2, 2, 6 + 4 + 14) + bytes_of(1, 2, 7 + 4 + 16));
    ck_assert_uint_eq(cache_of(SUMMARIES, 2, 41, 20),
                      bytes_of(2, 2, 6 + 20 + 14) + bytes_of(1, 2, 41));
    ck_assert_uint_eq(cache_of(SOME_RINGS, 1, 41, 4),
                      bytes_of(1, 1, 9 + 4) + bytes_of(1, 1, 41) + bytes_of(1, 1, 4 + 4));
    ck_assert_uint_eq(cache_of(STREAM_RINGS, 1, 41, 4), cache_of(SOME_RINGS, 1, 41, 4));
    ck_assert_uint_eq(cache_of(STRIDES, 1, 41, 4), bytes_of(3, 1, 41));
    /* Convolutions see 6 rows in layers 0 and 2, and 8 in layer 1. */
    ck_assert_uint_eq(cache_of(MODULES, 3, 41, 4), 2 * bytes_with_history(3, 41, 5 + 4) +
                                                       bytes_with_history(3, 41, 7 + 4));
    ck_assert_uint_eq(cache_of(MODULES, 1, 41, 35), 2 * bytes_with_history(1, 41, 40) +
                                                        bytes_with_history(1, 41, 41));
    ck_assert_uint_eq(cache_of(MODULE_RINGS, 1, 41, 4),
                      bytes_with_history(1, 4 + 4, 6 + 4) + bytes_with_history(1, 41, 0) +
                          bytes_with_history(1, 4 + 4, 0));
}
END_TEST

/* ---- going back ---- */

/* Before a ring went round all is there; then `chunk` tokens, from the most that there were. */
START_TEST(going_back)
{
    setting s = begin(_i, 1);
    go_on(&s, 0, 8);
    sgtt_ok(sgt_session_rewind(s.session, 0, 1));
    go_on(&s, 0, 12);
    sgtt_fails(sgt_session_rewind(s.session, 0, 7), SGT_E_STATE, "going back by 4 tokens");
    go_on(&s, 0, 30);
    sgtt_fails(sgt_session_rewind(s.session, 0, 25), SGT_E_STATE, "going back by 4 tokens");
    sgtt_fails(sgt_session_rewind(s.session, 0, 1), SGT_E_STATE,
               "the first 1 tokens of sequence 0, which has 30");
    sgtt_fails(sgt_session_copy(s.session, 0, 0, 25), SGT_E_STATE, "going back by 4 tokens");
    ck_assert_int_eq(sgt_session_length(s.session, 0), 30);
    sgtt_ok(sgt_session_rewind(s.session, 0, 28));
    sgtt_fails(sgt_session_rewind(s.session, 0, 25), SGT_E_STATE, "going back by 2 tokens");
    sgtt_ok(sgt_session_rewind(s.session, 0, 26));
    go_on(&s, 0, 27);
    sgtt_ok(sgt_session_rewind(s.session, 0, 26));
    go_on(&s, 0, SESSION_LENGTH);
    sgtt_ok(sgt_session_rewind(s.session, 0, 0));
    go_on(&s, 0, 7);
    sgtt_ok(sgt_session_rewind(s.session, 0, 3));
    go_on(&s, 0, SESSION_LENGTH);
    end(&s);
}
END_TEST

START_TEST(each_sequence_goes_back_by_itself)
{
    setting s = begin(_i, 2);
    go_on(&s, 0, 1);
    go_on(&s, 1, 15);
    for (int32_t i = 0; i < 5; i++) {
        const int32_t tokens[] = {s.tokens[1 + i], s.tokens[15 + i]};
        const sgt_feed feed = {.size = sizeof feed, .count = 2, .tokens = tokens};
        sgtt_ok(sgt_session_feed_batch(s.session, &feed));
    }
    sgtt_fails(sgt_session_rewind(s.session, 1, 15), SGT_E_STATE, "sequence 1, which has 20");
    sgtt_ok(sgt_session_rewind(s.session, 1, 16));
    sgtt_ok(sgt_session_rewind(s.session, 0, 1));
    go_on(&s, 0, SESSION_LENGTH);
    go_on(&s, 1, SESSION_LENGTH);
    end(&s);
}
END_TEST

START_TEST(whole_caches_go_back_to_anywhere)
{
    setting s = begin(STRIDES, 1);
    go_on(&s, 0, SESSION_LENGTH);
    sgtt_ok(sgt_session_rewind(s.session, 0, 1));
    go_on(&s, 0, SESSION_LENGTH);
    end(&s);
}
END_TEST

/* Two ends of one beginning, in rings that are at other places and one that was used before. */
START_TEST(forks)
{
    setting s = begin(_i, 3);
    const int32_t others[] = {4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4};
    sgtt_ok(sgt_session_feed(NULL, s.session, 2, others, 12));
    go_on(&s, 0, 5);
    sgtt_ok(sgt_session_copy(s.session, 1, 0, 4));
    go_on(&s, 0, 31);
    go_on(&s, 1, 12);
    sgtt_fails(sgt_session_copy(s.session, 2, 0, 26), SGT_E_STATE, "going back by 4 tokens");
    ck_assert_int_eq(sgt_session_length(s.session, 2), 12);
    sgtt_ok(sgt_session_copy(s.session, 2, 0, 29));
    sgtt_fails(sgt_session_rewind(s.session, 2, 26), SGT_E_STATE, "going back by 2 tokens");
    sgtt_ok(sgt_session_feed(NULL, s.session, 0, others, 5));
    sgtt_ok(sgt_session_rewind(s.session, 2, 28));
    go_on(&s, 2, SESSION_LENGTH);
    go_on(&s, 1, SESSION_LENGTH);
    sgtt_ok(sgt_session_copy(s.session, 2, 0, 0));
    go_on(&s, 2, 9);
    end(&s);
}
END_TEST

/* ---- failures ---- */

/* Wherever a feed of several chunks ends: the sequence can go on, from its old end if that is
 * within `chunk` of what was written, else from the chunk that failed. */
START_TEST(a_stopped_feed_can_go_on)
{
    enum { OLD_END = 13, NEW_END = 30 };
    int32_t shorter = 0, longer = 0;
    for (int32_t at = 0;; at++) {
        setting s = begin(_i, 1);
        go_on(&s, 0, OLD_END);
        stop_at = at;
        seen = 0;
        if (!sgt_session_feed(NULL, s.session, 0, s.tokens + OLD_END, NEW_END - OLD_END)) {
            end(&s);
            break;
        }
        int32_t length = sgt_session_length(s.session, 0);
        ck_assert_int_eq((length - OLD_END) % CHUNK, 0);
        shorter += length == OLD_END;
        longer += length > OLD_END;
        stop_at = -1;
        go_on(&s, 0, SESSION_LENGTH);
        end(&s);
    }
    ck_assert_int_gt(shorter, 0);
    ck_assert_int_gt(longer, shorter);
}
END_TEST

/* Pieces in front of the one that fails, the one, and those behind; and a sequence that was
 * empty. */
START_TEST(a_stopped_feed_of_several_can_go_on)
{
    enum { SEQUENCES = 4 };
    static const int32_t old_ends[SEQUENCES] = {12, 14, 0, 13};
    static const int32_t lengths[SEQUENCES] = {9, 10, 11, 5};
    /* The first stops one by one, later ones further apart: each is a whole life of a session. */
    for (int32_t at = 0, failed = 1; failed; at += 1 + at / 6) {
        setting s = begin(_i, SEQUENCES);
        int32_t tokens[64], n = 0;
        for (int32_t i = 0; i < SEQUENCES; i++) {
            if (old_ends[i] > 0)
                go_on(&s, i, old_ends[i]);
            memcpy(tokens + n, s.tokens + old_ends[i], (size_t)lengths[i] * sizeof *tokens);
            n += lengths[i];
        }
        const sgt_feed feed = {
            .size = sizeof feed, .count = SEQUENCES, .lengths = lengths, .tokens = tokens};
        stop_at = at;
        seen = 0;
        failed = sgt_session_feed_batch(s.session, &feed) != SGT_OK;
        if (failed)
            ck_assert_int_eq(sgt_session_length(s.session, 2), 0);
        stop_at = -1;
        for (int32_t i = 0; i < SEQUENCES; i++)
            go_on(&s, i, SESSION_LENGTH);
        end(&s);
    }
}
END_TEST

/* ---- long texts ---- */

/* Several blocks of keys of the kernels in each ring, sequences at places of their own. */
START_TEST(long_texts)
{
    enum { LONG = 900, FIRST = 617, STEPS = 283 };
    const sgt_attention_pattern patterns[] = {
        {.size = sizeof *patterns, .sets = SGT_KEYS_LOCAL, .stride = 150},
        {.size = sizeof *patterns, .sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 64,
         .summary = 8}};
    const sgt_block_config blocks[] = {
        {.size = sizeof *blocks, .n_patterns = 1, .patterns = &patterns[0]},
        {.size = sizeof *blocks, .n_patterns = 1, .patterns = &patterns[1]}};
    sgt_model_config config = sgtt_config();
    uint64_t cache;
    sgt_context *context = sgtt_model_context();
    config.max_seq_len = LONG;
    config.n_blocks = 2;
    config.blocks = blocks;
    sgt_model *model = sgtt_model(context, &config, 3);
    sgt_session *session = session_with(model, 2, 0, 96, &cache);
    int32_t *tokens = calloc(LONG, sizeof *tokens);
    for (uint64_t i = 0; i < LONG; i++)
        tokens[i] = (int32_t)(sgtt_uniform(8, i) * VOCAB);
    float *whole = whole_logits(model, tokens, LONG), logits[2 * VOCAB];
    sgtt_ok(sgt_session_feed(NULL, session, 0, tokens, FIRST));
    sgtt_ok(sgt_session_feed(NULL, session, 1, tokens, FIRST - 300));
    for (int32_t i = 0; i < STEPS; i++) {
        const int32_t next[] = {tokens[FIRST + i], tokens[FIRST - 300 + i]};
        const sgt_feed feed = {.size = sizeof feed, .count = 2, .tokens = next, .logits = logits};
        sgtt_ok(sgt_session_feed_batch(session, &feed));
        check_close(logits, whole + (FIRST + i) * VOCAB, VOCAB, 1e-5, "the longer text");
        check_close(logits + VOCAB, whole + (FIRST - 300 + i) * VOCAB, VOCAB, 1e-5, "the other");
    }
    free(whole);
    free(tokens);
    sgt_session_free(session);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session rings");
    TCase *tests = tcase_create("rings");
    tcase_add_test(tests, caches_have_rows_for_what_is_seen);
    tcase_add_loop_test(tests, going_back, RINGS, STRIDES);
    tcase_add_loop_test(tests, each_sequence_goes_back_by_itself, RINGS, STRIDES);
    tcase_add_test(tests, whole_caches_go_back_to_anywhere);
    tcase_add_loop_test(tests, forks, RINGS, STRIDES);
    tcase_add_loop_test(tests, a_stopped_feed_can_go_on, RINGS, STRIDES);
    tcase_add_loop_test(tests, a_stopped_feed_of_several_can_go_on, RINGS, STRIDES);
    tcase_add_test(tests, long_texts);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
