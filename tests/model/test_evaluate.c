/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Evaluation: the same numbers as a training forward, bit for bit, for any mix of outputs; several
 * at a time; and nothing of the training is disturbed.
 */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "model_cases.h"

typedef struct evaluation {
    sgt_metrics metrics;
    float *token_losses; /* [N] */
    float *logits;       /* [N,V] */
    float *last_logits;  /* [B,V] */
    size_t tokens, vocab, batch;
} evaluation;

static evaluation evaluate(const sgt_model *model, const sgt_batch *batch)
{
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_model_get_config(&config, model));
    evaluation e = {.metrics = {.size = sizeof e.metrics},
                    .tokens = (size_t)batch->batch * (size_t)batch->seq,
                    .vocab = (size_t)config.vocab_size,
                    .batch = (size_t)batch->batch};
    e.token_losses = calloc(e.tokens, sizeof(float));
    e.logits = calloc(e.tokens * e.vocab, sizeof(float));
    e.last_logits = calloc(e.batch * e.vocab, sizeof(float));
    sgt_model_evaluate_options options = {.size = sizeof options,
                                          .token_losses = e.token_losses,
                                          .logits = e.logits,
                                          .last_logits = e.last_logits};
    sgtt_ok(sgt_model_evaluate(&e.metrics, model, batch, &options));
    return e;
}

static void evaluation_free(evaluation *e)
{
    free(e->token_losses);
    free(e->logits);
    free(e->last_logits);
}

static void check_equal(const evaluation *a, const evaluation *b)
{
    ck_assert_mem_eq(&a->metrics, &b->metrics, sizeof a->metrics);
    ck_assert_mem_eq(a->token_losses, b->token_losses, a->tokens * sizeof(float));
    ck_assert_mem_eq(a->logits, b->logits, a->tokens * a->vocab * sizeof(float));
    ck_assert_mem_eq(a->last_logits, b->last_logits, a->batch * a->vocab * sizeof(float));
}

static int has_units(const sgt_model *model)
{
    int found = 0;
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_model_get_config(&config, model));
    for (int32_t i = 0; i < config.n_blocks; i++)
        found |= config.blocks[i].units > 0;
    return found;
}

