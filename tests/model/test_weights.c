/* SPDX-License-Identifier: BSD-3-Clause */
/* The weights of a model: how many there are, how they begin, and that a training on weights which
 * nobody wrote does not pass in silence. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fixtures.h"

enum { STREAMS = 3 };

static sgt_context *context;
static sgt_model *model;
static sgt_batch batch;
static int warnings;

static void count_warnings(void *user, int32_t level, const char *message)
{
    (void)user;
    if (level == SGT_LOG_WARNING && strstr(message, "whose weights nobody has written"))
        warnings++;
}

static sgt_model *fresh_model_of(const sgt_model_config *config)
{
    sgt_model *made;
    sgtt_ok(sgt_model_create(&made, context, config, NULL));
    return made;
}

static sgt_model *fresh_model(int32_t tied)
{
    sgt_model_config config = sgtt_config();
    config.tied = tied;
    return fresh_model_of(&config);
}

/* The model of the tests becomes one whose tokens are three streams. */
static void widen_model(void)
{
    sgt_model_config config = sgtt_config();
    config.altup_streams = STREAMS;
    config.altup_table = SGT_ALTUP_WIDE;
    sgt_model_free(model);
    model = fresh_model_of(&config);
}

static void setup(void)
{
    sgt_context_options options = sgtt_model_options();
    options.log = count_warnings;
    sgtt_ok(sgt_context_create(&context, &options));
    model = fresh_model(0);
    batch = sgtt_batch(2, 5, sgtt_config().vocab_size, 2, 0);
    warnings = 0;
}

static void teardown(void)
{
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}

static void check_warnings(int expected)
{
    sgtt_step(model, &batch);
    sgtt_step(model, &batch);
    ck_assert_int_eq(warnings, expected);
}

/* ---- how many ---- */

START_TEST(every_number_is_counted_once)
{
    const uint64_t v = 19, d = 20, layers = 3, q = 4 * 6, kv = 2 * 6, ff = 27;
    const uint64_t layer = 2 * d + q * d + 2 * kv * d + d * q + 3 * ff * d;
    sgt_model *tied = fresh_model(1);
    ck_assert_uint_eq(sgt_model_n_weights(model), 2 * v * d + layers * layer + d);
    ck_assert_uint_eq(sgt_model_n_weights(tied), v * d + layers * layer + d);
    ck_assert_uint_eq(sgt_model_n_weights(model), sgtt_elements(model));
    ck_assert_uint_eq(sgt_model_n_weights(NULL), 0);
    sgt_model_free(tied);
}
END_TEST

/* ---- whether anybody wrote them ---- */

START_TEST(weights_that_nobody_wrote_are_told_of_once)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_model_evaluate(&metrics, model, &batch, NULL));
    check_warnings(1);
}
END_TEST

/* What mixes streams begins as the identity, without anybody. */
START_TEST(a_mixing_is_no_weight_that_somebody_wrote)
{
    widen_model();
    check_warnings(1);
}
END_TEST

START_TEST(drawn_weights_are_weights)
{
    sgtt_ok(sgt_model_init_weights(model, NULL));
    check_warnings(0);
}
END_TEST

/* Zeros that somebody wrote are meant. */
START_TEST(copied_weights_are_weights)
{
    sgt_tensor_view view = {.size = sizeof view};
    sgtt_ok(sgt_model_parameter(&view, model, 0, SGT_PART_WEIGHT));
    float *zeros = calloc(view.count, sizeof *zeros);
    sgtt_ok(sgt_model_write_parameter(model, 0, SGT_PART_WEIGHT, zeros, view.count));
    free(zeros);
    check_warnings(0);
}
END_TEST

/* Whether the host says so afterwards, or has no reason to: nothing has seen the weights yet. */
START_TEST(weights_written_through_a_view_are_weights)
{
    sgt_tensor_view view = {.size = sizeof view};
    sgtt_ok(sgt_model_parameter(&view, model, sgt_model_n_parameters(model) - 1, SGT_PART_WEIGHT));
    if (view.data)
        ((float *)view.data)[view.count - 1] = 0.5f;
    if (_i || !view.data)
        sgtt_ok(sgt_model_weights_changed(model));
    check_warnings(0);
}
END_TEST

/* ---- how they begin ---- */

/* Equal ones would have equal gradients, and stay equal. */
START_TEST(no_two_matrices_are_drawn_alike)
{
    float heads[64][4];
    int32_t count = 0;
    sgtt_ok(sgt_model_init_weights(model, NULL));
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, model, i, SGT_PART_WEIGHT));
        if (view.rank == 1)
            continue;
        float *values = malloc(view.count * sizeof *values);
        sgtt_ok(sgt_model_read_parameter(values, view.count, model, i, SGT_PART_WEIGHT));
        memcpy(heads[count], values, sizeof heads[count]);
        free(values);
        for (int32_t j = 0; j < count; j++)
            ck_assert_msg(memcmp(heads[j], heads[count], sizeof heads[j]) != 0,
                          "%s begins like another matrix", view.name);
        count++;
    }
    ck_assert_int_eq(count, 2 + 3 * 7);
}
END_TEST

