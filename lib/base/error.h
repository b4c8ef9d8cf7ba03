/* SPDX-License-Identifier: BSD-3-Clause */
/* The message of the last failure of this thread. */
#ifndef SGTI_ERROR_H
#define SGTI_ERROR_H

#include <sgt/status.h>

#if defined(__GNUC__)
#define SGTI_PRINTF(format, first) __attribute__((format(printf, format, first)))
#else
#define SGTI_PRINTF(format, first)
#endif

/* Records the message (cut at 511 bytes) and returns status: `return sgti_fail(SGT_E_STATE, ...)`. */
sgt_status sgti_fail(sgt_status status, const char *format, ...) SGTI_PRINTF(2, 3);

#endif
