/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers as text that do not depend on the locale: there is always a decimal point. */
#ifndef SGTI_TEXT_H
#define SGTI_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* As vsnprintf and snprintf, but in the "C" locale. Leaves errno alone. */
int sgti_vformat(char *text, size_t room, const char *format, va_list arguments) SGTI_PRINTF(3, 0);
int sgti_format(char *text, size_t room, const char *format, ...) SGTI_PRINTF(3, 4);

/* The shortest decimal text that reads back as this finite value, with a point or an exponent:
 * 1e-05, 54321.0. */
#define SGTI_DOUBLE_TEXT 32
void sgti_print_double(char text[SGTI_DOUBLE_TEXT], double value);

/* As strtod of a whole text that is a number; infinite beyond double. */
double sgti_text_to_double(const char *text);

/* 1 when the whole text is an integer in decimal digits, perhaps with a '-', from least to most.
 * Else 0, and *number stays. */
int sgti_text_to_whole(int64_t *number, const char *text, int64_t least, int64_t most);

#endif
