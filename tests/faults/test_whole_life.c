/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole life in which nothing fails, with one thread and with two: the same numbers, whether
 * tokens are one stream or several. valgrind runs this too. */
#include "whole_life.h"

START_TEST(threads_do_not_matter)
{
    static training_life lives[2];
    for (int i = 0; i < 2; i++) {
        lives[i] = (training_life){.options = sgtt_model_options(), .streams = _i};
        lives[i].options.threads = 1 + i;
        whole_life_run(&lives[i]);
        ck_assert_int_eq(lives[i].refused, 0);
    }
    life_check_equal(&lives[0], &lives[1], "another number of threads");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("a whole life");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 300);
    tcase_add_checked_fixture(cases, NULL, scratch_remove);
    tcase_add_loop_test(cases, threads_do_not_matter, 1, 3);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
