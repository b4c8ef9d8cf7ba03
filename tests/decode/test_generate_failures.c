/* SPDX-License-Identifier: BSD-3-Clause */
/* sgt_session_generate: what it refuses, what stops it in the middle, and what is left then. */
#include <math.h>
#include <stdlib.h>

#include "generate_scene.h"
#include "test_allocator.h"

START_TEST(a_negative_answer_is_returned)
{
    scene s = open_default(0);
    listener l = {.stop_at = 2, .answer = -1234};
    sgt_generation made = {.size = sizeof made, .count = 77};
    sgt_session_generate_options options = generate_defaults();
    options.callback = on_token;
    options.user = &l;
    sgtt_fails(sgt_session_generate(&made, s.session, 0, s.sampler, prompt, PROMPT, &options),
               -1234, "the callback ended the generation with -1234");
    ck_assert_int_eq(made.count, 77);
    ck_assert_int_eq(l.count, 3);
    ck_assert_int_eq(sgt_session_length(s.session, 0), PROMPT + 2);
    options.max_tokens = 1; /* the session goes on */
    l = (listener){.stop_at = -1};
    made = generate(&s, prompt, 1, &options);
    ck_assert_int_eq(made.end, SGT_GENERATE_END_MAX_TOKENS);
    close_scene(&s);
}
END_TEST

static void refuse_options(const scene *s, const sgt_session_generate_options *options,
                           sgt_status status, const char *message)
{
    sgt_generation made = {.size = sizeof made, .count = 77};
    sgtt_fails(sgt_session_generate(&made, s->session, 0, s->sampler, prompt, PROMPT, options),
               status, message);
    ck_assert_int_eq(made.count, 77);
    ck_assert_int_eq(sgt_session_length(s->session, 0), 0);
}

START_TEST(options_that_cannot_be)
{
    scene s = open_default(0);
    int32_t tokens[2] = {0, VOCAB};
    sgt_session_generate_options options = generate_defaults();
    options.max_tokens = -1;
    refuse_options(&s, &options, SGT_E_OUT_OF_RANGE,
                   "sgt_session_generate_options.max_tokens is -1");
    options = generate_defaults();
    options.tokens = tokens;
    refuse_options(&s, &options, SGT_E_INVALID_ARGUMENT, "max_tokens is 0: how many");
    options = generate_defaults();
    options.n_stop_tokens = -2;
    refuse_options(&s, &options, SGT_E_OUT_OF_RANGE, ".n_stop_tokens is -2");
    options.n_stop_tokens = 2;
    refuse_options(&s, &options, SGT_E_INVALID_ARGUMENT,
                   ".stop_tokens is NULL, n_stop_tokens is 2");
    options.stop_tokens = tokens;
    refuse_options(&s, &options, SGT_E_OUT_OF_RANGE, ".stop_tokens[1] is 19, not in 0 .. 18");
    options = generate_defaults();
    options.reserved = 1;
    refuse_options(&s, &options, SGT_E_INVALID_ARGUMENT, ".reserved is 1");
    options = generate_defaults();
    options.ignore_eos = 2;
    refuse_options(&s, &options, SGT_E_INVALID_ARGUMENT, "ignore_eos is 2");
    options = generate_defaults();
    options.size = 3;
    refuse_options(&s, &options, SGT_E_STRUCT_SIZE, "sgt_session_generate_options: size is 3");
    sgtt_fails(sgt_session_generate_options_init(NULL, sizeof options), SGT_E_INVALID_ARGUMENT,
               "sgt_session_generate_options is NULL");
    close_scene(&s);
}
END_TEST

