/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BLIS guards its blocks with locks of its own, which a forked child cannot repair. So the threads
 * inside BLIS are counted, over the whole process because BLIS's blocks are the process's. If the
 * count was not 0 at the fork, a lock may be held for ever, and the child leaves BLIS alone for
 * good.
 */
#include "blis_private.h"

#include "../../base/locks.h"

static sgti_process process = SGTI_NO_PROCESS;
static atomic_int inside;
static atomic_int abandoned;

int sgti_blis_is_usable(void)
{
    if (sgti_process_changed(&process)) {
        if (atomic_exchange(&inside, 0) != 0)
            atomic_store(&abandoned, 1);
        sgti_process_taken(&process);
    }
    return !atomic_load(&abandoned);
}

void sgti_blis_enter(void)
{
    atomic_fetch_add(&inside, 1);
}

void sgti_blis_leave(void)
{
    atomic_fetch_sub(&inside, 1);
}
