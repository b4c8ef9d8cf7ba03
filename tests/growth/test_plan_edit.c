/* SPDX-License-Identifier: BSD-3-Clause */
/* Making, reading, editing and comparing plans; what is refused changes nothing. */
#include <math.h>

#include "growth_testing.h"

#include "model/plan_data.h"

enum { LAYERS = 3, HEADS = 2 };

static sgt_context *context;
static sgt_plan *plan, *other;

static sgt_plan *make(void)
{
    sgt_plan *made = NULL;
    sgtt_ok(sgt_plan_create(&made, context, LAYERS, HEADS));
    return made;
}

static void setup(void)
{
    context = sgtt_portable_context(NULL);
    plan = make();
    other = make();
}

static void teardown(void)
{
    sgt_plan_free(other);
    sgt_plan_free(plan);
    sgt_context_free(context);
}

/* ---- edits ---- */

typedef struct edit {
    enum { DEPTH, RUNS, GAINS, TARGETS, GAIN } what;
    int32_t layer;
    int32_t number; /* the depth, the runs; else a pass */
    float values[HEADS];
    int32_t head; /* of GAIN, whose value is the first */
} edit;

static sgt_status make_edit(sgt_plan *p, const edit *e)
{
    switch (e->what) {
    case DEPTH: return sgt_plan_set_depth(p, e->layer, e->number);
    case RUNS: return sgt_plan_set_extra_runs(p, e->layer, e->number);
    case GAINS: return sgt_plan_set_gains(p, e->layer, e->number, e->values);
    case TARGETS: return sgt_plan_set_targets(p, e->layer, e->number, e->values);
    default: return sgt_plan_set_gain(p, e->layer, e->number, e->head, e->values[0]);
    }
}

/* One after another, and what a pass of that layer is then; gains below 0: it does not exist. */
static const struct {
    edit edit;
    int32_t pass;
    double gains[HEADS], targets[HEADS];
} edits[] = {
    {{DEPTH, 1, 1, {0}, 0}, 1, {1, 1}, {1, 1}}, /* new passes are full */
    {{GAINS, 1, 1, {0.25f, 0}, 0}, 1, {0.25, 0}, {0.25, 0}},
    {{TARGETS, 1, 1, {0.5f, 1}, 0}, 1, {0.25, 0}, {0.5, 1}},
    {{DEPTH, 1, 3, {0}, 0}, 1, {0.25, 0}, {0.5, 1}},
    {{DEPTH, 1, 3, {0}, 0}, 2, {1, 1}, {1, 1}},
    {{DEPTH, 1, 3, {0}, 0}, 3, {1, 1}, {1, 1}},
    {{DEPTH, 1, 1, {0}, 0}, 1, {0.25, 0}, {0.5, 1}},
    {{DEPTH, 1, 1, {0}, 0}, 0, {-1}, {0}},
    {{DEPTH, 1, 1, {0}, 0}, 2, {-1}, {0}},
    {{DEPTH, 1, 0, {0}, 0}, 1, {-1}, {0}},
    {{DEPTH, 2, 2, {0}, 0}, 2, {1, 1}, {1, 1}},
    {{GAINS, 2, 2, {0.5f, 0.75f}, 0}, 2, {0.5, 0.75}, {0.5, 0.75}}, /* gains set their targets */
    {{GAIN, 2, 2, {0}, 1}, 2, {0.5, 0}, {0.5, 0}},
    {{GAIN, 2, 2, {0}, 1}, 1, {1, 1}, {1, 1}},
};

START_TEST(edits_do_what_they_say)
{
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        int32_t layer = edits[i].edit.layer, pass = edits[i].pass;
        sgtt_ok(make_edit(plan, &edits[i].edit));
        if (edits[i].gains[0] < 0) {
            ck_assert_ptr_null(sgt_plan_gains(plan, layer, pass));
            continue;
        }
        sgtt_check_gains(plan, layer, pass, edits[i].gains);
        sgtt_check_targets(plan, layer, pass, edits[i].targets);
    }
    sgtt_ok(sgt_plan_set_gains(plan, 2, 1, sgt_plan_gains(plan, 2, 2))); /* a plan's own numbers */
    sgtt_check_gains(plan, 2, 1, (double[]){0.5, 0});
}
END_TEST

