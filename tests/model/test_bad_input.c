/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wrong arguments: each gives its status and a message that names the culprit, leaves the outputs
 * as they were, and the model gives the right numbers afterwards.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fixtures.h"

#define UNTOUCHED -54321.0
#define COUNT     (2 * 5)

static sgt_context *context;
static sgt_model *model;
static sgt_batch batch;
static sgt_metrics right;   /* what the batch gives */
static sgt_metrics metrics; /* goes into calls that fail */

static void setup(void)
{
    sgt_model_config config = sgtt_config();
    context = sgtt_model_context();
    model = sgtt_model(context, &config, 1);
    batch = sgtt_batch(2, 5, config.vocab_size, 2, 0);
    right = sgtt_step(model, &batch);
    sgtt_ok(sgt_model_zero_gradients(model));
    memset(&metrics, 0x5a, sizeof metrics);
    metrics.size = sizeof metrics;
}

/* Whatever happened, the model works and nothing was written. */
static void teardown(void)
{
    sgt_metrics untouched;
    memset(&untouched, 0x5a, sizeof untouched);
    untouched.size = sizeof untouched;
    ck_assert_mem_eq(&metrics, &untouched, sizeof metrics);
    sgt_metrics after = sgtt_step(model, &batch);
    ck_assert_double_eq(after.loss_sum, right.loss_sum);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}

#define NULL_IS_REFUSED(call, name) sgtt_fails(call, SGT_E_INVALID_ARGUMENT, name)

