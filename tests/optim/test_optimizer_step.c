/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an optimizer step may follow and what it leaves behind: state errors, skipped steps, a
 * backend that fails, the rate callback, zeroed gradients, generations, no allocation.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>

#include "backend/dispatch_data.h"
#include "model/model.h"
#include "optim/optimizer.h"
#include "testing.h"
#include "tiny_model.h"

/* The training frees it. */
static sgt_optimizer *create(small_training *tiny, const sgt_optimizer_options *options)
{
    sgtt_ok(sgt_optimizer_create(&tiny->optimizer, tiny->model, options));
    return tiny->optimizer;
}

static void expect_zero_gradients(const small_training *tiny)
{
    for (int32_t p = 0; p < sgt_model_n_parameters(tiny->model); p++) {
        float *values = tiny_model_read(tiny, p, SGT_PART_GRADIENT);
        for (size_t i = 0; i < tiny_model_count(tiny, p); i++)
            ck_assert_float_eq(values[i], 0.0f);
        free(values);
    }
}

static void poison(const small_training *tiny, const char *name, float value)
{
    int32_t index = tiny_model_find(tiny, name);
    float *values = tiny_model_read(tiny, index, SGT_PART_GRADIENT);
    values[tiny_model_count(tiny, index) - 1] = value;
    sgtt_ok(sgt_model_write_parameter(tiny->model, index, SGT_PART_GRADIENT, values,
                                      tiny_model_count(tiny, index)));
    free(values);
}

START_TEST(a_step_needs_a_backward)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = create(&tiny, NULL);
    sgt_step_report report;
    memset(&report, 0x55, sizeof report);
    report.size = sizeof report;
    sgt_step_report before = report;
    sgtt_fails(sgt_optimizer_step(NULL, NULL, NULL), SGT_E_INVALID_ARGUMENT, "optimizer");
    sgtt_fails(sgt_optimizer_step(&report, optimizer, NULL), SGT_E_STATE, "backward");
    ck_assert_mem_eq(&report, &before, sizeof report);
    tiny_model_backward(&tiny);
    report.size = 2;
    sgtt_fails(sgt_optimizer_step(&report, optimizer, NULL), SGT_E_STRUCT_SIZE, "sgt_step_report");
    ck_assert_int_eq(sgt_optimizer_steps(optimizer), 0);
    report.size = sizeof report;
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_int_eq(report.step, 1);
    sgtt_fails(sgt_optimizer_step(&report, optimizer, NULL), SGT_E_STATE, "backward");
    ck_assert_int_eq(sgt_optimizer_steps(optimizer), 1);
    ck_assert_int_eq(sgt_optimizer_steps(NULL), 0);
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(incomplete_gradients_are_refused_until_zeroed)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = create(&tiny, NULL);
    tiny_model_backward(&tiny);
    tiny.model->gradient_state = SGTI_GRADIENTS_INVALID; /* as a stopped backward leaves it */
    sgtt_fails(sgt_optimizer_step(NULL, optimizer, NULL), SGT_E_GRADIENTS_INVALID,
               "sgt_model_zero_gradients");
    sgtt_ok(sgt_model_zero_gradients(tiny.model));
    tiny_model_backward(&tiny);
    sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(a_step_changes_weights_and_zeroes_gradients)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = create(&tiny, NULL);
    int32_t index = tiny_model_find(&tiny, "model.layers.1.self_attn.q_proj.weight");
    sgtt_ok(sgt_optimizer_set_factors(optimizer, index, 0.0, 1.0));
    float *frozen = tiny_model_read(&tiny, index, SGT_PART_WEIGHT);
    float *moving = tiny_model_read(&tiny, index + 1, SGT_PART_WEIGHT);
    uint64_t generation = sgt_model_generation(tiny.model);
    tiny_model_backward(&tiny);
    sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
    expect_zero_gradients(&tiny);
    ck_assert_uint_gt(sgt_model_generation(tiny.model), generation);
    float *frozen_after = tiny_model_read(&tiny, index, SGT_PART_WEIGHT);
    float *moving_after = tiny_model_read(&tiny, index + 1, SGT_PART_WEIGHT);
    ck_assert_mem_eq(frozen, frozen_after, tiny_model_count(&tiny, index) * sizeof(float));
    ck_assert_mem_ne(moving, moving_after, tiny_model_count(&tiny, index + 1) * sizeof(float));
    sgtt_fails(sgt_model_backward(tiny.model, 1.0, NULL), SGT_E_STATE, "backward");
    free(frozen);
    free(moving);
    free(frozen_after);
    free(moving_after);
    sgtt_small_free(&tiny);
}
END_TEST

