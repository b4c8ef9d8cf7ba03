/* SPDX-License-Identifier: BSD-3-Clause */
/* The context of an example, and the options of its command line that say how it is made. */
#ifndef OPEN_CONTEXT_H
#define OPEN_CONTEXT_H

#include <stddef.h>

#include <sgt/context.h>

#include "command_line.h"

/* Their rows: of settings with the fields `threads` and `backend`. */
#define CONTEXT_ROWS(settings)                                                                     \
    {"threads", WHOLE, offsetof(settings, threads), 0, 4096, "0",                                  \
     "threads; 0: the processors allowed"},                                                        \
    {"backend", WORD, offsetof(settings, backend), 0, 0, NULL,                                     \
     "blis, portable or the path of a plug-in"}

/* Opens it, after loading the backend where that is a path; NULL: the library's choice. Warnings go
 * to standard error. progress may be NULL. Returns EXIT_DONE, or another exit status after a
 * message. */
int open_context(sgt_context **context, int64_t threads, const char *backend,
                 sgt_progress_fn progress, void *user);

#endif