static const struct {
    edit edit;
    const char *message;
} refused[] = {
    {{GAINS, 1, 2, {0}, 0}, "pass is 2"},
    {{GAINS, 1, 0, {0}, 0}, "pass is 0"},
    {{GAINS, LAYERS, 1, {0}, 0}, "layer is 3"},
    {{GAIN, 1, 1, {0}, HEADS}, "head is 2"},
    {{GAIN, 1, 1, {0}, -1}, "head is -1"},
    {{DEPTH, -1, 1, {0}, 0}, "layer is -1"},
    {{DEPTH, 0, -1, {0}, 0}, "depth is -1"},
    {{DEPTH, 0, SGT_PLAN_MAX_DEPTH + 1, {0}, 0}, "depth"},
    {{RUNS, 3, 1, {0}, 0}, "layer is 3"},
    {{RUNS, 0, -1, {0}, 0}, "runs"},
    {{RUNS, 0, SGT_PLAN_MAX_RUNS + 1, {0}, 0}, "runs"},
};

START_TEST(refused_edits_change_nothing)
{
    const float bad[][HEADS] = {{0.5f, NAN}, {0.5f, -0.001f}, {0.5f, 1.001f}, {0.5f, INFINITY}};
    sgt_plan *before = NULL;
    sgtt_ok(sgt_plan_set_depth(plan, 1, 1));
    sgtt_ok(sgt_plan_clone(&before, plan));
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        sgtt_fails(make_edit(plan, &refused[i].edit), SGT_E_OUT_OF_RANGE, refused[i].message);
    for (int i = 0; i < 4; i++) {
        sgt_status expected = isnan(bad[i][1]) ? SGT_E_INVALID_ARGUMENT : SGT_E_OUT_OF_RANGE;
        sgtt_fails(sgt_plan_set_gains(plan, 1, 1, bad[i]), expected, "gain of head 1");
        sgtt_fails(sgt_plan_set_targets(plan, 1, 1, bad[i]), expected, "target of head 1");
        sgtt_fails(sgt_plan_set_gain(plan, 1, 1, 0, bad[i][1]), expected, "gain of head 0");
    }
    sgtt_fails(sgt_plan_set_gains(plan, 1, 1, NULL), SGT_E_INVALID_ARGUMENT, "gains");
    sgtt_fails(sgt_plan_set_depth(NULL, 0, 1), SGT_E_INVALID_ARGUMENT, "plan");
    ck_assert_int_eq(sgt_plan_equal(plan, before), 1);
    sgtt_check_targets(plan, 1, 1, (double[]){1, 1});
    sgtt_ok(sgt_plan_set_depth(plan, 0, SGT_PLAN_MAX_DEPTH));
    sgtt_ok(sgt_plan_set_extra_runs(plan, 0, SGT_PLAN_MAX_RUNS));
    sgt_plan_free(before);
}
END_TEST

/* Whether the plan is still equal to the other one. */
static const struct {
    int of_other;
    edit edit;
    int equal;
} comparisons[] = {
    {0, {DEPTH, 1, 1, {0}, 0}, 0},
    {1, {DEPTH, 1, 1, {0}, 0}, 1},
    {0, {TARGETS, 1, 1, {0, 0}, 0}, 1}, /* equality sees what executes */
    {0, {GAIN, 1, 1, {0.5f}, 1}, 0},
    {0, {GAIN, 1, 1, {1}, 1}, 1},
    {0, {RUNS, 0, 1, {0}, 0}, 0},
};

START_TEST(equality_sees_what_executes)
{
    sgt_plan *wider = NULL;
    sgtt_ok(sgt_plan_create(&wider, context, LAYERS, HEADS + 1));
    ck_assert_int_eq(sgt_plan_equal(plan, other), 1);
    ck_assert_int_eq(sgt_plan_equal(plan, wider), 0);
    ck_assert_int_eq(sgt_plan_equal(plan, NULL), 0);
    for (size_t i = 0; i < sizeof comparisons / sizeof comparisons[0]; i++) {
        sgtt_ok(make_edit(comparisons[i].of_other ? other : plan, &comparisons[i].edit));
        ck_assert_int_eq(sgt_plan_equal(plan, other), comparisons[i].equal);
    }
    sgt_plan_free(wider);
}
END_TEST

