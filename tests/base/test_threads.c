/* SPDX-License-Identifier: BSD-3-Clause */
/* The pool: every part once, whole thread numbers, callers that queue, forks, signals, faults, the
 * floating-point environment. */
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/threads.h"
#include "testing.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

#define PARTS   97
#define THREADS 5

typedef struct job {
    int32_t threads;
    atomic_int done[PARTS];
    atomic_int busy[THREADS]; /* by thread number */
    atomic_int wrong_thread;  /* a number out of range, or in use twice at a time */
    atomic_int seen[THREADS];
} job;

static void short_sleep(void)
{
    const struct timespec time = {.tv_nsec = 100000};
    nanosleep(&time, NULL);
}

static void count(job *self, int64_t part, int32_t thread, int slowly)
{
    if (thread < 0 || thread >= self->threads) {
        self->wrong_thread++;
        return;
    }
    if (self->busy[thread]++)
        self->wrong_thread++;
    if (slowly)
        short_sleep();
    self->done[part]++;
    self->seen[thread]++;
    self->busy[thread]--;
}

static void count_part(void *argument, int64_t part, int32_t thread)
{
    count(argument, part, thread, 0);
}

static void count_slowly(void *argument, int64_t part, int32_t thread)
{
    count(argument, part, thread, 1);
}

static sgti_memory memory;
static sgti_pool *pool;

static void make_pool(int32_t threads)
{
    sgtt_ok(sgti_memory_init(&memory, NULL, 0));
    sgtt_ok(sgti_pool_create(&pool, &memory, threads));
}

static void free_pool(void)
{
    sgti_pool_free(pool);
    ck_assert_uint_eq(memory.current, 0);
    sgti_memory_destroy(&memory);
}

START_TEST(every_part_runs_once)
{
    const int64_t parts[] = {0, 1, 2, 3, 7, PARTS};
    int32_t threads = _i;
    make_pool(threads);
    ck_assert_int_eq(sgti_pool_threads(pool), threads);
    for (int round = 0; round < 300; round++) {
        job own = {.threads = threads};
        int64_t count = parts[round % 6];
        sgti_parallel_for(pool, count, count_part, &own);
        ck_assert_int_eq(own.wrong_thread, 0);
        for (int64_t i = 0; i < PARTS; i++)
            ck_assert_int_eq(own.done[i], i < count);
    }
    free_pool();
}
END_TEST

/* Parts that take their time: nobody returns before the last of them is done, and no thread
 * number is given twice. Every worker that sleeps between jobs wakes up for some of them. */