/* ---- steps that are not finite ---- */

static void expect_skip(float value)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = create(&tiny, NULL);
    sgt_step_report report = {.size = sizeof report};
    size_t count;
    tiny_model_write_gradients(&tiny, 1, 1.0);
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    float *before = tiny_model_snapshot(&tiny, optimizer, &count);

    tiny_model_write_gradients(&tiny, 2, 1.0);
    poison(&tiny, "model.layers.0.mlp.down_proj.weight", value);
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_int_eq(report.skipped, 1);
    ck_assert_int_eq(report.step, 2);
    ck_assert(!isfinite(report.grad_norm));
    float *after = tiny_model_snapshot(&tiny, optimizer, &count);
    ck_assert_mem_eq(before, after, count * sizeof *before);
    expect_zero_gradients(&tiny);
    sgtt_fails(sgt_optimizer_step(&report, optimizer, NULL), SGT_E_STATE, "backward");

    tiny_model_write_gradients(&tiny, 3, 1.0);
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_int_eq(report.skipped, 0);
    ck_assert_int_eq(report.step, 3);
    free(before);
    free(after);
    sgtt_small_free(&tiny);
}

START_TEST(a_nan_gradient_skips_the_step)
{
    expect_skip(NAN);
}
END_TEST

START_TEST(an_infinite_gradient_skips_the_step)
{
    expect_skip(-INFINITY);
}
END_TEST

/* The second moment would be infinite for good; clipped, the same gradient is used. */
START_TEST(a_gradient_without_a_square_skips_the_step)
{
    sgt_step_report report = {.size = sizeof report};
    sgt_optimizer_options options;
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    for (int clipped = 0; clipped < 2; clipped++) {
        small_training tiny = tiny_model_make();
        options.clip = clipped;
        sgt_optimizer *optimizer = create(&tiny, &options);
        tiny_model_write_gradients(&tiny, 1, 1.0);
        poison(&tiny, "model.layers.0.mlp.down_proj.weight", 5e25f);
        sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
        ck_assert_int_eq(report.skipped, !clipped);
        ck_assert(report.grad_norm > 1e25 && isfinite(report.grad_norm));
        expect_zero_gradients(&tiny);
        sgtt_small_free(&tiny);
    }
}
END_TEST

START_TEST(a_frozen_nan_does_not_matter)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = create(&tiny, NULL);
    sgt_step_report report = {.size = sizeof report};
    sgtt_ok(sgt_optimizer_set_factors(optimizer, tiny_model_find(&tiny, "model.norm.weight"), 0.0,
                                      1.0));
    tiny_model_write_gradients(&tiny, 1, 1.0);
    poison(&tiny, "model.norm.weight", NAN);
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_int_eq(report.skipped, 0);
    expect_zero_gradients(&tiny);
    sgtt_small_free(&tiny);
}
END_TEST

/* The correction of the second applied update must not count the skipped step between: the same
 * two gradients without one give the same bits. */
START_TEST(a_skipped_step_leaves_no_trace_in_later_updates)
{
    float *snapshots[2];
    size_t count = 0;
    for (int with_skip = 0; with_skip < 2; with_skip++) {
        small_training tiny = tiny_model_make();
        sgt_optimizer *optimizer = create(&tiny, NULL);
        tiny_model_write_gradients(&tiny, 1, 1.0);
        sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
        if (with_skip) {
            tiny_model_write_gradients(&tiny, 9, 1.0);
            poison(&tiny, "lm_head.weight", NAN);
            sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
        }
        tiny_model_write_gradients(&tiny, 2, 1.0);
        sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
        ck_assert_int_eq(sgt_optimizer_steps(optimizer), with_skip ? 3 : 2);
        snapshots[with_skip] = tiny_model_snapshot(&tiny, optimizer, &count);
        sgtt_small_free(&tiny);
    }
    ck_assert_mem_eq(snapshots[0], snapshots[1], count * sizeof(float));
    free(snapshots[0]);
    free(snapshots[1]);
}
END_TEST

