/* SPDX-License-Identifier: BSD-3-Clause */
/* sgt_session_generate: the loop it stands for, and its ends. */
#include <math.h>
#include <string.h>

#include "decode/sampler.h"
#include "generate_scene.h"

/* ---- what is generated ---- */

/* ln p by the book. */
static double log_prob(const float *logits, int32_t token)
{
    double sum = 0;
    for (int i = 0; i < VOCAB; i++)
        sum += exp((double)logits[i] - logits[token]);
    return -log(sum);
}

START_TEST(it_is_the_loop_of_feed_and_pick)
{
    enum { COUNT = 10 };
    scene s = open_default(_i);
    int32_t tokens[COUNT];
    float logits[VOCAB];
    double expected = 0;
    sgt_session_generate_options options = generate_defaults();
    options.max_tokens = COUNT;
    options.tokens = tokens;
    sgt_generation made = generate(&s, prompt, PROMPT, &options);
    ck_assert_int_eq(made.count, COUNT);
    ck_assert_int_eq(made.end, SGT_GENERATE_END_MAX_TOKENS);
    ck_assert_int_eq(sgt_session_length(s.session, 0), PROMPT + COUNT - 1);
    ck_assert_int_eq(sgt_session_length(s.session, 1), 0);

    sgt_sampler *sampler = make_sampler(s.context, _i);
    sgtt_ok(sgt_sampler_accept(sampler, prompt, PROMPT));
    sgtt_ok(sgt_session_feed(logits, s.session, 1, prompt, PROMPT));
    for (int i = 0; i < COUNT; i++) {
        int32_t token = -1;
        sgtt_ok(sgt_sampler_pick(&token, sampler, logits));
        ck_assert_int_eq(token, tokens[i]);
        expected += log_prob(logits, token);
        sgtt_ok(sgt_session_feed(logits, s.session, 1, &token, 1));
    }
    ck_assert_double_eq_tol(made.log_prob, expected, 1e-12 * COUNT);
    sgt_sampler_free(sampler);
    close_scene(&s);
}
END_TEST

/* Each token is the likeliest after a whole forward over those before it. */
START_TEST(greedy_text_is_that_of_whole_forwards)
{
    enum { COUNT = 8 };
    scene s = open_default(1);
    int32_t text[PROMPT + COUNT];
    sgt_session_generate_options options = generate_defaults();
    memcpy(text, prompt, sizeof prompt);
    options.max_tokens = COUNT;
    options.tokens = text + PROMPT;
    generate(&s, prompt, PROMPT, &options);
    for (int32_t n = PROMPT; n < PROMPT + COUNT; n++) {
        float logits[VOCAB];
        sgt_metrics metrics = {.size = sizeof metrics};
        sgt_model_evaluate_options wanted;
        sgt_batch batch = {.size = sizeof batch, .batch = 1, .seq = n, .tokens = text};
        int32_t likeliest = 0;
        sgtt_ok(sgt_model_evaluate_options_init(&wanted, sizeof wanted));
        wanted.last_logits = logits;
        sgtt_ok(sgt_model_evaluate(&metrics, s.model, &batch, &wanted));
        for (int32_t i = 1; i < VOCAB; i++)
            if (logits[i] > logits[likeliest])
                likeliest = i;
        ck_assert_int_eq(text[n], likeliest);
    }
    close_scene(&s);
}
END_TEST

/* The last token is not in the sequence: the next prompt begins with it. */
START_TEST(a_text_goes_on_after_a_stop)
{
    enum { FIRST = 4, SECOND = 6 };
    scene s = open_default(1);
    int32_t whole[FIRST + SECOND], parts[FIRST + SECOND];
    sgt_session_generate_options options = generate_defaults();
    options.max_tokens = FIRST + SECOND;
    options.tokens = whole;
    sgt_generation once = generate(&s, prompt, PROMPT, &options);
    sgtt_ok(sgt_session_rewind(s.session, 0, 0));
    options.max_tokens = FIRST;
    options.tokens = parts;
    sgt_generation first = generate(&s, prompt, PROMPT, &options);
    options.max_tokens = SECOND;
    options.tokens = parts + FIRST;
    sgt_generation second = generate(&s, &parts[FIRST - 1], 1, &options);
    ck_assert_mem_eq(whole, parts, sizeof whole);
    ck_assert_double_eq_tol(first.log_prob + second.log_prob, once.log_prob, 1e-4);
    close_scene(&s);
}
END_TEST

/* A window that held the token between two turns twice would forget the oldest ones too early. */
START_TEST(a_text_in_turns_is_penalised_like_one)
{
    enum { COUNT = 11 };
    scene s = open_default(0);
    int32_t whole[COUNT], parts[COUNT];
    sgt_session_generate_options options = generate_defaults();
    options.max_tokens = COUNT;
    options.tokens = whole;
    generate(&s, prompt, PROMPT, &options);
    for (int32_t turn = 1; turn <= 3; turn++) {
        sgtt_ok(sgt_session_rewind(s.session, 0, 0));
        sgtt_ok(sgt_sampler_reset(s.sampler, 5));
        for (int32_t done = 0; done < COUNT; done += options.max_tokens) {
            options.max_tokens = done + turn < COUNT ? turn : COUNT - done;
            options.tokens = parts + done;
            generate(&s, done ? &parts[done - 1] : prompt, done ? 1 : PROMPT, &options);
        }
        ck_assert_mem_eq(whole, parts, sizeof whole);
    }
    close_scene(&s);
}
END_TEST

