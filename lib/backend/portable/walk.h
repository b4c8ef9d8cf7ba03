/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walking over up to three tensors of one shape and any strides at once, on all threads, in pieces
 * of rows. Dimensions that lie behind each other in every tensor are merged, and the one in which
 * the output is contiguous becomes the row, so that dense tensors are a few long rows. Where an
 * input runs across (a transpose), the pieces follow each other in square blocks that stay in
 * cache.
 */
#ifndef SGTI_WALK_H
#define SGTI_WALK_H

#include "portable.h"

/* A piece of a row of one tensor. */
typedef struct sgti_strip {
    char *data;
    int64_t step; /* bytes between elements; 0 repeats */
} sgti_strip;

enum { SGTI_Y = 0, SGTI_X = 1, SGTI_Z = 2, SGTI_OPERANDS = 3 };

/* strips[SGTI_Y] is written; only as many as were passed are there. */
typedef void (*sgti_strip_fn)(const void *context, const sgti_strip *strips, int64_t n);

/* x, then z, may be NULL. y does not repeat elements. */
void sgti_walk(const sgti_portable *portable, const sgt_tensor *y, const sgt_tensor *x,
               const sgt_tensor *z, sgti_strip_fn strip, const void *context);

#endif
