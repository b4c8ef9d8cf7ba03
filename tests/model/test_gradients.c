/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The gradients of whole models against central differences of the naive model in double, along
 * random directions of every parameter tensor and along the gradient itself; and the ways to the
 * same gradient against each other.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "model_cases.h"
#include "naive_model.h"

#define RANDOM_DIRECTIONS 2
#define STEP              1e-5
#define BOUND             1e-5 /* of the norm of the tensor's gradient */
#define FLOOR             1e-6 /* of the norm of the whole gradient */
#define COUNT(list)       (int)(sizeof(list) / sizeof((list)[0]))

static double dot(const double *a, const double *b, uint64_t count)
{
    double sum = 0.0;
    for (uint64_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* The difference of the naive loss along a unit direction, per unit. */
static double slope(naive_model *naive, int32_t tensor, const double *direction,
                    const sgt_batch *batch)
{
    double *weights = naive->weights[tensor], loss[2];
    for (int side = 0; side < 2; side++) {
        double by = side ? STEP : -STEP;
        for (uint64_t i = 0; i < naive->sizes[tensor]; i++)
            weights[i] += by * direction[i];
        loss[side] = naive_loss(naive, batch);
        for (uint64_t i = 0; i < naive->sizes[tensor]; i++)
            weights[i] -= by * direction[i];
    }
    return (loss[1] - loss[0]) / (2.0 * STEP);
}

static void check_tensor(naive_model *naive, int32_t tensor, const float *values, double whole,
                         const sgt_batch *batch, const char *name)
{
    uint64_t count = naive->sizes[tensor];
    double *gradient = calloc(count, sizeof(double)), *u = calloc(count, sizeof(double));
    for (uint64_t i = 0; i < count; i++)
        gradient[i] = values[i];
    double norm = sqrt(dot(gradient, gradient, count));
    for (int k = 0; k <= RANDOM_DIRECTIONS; k++) {
        for (uint64_t i = 0; i < count; i++)
            u[i] = k == RANDOM_DIRECTIONS
                       ? gradient[i]
                       : sgti_random_truncated_normal(3, (uint64_t)(100 * tensor + k), i, 4.0);
        double length = sqrt(dot(u, u, count));
        for (uint64_t i = 0; i < count && length > 0.0; i++)
            u[i] /= length;
        double expected = slope(naive, tensor, u, batch), found = dot(gradient, u, count);
        ck_assert_msg(fabs(found - expected) <= BOUND * norm + FLOOR * whole,
                      "%s, tensor %d, direction %d: slope %.9g, gradient %.9g of norm %.9g", name,
                      (int)tensor, k, expected, found, norm);
    }
    free(gradient);
    free(u);
}

START_TEST(gradient_is_the_slope_of_the_loss)
{
    const model_case *c = &model_cases[_i];
    sgt_context *context = sgtt_model_context();
    sgt_batch batch;
    sgt_model *model = model_case_create(&batch, context, c);
    naive_model *naive = naive_create(model);
    naive_hold(naive, &batch);
    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    float *gradients = sgtt_read_all(model, SGT_PART_GRADIENT), *at = gradients;
    double whole = 0.0;
    uint64_t elements = sgtt_elements(model);
    for (uint64_t i = 0; i < elements; i++)
        whole += (double)gradients[i] * gradients[i];
    ck_assert_msg(whole > 1e-6, "%s: no gradient at all", c->name);
    for (int32_t i = 0; i < naive->count; i++) {
        check_tensor(naive, i, at, sqrt(whole), &batch, c->name);
        at += naive->sizes[i];
    }
    free(gradients);
    naive_free(naive);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* ||a - b|| <= bound ||b|| for every tensor. */
static void check_same(const sgt_model *model, const float *a, const float *b, double bound,
                       const char *what)
{
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, model, i, SGT_PART_WEIGHT));
        double apart = 0.0, norm = 0.0;
        for (uint64_t j = 0; j < view.count; j++, a++, b++) {
            apart += ((double)*a - *b) * ((double)*a - *b);
            norm += (double)*b * *b;
        }
        ck_assert_msg(sqrt(apart) <= bound * sqrt(norm), "%s: %s differs by %g of %g", what,
                      view.name, sqrt(apart), sqrt(norm));
        ck_assert_msg(norm > 0.0, "%s: %s has no gradient", what, view.name);
    }
}

static const model_case *case_named(const char *name)
{
    for (int i = 0; i < n_model_cases; i++)
        if (strcmp(model_cases[i].name, name) == 0)
            return &model_cases[i];
    ck_abort_msg("no case %s", name);
    return NULL;
}

static const char *const added_up[] = {"both loops", "streams with patterns", "wide streams",
                                       "hard relu", "units, patterns, streams, modules"};

