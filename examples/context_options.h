/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CONTEXT_OPTIONS_H
#define CONTEXT_OPTIONS_H

#include <sgt/context.h>

/* Options of a context as --threads and --backend ask for, which may be a name, NULL or the path of
 * a plug-in, that is then loaded. Warnings go to standard error. */
sgt_status context_options_from(sgt_context_options *options, int64_t threads,
                                const char *backend);

#endif
