/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One atomic number tells whose a lock is: the process that owns it, or the negative of the process
 * that is just taking it over from its parent.
 */
#include "locks.h"

#include <sched.h>
#include <unistd.h>

long sgti_process_self(void)
{
    return (long)getpid();
}

int sgti_process_changed(sgti_process *process)
{
    long self = sgti_process_self(), owner = atomic_load(process);
    for (;;) {
        if (owner == self)
            return 0;
        if (owner == SGTI_NO_PROCESS) {
            if (atomic_compare_exchange_strong(process, &owner, self))
                return 0;
        } else if (owner == -self) {
            sched_yield();
            owner = atomic_load(process);
        } else if (atomic_compare_exchange_strong(process, &owner, -self)) {
            return 1;
        }
    }
}

void sgti_process_taken(sgti_process *process)
{
    atomic_store(process, sgti_process_self());
}

int sgti_lock_init(sgti_lock *lock)
{
    atomic_init(&lock->process, sgti_process_self());
    return pthread_mutex_init(&lock->mutex, NULL);
}

void sgti_lock_destroy(sgti_lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

void sgti_lock_take(sgti_lock *lock)
{
    if (sgti_process_changed(&lock->process)) {
        pthread_mutex_init(&lock->mutex, NULL); /* whatever it was before */
        sgti_process_taken(&lock->process);
    }
    pthread_mutex_lock(&lock->mutex);
}

void sgti_lock_give(sgti_lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}
