/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The malloc family of the whole process, of shared libraries and the C library too: a program that
 * links this asks its sweep at every allocation, and knows how many blocks are not freed. Only with
 * glibc, and not together with a sanitizer, which has a malloc of its own.
 */
#ifndef SGTT_MALLOC_SHIM_H
#define SGTT_MALLOC_SHIM_H

#include "sweep.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MALLOC_SHIM 1
#else
#define MALLOC_SHIM 0
#endif

extern sweep malloc_sweep;

/* Blocks that were got in calls of the library and not freed since. */
int64_t malloc_live(void);

#endif
