/* SPDX-License-Identifier: BSD-3-Clause */
/* Each call adds the time from its begin to its end, by the monotonic clock. */
#include "profile.h"

#include <string.h>
#include <time.h>

#include "dispatch_data.h"

void sgti_profile_start(sgti_dispatch *dispatch, double seconds[SGTI_PROFILE_SLOTS])
{
    memset(seconds, 0, SGTI_PROFILE_SLOTS * sizeof *seconds);
    dispatch->profile = seconds;
}

void sgti_profile_stop(sgti_dispatch *dispatch)
{
    dispatch->profile = NULL;
}

const char *sgti_profile_name(int slot)
{
    static const char *const names[SGTI_PROFILE_SLOTS] = {
#define OPERATION_NAME(slot, args) #slot,
#define MEMORY_NAME(slot)          #slot,
        SGTI_OPERATION_SLOTS(OPERATION_NAME) SGTI_MEMORY_SLOTS(MEMORY_NAME)
#undef OPERATION_NAME
#undef MEMORY_NAME
    };
    return names[slot];
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

double sgti_profile_begin(const sgti_dispatch *dispatch)
{
    return dispatch->profile ? now() : 0.0;
}

void sgti_profile_end(const sgti_dispatch *dispatch, int slot, double begun)
{
    if (!dispatch->profile)
        return;
    dispatch->memory->sync(dispatch->memory_instance);
    dispatch->profile[slot] += now() - begun;
}
