/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pass that computes only some heads gives what computing all of them and multiplying by the
 * gains gives: losses, logits and entropies against the naive model, and gain 0 as the limit of
 * small gains.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model_cases.h"
#include "naive_model.h"

static void check_entropies(const sgt_model *model, const naive_result *naive, const char *name)
{
    const sgt_plan *plan = sgt_model_plan(model);
    int32_t heads = sgt_plan_n_heads(plan);
    double found[16];
    for (int kind = 0; kind < 2; kind++)
        for (int32_t layer = 0; layer < sgt_plan_n_layers(plan); layer++)
            for (int32_t pass = 0; pass < sgt_model_n_passes(model, layer); pass++) {
                const double *expected =
                    &naive->entropy[kind][((int64_t)layer * naive->max_passes + pass) * heads];
                sgtt_ok(sgt_model_get_entropies(found, model, layer, pass,
                                                kind ? SGT_ENTROPY_MEAN : SGT_ENTROPY_LAST));
                for (int32_t h = 0; h < heads; h++)
                    ck_assert_msg(isnan(expected[h]) ? isnan(found[h])
                                                     : fabs(found[h] - expected[h]) <= 1e-5,
                                  "%s: %s entropy of layer %d, pass %d, head %d is %.9g, not %.9g",
                                  name, kind ? "mean" : "last", (int)layer, (int)pass, (int)h,
                                  found[h], expected[h]);
            }
}

static void compare_logits(const float *logits, const naive_result *naive, uint64_t count,
                           const char *name)
{
    double apart = 0.0, norm = 0.0;
    for (uint64_t i = 0; i < count; i++) {
        apart += (logits[i] - naive->logits[i]) * (logits[i] - naive->logits[i]);
        norm += naive->logits[i] * naive->logits[i];
    }
    ck_assert_msg(sqrt(apart) <= 3e-6 * sqrt(norm), "%s: logits differ by %g of %g", name,
                  sqrt(apart), sqrt(norm));
}

static void check_logits(sgt_model *model, const sgt_batch *batch, const naive_result *naive,
                         const char *name)
{
    sgt_tensor_view view = {.size = sizeof view};
    sgtt_ok(sgt_model_forward_logits(&view, model, batch));
    float *logits = calloc(view.count, sizeof *logits);
    sgtt_ok(sgt_model_read_logits(logits, view.count, model));
    compare_logits(logits, naive, view.count, name);
    free(logits);
}

/* Parts choose there, and compute what they chose. */
static void check_evaluation(const sgt_model *model, const sgt_batch *batch, naive_model *naive,
                             const char *name)
{
    const uint64_t count = (uint64_t)batch->batch * (uint64_t)batch->seq *
                           (uint64_t)naive->config.vocab_size;
    float *logits = calloc(count, sizeof *logits);
    sgt_model_evaluate_options options = {.size = sizeof options, .logits = logits};
    sgt_metrics metrics = {.size = sizeof metrics};
    naive_result expected;
    naive->evaluates = 1;
    naive_forward(&expected, naive, batch);
    sgtt_ok(sgt_model_evaluate(&metrics, model, batch, &options));
    ck_assert_msg(fabs(metrics.loss_sum - expected.loss_sum) <= 1e-6 * expected.loss_sum,
                  "%s: evaluated loss %.9g, not %.9g", name, metrics.loss_sum, expected.loss_sum);
    compare_logits(logits, &expected, count, name);
    naive_result_free(&expected);
    free(logits);
}

START_TEST(agrees_with_the_naive_model)
{
    const model_case *c = &model_cases[_i];
    sgt_context *context = sgtt_model_context();
    sgt_batch batch;
    sgt_model *model = model_case_create(&batch, context, c);
    naive_model *naive = naive_create(model);
    naive_result expected;
    naive_forward(&expected, naive, &batch);

    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_model_collect_entropy(model, SGT_ENTROPY_BOTH));
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    ck_assert_int_eq(metrics.count, expected.count);
    ck_assert_int_eq(metrics.finite, 1);
    ck_assert_msg(fabs(metrics.loss_sum - expected.loss_sum) <= 1e-6 * expected.loss_sum,
                  "%s: loss %.9g, not %.9g", c->name, metrics.loss_sum, expected.loss_sum);
    ck_assert_double_eq(metrics.loss, metrics.loss_sum / (double)metrics.count);
    check_entropies(model, &expected, c->name);
    check_logits(model, &batch, &expected, c->name);
    check_evaluation(model, &batch, naive, c->name);

    naive_result_free(&expected);
    naive_free(naive);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* Loss and gradient with a loop of 4 heads that have these gains. */