START_TEST(null_is_refused)
{
    sgt_tensor_view view = {.size = sizeof view, .rank = 77};
    sgt_model_config config = sgtt_config();
    sgt_model *none = NULL;
    float values[20 * 19];
    double entropies[4];
    int32_t index = 77;
    sgt_model_init_options init;
    sgt_special_tokens special = {.size = sizeof special};
    NULL_IS_REFUSED(sgt_model_config_init(NULL, sizeof config), "sgt_model_config");
    NULL_IS_REFUSED(sgt_model_init_options_init(NULL, sizeof init), "sgt_model_init_options");
    NULL_IS_REFUSED(sgt_model_evaluate_options_init(NULL, 8), "sgt_model_evaluate_options");
    NULL_IS_REFUSED(sgt_model_memory_options_init(NULL, 8), "sgt_model_memory_options");
    NULL_IS_REFUSED(sgt_model_create(NULL, context, &config, NULL), "model");
    NULL_IS_REFUSED(sgt_model_create(&none, NULL, &config, NULL), "context");
    NULL_IS_REFUSED(sgt_model_create(&none, context, NULL, NULL), "config");
    ck_assert_ptr_null(none);
    NULL_IS_REFUSED(sgt_model_get_config(NULL, model), "config");
    NULL_IS_REFUSED(sgt_model_get_config(&config, NULL), "model");
    NULL_IS_REFUSED(sgt_model_get_special_tokens(NULL, model), "sgt_special_tokens");
    NULL_IS_REFUSED(sgt_model_get_special_tokens(&special, NULL), "model");
    NULL_IS_REFUSED(sgt_model_set_special_tokens(NULL, &special), "model");
    NULL_IS_REFUSED(sgt_model_init_weights(NULL, NULL), "model");
    NULL_IS_REFUSED(sgt_model_forward(NULL, model, &batch), "sgt_metrics");
    NULL_IS_REFUSED(sgt_model_forward(&metrics, NULL, &batch), "model");
    NULL_IS_REFUSED(sgt_model_forward(&metrics, model, NULL), "batch");
    NULL_IS_REFUSED(sgt_model_backward(NULL, 1.0, NULL), "model");
    NULL_IS_REFUSED(sgt_model_zero_gradients(NULL), "model");
    NULL_IS_REFUSED(sgt_model_forward_logits(NULL, model, &batch), "view");
    NULL_IS_REFUSED(sgt_model_forward_logits(&view, NULL, &batch), "model");
    NULL_IS_REFUSED(sgt_model_forward_logits(&view, model, NULL), "batch");
    NULL_IS_REFUSED(sgt_model_read_logits(NULL, 1, model), "logits");
    NULL_IS_REFUSED(sgt_model_read_logits(values, 1, NULL), "model");
    NULL_IS_REFUSED(sgt_model_backward_logits(model, NULL, NULL), "dlogits");
    NULL_IS_REFUSED(sgt_model_backward_logits(NULL, values, NULL), "model");
    NULL_IS_REFUSED(sgt_model_evaluate(NULL, model, &batch, NULL), "sgt_metrics");
    NULL_IS_REFUSED(sgt_model_evaluate(&metrics, NULL, &batch, NULL), "model");
    NULL_IS_REFUSED(sgt_model_evaluate(&metrics, model, NULL, NULL), "batch");
    NULL_IS_REFUSED(sgt_model_set_plan(NULL, sgt_model_plan(model)), "model");
    NULL_IS_REFUSED(sgt_model_set_plan(model, NULL), "plan");
    NULL_IS_REFUSED(sgt_model_collect_entropy(NULL, 1), "model");
    NULL_IS_REFUSED(sgt_model_get_entropies(NULL, model, 0, 0, 1), "entropies");
    NULL_IS_REFUSED(sgt_model_get_entropies(entropies, NULL, 0, 0, 1), "model");
    NULL_IS_REFUSED(sgt_model_find_parameter(NULL, model, "x"), "index");
    NULL_IS_REFUSED(sgt_model_find_parameter(&index, NULL, "x"), "model");
    NULL_IS_REFUSED(sgt_model_find_parameter(&index, model, NULL), "name");
    NULL_IS_REFUSED(sgt_model_parameter(NULL, model, 0, SGT_PART_WEIGHT), "view");
    NULL_IS_REFUSED(sgt_model_parameter(&view, NULL, 0, SGT_PART_WEIGHT), "model");
    NULL_IS_REFUSED(sgt_model_read_parameter(NULL, 380, model, 0, SGT_PART_WEIGHT), "values");
    NULL_IS_REFUSED(sgt_model_read_parameter(values, 380, NULL, 0, SGT_PART_WEIGHT), "model");
    NULL_IS_REFUSED(sgt_model_write_parameter(model, 0, SGT_PART_WEIGHT, NULL, 380), "values");
    NULL_IS_REFUSED(sgt_model_write_parameter(NULL, 0, SGT_PART_WEIGHT, values, 380), "model");
    NULL_IS_REFUSED(sgt_model_weights_changed(NULL), "model");
    ck_assert_int_eq(view.rank, 77);
    ck_assert_int_eq(index, 77);
    ck_assert_ptr_null(sgt_model_plan(NULL));
    ck_assert_int_eq(sgt_model_n_parameters(NULL), 0);
    ck_assert_int_eq(sgt_model_n_passes(NULL, 0), 0);
    ck_assert_uint_eq(sgt_model_generation(NULL), 0);
    sgt_model_free(NULL);
}
END_TEST

START_TEST(null_is_refused_by_the_estimate)
{
    sgt_model_memory estimate = {.size = sizeof estimate, .total = 77};
    sgt_model_config config = sgtt_config();
    sgt_model_options how = {.size = sizeof how, .recompute = 2};
    sgt_model_memory_options options = {.size = sizeof options, .model = &how};
    NULL_IS_REFUSED(sgt_model_estimate_memory(NULL, context, &config, NULL, 1, 5, NULL),
                    "sgt_model_memory");
    NULL_IS_REFUSED(sgt_model_estimate_memory(&estimate, NULL, &config, NULL, 1, 5, NULL),
                    "context");
    NULL_IS_REFUSED(sgt_model_estimate_memory(&estimate, context, NULL, NULL, 1, 5, NULL),
                    "config");
    sgtt_fails(sgt_model_estimate_memory(&estimate, context, &config, NULL, 1, 17, NULL),
               SGT_E_OUT_OF_RANGE, "17");
    sgtt_fails(sgt_model_estimate_memory(&estimate, context, &config, NULL, 0, 5, NULL),
               SGT_E_OUT_OF_RANGE, "batch");
    sgtt_fails(sgt_model_estimate_memory(&estimate, context, &config, NULL, 1, 5, &options),
               SGT_E_OUT_OF_RANGE, "recompute is 2");
    ck_assert_uint_eq(estimate.total, 77);
}
END_TEST

