/* SPDX-License-Identifier: BSD-3-Clause */
/* e <- a e + (1-a) E: of which entropy, and when not. Looks at the averages inside. */
#include <math.h>

#include "growth_testing.h"

#include "growth/policy.h"
#include "growth/policy_sparse.h"

enum { LAYERS = 2, HEADS = 3, PASSES = 6 };

/* Layer 1 is selected at step 2 and keeps heads 2 and 1; it may get two passes. */
static void open_averages(sgtt_replay *replay, double average, int32_t entropy)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_sparse_options options;

    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    options.first_step = 2;
    options.window = 2;
    options.max_layers = 1;
    options.max_depth = 2;
    options.average = average;
    options.entropy = entropy;
    sgtt_replay_open(replay, context, sgtt_policy_sparse(context, LAYERS, HEADS, &options), LAYERS,
                     HEADS, PASSES);
}

static double average(const sgtt_replay *replay, int32_t layer, int32_t head)
{
    const sgti_sparse_policy *policy = replay->policy->state;
    return policy->now.averages[layer * HEADS + head];
}

static void fill_pass(sgtt_replay *replay, int32_t layer, int32_t pass, double value)
{
    for (int32_t h = 0; h < HEADS; h++)
        sgtt_replay_entropies(replay, layer, pass)[h] = value;
}

