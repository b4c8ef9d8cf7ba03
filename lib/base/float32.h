/* SPDX-License-Identifier: BSD-3-Clause */
/* Options are doubles, kernels take float32: a check of the value as the kernels will see it. */
#ifndef SGTI_FLOAT32_H
#define SGTI_FLOAT32_H

#include <sgt/status.h>

typedef enum sgti_float32_range {
    SGTI_AT_LEAST_0, /* and 0 only where the double is 0 */
    SGTI_ABOVE_0,
    SGTI_FROM_0_TO_1 /* without 1 */
} sgti_float32_range;

/* SGT_E_OUT_OF_RANGE, with `field`, the value and what float32 makes of it, when the value is not
 * in the range as a double and as a float32. No range has NaN, infinity or what float32 cannot
 * tell from them or from 0. */
sgt_status sgti_check_float32(double value, sgti_float32_range range, const char *field);

#endif