/* One field of the small configuration set wrong. */
static const struct {
    size_t offset;
    int32_t value;
    sgt_status status;
    const char *message;
} wrong_fields[] = {
#define FIELD(name) offsetof(sgt_model_config, name)
    {FIELD(vocab_size), 0, SGT_E_OUT_OF_RANGE, "vocab_size"},
    {FIELD(vocab_size), INT32_MAX, SGT_E_OUT_OF_RANGE, "vocab_size"},
    {FIELD(d_model), -20, SGT_E_OUT_OF_RANGE, "d_model"},
    {FIELD(n_layers), 0, SGT_E_OUT_OF_RANGE, "n_layers"},
    {FIELD(n_layers), INT32_MIN, SGT_E_OUT_OF_RANGE, "n_layers"},
    {FIELD(n_heads), 0, SGT_E_OUT_OF_RANGE, "n_heads"},
    {FIELD(n_heads), 5, SGT_E_INVALID_ARGUMENT, "n_kv_heads 2 does not divide n_heads 5"},
    {FIELD(n_kv_heads), -1, SGT_E_OUT_OF_RANGE, "n_kv_heads"},
    {FIELD(n_kv_heads), 3, SGT_E_INVALID_ARGUMENT, "n_kv_heads 3"},
    {FIELD(n_kv_heads), 8, SGT_E_INVALID_ARGUMENT, "n_kv_heads 8"},
    {FIELD(head_dim), 7, SGT_E_INVALID_ARGUMENT, "head_dim is 7, must be even"},
    {FIELD(head_dim), -6, SGT_E_OUT_OF_RANGE, "head_dim"},
    {FIELD(head_dim), 100000, SGT_E_OUT_OF_RANGE, "head_dim"},
    {FIELD(head_dim), 0, SGT_E_INVALID_ARGUMENT,
     "head_dim is 5 (d_model 20 / n_heads 4), must be even"},
    {FIELD(d_ff), 0, SGT_E_OUT_OF_RANGE, "d_ff"},
    {FIELD(max_seq_len), 0, SGT_E_OUT_OF_RANGE, "max_seq_len"},
    {FIELD(tied), 2, SGT_E_OUT_OF_RANGE, "tied"},
    {FIELD(altup_streams), -1, SGT_E_OUT_OF_RANGE, "altup_streams"},
    {FIELD(altup_streams), 17, SGT_E_OUT_OF_RANGE, "altup_streams is 17, must be 0 to 16"},
    {FIELD(altup_order), 2, SGT_E_OUT_OF_RANGE, "altup_order is 2, must be 0 to 1"},
    {FIELD(altup_table), -1, SGT_E_OUT_OF_RANGE, "altup_table"},
#undef FIELD
};

#define N_WRONG_FIELDS (int)(sizeof wrong_fields / sizeof wrong_fields[0])

START_TEST(a_wrong_field_is_named)
{
    sgt_model_config config = sgtt_config();
    sgt_model *none = NULL;
    memcpy((char *)&config + wrong_fields[_i].offset, &wrong_fields[_i].value, sizeof(int32_t));
    uint64_t before = sgtt_memory(context).allocations;
    sgtt_fails(sgt_model_create(&none, context, &config, NULL), wrong_fields[_i].status,
               wrong_fields[_i].message);
    ck_assert_ptr_null(none);
    ck_assert_uint_eq(sgtt_memory(context).allocations, before);
}
END_TEST

