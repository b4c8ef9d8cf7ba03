/* SPDX-License-Identifier: BSD-3-Clause */
/* Size arithmetic that notices overflow: each returns 1 when *result holds the answer, else 0. */
#ifndef SGTI_CHECKED_H
#define SGTI_CHECKED_H

#include <stdint.h>

static inline int sgti_mul_u64(uint64_t *result, uint64_t a, uint64_t b)
{
    if (a != 0 && b > UINT64_MAX / a)
        return 0;
    *result = a * b;
    return 1;
}

static inline int sgti_add_u64(uint64_t *result, uint64_t a, uint64_t b)
{
    if (b > UINT64_MAX - a)
        return 0;
    *result = a + b;
    return 1;
}

#endif
