/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every header of libsgt needs: linkage, versions, the rule of sized structs.
 *
 * Sized structs. Every public struct starts with `uint32_t size`, which the caller sets to the
 * sizeof of the struct that it was compiled with (the exported sgt_x_options_init functions do it
 * for option structs). The library never reads or writes past `size` bytes. Structs only ever grow
 * at the end, so a program compiled against an older header keeps working. A program compiled
 * against a newer header works too, as long as the fields that this library does not know are zero.
 *
 * Threads. Contexts are independent of each other. Calls that take a `const` object may run at the
 * same time in several threads; a call that changes an object excludes every other call on it.
 */
#ifndef SGT_COMMON_H
#define SGT_COMMON_H

#include <stddef.h>
#include <stdint.h>

/* The version of these headers; sgt_version() is that of the library. */
#define SGT_VERSION_MAJOR 0
#define SGT_VERSION_MINOR 2
#define SGT_VERSION_PATCH 0

/* 1 where these headers are of that version or a later one: `#if SGT_VERSION_AT_LEAST(0, 2, 0)`.
 * For the library that runs, compare sgt_version_number(). Since 0.2. */
#define SGT_VERSION_AT_LEAST(major, minor, patch)                                                  \
    (SGT_VERSION_MAJOR * 1000000 + SGT_VERSION_MINOR * 1000 + SGT_VERSION_PATCH >=                 \
     (major) * 1000000 + (minor) * 1000 + (patch))

/* Define SGT_STATIC when linking the static library on Windows. */
#if defined(_WIN32) && !defined(SGT_STATIC)
#ifdef SGT_BUILDING
#define SGT_API __declspec(dllexport)
#else
#define SGT_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define SGT_API __attribute__((visibility("default")))
#else
#define SGT_API
#endif

#ifdef __cplusplus
#define SGT_BEGIN_DECLS extern "C" {
#define SGT_END_DECLS }
#else
#define SGT_BEGIN_DECLS
#define SGT_END_DECLS
#endif

SGT_BEGIN_DECLS

/* The version of the library that runs, as "major.minor.patch". Any thread. Since 0.1. */
SGT_API const char *sgt_version(void);

/* The same as major * 1000000 + minor * 1000 + patch. Any thread. Since 0.1. */
SGT_API uint32_t sgt_version_number(void);

SGT_END_DECLS

#endif