START_TEST(wrong_numbers_of_a_configuration)
{
    const double bad[] = {NAN, INFINITY, -1.0, 1e300, 3.5e38, 1e-60, -1e-60};
    sgt_model *none = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sgt_model_config config = sgtt_config();
        config.rope_theta = bad[i];
        sgtt_fails(sgt_model_create(&none, context, &config, NULL), SGT_E_OUT_OF_RANGE,
                   "rope_theta");
        config = sgtt_config();
        config.norm_eps = bad[i];
        sgtt_fails(sgt_model_create(&none, context, &config, NULL), SGT_E_OUT_OF_RANGE, "norm_eps");
    }
    sgt_model_config config = sgtt_config();
    config.norm_eps = 1e300;
    sgtt_fails(sgt_model_create(&none, context, &config, NULL), SGT_E_OUT_OF_RANGE,
               "norm_eps is 1e+300 (inf in float32)");
    config.norm_eps = 1e-60;
    sgtt_fails(sgt_model_create(&none, context, &config, NULL), SGT_E_OUT_OF_RANGE,
               "norm_eps is 1e-60, which is too small: it is 0 in float32");
    config.norm_eps = 0.0;
    sgt_model *sharp = NULL;
    sgtt_ok(sgt_model_create(&sharp, context, &config, NULL));
    sgt_model_free(sharp);
    config.rope_theta = 1e-60;
    sgtt_fails(sgt_model_create(&none, context, &config, NULL), SGT_E_OUT_OF_RANGE,
               "rope_theta is 1e-60 (0 in float32), must be finite and above 0");
    config = sgtt_config();
    config.d_model = 22;
    config.head_dim = 0;
    sgtt_fails(sgt_model_create(&none, context, &config, NULL), SGT_E_INVALID_ARGUMENT,
               "d_model 22");
    ck_assert_ptr_null(none);
}
END_TEST

/* The largest sizes: memory is short, arithmetic is not. */
START_TEST(giants_do_not_wrap_around)
{
    sgt_model_memory estimate = {.size = sizeof estimate};
    sgt_model_config config = sgtt_config();
    sgt_model *none = NULL;
    config.vocab_size = 1 << 28;
    config.d_model = 1 << 24;
    config.n_layers = 1 << 14;
    config.d_ff = 1 << 26;
    config.max_seq_len = 1 << 28;
    sgt_status status = sgt_model_create(&none, context, &config, NULL);
    ck_assert(status == SGT_E_OUT_OF_MEMORY || status == SGT_E_OVERFLOW);
    ck_assert_ptr_null(none);
    status = sgt_model_estimate_memory(&estimate, context, &config, NULL, INT32_MAX, 1 << 28, NULL);
    ck_assert_int_eq(status, SGT_E_OVERFLOW);
}
END_TEST

typedef sgt_status (*pass_fn)(const sgt_batch *wrong);

static sgt_status as_forward(const sgt_batch *wrong)
{
    return sgt_model_forward(&metrics, model, wrong);
}

static sgt_status as_evaluation(const sgt_batch *wrong)
{
    float losses[COUNT];
    sgt_model_evaluate_options options = {.size = sizeof options, .token_losses = losses};
    losses[0] = (float)UNTOUCHED;
    sgt_status status = sgt_model_evaluate(&metrics, model, wrong, &options);
    ck_assert_float_eq(losses[0], (float)UNTOUCHED);
    return status;
}

static sgt_status as_logits(const sgt_batch *wrong)
{
    sgt_tensor_view view = {.size = sizeof view, .rank = 77};
    sgt_status status = sgt_model_forward_logits(&view, model, wrong);
    ck_assert(status == SGT_OK || view.rank == 77);
    return status;
}

static const pass_fn passes[] = {as_forward, as_evaluation, as_logits};

START_TEST(a_wrong_batch_is_refused)
{
    pass_fn pass = passes[_i];
    sgt_batch wrong = batch;
    wrong.tokens = NULL;
    sgtt_fails(pass(&wrong), SGT_E_INVALID_ARGUMENT, "tokens");
    wrong = batch;
    wrong.batch = 0;
    sgtt_fails(pass(&wrong), SGT_E_OUT_OF_RANGE, "batch.batch is 0");
    wrong.batch = -2;
    sgtt_fails(pass(&wrong), SGT_E_OUT_OF_RANGE, "batch.batch is -2");
    wrong = batch;
    wrong.seq = 0;
    sgtt_fails(pass(&wrong), SGT_E_OUT_OF_RANGE, "batch.seq is 0");
    wrong.seq = 17;
    sgtt_fails(pass(&wrong), SGT_E_OUT_OF_RANGE, "max_seq_len 16");
}
END_TEST

