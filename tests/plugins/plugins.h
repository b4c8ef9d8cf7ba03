/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plug-ins of the tests, and contexts on them. The environment's SGTT_PLUGINS is the folder they
 * are in; SGTT_BACKEND, where set, is the backend of sgtt_context, so that one test program can be
 * run on several backends.
 */
#ifndef SGTT_PLUGINS_H
#define SGTT_PLUGINS_H

#include <sgt/backend.h>

/* sgt_backend_load of a file of that folder, such as "protected_backend.so". */
sgt_status sgtt_load_plugin(const char **name, const char *file);

/* A context with this many threads on the backend of the environment, else the default one. What
 * is no built-in is loaded from NAME_backend.so. A failure ends the test. */
sgt_context *sgtt_context(int32_t threads);

/* The same on a given backend. */
sgt_context *sgtt_context_on(const char *backend, int32_t threads);

#endif
