/* SPDX-License-Identifier: BSD-3-Clause */
/* A policy on a model: what it is shown, and what reaches the model. */
#include <stdlib.h>
#include <string.h>

#include "growth_setting.h"

START_TEST(the_plan_reaches_the_model)
{
    setting s;
    const sgt_plan *plan;
    int32_t kept;

    setting_open(&s, NULL);
    setting_attach(&s, setting_policy(s.context, 2), NULL);
    ck_assert_int_eq(setting_step(&s, 1), SGT_GROWTH_NONE);
    ck_assert_int_eq(s.event.layer, -1);
    ck_assert_int_eq(sgt_plan_depth(sgt_model_plan(s.model), 2), 0);
    ck_assert_int_eq(setting_step(&s, 2), SGT_GROWTH_SELECT);
    ck_assert_int_eq(s.event.layer, 2);
    ck_assert_int_eq(s.event.n_heads, 1);
    kept = s.event.heads[0];
    plan = sgt_model_plan(s.model);
    sgtt_check_gains(plan, 2, 1, (double[]){1, 1});
    ck_assert_int_eq(sgt_model_n_passes(s.model, 2), 2);
    ck_assert_int_eq(setting_step(&s, 3), SGT_GROWTH_NONE);
    plan = sgt_model_plan(s.model);
    ck_assert_float_eq(sgt_plan_gains(plan, 2, 1)[kept], 1.0f);
    ck_assert_float_eq(sgt_plan_gains(plan, 2, 1)[1 - kept], 0.5f);
    ck_assert_int_eq(setting_step(&s, 4), SGT_GROWTH_FIX);
    ck_assert_float_eq(sgt_plan_gains(sgt_model_plan(s.model), 2, 1)[1 - kept], 0.0f);
    ck_assert_int_eq(s.event.n_layers, 1);
    ck_assert_int_eq(s.event.layers[0], 2);
    setting_close(&s);
}
END_TEST

/* What a policy was shown of one kind is what the model tells the host. */
static void check_seen(const setting *s, const double *seen, int32_t kind)
{
    for (int32_t i = 0; i < LAYERS; i++) {
        double entropies[HEADS];
        sgtt_ok(sgt_model_get_entropies(entropies, s->model, i, 0, kind));
        ck_assert_mem_eq(entropies, seen + i * HEADS, sizeof entropies);
        ck_assert_double_gt(entropies[0], 0.5);
    }
}

START_TEST(the_policy_sees_what_the_model_saw)
{
    watcher w = {0};
    sgt_flops_total flops = {.size = sizeof flops};
    setting s;

    setting_open(&s, NULL);
    setting_attach(&s, make_watcher(s.context, &w, SGT_ENTROPY_LAST, 0), NULL);
    setting_step(&s, 3);
    ck_assert_int_eq(w.decided, 1);
    ck_assert_int_eq(w.seen.n_layers, LAYERS);
    ck_assert_int_eq(w.seen.n_heads, HEADS);
    ck_assert_int_eq(w.seen.max_passes, 1);
    ck_assert_int_eq(w.seen.step, 3);
    ck_assert_double_eq(w.seen.loss, 2.5);
    ck_assert_double_eq(w.seen.grad_norm, 0.5);
    ck_assert_ptr_eq(w.seen.plan, sgt_model_plan(s.model));
    ck_assert_ptr_null(w.seen.mean_entropy);
    sgtt_ok(sgt_model_get_flops(&flops, s.model));
    ck_assert_double_gt(flops.executed, 0);
    ck_assert_double_eq(w.seen.executed_flops, flops.executed);
    ck_assert_double_eq(w.seen.vanilla_flops, flops.vanilla);
    check_seen(&s, w.last, SGT_ENTROPY_LAST);
    sgtt_ok(sgt_model_collect_entropy(s.model, SGT_ENTROPY_MEAN)); /* the host's own wish */
    setting_step(&s, 4);
    ck_assert_ptr_nonnull(w.seen.mean_entropy);
    check_seen(&s, w.last, SGT_ENTROPY_LAST);
    check_seen(&s, w.mean, SGT_ENTROPY_MEAN);
    ck_assert_mem_ne(w.last, w.mean, sizeof w.last);
    setting_close(&s);
}
END_TEST

/* All forwards of a step weigh the same, for the policy and for the host. */
START_TEST(micro_batches_are_averaged)
{
    watcher w = {0};
    setting s;
    double alone[2][LAYERS * HEADS];
    setting_open(&s, NULL);
    setting_attach(&s, make_watcher(s.context, &w, SGT_ENTROPY_LAST, 0), NULL);
    for (int32_t text = 0; text < 2; text++) {
        setting_forward_on(&s, text);
        sgtt_ok(sgt_model_zero_gradients(s.model));
        sgtt_ok(setting_grow(&s, 1 + text, 0));
        memcpy(alone[text], w.last, sizeof alone[text]);
    }
    ck_assert_mem_ne(alone[0], alone[1], sizeof alone[0]);
    for (int32_t text = 0; text < 2; text++)
        setting_forward_on(&s, text);
    sgtt_ok(sgt_model_zero_gradients(s.model));
    sgtt_ok(setting_grow(&s, 3, 0));
    for (int32_t i = 0; i < LAYERS * HEADS; i++)
        ck_assert_double_eq(w.last[i], (alone[0][i] + alone[1][i]) / 2);
    check_seen(&s, w.last, SGT_ENTROPY_LAST);
    setting_close(&s);
}
END_TEST

