/* SPDX-License-Identifier: BSD-3-Clause */
/* Making, reading, editing and comparing plans; what is refused changes nothing. */
#include <math.h>

#include "growth_testing.h"

#include "model/plan_data.h"

enum { LAYERS = 3, HEADS = 2 };

static sgt_plan *make(sgt_context *context)
{
    sgt_plan *plan = NULL;
    sgtt_ok(sgt_plan_create(&plan, context, LAYERS, HEADS));
    return plan;
}

START_TEST(starts_without_loops)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_plan *plan = make(context);

    sgt_context_free(context); /* the plan keeps it */
    ck_assert_int_eq(sgt_plan_n_layers(plan), LAYERS);
    ck_assert_int_eq(sgt_plan_n_heads(plan), HEADS);
    for (int32_t i = -1; i <= LAYERS; i++) {
        ck_assert_int_eq(sgt_plan_depth(plan, i), 0);
        ck_assert_int_eq(sgt_plan_extra_runs(plan, i), 0);
        ck_assert_ptr_null(sgt_plan_gains(plan, i, 1));
        ck_assert_ptr_null(sgt_plan_targets(plan, i, 1));
    }
    sgt_plan_free(plan);
    sgt_plan_free(NULL);
    ck_assert_int_eq(sgt_plan_n_layers(NULL), 0);
    ck_assert_int_eq(sgt_plan_depth(NULL, 0), 0);
}
END_TEST

START_TEST(refuses_bad_shapes)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_plan *plan = NULL;

    sgtt_fails(sgt_plan_create(&plan, context, 0, 2), SGT_E_OUT_OF_RANGE, "n_layers");
    sgtt_fails(sgt_plan_create(&plan, context, 2, -1), SGT_E_OUT_OF_RANGE, "n_heads");
    sgtt_fails(sgt_plan_create(&plan, NULL, 2, 2), SGT_E_INVALID_ARGUMENT, "context");
    sgtt_fails(sgt_plan_create(NULL, context, 2, 2), SGT_E_INVALID_ARGUMENT, "plan");
    ck_assert_ptr_null(plan);
    sgt_context_free(context);
}
END_TEST

START_TEST(new_passes_are_full)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_plan *plan = make(context);

    sgtt_ok(sgt_plan_set_depth(plan, 1, 1));
    sgtt_check_gains(plan, 1, 1, (double[]){1, 1});
    sgtt_check_targets(plan, 1, 1, (double[]){1, 1});
    sgtt_ok(sgt_plan_set_gains(plan, 1, 1, (float[]){0.25f, 0}));
    sgtt_ok(sgt_plan_set_targets(plan, 1, 1, (float[]){0.5f, 1}));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 3));
    sgtt_check_gains(plan, 1, 1, (double[]){0.25, 0});
    sgtt_check_targets(plan, 1, 1, (double[]){0.5, 1});
    sgtt_check_gains(plan, 1, 3, (double[]){1, 1});
    sgtt_check_targets(plan, 1, 2, (double[]){1, 1});
    sgtt_ok(sgt_plan_set_depth(plan, 1, 1));
    sgtt_check_gains(plan, 1, 1, (double[]){0.25, 0});
    sgtt_check_targets(plan, 1, 1, (double[]){0.5, 1});
    ck_assert_ptr_null(sgt_plan_gains(plan, 1, 0));
    ck_assert_ptr_null(sgt_plan_gains(plan, 1, 2));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 0));
    ck_assert_ptr_null(sgt_plan_gains(plan, 1, 1));
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

START_TEST(gains_set_their_targets)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_plan *plan = make(context);

    sgtt_ok(sgt_plan_set_depth(plan, 2, 2));
    sgtt_ok(sgt_plan_set_gains(plan, 2, 2, (float[]){0.5f, 0.75f}));
    sgtt_check_targets(plan, 2, 2, (double[]){0.5, 0.75});
    sgtt_ok(sgt_plan_set_gain(plan, 2, 2, 1, 0));
    sgtt_check_gains(plan, 2, 2, (double[]){0.5, 0});
    sgtt_check_targets(plan, 2, 2, (double[]){0.5, 0});
    sgtt_check_gains(plan, 2, 1, (double[]){1, 1});
    sgtt_ok(sgt_plan_set_gains(plan, 2, 1, sgt_plan_gains(plan, 2, 2)));
    sgtt_check_gains(plan, 2, 1, (double[]){0.5, 0});
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

