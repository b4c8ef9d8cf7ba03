/* SPDX-License-Identifier: BSD-3-Clause */
/* A value is checked twice, as it is and rounded to float32, so that the message can say which of
 * the two is at fault. */
#include "float32.h"

#include <float.h>
#include <math.h>

#include "error.h"
#include "text.h"

#define NUMBER_TEXT 40

/* Prints the fewest digits, but at least 6, that tell this double from its neighbours. */
static void print_shortest(char text[NUMBER_TEXT], double value)
{
    for (int digits = 6; digits <= DBL_DECIMAL_DIG; digits++) {
        sgti_format(text, NUMBER_TEXT, "%.*g", digits, value);
        if (sgti_text_to_double(text) == value)
            return;
    }
}

/* Numbers beyond float32 become infinity here: C does not define their conversion. */
static double as_float32(double value)
{
    if (fabs(value) > FLT_MAX)
        return copysign(INFINITY, value);
    return (double)(float)value;
}

static int is_within(double value, sgti_float32_range range)
{
    return value >= 0.0 && isfinite(value) && (range != SGTI_ABOVE_0 || value > 0.0) &&
           (range != SGTI_FROM_0_TO_1 || value < 1.0) &&
           (range != SGTI_FROM_0_THROUGH_1 || value <= 1.0);
}

sgt_status sgti_check_float32(double value, sgti_float32_range range, const char *field)
{
    static const char *const ranges[] = {
        [SGTI_AT_LEAST_0] = "finite and at least 0",
        [SGTI_ABOVE_0] = "finite and above 0",
        [SGTI_FROM_0_TO_1] = "at least 0 and below 1",
        [SGTI_FROM_0_THROUGH_1] = "0 to 1",
    };
    char text[NUMBER_TEXT];
    double kept = as_float32(value);
    int vanished = kept == 0.0 && value != 0.0;
    if (is_within(value, range) && is_within(kept, range) && !vanished)
        return SGT_OK;
    print_shortest(text, value);
    if (!is_within(value, range)) /* float32 has nothing to do with it */
        return sgti_fail(SGT_E_OUT_OF_RANGE, "%s is %s, must be %s", field, text, ranges[range]);
    if (vanished && value > 0.0 && range != SGTI_ABOVE_0)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "%s is %s, which is too small: it is 0 in float32",
                         field, text);
    return sgti_fail(SGT_E_OUT_OF_RANGE, "%s is %s (%g in float32), must be %s", field, text, kept,
                     ranges[range]);
}
