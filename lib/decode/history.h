/* SPDX-License-Identifier: BSD-3-Clause */
/* What a session remembers beside keys and values: the last rows that convolutions over time read,
 * in the rows of cache_layout.h. */
#ifndef SGTI_HISTORY_H
#define SGTI_HISTORY_H

#include "session.h"

/* The provider `remember` of a session. `work` must be the first member of an sgti_chunk. */
sgt_status sgti_history_remember(const sgti_work *work, const sgti_part *part, sgt_tensor u,
                                 sgt_tensor windows);

/* Copies what the first `length` positions of one sequence have in the history of a part over
 * another. */
sgt_status sgti_history_copy(const sgt_session *session, const sgti_part *part, int32_t to,
                             int32_t from, int32_t length);

#endif
