/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks: one thread at a time, and a forked child finds them free, whoever held them. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/locks.h"
#include "testing.h"

enum { THREADS = 4, ROUNDS = 2000, PATIENCE = 60 };

static sgti_lock lock = SGTI_LOCK_INITIALIZER;
static int counter; /* under the lock */

static void *count(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        sgti_lock_take(&lock);
        counter++;
        sgti_lock_give(&lock);
    }
    return NULL;
}

static void count_together(void)
{
    pthread_t threads[THREADS];
    counter = 0;
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(counter, THREADS * ROUNDS);
}

START_TEST(one_thread_at_a_time)
{
    count_together();
    sgti_lock_destroy(&lock);
    ck_assert_int_eq(sgti_lock_init(&lock), 0);
    count_together();
}
END_TEST

static void expect_well(pid_t child)
{
    int status = 0;
    ck_assert_int_ge(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

static pid_t fork_child(void)
{
    pid_t child = fork();
    if (child == 0)
        alarm(PATIENCE);
    return child;
}

static void take_and_give(void)
{
    sgti_lock_take(&lock);
    sgti_lock_give(&lock);
}

/* Child and grandchild each take what their parent held. */
START_TEST(a_child_finds_it_free)
{
    sgti_lock_take(&lock);
    pid_t child = fork_child();
    if (child == 0) {
        int status = 1;
        take_and_give();
        sgti_lock_take(&lock);
        pid_t grandchild = fork_child();
        if (grandchild == 0) {
            take_and_give();
            _exit(0);
        }
        waitpid(grandchild, &status, 0);
        _exit(status == 0 ? 0 : 1);
    }
    expect_well(child);
    sgti_lock_give(&lock);
}
END_TEST

/* Many threads of a child come at once: the lock still lets in one at a time. */
START_TEST(threads_of_a_child_take_over_once)
{
    for (int i = 0; i < 20; i++) {
        sgti_lock_take(&lock);
        pid_t child = fork_child();
        if (child == 0) {
            pthread_t threads[THREADS];
            counter = 0;
            for (int t = 0; t < THREADS; t++)
                if (pthread_create(&threads[t], NULL, count, NULL) != 0)
                    _exit(2);
            for (int t = 0; t < THREADS; t++)
                pthread_join(threads[t], NULL);
            _exit(counter == THREADS * ROUNDS ? 0 : 1);
        }
        expect_well(child);
        sgti_lock_give(&lock);
    }
}
END_TEST

/* A child that is forked in the middle of a take-over takes over itself. */
START_TEST(a_take_over_may_be_interrupted)
{
    static sgti_process mark;
    ck_assert_int_eq(sgti_process_changed(&mark), 0); /* of nobody before */
    ck_assert_int_eq(sgti_process_changed(&mark), 0);
    pid_t child = fork_child();
    if (child == 0) {
        int status = 1;
        if (!sgti_process_changed(&mark))
            _exit(1);
        pid_t grandchild = fork_child(); /* before it is taken */
        if (grandchild == 0) {
            int changed = sgti_process_changed(&mark);
            sgti_process_taken(&mark);
            _exit(changed && !sgti_process_changed(&mark) ? 0 : 1);
        }
        waitpid(grandchild, &status, 0);
        sgti_process_taken(&mark);
        _exit(status == 0 && !sgti_process_changed(&mark) ? 0 : 1);
    }
    expect_well(child);
    ck_assert_int_eq(sgti_process_changed(&mark), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("locks");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, one_thread_at_a_time);
    tcase_add_test(tests, a_child_finds_it_free);
    tcase_add_test(tests, threads_of_a_child_take_over_once);
    tcase_add_test(tests, a_take_over_may_be_interrupted);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
