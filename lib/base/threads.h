/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pool of threads that runs the parts of one job at a time. Threads are started by the first job
 * with more than one part, so that creating a context before fork is fine; in a forked child
 * every job runs on its caller. Signals are blocked in workers, but for those that faults raise.
 * Parts run in the default floating-point environment.
 */
#ifndef SGTI_THREADS_H
#define SGTI_THREADS_H

#include <sgt/status.h>

#include "memory.h"

typedef struct sgti_pool sgti_pool;

typedef void (*sgti_part_fn)(void *argument, int64_t part, int32_t thread);

/* threads >= 1 counts the calling thread. A thread that cannot be started later is done without. */
sgt_status sgti_pool_create(sgti_pool **pool, sgti_memory *memory, int32_t threads);
void sgti_pool_free(sgti_pool *pool);

int32_t sgti_pool_threads(const sgti_pool *pool);

/* Runs part(argument, 0..parts-1, thread) and waits. Jobs of several callers queue. */
void sgti_parallel_for(sgti_pool *pool, int64_t parts, sgti_part_fn part, void *argument);

/* The processors this process may run on, at least 1 (affinity mask, then cgroup quota). */
int32_t sgti_processors(void);

#endif
