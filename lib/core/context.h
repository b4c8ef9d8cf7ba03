/* SPDX-License-Identifier: BSD-3-Clause */
/* The inside of a context. Its backend is opened by the floor above (lib/backend/create.c), which
 * leaves here how to close it. */
#ifndef SGTI_CONTEXT_H
#define SGTI_CONTEXT_H

#include <stdatomic.h>

#include <sgt/context.h>

#include "../base/memory.h"
#include "../base/structs.h"
#include "../base/threads.h"

#define SGTI_CONTEXT_OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_context_options, progress_user)

struct sgti_dispatch; /* lib/backend/dispatch.h */

struct sgt_context {
    atomic_int references;
    sgti_memory memory;
    sgti_pool *pool;
    struct sgti_dispatch *dispatch;
    void (*close_dispatch)(sgt_context *context); /* set with dispatch */
    sgt_log_fn log;
    void *log_user;
    int32_t log_level;
    sgt_progress_fn progress;
    void *progress_user;
};

/* Makes a context without a backend from options that were read with sgti_struct_read. */
sgt_status sgti_context_new(sgt_context **context, const sgt_context_options *options);

sgt_context *sgti_context_ref(sgt_context *context);
void sgti_context_unref(sgt_context *context);

void sgti_log(const sgt_context *context, int32_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reports progress to the host. Returns 0 to go on; else what the host's callback returned, with a
 * message recorded, and the caller stops. */
sgt_status sgti_progress(const sgt_context *context, int32_t phase, int64_t done, int64_t total);

#endif
