/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys and values that a session keeps, in the rows of cache_layout.h; doc/decoding.md has a
 * picture. */
#ifndef SGTI_CACHE_H
#define SGTI_CACHE_H

#include <sgt/session.h>

#include "../model/parts/attention.h"

/* The provider `attend` of a session: appends the keys and values of the chunk's rows to their
 * sequences, and lets each row attend to what its pattern shows of its sequence up to its own.
 * `work` must be the first member of an sgti_chunk. */
sgt_status sgti_cache_attend(const sgti_work *work, const sgti_part *part, sgt_tensor qkv,
                             sgt_tensor out);

/* Copies what the first `length` positions of one sequence have in every cache over another. */
sgt_status sgti_cache_copy(const sgt_session *session, int32_t to, int32_t from, int32_t length);

#endif
