/* SPDX-License-Identifier: BSD-3-Clause */
/* The life of a context: options, references, memory, log, progress, fork. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sgt/backend.h>

#include "backend/dispatch.h"
#include "core/context.h"
#include "core/tensors.h"
#include "testing.h"

static sgt_context_options defaults(void)
{
    sgt_context_options options;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    return options;
}

START_TEST(defaults_work)
{
    sgt_context *context = NULL;
    sgt_backend_info report = {.size = sizeof report};
    sgtt_ok(sgt_context_create(&context, NULL));
    sgtt_ok(sgt_context_get_backend(&report, context));
    ck_assert_int_ge(report.threads, 1);
    ck_assert(!strcmp(report.name, "blis") || !strcmp(report.name, "portable"));
    ck_assert_uint_eq(report.size, sizeof report);
    sgt_context_free(context);
    sgt_context_free(NULL);
}
END_TEST

START_TEST(options_have_defaults)
{
    sgt_context_options options = defaults();
    ck_assert_uint_eq(options.size, sizeof options);
    ck_assert_int_eq(options.threads, 0);
    ck_assert_ptr_null(options.backend);
    ck_assert_uint_eq(options.memory_limit, 0);
    ck_assert_int_eq(options.log_level, SGT_LOG_WARNING);
    sgtt_fails(sgt_context_options_init(NULL, sizeof options), SGT_E_INVALID_ARGUMENT,
               "sgt_context_options is NULL");
    sgtt_fails(sgt_context_options_init(&options, 8), SGT_E_STRUCT_SIZE, "sgt_context_options");
}
END_TEST

START_TEST(bad_options_are_named)
{
    sgt_context *context = (sgt_context *)(void *)&context;
    sgt_context_options options = defaults();
    options.threads = 257;
    sgtt_fails(sgt_context_create(&context, &options), SGT_E_INVALID_ARGUMENT, "threads is 257");
    options.threads = -1;
    sgtt_fails(sgt_context_create(&context, &options), SGT_E_INVALID_ARGUMENT, "threads is -1");
    options = defaults();
    options.isa = "sse9";
    sgtt_fails(sgt_context_create(&context, &options), SGT_E_INVALID_ARGUMENT, "isa is \"sse9\"");
    options = defaults();
    options.size = 3;
    sgtt_fails(sgt_context_create(&context, &options), SGT_E_STRUCT_SIZE, "sgt_context_options");
    options = defaults();
    const sgt_allocator incomplete = {.size = sizeof incomplete};
    options.allocator = &incomplete;
    sgtt_fails(sgt_context_create(&context, &options), SGT_E_INVALID_ARGUMENT, "sgt_allocator");
    sgtt_fails(sgt_context_create(NULL, NULL), SGT_E_INVALID_ARGUMENT, "context is NULL");
    ck_assert_ptr_eq(context, (sgt_context *)(void *)&context);
}
END_TEST

START_TEST(strings_of_options_are_copied)
{
    char backend[] = "portable", isa[] = "baseline";
    sgt_context *context;
    sgt_context_options options = defaults();
    sgt_backend_info report = {.size = sizeof report};
    options.backend = backend;
    options.isa = isa;
    options.threads = 3;
    sgtt_ok(sgt_context_create(&context, &options));
    memset(backend, 'x', sizeof backend - 1);
    memset(isa, 'x', sizeof isa - 1);
    sgtt_ok(sgt_context_get_backend(&report, context));
    ck_assert_str_eq(report.name, "portable");
    ck_assert_str_eq(report.isa, "baseline");
    ck_assert_ptr_nonnull(strstr(report.kernels, "baseline"));
    ck_assert_int_eq(report.threads, 3);
    ck_assert_int_eq(report.host_visible, 1);
    sgt_context_free(context);
}
END_TEST

START_TEST(reports_check_their_arguments)
{
    sgt_context *context;
    sgt_context_memory usage = {.size = sizeof usage};
    sgt_backend_info report = {.size = sizeof report};
    sgtt_ok(sgt_context_create(&context, NULL));
    sgtt_fails(sgt_context_get_memory(NULL, context), SGT_E_INVALID_ARGUMENT, "sgt_context_memory");
    sgtt_fails(sgt_context_get_memory(&usage, NULL), SGT_E_INVALID_ARGUMENT, "context is NULL");
    usage.size = 8;
    sgtt_fails(sgt_context_get_memory(&usage, context), SGT_E_STRUCT_SIZE, "sgt_context_memory");
    sgtt_fails(sgt_context_get_backend(NULL, context), SGT_E_INVALID_ARGUMENT, "sgt_backend_info");
    sgtt_fails(sgt_context_get_backend(&report, NULL), SGT_E_INVALID_ARGUMENT, "context is NULL");
    sgt_context_free(context);
}
END_TEST

/* ---- references ---- */

