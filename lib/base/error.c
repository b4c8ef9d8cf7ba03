/* SPDX-License-Identifier: BSD-3-Clause */
/* The message of a thread's last failure, the names of status codes, and the version. */
#include "error.h"

#include <stdarg.h>
#include <string.h>

#include "text.h"

enum { MESSAGE_BYTES = 512, WHOLE_BYTES = 4096 + MESSAGE_BYTES };

static _Thread_local char message[MESSAGE_BYTES];
static _Thread_local uint64_t failures;
static _Thread_local sgt_status last_failure;

/* A message that is too long, because it names a file in deep folders for example, loses its
 * middle: the culprit stands at its beginning and the reason at its end. */
static void keep(const char *whole)
{
    static const char gap[] = " ... ";
    const size_t head = MESSAGE_BYTES / 3, tail = MESSAGE_BYTES - head - sizeof gap + 1;
    size_t bytes = strlen(whole) + 1;
    if (bytes <= MESSAGE_BYTES) {
        memcpy(message, whole, bytes);
        return;
    }
    memcpy(message, whole, head);
    memcpy(message + head, gap, sizeof gap - 1);
    memcpy(message + head + sizeof gap - 1, whole + bytes - tail, tail);
}

sgt_status sgti_fail(sgt_status status, const char *format, ...)
{
    /* The text is not made in `message` itself: an argument may be the old message. */
    char whole[WHOLE_BYTES] = "";
    va_list arguments;
    va_start(arguments, format);
    sgti_vformat(whole, sizeof whole, format, arguments);
    va_end(arguments);
    keep(whole);
    failures++;
    last_failure = status;
    return status;
}

uint64_t sgti_failures(void)
{
    return failures;
}

sgt_status sgti_last_failure(void)
{
    return last_failure;
}

const char *sgt_error_message(void)
{
    return message;
}

int32_t sgt_error_set(int32_t status, const char *text)
{
    return sgti_fail(status, "%s", text ? text : "");
}

const char *sgt_status_name(sgt_status status)
{
    if (status > 0)
        return "SGT_STOPPED";
    switch (status) {
#define STATUS_NAME(name, value, text)                                                             \
    case value:                                                                                    \
        return #name;
        SGT_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    default:
        return status <= SGT_E_INVALID_ARGUMENT ? "unknown status" : "SGT_HOST";
    }
}

const char *sgt_status_text(sgt_status status)
{
    if (status > 0)
        return "stopped by a callback of the host";
    switch (status) {
#define STATUS_TEXT(name, value, text)                                                             \
    case value:                                                                                    \
        return text;
        SGT_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    default:
        return status <= SGT_E_INVALID_ARGUMENT
                   ? "unknown status"
                   : "a code of the host's own, from a callback or a plug-in";
    }
}

#define QUOTE(x)  #x
#define STRING(x) QUOTE(x)

const char *sgt_version(void)
{
    return STRING(SGT_VERSION_MAJOR) "." STRING(SGT_VERSION_MINOR) "." STRING(SGT_VERSION_PATCH);
}

uint32_t sgt_version_number(void)
{
    return SGT_VERSION_MAJOR * 1000000u + SGT_VERSION_MINOR * 1000u + SGT_VERSION_PATCH;
}
