/* SPDX-License-Identifier: BSD-3-Clause */
/* sgt_session_generate_batch: each text is what it would be alone, whatever the others do. */
#include <stdlib.h>
#include <string.h>

#include "generate_scene.h"
#include "test_allocator.h"

enum { TEXTS = 3, MOST = 12 };

/* Texts of a session of TEXTS sequences, each with settings of its own. */
typedef struct table {
    scene scene;
    sgt_session *session;
    sgt_sampler *samplers[TEXTS];
    sgt_session_generate_options options[TEXTS];
    const sgt_session_generate_options *chosen[TEXTS];
    int32_t tokens[TEXTS][MOST];
    sgt_generation made[TEXTS];
    sgt_generation *outputs[TEXTS];
    sgt_generate_batch batch;
} table;

static const int32_t prompts[] = {3, 1, 4, 1, 5, 9, 2, 6};
static const int32_t lengths[TEXTS] = {5, 1, 2};
static const int32_t most[TEXTS] = {8, 3, MOST};

static void open_table(table *t, int greedy, const sgt_context_options *options)
{
    sgt_session_options several;
    memset(t, 0, sizeof *t);
    t->scene = open_scene(greedy, options);
    sgtt_ok(sgt_session_options_init(&several, sizeof several));
    several.sequences = TEXTS;
    sgtt_ok(sgt_session_create(&t->session, t->scene.model, &several));
    for (int32_t i = 0; i < TEXTS; i++) {
        t->samplers[i] = make_sampler(t->scene.context, greedy);
        sgtt_ok(sgt_sampler_reset(t->samplers[i], (uint64_t)i + 1));
        t->options[i] = generate_defaults();
        t->options[i].max_tokens = most[i];
        t->options[i].tokens = t->tokens[i];
        t->chosen[i] = &t->options[i];
        t->made[i].size = sizeof t->made[i];
        t->outputs[i] = &t->made[i];
    }
    t->batch = (sgt_generate_batch){.size = sizeof t->batch,
                                    .count = TEXTS,
                                    .samplers = t->samplers,
                                    .prompts = prompts,
                                    .lengths = lengths,
                                    .options = t->chosen,
                                    .generations = t->outputs};
}

static void open_default_table(table *t, int greedy)
{
    sgt_context_options options = sgtt_model_options();
    open_table(t, greedy, &options);
}

static void close_table(table *t)
{
    for (int32_t i = 0; i < TEXTS; i++)
        sgt_sampler_free(t->samplers[i]);
    sgt_session_free(t->session);
    close_scene(&t->scene);
}

static void run(table *t)
{
    sgtt_ok(sgt_session_generate_batch(t->session, &t->batch));
}

/* ---- what is generated ---- */

/* Text i by itself, in the session of the scene, is what the table made of it. */
static void check_alone(table *t, int32_t i, const int32_t *text_prompt)
{
    int32_t tokens[MOST];
    sgt_generation alone = {.size = sizeof alone};
    sgt_session_generate_options options = t->options[i];
    options.tokens = tokens;
    sgtt_ok(sgt_sampler_reset(t->samplers[i], (uint64_t)i + 1));
    sgtt_ok(sgt_session_rewind(t->scene.session, 0, 0));
    sgtt_ok(sgt_session_generate(&alone, t->scene.session, 0, t->samplers[i], text_prompt,
                                 lengths[i], &options));
    ck_assert_int_eq(alone.count, t->made[i].count);
    ck_assert_int_eq(alone.end, t->made[i].end);
    ck_assert_double_eq_tol(alone.log_prob, t->made[i].log_prob, 1e-4);
    ck_assert_mem_eq(tokens, t->tokens[i], (size_t)alone.count * sizeof tokens[0]);
    ck_assert_int_eq(sgt_session_length(t->session, i),
                     sgt_session_length(t->scene.session, 0));
}

