/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pool. The caller of a job is thread 0 and works like the others; parts are handed out by a
 * counter. Workers enter a job and leave it through one atomic word, the gate:
 *
 *     | number of the job (32 bits) | open (1) | workers inside (31) |
 *
 * When no part is left the caller closes the gate and waits only for the workers inside: one that
 * the system did not run in time never joined and is not waited for. The fields of the job change
 * only while the gate is closed and nobody is inside.
 *
 * A thread that waits first watches the gate for a moment, because the next job mostly comes at
 * once, and then sleeps. A sleeper announces itself before it looks at the gate for the last time,
 * and whoever changes the gate looks for sleepers afterwards (both sequentially consistent), so no
 * wake-up is lost. Either writes by exchanging: an emulator of aarch64 on x86-64 was seen to let
 * the look overtake a plain store, which the processors themselves do not.
 *
 * Order of the locks: who needs both takes `callers` first and `sleep` inside it.
 */
#include "threads.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "error.h"
#include "float_mode.h"
#include "locks.h"

#define SPIN_NANOSECONDS 20000
#define SPINS_PER_CLOCK  64

#define GATE_JOB    ((uint64_t)1 << 32)
#define GATE_OPEN   ((uint64_t)1 << 31)
#define GATE_INSIDE (GATE_OPEN - 1)

typedef struct worker {
    sgti_pool *pool;
    pthread_t id;
    int32_t thread; /* 1 .. threads-1 */
} worker;

struct sgti_pool {
    sgti_memory *memory;
    int32_t threads;
    int32_t started;         /* workers that run; guarded by `callers` */
    int32_t start_attempted; /* 1: start no workers (any more); guarded by `callers` */
    sgti_process process;    /* the process that the workers belong to */
    pthread_mutex_t callers; /* held for the whole of a job */

    atomic_uint_fast64_t gate;
    atomic_int_fast64_t next; /* the next part to hand out */
    int64_t parts;
    sgti_part_fn part;
    void *argument;

    pthread_mutex_t sleep;   /* for the two conditions */
    pthread_cond_t work;     /* workers wait for it: the gate opened, or `stop` was set */
    pthread_cond_t finished; /* the caller waits for it: nobody is inside any more */
    atomic_int sleeping_workers;
    atomic_int sleeping_caller;
    atomic_int stop;

    worker workers[]; /* threads - 1 */
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* 1 when the gate was opened after job `seen`, or the pool ends. */
static int work_waits(sgti_pool *pool, uint64_t seen)
{
    return atomic_load(&pool->gate) / GATE_JOB != seen || atomic_load(&pool->stop);
}

static int nobody_inside(sgti_pool *pool)
{
    return (atomic_load(&pool->gate) & GATE_INSIDE) == 0;
}

static int spin_for_work(sgti_pool *pool, uint64_t seen)
{
    for (int64_t end = now() + SPIN_NANOSECONDS; now() < end;)
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (work_waits(pool, seen))
                return 1;
            relax();
        }
    return 0;
}

static int spin_for_end(sgti_pool *pool)
{
    for (int64_t end = now() + SPIN_NANOSECONDS; now() < end;)
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (nobody_inside(pool))
                return 1;
            relax();
        }
    return 0;
}

/* Joins the job; returns 0 when its gate is closed already. *seen becomes the number of the job
 * that was looked at, so that a worker does not join the same job twice. */
static int enter(sgti_pool *pool, uint64_t *seen)
{
    uint64_t gate = atomic_load(&pool->gate);
    do {
        *seen = gate / GATE_JOB;
        if (!(gate & GATE_OPEN))
            return 0;
    } while (!atomic_compare_exchange_weak(&pool->gate, &gate, gate + 1));
    return 1;
}

static void leave(sgti_pool *pool)
{
    uint64_t before = atomic_fetch_sub(&pool->gate, 1);
    if ((before & GATE_INSIDE) == 1 && atomic_load(&pool->sleeping_caller)) {
        pthread_mutex_lock(&pool->sleep);
        pthread_cond_signal(&pool->finished);
        pthread_mutex_unlock(&pool->sleep);
    }
}

static void run_parts(sgti_pool *pool, int32_t thread)
{
    for (;;) {
        int64_t part = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (part >= pool->parts)
            return;
        pool->part(pool->argument, part, thread);
    }
}

static void sleep_for_work(sgti_pool *pool, uint64_t seen)
{
    pthread_mutex_lock(&pool->sleep);
    atomic_fetch_add(&pool->sleeping_workers, 1);
    while (!work_waits(pool, seen))
        pthread_cond_wait(&pool->work, &pool->sleep);
    atomic_fetch_sub(&pool->sleeping_workers, 1);
    pthread_mutex_unlock(&pool->sleep);
}

static void *work(void *argument)
{
    worker *self = argument;
    sgti_pool *pool = self->pool;
    uint64_t seen = 0;
    for (;;) {
        if (!spin_for_work(pool, seen))
            sleep_for_work(pool, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        if (enter(pool, &seen)) {
            sgti_floats_renew();
            run_parts(pool, self->thread);
            leave(pool);
        }
    }
}

/* The host's signal handlers shall run on the host's threads, so workers block signals. Only the
 * signals of a fault stay: they come to the thread that made it, and blocked they would end the
 * process without the host's handler being asked. */
static void fill_mask(sigset_t *mask)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigfillset(mask);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(mask, faults[i]);
}

