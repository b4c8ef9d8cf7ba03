/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walks over up to three tensors of one shape, each with any strides, at once and on all threads,
 * and calls a function for each piece of a row. Dimensions that follow each other without a gap in
 * every tensor are merged, and the one in which the output's elements are closest becomes the row,
 * so that dense tensors are one long row. If an input is not contiguous along that row (a
 * transpose), pieces are short and go in square blocks, so that both sides stay in the cache:
 *
 *     output, by rows    |-> |-> |        the input of such a block is read down its columns
 *                        |-> |-> |
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

/* Works on one piece of `n` elements. strips[SGTI_Y] is written; there are as many strips as
 * tensors were passed to sgti_walk. */
typedef void (*sgti_strip_fn)(const void *context, const sgti_strip *strips, int64_t n);

/* Walks; y is the output, x and z are inputs. z may be NULL, and then x too. The strides of y give
 * each element a place of its own. */
void sgti_walk(const sgti_portable *portable, const sgt_tensor *y, const sgt_tensor *x,
               const sgt_tensor *z, sgti_strip_fn strip, const void *context);

#endif
