/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The logits of a session are those of one forward over the whole text, for every kind of plan and
 * however the text is cut: into feeds, chunks, sequences side by side; after rewinding, after
 * copying a prefix.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "session_cases.h"

#define BOUND 1e-5

typedef struct setting {
    sgt_context *context;
    sgt_model *model;
    int32_t vocab;
    int32_t *tokens; /* [SESSION_LENGTH] */
    float *whole;    /* [SESSION_LENGTH,V] */
    float *logits;   /* likewise, for answers */
} setting;

static setting begin(int which)
{
    setting s = {.context = sgtt_model_context()};
    s.model = session_model(s.context, &session_cases[which]);
    s.vocab = session_vocab(s.model);
    s.tokens = session_tokens(s.model, 5);
    s.whole = whole_logits(s.model, s.tokens, SESSION_LENGTH);
    s.logits = calloc(SESSION_LENGTH * (size_t)s.vocab, sizeof(float));
    return s;
}

static void end(setting *s, sgt_session *session)
{
    sgt_session_free(session);
    free(s->tokens);
    free(s->whole);
    free(s->logits);
    sgt_model_free(s->model);
    sgt_context_free(s->context);
}

static sgt_session *session_of_weights(const setting *s, int32_t sequences, int32_t chunk,
                                       int32_t weights)
{
    sgt_session *session;
    sgt_session_options options;
    sgtt_ok(sgt_session_options_init(&options, sizeof options));
    options.sequences = sequences;
    options.chunk = chunk;
    options.weights = weights;
    sgtt_ok(sgt_session_create(&session, s->model, &options));
    return session;
}

static sgt_session *session_of(const setting *s, int32_t sequences, int32_t chunk)
{
    return session_of_weights(s, sequences, chunk, SGT_F32);
}

static const float *row(const setting *s, int32_t token)
{
    return s->whole + (size_t)token * (size_t)s->vocab;
}

/* Tokens first .. first+count-1, and a look at the logits of the last. */
static void feed(const setting *s, sgt_session *session, int32_t sequence, int32_t first,
                 int32_t count)
{
    sgtt_ok(sgt_session_feed(s->logits, session, sequence, s->tokens + first, count));
    ck_assert_int_eq(sgt_session_length(session, sequence), first + count);
    check_close(s->logits, row(s, first + count - 1), (size_t)s->vocab, BOUND,
                "logits of the last token");
}

/* Every way to cut by equal feeds, with chunks shorter and longer than them. */
START_TEST(any_cut_gives_the_logits_of_one_forward)
{
    const int32_t feeds[] = {1, 2, 7, 9, 40, 41}, chunks[] = {1, 4, 13, 512};
    setting s = begin(_i);
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
        sgt_session *session = session_of(&s, 1, chunks[c]);
        for (size_t f = 0; f < sizeof feeds / sizeof *feeds; f++) {
            for (int32_t first = 0; first < SESSION_LENGTH; first += feeds[f])
                feed(&s, session, 0, first,
                     feeds[f] < SESSION_LENGTH - first ? feeds[f] : SESSION_LENGTH - first);
            sgtt_ok(sgt_session_rewind(session, 0, 0));
        }
        sgt_session_free(session);
    }
    end(&s, NULL);
}
END_TEST

START_TEST(all_logits_of_a_feed)
{
    setting s = begin(_i);
    sgt_session *session = session_of(&s, 1, 6);
    const int32_t lengths[] = {10, SESSION_LENGTH - 10};
    for (int i = 0, first = 0; i < 2; first += lengths[i++]) {
        float *last = s.logits + (size_t)(first + lengths[i] - 1) * (size_t)s.vocab;
        float *again = calloc((size_t)s.vocab, sizeof(float));
        const sgt_feed both = {.size = sizeof both,
                               .count = 1,
                               .lengths = &lengths[i],
                               .tokens = s.tokens + first,
                               .logits = again,
                               .all_logits = s.logits + (size_t)first * (size_t)s.vocab};
        sgtt_ok(sgt_session_feed_batch(session, &both));
        check_close(again, last, (size_t)s.vocab, BOUND, "last against all");
        free(again);
    }
    check_close(s.logits, s.whole, SESSION_LENGTH * (size_t)s.vocab, BOUND, "all logits");
    end(&s, session);
}
END_TEST

