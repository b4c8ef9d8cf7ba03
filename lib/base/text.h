/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers to text and back, whatever the host's locale is: a decimal point is always a point. */
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

/* As strtod in the "C" locale, of a text that is one number; infinity for one beyond double. */
double sgti_text_to_double(const char *text);

/* Returns 1 when the whole text is decimal digits, perhaps behind a '-', and the number is in least
 * .. most. Else returns 0 and leaves *number. */
int sgti_text_to_whole(int64_t *number, const char *text, int64_t least, int64_t most);

#endif