/* Starts as many workers as the system lets. A thread inherits the mask of the one that makes it,
 * so the caller's mask is changed for this time. */
static void start_workers(sgti_pool *pool)
{
    sigset_t mask, before;
    pool->start_attempted = 1;
    fill_mask(&mask);
    if (pthread_sigmask(SIG_SETMASK, &mask, &before))
        return;
    while (pool->started < pool->threads - 1) {
        worker *next = &pool->workers[pool->started];
        *next = (worker){.pool = pool, .thread = pool->started + 1};
        if (pthread_create(&next->id, NULL, work, next))
            break;
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Opens the gate for a new job; the store makes its fields visible to whoever enters. */
static void open_gate(sgti_pool *pool)
{
    uint64_t job = atomic_load(&pool->gate) / GATE_JOB + 1;
    atomic_exchange(&pool->gate, job * GATE_JOB | GATE_OPEN);
    if (atomic_load(&pool->sleeping_workers)) {
        pthread_mutex_lock(&pool->sleep);
        pthread_cond_broadcast(&pool->work);
        pthread_mutex_unlock(&pool->sleep);
    }
}

/* Lets nobody in any more and waits until all who are inside have left: then every part is done,
 * since a part belongs to someone inside or to the caller. */
static void close_gate(sgti_pool *pool)
{
    atomic_fetch_and(&pool->gate, ~GATE_OPEN);
    if (nobody_inside(pool) || spin_for_end(pool))
        return;
    pthread_mutex_lock(&pool->sleep);
    atomic_exchange(&pool->sleeping_caller, 1);
    while (!nobody_inside(pool))
        pthread_cond_wait(&pool->finished, &pool->sleep);
    atomic_store(&pool->sleeping_caller, 0);
    pthread_mutex_unlock(&pool->sleep);
}

/* Makes the locks and conditions anew, unlocked, whatever state they were in. */
static int make_locks(sgti_pool *pool)
{
    if (pthread_mutex_init(&pool->callers, NULL))
        return 0;
    if (pthread_mutex_init(&pool->sleep, NULL))
        goto no_sleep;
    if (pthread_cond_init(&pool->work, NULL))
        goto no_work;
    if (pthread_cond_init(&pool->finished, NULL))
        goto no_finished;
    return 1;
no_finished:
    pthread_cond_destroy(&pool->work);
no_work:
    pthread_mutex_destroy(&pool->sleep);
no_sleep:
    pthread_mutex_destroy(&pool->callers);
    return 0;
}

/* In a forked child the workers are gone and the locks are as some thread of the parent held them.
 * The first call in the child turns the pool into one without workers; calls from other threads of
 * the child wait until that is done. */
static void notice_fork(sgti_pool *pool)
{
    if (!sgti_process_changed(&pool->process))
        return;
    make_locks(pool);
    pool->started = 0;
    pool->start_attempted = 1;
    sgti_process_taken(&pool->process);
}

static uint64_t pool_bytes(int32_t threads)
{
    return sizeof(sgti_pool) + (uint64_t)(threads - 1) * sizeof(worker);
}

sgt_status sgti_pool_create(sgti_pool **pool, sgti_memory *memory, int32_t threads)
{
    void *made;
    sgt_status status =
        sgti_allocate_zeroed(&made, memory, 1, pool_bytes(threads), "a pool of threads");
    if (status)
        return status;
    sgti_pool *created = made;
    created->memory = memory;
    created->threads = threads;
    atomic_init(&created->process, sgti_process_self());
    atomic_init(&created->gate, 0);
    atomic_init(&created->next, 0);
    atomic_init(&created->sleeping_workers, 0);
    atomic_init(&created->sleeping_caller, 0);
    atomic_init(&created->stop, 0);
    if (!make_locks(created)) {
        sgti_release(memory, created, pool_bytes(threads));
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "the locks of a pool of threads could not be made");
    }
    *pool = created;
    return SGT_OK;
}

void sgti_pool_free(sgti_pool *pool)
{
    if (!pool)
        return;
    notice_fork(pool);
    atomic_store(&pool->stop, 1);
    pthread_mutex_lock(&pool->sleep);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->sleep);
    for (int32_t i = 0; i < pool->started; i++)
        pthread_join(pool->workers[i].id, NULL);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->sleep);
    pthread_mutex_destroy(&pool->callers);
    sgti_release(pool->memory, pool, pool_bytes(pool->threads));
}

int32_t sgti_pool_threads(const sgti_pool *pool)
{
    return pool->threads;
}

/* A caller that works alone is thread 0 too and holds `callers`: parts may use what belongs to
 * their thread number, such as scratch. */
void sgti_parallel_for(sgti_pool *pool, int64_t parts, sgti_part_fn part, void *argument)
{
    SGTI_DEFAULT_FLOATS;
    if (parts <= 0)
        return;
    notice_fork(pool);
    pthread_mutex_lock(&pool->callers);
    if (parts > 1 && pool->threads > 1 && !pool->start_attempted)
        start_workers(pool);
    if (parts == 1 || pool->started == 0) {
        for (int64_t i = 0; i < parts; i++)
            part(argument, i, 0);
    } else {
        pool->part = part;
        pool->argument = argument;
        pool->parts = parts;
        atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
        open_gate(pool);
        run_parts(pool, 0);
        close_gate(pool);
    }
    pthread_mutex_unlock(&pool->callers);
}
