/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The gains of every ramp and fade, by hand. One layer of four heads may grow (the other is
 * excluded); it is selected at step 3 with a window of 4 and keeps heads 1 and 2.
 */
#include <math.h>

#include "growth_testing.h"

enum { LAYERS = 2, HEADS = 4, PASSES = 3 };

static void open_ramp_to(sgtt_replay *replay, int32_t ramp, int32_t fade, int32_t max_depth,
                         double max_gain)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_sparse_options options;

    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    options.first_step = 3;
    options.window = 4;
    options.max_layers = 1;
    options.max_depth = max_depth;
    options.ramp = ramp;
    options.fade = fade;
    options.max_gain = max_gain;
    sgtt_replay_open(replay, context, sgtt_policy_sparse(context, LAYERS, HEADS, &options), LAYERS,
                     HEADS, PASSES);
    for (int32_t pass = 0; pass < PASSES; pass++) {
        double *entropies = sgtt_replay_entropies(replay, 1, pass);
        entropies[0] = 0.1;
        entropies[1] = 0.3;
        entropies[2] = 0.4;
        entropies[3] = 0.2;
    }
}

static void open_ramp(sgtt_replay *replay, int32_t ramp, int32_t fade, int32_t max_depth)
{
    open_ramp_to(replay, ramp, fade, max_depth, 1.0);
}

/* Gains of heads kept and of the others. */
static void check_pass(const sgtt_replay *replay, int32_t pass, double kept, double others)
{
    sgtt_check_gains(replay->plan, 1, pass, (double[]){others, kept, kept, others});
    sgtt_check_targets(replay->plan, 1, pass, (double[]){0, 1, 1, 0});
}

static void reach_selection(sgtt_replay *replay)
{
    ck_assert_int_eq(sgtt_replay_step(replay, 1), SGT_GROWTH_NONE);
    ck_assert_int_eq(sgtt_replay_step(replay, 2), SGT_GROWTH_NONE);
    ck_assert_int_eq(sgt_plan_depth(replay->plan, 1), 0);
    ck_assert_int_eq(sgtt_replay_step(replay, 3), SGT_GROWTH_SELECT);
    ck_assert_int_eq(replay->event.layer, 1);
    ck_assert_int_eq(replay->event.n_heads, 2);
    ck_assert_int_eq(replay->event.heads[0], 2);
    ck_assert_int_eq(replay->event.heads[1], 1);
    ck_assert_int_eq(sgt_plan_depth(replay->plan, 1), 1);
    ck_assert_int_eq(sgt_plan_depth(replay->plan, 0), 0);
}

/* Gains of the heads not kept, at steps 3 to 7. */
static const struct {
    int32_t fade;
    double gains[5];
} fades[] = {
    {SGT_FADE_LINEAR, {1, 0.75, 0.5, 0.25, 0}},
    {SGT_FADE_COSINE, {1, 0.8535533905932737, 0.5, 0.1464466094067263, 0}},
    {SGT_FADE_EXPONENTIAL, {1, 1e-2, 1e-4, 1e-6, 0}},
};