/* What was fed after the point of return must leave no trace. */
START_TEST(rewinding_changes_nothing)
{
    setting s = begin(_i);
    sgt_session *session = session_of(&s, 1, 15); /* rings go back as far */
    const int32_t wrong[] = {1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3};
    feed(&s, session, 0, 0, 20);
    sgtt_ok(sgt_session_feed(s.logits, session, 0, wrong, 12));
    sgtt_ok(sgt_session_rewind(session, 0, 17));
    feed(&s, session, 0, 17, 1);
    sgtt_ok(sgt_session_feed(NULL, session, 0, wrong, 1));
    sgtt_ok(sgt_session_rewind(session, 0, 18));
    feed(&s, session, 0, 18, SESSION_LENGTH - 18);
    end(&s, session);
}
END_TEST

START_TEST(a_copied_prefix_goes_on_alone)
{
    setting s = begin(_i);
    sgt_session *session = session_of(&s, 3, 6);
    const int32_t other[] = {4, 4, 4, 4, 4};
    feed(&s, session, 1, 0, 15);
    sgtt_ok(sgt_session_feed(s.logits, session, 2, other, 5));
    sgtt_ok(sgt_session_copy(session, 2, 1, 15));
    sgtt_ok(sgt_session_copy(session, 0, 1, 9));
    sgtt_ok(sgt_session_feed(NULL, session, 1, other, 5));
    ck_assert_int_eq(sgt_session_length(session, 0), 9);
    feed(&s, session, 2, 15, SESSION_LENGTH - 15);
    feed(&s, session, 0, 9, 3);
    sgtt_ok(sgt_session_copy(session, 1, 1, 15)); /* onto itself: a rewind */
    feed(&s, session, 1, 15, 2);
    end(&s, session);
}
END_TEST

/* Sequences of different lengths side by side, in an order of their own, some ahead of others. */
START_TEST(sequences_side_by_side)
{
    setting s = begin(_i);
    for (int32_t chunk = 3; chunk <= 512; chunk += 509) {
        sgt_session *session = session_of(&s, 4, chunk);
        enum { ROUNDS = 6 };
        const int32_t order[ROUNDS][4] = {{2, 0, 3, 1}, {0, 1, 2, 3}, {1, 2, 3, 0},
                                          {3, 0, 1, 2}, {2, 0, 3, 1}, {3, 2, 1, 0}};
        const int32_t lengths[ROUNDS][4] = {{3, 1, 9, 5}, {1, 1, 1, 1}, {2, 2, 2, 7},
                                            {8, 1, 1, 1}, {2, 2, 2, 2}, {1, 1, 1, 1}};
        for (int round = 0; round < ROUNDS; round++) {
            int32_t tokens[64], n = 0, vocab = s.vocab;
            for (int i = 0; i < 4; i++) {
                int32_t had = sgt_session_length(session, order[round][i]);
                for (int32_t t = 0; t < lengths[round][i]; t++)
                    tokens[n++] = s.tokens[had + t];
            }
            const sgt_feed feed = {.size = sizeof feed,
                                   .count = 4,
                                   .sequences = order[round],
                                   .lengths = lengths[round],
                                   .tokens = tokens,
                                   .logits = s.logits};
            sgtt_ok(sgt_session_feed_batch(session, &feed));
            for (int i = 0; i < 4; i++)
                check_close(s.logits + i * vocab,
                            row(&s, sgt_session_length(session, order[round][i]) - 1),
                            (size_t)vocab, BOUND, "a sequence among others");
        }
        sgt_session_free(session);
    }
    end(&s, NULL);
}
END_TEST

