/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keys and values that a session keeps. A later pass of a layer makes its keys from what the
 * pass before it left in the residual stream, so they differ from pass to pass: every attention
 * pass of every run has a cache of its own,
 *
 *     [S, 2g, L, dh]   S sequences; the keys of the g heads that the pass reads, then their values;
 *                      L positions
 *
 * doc/decoding.md has a picture.
 */
#ifndef SGTI_CACHE_H
#define SGTI_CACHE_H

#include <sgt/session.h>

#include "../model/parts/attention.h"

struct sgti_chunk; /* session.h */

/* Lays the caches out and returns their bytes, or sets *overflow. first [n_parts], unless NULL,
 * gets the element at which the cache of each attention part begins; entries of feed-forward
 * parts, which have none, are left alone. */
uint64_t sgti_cache_plan(uint64_t *first, int *overflow, const sgt_model_config *config,
                         const sgti_passes *passes, const sgt_session_options *options);

/* The provider `attend` of a session: appends the keys and values of the chunk's rows to their
 * sequences, and lets each row attend to all positions of its sequence up to its own. `work` must
 * be the first member of an sgti_chunk. */
sgt_status sgti_cache_attend(const sgti_work *work, const sgti_part *part, sgt_tensor qkv,
                             sgt_tensor out);

/* Copies the first `length` positions of one sequence over those of another, in every cache. */
sgt_status sgti_cache_copy(const sgt_session *session, int32_t to, int32_t from, int32_t length);

#endif
