/* SPDX-License-Identifier: BSD-3-Clause */
/* The rule of sized structs (see <sgt/common.h>): reading a caller's struct and writing one. */
#ifndef SGTI_STRUCTS_H
#define SGTI_STRUCTS_H

#include <stddef.h>

#include <sgt/status.h>

/* The size of a struct that ends with `field`. With the last field of its first version this is the
 * smallest size that a caller can have been compiled with. */
#define SGTI_SIZE_THROUGH(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

/*
 * Reads a caller's struct: *own (own_size bytes, filled with defaults before) gets the first
 * min(size, own_size) bytes; own->size becomes own_size. A size under `minimum` (the size of the
 * struct in its first version) or a non-zero byte past own_size is SGT_E_STRUCT_SIZE. `name` is
 * the type for the message. `caller` must not be NULL.
 */
sgt_status sgti_struct_read(void *own, size_t own_size, const void *caller, size_t minimum,
                            const char *name);

/* SGT_E_INVALID_ARGUMENT unless `reserved` of a caller's struct is 0. */
sgt_status sgti_check_reserved(int32_t reserved, const char *name);

/* Checks that a caller's result struct is not NULL and has a plausible size. */
sgt_status sgti_struct_check(const void *caller, size_t minimum, const char *name);

/* Writes *own to the caller's struct: at most its own size, which stays; a newer caller's tail is
 * set to zero. */
void sgti_struct_write(void *caller, const void *own, size_t own_size);

/* The body of every sgt_x_options_init: zeroes `size` bytes, copies the defaults that fit, sets
 * size. */
sgt_status sgti_struct_init(void *caller, size_t size, const void *defaults, size_t own_size,
                            size_t minimum, const char *name);

#endif
