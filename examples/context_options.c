/* SPDX-License-Identifier: BSD-3-Clause */
#include "context_options.h"

#include <string.h>

#include <sgt/backend.h>

#include "command_line.h"

static void on_log(void *user, int32_t level, const char *message)
{
    (void)user;
    complain(EXIT_DONE, "%s: %s", level == SGT_LOG_ERROR ? "error" : "warning", message);
}

sgt_status context_options_from(sgt_context_options *options, int64_t threads,
                                const char *backend)
{
    sgt_status status = sgt_context_options_init(options, sizeof *options);
    options->threads = (int32_t)threads;
    options->backend = backend;
    options->log = on_log;
    if (status == SGT_OK && backend && strchr(backend, '/'))
        status = sgt_backend_load(&options->backend, backend);
    return status;
}