/* ---- making and copying ---- */

START_TEST(starts_without_loops)
{
    sgt_context_free(context); /* the plans keep it */
    context = NULL;
    ck_assert_int_eq(sgt_plan_n_layers(plan), LAYERS);
    ck_assert_int_eq(sgt_plan_n_heads(plan), HEADS);
    for (int32_t i = -1; i <= LAYERS; i++) {
        ck_assert_int_eq(sgt_plan_depth(plan, i), 0);
        ck_assert_int_eq(sgt_plan_extra_runs(plan, i), 0);
        ck_assert_ptr_null(sgt_plan_gains(plan, i, 1));
        ck_assert_ptr_null(sgt_plan_targets(plan, i, 1));
    }
    sgt_plan_free(NULL);
    ck_assert_int_eq(sgt_plan_n_layers(NULL), 0);
    ck_assert_int_eq(sgt_plan_depth(NULL, 0), 0);
}
END_TEST

START_TEST(refuses_bad_shapes)
{
    sgt_plan *none = NULL;
    sgtt_fails(sgt_plan_create(&none, context, 0, 2), SGT_E_OUT_OF_RANGE, "n_layers");
    sgtt_fails(sgt_plan_create(&none, context, 2, -1), SGT_E_OUT_OF_RANGE, "n_heads");
    sgtt_fails(sgt_plan_create(&none, NULL, 2, 2), SGT_E_INVALID_ARGUMENT, "context");
    sgtt_fails(sgt_plan_create(NULL, context, 2, 2), SGT_E_INVALID_ARGUMENT, "plan");
    ck_assert_ptr_null(none);
}
END_TEST

START_TEST(copies_are_their_own)
{
    sgt_plan *copy = NULL;
    sgtt_ok(sgt_plan_set_depth(plan, 0, 2));
    sgtt_ok(sgt_plan_set_gains(plan, 0, 2, (float[]){0.5f, 0}));
    sgtt_ok(sgt_plan_set_targets(plan, 0, 2, (float[]){0.25f, 1}));
    sgtt_ok(sgt_plan_set_extra_runs(plan, 2, 3));
    sgtt_ok(sgt_plan_set_depth(other, 2, 1));
    sgtt_ok(sgt_plan_clone(&copy, plan));
    sgtt_ok(sgti_plan_assign(other, plan));
    sgt_plan *both[] = {copy, other};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(sgt_plan_equal(both[i], plan), 1);
        sgtt_check_targets(both[i], 0, 2, (double[]){0.25, 1});
    }
    sgtt_ok(sgt_plan_set_gain(plan, 0, 2, 0, 1));
    for (int i = 0; i < 2; i++)
        sgtt_check_gains(both[i], 0, 2, (double[]){0.5, 0});
    sgtt_ok(sgti_plan_assign(other, plan)); /* the depths are equal by now */
    sgtt_check_gains(other, 0, 2, (double[]){1, 0});
    sgtt_fails(sgt_plan_clone(&copy, NULL), SGT_E_INVALID_ARGUMENT, "plan");
    sgt_plan_free(copy);
}
END_TEST

START_TEST(check_names_the_shape)
{
    sgtt_ok(sgti_plan_check(plan, LAYERS, HEADS));
    sgtt_fails(sgti_plan_check(plan, LAYERS, HEADS + 1), SGT_E_INVALID_ARGUMENT, "3 heads");
    sgtt_fails(sgti_plan_check(NULL, LAYERS, HEADS), SGT_E_INVALID_ARGUMENT, "plan");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan edits");
    TCase *tests = tcase_create("edit");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, edits_do_what_they_say);
    tcase_add_test(tests, refused_edits_change_nothing);
    tcase_add_test(tests, equality_sees_what_executes);
    tcase_add_test(tests, starts_without_loops);
    tcase_add_test(tests, refuses_bad_shapes);
    tcase_add_test(tests, copies_are_their_own);
    tcase_add_test(tests, check_names_the_shape);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