START_TEST(refused_edits_change_nothing)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_plan *plan = make(context);
    sgt_plan *before = NULL;
    const float bad[][HEADS] = {{0.5f, NAN}, {0.5f, -0.001f}, {0.5f, 1.001f}, {0.5f, INFINITY}};

    sgtt_ok(sgt_plan_set_depth(plan, 1, 1));
    sgtt_ok(sgt_plan_clone(&before, plan));
    for (int i = 0; i < 4; i++) {
        sgt_status expected = i == 0 ? SGT_E_INVALID_ARGUMENT : SGT_E_OUT_OF_RANGE;
        sgtt_fails(sgt_plan_set_gains(plan, 1, 1, bad[i]), expected, "gain of head 1");
        sgtt_fails(sgt_plan_set_targets(plan, 1, 1, bad[i]), expected, "target of head 1");
        sgtt_fails(sgt_plan_set_gain(plan, 1, 1, 0, bad[i][1]), expected, "gain of head 0");
    }
    sgtt_fails(sgt_plan_set_gains(plan, 1, 1, NULL), SGT_E_INVALID_ARGUMENT, "gains");
    sgtt_fails(sgt_plan_set_gains(plan, 1, 2, bad[0]), SGT_E_OUT_OF_RANGE, "pass is 2");
    sgtt_fails(sgt_plan_set_gains(plan, 1, 0, bad[0]), SGT_E_OUT_OF_RANGE, "pass is 0");
    sgtt_fails(sgt_plan_set_gains(plan, LAYERS, 1, bad[0]), SGT_E_OUT_OF_RANGE, "layer is 3");
    sgtt_fails(sgt_plan_set_gain(plan, 1, 1, HEADS, 0), SGT_E_OUT_OF_RANGE, "head is 2");
    sgtt_fails(sgt_plan_set_gain(plan, 1, 1, -1, 0), SGT_E_OUT_OF_RANGE, "head is -1");
    sgtt_fails(sgt_plan_set_depth(plan, -1, 1), SGT_E_OUT_OF_RANGE, "layer is -1");
    sgtt_fails(sgt_plan_set_depth(plan, 0, -1), SGT_E_OUT_OF_RANGE, "depth is -1");
    sgtt_fails(sgt_plan_set_depth(plan, 0, SGT_PLAN_MAX_DEPTH + 1), SGT_E_OUT_OF_RANGE, "depth");
    sgtt_fails(sgt_plan_set_depth(NULL, 0, 1), SGT_E_INVALID_ARGUMENT, "plan");
    sgtt_fails(sgt_plan_set_extra_runs(plan, 3, 1), SGT_E_OUT_OF_RANGE, "layer is 3");
    sgtt_fails(sgt_plan_set_extra_runs(plan, 0, -1), SGT_E_OUT_OF_RANGE, "runs");
    sgtt_fails(sgt_plan_set_extra_runs(plan, 0, SGT_PLAN_MAX_RUNS + 1), SGT_E_OUT_OF_RANGE, "runs");
    ck_assert_int_eq(sgt_plan_equal(plan, before), 1);
    sgtt_check_targets(plan, 1, 1, (double[]){1, 1});
    sgtt_ok(sgt_plan_set_depth(plan, 0, SGT_PLAN_MAX_DEPTH));
    sgtt_ok(sgt_plan_set_extra_runs(plan, 0, SGT_PLAN_MAX_RUNS));
    sgt_plan_free(before);
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

