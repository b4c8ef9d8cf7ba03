/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Status codes and the message that goes with the last failure.
 *
 * Every function that can fail returns an sgt_status: 0 for success, a negative code of the list
 * below otherwise. A positive value is never made by the library: it is what a callback of the
 * host returned to stop a call, passed through untouched. On failure outputs are untouched.
 */
#ifndef SGT_STATUS_H
#define SGT_STATUS_H

#include <sgt/common.h>

SGT_BEGIN_DECLS

/* What every function that can fail returns. */
typedef int32_t sgt_status;

/* X(name, value, text). Values are grouped by tens and never change. */
#define SGT_STATUS_LIST(X)                                                                         \
    X(SGT_OK, 0, "success")                                                                        \
    X(SGT_E_INVALID_ARGUMENT, -10, "invalid argument")                                             \
    X(SGT_E_STRUCT_SIZE, -11, "a struct has a size or a field that this version does not know")    \
    X(SGT_E_OUT_OF_RANGE, -12, "a value is out of range")                                          \
    X(SGT_E_NOT_FOUND, -13, "not found")                                                           \
    X(SGT_E_UNSUPPORTED, -14, "not supported")                                                     \
    X(SGT_E_STATE, -20, "the call is not allowed in this state")                                   \
    X(SGT_E_GRADIENTS_INVALID, -21, "the gradients are incomplete")                                \
    X(SGT_E_OUT_OF_MEMORY, -30, "out of memory")                                                   \
    X(SGT_E_MEMORY_LIMIT, -31, "the memory limit of the context would be exceeded")                \
    X(SGT_E_OVERFLOW, -32, "a size does not fit")                                                  \
    X(SGT_E_IO, -40, "input or output failed")                                                     \
    X(SGT_E_FORMAT, -41, "malformed data")                                                         \
    X(SGT_E_VERSION, -42, "data of an unknown version")                                            \
    X(SGT_E_BACKEND, -50, "a backend operation failed")                                            \
    X(SGT_E_PLUGIN_LOAD, -51, "a plug-in could not be loaded")                                     \
    X(SGT_E_PLUGIN_ABI, -52, "a plug-in was built for another version")                            \
    X(SGT_E_PLUGIN_INCOMPLETE, -53, "a plug-in lacks a required entry")                            \
    X(SGT_E_INTERNAL, -90, "internal error")

/* The codes of the list. */
enum sgt_status_code {
#define SGT_STATUS_ENUM(name, value, text) name = value,
    SGT_STATUS_LIST(SGT_STATUS_ENUM)
#undef SGT_STATUS_ENUM
};

/*
 * The name of a code ("SGT_E_STATE"), "SGT_STOPPED" for a positive one, "SGT_HOST" for -1 to -9,
 * which the library leaves to callbacks and policies of hosts, "unknown status" for any other.
 * Static storage. Any thread. Since 0.1.
 */
SGT_API const char *sgt_status_name(sgt_status status);

/* The general text of a code; what happened in particular is in sgt_error_message(). Any
 * thread. Since 0.1. */
SGT_API const char *sgt_status_text(sgt_status status);

/*
 * What was wrong, with which argument, file or tensor, in the last call that failed in this
 * thread; "" if none did. Valid until the next failing call of this thread. A call that succeeds
 * leaves it alone. Since 0.1.
 */
SGT_API const char *sgt_error_message(void);

/*
 * For callbacks of a host that make the call they are part of fail, such as the functions of a
 * growth policy: `return sgt_error_set(status, message)`. It keeps `message` as that of the calling
 * thread's last failure and returns `status`, which is any value that the callback may return. The
 * text is copied; one over 511 bytes loses its middle; NULL is "". Any thread. Since 0.2.
 */
SGT_API int32_t sgt_error_set(int32_t status, const char *message);

SGT_END_DECLS

#endif
