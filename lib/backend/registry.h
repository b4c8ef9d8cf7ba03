/* SPDX-License-Identifier: BSD-3-Clause */
/* The backends of the process: the built-in ones and loaded plug-ins. The library's only
 * process-wide state, behind one lock. */
#ifndef SGTI_REGISTRY_H
#define SGTI_REGISTRY_H

#include <sgt/sys/backend.h>

/* The services table that every backend gets. */
extern const sgt_backend_host sgti_backend_services;

/* Checks a table: ABI, size, name, required slots. The message names what is missing. */
sgt_status sgti_backend_check(const sgt_backend *backend, const char *origin);

/* Finds a backend by name: SGT_E_NOT_FOUND. The table has this version's size, even where the
 * plug-in was built with another one. */
sgt_status sgti_backend_find(const sgt_backend **backend, const char *name);

extern const sgt_backend sgti_portable_backend; /* lib/backend/portable */
extern const sgt_backend sgti_blis_backend;     /* lib/backend/blis, where built */

#endif