START_TEST(starts_from_zero)
{
    sgtt_replay replay;

    open_averages(&replay, 0.5, SGT_ENTROPY_LAST);
    sgtt_replay_set(&replay, 0, (double[]){0.8, 0.4, 0});
    sgtt_replay_step(&replay, 1);
    ck_assert_double_eq(average(&replay, 0, 0), 0.4);
    ck_assert_double_eq(average(&replay, 0, 1), 0.2);
    sgtt_replay_set(&replay, 0, (double[]){0.6, 1, 0.5});
    sgtt_replay_step(&replay, 2);
    ck_assert_double_eq(average(&replay, 0, 0), 0.5 * 0.4 + 0.5 * 0.6);
    ck_assert_double_eq(average(&replay, 0, 1), 0.6);
    ck_assert_double_eq(average(&replay, 0, 2), 0.25);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(weighs_with_the_option)
{
    sgtt_replay replay;

    open_averages(&replay, _i == 0 ? 0.0 : 0.9, SGT_ENTROPY_LAST);
    fill_pass(&replay, 0, 0, 0.7);
    sgtt_replay_step(&replay, 1);
    fill_pass(&replay, 0, 0, 0.3);
    sgtt_replay_step(&replay, 2);
    if (_i == 0)
        ck_assert_double_eq(average(&replay, 0, 1), 0.3);
    else
        ck_assert_double_eq_tol(average(&replay, 0, 1), 0.9 * 0.07 + 0.1 * 0.3, 1e-15);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(looks_at_the_chosen_kind)
{
    double other[LAYERS * PASSES * HEADS];
    sgtt_replay replay;

    for (int i = 0; i < LAYERS * PASSES * HEADS; i++)
        other[i] = 0.2;
    open_averages(&replay, 0.5, _i == 0 ? SGT_ENTROPY_LAST : SGT_ENTROPY_MEAN);
    fill_pass(&replay, 0, 0, 0.8);
    if (_i == 0)
        replay.observation.mean_entropy = other;
    else
        replay.observation.last_entropy = other;
    sgtt_replay_step(&replay, 1);
    ck_assert_double_eq(average(&replay, 0, 0), 0.4);
    if (_i == 0)
        replay.observation.last_entropy = NULL;
    else
        replay.observation.mean_entropy = NULL;
    replay.observation.step = 2;
    sgtt_fails(sgt_growth_policy_decide(NULL, replay.policy, &replay.observation, replay.plan),
               SGT_E_INVALID_ARGUMENT, _i == 0 ? "last_entropy" : "mean_entropy");
    sgtt_replay_close(&replay);
}
END_TEST

/* Selected at step 2 (deepened at step 4), with averages 0 so far. */
static void select_layer(sgtt_replay *replay)
{
    sgtt_replay_set(replay, 1, (double[]){0, 0.25, 0.5});
    sgtt_replay_step(replay, 1);
    ck_assert_int_eq(sgtt_replay_step(replay, 2), SGT_GROWTH_SELECT);
    ck_assert_int_eq(replay->event.heads[0], 2);
    ck_assert_int_eq(replay->event.heads[1], 1);
    for (int32_t pass = 0; pass < PASSES; pass++)
        fill_pass(replay, 1, pass, 0.1 * (pass + 1));
}

START_TEST(kept_heads_use_their_last_pass)
{
    sgtt_replay replay;

    open_averages(&replay, 0.0, SGT_ENTROPY_LAST);
    select_layer(&replay);
    sgtt_replay_step(&replay, 3);
    ck_assert_double_eq(average(&replay, 1, 0), 0.1 * 1);
    ck_assert_double_eq(average(&replay, 1, 1), 0.1 * 2);
    ck_assert_double_eq(average(&replay, 1, 2), 0.1 * 2);
    ck_assert_int_eq(sgtt_replay_step(&replay, 4), SGT_GROWTH_DEEPEN);
    ck_assert_double_eq(average(&replay, 1, 2), 0.1 * 2); /* the step ran with one extra pass */
    sgtt_replay_step(&replay, 5);
    ck_assert_double_eq(average(&replay, 1, 0), 0.1 * 1);
    ck_assert_double_eq(average(&replay, 1, 1), 0.1 * 3);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(block_loops_use_the_first_run)
{
    sgtt_replay replay;

    open_averages(&replay, 0.0, SGT_ENTROPY_LAST);
    select_layer(&replay);
    sgtt_ok(sgt_plan_set_extra_runs(replay.plan, 1, 1)); /* passes 2 and 3 are the second run's */
    sgtt_replay_step(&replay, 3);
    ck_assert_double_eq(average(&replay, 1, 0), 0.1 * 1);
    ck_assert_double_eq(average(&replay, 1, 2), 0.1 * 2);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(a_pass_that_did_not_run_is_passed_over)
{
    sgt_plan *ran = NULL;
    sgtt_replay replay;

    open_averages(&replay, 0.0, SGT_ENTROPY_LAST);
    select_layer(&replay);
    sgtt_replay_step(&replay, 3);
    ck_assert_int_eq(sgtt_replay_step(&replay, 4), SGT_GROWTH_DEEPEN);
    sgtt_ok(sgt_plan_clone(&ran, replay.plan)); /* what the host ran instead */
    sgtt_ok(sgt_plan_set_gain(ran, 1, 2, 2, 0));
    sgtt_ok(sgt_plan_set_gain(ran, 1, 2, 1, 0));
    sgtt_ok(sgt_plan_set_gain(ran, 1, 1, 1, 0));
    replay.observation.plan = ran;
    sgtt_replay_step(&replay, 5);
    ck_assert_double_eq(average(&replay, 1, 2), 0.1 * 2);
    ck_assert_double_eq(average(&replay, 1, 1), 0.1 * 1);
    sgtt_ok(sgt_plan_set_depth(ran, 1, 0));
    replay.observation.max_passes = 1;
    sgtt_replay_step(&replay, 6); /* fixed now; the plan is the policy's again */
    ck_assert_int_eq(sgt_plan_depth(replay.plan, 1), 2);
    sgt_plan_free(ran);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(what_is_not_finite_is_left_out)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY};
    sgtt_replay replay;

    open_averages(&replay, 0.5, SGT_ENTROPY_LAST);
    fill_pass(&replay, 0, 0, 0.8);
    sgtt_replay_step(&replay, 1);
    for (int i = 0; i < 3; i++) {
        sgtt_replay_set(&replay, 0, (double[]){bad[i], 0.4, bad[i]});
        sgtt_replay_step(&replay, 2 + i);
        ck_assert_double_eq(average(&replay, 0, 0), 0.4);
        ck_assert_double_eq(average(&replay, 0, 1), 0.4);
        ck_assert_double_eq(average(&replay, 0, 2), 0.4);
    }
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(stay_when_growth_is_over)
{
    sgtt_replay replay;
    double before;

    open_averages(&replay, 0.5, SGT_ENTROPY_LAST);
    select_layer(&replay);
    sgtt_replay_step(&replay, 4);
    ck_assert_int_eq(sgtt_replay_step(&replay, 6), SGT_GROWTH_FIX);
    before = average(&replay, 1, 1);
    fill_pass(&replay, 1, 0, 0.9);
    fill_pass(&replay, 1, 2, 0.9);
    sgtt_replay_step(&replay, 7);
    ck_assert_double_eq(average(&replay, 1, 1), before);
    replay.observation.last_entropy = NULL; /* may be missing by now */
    ck_assert_int_eq(sgtt_replay_step(&replay, 8), SGT_GROWTH_NONE);
    ck_assert_double_eq(average(&replay, 1, 1), before);
    sgtt_replay_close(&replay);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("averages");
    TCase *tests = tcase_create("averages");

    tcase_add_test(tests, starts_from_zero);
    tcase_add_loop_test(tests, weighs_with_the_option, 0, 2);
    tcase_add_loop_test(tests, looks_at_the_chosen_kind, 0, 2);
    tcase_add_test(tests, kept_heads_use_their_last_pass);
    tcase_add_test(tests, block_loops_use_the_first_run);
    tcase_add_test(tests, a_pass_that_did_not_run_is_passed_over);
    tcase_add_test(tests, what_is_not_finite_is_left_out);
    tcase_add_test(tests, stay_when_growth_is_over);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
