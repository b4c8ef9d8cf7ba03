/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pool of threads that runs the parts of one job at a time. The first job with more than one part
 * starts the threads, so that a program which creates contexts and then forks has no threads yet;
 * in a forked child every job runs on its caller alone. Workers block all signals but those that
 * faults raise. Parts run in the default floating-point environment.
 */
#ifndef SGTI_THREADS_H
#define SGTI_THREADS_H

#include <sgt/status.h>

#include "memory.h"

typedef struct sgti_pool sgti_pool;

typedef void (*sgti_part_fn)(void *argument, int64_t part, int32_t thread);

/* `threads` >= 1 counts the calling thread too. If some thread cannot be started later, jobs run
 * with fewer. */
sgt_status sgti_pool_create(sgti_pool **pool, sgti_memory *memory, int32_t threads);
void sgti_pool_free(sgti_pool *pool);

int32_t sgti_pool_threads(const sgti_pool *pool);

/* Runs part(argument, 0 .. parts-1, thread) and waits for all. Threads take the parts in their
 * order, each the next one. Jobs of several callers run one after the other. */
void sgti_parallel_for(sgti_pool *pool, int64_t parts, sgti_part_fn part, void *argument);

/* How many processors this process may keep busy; at least 1. */
int32_t sgti_processors(void);

#endif