/* ---- a backend that fails ---- */

static const sgt_backend *real_table;
static int calls_left; /* of one slot, until it fails */

static int32_t failing_adamw(void *instance, const sgt_adamw_args *args)
{
    return calls_left-- == 0 ? SGT_E_BACKEND : real_table->adamw(instance, args);
}

static int32_t failing_norm(void *instance, const sgt_norm_args *args)
{
    return calls_left-- == 0 ? SGT_E_BACKEND : real_table->norm(instance, args);
}

static int32_t failing_fill(void *instance, const sgt_tensor *tensor, double value)
{
    return calls_left-- == 0 ? SGT_E_BACKEND : real_table->fill(instance, tensor, value);
}

START_TEST(a_failing_norm_changes_nothing)
{
    small_training tiny = tiny_model_make_on("portable");
    sgt_optimizer *optimizer = create(&tiny, NULL);
    sgt_backend table = *tiny.context->dispatch->table;
    size_t count;
    tiny_model_write_gradients(&tiny, 1, 1.0);
    float *before = tiny_model_snapshot(&tiny, optimizer, &count);
    real_table = tiny.context->dispatch->table;
    table.norm = failing_norm;
    calls_left = 0;
    tiny.context->dispatch->table = &table;
    sgtt_fails(sgt_optimizer_step(NULL, optimizer, NULL), SGT_E_BACKEND, "norm");
    tiny.context->dispatch->table = real_table;
    float *after = tiny_model_snapshot(&tiny, optimizer, &count);
    ck_assert_mem_eq(before, after, count * sizeof *before);
    ck_assert_int_eq(sgt_optimizer_steps(optimizer), 0);
    sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
    free(before);
    free(after);
    sgtt_small_free(&tiny);
}
END_TEST

/* After a failure half-way, in an update or in zeroing, the gradients are not to be used. */
static void expect_invalid(const small_training *tiny, sgt_optimizer *optimizer,
                           const sgt_backend *table, const char *slot)
{
    sgti_dispatch *dispatch = tiny->context->dispatch;
    real_table = dispatch->table;
    calls_left = 0;
    uint64_t generation = sgt_model_generation(tiny->model);
    dispatch->table = dispatch->memory = table;
    sgtt_fails(sgt_optimizer_step(NULL, optimizer, NULL), SGT_E_BACKEND, slot);
    dispatch->table = dispatch->memory = real_table;
    ck_assert(strcmp(slot, "adamw") || sgt_model_generation(tiny->model) > generation);
    ck_assert_int_eq(sgt_optimizer_steps(optimizer), 0);
    ck_assert_int_eq(optimizer->updates, 0);
    sgtt_fails(sgt_optimizer_step(NULL, optimizer, NULL), SGT_E_GRADIENTS_INVALID, "zero");
    sgtt_ok(sgt_model_zero_gradients(tiny->model));
    expect_zero_gradients(tiny);
}

START_TEST(a_failing_update_marks_the_gradients_invalid)
{
    small_training tiny = tiny_model_make_on("portable");
    sgt_optimizer *optimizer = create(&tiny, NULL);
    sgt_backend table = *tiny.context->dispatch->table;
    tiny_model_write_gradients(&tiny, 1, 1.0);
    table.adamw = failing_adamw;
    expect_invalid(&tiny, optimizer, &table, "adamw");
    tiny_model_write_gradients(&tiny, 1, 1.0);
    poison(&tiny, "lm_head.weight", NAN);
    table = *tiny.context->dispatch->table;
    table.fill = failing_fill;
    expect_invalid(&tiny, optimizer, &table, "fill");
    tiny_model_write_gradients(&tiny, 1, 1.0);
    sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
    sgtt_small_free(&tiny);
}
END_TEST

