/* SPDX-License-Identifier: BSD-3-Clause */
/* A backend that leaves operations out: the portable kernels do them on its memory, and its
 * failures always come with a message. */
#include <string.h>

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
    double sum = -1;
    sgtt_ok(sgti_norm(context->dispatch, &sum, &y));
    ck_assert_double_eq(sum, 4.0 * COUNT);
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
    sgt_backend_report report = {.size = sizeof report};
    sgtt_ok(sgt_backend_info(&report, context));
    ck_assert_str_eq(report.name, "partial");
    ck_assert_ptr_eq(strstr(report.kernels, "partial; portable "), report.kernels);
    ck_assert_ptr_nonnull(strstr(report.kernels, report.isa));
    ck_assert_int_eq(report.threads, 2);
    ck_assert_int_eq(report.host_visible, 1);
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
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