static float *gradient_with(sgt_metrics *metrics, sgt_model *model, const sgt_batch *batch,
                            const float *gains)
{
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_loop(plan, 1, 2, gains);
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgt_plan_free(plan);
    sgtt_ok(sgt_model_zero_gradients(model));
    *metrics = sgtt_step(model, batch);
    return sgtt_read_all(model, SGT_PART_GRADIENT);
}

/* A head that was left out and one that ran with next to no gain. */
START_TEST(gain_zero_is_the_limit_of_small_gains)
{
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = sgtt_config();
    sgt_model *model = sgtt_model(context, &config, 4);
    sgt_batch batch = sgtt_batch(2, 9, config.vocab_size, 8, 0);
    sgt_metrics sparse, dense;
    uint64_t elements = sgtt_elements(model);
    float *left_out =
        gradient_with(&sparse, model, &batch, (const float[]){0.0f, 0.7f, 1.0f, 0.0f});
    float *tiny =
        gradient_with(&dense, model, &batch, (const float[]){1e-30f, 0.7f, 1.0f, 1e-30f});
    double apart = 0.0, norm = 0.0;
    for (uint64_t i = 0; i < elements; i++) {
        apart += ((double)left_out[i] - tiny[i]) * ((double)left_out[i] - tiny[i]);
        norm += (double)tiny[i] * tiny[i];
    }
    ck_assert_msg(sqrt(apart) <= 2e-6 * sqrt(norm), "gradients differ by %g of %g", sqrt(apart),
                  sqrt(norm));
    ck_assert(fabs(sparse.loss - dense.loss) <= 1e-6 * dense.loss);
    free(left_out);
    free(tiny);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* Entropies are means over the micro-batches of a step and start anew with the next. */
START_TEST(micro_batches_weigh_the_same)
{
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = sgtt_config();
    sgt_model *model = sgtt_model(context, &config, 4);
    sgt_batch batches[2] = {sgtt_batch(1, 9, config.vocab_size, 8, 0),
                            sgtt_batch(3, 5, config.vocab_size, 9, 0)};
    double alone[2][4], both[4], again[4];
    sgtt_ok(sgt_model_collect_entropy(model, SGT_ENTROPY_MEAN));
    for (int i = 0; i < 2; i++) {
        sgtt_step(model, &batches[i]);
        sgtt_ok(sgt_model_get_entropies(alone[i], model, 2, 0, SGT_ENTROPY_MEAN));
        sgtt_ok(sgt_model_zero_gradients(model));
    }
    sgtt_step(model, &batches[0]);
    sgtt_step(model, &batches[1]);
    sgtt_ok(sgt_model_get_entropies(both, model, 2, 0, SGT_ENTROPY_MEAN));
    sgtt_ok(sgt_model_zero_gradients(model));
    sgtt_ok(sgt_model_get_entropies(again, model, 2, 0, SGT_ENTROPY_MEAN));
    for (int h = 0; h < 4; h++) {
        ck_assert(fabs(both[h] - (alone[0][h] + alone[1][h]) / 2.0) < 1e-15);
        ck_assert(alone[0][h] != alone[1][h]);
        ck_assert_double_eq(both[h], again[h]);
    }
    for (int i = 0; i < 2; i++)
        sgtt_batch_free(&batches[i]);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sparse passes equal dense ones");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, agrees_with_the_naive_model, 0, n_model_cases);
    tcase_add_test(cases, gain_zero_is_the_limit_of_small_gains);
    tcase_add_test(cases, micro_batches_weigh_the_same);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