/* Against the losses of an evaluation. */
START_TEST(scores_are_the_losses_of_the_text)
{
    setting s = begin(_i);
    sgt_session *session = session_of(&s, 2, 7);
    float log_probs[SESSION_LENGTH - 1], losses[SESSION_LENGTH];
    sgt_score score = {.size = sizeof score};
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_model_evaluate_options options;
    sgtt_ok(sgt_model_evaluate_options_init(&options, sizeof options));
    options.token_losses = losses;
    const sgt_batch batch = {.size = sizeof batch, .batch = 1, .seq = SESSION_LENGTH - 1,
                             .tokens = s.tokens, .targets = s.tokens + 1};
    sgtt_ok(sgt_model_evaluate(&metrics, s.model, &batch, &options));
    sgtt_ok(sgt_session_score(&score, session, 1, s.tokens, SESSION_LENGTH, log_probs));
    ck_assert_int_eq(score.count, SESSION_LENGTH - 1);
    ck_assert_double_eq_tol(score.log_prob, -metrics.loss_sum, 1e-4);
    ck_assert_double_eq_tol(score.perplexity, exp(metrics.loss), 1e-4 * score.perplexity);
    for (int i = 0; i < SESSION_LENGTH - 1; i++)
        ck_assert_float_eq_tol(log_probs[i], -losses[i], 2e-5f);

    /* The same from the middle on, after a prompt; and a single token scores nothing. */
    sgtt_ok(sgt_session_feed(NULL, session, 0, s.tokens, 10));
    sgtt_ok(sgt_session_score(&score, session, 0, s.tokens + 10, SESSION_LENGTH - 10, log_probs));
    ck_assert_int_eq(score.count, SESSION_LENGTH - 11);
    for (int i = 0; i < SESSION_LENGTH - 11; i++)
        ck_assert_float_eq_tol(log_probs[i], -losses[10 + i], 2e-5f);
    sgtt_ok(sgt_session_rewind(session, 0, 0));
    sgtt_ok(sgt_session_score(&score, session, 0, s.tokens, 1, NULL));
    ck_assert(score.count == 0 && score.log_prob == 0.0 && score.perplexity == 1.0);
    end(&s, session);
}
END_TEST

/* What a bf16 session reads rounded: matrices and kernels, but not what mixes streams or scales. */
static int is_rounded(const sgt_tensor_view *view)
{
    return view->rank >= 2 && !strstr(view->name, ".altup.") && !strstr(view->name, ".scale");
}

/* bf16 copies: the logits of a model whose matrices hold the rounded numbers. */
START_TEST(products_read_rounded_weights)
{
    setting s = begin(_i);
    sgt_session *session = session_of_weights(&s, 1, 16, SGT_BF16);
    float *answers = calloc(SESSION_LENGTH * (size_t)s.vocab, sizeof(float));
    const int32_t cut = 30, rest = 1;
    const sgt_feed all = {.size = sizeof all, .count = 1, .lengths = &cut, .tokens = s.tokens,
                          .all_logits = answers};
    sgtt_ok(sgt_session_feed_batch(session, &all));
    for (int32_t t = cut; t < SESSION_LENGTH; t++) {
        const sgt_feed one = {.size = sizeof one, .count = 1, .lengths = &rest,
                              .tokens = s.tokens + t,
                              .logits = answers + (size_t)t * (size_t)s.vocab};
        sgtt_ok(sgt_session_feed_batch(session, &one));
    }
    sgt_session_free(session);

    for (int32_t i = 1; i < sgt_model_n_parameters(s.model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, s.model, i, SGT_PART_WEIGHT));
        float *values = calloc(view.count, sizeof(float));
        sgtt_ok(sgt_model_read_parameter(values, view.count, s.model, i, SGT_PART_WEIGHT));
        for (uint64_t k = 0; is_rounded(&view) && k < view.count; k++) {
            uint32_t bits;
            memcpy(&bits, &values[k], sizeof bits);
            bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
            memcpy(&values[k], &bits, sizeof bits);
        }
        sgtt_ok(sgt_model_write_parameter(s.model, i, SGT_PART_WEIGHT, values, view.count));
        free(values);
    }
    float *expected = whole_logits(s.model, s.tokens, SESSION_LENGTH);
    if (!session_cases[_i].tied) /* a tied embedding is read unrounded */
        check_close(answers, expected, SESSION_LENGTH * (size_t)s.vocab, BOUND, "bf16 weights");
    check_close(answers, s.whole, SESSION_LENGTH * (size_t)s.vocab, 0.05, "loss of accuracy");
    ck_assert_mem_ne(answers, s.whole, SESSION_LENGTH * (size_t)s.vocab * sizeof(float));
    free(expected);
    free(answers);
    end(&s, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *tests = tcase_create("session");
    tcase_add_loop_test(tests, any_cut_gives_the_logits_of_one_forward, 0, SESSION_CASES);
    tcase_add_loop_test(tests, all_logits_of_a_feed, 0, SESSION_CASES);
    tcase_add_loop_test(tests, rewinding_changes_nothing, 0, SESSION_CASES);
    tcase_add_loop_test(tests, a_copied_prefix_goes_on_alone, 0, SESSION_CASES);
    tcase_add_loop_test(tests, sequences_side_by_side, 0, SESSION_CASES);
    tcase_add_loop_test(tests, scores_are_the_losses_of_the_text, 0, SESSION_CASES);
    tcase_add_loop_test(tests, products_read_rounded_weights, 0, SESSION_CASES);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
