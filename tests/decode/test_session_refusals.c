/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a session refuses, each with a message that names the culprit, and that a refusal leaves
 * sequences as they were; memory as it was told before; every allocation failing in turn.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "session_cases.h"
#include "test_allocator.h"

enum { LOOPED = 3, BLOCKS = 6, RINGS = 8 };

static sgt_context *context;
static sgt_model *model;
static sgt_session *session;
static float logits[3 * 19];
static const int32_t tokens[] = {3, 1, 4, 1, 5, 9, 2, 6};

static void setup(void)
{
    sgt_session_options options;
    context = sgtt_model_context();
    model = session_model(context, &session_cases[LOOPED]);
    sgtt_ok(sgt_session_options_init(&options, sizeof options));
    options.sequences = 3;
    options.max_length = 12;
    sgtt_ok(sgt_session_create(&session, model, &options));
}

static void teardown(void)
{
    sgt_session_free(session);
    sgt_model_free(model);
    sgt_context_free(context);
}

static sgt_status create_with(int32_t sequences, int32_t max_length, int32_t chunk)
{
    sgt_session *made = NULL;
    sgt_session_options options;
    sgtt_ok(sgt_session_options_init(&options, sizeof options));
    options.sequences = sequences;
    options.max_length = max_length;
    options.chunk = chunk;
    sgt_status status = sgt_session_create(&made, model, &options);
    sgt_session_free(made);
    return status;
}

static sgt_status create_of_weights(int32_t weights)
{
    sgt_session *made = NULL;
    sgt_session_options options;
    sgtt_ok(sgt_session_options_init(&options, sizeof options));
    ck_assert_int_eq(options.weights, SGT_F32);
    options.weights = weights;
    sgt_status status = sgt_session_create(&made, model, &options);
    sgt_session_free(made);
    return status;
}