START_TEST(reference_fades)
{
    sgtt_replay replay;

    open_ramp(&replay, SGT_RAMP_REFERENCE, fades[_i].fade, 1);
    reach_selection(&replay);
    for (int32_t step = 3; step <= 7; step++) {
        int32_t last = step == 7;
        if (step > 3)
            ck_assert_int_eq(sgtt_replay_step(&replay, step),
                             last ? SGT_GROWTH_FIX : SGT_GROWTH_NONE);
        check_pass(&replay, 1, 1, fades[_i].gains[step - 3]);
        /* Small gains too, relatively: they decide whether a head is computed. */
        double other = (double)sgt_plan_gains(replay.plan, 1, 1)[0];
        ck_assert(fabs(other - fades[_i].gains[step - 3]) <= 1e-6 * fades[_i].gains[step - 3]);
    }
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(reference_deepening_does_not_restart)
{
    sgtt_replay replay;

    open_ramp(&replay, SGT_RAMP_REFERENCE, SGT_FADE_LINEAR, 2);
    reach_selection(&replay);
    sgtt_replay_step(&replay, 6);
    check_pass(&replay, 1, 1, 0.25);
    ck_assert_int_eq(sgtt_replay_step(&replay, 9), SGT_GROWTH_DEEPEN); /* 7 and 8 were not shown */
    ck_assert_int_eq(replay.event.layer, 1);
    ck_assert_int_eq(replay.event.depth, 2);
    check_pass(&replay, 1, 1, 0);
    check_pass(&replay, 2, 1, 0);
    ck_assert_int_eq(sgtt_replay_step(&replay, 12), SGT_GROWTH_NONE);
    ck_assert_int_eq(sgtt_replay_step(&replay, 13), SGT_GROWTH_FIX);
    check_pass(&replay, 2, 1, 0);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(hard_is_there_at_once)
{
    sgtt_replay replay;

    open_ramp(&replay, SGT_RAMP_HARD, SGT_FADE_LINEAR, 2);
    reach_selection(&replay);
    check_pass(&replay, 1, 1, 0);
    for (int32_t step = 4; step <= 11; step++) {
        sgtt_replay_step(&replay, step);
        check_pass(&replay, 1, 1, 0);
        ck_assert_int_eq(sgt_plan_depth(replay.plan, 1), step < 7 ? 1 : 2);
        if (step >= 7)
            check_pass(&replay, 2, 1, 0);
    }
    ck_assert_int_eq(replay.event.action, SGT_GROWTH_FIX);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(warm_fades_each_new_pass_in)
{
    static const double first[] = {0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1};
    static const double second[] = {0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1};
    sgtt_replay replay;

    open_ramp(&replay, SGT_RAMP_WARM, SGT_FADE_COSINE, 2); /* the fade does not matter */
    reach_selection(&replay);
    for (int32_t step = 3; step <= 11; step++) {
        if (step > 3)
            sgtt_replay_step(&replay, step);
        check_pass(&replay, 1, first[step - 3], 0);
        ck_assert_int_eq(sgt_plan_depth(replay.plan, 1), step < 7 ? 1 : 2);
        if (step >= 7)
            check_pass(&replay, 2, second[step - 3], 0);
    }
    ck_assert_int_eq(replay.event.action, SGT_GROWTH_FIX);
    sgtt_replay_close(&replay);
}
END_TEST

/* Gains of heads kept and of the others at steps 3 to 7, the target of those kept. */
START_TEST(a_smaller_gain_scales_every_ramp)
{
    static const double kept[][5] = {
        [SGT_RAMP_REFERENCE] = {0.125, 0.125, 0.125, 0.125, 0.125},
        [SGT_RAMP_HARD] = {0.125, 0.125, 0.125, 0.125, 0.125},
        [SGT_RAMP_WARM] = {0.03125, 0.0625, 0.09375, 0.125, 0.125},
    };
    static const double others[] = {0.125, 0.09375, 0.0625, 0.03125, 0};
    sgtt_replay replay;

    open_ramp_to(&replay, _i, SGT_FADE_LINEAR, 1, 0.125);
    reach_selection(&replay);
    for (int32_t step = 3; step <= 7; step++) {
        double other = _i == SGT_RAMP_REFERENCE ? others[step - 3] : 0;
        if (step > 3)
            sgtt_replay_step(&replay, step);
        sgtt_check_gains(replay.plan, 1, 1,
                         (double[]){other, kept[_i][step - 3], kept[_i][step - 3], other});
        sgtt_check_targets(replay.plan, 1, 1, (double[]){0, 0.125, 0.125, 0});
    }
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(a_window_of_one_step)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgt_growth_sparse_options options;
    sgtt_replay replay;

    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    options.first_step = 1;
    options.window = 1;
    options.max_layers = 1;
    options.ramp = _i;
    sgtt_replay_open(&replay, context, sgtt_policy_sparse(context, LAYERS, HEADS, &options), LAYERS,
                     HEADS, PASSES);
    sgtt_replay_set(&replay, 1, (double[]){0.1, 0.3, 0.4, 0.2});
    ck_assert_int_eq(sgtt_replay_step(&replay, 1), SGT_GROWTH_SELECT);
    check_pass(&replay, 1, 1, _i == SGT_RAMP_REFERENCE ? 1 : 0);
    ck_assert_int_eq(sgtt_replay_step(&replay, 2), SGT_GROWTH_FIX);
    check_pass(&replay, 1, 1, 0);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(other_layers_are_left_alone)
{
    sgtt_replay replay;

    open_ramp(&replay, SGT_RAMP_REFERENCE, SGT_FADE_LINEAR, 1);
    sgtt_ok(sgt_plan_set_depth(replay.plan, 0, 1));
    sgtt_ok(sgt_plan_set_gains(replay.plan, 0, 1, (float[]){0.5f, 0, 0, 0}));
    sgtt_ok(sgt_plan_set_extra_runs(replay.plan, 1, 2));
    sgtt_replay_step(&replay, 3);
    sgtt_replay_step(&replay, 4);
    ck_assert_int_eq(sgt_plan_depth(replay.plan, 0), 1);
    sgtt_check_gains(replay.plan, 0, 1, (double[]){0.5, 0, 0, 0});
    sgtt_check_targets(replay.plan, 0, 1, (double[]){0.5, 0, 0, 0});
    ck_assert_int_eq(sgt_plan_extra_runs(replay.plan, 1), 2);
    check_pass(&replay, 1, 1, 0.75);
    sgtt_replay_close(&replay);
}
END_TEST

START_TEST(a_step_without_change_leaves_the_plan_equal)
{
    sgtt_replay replay;
    sgt_plan *before = NULL;

    open_ramp(&replay, SGT_RAMP_REFERENCE, SGT_FADE_LINEAR, 1);
    reach_selection(&replay);
    for (int32_t step = 4; step <= 7; step++)
        sgtt_replay_step(&replay, step);
    sgtt_ok(sgt_plan_clone(&before, replay.plan));
    for (int32_t step = 8; step <= 20; step++) {
        ck_assert_int_eq(sgtt_replay_step(&replay, step), SGT_GROWTH_NONE);
        ck_assert_int_eq(sgt_plan_equal(replay.plan, before), 1);
    }
    sgt_plan_free(before);
    sgtt_replay_close(&replay);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ramps");
    TCase *tests = tcase_create("ramps");

    tcase_add_loop_test(tests, reference_fades, 0, 3);
    tcase_add_test(tests, reference_deepening_does_not_restart);
    tcase_add_test(tests, hard_is_there_at_once);
    tcase_add_test(tests, warm_fades_each_new_pass_in);
    tcase_add_loop_test(tests, a_smaller_gain_scales_every_ramp, 0, 3);
    tcase_add_loop_test(tests, a_window_of_one_step, 0, 3);
    tcase_add_test(tests, other_layers_are_left_alone);
    tcase_add_test(tests, a_step_without_change_leaves_the_plan_equal);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