START_TEST(stop_sequences_that_cannot_be)
{
    scene s = open_default(0);
    int32_t tokens[2], list[] = {0, 1, VOCAB}, lengths[] = {2, 0};
    sgt_session_generate_options options = generate_defaults();
    options.n_stop_sequences = -1;
    refuse_options(&s, &options, SGT_E_OUT_OF_RANGE, ".n_stop_sequences is -1, below 0");
    options.n_stop_sequences = 2;
    refuse_options(&s, &options, SGT_E_INVALID_ARGUMENT, ".stop_sequences is NULL");
    options.stop_sequences = list;
    refuse_options(&s, &options, SGT_E_INVALID_ARGUMENT, ".stop_lengths is NULL");
    options.stop_lengths = lengths;
    refuse_options(&s, &options, SGT_E_INVALID_ARGUMENT, ".tokens is NULL: it is where");
    options.max_tokens = 2;
    options.tokens = tokens;
    refuse_options(&s, &options, SGT_E_OUT_OF_RANGE, ".stop_lengths[1] is 0, not at least 1");
    lengths[1] = 1;
    refuse_options(&s, &options, SGT_E_OUT_OF_RANGE, ".stop_sequences[2] is 19, not in 0 .. 18");
    close_scene(&s);
}
END_TEST

START_TEST(arguments_that_cannot_be)
{
    scene s = open_default(0);
    sgt_generation made = {.size = sizeof made};
    sgt_sampler *narrow;
    int32_t tokens[LENGTH + 1] = {0};
    const struct {
        sgt_generation *generation;
        sgt_session *session;
        sgt_sampler *sampler;
        const int32_t *prompt;
        int32_t sequence, n_prompt;
        sgt_status status;
        const char *message;
    } calls[] = {
        {NULL, s.session, s.sampler, prompt, 0, 1, SGT_E_INVALID_ARGUMENT, "sgt_generation is"},
        {&made, NULL, s.sampler, prompt, 0, 1, SGT_E_INVALID_ARGUMENT, "session is NULL"},
        {&made, s.session, NULL, prompt, 0, 1, SGT_E_INVALID_ARGUMENT, "sampler is NULL"},
        {&made, s.session, s.sampler, NULL, 0, 1, SGT_E_INVALID_ARGUMENT, "tokens"},
        {&made, s.session, s.sampler, prompt, 0, 0, SGT_E_INVALID_ARGUMENT, "0"},
        {&made, s.session, s.sampler, prompt, 0, -1, SGT_E_INVALID_ARGUMENT, "-1"},
        {&made, s.session, s.sampler, prompt, 2, 1, SGT_E_OUT_OF_RANGE, "2"},
        {&made, s.session, s.sampler, tokens, 0, LENGTH + 1, SGT_E_OUT_OF_RANGE, "16"},
        {&made, s.session, s.sampler, tokens, 0, 4, SGT_E_OUT_OF_RANGE, "19"},
    };
    tokens[3] = VOCAB;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        sgtt_fails(sgt_session_generate(calls[i].generation, calls[i].session, calls[i].sequence,
                                        calls[i].sampler, calls[i].prompt, calls[i].n_prompt, NULL),
                   calls[i].status, calls[i].message);
    sgtt_ok(sgt_sampler_create(&narrow, s.context, VOCAB - 1, NULL));
    sgtt_fails(sgt_session_generate(&made, s.session, 0, narrow, prompt, 1, NULL),
               SGT_E_INVALID_ARGUMENT, "vocabularies of 18 tokens, the model has 19");
    made.size = 4;
    sgtt_fails(sgt_session_generate(&made, s.session, 0, s.sampler, prompt, 1, NULL),
               SGT_E_STRUCT_SIZE, "sgt_generation");
    ck_assert_int_eq(sgt_session_length(s.session, 0), 0);
    sgt_sampler_free(narrow);
    close_scene(&s);
}
END_TEST

/* The window gets a prompt only once it is in the sequence. */
START_TEST(a_refused_prompt_leaves_the_sampler_alone)
{
    scene s = open_default(0), other = open_default(0);
    const int32_t bad[] = {2, 2, VOCAB};
    int32_t tokens[2][6];
    sgt_generation made = {.size = sizeof made};
    sgt_session_generate_options options = generate_defaults();
    sgtt_fails(sgt_session_generate(&made, s.session, 0, s.sampler, bad, 3, NULL),
               SGT_E_OUT_OF_RANGE, "19");
    options.max_tokens = 6;
    options.tokens = tokens[0];
    generate(&s, prompt, PROMPT, &options);
    options.tokens = tokens[1];
    generate(&other, prompt, PROMPT, &options);
    ck_assert_mem_eq(tokens[0], tokens[1], sizeof tokens[0]);
    close_scene(&s);
    close_scene(&other);
}
END_TEST