START_TEST(each_text_is_the_one_it_would_be_alone)
{
    table t;
    const int32_t *at = prompts;
    open_default_table(&t, _i);
    run(&t);
    for (int32_t i = 0; i < TEXTS; at += lengths[i++])
        check_alone(&t, i, at);
    ck_assert_int_eq(t.made[1].count, 3); /* it left the others early */
    close_table(&t);
}
END_TEST

START_TEST(each_has_its_own_end)
{
    table t;
    listener l = {.stop_at = 4, .answer = 1};
    open_default_table(&t, 0);
    run(&t);
    int32_t stop = t.tokens[2][1], place = t.tokens[2][0] == stop ? 0 : 1;
    for (int32_t i = 0; i < TEXTS; i++) {
        sgtt_ok(sgt_session_rewind(t.session, i, 0));
        sgtt_ok(sgt_sampler_reset(t.samplers[i], (uint64_t)i + 1));
    }
    t.options[0].callback = on_token;
    t.options[0].user = &l;
    t.options[1].max_tokens = 0;
    t.options[1].tokens = NULL;
    t.options[2].stop_tokens = &stop;
    t.options[2].n_stop_tokens = 1;
    run(&t);
    ck_assert_int_eq(t.made[0].end, SGT_GENERATE_END_CALLBACK);
    ck_assert_int_eq(t.made[0].count, 5);
    ck_assert_int_eq(l.count, 5);
    ck_assert_mem_eq(l.tokens, t.tokens[0], 5 * sizeof l.tokens[0]);
    ck_assert_int_eq(t.made[1].end, SGT_GENERATE_END_FULL);
    ck_assert_int_eq(sgt_session_length(t.session, 1), LENGTH);
    ck_assert_int_eq(t.made[2].end, SGT_GENERATE_END_STOP_TOKEN);
    ck_assert_int_eq(t.made[2].count, place + 1);
    close_table(&t);
}
END_TEST

START_TEST(sequences_and_defaults_are_chosen)
{
    table t;
    static const int32_t swapped[] = {2, 0};
    open_default_table(&t, 1);
    t.batch.count = 2;
    t.batch.sequences = swapped;
    t.batch.lengths = NULL; /* prompts of one token */
    t.batch.options = NULL;
    run(&t);
    for (int32_t i = 0; i < 2; i++) {
        sgt_generation alone = {.size = sizeof alone};
        ck_assert_int_eq(t.made[i].end, SGT_GENERATE_END_FULL);
        sgtt_ok(sgt_session_rewind(t.scene.session, 0, 0));
        sgtt_ok(sgt_session_generate(&alone, t.scene.session, 0, t.samplers[i], prompts + i, 1,
                                     NULL));
        ck_assert_double_eq_tol(alone.log_prob, t.made[i].log_prob, 1e-4);
        ck_assert_int_eq(sgt_session_length(t.session, swapped[i]), LENGTH);
    }
    ck_assert_int_eq(sgt_session_length(t.session, 1), 0);
    close_table(&t);
}
END_TEST

/* ---- what is refused ---- */

/* Refused, with nothing fed and nothing written. */
static void refused(table *t, sgt_status status, const char *message)
{
    for (int32_t i = 0; i < TEXTS; i++)
        t->made[i].count = 77;
    sgtt_fails(sgt_session_generate_batch(t->session, &t->batch), status, message);
    for (int32_t i = 0; i < TEXTS; i++) {
        ck_assert_int_eq(sgt_session_length(t->session, i), 0);
        ck_assert_int_eq(t->made[i].count, 77);
    }
}