/* ---- rates ---- */

typedef struct rate_log {
    int64_t step;
    double scheduled;
    double answer;
} rate_log;

static double logged_rate(void *user, int64_t step, double scheduled)
{
    rate_log *log = user;
    log->step = step;
    log->scheduled = scheduled;
    return log->answer;
}

START_TEST(the_rate_callback_decides)
{
    small_training tiny = tiny_model_make();
    rate_log log = {.answer = 0.125};
    sgt_optimizer_options options;
    sgt_step_report report = {.size = sizeof report};
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.warmup_steps = 4;
    options.lr = 8.0;
    options.rate = logged_rate;
    options.rate_user = &log;
    sgt_optimizer *optimizer = create(&tiny, &options);
    tiny_model_write_gradients(&tiny, 1, 1.0);
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_int_eq(log.step, 1);
    ck_assert_double_eq(log.scheduled, 2.0);
    ck_assert_double_eq(report.lr, 0.125);

    static const double refused[] = {NAN, INFINITY, -1e-9, 1e39};
    for (int i = 0; i < 4; i++) {
        size_t count;
        tiny_model_write_gradients(&tiny, 2, 1.0);
        float *before = tiny_model_snapshot(&tiny, optimizer, &count);
        log.answer = refused[i];
        sgtt_fails(sgt_optimizer_step(&report, optimizer, NULL), SGT_E_OUT_OF_RANGE,
                   "rate callback");
        float *after = tiny_model_snapshot(&tiny, optimizer, &count);
        ck_assert_mem_eq(before, after, count * sizeof *before);
        ck_assert_int_eq(sgt_optimizer_steps(optimizer), 1);
        free(before);
        free(after);
    }
    log.answer = 0.0;
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_int_eq(report.step, 2);
    ck_assert_double_eq(report.lr, 0.0);
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(factors_are_checked)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer_options options;
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.lr = 1e30;
    sgt_optimizer *optimizer = create(&tiny, &options);
    sgtt_fails(sgt_optimizer_set_factors(NULL, 0, 1, 1), SGT_E_INVALID_ARGUMENT, "optimizer");
    sgtt_fails(sgt_optimizer_set_factors(optimizer, -1, 1, 1), SGT_E_OUT_OF_RANGE, "-1");
    sgtt_fails(sgt_optimizer_set_factors(optimizer, 1000, 1, 1), SGT_E_OUT_OF_RANGE, "1000");
    sgtt_fails(sgt_optimizer_set_factors(optimizer, 0, NAN, 1), SGT_E_OUT_OF_RANGE, "rate_factor");
    sgtt_fails(sgt_optimizer_set_factors(optimizer, 0, -1, 1), SGT_E_OUT_OF_RANGE, "rate_factor");
    sgtt_fails(sgt_optimizer_set_factors(optimizer, 0, 1, -1), SGT_E_OUT_OF_RANGE, "decay_factor");
    sgtt_ok(sgt_optimizer_set_factors(optimizer, 0, 1e30, 1));
    tiny_model_write_gradients(&tiny, 1, 1.0);
    sgtt_fails(sgt_optimizer_step(NULL, optimizer, NULL), SGT_E_OUT_OF_RANGE,
               "model.embed_tokens.weight");
    ck_assert_int_eq(sgt_optimizer_steps(optimizer), 0);
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(scheduled_rates_can_be_asked)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer_options options;
    double lr = -1.0;
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.warmup_steps = 10;
    sgt_optimizer *optimizer = create(&tiny, &options);
    sgtt_ok(sgt_optimizer_get_scheduled_rate(&lr, optimizer, 5));
    ck_assert_double_eq_tol(lr, 3e-4, 1e-15);
    sgtt_fails(sgt_optimizer_get_scheduled_rate(&lr, optimizer, 0), SGT_E_OUT_OF_RANGE, "step");
    sgtt_fails(sgt_optimizer_get_scheduled_rate(NULL, optimizer, 1), SGT_E_INVALID_ARGUMENT, "lr");
    sgtt_fails(sgt_optimizer_get_scheduled_rate(&lr, NULL, 1), SGT_E_INVALID_ARGUMENT, "optimizer");
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(another_peak_rate_counts_from_the_next_step)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer_options options;
    sgt_step_report report = {.size = sizeof report};
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.schedule = SGT_SCHEDULE_LINEAR;
    options.total_steps = 4;
    options.final_factor = 0.0;
    sgt_optimizer *optimizer = create(&tiny, &options);
    ck_assert_double_eq(sgt_optimizer_lr(optimizer), 6e-4);
    ck_assert_double_eq(sgt_optimizer_lr(NULL), 0.0);
    sgtt_ok(sgt_optimizer_set_lr(optimizer, 0.5));
    const double refused[] = {-1.0, INFINITY, NAN, 1e39, 1e-60};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        sgtt_fails(sgt_optimizer_set_lr(optimizer, refused[i]), SGT_E_OUT_OF_RANGE, "lr");
    sgtt_fails(sgt_optimizer_set_lr(NULL, 1.0), SGT_E_INVALID_ARGUMENT, "optimizer");
    ck_assert_double_eq(sgt_optimizer_lr(optimizer), 0.5);
    tiny_model_write_gradients(&tiny, 1, 1.0);
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_double_eq(report.lr, 0.5 * 0.75);
    sgtt_ok(sgt_optimizer_set_lr(optimizer, 0.0));
    tiny_model_write_gradients(&tiny, 1, 1.0);
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_double_eq(report.lr, 0.0);
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(a_report_says_how_much_was_clipped)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = create(&tiny, NULL);
    sgt_step_report report = {.size = sizeof report};
    tiny_model_write_gradients(&tiny, 1, 1e-3);
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_double_lt(report.grad_norm, 1.0);
    ck_assert_double_eq(report.clip_scale, 1.0);
    tiny_model_write_gradients(&tiny, 2, 10.0);
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_double_gt(report.grad_norm, 1.0);
    ck_assert_double_eq_tol(report.clip_scale, 1.0 / (report.grad_norm + 1e-6), 1e-15);
    sgtt_small_free(&tiny);
}
END_TEST

