/* SPDX-License-Identifier: BSD-3-Clause */
/* Backends that leave operations out, decline calls or lend no memory: the portable kernels do
 * their work where they reach the memory, and failures always come with a message. */
#include <string.h>

#include <sgt/model.h>

#include "backend/dispatch.h"
#include "core/tensors.h"
#include "plugins.h"
#include "testing.h"

#define ROWS    3
#define COLUMNS 5
#define COUNT   (ROWS * COLUMNS)

static sgt_context *context;
static sgt_buffer *buffer;
static sgt_tensor x, y, z;

static void open_partial(void)
{
    float values[COUNT];
    context = sgtt_context_on("partial", 2);
    sgtt_ok(sgti_buffer_allocate(&buffer, context->dispatch, 4 * 64 * sizeof(float)));
    x = sgti_tensor_2d(buffer, 0, ROWS, COLUMNS);
    y = sgti_tensor_2d(buffer, 64, ROWS, COLUMNS);
    z = sgti_tensor_2d(buffer, 128, ROWS, COLUMNS);
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)(i - 4);
    sgtt_ok(sgti_write(context->dispatch, &x, values));
    sgtt_ok(sgti_fill(context->dispatch, &y, 2));
}

static void close_partial(void)
{
    sgti_buffer_free(context->dispatch, buffer, 4 * 64 * sizeof(float));
    sgt_context_free(context);
}

START_TEST(tensors_are_translated)
{
    float result[COUNT];
    sgtt_ok(sgti_add(context->dispatch, &z, &x, &y));
    sgtt_ok(sgti_read(context->dispatch, result, &z));
    for (int i = 0; i < COUNT; i++)
        ck_assert_float_eq(result[i], (float)(i - 2));
    ck_assert_ptr_eq(x.buffer, buffer); /* the caller's descriptors stay */

    sgtt_ok(sgti_axpy(context->dispatch, &z, 3, &x));
    sgtt_ok(sgti_scale(context->dispatch, &z, 0.5f));
    sgtt_ok(sgti_read(context->dispatch, result, &z));
    for (int i = 0; i < COUNT; i++)
        ck_assert_float_eq(result[i], (float)(4 * i - 14) / 2);
}
END_TEST

START_TEST(null_tensors_stay_null)
{
    float losses[ROWS];
    const int32_t classes[ROWS] = {0, -1, 4};
    sgt_tensor targets = sgti_tensor_1d(buffer, 192, ROWS);
    sgt_tensor out = sgti_tensor_1d(buffer, 208, ROWS);
    sgt_cross_entropy_args args = {.logits = &y, .targets = &targets, .losses = &out};
    targets.dtype = SGT_I32;
    sgtt_ok(sgti_write(context->dispatch, &targets, classes));
    sgtt_ok(sgti_cross_entropy(context->dispatch, &args));
    ck_assert_uint_eq(args.size, sizeof args);
    sgtt_ok(sgti_read(context->dispatch, losses, &out));
    ck_assert_float_eq_tol(losses[0], 1.6094379f, 1e-6f); /* ln 5 */
    ck_assert_float_eq(losses[1], 0);
    ck_assert_float_eq_tol(losses[2], 1.6094379f, 1e-6f);
}
END_TEST

START_TEST(a_norm_comes_back)
{
    const int64_t firsts[] = {0, 7}, counts[] = {4, COUNT - 7};
    double found = -1;
    sgt_tensor all = sgti_tensor_flat(y), sum = sgti_tensor_1d(buffer, 208 / 2, 1);
    sgt_norm_args args = {
        .n_pieces = 2, .x = &all, .sum = &sum, .firsts = firsts, .counts = counts};
    sum.dtype = SGT_F64;
    sgtt_ok(sgti_norm(context->dispatch, &args));
    sgtt_ok(sgti_read(context->dispatch, &found, &sum));
    ck_assert_double_eq(found, 4.0 * (COUNT - 3));
}
END_TEST

START_TEST(host_address_is_the_backends)
{
    ck_assert(sgti_host_visible(context->dispatch));
    const float *values = sgti_host_address(context->dispatch, &x);
    ck_assert_float_eq(values[COUNT - 1], COUNT - 5);
    ck_assert_ptr_eq(sgti_host_address(context->dispatch, &y), values + 64);
}
END_TEST

