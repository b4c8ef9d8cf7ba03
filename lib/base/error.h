/* SPDX-License-Identifier: BSD-3-Clause */
/* Each thread keeps the message of its last failure; sgt_error_message hands it out. */
#ifndef SGTI_ERROR_H
#define SGTI_ERROR_H

#include <sgt/status.h>

#include "strict_math.h"

#if defined(__GNUC__)
#define SGTI_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define SGTI_PRINTF(text, first)
#endif

/* Records the message, cut at 511 bytes, and returns status:
 * `return sgti_fail(SGT_E_STATE, ...)`. */
sgt_status sgti_fail(sgt_status status, const char *format, ...) SGTI_PRINTF(2, 3);

/* How many failures this thread has recorded. Who compares the number before and after a call into
 * a backend or a callback knows whether the callee left a message. */
uint64_t sgti_failures(void);

/* The status that the last of them was recorded with. */
sgt_status sgti_last_failure(void);

#endif
