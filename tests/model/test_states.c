/* SPDX-License-Identifier: BSD-3-Clause */
/* What may follow what: a call that comes too early, too late or twice is refused and changes
 * nothing; a call that was allowed gives what it gives in a quiet life. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/optimizer.h>

#include "fixtures.h"

#define UNTOUCHED -12345.0

static sgt_context *context;
static sgt_model *model;
static sgt_batch batch;
static sgt_metrics metrics;
static float *quiet; /* gradient of `batch` at scale 1, bit for bit */

/* What the progress callback saw, and when it stops. */
static struct watch {
    int32_t phase, stop_at, code, calls;
    sgt_progress last;
} watch;

static int32_t progress(void *user, const sgt_progress *now)
{
    struct watch *w = user;
    if (now->phase != w->phase)
        return 0;
    ck_assert_int_eq(now->done, w->calls);
    w->calls++;
    w->last = *now;
    return w->code && now->done == w->stop_at ? w->code : 0;
}

static void loop_layer_one(void)
{
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_loop(plan, 1, 1, (const float[]){0.0f, 1.0f, 0.5f, 0.0f});
    sgtt_ok(sgt_plan_set_extra_runs(plan, 2, 2));
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgt_plan_free(plan);
}

static void setup(void)
{
    sgt_context_options options = sgtt_model_options();
    sgt_model_config config = sgtt_config();
    watch = (struct watch){0};
    options.progress = progress;
    options.progress_user = &watch;
    sgtt_ok(sgt_context_create(&context, &options));
    model = sgtt_model(context, &config, 1);
    loop_layer_one();
    batch = sgtt_batch(2, 5, config.vocab_size, 2, 0);
    metrics = (sgt_metrics){.size = sizeof metrics};
    sgt_model *other = sgtt_model(context, &config, 1);
    sgtt_ok(sgt_model_set_plan(other, sgt_model_plan(model)));
    sgtt_ok(sgt_model_forward(&metrics, other, &batch));
    sgtt_ok(sgt_model_backward(other, 1.0, NULL));
    quiet = sgtt_read_all(other, SGT_PART_GRADIENT);
    sgt_model_free(other);
}

static void teardown(void)
{
    free(quiet);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}

static void forward(void)
{
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
}

/* The gradient is `times` (0 or 1) the quiet one. */
static void check_gradient(int times)
{
    float *now = sgtt_read_all(model, SGT_PART_GRADIENT);
    uint64_t elements = sgtt_elements(model);
    if (times == 0)
        memset(quiet, 0, elements * sizeof *quiet);
    ck_assert_mem_eq(now, quiet, elements * sizeof *quiet);
    free(now);
}

#define REFUSED(call) sgtt_fails(call, SGT_E_STATE, "")

START_TEST(backward_needs_a_forward)
{
    REFUSED(sgt_model_backward(model, 1.0, NULL));
    forward();
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    REFUSED(sgt_model_backward(model, 1.0, NULL));
    check_gradient(1);
}
END_TEST

START_TEST(each_loss_has_its_own_backward)
{
    sgt_tensor_view view = {.size = sizeof view};
    float *logits = calloc(2 * 5 * 19, sizeof *logits);
    REFUSED(sgt_model_read_logits(logits, 2 * 5 * 19, model));
    REFUSED(sgt_model_backward_logits(model, logits, NULL));
    forward();
    REFUSED(sgt_model_read_logits(logits, 2 * 5 * 19, model));
    REFUSED(sgt_model_backward_logits(model, logits, NULL));
    sgtt_ok(sgt_model_backward(model, 1.0, NULL)); /* was not used up by what was refused */
    check_gradient(1);
    sgtt_ok(sgt_model_forward_logits(&view, model, &batch));
    REFUSED(sgt_model_backward(model, 1.0, NULL));
    sgtt_ok(sgt_model_read_logits(logits, 2 * 5 * 19, model));
    sgtt_ok(sgt_model_backward_logits(model, logits, NULL));
    REFUSED(sgt_model_backward_logits(model, logits, NULL));
    REFUSED(sgt_model_read_logits(logits, 2 * 5 * 19, model));
    free(logits);
}
END_TEST

static void change_plan(void)
{
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_ok(sgt_plan_set_gain(plan, 1, 1, 0, 0.25f));
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgt_plan_free(plan);
}

static void write_weight(void)
{
    float one[20];
    for (int i = 0; i < 20; i++)
        one[i] = 1.0f;
    int32_t norm;
    sgtt_ok(sgt_model_find_parameter(&norm, model, "model.norm.weight"));
    sgtt_ok(sgt_model_write_parameter(model, norm, SGT_PART_WEIGHT, one, 20));
}

