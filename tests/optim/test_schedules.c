/* SPDX-License-Identifier: BSD-3-Clause */
/* Learning-rate schedules against values computed by hand. */
#include <sgt/sgt.h>

#include "optim/schedule.h"
#include "testing.h"

typedef struct expected_rate {
    int64_t step;
    double rate;
} expected_rate;

static sgt_optimizer_options options_of(int32_t schedule, int64_t warmup, int64_t total)
{
    sgt_optimizer_options options;
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.schedule = schedule;
    options.lr = 2.0;
    options.warmup_steps = warmup;
    options.total_steps = total;
    options.final_factor = 0.1;
    return options;
}

static void check(const sgt_optimizer_options *options, const expected_rate *rates, size_t count)
{
    sgtt_ok(sgti_schedule_check(options));
    for (size_t i = 0; i < count; i++) {
        double rate = sgti_schedule_rate(options, rates[i].step);
        ck_assert_msg(rate > rates[i].rate - 1e-12 && rate < rates[i].rate + 1e-12,
                      "schedule %d, step %lld: %.15g, expected %.15g", (int)options->schedule,
                      (long long)rates[i].step, rate, rates[i].rate);
    }
}

#define CHECK(options, ...)                                                                        \
    check(options, (expected_rate[]){__VA_ARGS__},                                                 \
          sizeof((expected_rate[]){__VA_ARGS__}) / sizeof(expected_rate))

START_TEST(constant_warms_up_and_stays)
{
    sgt_optimizer_options options = options_of(SGT_SCHEDULE_CONSTANT, 4, 0);
    CHECK(&options, {1, 0.5}, {2, 1.0}, {3, 1.5}, {4, 2.0}, {5, 2.0}, {1000000007, 2.0});
    options.warmup_steps = 0;
    CHECK(&options, {1, 2.0}, {2, 2.0});
}
END_TEST

START_TEST(linear_goes_to_the_final_factor)
{
    sgt_optimizer_options options = options_of(SGT_SCHEDULE_LINEAR, 4, 14);
    CHECK(&options, {1, 0.5}, {3, 1.5}, {4, 2.0}, {5, 1.82}, {9, 1.1}, {13, 0.38}, {14, 0.2},
          {15, 0.2}, {1000, 0.2});
    options.final_factor = 0.0;
    CHECK(&options, {9, 1.0}, {14, 0.0}, {15, 0.0});
}
END_TEST

START_TEST(cosine_goes_to_the_final_factor)
{
    /* At thirds of the way the cosine is 1/2 and -1/2. */
    sgt_optimizer_options options = options_of(SGT_SCHEDULE_COSINE, 10, 70);
    CHECK(&options, {1, 0.2}, {9, 1.8}, {10, 2.0}, {30, 1.55}, {40, 1.1}, {50, 0.65}, {70, 0.2},
          {71, 0.2}, {7000, 0.2});
    options.warmup_steps = 0;
    options.total_steps = 60;
    CHECK(&options, {20, 1.55}, {30, 1.1}, {60, 0.2});
}
END_TEST

START_TEST(stable_then_decay)
{
    sgt_optimizer_options options = options_of(SGT_SCHEDULE_WARMUP_STABLE_DECAY, 4, 20);
    options.decay_steps = 10;
    CHECK(&options, {3, 1.5}, {4, 2.0}, {10, 2.0}, {11, 1.82}, {15, 1.1}, {19, 0.38}, {20, 0.2},
          {21, 0.2});
    options.decay_steps = 0;
    CHECK(&options, {4, 2.0}, {20, 2.0}, {21, 2.0});
    options.decay_steps = 16;
    CHECK(&options, {4, 2.0}, {12, 1.1}, {20, 0.2});
}
END_TEST

/* Nothing is left to decay in: the last step has the whole rate, and so have those after it. */
START_TEST(warm_up_may_be_everything)
{
    for (int32_t s = SGT_SCHEDULE_CONSTANT; s <= SGT_SCHEDULE_WARMUP_STABLE_DECAY; s++) {
        sgt_optimizer_options options = options_of(s, 5, 5);
        CHECK(&options, {4, 1.6}, {5, 2.0}, {6, 2.0}, {500, 2.0});
        options.warmup_steps = options.total_steps = 1;
        options.final_factor = 0.0;
        CHECK(&options, {1, 2.0}, {2, 2.0});
    }
}
END_TEST

/* A single step to decay in goes all the way. */
START_TEST(warm_up_may_be_all_but_one_step)
{
    for (int32_t s = SGT_SCHEDULE_LINEAR; s <= SGT_SCHEDULE_WARMUP_STABLE_DECAY; s++) {
        sgt_optimizer_options options = options_of(s, 5, 6);
        options.decay_steps = 1;
        CHECK(&options, {4, 1.6}, {5, 2.0}, {6, 0.2}, {7, 0.2});
        options.warmup_steps = 0;
        options.total_steps = 1;
        CHECK(&options, {1, 0.2}, {2, 0.2});
    }
}
END_TEST

START_TEST(bad_schedules_name_the_field)
{
    sgt_optimizer_options options = options_of(4, 0, 10);
    sgtt_fails(sgti_schedule_check(&options), SGT_E_OUT_OF_RANGE, "schedule");
    options = options_of(SGT_SCHEDULE_LINEAR, 0, 0);
    sgtt_fails(sgti_schedule_check(&options), SGT_E_INVALID_ARGUMENT, "total_steps");
    options = options_of(SGT_SCHEDULE_LINEAR, -1, 10);
    sgtt_fails(sgti_schedule_check(&options), SGT_E_OUT_OF_RANGE, "warmup_steps");
    options = options_of(SGT_SCHEDULE_COSINE, 11, 10);
    sgtt_fails(sgti_schedule_check(&options), SGT_E_OUT_OF_RANGE, "warmup_steps");
    options = options_of(SGT_SCHEDULE_CONSTANT, 0, -1);
    sgtt_fails(sgti_schedule_check(&options), SGT_E_OUT_OF_RANGE, "total_steps");
    options = options_of(SGT_SCHEDULE_WARMUP_STABLE_DECAY, 5, 10);
    options.decay_steps = 6;
    sgtt_fails(sgti_schedule_check(&options), SGT_E_OUT_OF_RANGE, "decay_steps");
    options.decay_steps = -1;
    sgtt_fails(sgti_schedule_check(&options), SGT_E_OUT_OF_RANGE, "decay_steps");
    options = options_of(SGT_SCHEDULE_CONSTANT, 0, 0);
    options.final_factor = 1.5;
    sgtt_fails(sgti_schedule_check(&options), SGT_E_OUT_OF_RANGE, "final_factor");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedules");
    TCase *tcase = tcase_create("schedules");
    tcase_add_test(tcase, constant_warms_up_and_stays);
    tcase_add_test(tcase, linear_goes_to_the_final_factor);
    tcase_add_test(tcase, cosine_goes_to_the_final_factor);
    tcase_add_test(tcase, stable_then_decay);
    tcase_add_test(tcase, warm_up_may_be_everything);
    tcase_add_test(tcase, warm_up_may_be_all_but_one_step);
    tcase_add_test(tcase, bad_schedules_name_the_field);
    suite_add_tcase(suite, tcase);
    return sgtt_run(suite);
}
