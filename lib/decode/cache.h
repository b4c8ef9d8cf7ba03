/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys and values that a session keeps. Every attention pass of every run has a part of its own:
 *
 *     [S, 2g, L, dh]   S sequences, keys of g heads and then their values, L positions
 *
 * doc/decoding.md has a picture.
 */
#ifndef SGTI_CACHE_H
#define SGTI_CACHE_H

#include <sgt/session.h>

#include "../model/parts/attention.h"

struct sgti_chunk; /* session.h */

/* Where each attention part's keys and values begin, by the part's index in the layout: first
 * [n_parts] elements; NULL: only the sum is wanted. Returns the bytes of the whole cache, or sets
 * *overflow. */
uint64_t sgti_cache_plan(uint64_t *first, int *overflow, const sgt_model_config *config,
                         const sgti_passes *passes, const sgt_session_options *options);

/* The provider `attend` of a session: appends the keys and values of the chunk's rows and reads all
 * that is there. The work is that of a chunk. */
sgt_status sgti_cache_attend(const sgti_work *work, const sgti_part *part, sgt_tensor qkv,
                             sgt_tensor out);

/* Copies the first `length` positions of one sequence over those of another, in every part. */
sgt_status sgti_cache_copy(const sgt_session *session, int32_t to, int32_t from, int32_t length);

#endif
