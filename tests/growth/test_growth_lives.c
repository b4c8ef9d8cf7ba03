/* SPDX-License-Identifier: BSD-3-Clause */
/* A growth comes and goes, and fails: what starts with it, what it leaves, what it allocates. */
#include <stdlib.h>

#include "growth_setting.h"

enum { STOP = 42 };

START_TEST(one_policy_one_model)
{
    sgt_growth_policy *other_policy;
    sgt_growth_policy *other_shape = NULL;
    sgt_growth *growth = NULL;
    sgt_model *other_model;
    setting s;

    setting_open(&s, NULL);
    other_model = setting_model(s.context);
    other_policy = setting_policy(s.context, 2);
    sgtt_ok(sgt_growth_policy_none(&other_shape, s.context, LAYERS, HEADS + 1));
    sgtt_fails(sgt_growth_create(&growth, s.model, other_shape, NULL), SGT_E_INVALID_ARGUMENT,
               "3 heads");
    setting_attach(&s, setting_policy(s.context, 2), NULL);
    sgtt_fails(sgt_growth_create(&growth, s.model, other_policy, NULL), SGT_E_STATE, "the model");
    sgtt_fails(sgt_growth_create(&growth, other_model, s.policy, NULL), SGT_E_STATE, "the policy");
    sgtt_fails(sgt_growth_create(NULL, other_model, other_policy, NULL), SGT_E_INVALID_ARGUMENT,
               "growth");
    sgtt_fails(sgt_growth_create(&growth, NULL, other_policy, NULL), SGT_E_INVALID_ARGUMENT,
               "model");
    sgtt_fails(sgt_growth_create(&growth, other_model, NULL, NULL), SGT_E_INVALID_ARGUMENT,
               "policy");
    ck_assert_ptr_null(growth);
    sgt_growth_free(s.growth);
    s.growth = NULL;
    setting_forward(&s);
    ck_assert_int_eq(setting_collects(&s), 0);
    sgtt_ok(sgt_growth_create(&growth, other_model, s.policy, NULL));
    sgtt_ok(sgt_growth_create(&s.growth, s.model, other_policy, NULL));
    sgt_growth_free(growth);
    sgt_growth_free(NULL);
    sgt_growth_policy_free(other_shape);
    sgt_growth_policy_free(other_policy);
    sgt_model_free(other_model);
    setting_close(&s);
}
END_TEST