START_TEST(evaluation_is_the_training_forward)
{
    sgt_context *context = sgtt_model_context();
    sgt_batch batch;
    sgt_model *model = model_case_create(&batch, context, &model_cases[_i]);
    sgt_metrics trained = {.size = sizeof trained}, alone = {.size = sizeof alone};
    sgtt_ok(sgt_model_forward(&trained, model, &batch));
    evaluation e = evaluate(model, &batch);
    if (model_cases[_i].soft)
        ck_assert_double_ne(e.metrics.loss_sum, trained.loss_sum);
    else if (has_units(model)) /* which training computes all, and other kernels those chosen */
        ck_assert_double_eq_tol(e.metrics.loss_sum, trained.loss_sum, 1e-6 * trained.loss_sum);
    else
        ck_assert_mem_eq(&e.metrics, &trained, sizeof trained);
    sgtt_ok(sgt_model_evaluate(&alone, model, &batch, NULL));
    ck_assert_mem_eq(&alone, &e.metrics, sizeof alone);
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    evaluation_free(&e);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* What the outputs say agrees: losses with logits, last logits with logits, logits with those of
 * training. */
START_TEST(outputs_agree)
{
    sgt_context *context = sgtt_model_context();
    sgt_batch batch;
    sgt_model *model = model_case_create(&batch, context, &model_cases[_i]);
    evaluation e = evaluate(model, &batch);
    double sum = 0.0;
    for (size_t n = 0; n < e.tokens; n++) {
        const float *row = &e.logits[n * e.vocab];
        double z = 0.0;
        for (size_t i = 0; i < e.vocab; i++)
            z += exp(row[i]);
        double loss = batch.targets[n] < 0 ? 0.0 : log(z) - row[batch.targets[n]];
        if (!(fabs(loss - e.token_losses[n]) <= 2e-6 * (1.0 + loss)))
            ck_abort_msg("loss of token %zu is %g, not %g", n, e.token_losses[n], loss);
        sum += e.token_losses[n];
    }
    ck_assert_double_eq(sum, e.metrics.loss_sum);
    for (size_t b = 0; b < e.batch; b++)
        for (size_t i = 0; i < e.vocab; i++) {
            float whole = e.logits[((b + 1) * (size_t)batch.seq - 1) * e.vocab + i];
            float last = e.last_logits[b * e.vocab + i];
            if (!(fabsf(whole - last) <= 2e-6f * (1.0f + fabsf(whole))))
                ck_abort_msg("last logit %zu of sequence %zu is %g, not %g", i, b, last, whole);
        }
    sgt_tensor_view view = {.size = sizeof view};
    float *logits = calloc(e.tokens * e.vocab, sizeof(float));
    sgtt_ok(sgt_model_forward_logits(&view, model, &batch));
    sgtt_ok(sgt_model_read_logits(logits, e.tokens * e.vocab, model));
    for (size_t i = 0; i < e.tokens * e.vocab && !model_cases[_i].soft; i++)
        if (!(fabsf(logits[i] - e.logits[i]) <= 2e-6f * (1.0f + fabsf(logits[i]))))
            ck_abort_msg("logit %zu is %g, in training %g", i, e.logits[i], logits[i]);
    free(logits);
    evaluation_free(&e);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* A vocabulary so large that logits come in several chunks. */
START_TEST(logits_come_in_chunks)
{
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = sgtt_config();
    config.vocab_size = 140000;
    config.d_model = 4;
    config.n_layers = 1;
    config.max_seq_len = 75;
    sgt_model *model = sgtt_model(context, &config, 6);
    sgt_batch batch = sgtt_batch(2, 75, config.vocab_size, 7, 0);
    sgt_metrics trained = {.size = sizeof trained};
    sgtt_ok(sgt_model_forward(&trained, model, &batch));
    float *token_losses = calloc(150, sizeof(float));
    float *last = calloc(2 * 140000, sizeof(float));
    sgt_model_evaluate_options options = {
        .size = sizeof options, .token_losses = token_losses, .last_logits = last};
    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_model_evaluate(&metrics, model, &batch, &options));
    ck_assert_mem_eq(&metrics, &trained, sizeof metrics);
    for (int b = 0; b < 2; b++) { /* the last row of each, against its own loss */
        double z = 0.0;
        int row = 75 * b + 74;
        for (int i = 0; i < 140000; i++)
            z += exp(last[b * 140000 + i]);
        double loss = log(z) - last[b * 140000 + batch.targets[row]];
        ck_assert(fabs(loss - token_losses[row]) < 1e-4);
    }
    free(token_losses);
    free(last);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

START_TEST(without_targets_there_are_logits_and_no_loss)
{
    sgt_context *context = sgtt_model_context();
    sgt_batch batch;
    sgt_model *model = model_case_create(&batch, context, &model_cases[9]);
    evaluation with = evaluate(model, &batch);
    sgt_batch blind = batch;
    blind.targets = NULL;
    evaluation without = evaluate(model, &blind);
    ck_assert_int_eq(without.metrics.count, 0);
    ck_assert_double_eq(without.metrics.loss_sum, 0.0);
    for (size_t i = 0; i < with.tokens; i++)
        ck_assert_float_eq(without.token_losses[i], 0.0f);
    ck_assert_mem_eq(with.logits, without.logits, with.tokens * with.vocab * sizeof(float));
    ck_assert_mem_eq(with.last_logits, without.last_logits,
                     with.batch * with.vocab * sizeof(float));
    evaluation_free(&with);
    evaluation_free(&without);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* ---- several at a time ---- */

#define EVALUATORS 4
#define ROUNDS     5

typedef struct evaluator {
    const sgt_model *model;
    sgt_batch batches[2];
    evaluation serial[2];
    int different;
} evaluator;

/* No Check assertion outside the main thread. */
static void *evaluate_often(void *argument)
{
    evaluator *self = argument;
    for (int round = 0; round < 2 * ROUNDS; round++) {
        const evaluation *expected = &self->serial[round % 2];
        float *losses = calloc(expected->tokens, sizeof(float));
        sgt_model_evaluate_options options = {.size = sizeof options, .token_losses = losses};
        sgt_metrics metrics = {.size = sizeof metrics};
        if (sgt_model_evaluate(&metrics, self->model, &self->batches[round % 2], &options) ||
            memcmp(&metrics, &expected->metrics, sizeof metrics) ||
            memcmp(losses, expected->token_losses, expected->tokens * sizeof(float)))
            self->different++;
        free(losses);
    }
    return NULL;
}

START_TEST(evaluations_at_the_same_time_equal_serial_ones)
{
    sgt_context *context = sgtt_model_context();
    sgt_batch unused;
    sgt_model *model = model_case_create(&unused, context, &model_cases[14]);
    evaluator evaluators[EVALUATORS];
    pthread_t threads[EVALUATORS];
    for (int i = 0; i < EVALUATORS; i++) {
        evaluator *e = &evaluators[i];
        *e = (evaluator){.model = model};
        for (int k = 0; k < 2; k++) {
            e->batches[k] = sgtt_batch(1 + i, 3 + 5 * k + i, 19, (uint64_t)(10 + 2 * i + k), 6);
            e->serial[k] = evaluate(model, &e->batches[k]);
        }
    }
    for (int i = 0; i < EVALUATORS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, evaluate_often, &evaluators[i]), 0);
    for (int i = 0; i < EVALUATORS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < EVALUATORS; i++) {
        ck_assert_int_eq(evaluators[i].different, 0);
        for (int k = 0; k < 2; k++) {
            evaluation_free(&evaluators[i].serial[k]);
            sgtt_batch_free(&evaluators[i].batches[k]);
        }
    }
    sgtt_batch_free(&unused);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* Between forward and backward, and before and after a step. */
START_TEST(training_does_not_notice)
{
    sgt_context *context = sgtt_model_context();
    sgt_batch batch, other = sgtt_batch(3, 16, 19, 1, 0);
    sgt_model *model = model_case_create(&batch, context, &model_cases[14]);
    double quiet[4], disturbed[4];
    sgtt_ok(sgt_model_collect_entropy(model, SGT_ENTROPY_BOTH));
    sgt_metrics metrics = sgtt_step(model, &batch);
    float *expected = sgtt_read_all(model, SGT_PART_GRADIENT);
    sgtt_ok(sgt_model_get_entropies(quiet, model, 2, 1, SGT_ENTROPY_LAST));
    sgtt_ok(sgt_model_zero_gradients(model));

    evaluation first = evaluate(model, &other);
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    evaluation second = evaluate(model, &other);
    sgtt_ok(sgt_model_backward(model, 1.0 / (double)metrics.count, NULL));
    evaluation third = evaluate(model, &other);
    float *found = sgtt_read_all(model, SGT_PART_GRADIENT);
    sgtt_ok(sgt_model_get_entropies(disturbed, model, 2, 1, SGT_ENTROPY_LAST));
    ck_assert_mem_eq(found, expected, sgtt_elements(model) * sizeof *found);
    ck_assert_mem_eq(disturbed, quiet, sizeof quiet);
    check_equal(&second, &first);
    check_equal(&third, &first);
    evaluation_free(&first);
    evaluation_free(&second);
    evaluation_free(&third);
    free(expected);
    free(found);
    sgtt_batch_free(&batch);
    sgtt_batch_free(&other);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evaluation");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, evaluation_is_the_training_forward, 0, n_model_cases);
    tcase_add_loop_test(cases, outputs_agree, 0, n_model_cases);
    tcase_add_test(cases, logits_come_in_chunks);
    tcase_add_test(cases, without_targets_there_are_logits_and_no_loss);
    tcase_add_test(cases, evaluations_at_the_same_time_equal_serial_ones);
    tcase_add_test(cases, training_does_not_notice);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