START_TEST(work_is_shared)
{
    int helped[THREADS] = {0};
    make_pool(4);
    for (int round = 0; round < 20; round++) {
        job own = {.threads = 4};
        sgti_parallel_for(pool, 19, count_slowly, &own);
        ck_assert_int_eq(own.wrong_thread, 0);
        for (int i = 0; i < 19; i++)
            ck_assert_int_eq(own.done[i], 1);
        for (int i = 0; i < 4; i++)
            helped[i] += round > 0 && own.seen[i] > 0;
        for (int i = 0; i < 50; i++)
            short_sleep(); /* longer than workers look for work before they sleep */
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_gt(helped[i], 0);
    free_pool();
}
END_TEST

START_TEST(a_pool_that_never_ran_is_freed)
{
    make_pool(4);
    free_pool();
    sgti_pool_free(NULL);
}
END_TEST

/* ---- several callers ---- */

static job shared_job;

static void *call_often(void *argument)
{
    (void)argument;
    for (int i = 0; i < 200; i++)
        sgti_parallel_for(pool, PARTS, count_part, &shared_job);
    for (int i = 0; i < 200; i++)
        sgti_parallel_for(pool, 1, count_part, &shared_job);
    return NULL;
}

START_TEST(callers_queue)
{
    pthread_t callers[3];
    memset(&shared_job, 0, sizeof shared_job);
    shared_job.threads = _i;
    make_pool(_i);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&callers[i], NULL, call_often, NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(callers[i], NULL);
    ck_assert_int_eq(shared_job.wrong_thread, 0);
    ck_assert_int_eq(shared_job.done[0], 1200);
    for (int i = 1; i < PARTS; i++)
        ck_assert_int_eq(shared_job.done[i], 600);
    free_pool();
}
END_TEST

static atomic_int inside[2]; /* parts of either caller's job that are at work */
static atomic_int met;

static void look_for_the_other(void *argument, int64_t part, int32_t thread)
{
    const int own = *(const int *)argument;
    const struct timespec moment = {.tv_nsec = 20000};
    (void)part, (void)thread;
    atomic_fetch_add(&inside[own], 1);
    nanosleep(&moment, NULL);
    if (atomic_load(&inside[!own]))
        atomic_store(&met, 1);
    atomic_fetch_sub(&inside[own], 1);
}

static void *call_for_meetings(void *argument)
{
    for (int i = 0; i < 100; i++)
        sgti_parallel_for(pool, 2 + i % 3, look_for_the_other, argument);
    return NULL;
}

/* What parts use by thread number is their job's alone. */
START_TEST(no_two_jobs_run_at_the_same_time)
{
    pthread_t callers[2];
    int numbers[] = {0, 1};
    make_pool(_i);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&callers[i], NULL, call_for_meetings, &numbers[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(callers[i], NULL);
    ck_assert_int_eq(atomic_load(&met), 0);
    free_pool();
}
END_TEST

/* ---- fork ---- */

static int job_works(int32_t threads)
{
    job own = {.threads = threads};
    sgti_parallel_for(pool, PARTS, count_part, &own);
    for (int i = 0; i < PARTS; i++)
        if (own.done[i] != 1)
            return 0;
    return !own.wrong_thread;
}

/* The status of a child that runs a job, alone, and frees the pool. */
static int run_in_child(void)
{
    int status;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        alarm(20);
        int works = job_works(1);
        sgti_pool_free(pool);
        _exit(works ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return status;
}

START_TEST(a_forked_child_works_alone)
{
    make_pool(4);
    ck_assert_int_eq(run_in_child(), 0); /* before any thread was started */
    ck_assert(job_works(4));
    ck_assert_int_eq(run_in_child(), 0);
    ck_assert(job_works(4)); /* the parent's threads are still there */
    free_pool();
}
END_TEST

static atomic_int stop_calling;

static void *call_until_stopped(void *argument)
{
    job own = {.threads = 3};
    (void)argument;
    while (!stop_calling)
        sgti_parallel_for(pool, 50, count_part, &own);
    return NULL;
}

/* Forks while another thread is in the middle of jobs: its locks are held in the child for good. */
START_TEST(a_child_forked_during_a_job_works)
{
    pthread_t caller;
    make_pool(3);
    stop_calling = 0;
    ck_assert_int_eq(pthread_create(&caller, NULL, call_until_stopped, NULL), 0);
    for (int i = 0; i < 30; i++)
        ck_assert_int_eq(run_in_child(), 0);
    stop_calling = 1;
    pthread_join(caller, NULL);
    free_pool();
}
END_TEST

/* ---- signals, and threads that cannot be had ---- */

static pthread_t main_thread;
static atomic_int handled_elsewhere;

static void note_signal(int number)
{
    (void)number;
    if (!pthread_equal(pthread_self(), main_thread))
        handled_elsewhere = 1;
}

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};

static void look_at_mask(void *argument, int64_t part, int32_t thread)
{
    sigset_t mask;
    (void)part;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (thread > 0 && !sigismember(&mask, SIGUSR1))
        *(atomic_int *)argument = 1;
    if (thread == 0 && sigismember(&mask, SIGUSR1))
        *(atomic_int *)argument = 2;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (sigismember(&mask, faults[i]))
            *(atomic_int *)argument = faults[i];
    short_sleep();
}

START_TEST(workers_take_no_signals)
{
    atomic_int wrong = 0;
    struct sigaction action = {.sa_handler = note_signal};
    main_thread = pthread_self();
    sigaction(SIGUSR1, &action, NULL);
    make_pool(3);
    sgti_parallel_for(pool, 50, look_at_mask, &wrong);
    for (int i = 0; i < 20; i++)
        kill(getpid(), SIGUSR1);
    ck_assert_int_eq(wrong, 0);
    ck_assert_int_eq(handled_elsewhere, 0);
    free_pool();
}
END_TEST

/* Memory that the host's handler of faults opens page by page. */
static char *pages;
static long page_bytes;

static void open_page(int number, siginfo_t *about, void *context)
{
    (void)number, (void)context;
    ptrdiff_t at = (char *)about->si_addr - pages;
    if (at < 0 || at >= PARTS * page_bytes)
        _exit(3);
    mprotect(pages + at / page_bytes * page_bytes, (size_t)page_bytes, PROT_READ | PROT_WRITE);
}

static void write_page(void *argument, int64_t part, int32_t thread)
{
    (void)argument, (void)thread;
    pages[part * page_bytes] = 1;
    short_sleep();
}

START_TEST(faults_of_workers_are_handled)
{
    struct sigaction action = {.sa_sigaction = open_page, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    page_bytes = sysconf(_SC_PAGESIZE);
    pages = mmap(NULL, (size_t)(PARTS * page_bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(pages != MAP_FAILED);
    make_pool(3);
    sgti_parallel_for(pool, PARTS, write_page, NULL);
    for (int64_t i = 0; i < PARTS; i++)
        ck_assert_int_eq(pages[i * page_bytes], 1);
    free_pool();
    munmap(pages, (size_t)(PARTS * page_bytes));
}
END_TEST

/* ---- the floating-point environment ---- */

/* Leaves another mode behind, which the next job must not find. */
static void look_at_rounding(void *argument, int64_t part, int32_t thread)
{
    job *self = argument;
    if (!self->seen[thread]++ && fegetround() != FE_TONEAREST)
        self->wrong_thread = 1;
    self->done[part] = 1;
    fesetround(FE_DOWNWARD);
    short_sleep();
}

START_TEST(jobs_have_the_default_environment)
{
    make_pool(3);
    fesetround(FE_UPWARD);
    for (int round = 0; round < 20; round++) {
        job own = {.threads = 3};
        sgti_parallel_for(pool, round % 2 ? 1 : 6, look_at_rounding, &own);
        ck_assert_int_eq(fegetround(), FE_UPWARD);
        ck_assert_int_eq(own.wrong_thread, 0);
    }
    fesetround(FE_TONEAREST);
    free_pool();
}
END_TEST

#ifndef SANITIZED /* sanitizers need address space themselves */
/* The caller is left to do every part. */
START_TEST(missing_threads_are_done_without)
{
    struct rlimit limit, none;
    make_pool(4);
    getrlimit(RLIMIT_AS, &limit);
    none = limit;
    none.rlim_cur = 1 << 20; /* no room for a stack */
    setrlimit(RLIMIT_AS, &none);
    void *stack = mmap(NULL, 8 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int threads = stack == MAP_FAILED ? 1 : 4; /* emulators do not keep to the limit */
    int works = job_works(threads);
    setrlimit(RLIMIT_AS, &limit);
    ck_assert(works);
    ck_assert(job_works(threads));
    free_pool();
}
END_TEST
#endif

START_TEST(there_is_a_processor)
{
    ck_assert_int_ge(sgti_processors(), 1);
    ck_assert_int_le(sgti_processors(), (int)sysconf(_SC_NPROCESSORS_CONF));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *tests = tcase_create("threads");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, every_part_runs_once, 1, THREADS + 1);
    tcase_add_test(tests, work_is_shared);
    tcase_add_test(tests, a_pool_that_never_ran_is_freed);
    tcase_add_loop_test(tests, callers_queue, 1, 4);
    tcase_add_loop_test(tests, no_two_jobs_run_at_the_same_time, 1, 4);
    tcase_add_test(tests, a_forked_child_works_alone);
    tcase_add_test(tests, a_child_forked_during_a_job_works);
    tcase_add_test(tests, workers_take_no_signals);
    tcase_add_test(tests, faults_of_workers_are_handled);
    tcase_add_test(tests, jobs_have_the_default_environment);
#ifndef SANITIZED
    tcase_add_test(tests, missing_threads_are_done_without);
#endif
    tcase_add_test(tests, there_is_a_processor);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
