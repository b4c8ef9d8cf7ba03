/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks that survive a fork. In a forked child only the thread that forked is left: an ordinary
 * lock that another thread held at that moment stays held for ever. These locks notice that they
 * are in another process and start anew, unlocked. So what they guard must be usable at every
 * moment, since the thread that was inside never comes back to finish.
 */
#ifndef SGTI_LOCKS_H
#define SGTI_LOCKS_H

#include <pthread.h>
#include <stdatomic.h>

#include "strict_math.h"

/* The number of the process that something belongs to. */
typedef atomic_long sgti_process;

/* It belongs to no process yet; the first caller's becomes its own. */
#define SGTI_NO_PROCESS 0

/* This process. */
long sgti_process_self(void);

/* Returns 1 to the first caller in a forked child and 0 to all others. The first one repairs what
 * the fork has broken and then calls sgti_process_taken; until then the other threads of the child
 * wait inside this function. */
int sgti_process_changed(sgti_process *process);
void sgti_process_taken(sgti_process *process);

typedef struct sgti_lock {
    pthread_mutex_t mutex;
    sgti_process process;
} sgti_lock;

/* The initial value of static locks. */
#define SGTI_LOCK_INITIALIZER                                                                      \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, SGTI_NO_PROCESS                                                 \
    }

/* Returns 0, or an error number when the system has no room for another lock. */
int sgti_lock_init(sgti_lock *lock);
void sgti_lock_destroy(sgti_lock *lock);

void sgti_lock_take(sgti_lock *lock);
void sgti_lock_give(sgti_lock *lock);

#endif
