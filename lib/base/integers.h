/* SPDX-License-Identifier: BSD-3-Clause */
/* Small arithmetic of sizes that cannot overflow; where it can, checked.h is for it. */
#ifndef SGTI_INTEGERS_H
#define SGTI_INTEGERS_H

#include <stdint.h>

#include "strict_math.h"

/* a / b rounded up; a >= 0, b > 0. */
static inline int64_t sgti_ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

static inline int64_t sgti_min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
