/* SPDX-License-Identifier: BSD-3-Clause */
#include "open_context.h"

#include <string.h>

#include <sgt/backend.h>

static void on_log(void *user, int32_t level, const char *message)
{
    (void)user;
    complain(EXIT_DONE, "%s: %s", level == SGT_LOG_ERROR ? "error" : "warning", message);
}

int open_context(sgt_context **context, int64_t threads, const char *backend,
                 sgt_progress_fn progress, void *user)
{
    sgt_context_options options;
    sgt_status status = sgt_context_options_init(&options, sizeof options);
    options.threads = (int32_t)threads;
    options.backend = backend;
    options.log = on_log;
    options.progress = progress;
    options.progress_user = user;
    if (status == SGT_OK && backend && strchr(backend, '/'))
        status = sgt_backend_load(&options.backend, backend);
    if (status == SGT_OK)
        status = sgt_context_create(context, &options);
    return status == SGT_OK ? EXIT_DONE : call_failed("opening a context", status);
}