START_TEST(the_last_reference_frees)
{
    sgt_context *context;
    sgt_context_memory usage = {.size = sizeof usage};
    sgtt_ok(sgt_context_create(&context, NULL));
    ck_assert_ptr_eq(sgti_context_ref(context), context);
    sgt_context_free(context);
    sgtt_ok(sgt_context_get_memory(&usage, context)); /* still there */
    ck_assert_uint_ge(usage.current, sizeof *context);
    sgti_context_unref(context);
}
END_TEST

START_TEST(contexts_are_independent)
{
    sgt_context *contexts[3];
    sgt_context_memory usage = {.size = sizeof usage};
    for (int i = 0; i < 3; i++) {
        sgt_context_options options = defaults();
        options.memory_limit = (uint64_t)(i + 1) << 30;
        options.threads = i + 1;
        sgtt_ok(sgt_context_create(&contexts[i], &options));
    }
    sgt_context_free(contexts[1]);
    for (int i = 0; i < 3; i += 2) {
        sgtt_ok(sgt_context_get_memory(&usage, contexts[i]));
        ck_assert_uint_eq(usage.limit, (uint64_t)(i + 1) << 30);
    }
    sgt_context_free(contexts[2]);
    sgt_context_free(contexts[0]);
}
END_TEST

/* ---- memory ---- */

typedef struct host {
    int calls;
    int fail_at;
    size_t current;
} host;

static void *host_allocate(void *user, size_t alignment, size_t bytes)
{
    host *self = user;
    void *memory = NULL;
    if (++self->calls != self->fail_at && posix_memalign(&memory, alignment, bytes) == 0)
        self->current += bytes;
    return memory;
}

static void host_release(void *user, void *memory, size_t bytes)
{
    ((host *)user)->current -= bytes;
    free(memory);
}

static sgt_status create_with_host(sgt_context **context, host *state)
{
    const sgt_allocator allocator = {.size = sizeof allocator,
                                     .allocate = host_allocate,
                                     .release = host_release,
                                     .user = state};
    sgt_context_options options = defaults();
    options.allocator = &allocator;
    options.threads = 2;
    return sgt_context_create(context, &options);
}

START_TEST(everything_comes_from_the_hosts_allocator)
{
    host state = {0};
    sgt_context *context;
    sgt_context_memory usage = {.size = sizeof usage};
    sgtt_ok(create_with_host(&context, &state));
    sgtt_ok(sgt_context_get_memory(&usage, context));
    ck_assert_uint_eq(usage.current, state.current);
    ck_assert_int_eq((int)usage.allocations, state.calls);
    sgt_context_free(context);
    ck_assert_uint_eq(state.current, 0);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    sgt_status status = SGT_E_INTERNAL;
    int failures = 0;
    for (int at = 1; status != SGT_OK; at++) {
        host state = {.fail_at = at};
        sgt_context *context = NULL;
        status = create_with_host(&context, &state);
        if (status) {
            failures++;
            ck_assert_int_eq(status, SGT_E_OUT_OF_MEMORY);
            ck_assert_ptr_null(context);
        }
        sgt_context_free(context);
        ck_assert_uint_eq(state.current, 0);
    }
    ck_assert_int_ge(failures, 3); /* the context, its pool, its backend */
}
END_TEST

START_TEST(a_limit_holds_from_the_first_byte)
{
    sgt_context *context = NULL;
    sgt_context_memory usage = {.size = sizeof usage};
    sgt_context_options options = defaults();
    options.threads = 1;
    sgtt_ok(sgt_context_create(&context, &options));
    sgtt_ok(sgt_context_get_memory(&usage, context));
    sgt_context_free(context);
    context = NULL;
    options.memory_limit = usage.peak - 1;
    sgtt_fails(sgt_context_create(&context, &options), SGT_E_MEMORY_LIMIT, "bytes");
    options.memory_limit = 1;
    sgtt_fails(sgt_context_create(&context, &options), SGT_E_MEMORY_LIMIT, "a context");
    ck_assert_ptr_null(context);
    options.memory_limit = usage.peak;
    sgtt_ok(sgt_context_create(&context, &options));
    sgt_context_free(context);
}
END_TEST

/* ---- callbacks ---- */

typedef struct lines {
    int count;
    int32_t level;
    char last[256];
} lines;

static void keep_line(void *user, int32_t level, const char *message)
{
    lines *self = user;
    self->count++;
    self->level = level;
    strncpy(self->last, message, sizeof self->last - 1);
}

START_TEST(the_log_is_filtered)
{
    lines kept = {0};
    sgt_context *context;
    sgt_context_options options = defaults();
    options.log = keep_line;
    options.log_user = &kept;
    options.log_level = SGT_LOG_INFO;
    sgtt_ok(sgt_context_create(&context, &options));
    ck_assert_int_ge(kept.count, 1);
    int before = kept.count;
    sgti_log(context, SGT_LOG_DEBUG, "not wanted");
    ck_assert_int_eq(kept.count, before);
    sgti_log(context, SGT_LOG_WARNING, "layer %d", 4);
    ck_assert_int_eq(kept.count, before + 1);
    ck_assert_int_eq(kept.level, SGT_LOG_WARNING);
    ck_assert_str_eq(kept.last, "layer 4");
    sgt_context_free(context);
}
END_TEST