START_TEST(micro_batches_add_up_to_the_big_batch)
{
    sgt_context *context = sgtt_model_context();
    sgt_batch batch;
    model_case c = *case_named(added_up[_i]);
    c.batch = 4;
    sgt_model *model = model_case_create(&batch, context, &c);
    sgt_metrics whole = {.size = sizeof whole}, part = {.size = sizeof part};
    sgtt_ok(sgt_model_forward(&whole, model, &batch));
    sgtt_ok(sgt_model_backward(model, 0.25, NULL));
    float *expected = sgtt_read_all(model, SGT_PART_GRADIENT);
    sgtt_ok(sgt_model_zero_gradients(model));
    double sum = 0.0;
    int64_t count = 0;
    for (int32_t b = 0; b < 4; b += b ? 1 : 2) { /* micro-batches of 2, 1 and 1 sequences */
        sgt_batch micro = batch;
        micro.batch = b == 0 ? 2 : 1;
        micro.tokens += b * batch.seq;
        micro.targets += b * batch.seq;
        sgtt_ok(sgt_model_forward(&part, model, &micro));
        sgtt_ok(sgt_model_backward(model, 0.25, NULL));
        sum += part.loss_sum;
        count += part.count;
    }
    float *found = sgtt_read_all(model, SGT_PART_GRADIENT);
    check_same(model, found, expected, 3e-6, "micro-batches");
    ck_assert_int_eq(count, whole.count);
    ck_assert(fabs(sum - whole.loss_sum) <= 1e-6 * whole.loss_sum);
    free(expected);
    free(found);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* The head takes a large vocabulary in chunks of 64 rows; _i: modules of the head. */
START_TEST(chunks_of_the_head_add_up)
{
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = sgtt_config();
    config.vocab_size = 140000;
    config.head_modules = _i;
    config.d_model = 4;
    config.n_layers = 1;
    config.max_seq_len = 64;
    sgt_model *model = sgtt_model(context, &config, 6);
    sgt_batch batch = sgtt_batch(3, 64, config.vocab_size, 7, 4);
    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    float *found = sgtt_read_all(model, SGT_PART_GRADIENT);
    sgtt_ok(sgt_model_zero_gradients(model));
    for (int32_t b = 0; b < 3; b++) {
        sgt_batch one = batch;
        one.batch = 1;
        one.tokens += b * batch.seq;
        one.targets += b * batch.seq;
        sgtt_ok(sgt_model_forward(&metrics, model, &one));
        sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    }
    float *expected = sgtt_read_all(model, SGT_PART_GRADIENT);
    check_same(model, found, expected, 3e-6, "chunks");
    free(found);
    free(expected);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* dlogits of `scale` times the sum of losses, in place. */
static void softmax_gradient(float *logits, const sgt_batch *batch, int32_t vocab, double scale)
{
    for (int64_t n = 0; n < (int64_t)batch->batch * batch->seq; n++, logits += vocab) {
        double sum = 0.0;
        for (int32_t i = 0; i < vocab; i++)
            sum += exp(logits[i]);
        for (int32_t i = 0; i < vocab; i++) {
            double p = exp(logits[i]) / sum - (i == batch->targets[n]);
            logits[i] = batch->targets[n] < 0 ? 0.0f : (float)(scale * p);
        }
    }
}

static const char *const of_the_host[] = {"both loops", "head modules", "hard relu",
                                          "units, patterns, streams, modules"};

START_TEST(a_loss_of_the_hosts_own_gives_the_same_gradient)
{
    sgt_context *context = sgtt_model_context();
    sgt_batch batch;
    sgt_model *model = model_case_create(&batch, context, case_named(of_the_host[_i]));
    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    sgtt_ok(sgt_model_backward(model, 0.5, NULL));
    float *expected = sgtt_read_all(model, SGT_PART_GRADIENT);
    sgtt_ok(sgt_model_zero_gradients(model));

    for (int half = 0; half < 2; half++) { /* they add up */
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_forward_logits(&view, model, &batch));
        ck_assert_int_eq(view.rank, 3);
        ck_assert_int_eq(view.shape[0] * view.shape[1] * view.shape[2], (int64_t)view.count);
        float *copy = calloc(view.count, sizeof *copy), *dlogits = view.data ? view.data : copy;
        sgtt_ok(sgt_model_read_logits(copy, view.count, model));
        if (view.data)
            ck_assert_mem_eq(copy, view.data, view.count * sizeof *copy);
        softmax_gradient(dlogits, &batch, (int32_t)view.shape[2], 0.25); /* over the logits */
        sgtt_ok(sgt_model_backward_logits(model, dlogits, NULL));
        free(copy);
    }
    float *found = sgtt_read_all(model, SGT_PART_GRADIENT);
    check_same(model, found, expected, 1e-5, "backward_logits");
    free(expected);
    free(found);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

static const char *const scaled[] = {"some heads", "units, patterns, streams, modules"};

START_TEST(scale_multiplies_the_gradient)
{
    sgt_context *context = sgtt_model_context();
    sgt_batch batch;
    sgt_model *model = model_case_create(&batch, context, case_named(scaled[_i]));
    sgt_metrics metrics = {.size = sizeof metrics};
    float *gradients[2];
    uint64_t elements = sgtt_elements(model);
    for (int i = 0; i < 2; i++) {
        sgtt_ok(sgt_model_zero_gradients(model));
        sgtt_ok(sgt_model_forward(&metrics, model, &batch));
        sgtt_ok(sgt_model_backward(model, i ? -3.0 : 1.0, NULL));
        gradients[i] = sgtt_read_all(model, SGT_PART_GRADIENT);
    }
    for (uint64_t i = 0; i < elements; i++)
        gradients[0][i] *= -3.0f;
    check_same(model, gradients[1], gradients[0], 5e-6, "scale");
    free(gradients[0]);
    free(gradients[1]);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gradients of models");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 120);
    tcase_add_loop_test(cases, gradient_is_the_slope_of_the_loss, 0, n_model_cases);
    tcase_add_loop_test(cases, micro_batches_add_up_to_the_big_batch, 0, COUNT(added_up));
    tcase_add_loop_test(cases, chunks_of_the_head_add_up, 0, 3);
    tcase_add_loop_test(cases, a_loss_of_the_hosts_own_gives_the_same_gradient, 0,
                        COUNT(of_the_host));
    tcase_add_loop_test(cases, scale_multiplies_the_gradient, 0, COUNT(scaled));
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