static void say_weights_changed(void)
{
    sgtt_ok(sgt_model_weights_changed(model));
}

static void init_weights(void)
{
    sgtt_ok(sgt_model_init_weights(model, NULL));
}

static void optimizer_step(void)
{
    sgt_optimizer *optimizer;
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    forward();
    sgtt_ok(sgt_optimizer_create(&optimizer, model, NULL));
    sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
    sgt_optimizer_free(optimizer);
}

static void (*const changes[])(void) = {change_plan, write_weight, say_weights_changed,
                                        init_weights, optimizer_step};

START_TEST(a_change_forbids_the_backward)
{
    uint64_t generation = sgt_model_generation(model);
    forward();
    ck_assert_uint_eq(sgt_model_generation(model), generation);
    changes[_i]();
    if (_i > 0)
        ck_assert_uint_gt(sgt_model_generation(model), generation);
    REFUSED(sgt_model_backward(model, 1.0, NULL));
    check_gradient(0);
    forward();
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
}
END_TEST

START_TEST(what_changes_nothing_forbids_nothing)
{
    sgt_metrics evaluated = {.size = sizeof evaluated};
    sgt_batch wrong = batch;
    forward();
    sgtt_ok(sgt_model_evaluate(&evaluated, model, &batch, NULL));
    sgtt_ok(sgt_model_set_plan(model, sgt_model_plan(model)));
    sgtt_ok(sgt_model_zero_gradients(model));
    sgtt_ok(sgt_model_collect_entropy(model, SGT_ENTROPY_BOTH));
    wrong.seq = 17;
    sgtt_fails(sgt_model_forward(&metrics, model, &wrong), SGT_E_OUT_OF_RANGE, "17");
    sgtt_fails(sgt_model_set_plan(model, NULL), SGT_E_INVALID_ARGUMENT, "plan");
    sgtt_fails(sgt_model_backward(model, NAN, NULL), SGT_E_OUT_OF_RANGE, "scale");
    sgtt_fails(sgt_model_backward(model, -1.1e38, NULL), SGT_E_OUT_OF_RANGE, "scale");
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    check_gradient(1);
    ck_assert_double_eq(evaluated.loss_sum, metrics.loss_sum);
}
END_TEST

START_TEST(a_stopped_forward_leaves_no_trace)
{
    const int32_t runs = 5;
    watch = (struct watch){.phase = SGT_PHASE_FORWARD, .stop_at = _i, .code = 7};
    metrics.loss_sum = UNTOUCHED;
    ck_assert_int_eq(sgt_model_forward(&metrics, model, &batch), 7);
    ck_assert_int_eq(watch.calls, _i + 1);
    ck_assert_int_eq(watch.last.total, runs);
    ck_assert_double_eq(metrics.loss_sum, UNTOUCHED);
    REFUSED(sgt_model_backward(model, 1.0, NULL));
    watch = (struct watch){.phase = SGT_PHASE_FORWARD};
    forward();
    ck_assert_int_eq(watch.calls, runs);
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    check_gradient(1);
}
END_TEST

/* What was collected in the step before can still be looked at. */
START_TEST(a_stopped_forward_keeps_the_entropies)
{
    sgt_optimizer *optimizer;
    double before[4], after[4];
    sgtt_ok(sgt_optimizer_create(&optimizer, model, NULL));
    sgtt_ok(sgt_model_collect_entropy(model, SGT_ENTROPY_MEAN));
    forward();
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
    sgtt_ok(sgt_model_get_entropies(before, model, 1, 0, SGT_ENTROPY_MEAN));
    watch = (struct watch){.phase = SGT_PHASE_FORWARD, .stop_at = _i, .code = 7};
    ck_assert_int_eq(sgt_model_forward(&metrics, model, &batch), 7);
    sgtt_ok(sgt_model_get_entropies(after, model, 1, 0, SGT_ENTROPY_MEAN));
    ck_assert_mem_eq(before, after, sizeof before);
    watch = (struct watch){.phase = SGT_PHASE_FORWARD};
    forward();
    sgtt_ok(sgt_model_get_entropies(after, model, 1, 0, SGT_ENTROPY_MEAN));
    ck_assert_mem_ne(before, after, sizeof before);
    sgt_optimizer_free(optimizer);
}
END_TEST

