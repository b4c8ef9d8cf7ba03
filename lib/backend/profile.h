/* SPDX-License-Identifier: BSD-3-Clause */
/* Wall time by operation, for benchmarks. Off unless started; not for contexts used by several
 * threads at the same time. */
#ifndef SGTI_PROFILE_H
#define SGTI_PROFILE_H

#include "dispatch.h"
#include "slots.h"

typedef enum sgti_profile_slot {
#define SGTI_PROFILE_OPERATION(slot, args) SGTI_PROFILE_##slot,
#define SGTI_PROFILE_MEMORY(slot)          SGTI_PROFILE_##slot,
    SGTI_OPERATION_SLOTS(SGTI_PROFILE_OPERATION) SGTI_MEMORY_SLOTS(SGTI_PROFILE_MEMORY)
#undef SGTI_PROFILE_OPERATION
#undef SGTI_PROFILE_MEMORY
    SGTI_PROFILE_SLOTS
} sgti_profile_slot;

/* Adds seconds to seconds[slot] until stopped; `seconds` is the caller's, set to 0 here. Waits for
 * each operation, so that a backend that runs ahead is timed rightly. */
void sgti_profile_start(sgti_dispatch *dispatch, double seconds[SGTI_PROFILE_SLOTS]);
void sgti_profile_stop(sgti_dispatch *dispatch);

const char *sgti_profile_name(int slot);

/* Used by the operations: 0 when profiling is off. */
double sgti_profile_begin(const sgti_dispatch *dispatch);
void sgti_profile_end(const sgti_dispatch *dispatch, int slot, double begun);

#endif
