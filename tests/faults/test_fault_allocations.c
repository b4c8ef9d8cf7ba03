/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every allocation of a whole life through the context's allocator fails in turn, files included:
 * the call that needed it says so, the checkpoint that was there stays, nothing leaks, and the life
 * goes on to the numbers of one in which nothing failed.
 */
#include <stdlib.h>
#include <string.h>

#include "sweep.h"
#include "test_allocator.h"
#include "whole_life.h"

#define USUAL_STEP   1
#define STREAMS_STEP 3

/* One life with tokens of so many streams, `most` allocations failing from number `at` on. Returns
 * the allocations made. */
static int64_t live(training_life *life, int32_t streams, int64_t at, int64_t most, int64_t *failed)
{
    test_allocator allocator;
    test_allocator_init(&allocator);
    allocator.fail_at = at;
    allocator.fail_count = most;
    *life = (training_life){.options = sgtt_model_options(),
                            .allowed = {SGT_E_OUT_OF_MEMORY},
                            .streams = streams};
    life->options.allocator = &allocator.interface;
    whole_life_run(life);
    ck_assert_msg(allocator.live == 0, "allocation %d failed: %d blocks leaked", (int)at,
                  (int)allocator.live);
    *failed = allocator.failed;
    return allocator.calls;
}

/* _i: streams of a token. With several, some are left out. */
START_TEST(an_allocation_fails)
{
    static training_life quiet, life;
    int64_t failed, all = 0, calls = live(&quiet, _i, -1, 0, &failed);
    ck_assert_int_gt(calls, 150);
    for (int64_t at = 0; at < calls; at = sweep_next(at, _i == 1 ? USUAL_STEP : STREAMS_STEP)) {
        live(&life, _i, at, 1, &failed);
        ck_assert_int_eq(failed, 1);
        ck_assert_msg(life.refused == 1, "allocation %d of %d is done without", (int)at,
                      (int)calls);
        life_check_equal(&quiet, &life, "one allocation failed");
        all += failed;
    }
    sweep_report("context's allocator, one", calls, all);
}
END_TEST

/* What is done to recover fails too, and so does the next call. */
START_TEST(several_allocations_fail_in_a_row)
{
    static training_life quiet, life;
    int64_t failed, all = 0, calls = live(&quiet, _i, -1, 0, &failed);
    const int64_t step = _i == 1 ? USUAL_STEP : STREAMS_STEP;
    for (int64_t at = 0; at < calls; at = sweep_next(at, 2 * step)) {
        live(&life, _i, at, 5, &failed);
        ck_assert_int_ge(life.refused, 1);
        life_check_equal(&quiet, &life, "several allocations failed");
        all += failed;
    }
    sweep_report("context's allocator, five", calls, all);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("allocations fail");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 300);
    tcase_add_checked_fixture(cases, NULL, scratch_remove);
    tcase_add_loop_test(cases, an_allocation_fails, 1, 3);
    tcase_add_loop_test(cases, several_allocations_fail_in_a_row, 1, 3);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