START_TEST(a_stopped_backward_invalidates_the_gradients)
{
    sgt_optimizer *optimizer;
    sgtt_ok(sgt_optimizer_create(&optimizer, model, NULL));
    forward();
    watch = (struct watch){.phase = SGT_PHASE_BACKWARD, .stop_at = _i, .code = INT32_MAX};
    ck_assert_int_eq(sgt_model_backward(model, 1.0, NULL), INT32_MAX);
    ck_assert_int_eq(watch.calls, _i + 1);
    REFUSED(sgt_model_backward(model, 1.0, NULL));
    sgtt_fails(sgt_optimizer_step(NULL, optimizer, NULL), SGT_E_GRADIENTS_INVALID,
               "zero_gradients");
    watch = (struct watch){0};
    forward();
    sgtt_ok(sgt_model_backward(model, 1.0, NULL)); /* a whole one does not mend them */
    sgtt_fails(sgt_optimizer_step(NULL, optimizer, NULL), SGT_E_GRADIENTS_INVALID,
               "zero_gradients");
    sgtt_ok(sgt_model_zero_gradients(model));
    REFUSED(sgt_optimizer_step(NULL, optimizer, NULL));
    forward();
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    check_gradient(1);
    sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
    sgt_optimizer_free(optimizer);
}
END_TEST

START_TEST(a_stopped_evaluation_leaves_no_trace)
{
    sgt_metrics evaluated = {.size = sizeof evaluated, .loss_sum = UNTOUCHED};
    float losses[10];
    sgt_model_evaluate_options options = {.size = sizeof options, .token_losses = losses};
    losses[0] = (float)UNTOUCHED;
    forward();
    watch = (struct watch){.phase = SGT_PHASE_EVALUATE, .stop_at = 2, .code = -77};
    ck_assert_int_eq(sgt_model_evaluate(&evaluated, model, &batch, &options), -77);
    ck_assert_double_eq(evaluated.loss_sum, UNTOUCHED);
    ck_assert_float_eq(losses[0], (float)UNTOUCHED);
    watch = (struct watch){0};
    sgtt_ok(sgt_model_evaluate(&evaluated, model, &batch, &options));
    ck_assert_double_eq(evaluated.loss_sum, metrics.loss_sum);
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    check_gradient(1);
}
END_TEST

START_TEST(zero_means_zero)
{
    sgt_tensor_view view = {.size = sizeof view};
    float *values = calloc(19 * 20, sizeof *values);
    sgtt_ok(sgt_model_zero_gradients(model)); /* there are none yet */
    sgtt_fails(sgt_model_parameter(&view, model, 0, SGT_PART_GRADIENT), SGT_E_STATE, "gradients");
    forward();
    sgtt_ok(sgt_model_zero_gradients(model));
    sgtt_ok(sgt_model_parameter(&view, model, 0, SGT_PART_GRADIENT));
    ck_assert_uint_eq(view.count, 19 * 20);
    values[3] = 8.0f;
    if (view.data) /* a host may write where it may look */
        memcpy(view.data, values, 19 * 20 * sizeof *values);
    else
        sgtt_ok(sgt_model_write_parameter(model, 0, SGT_PART_GRADIENT, values, 19 * 20));
    sgtt_ok(sgt_model_zero_gradients(model));
    check_gradient(0);
    free(values);
}
END_TEST

START_TEST(written_gradients_are_gradients)
{
    sgt_optimizer *optimizer;
    sgt_step_report report = {.size = sizeof report};
    float *values = calloc(19 * 20, sizeof *values);
    sgtt_ok(sgt_optimizer_create(&optimizer, model, NULL));
    REFUSED(sgt_optimizer_step(&report, optimizer, NULL));
    forward();
    values[5] = 3.0f;
    values[6] = 4.0f;
    sgtt_ok(sgt_model_write_parameter(model, 0, SGT_PART_GRADIENT, values, 19 * 20));
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_double_eq_tol(report.grad_norm, 5.0, 1e-12);
    check_gradient(0);
    sgt_optimizer_free(optimizer);
    free(values);
}
END_TEST

/* `bad` in one weight of a layer in the middle. */
static void spoil(float bad)
{
    int32_t index;
    float values[27 * 20];
    sgtt_ok(sgt_model_find_parameter(&index, model, "model.layers.1.mlp.up_proj.weight"));
    sgtt_ok(sgt_model_read_parameter(values, 27 * 20, model, index, SGT_PART_WEIGHT));
    values[33] = bad;
    sgtt_ok(sgt_model_write_parameter(model, index, SGT_PART_WEIGHT, values, 27 * 20));
}

