/* SPDX-License-Identifier: BSD-3-Clause */
/* Plug-ins of the tests: files of the folder in the environment's SGT_TEST_PLUGINS. */
#ifndef SGTT_PLUGINS_H
#define SGTT_PLUGINS_H

#include <sgt/backend.h>

/* sgt_backend_load of a file of that folder, such as "protected_backend.so". */
sgt_status sgtt_load_plugin(const char **name, const char *file);

/* A context on a backend; what is no built-in is loaded from NAME_backend.so. A failure ends the
 * test. */
sgt_context *sgtt_context_on(const char *backend, int32_t threads);

#endif
