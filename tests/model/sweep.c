/* SPDX-License-Identifier: BSD-3-Clause */
#include "sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int64_t sweep_next(int64_t at, int64_t usual)
{
    const char *asked = getenv("SGT_FAULT_STEP");
    int64_t step = asked != NULL ? atoll(asked) : usual;
    return at + (step > 0 ? step : 1);
}

int sweep_fails(sweep *s)
{
    if (!s->inside)
        return 0;
    int64_t call = s->calls++;
    if (s->fail_at < 0 || call < s->fail_at || call - s->fail_at >= s->most)
        return 0;
    s->failed++;
    return 1;
}

void sweep_arm(sweep *s, int64_t at, int64_t most)
{
    *s = (sweep){.fail_at = at, .most = most};
}

void sweep_lift(sweep *s)
{
    s->fail_at = -1;
}

void sweep_report(const char *what, int64_t calls, int64_t failed)
{
    printf("%s: %" PRId64 " calls in a life, %" PRId64 " made to fail\n", what, calls, failed);
    fflush(stdout);
}