START_TEST(a_silent_failure_gets_a_message)
{
    sgtt_fails(sgti_gemm(context->dispatch, &z, 1, &x, &y, 0, NULL), SGT_E_BACKEND,
               "backend 'partial' failed in gemm");
    sgtt_fails(sgti_copy(context->dispatch, &z, &x), SGT_E_BACKEND,
               "backend 'partial' failed in copy");
}
END_TEST

START_TEST(a_missing_prepare_weight_does_nothing)
{
    sgtt_ok(sgti_prepare_weight(context->dispatch, &x));
}
END_TEST

START_TEST(the_report_names_both)
{
    sgt_backend_info report = {.size = sizeof report};
    sgtt_ok(sgt_context_get_backend(&report, context));
    ck_assert_str_eq(report.name, "partial");
    ck_assert_ptr_eq(strstr(report.kernels, "partial; portable "), report.kernels);
    ck_assert_ptr_nonnull(strstr(report.kernels, report.isa));
    ck_assert_int_eq(report.threads, 2);
    ck_assert_int_eq(report.host_visible, 1);
}
END_TEST

/* ---- declined calls ---- */

/* Scales a vector of threes by 2; *result is what came of an element. */
static sgt_status scale_on(float *result, const char *file)
{
    const char *name = NULL;
    sgt_context *own = NULL;
    sgt_buffer *memory = NULL;
    sgt_context_options options;
    sgtt_ok(sgtt_load_plugin(&name, file));
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = name;
    sgtt_ok(sgt_context_create(&own, &options));
    sgtt_ok(sgti_buffer_allocate(&memory, own->dispatch, 64));
    sgt_tensor vector = sgti_tensor_1d(memory, 4, 5), third = sgti_tensor_1d(memory, 6, 1);
    sgtt_ok(sgti_fill(own->dispatch, &vector, 3));
    sgt_status status = sgti_scale(own->dispatch, &vector, 2);
    sgtt_ok(sgti_read(own->dispatch, result, &third));
    sgti_buffer_free(own->dispatch, memory, 64);
    sgt_context_free(own);
    return status;
}

START_TEST(a_declined_call_is_done_by_the_portable_kernels)
{
    float result = 0;
    sgtt_ok(scale_on(&result, "case_declines.so"));
    ck_assert_float_eq(result, 6);
    sgtt_ok(scale_on(&result, "case_lent_memory.so"));
    ck_assert_float_eq(result, 6);
}
END_TEST

START_TEST(a_declined_call_that_nobody_does_fails_by_name)
{
    float result = 0;
    sgtt_fails(scale_on(&result, "case_declines_alone.so"), SGT_E_UNSUPPORTED,
               "backend 'case-26' declines scale, and no other kernels reach its memory");
    ck_assert_float_eq(result, 3);
}
END_TEST

/* The portable kernels know no gradients in half precision. */
START_TEST(a_type_that_nobody_knows_fails_by_name)
{
    sgt_tensor half = sgti_tensor_as(x, SGT_F16);
    sgtt_fails(sgti_scale(context->dispatch, &half, 2), SGT_E_UNSUPPORTED,
               "backend 'partial' declines scale, and so do the portable kernels");
}
END_TEST

/* Products are the one operation that need not be done: nobody says anything. */
START_TEST(linear_may_be_left_to_gemm)
{
    sgt_tensor half = sgti_tensor_as(y, SGT_F16);
    sgt_linear_args args = {.x = &x, .weight = &half, .y = &z};
    sgtt_fails(sgt_backend_load(NULL, NULL), SGT_E_INVALID_ARGUMENT, "path is NULL");
    ck_assert_int_eq(sgti_linear(context->dispatch, &args), SGT_E_UNSUPPORTED);
    ck_assert_str_eq(sgt_error_message(), "path is NULL");
}
END_TEST

