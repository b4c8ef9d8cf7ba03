/* SPDX-License-Identifier: BSD-3-Clause */
/* The policies that do not grow: none, static blocks, static heads. */
#include <stdlib.h>

#include "growth_testing.h"

enum { LAYERS = 4, HEADS = 2 };

static void open_static(sgtt_replay *replay, sgt_context *context, sgt_growth_policy *policy)
{
    sgtt_replay_open(replay, context, policy, LAYERS, HEADS, 1);
    replay->observation.last_entropy = NULL; /* they need none */
    replay->observation.mean_entropy = NULL;
}

START_TEST(none_changes_nothing)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_policy *policy = NULL;
    sgt_plan *before = NULL;
    sgtt_replay replay;

    sgtt_fails(sgt_growth_policy_none(NULL, context, LAYERS, HEADS), SGT_E_INVALID_ARGUMENT,
               "policy");
    sgtt_fails(sgt_growth_policy_none(&policy, NULL, LAYERS, HEADS), SGT_E_INVALID_ARGUMENT,
               "context");
    sgtt_fails(sgt_growth_policy_none(&policy, context, 0, HEADS), SGT_E_OUT_OF_RANGE, "n_layers");
    sgtt_ok(sgt_growth_policy_none(&policy, context, LAYERS, HEADS));
    open_static(&replay, context, policy);
    sgtt_ok(sgt_plan_set_depth(replay.plan, 1, 1));
    sgtt_ok(sgt_plan_set_gain(replay.plan, 1, 1, 0, 0.5f));
    sgtt_ok(sgt_plan_set_extra_runs(replay.plan, 2, 1));
    sgtt_ok(sgt_plan_clone(&before, replay.plan));
    for (int64_t step = 1; step < 5; step++) {
        ck_assert_int_eq(sgtt_replay_step(&replay, step), SGT_GROWTH_NONE);
        ck_assert_int_eq(sgt_plan_equal(replay.plan, before), 1);
    }
    sgt_plan_free(before);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(blocks)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_policy *policy = NULL;
    sgtt_replay replay;

    sgtt_ok(sgt_growth_policy_static_blocks(&policy, context, LAYERS, HEADS, (int32_t[]){3, 1},
                                            (int32_t[]){2, 1}, 2));
    open_static(&replay, context, policy);
    ck_assert_int_eq(sgtt_replay_step(&replay, 1), SGT_GROWTH_NONE);
    ck_assert_int_eq(sgt_plan_extra_runs(replay.plan, 0), 0);
    ck_assert_int_eq(sgt_plan_extra_runs(replay.plan, 1), 1);
    ck_assert_int_eq(sgt_plan_extra_runs(replay.plan, 2), 0);
    ck_assert_int_eq(sgt_plan_extra_runs(replay.plan, 3), 2);
    for (int32_t i = 0; i < LAYERS; i++)
        ck_assert_int_eq(sgt_plan_depth(replay.plan, i), 0);
    sgtt_replay_close(&replay);
}
END_TEST

static void refuse_blocks(sgt_context *context, const int32_t *layers, const int32_t *runs,
                          int32_t count, sgt_status status, const char *message)
{
    sgt_growth_policy *policy = NULL;
    sgtt_fails(sgt_growth_policy_static_blocks(&policy, context, LAYERS, HEADS, layers, runs,
                                               count),
               status, message);
    ck_assert_ptr_null(policy);
}

START_TEST(blocks_are_checked)
{
    sgtt_faulty_memory memory = {.left = -1};
    sgt_context *context = sgtt_portable_context(&memory);
    const int32_t layers[] = {1, LAYERS, 1};
    const int32_t runs[] = {1, 1, 1};
    int64_t live = memory.live;

    refuse_blocks(context, layers, runs, 2, SGT_E_OUT_OF_RANGE, "layer is 4");
    refuse_blocks(context, (int32_t[]){1, 2, 1}, runs, 3, SGT_E_INVALID_ARGUMENT, "layer 1 twice");
    refuse_blocks(context, layers, (int32_t[]){SGT_PLAN_MAX_RUNS + 1}, 1, SGT_E_OUT_OF_RANGE,
                  "runs");
    refuse_blocks(context, NULL, runs, 1, SGT_E_INVALID_ARGUMENT, "layers");
    refuse_blocks(context, layers, NULL, 1, SGT_E_INVALID_ARGUMENT, "extra_runs");
    refuse_blocks(context, layers, runs, -1, SGT_E_OUT_OF_RANGE, "count");
    ck_assert_int_eq(memory.live, live);
    sgt_context_free(context);
}
END_TEST