START_TEST(a_wrong_token_has_a_place)
{
    const int32_t bad[] = {-1, 19, INT32_MAX, INT32_MIN};
    int32_t tokens[COUNT];
    sgt_batch wrong = batch;
    wrong.tokens = tokens;
    for (int i = 0; i < 4; i++) {
        memcpy(tokens, batch.tokens, sizeof tokens);
        tokens[5 + 3] = bad[i];
        sgtt_fails(passes[_i](&wrong), SGT_E_OUT_OF_RANGE, "[1,3]");
        tokens[0] = bad[i];
        sgtt_fails(passes[_i](&wrong), SGT_E_OUT_OF_RANGE, "[0,0]");
    }
}
END_TEST

START_TEST(a_wrong_target_has_a_place)
{
    const int32_t bad[] = {-2, 19, INT32_MAX, INT32_MIN};
    int32_t targets[COUNT];
    sgt_batch wrong = batch;
    wrong.targets = targets;
    for (int i = 0; i < 4; i++) {
        memcpy(targets, batch.targets, sizeof targets);
        targets[COUNT - 1] = bad[i];
        if (passes[_i] == as_logits)
            sgtt_ok(as_logits(&wrong)); /* does not look at them */
        else
            sgtt_fails(passes[_i](&wrong), SGT_E_OUT_OF_RANGE, "[1,4]");
    }
}
END_TEST

START_TEST(a_plan_of_another_shape_is_refused)
{
    const int32_t shapes[][2] = {{2, 4}, {4, 4}, {3, 3}, {3, 5}};
    for (int i = 0; i < 4; i++) {
        sgt_plan *plan;
        sgtt_ok(sgt_plan_create(&plan, context, shapes[i][0], shapes[i][1]));
        sgtt_fails(sgt_model_set_plan(model, plan), SGT_E_INVALID_ARGUMENT, "3 layers of 4 heads");
        sgt_plan_free(plan);
    }
}
END_TEST

START_TEST(a_plan_takes_no_wrong_gain)
{
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_ok(sgt_plan_set_depth(plan, 2, 1));
    sgtt_fails(sgt_plan_set_gain(plan, 2, 1, 3, NAN), SGT_E_INVALID_ARGUMENT, "head 3");
    sgtt_fails(sgt_plan_set_gain(plan, 2, 1, 3, 1.5f), SGT_E_OUT_OF_RANGE, "head 3");
    ck_assert_float_eq(sgt_plan_gains(plan, 2, 1)[3], 1.0f);
    /* Gains are borrowed as const; a host that writes them nonetheless gets no further. */
    float *gains = (float *)sgt_plan_gains(plan, 2, 1);
    gains[1] = NAN;
    sgtt_fails(sgt_model_set_plan(model, plan), SGT_E_INVALID_ARGUMENT, "head 1");
    ck_assert_int_eq(sgt_plan_depth(sgt_model_plan(model), 2), 0);
    sgt_plan_free(plan);
}
END_TEST

