/* SPDX-License-Identifier: BSD-3-Clause */
/* The protected backend itself: it must catch what the model tests rely on it to catch. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/dispatch.h"
#include "core/tensors.h"
#include "plugins.h"
#include "testing.h"

#define N     16
#define BYTES (N * sizeof(float))

static sgt_context *context;
static sgt_buffer *buffer;
static sgt_tensor whole;

static void open_protected(void)
{
    context = sgtt_context_on("protected", 2);
    sgtt_ok(sgti_buffer_allocate(&buffer, context->dispatch, BYTES));
    whole = sgti_tensor_1d(buffer, 0, N);
}

static void close_protected(void)
{
    sgti_buffer_free(context->dispatch, buffer, BYTES);
    sgt_context_free(context);
}

START_TEST(memory_starts_as_nan)
{
    float values[N];
    sgtt_ok(sgti_read(context->dispatch, values, &whole));
    for (int i = 0; i < N; i++)
        ck_assert(isnan(values[i]));
}
END_TEST

START_TEST(operations_reach_the_memory)
{
    float values[N];
    sgtt_ok(sgti_fill(context->dispatch, &whole, 3));
    sgtt_ok(sgti_axpy(context->dispatch, &whole, 2, &whole));
    sgtt_ok(sgti_read(context->dispatch, values, &whole));
    for (int i = 0; i < N; i++)
        ck_assert_float_eq(values[i], 9);
}
END_TEST

START_TEST(memory_is_not_host_visible)
{
    sgt_backend_info report = {.size = sizeof report};
    sgtt_ok(sgt_context_get_backend(&report, context));
    ck_assert_int_eq(report.host_visible, 0);
    ck_assert_ptr_null(sgti_host_address(context->dispatch, &whole));
}
END_TEST

START_TEST(a_tensor_past_its_buffer_is_refused)
{
    sgt_tensor late = sgti_tensor_1d(buffer, 1, N);
    sgt_tensor wide = sgti_tensor_as(whole, SGT_F64);
    sgtt_fails(sgti_fill(context->dispatch, &late, 0), SGT_E_BACKEND, "reaches past its buffer");
    sgtt_fails(sgti_fill(context->dispatch, &wide, 0), SGT_E_BACKEND, "reaches past its buffer");
}
END_TEST

/* Knows where the last allocation was: what no program should find out about a buffer. */
static char *last_allocation;

static void *allocate(void *user, size_t alignment, size_t bytes)
{
    (void)user;
    last_allocation = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    return last_allocation;
}

static void release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

/* 1 when a process that touches this byte survives. */
static int can_touch(volatile char *byte, int writing)
{
    int status;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        if (writing)
            *byte = 1;
        _exit(writing ? 0 : *byte == 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) <= 1;
}

START_TEST(memory_is_closed_between_operations)
{
    const sgt_allocator allocator = {.size = sizeof allocator,
                                     .allocate = allocate,
                                     .release = release};
    sgt_context *own;
    sgt_buffer *closed;
    sgt_context_options options;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = "protected";
    options.allocator = &allocator;
    sgtt_ok(sgt_context_create(&own, &options));
    sgtt_ok(sgti_buffer_allocate(&closed, own->dispatch, BYTES));
    char *memory = last_allocation;
    sgt_tensor tensor = sgti_tensor_1d(closed, 0, N);
    sgtt_ok(sgti_fill(own->dispatch, &tensor, 1));
    ck_assert(!can_touch(memory, 0));
    ck_assert(!can_touch(memory, 1));
    sgti_buffer_free(own->dispatch, closed, BYTES);
    sgt_context_free(own);
}
END_TEST

START_TEST(chosen_units_may_be_left_to_whole_products)
{
    sgt_context *own = sgtt_context_on("protected-whole", 1);
    ck_assert_int_eq(sgti_has_units(context->dispatch), 1);
    ck_assert_int_eq(sgti_has_units(own->dispatch), 0);
    sgt_context_free(own);
}
END_TEST

/* ---- graphs ---- */

START_TEST(a_graph_repeats_what_was_captured)
{
    float values[N];
    sgt_graph *graph = NULL;
    ck_assert(sgti_can_capture(context->dispatch));
    sgtt_ok(sgti_fill(context->dispatch, &whole, 1));
    sgtt_ok(sgti_capture_begin(context->dispatch));
    sgtt_ok(sgti_axpy(context->dispatch, &whole, 2, &whole));
    sgtt_fails(sgti_read(context->dispatch, values, &whole), SGT_E_BACKEND, "under capture");
    sgtt_fails(sgti_sync(context->dispatch), SGT_E_BACKEND, "under capture");
    sgtt_ok(sgti_capture_end(&graph, context->dispatch));
    sgtt_ok(sgti_read(context->dispatch, values, &whole));
    ck_assert_float_eq(values[N - 1], 1);
    for (int i = 0; i < 3; i++)
        sgtt_ok(sgti_replay(context->dispatch, graph));
    sgtt_ok(sgti_read(context->dispatch, values, &whole));
    ck_assert_float_eq(values[N - 1], 27);
    sgti_graph_free(context->dispatch, graph);
}
END_TEST

START_TEST(what_a_graph_cannot_have_is_declined_at_once)
{
    sgt_graph *graph = NULL;
    sgt_norm_args args = {.x = &whole, .sum = &whole};
    sgt_tensor sum = sgti_tensor_as(sgti_tensor_1d(buffer, 0, 1), SGT_F64);
    args.sum = &sum;
    sgtt_ok(sgti_capture_begin(context->dispatch));
    sgtt_fails(sgti_norm(context->dispatch, &args), SGT_E_UNSUPPORTED,
               "declines norm, and nothing stands in for it in a graph");
    sgtt_ok(sgti_capture_end(&graph, context->dispatch));
    sgti_graph_free(context->dispatch, graph);
    sgtt_fails(sgti_capture_end(&graph, context->dispatch), SGT_E_STATE, "no capture was begun");
}
END_TEST

START_TEST(a_buffer_tells_what_it_is)
{
    sgt_native native = {.size = sizeof native};
    sgtt_ok(sgti_native(&native, context->dispatch, buffer));
    ck_assert_str_eq(native.kind, "protected");
    ck_assert_ptr_nonnull(native.memory);
}
END_TEST

START_TEST(others_have_no_graphs)
{
    sgt_native native = {.size = sizeof native};
    sgt_context *portable = sgtt_context_on("portable", 1);
    ck_assert(!sgti_can_capture(portable->dispatch));
    sgtt_fails(sgti_capture_begin(portable->dispatch), SGT_E_UNSUPPORTED,
               "backend 'portable' captures no graphs");
    sgtt_fails(sgti_native(&native, portable->dispatch, NULL), SGT_E_UNSUPPORTED,
               "backend 'portable' does not tell");
    sgt_context_free(portable);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("protected");
    TCase *tests = tcase_create("protected");
    tcase_add_checked_fixture(tests, open_protected, close_protected);
    tcase_add_test(tests, memory_starts_as_nan);
    tcase_add_test(tests, operations_reach_the_memory);
    tcase_add_test(tests, memory_is_not_host_visible);
    tcase_add_test(tests, a_tensor_past_its_buffer_is_refused);
    tcase_add_test(tests, memory_is_closed_between_operations);
    tcase_add_test(tests, chosen_units_may_be_left_to_whole_products);
    tcase_add_test(tests, a_graph_repeats_what_was_captured);
    tcase_add_test(tests, what_a_graph_cannot_have_is_declined_at_once);
    tcase_add_test(tests, a_buffer_tells_what_it_is);
    tcase_add_test(tests, others_have_no_graphs);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