/* Only what was picked, and last, is in the window already. */
START_TEST(a_prompt_is_accepted_but_for_what_was_picked)
{
    scene s = open_default(0);
    const int32_t other[] = {7, 7};
    int32_t token;
    sgt_session_generate_options options = generate_defaults();
    options.max_tokens = 1;
    options.tokens = &token;
    generate(&s, prompt, PROMPT, &options);
    ck_assert_int_eq(s.sampler->window.used, PROMPT + 1);
    int32_t next[] = {token, 9};
    sgtt_ok(sgti_sampler_accept_prompt(s.sampler, next, 2));
    ck_assert_int_eq(s.sampler->window.used, PROMPT + 2);
    sgtt_ok(sgt_sampler_reset(s.sampler, 5));
    sgtt_ok(sgti_sampler_accept_prompt(s.sampler, next, 2));
    ck_assert_int_eq(s.sampler->window.used, 2);
    sgtt_ok(sgt_sampler_reset(s.sampler, 5));
    sgtt_ok(sgt_sampler_accept(s.sampler, other, 1));
    sgtt_ok(sgti_sampler_accept_prompt(s.sampler, other, 2));
    ck_assert_int_eq(s.sampler->window.used, 3);
    close_scene(&s);
}
END_TEST

START_TEST(a_smaller_struct_is_filled_as_far_as_it_goes)
{
    scene s = open_default(1);
    struct {
        sgt_generation known;
        double later;
    } newer = {.known.size = sizeof newer, .later = 1};
    sgt_session_generate_options options = generate_defaults();
    options.max_tokens = 1;
    sgtt_ok(sgt_session_generate(&newer.known, s.session, 0, s.sampler, prompt, PROMPT, &options));
    ck_assert_int_eq(newer.known.count, 1);
    ck_assert(newer.later == 0);
    close_scene(&s);
}
END_TEST

/* ---- ends ---- */

START_TEST(the_callback_sees_each_token_and_ends_it)
{
    scene s = open_default(0);
    int32_t tokens[8] = {0};
    listener l = {.stop_at = 3, .answer = 1};
    sgt_session_generate_options options = generate_defaults();
    options.max_tokens = 8;
    options.tokens = tokens;
    options.callback = on_token;
    options.user = &l;
    sgt_generation made = generate(&s, prompt, PROMPT, &options);
    ck_assert_int_eq(made.end, SGT_GENERATE_END_CALLBACK);
    ck_assert_int_eq(made.count, 4);
    ck_assert_int_eq(l.count, 4);
    ck_assert_mem_eq(tokens, l.tokens, 4 * sizeof tokens[0]);
    ck_assert_int_eq(sgt_session_length(s.session, 0), PROMPT + 3);
    close_scene(&s);
}
END_TEST

START_TEST(a_stop_token_is_reported_and_ends_it)
{
    scene s = open_default(1);
    int32_t tokens[6];
    listener l = {.stop_at = -1};
    sgt_session_generate_options options = generate_defaults();
    options.max_tokens = 6;
    options.tokens = tokens;
    generate(&s, prompt, PROMPT, &options);
    int32_t stops[] = {(tokens[2] + 1) % VOCAB, tokens[2]}, first = 0;
    while (tokens[first] != stops[0] && tokens[first] != stops[1])
        first++;
    sgtt_ok(sgt_session_rewind(s.session, 0, 0));
    options.stop_tokens = stops;
    options.n_stop_tokens = 2;
    options.callback = on_token;
    options.user = &l;
    sgt_generation made = generate(&s, prompt, PROMPT, &options);
    ck_assert_int_eq(made.end, SGT_GENERATE_END_STOP_TOKEN);
    ck_assert_int_eq(made.count, first + 1);
    ck_assert_int_eq(l.count, first + 1);
    ck_assert_int_eq(l.tokens[first], tokens[first]);
    close_scene(&s);
}
END_TEST

/* Where no list is given a text ends by the model's eos, unless the host says not; ids that are no
 * tokens of the model do not matter. */