START_TEST(equality_sees_what_executes)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_plan *a = make(context);
    sgt_plan *b = make(context);
    sgt_plan *other = NULL;

    sgtt_ok(sgt_plan_create(&other, context, LAYERS, HEADS + 1));
    ck_assert_int_eq(sgt_plan_equal(a, b), 1);
    ck_assert_int_eq(sgt_plan_equal(a, other), 0);
    ck_assert_int_eq(sgt_plan_equal(a, NULL), 0);
    sgtt_ok(sgt_plan_set_depth(a, 1, 1));
    ck_assert_int_eq(sgt_plan_equal(a, b), 0);
    sgtt_ok(sgt_plan_set_depth(b, 1, 1));
    ck_assert_int_eq(sgt_plan_equal(a, b), 1);
    sgtt_ok(sgt_plan_set_targets(a, 1, 1, (float[]){0, 0}));
    ck_assert_int_eq(sgt_plan_equal(a, b), 1);
    sgtt_ok(sgt_plan_set_gain(a, 1, 1, 1, 0.5f));
    ck_assert_int_eq(sgt_plan_equal(a, b), 0);
    sgtt_ok(sgt_plan_set_gain(a, 1, 1, 1, 1));
    ck_assert_int_eq(sgt_plan_equal(a, b), 1);
    sgtt_ok(sgt_plan_set_extra_runs(a, 0, 1));
    ck_assert_int_eq(sgt_plan_equal(a, b), 0);
    sgt_plan_free(other);
    sgt_plan_free(b);
    sgt_plan_free(a);
    sgt_context_free(context);
}
END_TEST

START_TEST(copies_are_their_own)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_plan *plan = make(context);
    sgt_plan *copy = NULL;
    sgt_plan *assigned = make(context);

    sgtt_ok(sgt_plan_set_depth(plan, 0, 2));
    sgtt_ok(sgt_plan_set_gains(plan, 0, 2, (float[]){0.5f, 0}));
    sgtt_ok(sgt_plan_set_targets(plan, 0, 2, (float[]){0.25f, 1}));
    sgtt_ok(sgt_plan_set_extra_runs(plan, 2, 3));
    sgtt_ok(sgt_plan_set_depth(assigned, 2, 1));
    sgtt_ok(sgt_plan_clone(&copy, plan));
    sgtt_ok(sgti_plan_assign(assigned, plan));
    ck_assert_int_eq(sgt_plan_equal(copy, plan), 1);
    ck_assert_int_eq(sgt_plan_equal(assigned, plan), 1);
    sgtt_check_targets(copy, 0, 2, (double[]){0.25, 1});
    sgtt_check_targets(assigned, 0, 2, (double[]){0.25, 1});
    sgtt_ok(sgt_plan_set_gain(plan, 0, 2, 0, 1));
    sgtt_check_gains(copy, 0, 2, (double[]){0.5, 0});
    sgtt_check_gains(assigned, 0, 2, (double[]){0.5, 0});
    sgtt_ok(sgti_plan_assign(assigned, plan)); /* the depths are equal by now */
    sgtt_check_gains(assigned, 0, 2, (double[]){1, 0});
    sgtt_fails(sgt_plan_clone(&copy, NULL), SGT_E_INVALID_ARGUMENT, "plan");
    sgt_plan_free(assigned);
    sgt_plan_free(copy);
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

START_TEST(check_names_the_shape)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_plan *plan = make(context);

    sgtt_ok(sgti_plan_check(plan, LAYERS, HEADS));
    sgtt_fails(sgti_plan_check(plan, LAYERS, HEADS + 1), SGT_E_INVALID_ARGUMENT, "3 heads");
    sgtt_fails(sgti_plan_check(NULL, LAYERS, HEADS), SGT_E_INVALID_ARGUMENT, "plan");
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan edits");
    TCase *tests = tcase_create("edit");

    tcase_add_test(tests, starts_without_loops);
    tcase_add_test(tests, refuses_bad_shapes);
    tcase_add_test(tests, new_passes_are_full);
    tcase_add_test(tests, gains_set_their_targets);
    tcase_add_test(tests, refused_edits_change_nothing);
    tcase_add_test(tests, equality_sees_what_executes);
    tcase_add_test(tests, copies_are_their_own);
    tcase_add_test(tests, check_names_the_shape);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
