/* SPDX-License-Identifier: BSD-3-Clause */
/* Counted memory: counters, limit, a host's allocator, and allocators that fail. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "testing.h"

static sgt_context_memory usage_of(sgti_memory *memory)
{
    sgt_context_memory usage = {.size = sizeof usage};
    sgti_memory_report(&usage, memory);
    return usage;
}

START_TEST(counters_follow_the_allocations)
{
    sgti_memory memory;
    void *a, *b;
    sgtt_ok(sgti_memory_init(&memory, NULL, 0));
    sgtt_ok(sgti_allocate_aligned(&a, &memory, 64, 1000, "a"));
    sgtt_ok(sgti_allocate_aligned(&b, &memory, 64, 500, "b"));
    ck_assert_uint_eq(usage_of(&memory).current, 1500);
    sgti_release(&memory, a, 1000);
    sgtt_ok(sgti_allocate_zeroed(&a, &memory, 10, 20, "c"));
    ck_assert_uint_eq(usage_of(&memory).current, 700);
    ck_assert_uint_eq(usage_of(&memory).peak, 1500);
    ck_assert_uint_eq(usage_of(&memory).allocations, 3);
    ck_assert_uint_eq(usage_of(&memory).limit, 0);
    sgti_release(&memory, a, 200);
    sgti_release(&memory, b, 500);
    sgti_release(&memory, NULL, 12345);
    ck_assert_uint_eq(usage_of(&memory).current, 0);
    sgti_memory_destroy(&memory);
}
END_TEST

START_TEST(memory_is_aligned_and_zeroed)
{
    sgti_memory memory;
    void *block;
    sgtt_ok(sgti_memory_init(&memory, NULL, 0));
    for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
        sgtt_ok(sgti_allocate_aligned(&block, &memory, alignment, 3, "a block"));
        ck_assert_uint_eq((uintptr_t)block % alignment, 0);
        sgti_release(&memory, block, 3);
    }
    for (int round = 0; round < 2; round++) {
        static const char zeros[300];
        sgtt_ok(sgti_allocate_zeroed(&block, &memory, 3, 100, "zeros"));
        ck_assert_mem_eq(block, zeros, sizeof zeros);
        memset(block, 0x55, sizeof zeros); /* for the second round to find */
        sgti_release(&memory, block, sizeof zeros);
    }
    sgti_memory_destroy(&memory);
}
END_TEST

START_TEST(nothing_is_null)
{
    sgti_memory memory;
    void *block = &memory;
    sgtt_ok(sgti_memory_init(&memory, NULL, 1));
    sgtt_ok(sgti_allocate_aligned(&block, &memory, 64, 0, "nothing"));
    ck_assert_ptr_null(block);
    block = &memory;
    sgtt_ok(sgti_allocate_zeroed(&block, &memory, 0, 8, "nothing"));
    ck_assert_ptr_null(block);
    ck_assert_uint_eq(usage_of(&memory).allocations, 0);
    sgti_memory_destroy(&memory);
}
END_TEST

START_TEST(a_limit_is_an_error)
{
    sgti_memory memory;
    void *block, *other = &memory;
    sgtt_ok(sgti_memory_init(&memory, NULL, 1000));
    sgtt_ok(sgti_allocate_aligned(&block, &memory, 64, 600, "a block"));
    sgtt_fails(sgti_allocate_aligned(&other, &memory, 64, 401, "the arena of a step"),
               SGT_E_MEMORY_LIMIT,
               "401 bytes for the arena of a step: 600 of 1000 bytes are in use already");
    ck_assert_ptr_eq(other, &memory);
    ck_assert_uint_eq(usage_of(&memory).current, 600);
    sgtt_ok(sgti_allocate_aligned(&other, &memory, 64, 400, "exactly the rest"));
    sgti_release(&memory, block, 600);
    sgti_release(&memory, other, 400);
    sgti_memory_destroy(&memory);
}
END_TEST

START_TEST(sizes_that_do_not_fit)
{
    sgti_memory memory;
    void *block = &memory;
    sgtt_ok(sgti_memory_init(&memory, NULL, 0));
    sgtt_fails(sgti_allocate_zeroed(&block, &memory, UINT64_MAX / 2, 3, "a table"), SGT_E_OVERFLOW,
               "for a table");
    sgtt_fails(sgti_allocate_aligned(&block, &memory, 64, UINT64_MAX, "a table"),
               SGT_E_OUT_OF_MEMORY, "for a table");
    ck_assert_ptr_eq(block, &memory);
    ck_assert_uint_eq(usage_of(&memory).current, 0);
    sgti_memory_destroy(&memory);
}
END_TEST

/* ---- a host's allocator ---- */

typedef struct host {
    int calls;
    int fail_at; /* the call that gives NULL; 0: none */
    int inside;  /* threads now */
    int overlaps;
    size_t current;
} host;

static void *host_allocate(void *user, size_t alignment, size_t bytes)
{
    host *self = user;
    self->overlaps += self->inside++;
    void *memory = NULL;
    sched_yield(); /* lets another thread in, if one can be */
    if (++self->calls != self->fail_at &&
        posix_memalign(&memory, alignment < 8 ? 8 : alignment, bytes) == 0)
        self->current += bytes;
    self->inside--;
    return memory;
}

static void host_release(void *user, void *memory, size_t bytes)
{
    host *self = user;
    self->overlaps += self->inside++;
    sched_yield();
    self->current -= bytes;
    free(memory);
    self->inside--;
}

