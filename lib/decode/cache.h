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

/* Rows [1,R,..] of one sequence, in which position p has row p mod `period`. */
typedef struct sgti_ring {
    sgt_tensor rows;
    int64_t position; /* the first one that is copied */
    int64_t period;
} sgti_ring;

/* Copies steps [1,T,..] into a ring, or as many out of it. */
sgt_status sgti_cache_go_round(sgti_dispatch *dispatch, const sgti_ring *ring, sgt_tensor steps,
                               int into);

/* Copies what the first `length` positions of one sequence have in every cache over another. */
sgt_status sgti_cache_copy(const sgt_session *session, int32_t to, int32_t from, int32_t length);

#endif