static sgt_plan *given_plan(sgt_context *context)
{
    sgt_plan *plan = NULL;
    sgtt_ok(sgt_plan_create(&plan, context, LAYERS, HEADS));
    sgtt_ok(sgt_plan_set_depth(plan, 2, 2));
    sgtt_ok(sgt_plan_set_gains(plan, 2, 1, (float[]){0, 1}));
    sgtt_ok(sgt_plan_set_gains(plan, 2, 2, (float[]){0.5f, 0}));
    sgtt_ok(sgt_plan_set_extra_runs(plan, 0, 1));
    return plan;
}

START_TEST(heads)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_plan *plan = given_plan(context);
    sgt_plan *before = given_plan(context);
    sgt_growth_policy *policy = NULL;
    sgtt_replay replay;

    sgtt_fails(sgt_growth_policy_static_heads(&policy, context, NULL), SGT_E_INVALID_ARGUMENT,
               "plan");
    sgtt_ok(sgt_growth_policy_static_heads(&policy, context, plan));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 1)); /* it was copied */
    sgt_plan_free(plan);
    open_static(&replay, context, policy);
    ck_assert_int_eq(sgtt_replay_step(&replay, 1), SGT_GROWTH_NONE);
    ck_assert_int_eq(sgt_plan_equal(replay.plan, before), 1);
    ck_assert_int_eq(sgtt_replay_step(&replay, 2), SGT_GROWTH_NONE);
    ck_assert_int_eq(sgt_plan_equal(replay.plan, before), 1);
    sgt_plan_free(before);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(states_belong_to_their_plan)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_plan *plan = given_plan(context);
    sgt_growth_policy *policy = NULL;
    sgt_growth_policy *same = NULL;
    sgt_growth_policy *other = NULL;
    size_t bytes;
    unsigned char *data;

    sgtt_ok(sgt_growth_policy_static_heads(&policy, context, plan));
    sgtt_ok(sgt_growth_policy_static_heads(&same, context, plan));
    sgtt_ok(sgt_plan_set_gain(plan, 2, 2, 1, 0.25f));
    sgtt_ok(sgt_growth_policy_static_heads(&other, context, plan));
    data = sgtt_policy_bytes(&bytes, policy);
    sgtt_ok(sgt_growth_policy_load(same, data, bytes));
    sgtt_fails(sgt_growth_policy_load(other, data, bytes), SGT_E_INVALID_ARGUMENT, "another plan");
    sgtt_fails(sgt_growth_policy_load(same, data, bytes - 1), SGT_E_FORMAT, "length");
    free(data);
    sgt_growth_policy_free(other);
    sgt_growth_policy_free(same);
    sgt_growth_policy_free(policy);
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

START_TEST(out_of_memory)
{
    sgtt_faulty_memory memory = {.left = -1};
    sgt_context *context = sgtt_portable_context(&memory);
    sgt_plan *plan = given_plan(context);
    sgt_growth_policy *policy = NULL;
    int64_t live = memory.live;
    int failures = 0;

    for (;; failures++) {
        sgt_status status;
        memory.left = failures;
        status = sgt_growth_policy_static_heads(&policy, context, plan);
        memory.left = -1;
        if (status == SGT_OK)
            break;
        ck_assert_int_eq(status, SGT_E_OUT_OF_MEMORY);
        ck_assert_int_eq(memory.live, live);
    }
    ck_assert_int_gt(failures, 3);
    sgt_growth_policy_free(policy);
    sgt_plan_free(plan);
    sgt_context_free(context);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("static policies");
    TCase *tests = tcase_create("static");

    tcase_add_test(tests, none_changes_nothing);
    tcase_add_test(tests, blocks);
    tcase_add_test(tests, blocks_are_checked);
    tcase_add_test(tests, heads);
    tcase_add_test(tests, states_belong_to_their_plan);
    tcase_add_test(tests, out_of_memory);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
