/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scale of a step: gradients that are multiplied by it at the step are gradients that were
 * multiplied by it before, in the norm, in clipping and in what is skipped.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>

#include "testing.h"
#include "tiny_model.h"

typedef struct result {
    sgt_step_report last;
    float *numbers; /* weights and moments */
    size_t count;
} result;

static sgt_optimizer *create(small_training *tiny, double clip)
{
    sgt_optimizer_options options;
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.clip = clip;
    sgtt_ok(sgt_optimizer_create(&tiny->optimizer, tiny->model, &options));
    return tiny->optimizer;
}

static sgt_optimizer_step_options scaled_by(double scale)
{
    return (sgt_optimizer_step_options){.size = sizeof(sgt_optimizer_step_options), .scale = scale};
}

/* Three steps on gradients times `written`, taken with the scale `scale`. */
static result train(double written, double scale, double clip)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = create(&tiny, clip);
    sgt_optimizer_step_options options = scaled_by(scale);
    result r = {.last.size = sizeof r.last};
    for (int step = 1; step <= 3; step++) {
        tiny_model_write_gradients(&tiny, step, written);
        sgtt_ok(sgt_optimizer_step(&r.last, optimizer, &options));
    }
    r.numbers = tiny_model_snapshot(&tiny, optimizer, &r.count);
    sgtt_small_free(&tiny);
    return r;
}

static void bits_are_equal(const result *a, const result *b)
{
    ck_assert_mem_eq(a->numbers, b->numbers, a->count * sizeof *a->numbers);
    ck_assert_mem_eq(&a->last, &b->last, sizeof a->last);
}

/* A power of two rounds nothing, so all bits must be equal, clipped or not. */
START_TEST(a_power_of_two_gives_the_bits_of_scaled_gradients)
{
    const double scales[] = {0.03125, 0.5, 64.0};
    const double clips[] = {0.0, 1e-3, 1e6};
    for (size_t s = 0; s < sizeof scales / sizeof scales[0]; s++)
        for (size_t c = 0; c < sizeof clips / sizeof clips[0]; c++) {
            result at_the_step = train(1.0, scales[s], clips[c]);
            result before = train(scales[s], 1.0, clips[c]);
            bits_are_equal(&at_the_step, &before);
            ck_assert_int_eq(before.last.clip_scale < 1.0, clips[c] == 1e-3);
            free(at_the_step.numbers);
            free(before.numbers);
        }
}
END_TEST

/* Of a mean over 3: only the rounding of float32 lies between. */
START_TEST(another_scale_gives_scaled_gradients_within_rounding)
{
    result at_the_step = train(1.0, 1.0 / 3.0, 0.5);
    result before = train(1.0 / 3.0, 1.0, 0.5);
    ck_assert_double_eq_tol(at_the_step.last.grad_norm, before.last.grad_norm,
                            1e-6 * before.last.grad_norm);
    for (size_t i = 0; i < before.count; i++)
        ck_assert_float_eq_tol(at_the_step.numbers[i], before.numbers[i], 2e-6f);
    free(at_the_step.numbers);
    free(before.numbers);
}
END_TEST

START_TEST(without_options_the_scale_is_1)
{
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = create(&tiny, 0.5);
    sgt_optimizer_step_options defaults;
    sgtt_ok(sgt_optimizer_step_options_init(&defaults, sizeof defaults));
    ck_assert_double_eq(defaults.scale, 1.0);
    result without = {.last.size = sizeof without.last};
    for (int step = 1; step <= 3; step++) {
        tiny_model_write_gradients(&tiny, step, 1.0);
        sgtt_ok(sgt_optimizer_step(&without.last, optimizer, NULL));
    }
    without.numbers = tiny_model_snapshot(&tiny, optimizer, &without.count);
    result with = train(1.0, defaults.scale, 0.5);
    bits_are_equal(&without, &with);
    free(without.numbers);
    free(with.numbers);
    sgtt_small_free(&tiny);
}
END_TEST

/* The norm in the report is that of the scaled gradients, and so is what clipping compares. */
START_TEST(clipping_sees_the_scaled_norm)
{
    result plain = train(1.0, 1.0, 0.0);
    for (int clipped = 0; clipped < 2; clipped++) {
        double clip = plain.last.grad_norm * (clipped ? 0.2 : 0.3); /* of a norm times 0.25 */
        result r = train(1.0, 0.25, clip);
        ck_assert_double_eq(r.last.grad_norm, 0.25 * plain.last.grad_norm);
        double expected = clipped ? clip / (r.last.grad_norm + 1e-6) : 1.0;
        ck_assert_double_eq_tol(r.last.clip_scale, expected, 1e-15);
        free(r.numbers);
    }
    free(plain.numbers);
}
END_TEST

/* Norms at both sides of the largest whose square float32 can hold. */
START_TEST(a_step_is_skipped_by_the_scaled_norm)
{
    result small = train(1.0, 1e10, 0.0), large = train(1.0, 1e25, 0.0);
    ck_assert_int_eq(small.last.skipped, 0);
    ck_assert_int_eq(large.last.skipped, 1);
    free(small.numbers);
    free(large.numbers);
}
END_TEST

START_TEST(a_scale_that_cannot_be_is_refused_and_changes_nothing)
{
    const double refused[] = {0.0, -0.0, -1.0, NAN, INFINITY, 1e39, 1e-60};
    small_training tiny = tiny_model_make();
    sgt_optimizer *optimizer = create(&tiny, 1.0);
    size_t count;
    tiny_model_write_gradients(&tiny, 1, 1.0);
    float *before = tiny_model_snapshot(&tiny, optimizer, &count);
    int32_t gradient = tiny_model_find(&tiny, "model.layers.0.mlp.down_proj.weight");
    float *gradients = tiny_model_read(&tiny, gradient, SGT_PART_GRADIENT);
    sgt_step_report report;
    memset(&report, 0x55, sizeof report);
    report.size = sizeof report;
    sgt_step_report untouched = report;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        sgt_optimizer_step_options options = scaled_by(refused[i]);
        sgtt_fails(sgt_optimizer_step(&report, optimizer, &options), SGT_E_OUT_OF_RANGE, "scale");
        float *after = tiny_model_snapshot(&tiny, optimizer, &count);
        float *kept = tiny_model_read(&tiny, gradient, SGT_PART_GRADIENT);
        ck_assert_mem_eq(before, after, count * sizeof *before);
        ck_assert_mem_eq(gradients, kept, tiny_model_count(&tiny, gradient) * sizeof *kept);
        ck_assert_mem_eq(&report, &untouched, sizeof report);
        ck_assert_int_eq(sgt_optimizer_steps(optimizer), 0);
        free(after);
        free(kept);
    }
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL)); /* the step is still to be taken */
    free(before);
    free(gradients);
    sgtt_small_free(&tiny);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scale of a step");
    TCase *tests = tcase_create("scale");
    tcase_add_test(tests, a_power_of_two_gives_the_bits_of_scaled_gradients);
    tcase_add_test(tests, another_scale_gives_scaled_gradients_within_rounding);
    tcase_add_test(tests, without_options_the_scale_is_1);
    tcase_add_test(tests, clipping_sees_the_scaled_norm);
    tcase_add_test(tests, a_step_is_skipped_by_the_scaled_norm);
    tcase_add_test(tests, a_scale_that_cannot_be_is_refused_and_changes_nothing);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