START_TEST(options)
{
    sgt_session *made;
    sgt_session_options newer[2];
    sgtt_fails(create_with(0, 0, 1), SGT_E_OUT_OF_RANGE, "sequences is 0");
    sgtt_fails(create_with(-3, 0, 1), SGT_E_OUT_OF_RANGE, "sequences is -3");
    sgtt_fails(create_with(1, SESSION_LENGTH + 1, 1), SGT_E_OUT_OF_RANGE, "max_length is 42");
    sgtt_fails(create_with(1, -1, 1), SGT_E_OUT_OF_RANGE, "max_length is -1");
    sgtt_fails(create_with(1, 0, 0), SGT_E_OUT_OF_RANGE, "chunk is 0");
    sgtt_ok(create_with(2, 0, INT32_MAX));
    sgtt_fails(create_of_weights(SGT_I32), SGT_E_UNSUPPORTED, "weights is 5, not SGT_F32 (1)");
    sgtt_fails(create_of_weights(-1), SGT_E_UNSUPPORTED, "weights is -1");
    sgtt_ok(create_of_weights(0));
    sgtt_fails(sgt_session_create(NULL, model, NULL), SGT_E_INVALID_ARGUMENT, "session is NULL");
    sgtt_fails(sgt_session_create(&made, NULL, NULL), SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgtt_fails(sgt_session_options_init(NULL, 16), SGT_E_INVALID_ARGUMENT, "NULL");
    sgtt_ok(sgt_session_options_init(&newer[0], sizeof newer));
    sgtt_ok(sgt_session_create(&made, model, newer));
    sgt_session_free(made);
    newer[1].chunk = 1;
    sgtt_fails(sgt_session_create(&made, model, newer), SGT_E_STRUCT_SIZE, "sgt_session_options");
    sgt_session_free(NULL);
}
END_TEST

START_TEST(feeds)
{
    const int32_t outside[] = {1, 2, 19}, negative[] = {-1};
    const int32_t twice[] = {1, 1}, wrong[] = {0, 3}, lengths[] = {2, 0};
    sgt_feed feed = {.size = sizeof feed, .count = 2, .tokens = tokens};
    sgtt_ok(sgt_session_feed(NULL, session, 1, tokens, 8));
    sgtt_fails(sgt_session_feed(logits, NULL, 0, tokens, 1), SGT_E_INVALID_ARGUMENT, "session");
    sgtt_fails(sgt_session_feed(logits, session, 0, NULL, 1), SGT_E_INVALID_ARGUMENT, "tokens");
    sgtt_fails(sgt_session_feed(logits, session, 0, tokens, 0), SGT_E_INVALID_ARGUMENT, "0 tokens");
    sgtt_fails(sgt_session_feed(logits, session, 0, tokens, -1), SGT_E_INVALID_ARGUMENT, "-1");
    sgtt_fails(sgt_session_feed(logits, session, 3, tokens, 1), SGT_E_OUT_OF_RANGE, "sequence 3");
    sgtt_fails(sgt_session_feed(logits, session, -1, tokens, 1), SGT_E_OUT_OF_RANGE, "sequence -1");
    sgtt_fails(sgt_session_feed(logits, session, 0, outside, 3), SGT_E_OUT_OF_RANGE,
               "token 19 at position 2");
    sgtt_fails(sgt_session_feed(logits, session, 0, negative, 1), SGT_E_OUT_OF_RANGE, "token -1");
    sgtt_fails(sgt_session_feed(logits, session, 1, tokens, 5), SGT_E_OUT_OF_RANGE,
               "5 tokens after 8 of sequence 1 exceed its max_length of 12");
    sgtt_fails(sgt_session_feed_batch(session, NULL), SGT_E_INVALID_ARGUMENT, "feed is NULL");
    feed.sequences = twice;
    sgtt_fails(sgt_session_feed_batch(session, &feed), SGT_E_INVALID_ARGUMENT, "fed twice");
    feed.sequences = wrong;
    sgtt_fails(sgt_session_feed_batch(session, &feed), SGT_E_OUT_OF_RANGE, "sequence 3");
    feed.sequences = NULL;
    feed.lengths = lengths;
    sgtt_fails(sgt_session_feed_batch(session, &feed), SGT_E_INVALID_ARGUMENT, "0 tokens");
    feed.count = 0;
    sgtt_fails(sgt_session_feed_batch(session, &feed), SGT_E_INVALID_ARGUMENT, "0 pieces");
    feed.count = 4;
    sgtt_fails(sgt_session_feed_batch(session, &feed), SGT_E_OUT_OF_RANGE, "4 pieces");
    feed.size = 8;
    sgtt_fails(sgt_session_feed_batch(session, &feed), SGT_E_STRUCT_SIZE, "sgt_feed");
    ck_assert_int_eq(sgt_session_length(session, 0), 0);
    ck_assert_int_eq(sgt_session_length(session, 1), 8);
    ck_assert_int_eq(sgt_session_length(session, 3), 0);
    ck_assert_int_eq(sgt_session_max_length(session), 12);
    ck_assert_int_eq(sgt_session_max_length(NULL), 0);
}
END_TEST

START_TEST(sequences)
{
    sgt_score score = {.size = sizeof score};
    sgtt_ok(sgt_session_feed(NULL, session, 0, tokens, 5));
    sgtt_fails(sgt_session_rewind(session, 0, 6), SGT_E_OUT_OF_RANGE, "first 6 tokens");
    sgtt_fails(sgt_session_rewind(session, 0, -1), SGT_E_OUT_OF_RANGE, "first -1 tokens");
    sgtt_fails(sgt_session_rewind(session, 9, 0), SGT_E_OUT_OF_RANGE, "sequence 9");
    sgtt_fails(sgt_session_rewind(NULL, 0, 0), SGT_E_INVALID_ARGUMENT, "session");
    sgtt_fails(sgt_session_copy(session, 1, 0, 6), SGT_E_OUT_OF_RANGE, "first 6 tokens");
    sgtt_fails(sgt_session_copy(session, 3, 0, 2), SGT_E_OUT_OF_RANGE, "sequence 3");
    sgtt_fails(sgt_session_copy(session, 1, -2, 2), SGT_E_OUT_OF_RANGE, "sequence -2");
    sgtt_fails(sgt_session_copy(NULL, 1, 0, 2), SGT_E_INVALID_ARGUMENT, "session");
    sgtt_fails(sgt_session_score(NULL, session, 0, tokens, 2, NULL), SGT_E_INVALID_ARGUMENT,
               "sgt_score");
    sgtt_fails(sgt_session_score(&score, NULL, 0, tokens, 2, NULL), SGT_E_INVALID_ARGUMENT,
               "session");
    sgtt_fails(sgt_session_score(&score, session, 0, tokens, 0, NULL), SGT_E_INVALID_ARGUMENT,
               "0 tokens");
    sgtt_fails(sgt_session_refresh(NULL), SGT_E_INVALID_ARGUMENT, "session");
    ck_assert_int_eq(sgt_session_length(session, 0), 5);
}
END_TEST

/* Stale sessions say so; a refresh starts over with what is there now. */
static void check_stale(const char *what)
{
    sgt_score score = {.size = sizeof score};
    sgtt_fails(sgt_session_feed(logits, session, 0, tokens, 1), SGT_E_STATE, what);
    sgtt_fails(sgt_session_score(&score, session, 0, tokens, 2, NULL), SGT_E_STATE, what);
    sgtt_fails(sgt_session_copy(session, 1, 0, 1), SGT_E_STATE, what);
    sgtt_ok(sgt_session_refresh(session));
    ck_assert_int_eq(sgt_session_length(session, 0), 0);
    sgtt_ok(sgt_session_feed(logits, session, 0, tokens, 8));
    float *expected = whole_logits(model, tokens, 8);
    check_close(logits, expected + 7 * 19, 19, 1e-5, what);
    free(expected);
}

START_TEST(stale_weights)
{
    sgtt_ok(sgt_session_feed(NULL, session, 0, tokens, 3));
    sgtt_randomize(model, 99);
    check_stale("weights of the model changed");
}
END_TEST

START_TEST(stale_plan)
{
    sgtt_ok(sgt_session_feed(NULL, session, 0, tokens, 3));
    sgt_plan *plan = sgtt_plan_of(model);
    session_cases[BLOCKS].edit(plan);
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgt_plan_free(plan);
    check_stale("plan of the model changed");
}
END_TEST

/* The same heads at another gain are other logits too. */
START_TEST(stale_gains)
{
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_loop(plan, 1, 1, (const float[]){0, 1, 0, 0.5f});
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgtt_ok(sgt_session_refresh(session));
    sgtt_ok(sgt_session_feed(NULL, session, 0, tokens, 3));
    sgtt_ok(sgt_plan_set_gain(plan, 1, 1, 3, 0.25f));
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgt_plan_free(plan);
    check_stale("plan of the model changed");
}
END_TEST

/* A refresh makes the copies of a session with rounded weights anew. */
START_TEST(refresh_rounds_again)
{
    float first[19], exact[19];
    sgt_session *made;
    sgt_session_options wanted;
    sgtt_ok(sgt_session_options_init(&wanted, sizeof wanted));
    wanted.weights = SGT_BF16;
    sgtt_ok(sgt_session_create(&made, model, &wanted));
    sgt_context_memory before = sgtt_memory(context);
    sgtt_ok(sgt_session_feed(first, made, 0, tokens, 8));
    sgtt_ok(sgt_model_weights_changed(model));
    sgtt_ok(sgt_session_refresh(made));
    ck_assert_uint_eq(sgtt_memory(context).current, before.current);
    sgtt_ok(sgt_session_feed(logits, made, 0, tokens, 8));
    ck_assert_mem_eq(first, logits, sizeof first);
    sgtt_ok(sgt_session_refresh(session));
    sgtt_ok(sgt_session_feed(exact, session, 0, tokens, 8));
    ck_assert_mem_ne(first, exact, sizeof first);
    sgt_session_free(made);
}
END_TEST

/* NaN in the weights comes out as NaN, not as a crash. */
START_TEST(nan_weights)
{
    float *values;
    sgt_tensor_view view = {.size = sizeof view};
    sgt_score score = {.size = sizeof score};
    sgtt_ok(sgt_model_parameter(&view, model, 3, SGT_PART_WEIGHT));
    values = calloc(view.count, sizeof *values);
    values[0] = NAN;
    sgtt_ok(sgt_model_write_parameter(model, 3, SGT_PART_WEIGHT, values, view.count));
    free(values);
    sgtt_ok(sgt_session_refresh(session));
    sgtt_ok(sgt_session_feed(logits, session, 0, tokens, 2));
    ck_assert(isnan(logits[0]));
    sgtt_ok(sgt_session_score(&score, session, 0, tokens, 4, NULL));
    ck_assert(isnan(score.log_prob) && isnan(score.perplexity));
}
END_TEST

/* ---- memory ---- */

/* Creates and feeds a session of these weights; returns what it was said to take. */
static sgt_session_memory check_memory(const sgt_model *one, int32_t weights)
{
    sgt_session_options wanted;
    sgt_session_memory told = {.size = sizeof told};
    sgt_session *made;
    sgtt_ok(sgt_session_options_init(&wanted, sizeof wanted));
    wanted.sequences = 2;
    wanted.chunk = 9;
    wanted.weights = weights;
    sgtt_ok(sgt_session_estimate_memory(&told, one, &wanted));
    uint64_t before = sgtt_memory(context).current;
    sgtt_ok(sgt_session_create(&made, one, &wanted));
    ck_assert_uint_eq(sgtt_memory(context).current - before, told.total);
    ck_assert_uint_eq(told.total, told.cache + told.weights + told.scratch);
    uint64_t feeding = sgtt_memory(context).allocations;
    for (int i = 0; i < 4; i++)
        sgtt_ok(sgt_session_feed(logits, made, i % 2, tokens, 8));
    ck_assert_uint_eq(sgtt_memory(context).allocations, feeding);
    sgt_session_free(made);
    ck_assert_uint_eq(sgtt_memory(context).current, before);
    return told;
}

START_TEST(memory_is_what_was_told)
{
    sgt_session_memory told = {.size = sizeof told};
    sgt_model *one = session_model(context, &session_cases[_i]);
    sgt_session_memory own = check_memory(one, SGT_F32), rounded = check_memory(one, SGT_BF16);
    ck_assert_uint_eq(own.cache, rounded.cache);
    ck_assert_uint_lt(own.weights, rounded.weights);
    sgt_model_free(one);
    sgtt_fails(sgt_session_estimate_memory(NULL, model, NULL), SGT_E_INVALID_ARGUMENT, "memory");
    sgtt_fails(sgt_session_estimate_memory(&told, NULL, NULL), SGT_E_INVALID_ARGUMENT, "model");
}
END_TEST

/* The cache is what the plan needs: all heads for the blocks, few for the loops. */
START_TEST(loops_take_cache_for_their_heads_only)
{
    sgt_session_memory vanilla = {.size = sizeof vanilla}, looped = {.size = sizeof looped};
    sgt_model *plain = session_model(context, &session_cases[0]);
    sgt_plan *plan = sgtt_plan_of(plain);
    const float gains[] = {0.0f, 1.0f, 0.0f, 0.0f};
    sgtt_ok(sgt_session_estimate_memory(&vanilla, plain, NULL));
    sgtt_loop(plan, 2, 1, gains);
    sgtt_ok(sgt_model_set_plan(plain, plan));
    sgtt_ok(sgt_session_estimate_memory(&looped, plain, NULL));
    /* 3 layers of 4 heads; one head more, and the alignment of each part. */
    ck_assert_uint_eq(vanilla.weights, 0);
    ck_assert_uint_le(looped.cache - vanilla.cache, vanilla.cache / 12 + 64);
    ck_assert_uint_gt(looped.cache, vanilla.cache);
    sgt_plan_free(plan);
    sgt_model_free(plain);
}
END_TEST

/* What a matrix takes: a line of the cache at least. */
static uint64_t taken(uint64_t elements, uint64_t width)
{
    return (elements * width + 63) / 64 * 64;
}

/* A part of units reads Wdown turned, rounded or not, and not as it is. */
START_TEST(a_turned_matrix_takes_the_place_of_its_own)
{
    enum { RANK = 4 };
    static const sgt_block_config units = {.size = sizeof units, .units = 9,
                                           .controller_rank = RANK};
    sgt_model_config config = sgtt_config();
    const uint64_t d = (uint64_t)config.d_model, ff = (uint64_t)config.d_ff;
    const uint64_t layers = (uint64_t)config.n_layers;
    sgt_model *plain = sgtt_model(context, &config, 11);
    config.n_blocks = 1;
    config.blocks = &units;
    sgt_model *sparse = sgtt_model(context, &config, 11);
    const uint64_t turned = check_memory(sparse, SGT_F32).weights;
    ck_assert_uint_eq(turned, layers * taken(d * ff, 4));
    ck_assert_uint_eq(
        check_memory(sparse, SGT_BF16).weights - turned - check_memory(plain, SGT_BF16).weights,
        layers * (taken(RANK * d, 2) + taken(ff * RANK, 2)));
    sgt_model_free(sparse);
    sgt_model_free(plain);
}
END_TEST

/* Create, feed, refresh: each allocation fails once; then the same calls succeed. */
static int64_t live_with_failure(int64_t at, int which, int32_t weights)
{
    test_allocator allocator;
    test_allocator_init(&allocator);
    sgt_context_options wanted = sgtt_model_options();
    wanted.allocator = &allocator.interface;
    sgt_context *own;
    sgt_session *made = NULL;
    sgt_session_options of_weights;
    float answer[19];
    sgtt_ok(sgt_session_options_init(&of_weights, sizeof of_weights));
    of_weights.weights = weights;
    of_weights.chunk = 3;
    sgtt_ok(sgt_context_create(&own, &wanted));
    sgt_model *one = session_model(own, &session_cases[which]);
    allocator.calls = 0;
    allocator.fail_at = at;
    allocator.fail_count = 1;
    while (sgt_session_create(&made, one, &of_weights))
        ck_assert_int_eq(allocator.failed, 1);
    sgtt_ok(sgt_model_weights_changed(one));
    while (sgt_session_refresh(made)) {
        ck_assert_int_eq(allocator.failed, 1);
        sgtt_fails(sgt_session_feed(answer, made, 0, tokens, 1), SGT_E_STATE, "refresh");
    }
    sgtt_ok(sgt_session_feed(answer, made, 0, tokens, 8));
    int64_t calls = allocator.calls;
    float *expected = whole_logits(one, tokens, 8);
    check_close(answer, expected + 7 * 19, 19, weights == SGT_F32 ? 1e-5 : 0.05,
                "after a failed allocation");
    free(expected);
    sgt_session_free(made);
    sgt_model_free(one);
    sgt_context_free(own);
    ck_assert_int_eq(allocator.live, 0);
    ck_assert(at < 0 || allocator.failed == 1);
    return calls;
}

START_TEST(every_allocation_fails)
{
    int which = _i == 2 ? RINGS : BLOCKS;
    int32_t weights = _i == 1 ? SGT_BF16 : SGT_F32;
    int64_t calls = live_with_failure(-1, which, weights);
    ck_assert_int_gt(calls, 12);
    for (int64_t at = 0; at < calls; at++)
        live_with_failure(at, which, weights);
}
END_TEST

/* ---- stopping ---- */

static int32_t stop_at = -1, seen;

static int32_t stop(void *user, const sgt_progress *progress)
{
    (void)user;
    ck_assert_int_eq(progress->phase, SGT_PHASE_DECODE);
    ck_assert_int_lt(progress->done, progress->total);
    return seen++ == stop_at ? 7 : 0;
}

START_TEST(a_stopped_feed_changes_nothing)
{
    sgt_context_options wanted = sgtt_model_options();
    sgt_context *own;
    sgt_session *made;
    sgt_session_options small;
    float whole[19];
    wanted.progress = stop;
    sgtt_ok(sgt_context_create(&own, &wanted));
    sgt_model *one = session_model(own, &session_cases[LOOPED]);
    sgtt_ok(sgt_session_options_init(&small, sizeof small));
    small.chunk = 3;
    sgtt_ok(sgt_session_create(&made, one, &small));
    sgtt_ok(sgt_session_feed(whole, made, 0, tokens, 8));
    int32_t calls = seen;
    ck_assert_int_eq(calls, 9); /* 3 chunks of 3 layers */
    sgtt_ok(sgt_session_rewind(made, 0, 2));
    for (stop_at = 0; stop_at < 6; stop_at++) {
        seen = 0;
        ck_assert_int_eq(sgt_session_feed(logits, made, 0, tokens + 2, 6), 7);
        ck_assert_int_eq(sgt_session_length(made, 0), 2);
    }
    stop_at = -1;
    sgtt_ok(sgt_session_feed(logits, made, 0, tokens + 2, 6));
    check_close(logits, whole, 19, 1e-5, "after stops");
    sgt_session_free(made);
    sgt_model_free(one);
    sgt_context_free(own);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session refusals");
    TCase *tests = tcase_create("refusals");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, options);
    tcase_add_test(tests, feeds);
    tcase_add_test(tests, sequences);
    tcase_add_test(tests, stale_weights);
    tcase_add_test(tests, stale_plan);
    tcase_add_test(tests, stale_gains);
    tcase_add_test(tests, refresh_rounds_again);
    tcase_add_test(tests, nan_weights);
    tcase_add_loop_test(tests, memory_is_what_was_told, 0, SESSION_CASES);
    tcase_add_test(tests, a_turned_matrix_takes_the_place_of_its_own);
    tcase_add_test(tests, loops_take_cache_for_their_heads_only);
    tcase_add_loop_test(tests, every_allocation_fails, 0, 3);
    tcase_add_test(tests, a_stopped_feed_changes_nothing);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