START_TEST(a_steady_step_allocates_nothing)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = create(&tiny, NULL);
    sgt_context_memory before = {.size = sizeof before};
    sgt_context_memory after = {.size = sizeof after};
    for (int step = 1; step <= 3; step++) {
        tiny_model_backward(&tiny);
        if (step == 2)
            sgtt_ok(sgt_context_get_memory(&before, tiny.context));
        sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
    }
    sgtt_ok(sgt_context_get_memory(&after, tiny.context));
    ck_assert_uint_eq(before.allocations, after.allocations);
    sgtt_small_free(&tiny);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("optimizer step");
    TCase *tcase = tcase_create("step");
    tcase_add_test(tcase, a_step_needs_a_backward);
    tcase_add_test(tcase, incomplete_gradients_are_refused_until_zeroed);
    tcase_add_test(tcase, a_step_changes_weights_and_zeroes_gradients);
    tcase_add_test(tcase, a_nan_gradient_skips_the_step);
    tcase_add_test(tcase, an_infinite_gradient_skips_the_step);
    tcase_add_test(tcase, a_gradient_without_a_square_skips_the_step);
    tcase_add_test(tcase, a_frozen_nan_does_not_matter);
    tcase_add_test(tcase, a_skipped_step_leaves_no_trace_in_later_updates);
    tcase_add_test(tcase, a_failing_norm_changes_nothing);
    tcase_add_test(tcase, a_failing_update_marks_the_gradients_invalid);
    tcase_add_test(tcase, the_rate_callback_decides);
    tcase_add_test(tcase, factors_are_checked);
    tcase_add_test(tcase, scheduled_rates_can_be_asked);
    tcase_add_test(tcase, another_peak_rate_counts_from_the_next_step);
    tcase_add_test(tcase, a_report_says_how_much_was_clipped);
    tcase_add_test(tcase, a_steady_step_allocates_nothing);
    suite_add_tcase(suite, tcase);
    return sgtt_run(suite);
}