START_TEST(what_cannot_be_is_refused)
{
    table t;
    static const int32_t twice[] = {1, 0, 1}, empty[] = {5, 0, 2}, wrong[] = {1, 2, VOCAB};
    sgt_sampler *second;
    open_default_table(&t, 0);
    second = t.samplers[1];
    t.batch.count = 0;
    refused(&t, SGT_E_INVALID_ARGUMENT, "0 texts");
    t.batch.count = TEXTS + 1;
    refused(&t, SGT_E_OUT_OF_RANGE, "4 texts for a session of 3 sequences");
    t.batch.count = TEXTS;
    t.batch.sequences = twice;
    refused(&t, SGT_E_INVALID_ARGUMENT, "sequence 1 is fed twice");
    t.batch.sequences = NULL;
    t.samplers[1] = t.samplers[0];
    refused(&t, SGT_E_INVALID_ARGUMENT, "text 1: the sampler is that of text 0 too");
    t.samplers[1] = NULL;
    refused(&t, SGT_E_INVALID_ARGUMENT, "text 1: sampler is NULL");
    t.samplers[1] = second;
    t.outputs[2] = NULL;
    refused(&t, SGT_E_INVALID_ARGUMENT, "text 2: sgt_generation is NULL");
    t.outputs[2] = &t.made[2];
    t.options[2].max_tokens = -1;
    refused(&t, SGT_E_OUT_OF_RANGE, "text 2: sgt_session_generate_options.max_tokens is -1");
    t.options[2].max_tokens = MOST;
    t.batch.lengths = empty;
    refused(&t, SGT_E_INVALID_ARGUMENT, "0 tokens for sequence 1");
    t.batch.lengths = NULL;
    t.batch.prompts = wrong;
    refused(&t, SGT_E_OUT_OF_RANGE, "19");
    t.batch.prompts = NULL;
    refused(&t, SGT_E_INVALID_ARGUMENT, "sgt_generate_batch.prompts is NULL");
    t.batch.prompts = prompts;
    t.batch.samplers = NULL;
    refused(&t, SGT_E_INVALID_ARGUMENT, "sgt_generate_batch.samplers is NULL");
    sgtt_fails(sgt_session_generate_batch(t.session, NULL), SGT_E_INVALID_ARGUMENT,
               "sgt_generate_batch is NULL");
    sgtt_fails(sgt_session_generate_batch(NULL, &t.batch), SGT_E_INVALID_ARGUMENT,
               "session is NULL");
    close_table(&t);
}
END_TEST

START_TEST(a_negative_answer_ends_all)
{
    table t;
    listener l = {.stop_at = 1, .answer = -1234};
    open_default_table(&t, 0);
    t.made[0].count = 77;
    t.options[1].callback = on_token;
    t.options[1].user = &l;
    sgtt_fails(sgt_session_generate_batch(t.session, &t.batch), -1234, "the callback ended");
    ck_assert_int_eq(t.made[0].count, 77);
    for (int32_t i = 0; i < TEXTS; i++) /* prompts and the first turn stay */
        ck_assert_int_eq(sgt_session_length(t.session, i), lengths[i] + 1);
    close_table(&t);
}
END_TEST

START_TEST(without_memory_nothing_is_fed)
{
    table t;
    test_allocator allocator;
    test_allocator_init(&allocator);
    sgt_context_options options = sgtt_model_options();
    options.allocator = &allocator.interface;
    open_table(&t, 0, &options);
    int64_t live = allocator.live;
    allocator.fail_at = allocator.calls;
    allocator.fail_count = 1;
    refused(&t, SGT_E_OUT_OF_MEMORY, "texts that are generated");
    run(&t);
    ck_assert_int_eq(allocator.live, live);
    close_table(&t);
    ck_assert_int_eq(allocator.live, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("generate several");
    TCase *cases = tcase_create("all");
    tcase_add_loop_test(cases, each_text_is_the_one_it_would_be_alone, 0, 2);
    tcase_add_test(cases, each_has_its_own_end);
    tcase_add_test(cases, sequences_and_defaults_are_chosen);
    tcase_add_test(cases, what_cannot_be_is_refused);
    tcase_add_test(cases, a_negative_answer_ends_all);
    tcase_add_test(cases, without_memory_nothing_is_fed);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
