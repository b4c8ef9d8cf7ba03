/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The calling thread changes to the "C" locale for the time of one call; the host's choice is back
 * on return. In glibc and musl this takes no memory; should it fail, the host's locale is used.
 */
#include "text.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Changes to the "C" locale. Returns the host's, or (locale_t)0 when nothing was changed. */
static locale_t leave_locale(void)
{
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return plain ? uselocale(plain) : (locale_t)0;
}

static void return_to_locale(locale_t before)
{
    if (before)
        freelocale(uselocale(before));
}

int sgti_vformat(char *text, size_t room, const char *format, va_list arguments)
{
    int saved_errno = errno;
    locale_t before = leave_locale();
    errno = saved_errno; /* for %m */
    int length = vsnprintf(text, room, format, arguments);
    return_to_locale(before);
    errno = saved_errno;
    return length;
}

double sgti_text_to_double(const char *text)
{
    int saved_errno = errno;
    locale_t before = leave_locale();
    double value = strtod(text, NULL);
    return_to_locale(before);
    errno = saved_errno;
    return value;
}

int sgti_text_to_whole(int64_t *number, const char *text, int64_t least, int64_t most)
{
    size_t sign = text[0] == '-';
    size_t digits = strspn(text + sign, "0123456789");
    if (digits == 0 || digits > 19 || text[sign + digits] != '\0')
        return 0;
    int saved_errno = errno;
    errno = 0;
    long long found = strtoll(text, NULL, 10);
    int fits = errno == 0 && found >= least && found <= most;
    errno = saved_errno;
    if (!fits)
        return 0;
    *number = found;
    return 1;
}

int sgti_format(char *text, size_t room, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = sgti_vformat(text, room, format, arguments);
    va_end(arguments);
    return length;
}

void sgti_print_double(char text[SGTI_DOUBLE_TEXT], double value)
{
    enum { MOST_DIGITS = 17, LEAST_EXPONENT = -4, MOST_EXPONENT = 15 };
    int digits = 1;
    do
        sgti_format(text, SGTI_DOUBLE_TEXT, "%.*e", digits - 1, value);
    while (sgti_text_to_double(text) != value && digits++ < MOST_DIGITS);
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent < LEAST_EXPONENT || exponent > MOST_EXPONENT)
        return;
    int decimals = digits - 1 - exponent;
    sgti_format(text, SGTI_DOUBLE_TEXT, "%.*f", decimals > 1 ? decimals : 1, value);
}
