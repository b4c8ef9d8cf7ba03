/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks that outlive a fork. In a forked child only the thread that forked is left: a lock that
 * another one held stays held for ever. These notice that the process is another one, and start
 * anew, unlocked. What they guard must be usable at every moment, since the thread that was inside
 * never comes back to finish.
 */
#ifndef SGTI_LOCKS_H
#define SGTI_LOCKS_H

#include <pthread.h>
#include <stdatomic.h>

#include "strict_math.h"

/* Which process something belongs to. */
typedef atomic_long sgti_process;

/* Of no process yet: it becomes that of the first caller. */
#define SGTI_NO_PROCESS 0

/* This process. */
long sgti_process_self(void);

/* 1 for the first caller in a forked child, which sets right what a fork has broken and then calls
 * sgti_process_taken; the child's other threads wait in here until it has. Else 0. */
int sgti_process_changed(sgti_process *process);
void sgti_process_taken(sgti_process *process);

typedef struct sgti_lock {
    pthread_mutex_t mutex;
    sgti_process process;
} sgti_lock;

/* For static ones. */
#define SGTI_LOCK_INITIALIZER                                                                      \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, SGTI_NO_PROCESS                                                 \
    }

/* Not 0 when the system has no room for one. */
int sgti_lock_init(sgti_lock *lock);
void sgti_lock_destroy(sgti_lock *lock);

void sgti_lock_take(sgti_lock *lock);
void sgti_lock_give(sgti_lock *lock);

#endif