START_TEST(wrong_places_and_counts)
{
    float values[380], logits[190];
    double entropies[4];
    int32_t index = 77;
    sgt_tensor_view view = {.size = sizeof view, .rank = 77};
    values[0] = (float)UNTOUCHED;
    int32_t count = sgt_model_n_parameters(model);
    sgtt_fails(sgt_model_find_parameter(&index, model, "model.layers.3.mlp.up_proj.weight"),
               SGT_E_NOT_FOUND, "model.layers.3.mlp");
    sgtt_fails(sgt_model_find_parameter(&index, model, ""), SGT_E_NOT_FOUND, "''");
    ck_assert_int_eq(index, 77);
    sgtt_fails(sgt_model_parameter(&view, model, -1, SGT_PART_WEIGHT), SGT_E_OUT_OF_RANGE, "-1");
    sgtt_fails(sgt_model_parameter(&view, model, count, SGT_PART_WEIGHT), SGT_E_OUT_OF_RANGE,
               "has");
    sgtt_fails(sgt_model_parameter(&view, model, 0, 3), SGT_E_OUT_OF_RANGE, "part 3");
    ck_assert_int_eq(view.rank, 77);
    sgtt_fails(sgt_model_read_parameter(values, 379, model, 0, SGT_PART_WEIGHT), SGT_E_OUT_OF_RANGE,
               "model.embed_tokens.weight has 380");
    sgtt_fails(sgt_model_write_parameter(model, 0, SGT_PART_GRADIENT, values, 381),
               SGT_E_OUT_OF_RANGE, "381");
    ck_assert_float_eq(values[0], (float)UNTOUCHED);
    sgtt_ok(sgt_model_forward_logits(&view, model, &batch));
    sgtt_fails(sgt_model_read_logits(logits, 189, model), SGT_E_OUT_OF_RANGE, "190");
    sgtt_fails(sgt_model_collect_entropy(model, 4), SGT_E_OUT_OF_RANGE, "4");
    sgtt_fails(sgt_model_collect_entropy(model, -1), SGT_E_OUT_OF_RANGE, "-1");
    sgtt_fails(sgt_model_get_entropies(entropies, model, 3, 0, 1), SGT_E_OUT_OF_RANGE, "layer 3");
    sgtt_fails(sgt_model_get_entropies(entropies, model, 0, 1, 1), SGT_E_OUT_OF_RANGE, "pass 1");
    sgtt_fails(sgt_model_get_entropies(entropies, model, 0, 0, 3), SGT_E_OUT_OF_RANGE, "kind 3");
    ck_assert_int_eq(sgt_model_n_passes(model, -1), 0);
    ck_assert_int_eq(sgt_model_n_passes(model, 3), 0);
}
END_TEST

START_TEST(wrong_ways_to_draw_weights)
{
    sgt_model_init_options options;
    uint64_t generation = sgt_model_generation(model);
    const double bad[] = {NAN, -0.02, INFINITY, 1e300, 1e-60, 2e38}; /* the last times cut */
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sgtt_ok(sgt_model_init_options_init(&options, sizeof options));
        options.std = bad[i];
        sgtt_fails(sgt_model_init_weights(model, &options), SGT_E_OUT_OF_RANGE, "std");
    }
    const double cuts[] = {NAN, 0.0, -3.0};
    for (int i = 0; i < 3; i++) {
        sgtt_ok(sgt_model_init_options_init(&options, sizeof options));
        options.cut = cuts[i];
        sgtt_fails(sgt_model_init_weights(model, &options), SGT_E_OUT_OF_RANGE, "cut");
    }
    for (int i = -1; i <= 2; i += 3) {
        sgtt_ok(sgt_model_init_options_init(&options, sizeof options));
        options.residual = i;
        sgtt_fails(sgt_model_init_weights(model, &options), SGT_E_OUT_OF_RANGE, "residual");
        options.residual = 0;
        options.unit_scale = i;
        sgtt_fails(sgt_model_init_weights(model, &options), SGT_E_OUT_OF_RANGE, "unit_scale");
    }
    ck_assert_uint_eq(sgt_model_generation(model), generation);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bad input to a model");
    TCase *cases = tcase_create("all");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, null_is_refused);
    tcase_add_test(cases, null_is_refused_by_the_estimate);
    tcase_add_loop_test(cases, a_wrong_field_is_named, 0, N_WRONG_FIELDS);
    tcase_add_test(cases, wrong_numbers_of_a_configuration);
    tcase_add_test(cases, giants_do_not_wrap_around);
    tcase_add_loop_test(cases, a_wrong_batch_is_refused, 0, 3);
    tcase_add_loop_test(cases, a_wrong_token_has_a_place, 0, 3);
    tcase_add_loop_test(cases, a_wrong_target_has_a_place, 0, 3);
    tcase_add_test(cases, a_plan_of_another_shape_is_refused);
    tcase_add_test(cases, a_plan_takes_no_wrong_gain);
    tcase_add_test(cases, wrong_places_and_counts);
    tcase_add_test(cases, wrong_ways_to_draw_weights);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
