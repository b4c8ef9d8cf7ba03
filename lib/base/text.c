/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The "C" locale is taken for this thread and this call only; the host's choice is back on return.
 * Asking for it costs no memory in the C libraries at hand; should it fail, the host's is used.
 */
#include "text.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>

int sgti_vformat(char *text, size_t room, const char *format, va_list arguments)
{
    int saved_errno = errno;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t before = plain ? uselocale(plain) : (locale_t)0;
    errno = saved_errno; /* for %m */
    int length = vsnprintf(text, room, format, arguments);
    if (plain) {
        uselocale(before);
        freelocale(plain);
    }
    errno = saved_errno;
    return length;
}

int sgti_format(char *text, size_t room, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = sgti_vformat(text, room, format, arguments);
    va_end(arguments);
    return length;
}