START_TEST(a_loss_that_is_not_finite_is_skipped)
{
    sgt_optimizer *optimizer;
    sgt_step_report report = {.size = sizeof report};
    sgtt_ok(sgt_optimizer_create(&optimizer, model, NULL));
    sgtt_step(model, &batch);
    sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
    spoil(_i ? INFINITY : NAN);
    float *weights = sgtt_read_all(model, SGT_PART_WEIGHT), *after;
    forward();
    ck_assert_int_eq(metrics.finite, 0);
    ck_assert_int_eq(metrics.count, 10);
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_int_eq(report.skipped, 1);
    ck_assert_int_eq(report.step, 2);
    after = sgtt_read_all(model, SGT_PART_WEIGHT);
    ck_assert_mem_eq(after, weights, sgtt_elements(model) * sizeof *after);
    check_gradient(0);
    spoil(0.5f);
    forward();
    ck_assert_int_eq(metrics.finite, 1);
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    sgtt_ok(sgt_optimizer_step(&report, optimizer, NULL));
    ck_assert_int_eq(report.skipped, 0);
    ck_assert(isfinite(report.grad_norm));
    free(weights);
    free(after);
    sgt_optimizer_free(optimizer);
}
END_TEST

START_TEST(without_targets_all_is_zero)
{
    int32_t none[10];
    sgt_batch blind = batch;
    for (int i = 0; i < 10; i++)
        none[i] = -1;
    blind.targets = _i ? none : NULL;
    spoil(_i ? NAN : 0.5f);
    forward(); /* leaves a loss and a gradient behind */
    metrics.loss = metrics.loss_sum = 5.0;
    sgtt_ok(sgt_model_forward(&metrics, model, &blind));
    ck_assert_int_eq(metrics.count, 0);
    ck_assert_int_eq(metrics.finite, 1);
    ck_assert_double_eq(metrics.loss, 0.0);
    ck_assert_double_eq(metrics.loss_sum, 0.0);
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    check_gradient(0);
    REFUSED(sgt_model_backward(model, 1.0, NULL));
}
END_TEST

START_TEST(entropies_are_there_once_collected)
{
    double entropies[4] = {UNTOUCHED};
    sgt_optimizer *optimizer;
    REFUSED(sgt_model_get_entropies(entropies, model, 1, 0, SGT_ENTROPY_LAST));
    forward();
    REFUSED(sgt_model_get_entropies(entropies, model, 1, 0, SGT_ENTROPY_LAST));
    sgtt_ok(sgt_model_collect_entropy(model, SGT_ENTROPY_MEAN));
    forward();
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    REFUSED(sgt_model_get_entropies(entropies, model, 1, 0, SGT_ENTROPY_LAST));
    ck_assert_double_eq(entropies[0], UNTOUCHED);
    sgtt_ok(sgt_optimizer_create(&optimizer, model, NULL));
    sgtt_ok(sgt_optimizer_step(NULL, optimizer, NULL));
    sgtt_ok(sgt_model_get_entropies(entropies, model, 1, 0, SGT_ENTROPY_MEAN));
    ck_assert(entropies[0] > 0.0 && entropies[0] < 1.0);
    sgtt_ok(sgt_model_get_entropies(entropies, model, 1, 1, SGT_ENTROPY_MEAN));
    ck_assert(isnan(entropies[0]) && !isnan(entropies[1]));
    change_plan();
    REFUSED(sgt_model_get_entropies(entropies, model, 1, 0, SGT_ENTROPY_MEAN));
    sgt_optimizer_free(optimizer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("states of a model");
    TCase *cases = tcase_create("all");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, backward_needs_a_forward);
    tcase_add_test(cases, each_loss_has_its_own_backward);
    tcase_add_loop_test(cases, a_change_forbids_the_backward, 0, 5);
    tcase_add_test(cases, what_changes_nothing_forbids_nothing);
    tcase_add_loop_test(cases, a_stopped_forward_leaves_no_trace, 0, 5);
    tcase_add_loop_test(cases, a_stopped_forward_keeps_the_entropies, 0, 5);
    tcase_add_loop_test(cases, a_stopped_backward_invalidates_the_gradients, 0, 5);
    tcase_add_test(cases, a_stopped_evaluation_leaves_no_trace);
    tcase_add_test(cases, zero_means_zero);
    tcase_add_test(cases, written_gradients_are_gradients);
    tcase_add_loop_test(cases, a_loss_that_is_not_finite_is_skipped, 0, 2);
    tcase_add_loop_test(cases, without_targets_all_is_zero, 0, 2);
    tcase_add_test(cases, entropies_are_there_once_collected);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
