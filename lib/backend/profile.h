/* SPDX-License-Identifier: BSD-3-Clause */
/* Adds up wall time by operation, for benchmarks. It is off unless started, and not meant for
 * contexts that several threads use at the same time. */
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

/* Sets the caller's `seconds` to 0 and adds the time of each call to seconds[slot] until stopped.
 * Each operation is waited for, so that a backend which returns before the work is done is timed
 * rightly. */
void sgti_profile_start(sgti_dispatch *dispatch, double seconds[SGTI_PROFILE_SLOTS]);
void sgti_profile_stop(sgti_dispatch *dispatch);

const char *sgti_profile_name(int slot);

/* The operations call these around their work. The first returns the time; 0 when profiling is
 * off. */
double sgti_profile_begin(const sgti_dispatch *dispatch);
void sgti_profile_end(const sgti_dispatch *dispatch, int slot, double begun);

#endif