START_TEST(a_hosts_allocator_is_used)
{
    host state = {0};
    sgti_memory memory;
    void *block;
    const sgt_allocator allocator = {.size = sizeof allocator,
                                     .allocate = host_allocate,
                                     .release = host_release,
                                     .user = &state};
    sgtt_ok(sgti_memory_init(&memory, &allocator, 0));
    sgtt_ok(sgti_allocate_aligned(&block, &memory, 128, 77, "a block"));
    ck_assert_uint_eq(state.current, 77);
    ck_assert_uint_eq((uintptr_t)block % 128, 0);
    sgti_release(&memory, block, 77);
    ck_assert_uint_eq(state.current, 0);
    sgti_memory_destroy(&memory);
}
END_TEST

START_TEST(its_failure_is_an_error)
{
    host state = {.fail_at = 2};
    sgti_memory memory;
    void *block, *other = &state;
    const sgt_allocator allocator = {.size = sizeof allocator,
                                     .allocate = host_allocate,
                                     .release = host_release,
                                     .user = &state};
    sgtt_ok(sgti_memory_init(&memory, &allocator, 0));
    sgtt_ok(sgti_allocate_aligned(&block, &memory, 64, 10, "a block"));
    sgtt_fails(sgti_allocate_zeroed(&other, &memory, 5, 4, "the second"), SGT_E_OUT_OF_MEMORY,
               "20 bytes for the second");
    ck_assert_ptr_eq(other, &state);
    ck_assert_uint_eq(usage_of(&memory).current, 10);
    ck_assert_uint_eq(usage_of(&memory).allocations, 1);
    sgti_release(&memory, block, 10);
    sgti_memory_destroy(&memory);
}
END_TEST

START_TEST(an_allocator_must_be_whole)
{
    sgti_memory memory;
    sgt_allocator allocator = {.size = sizeof allocator, .allocate = host_allocate};
    sgtt_fails(sgti_memory_init(&memory, &allocator, 0), SGT_E_INVALID_ARGUMENT,
               "sgt_allocator: release is NULL");
    allocator = (sgt_allocator){.size = sizeof allocator, .release = host_release};
    sgtt_fails(sgti_memory_init(&memory, &allocator, 0), SGT_E_INVALID_ARGUMENT,
               "sgt_allocator: allocate is NULL");
    allocator = (sgt_allocator){.allocate = host_allocate, .release = host_release};
    sgtt_fails(sgti_memory_init(&memory, &allocator, 0), SGT_E_STRUCT_SIZE, "sgt_allocator");
}
END_TEST

static void *allocate_often(void *argument)
{
    sgti_memory *memory = argument;
    for (int i = 1; i <= 2000; i++) {
        void *block;
        if (sgti_allocate_aligned(&block, memory, 16, (uint64_t)i, "a block"))
            return argument;
        sgti_release(memory, block, (uint64_t)i);
    }
    return NULL;
}

START_TEST(threads_never_meet_in_the_hosts_allocator)
{
    host state = {0};
    sgti_memory memory;
    pthread_t threads[4];
    const sgt_allocator allocator = {.size = sizeof allocator,
                                     .allocate = host_allocate,
                                     .release = host_release,
                                     .user = &state};
    sgtt_ok(sgti_memory_init(&memory, &allocator, 0));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, allocate_often, &memory), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    ck_assert_int_eq(state.overlaps, 0);
    ck_assert_int_eq(state.calls, 8000);
    ck_assert_uint_eq(usage_of(&memory).current, 0);
    ck_assert_uint_eq(usage_of(&memory).allocations, 8000);
    sgti_memory_destroy(&memory);
}
END_TEST

/* What came from elsewhere counts, against the limit too. */
START_TEST(reserved_memory_counts)
{
    sgti_memory memory;
    void *block;
    sgtt_ok(sgti_memory_init(&memory, NULL, 1000));
    sgtt_ok(sgti_memory_reserve(&memory, 700, "the device"));
    ck_assert_uint_eq(usage_of(&memory).current, 700);
    sgtt_fails(sgti_allocate_aligned(&block, &memory, 64, 301, "a block"), SGT_E_MEMORY_LIMIT,
               "301 bytes for a block: 700 of 1000");
    sgtt_fails(sgti_memory_reserve(&memory, 301, "the device"), SGT_E_MEMORY_LIMIT,
               "301 bytes for the device: 700 of 1000");
    sgtt_fails(sgti_memory_reserve(&memory, UINT64_MAX, "the device"), SGT_E_OUT_OF_MEMORY,
               "cannot be addressed");
    sgti_memory_unreserve(&memory, 700);
    ck_assert_uint_eq(usage_of(&memory).current, 0);
    ck_assert_uint_eq(usage_of(&memory).peak, 700);
    sgti_memory_destroy(&memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tests = tcase_create("memory");
    tcase_add_test(tests, counters_follow_the_allocations);
    tcase_add_test(tests, memory_is_aligned_and_zeroed);
    tcase_add_test(tests, nothing_is_null);
    tcase_add_test(tests, a_limit_is_an_error);
    tcase_add_test(tests, sizes_that_do_not_fit);
    tcase_add_test(tests, a_hosts_allocator_is_used);
    tcase_add_test(tests, its_failure_is_an_error);
    tcase_add_test(tests, an_allocator_must_be_whole);
    tcase_add_test(tests, reserved_memory_counts);
    tcase_add_test(tests, threads_never_meet_in_the_hosts_allocator);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