START_TEST(any_order_of_frees)
{
    sgtt_faulty_memory memory = {.left = -1};
    setting s;

    setting_open(&s, &memory);
    setting_attach(&s, setting_policy(s.context, 2), NULL);
    setting_step(&s, 1);
    if (_i & 1)
        sgt_growth_free(s.growth);
    sgt_context_free(s.context);
    if (_i & 2)
        sgt_model_free(s.model);
    sgt_growth_policy_free(s.policy);
    if (!(_i & 1)) {
        if (!(_i & 2))
            ck_assert_int_eq(setting_step(&s, 2), SGT_GROWTH_SELECT);
        sgt_growth_free(s.growth);
    }
    if (!(_i & 2))
        sgt_model_free(s.model);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

START_TEST(static_plans_are_set_at_once)
{
    sgt_growth_policy *policy = NULL;
    setting s;

    setting_open(&s, NULL);
    sgtt_ok(sgt_growth_policy_static_blocks(&policy, s.context, LAYERS, HEADS, (int32_t[]){1},
                                            (int32_t[]){2}, 1));
    setting_attach(&s, policy, NULL);
    ck_assert_int_eq(sgt_plan_extra_runs(sgt_model_plan(s.model), 1), 2);
    ck_assert_int_eq(sgt_model_n_passes(s.model, 1), 3);
    ck_assert_int_eq(setting_step(&s, 1), SGT_GROWTH_NONE);
    sgt_growth_free(s.growth);
    s.growth = NULL;
    ck_assert_int_eq(sgt_plan_extra_runs(sgt_model_plan(s.model), 1), 2); /* the plan stays */
    setting_close(&s);
}
END_TEST

START_TEST(a_custom_start)
{
    watcher w = {.start_status = STOP};
    setting s;

    setting_open(&s, NULL);
    s.policy = make_watcher(s.context, &w, SGT_ENTROPY_NONE, 1);
    sgtt_fails(sgt_growth_create(&s.growth, s.model, s.policy, NULL), STOP,
               "start of the growth policy returned 42");
    ck_assert_ptr_null(s.growth);
    ck_assert_int_eq(sgt_plan_depth(sgt_model_plan(s.model), 1), 0);
    w.start_status = 0;
    sgtt_ok(sgt_growth_create(&s.growth, s.model, s.policy, NULL));
    ck_assert_int_eq(sgt_plan_depth(sgt_model_plan(s.model), 1), 1);
    setting_close(&s);
}
END_TEST

START_TEST(a_failing_decide_can_be_repeated)
{
    watcher w = {.decide_status = STOP};
    setting s;

    setting_open(&s, NULL);
    setting_attach(&s, make_watcher(s.context, &w, SGT_ENTROPY_LAST, 0), NULL);
    setting_forward(&s);
    s.event.action = 77;
    sgtt_fails(setting_grow(&s, 1, 0), STOP, "decide");
    ck_assert_int_eq(s.event.action, 77);
    ck_assert_int_eq(sgt_plan_depth(sgt_model_plan(s.model), 0), 0);
    w.decide_status = 0;
    sgtt_ok(setting_grow(&s, 1, 0));
    ck_assert_int_eq(w.decided, 2);
    setting_close(&s);
}
END_TEST

/* The step that selects, or that ends growth with deeper loops, needs memory, here and in the
 * model: at each allocation that fails, plan and policy are as before and the same call works
 * later. */
START_TEST(a_plan_that_does_not_fit)
{
    const int32_t action = _i == 0 ? SGT_GROWTH_SELECT : SGT_GROWTH_FIX;
    watcher w = {.deepen_and_fix = 1};
    sgtt_faulty_memory memory = {.left = -1};
    sgt_plan *before = NULL;
    setting s;
    size_t bytes;
    void *state;
    int failures = 0;

    setting_open(&s, &memory);
    if (_i == 0) {
        setting_attach(&s, setting_policy(s.context, 2), NULL);
        setting_step(&s, 1);
    } else {
        setting_attach(&s, make_watcher(s.context, &w, SGT_ENTROPY_LAST, 0), NULL);
    }
    setting_forward(&s);
    state = sgtt_policy_bytes(&bytes, s.policy);
    sgtt_ok(sgt_plan_clone(&before, sgt_model_plan(s.model)));
    s.event.action = 77;
    for (;; failures++) {
        sgt_status status;
        size_t again;
        void *now;
        memory.left = failures;
        status = setting_grow(&s, 2, 0);
        memory.left = -1;
        if (status == SGT_OK)
            break;
        ck_assert_int_eq(status, SGT_E_OUT_OF_MEMORY);
        ck_assert_int_eq(s.event.action, 77);
        ck_assert_int_eq(sgt_plan_equal(sgt_model_plan(s.model), before), 1);
        now = sgtt_policy_bytes(&again, s.policy);
        ck_assert_uint_eq(again, bytes);
        ck_assert_mem_eq(now, state, bytes);
        free(now);
    }
    ck_assert_int_gt(failures, 3);
    ck_assert_int_eq(s.event.action, action);
    ck_assert_int_eq(sgt_plan_equal(sgt_model_plan(s.model), before), 0);
    setting_forward(&s);
    ck_assert_int_eq(setting_collects(&s), action != SGT_GROWTH_FIX);
    sgtt_ok(setting_grow(&s, 3, 0));
    sgt_plan_free(before);
    free(state);
    setting_close(&s);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

START_TEST(a_steady_step_allocates_nothing)
{
    sgtt_faulty_memory memory = {.left = -1};
    sgt_growth_options options;
    setting s;

    sgtt_ok(sgt_growth_options_init(&options, sizeof options));
    options.observe_after_fix = 1;
    setting_open(&s, &memory);
    setting_attach(&s, setting_policy(s.context, 4), &options);
    for (int64_t step = 1; step <= 9; step++) {
        int gains_change = step == 4 || step == 5;
        int nothing_changes = step > 6;
        setting_forward(&s);
        memory.left = gains_change || nothing_changes ? 0 : -1;
        sgtt_ok(setting_grow(&s, step, 0));
        memory.left = -1;
    }
    setting_close(&s);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lives of a growth");
    TCase *tests = tcase_create("driver");

    tcase_add_test(tests, one_policy_one_model);
    tcase_add_loop_test(tests, any_order_of_frees, 0, 4);
    tcase_add_test(tests, static_plans_are_set_at_once);
    tcase_add_test(tests, a_custom_start);
    tcase_add_test(tests, a_failing_decide_can_be_repeated);
    tcase_add_loop_test(tests, a_plan_that_does_not_fit, 0, 2);
    tcase_add_test(tests, a_steady_step_allocates_nothing);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