START_TEST(a_changed_model_is_noticed)
{
    scene s = open_default(0);
    sgt_generation made = {.size = sizeof made};
    sgt_model_weights_changed(s.model);
    sgtt_fails(sgt_session_generate(&made, s.session, 0, s.sampler, prompt, PROMPT, NULL),
               SGT_E_STATE, "weights");
    sgtt_ok(sgt_session_refresh(s.session));
    generate(&s, prompt, PROMPT, NULL);
    close_scene(&s);
}
END_TEST

/* What was fed before the failure stays. */
START_TEST(logits_that_are_not_numbers)
{
    scene s = open_default(0);
    sgt_generation made = {.size = sizeof made, .count = 77};
    sgt_tensor_view view = {.size = sizeof view};
    float *values;
    int32_t index = -1;
    sgtt_ok(sgt_model_find_parameter(&index, s.model, "model.norm.weight"));
    sgtt_ok(sgt_model_parameter(&view, s.model, index, SGT_PART_WEIGHT));
    values = calloc(view.count, sizeof *values);
    values[3] = NAN;
    sgtt_ok(sgt_model_write_parameter(s.model, index, SGT_PART_WEIGHT, values, view.count));
    sgtt_ok(sgt_session_refresh(s.session));
    sgtt_fails(sgt_session_generate(&made, s.session, 0, s.sampler, prompt, PROMPT, NULL),
               SGT_E_INVALID_ARGUMENT, "logits[0] is not a number");
    ck_assert_int_eq(made.count, 77);
    ck_assert_int_eq(sgt_session_length(s.session, 0), PROMPT);
    free(values);
    close_scene(&s);
}
END_TEST

static int32_t stop_in_the_middle(void *user, const sgt_progress *progress)
{
    int *left = user;
    (void)progress;
    return --*left == 0 ? 41 : 0;
}

/* The context's callback ends it within a step; the sequence has the steps before it. */
START_TEST(the_progress_callback_stops_it)
{
    int left = -1;
    sgt_context_options stopping = sgtt_model_options();
    sgt_generation made = {.size = sizeof made};
    stopping.progress = stop_in_the_middle;
    stopping.progress_user = &left;
    scene s = open_scene(0, &stopping);
    left = -1;
    generate(&s, prompt, PROMPT, NULL);
    sgtt_ok(sgt_session_rewind(s.session, 0, 0));
    ck_assert_int_lt(left, -LENGTH); /* it was asked in every step */
    left = 5;
    sgtt_fails(sgt_session_generate(&made, s.session, 0, s.sampler, prompt, PROMPT, NULL), 41,
               "stopped by the progress callback");
    ck_assert_int_lt(sgt_session_length(s.session, 0), LENGTH);
    left = -1;
    sgtt_ok(sgt_session_rewind(s.session, 0, 0));
    generate(&s, prompt, PROMPT, NULL);
    close_scene(&s);
}
END_TEST

START_TEST(it_allocates_nothing)
{
    test_allocator allocator;
    test_allocator_init(&allocator);
    sgt_context_options options = sgtt_model_options();
    options.allocator = &allocator.interface;
    scene s = open_scene(0, &options);
    int64_t calls = allocator.calls;
    generate(&s, prompt, PROMPT, NULL);
    ck_assert_int_eq(allocator.calls, calls);
    close_scene(&s);
    ck_assert_int_eq(allocator.live, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("failures of generate");
    TCase *cases = tcase_create("all");
    tcase_add_test(cases, a_negative_answer_is_returned);
    tcase_add_test(cases, options_that_cannot_be);
    tcase_add_test(cases, stop_sequences_that_cannot_be);
    tcase_add_test(cases, arguments_that_cannot_be);
    tcase_add_test(cases, a_refused_prompt_leaves_the_sampler_alone);
    tcase_add_test(cases, a_changed_model_is_noticed);
    tcase_add_test(cases, logits_that_are_not_numbers);
    tcase_add_test(cases, the_progress_callback_stops_it);
    tcase_add_test(cases, it_allocates_nothing);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