static float *read_weight(uint64_t *count, int32_t index)
{
    sgt_tensor_view view = {.size = sizeof view};
    sgtt_ok(sgt_model_parameter(&view, model, index, SGT_PART_WEIGHT));
    float *values = malloc(view.count * sizeof *values);
    sgtt_ok(sgt_model_read_parameter(values, view.count, model, index, SGT_PART_WEIGHT));
    *count = view.count;
    return values;
}

/* Predict is the identity and correct ones, in every layer. */
static void check_mixing(void)
{
    int32_t seen = 0;
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++) {
        uint64_t count;
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, model, i, SGT_PART_WEIGHT));
        if (!strstr(view.name, ".altup."))
            continue;
        float *values = read_weight(&count, i);
        for (uint64_t j = 0; j < count; j++)
            ck_assert_float_eq(values[j], view.rank == 1 || j % (STREAMS + 1) == 0 ? 1.0f : 0.0f);
        free(values);
        seen++;
    }
    ck_assert_int_eq(seen, 2 * 3);
}

START_TEST(mixing_begins_as_the_identity)
{
    widen_model();
    check_mixing();
    sgtt_randomize(model, 3);
    sgtt_ok(sgt_model_init_weights(model, NULL));
    check_mixing();
}
END_TEST

/* The sum of squares of a weight; *last is its last element. */
static double square_sum(float *last, int32_t index)
{
    uint64_t count;
    double sum = 0.0;
    float *values = read_weight(&count, index);
    for (uint64_t i = 0; i < count; i++)
        sum += (double)values[i] * values[i];
    *last = values[count - 1];
    free(values);
    return sum;
}

/* The same numbers, and where they are added to the stream times 1 / sqrt(2 n_layers). */
START_TEST(what_is_added_to_the_stream_can_start_smaller)
{
    enum { MOST = 64 };
    sgt_model_init_options options;
    sgt_model_config config = {.size = sizeof config};
    double sums[MOST];
    float lasts[MOST], last;
    int32_t smaller = 0;
    sgtt_ok(sgt_model_init_options_init(&options, sizeof options));
    sgtt_ok(sgt_model_get_config(&config, model));
    options.seed = 5;
    sgtt_ok(sgt_model_init_weights(model, &options));
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++)
        sums[i] = square_sum(&lasts[i], i);
    options.residual = 1;
    sgtt_ok(sgt_model_init_weights(model, &options));
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, model, i, SGT_PART_WEIGHT));
        const int scaled = strstr(view.name, "o_proj") || strstr(view.name, "down_proj");
        const double factor = scaled ? 1.0 / (2.0 * config.n_layers) : 1.0;
        smaller += scaled;
        ck_assert_double_eq_tol(square_sum(&last, i), sums[i] * factor, 1e-6 * sums[i]);
        ck_assert_float_eq_tol(last, lasts[i] * sqrt(factor), 1e-6 * fabs(lasts[i]));
        ck_assert(scaled || last == lasts[i]);
    }
    ck_assert_int_eq(smaller, 2 * config.n_layers);
}
END_TEST

/* A head that reads all streams makes logits as large as one that reads one. */
START_TEST(a_wide_head_starts_smaller)
{
    float last;
    widen_model();
    sgtt_ok(sgt_model_init_weights(model, NULL));
    const double table = square_sum(&last, 0);
    const double head = square_sum(&last, sgt_model_n_parameters(model) - 1);
    ck_assert_double_gt(head * STREAMS, 0.85 * table);
    ck_assert_double_lt(head * STREAMS, 1.15 * table);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("weights");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, every_number_is_counted_once);
    tcase_add_test(tests, weights_that_nobody_wrote_are_told_of_once);
    tcase_add_test(tests, a_mixing_is_no_weight_that_somebody_wrote);
    tcase_add_test(tests, drawn_weights_are_weights);
    tcase_add_test(tests, copied_weights_are_weights);
    tcase_add_loop_test(tests, weights_written_through_a_view_are_weights, 0, 2);
    tcase_add_test(tests, no_two_matrices_are_drawn_alike);
    tcase_add_test(tests, what_is_added_to_the_stream_can_start_smaller);
    tcase_add_test(tests, mixing_begins_as_the_identity);
    tcase_add_test(tests, a_wide_head_starts_smaller);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