START_TEST(a_policy_without_entropies)
{
    watcher w = {0};
    setting s;

    setting_open(&s, NULL);
    setting_attach(&s, make_watcher(s.context, &w, SGT_ENTROPY_NONE, 0), NULL);
    sgtt_fails(setting_grow(&s, 1, 0), SGT_E_STATE, "no training forward");
    setting_step(&s, 1);
    ck_assert_ptr_null(w.seen.last_entropy);
    ck_assert_ptr_null(w.seen.mean_entropy);
    ck_assert_int_eq(setting_collects(&s), 0);
    sgtt_fails(setting_grow(&s, 2, 0), SGT_E_STATE, "no training forward");
    ck_assert_int_eq(w.decided, 1);
    setting_close(&s);
}
END_TEST

START_TEST(steps_must_grow_and_follow_a_forward)
{
    setting s;

    setting_open(&s, NULL);
    setting_attach(&s, setting_policy(s.context, 2), NULL);
    s.event.action = 77;
    sgtt_fails(setting_grow(&s, 1, 0), SGT_E_STATE, "no training forward");
    setting_forward(&s);
    sgtt_fails(setting_grow(&s, 0, 0), SGT_E_INVALID_ARGUMENT, "step");
    ck_assert_int_eq(s.event.action, 77);
    sgtt_ok(setting_grow(&s, 5, 0));
    ck_assert_int_eq(s.event.action, SGT_GROWTH_SELECT);
    sgtt_fails(setting_grow(&s, 6, 0), SGT_E_STATE, "no training forward");
    setting_forward(&s);
    sgtt_fails(setting_grow(&s, 5, 0), SGT_E_STATE, "the last call had step 5");
    sgtt_fails(setting_grow(&s, 5, 1), SGT_E_STATE, "the last call had step 5");
    sgtt_ok(setting_grow(&s, 6, 0));
    sgtt_fails(sgt_growth_step(NULL, NULL, NULL), SGT_E_INVALID_ARGUMENT, "growth");
    sgtt_fails(sgt_growth_step(NULL, s.growth, NULL), SGT_E_INVALID_ARGUMENT, "input");
    setting_close(&s);
}
END_TEST

START_TEST(a_skipped_step_is_not_shown)
{
    watcher w = {0};
    setting s;

    setting_open(&s, NULL);
    setting_attach(&s, make_watcher(s.context, &w, SGT_ENTROPY_LAST, 0), NULL);
    setting_forward(&s);
    s.event.action = 77;
    sgtt_ok(setting_grow(&s, 1, 1));
    ck_assert_int_eq(s.event.action, SGT_GROWTH_NONE);
    ck_assert_int_eq(w.decided, 0);
    sgtt_fails(setting_grow(&s, 2, 0), SGT_E_STATE, "no training forward"); /* it was dropped */
    setting_step(&s, 2);
    ck_assert_int_eq(w.decided, 1);
    setting_close(&s);
}
END_TEST

START_TEST(entropies_that_were_not_collected)
{
    setting s;

    setting_open(&s, NULL);
    setting_forward(&s); /* before the policy was there */
    setting_attach(&s, setting_policy(s.context, 2), NULL);
    sgtt_fails(setting_grow(&s, 1, 0), SGT_E_STATE, "did not collect");
    ck_assert_int_eq(setting_step(&s, 1), SGT_GROWTH_NONE);
    setting_close(&s);
}
END_TEST

START_TEST(collecting_ends_with_growth)
{
    sgt_growth_options options;
    setting s;

    sgtt_ok(sgt_growth_options_init(&options, sizeof options));
    ck_assert_int_eq(options.observe_after_fix, 0);
    options.observe_after_fix = _i;
    setting_open(&s, NULL);
    setting_attach(&s, setting_policy(s.context, 2), _i == 0 ? NULL : &options);
    for (int64_t step = 1; step <= 4; step++) {
        setting_forward(&s);
        ck_assert_int_eq(setting_collects(&s), 1);
        sgtt_ok(setting_grow(&s, step, 0));
    }
    ck_assert_int_eq(s.event.action, SGT_GROWTH_FIX);
    setting_forward(&s);
    ck_assert_int_eq(setting_collects(&s), _i);
    sgtt_ok(setting_grow(&s, 5, 0));
    ck_assert_int_eq(s.event.action, SGT_GROWTH_NONE);
    setting_close(&s);
}
END_TEST

START_TEST(a_loaded_state_starts_collecting_again)
{
    setting s;
    size_t bytes;
    void *young;

    setting_open(&s, NULL);
    setting_attach(&s, setting_policy(s.context, 2), NULL);
    setting_step(&s, 1);
    young = sgtt_policy_bytes(&bytes, s.policy);
    for (int64_t step = 2; step <= 4; step++)
        setting_step(&s, step);
    setting_forward(&s);
    ck_assert_int_eq(setting_collects(&s), 0);
    sgtt_ok(sgt_growth_policy_load(s.policy, young, bytes));
    ck_assert_int_eq(setting_step(&s, 5), SGT_GROWTH_SELECT);
    free(young);
    setting_close(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("growth on a model");
    TCase *tests = tcase_create("driver");

    tcase_add_test(tests, the_plan_reaches_the_model);
    tcase_add_test(tests, the_policy_sees_what_the_model_saw);
    tcase_add_test(tests, micro_batches_are_averaged);
    tcase_add_test(tests, a_policy_without_entropies);
    tcase_add_test(tests, steps_must_grow_and_follow_a_forward);
    tcase_add_test(tests, a_skipped_step_is_not_shown);
    tcase_add_test(tests, entropies_that_were_not_collected);
    tcase_add_loop_test(tests, collecting_ends_with_growth, 0, 2);
    tcase_add_test(tests, a_loaded_state_starts_collecting_again);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
