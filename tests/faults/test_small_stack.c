/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole life on a thread with the stack that doc/threading.md asks for, and nothing beyond it. */
#include <pthread.h>

#include "whole_life.h"

enum { STACK_BYTES = 64 << 10 };

static training_life life;

static void *live(void *argument)
{
    (void)argument;
    whole_life_run(&life);
    return NULL;
}

START_TEST(a_small_stack_is_enough)
{
    pthread_attr_t attributes;
    pthread_t thread;
    life = (training_life){.options = sgtt_model_options()};
    life.options.threads = _i;
    pthread_attr_init(&attributes);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, STACK_BYTES), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, live, NULL), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    ck_assert_int_gt(life.count, 0);
    ck_assert_int_eq(life.refused, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("a small stack");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, NULL, scratch_remove);
    tcase_add_loop_test(cases, a_small_stack_is_enough, 1, 3);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