START_TEST(eos_ends_it)
{
    enum { COUNT = 6 };
    scene s = open_default(1);
    int32_t whole[COUNT], tokens[COUNT], first = 0, none = 0;
    sgt_session_generate_options options = generate_defaults();
    options.max_tokens = COUNT;
    options.tokens = whole;
    ck_assert_int_eq(generate(&s, prompt, PROMPT, &options).count, COUNT);
    while (whole[first] != whole[2])
        first++;
    sgt_special_tokens special = {
        .size = sizeof special, .n_eos = 3, .eos = {-1, whole[2], VOCAB}};
    sgtt_ok(sgt_model_set_special_tokens(s.model, &special));
    options.tokens = tokens;
    for (int i = 0; i < 3; i++) {
        options.ignore_eos = i == 1;
        options.stop_tokens = i == 2 ? &none : NULL; /* a list without entries */
        sgtt_ok(sgt_session_rewind(s.session, 0, 0));
        sgt_generation made = generate(&s, prompt, PROMPT, &options);
        ck_assert_int_eq(made.end,
                         i == 0 ? SGT_GENERATE_END_STOP_TOKEN : SGT_GENERATE_END_MAX_TOKENS);
        ck_assert_int_eq(made.count, i == 0 ? first + 1 : COUNT);
        ck_assert_mem_eq(tokens, whole, (size_t)made.count * sizeof *tokens);
    }
    close_scene(&s);
}
END_TEST

/* Of two lists the second is completed first, by tokens that the first one shares. */
START_TEST(a_stop_sequence_ends_it)
{
    enum { COUNT = 9 };
    scene s = open_default(0);
    int32_t whole[COUNT], tokens[COUNT];
    static const int32_t lengths[] = {4, 2};
    sgt_session_generate_options options = generate_defaults();
    options.max_tokens = COUNT;
    options.tokens = whole;
    generate(&s, prompt, PROMPT, &options);
    const int32_t lists[] = {whole[3], whole[4], whole[5], (whole[6] + 1) % VOCAB,
                             whole[4], whole[5]};
    sgtt_ok(sgt_session_rewind(s.session, 0, 0));
    sgtt_ok(sgt_sampler_reset(s.sampler, 5));
    options.tokens = tokens;
    options.stop_sequences = lists;
    options.stop_lengths = lengths;
    options.n_stop_sequences = 2;
    sgt_generation made = generate(&s, prompt, PROMPT, &options);
    int32_t first = 2;
    while (memcmp(whole + first - 2, lists + 4, 2 * sizeof whole[0]))
        first++;
    ck_assert_int_eq(made.end, SGT_GENERATE_END_STOP_SEQUENCE);
    ck_assert_int_eq(made.count, first);
    ck_assert_mem_eq(tokens, whole, (size_t)first * sizeof tokens[0]);
    close_scene(&s);
}
END_TEST

/* What the prompt ends with is not looked at, nor a list that is longer than the text. */
START_TEST(a_stop_sequence_is_of_new_tokens)
{
    scene s = open_default(1);
    int32_t tokens[2];
    sgt_session_generate_options options = generate_defaults();
    options.max_tokens = 2;
    options.tokens = tokens;
    generate(&s, prompt, PROMPT, &options);
    const int32_t list[] = {prompt[PROMPT - 1], tokens[0], tokens[1]}, length = 3;
    sgtt_ok(sgt_session_rewind(s.session, 0, 0));
    options.stop_sequences = list;
    options.stop_lengths = &length;
    options.n_stop_sequences = 1;
    ck_assert_int_eq(generate(&s, prompt, PROMPT, &options).end, SGT_GENERATE_END_MAX_TOKENS);
    close_scene(&s);
}
END_TEST

START_TEST(a_full_sequence_ends_it)
{
    scene s = open_default(0);
    listener l = {.stop_at = -1};
    sgt_session_generate_options options = generate_defaults();
    options.callback = on_token;
    options.user = &l;
    sgt_generation made = generate(&s, prompt, PROMPT, &options);
    ck_assert_int_eq(made.end, SGT_GENERATE_END_FULL);
    ck_assert_int_eq(made.count, LENGTH - PROMPT + 1);
    ck_assert_int_eq(sgt_session_length(s.session, 0), LENGTH);
    sgtt_ok(sgt_session_rewind(s.session, 0, LENGTH - 1));
    made = generate(&s, prompt, 1, NULL);
    ck_assert_int_eq(made.end, SGT_GENERATE_END_FULL);
    ck_assert_int_eq(made.count, 1);
    close_scene(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("generate");
    TCase *cases = tcase_create("all");
    tcase_add_loop_test(cases, it_is_the_loop_of_feed_and_pick, 0, 2);
    tcase_add_test(cases, greedy_text_is_that_of_whole_forwards);
    tcase_add_test(cases, a_text_goes_on_after_a_stop);
    tcase_add_test(cases, a_text_in_turns_is_penalised_like_one);
    tcase_add_test(cases, a_prompt_is_accepted_but_for_what_was_picked);
    tcase_add_test(cases, a_smaller_struct_is_filled_as_far_as_it_goes);
    tcase_add_test(cases, the_callback_sees_each_token_and_ends_it);
    tcase_add_test(cases, a_stop_token_is_reported_and_ends_it);
    tcase_add_test(cases, eos_ends_it);
    tcase_add_test(cases, a_stop_sequence_ends_it);
    tcase_add_test(cases, a_stop_sequence_is_of_new_tokens);
    tcase_add_test(cases, a_full_sequence_ends_it);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
