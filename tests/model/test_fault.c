/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that runs out: every allocation of a whole training fails in turn. The call that needed
 * it says so, nothing leaks, and when it is made again the training ends with the bits of one in
 * which nothing failed.
 */
#include <stdlib.h>
#include <string.h>

#include <sgt/growth.h>

#include "test_allocator.h"
#include "training_life.h"

static training_life begin(void)
{
    return (training_life){
        .options = sgtt_model_options(), .allowed = {SGT_E_OUT_OF_MEMORY}, .steady = 1};
}

static const int kinds[] = {SGTT_KIND_DENSE, SGTT_KIND_WIDE_STREAMS, SGTT_KIND_UNITS,
                            SGTT_KIND_RELU_UNITS};

#define N_KINDS (int)(sizeof kinds / sizeof *kinds)

/* One life with `count` allocations failing from number `at` on. Returns the allocations made. */
static int64_t live(training_life *life, int kind, int64_t at, int64_t count, int64_t *failed)
{
    test_allocator allocator;
    test_allocator_init(&allocator);
    allocator.fail_at = at;
    allocator.fail_count = count;
    *life = begin();
    life->options.allocator = &allocator.interface;
    training_life_run(life, kind, SGTT_SIZE_ODD);
    if (allocator.live)
        ck_abort_msg("allocation %d failed: %d blocks leaked", (int)at, (int)allocator.live);
    *failed = allocator.failed;
    return allocator.calls;
}

START_TEST(memory_of_the_host_is_used_properly)
{
    training_life host, libc = begin();
    int64_t failed;
    ck_assert_int_gt(live(&host, kinds[_i], -1, 0, &failed), 20);
    training_life_run(&libc, kinds[_i], SGTT_SIZE_ODD);
    life_check_equal(&host, &libc, "fresh memory full of NaN");
}
END_TEST

/* In lives of hidden memory, which take long, most allocations of the steps are left out. */
static int64_t next(int64_t at)
{
    const char *backend = getenv("SGT_TEST_BACKEND");
    return at + (at > 30 && backend && strcmp(backend, "protected") == 0 ? 13 : 1);
}

START_TEST(an_allocation_fails)
{
    training_life quiet, life;
    int64_t failed, calls = live(&quiet, kinds[_i], -1, 0, &failed);
    for (int64_t at = 0; at < calls; at = next(at)) {
        live(&life, kinds[_i], at, 1, &failed);
        ck_assert_int_eq(failed, 1);
        ck_assert_int_eq(life.refused, 1); /* by exactly one call: none is done without */
        life_check_equal(&quiet, &life, "one allocation failed");
    }
}
END_TEST

/* Taking old memory back fails too, and so does the next call. */
START_TEST(several_allocations_fail_in_a_row)
{
    training_life quiet, life;
    int64_t failed, calls = live(&quiet, kinds[_i], -1, 0, &failed);
    for (int64_t at = 0; at < calls; at = next(next(at))) {
        live(&life, kinds[_i], at, 5, &failed);
        ck_assert_int_ge(life.refused, 1);
        life_check_equal(&quiet, &life, "several allocations failed");
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory runs out");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 120);
    tcase_add_loop_test(cases, memory_of_the_host_is_used_properly, 0, N_KINDS);
    tcase_add_loop_test(cases, an_allocation_fails, 0, N_KINDS);
    tcase_add_loop_test(cases, several_allocations_fail_in_a_row, 0, N_KINDS);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