typedef struct watch {
    int32_t answer;
    sgt_progress last;
} watch;

static int32_t keep_progress(void *user, const sgt_progress *progress)
{
    watch *self = user;
    self->last = *progress;
    return self->answer;
}

START_TEST(progress_may_stop)
{
    watch kept = {0};
    sgt_context *context;
    sgt_context_options options = defaults();
    options.progress = keep_progress;
    options.progress_user = &kept;
    sgtt_ok(sgt_context_create(&context, &options));
    sgtt_ok(sgti_progress(context, SGT_PHASE_BACKWARD, 2, 7));
    ck_assert_uint_eq(kept.last.size, sizeof kept.last);
    ck_assert_int_eq(kept.last.phase, SGT_PHASE_BACKWARD);
    ck_assert_int_eq(kept.last.done, 2);
    ck_assert_int_eq(kept.last.total, 7);
    kept.answer = 42;
    sgtt_fails(sgti_progress(context, SGT_PHASE_FORWARD, 3, 7), 42, "after 3 of 7 layers");
    sgtt_fails(sgti_progress(context, SGT_PHASE_LOAD, 3, 7), 42, "after 3 of 7 tensors");
    sgt_context_free(context);
}
END_TEST

/* A feed of many tokens through many layers has more steps than 32 bits tell. */
START_TEST(progress_beyond_32_bits_is_told_in_proportion)
{
    static const int64_t totals[] = {INT32_MAX, INT64_C(1) << 31, INT64_C(1) << 40,
                                     INT64_C(1) << 42};
    watch kept = {0};
    sgt_context *context;
    sgt_context_options options = defaults();
    options.progress = keep_progress;
    options.progress_user = &kept;
    sgtt_ok(sgt_context_create(&context, &options));
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        sgtt_ok(sgti_progress(context, SGT_PHASE_DECODE, totals[i] / 2, totals[i]));
        ck_assert_int_ge(kept.last.total, 1 << 29);
        ck_assert_double_eq_tol((double)kept.last.done / kept.last.total, 0.5, 1e-8);
    }
    sgt_context_free(context);
}
END_TEST

/* ---- fork ---- */

/* 1 when a gemm of ones gives the number of columns. */
static int product_works(sgt_context *context)
{
    enum { SIZE = 96 };
    static float values[SIZE * SIZE];
    const uint64_t bytes = 3 * SIZE * SIZE * sizeof(float);
    sgt_buffer *buffer;
    if (sgti_buffer_allocate(&buffer, context->dispatch, bytes))
        return 0;
    sgt_tensor a = sgti_tensor_2d(buffer, 0, SIZE, SIZE);
    sgt_tensor b = sgti_tensor_2d(buffer, SIZE * SIZE, SIZE, SIZE);
    sgt_tensor c = sgti_tensor_2d(buffer, 2 * SIZE * SIZE, SIZE, SIZE);
    int failed = sgti_fill(context->dispatch, &a, 1) || sgti_fill(context->dispatch, &b, 1) ||
                 sgti_gemm(context->dispatch, &c, 1, &a, &b, 0, NULL) ||
                 sgti_read(context->dispatch, values, &c);
    sgti_buffer_free(context->dispatch, buffer, bytes);
    for (int i = 0; i < SIZE * SIZE; i++)
        failed |= values[i] != SIZE;
    return !failed;
}

START_TEST(a_forked_child_goes_on)
{
    int status;
    sgt_context *context;
    sgt_context_options options = defaults();
    options.threads = 3;
    sgtt_ok(sgt_context_create(&context, &options));
    ck_assert(product_works(context));
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        alarm(20);
        int works = product_works(context);
        sgt_context_free(context);
        _exit(works ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert(product_works(context));
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("context");
    TCase *tests = tcase_create("context");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, defaults_work);
    tcase_add_test(tests, options_have_defaults);
    tcase_add_test(tests, bad_options_are_named);
    tcase_add_test(tests, strings_of_options_are_copied);
    tcase_add_test(tests, reports_check_their_arguments);
    tcase_add_test(tests, the_last_reference_frees);
    tcase_add_test(tests, contexts_are_independent);
    tcase_add_test(tests, everything_comes_from_the_hosts_allocator);
    tcase_add_test(tests, every_allocation_may_fail);
    tcase_add_test(tests, a_limit_holds_from_the_first_byte);
    tcase_add_test(tests, the_log_is_filtered);
    tcase_add_test(tests, progress_may_stop);
    tcase_add_test(tests, progress_beyond_32_bits_is_told_in_proportion);
    tcase_add_test(tests, a_forked_child_goes_on);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
