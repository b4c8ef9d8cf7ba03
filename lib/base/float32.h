/* SPDX-License-Identifier: BSD-3-Clause */
/* Options are doubles but kernels take float32, so options are checked as the kernels see them. */
#ifndef SGTI_FLOAT32_H
#define SGTI_FLOAT32_H

#include <sgt/status.h>

typedef enum sgti_float32_range {
    SGTI_AT_LEAST_0, /* and 0 only where the double is 0 */
    SGTI_ABOVE_0,
    SGTI_FROM_0_TO_1, /* without 1 */
    SGTI_FROM_0_THROUGH_1
} sgti_float32_range;

/* Checks that `value` is in the range both as it is and rounded to float32. NaN and infinity are in
 * no range; nor is a number that becomes infinity, or becomes 0 without being 0, in float32. Else
 * SGT_E_OUT_OF_RANGE, with the name `field`, the value and what float32 makes of it. */
sgt_status sgti_check_float32(double value, sgti_float32_range range, const char *field);

#endif
