/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every malloc, calloc, realloc and posix_memalign of a whole life fails in turn, whoever made it:
 * the library, Jansson, the C library. The portable backend alone: BLIS ends the process when it
 * gets no memory, which is why a context asks for that memory first.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "malloc_shim.h"
#include "whole_life.h"

#define USUAL_STEP 11 /* a prime, so that it meets no pattern */

static int64_t failing; /* the allocation that fails */

static void say_where(int number)
{
    char text[] = "signal     when allocation            failed\n";
    for (int i = 10, n = number; n > 0; n /= 10)
        text[--i] = (char)('0' + n % 10);
    int64_t n = failing;
    for (int i = 37; n > 0; n /= 10)
        text[--i] = (char)('0' + n % 10);
    ssize_t ignored = write(2, text, sizeof text - 1);
    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

/* One life with `most` allocations failing from number `at` on, no more than one of its calls
 * notices. Returns the allocations made. */
static int64_t live(training_life *life, int64_t at, int64_t most, int32_t threads)
{
    *life = (training_life){.options = sgtt_model_options(),
                         .allowed = {SGT_E_OUT_OF_MEMORY},
                         .faults = &malloc_sweep};
    life->options.backend = "portable";
    life->options.threads = threads;
    failing = at;
    sweep_arm(&malloc_sweep, at, most);
    int64_t before = malloc_live();
    whole_life_run(life);
    int64_t leaked = malloc_live() - before;
    ck_assert_msg(threads > 1 || leaked == 0, "allocation %d failed: %d blocks leaked (%s)",
                  (int)at, (int)leaked, life->refusal);
    return malloc_sweep.calls;
}

static void sweep_all(const char *name, int64_t most, int32_t threads, int64_t usual)
{
    static training_life quiet, life;
    int64_t failed = 0, unnoticed = 0;
    live(&quiet, -1, 0, threads); /* what is made once is made */
    int64_t calls = live(&quiet, -1, 0, threads);
    ck_assert_int_gt(calls, 1000);
    for (int64_t at = 0; at < calls; at = sweep_next(at, usual)) {
        live(&life, at, most, threads);
        life_check_equal(&quiet, &life, "an allocation failed");
        failed += malloc_sweep.failed;
        unnoticed += life.refused == 0;
    }
    ck_assert_int_lt(unnoticed, calls / 20);
    sweep_report(name, calls, failed);
}

START_TEST(an_allocation_fails)
{
    sweep_all("malloc, one", 1, 1, USUAL_STEP);
}
END_TEST

/* From there on all fail until a call has said so. */
START_TEST(all_allocations_fail)
{
    sweep_all("malloc, all from there", INT64_MAX, 1, USUAL_STEP);
}
END_TEST

/* Threads that cannot be started are done without. */
START_TEST(threads_cannot_be_started)
{
    sweep_all("malloc, with a thread", 1, 2, 3 * USUAL_STEP);
}
END_TEST

int main(void)
{
    if (!MALLOC_SHIM)
        return sgtt_skipped("malloc is not glibc's own here", "");
    signal(SIGSEGV, say_where);
    signal(SIGABRT, say_where);
    Suite *suite = suite_create("malloc fails");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 300);
    tcase_add_checked_fixture(cases, NULL, scratch_remove);
    tcase_add_test(cases, an_allocation_fails);
    tcase_add_test(cases, all_allocations_fail);
    tcase_add_test(cases, threads_cannot_be_started);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