START_TEST(the_stand_in_is_the_portable_backend)
{
    const sgt_backend *table = NULL;
    void *instance = NULL;
    sgt_context *protected = sgtt_context_on("protected", 1);
    sgtt_ok(sgt_backend_stand_in(&table, &instance, context));
    ck_assert_str_eq(table->name, "portable");
    ck_assert_ptr_nonnull(instance);
    sgtt_fails(sgt_backend_stand_in(&table, NULL, context), SGT_E_INVALID_ARGUMENT,
               "instance is NULL");
    sgtt_fails(sgt_backend_stand_in(&table, &instance, protected), SGT_E_UNSUPPORTED,
               "nothing stands in for backend 'protected'");
    sgt_context_free(protected);
}
END_TEST

/* ---- options ---- */

static sgt_status create_with(const char *backend, const char *backend_options)
{
    sgt_context *own = NULL;
    sgt_context_options options;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = backend;
    options.backend_options = backend_options;
    sgt_status status = sgt_context_create(&own, &options);
    sgt_context_free(own);
    return status;
}

START_TEST(options_go_to_the_backend)
{
    const char *name = NULL;
    sgtt_ok(sgtt_load_plugin(&name, "case_options.so"));
    sgtt_ok(create_with(name, "size=3"));
    sgtt_fails(create_with(name, "size=4"), SGT_E_INVALID_ARGUMENT, "the only option is size=3");
    sgtt_fails(create_with(name, NULL), SGT_E_INVALID_ARGUMENT, "the only option is size=3");
    sgtt_ok(create_with("portable", ""));
    sgtt_fails(create_with("portable", "device=1"), SGT_E_INVALID_ARGUMENT, "has no options");
}
END_TEST

/* ---- the wish for few logits ---- */

/* What an evaluation of 512 tokens with 4096 logits each would take. */
static uint64_t activations_on(const char *backend)
{
    sgt_context *own = NULL;
    sgt_context_options options;
    sgt_model_config config;
    sgt_model_memory_options needed;
    sgt_model_memory estimate = {.size = sizeof estimate};
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = backend;
    sgtt_ok(sgt_context_create(&own, &options));
    sgtt_ok(sgt_model_config_init(&config, sizeof config));
    config.vocab_size = 4096;
    config.d_model = config.d_ff = 8;
    config.n_layers = 1;
    config.n_heads = 2;
    config.max_seq_len = 512;
    sgtt_ok(sgt_model_memory_options_init(&needed, sizeof needed));
    needed.training = 0;
    sgtt_ok(sgt_model_estimate_memory(&estimate, own, &config, NULL, 1, 512, &needed));
    sgt_context_free(own);
    return estimate.activations;
}

START_TEST(logits_are_made_as_the_backend_likes)
{
    const char *name = NULL;
    const uint64_t row = 4096 * sizeof(float);
    sgtt_ok(sgtt_load_plugin(&name, "case_few_logits.so"));
    uint64_t all = activations_on("portable"), few = activations_on(name);
    ck_assert_uint_ge(all, 512 * row);
    ck_assert_uint_lt(few, all - (512 - 64 - 1) * row);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dispatch");
    TCase *tests = tcase_create("dispatch");
    tcase_add_checked_fixture(tests, open_partial, close_partial);
    tcase_add_test(tests, tensors_are_translated);
    tcase_add_test(tests, null_tensors_stay_null);
    tcase_add_test(tests, a_norm_comes_back);
    tcase_add_test(tests, host_address_is_the_backends);
    tcase_add_test(tests, a_silent_failure_gets_a_message);
    tcase_add_test(tests, a_missing_prepare_weight_does_nothing);
    tcase_add_test(tests, the_report_names_both);
    tcase_add_test(tests, a_declined_call_is_done_by_the_portable_kernels);
    tcase_add_test(tests, a_declined_call_that_nobody_does_fails_by_name);
    tcase_add_test(tests, a_type_that_nobody_knows_fails_by_name);
    tcase_add_test(tests, linear_may_be_left_to_gemm);
    tcase_add_test(tests, the_stand_in_is_the_portable_backend);
    tcase_add_test(tests, options_go_to_the_backend);
    tcase_add_test(tests, logits_are_made_as_the_backend_likes);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
