/* SPDX-License-Identifier: BSD-3-Clause */
/* The sequences of a session: lengths, rewinding, shared prefixes. */
#include "../base/error.h"
#include "../base/float_mode.h"
#include "cache.h"
#include "session.h"

/* None after a refresh that failed. */
static int32_t count_sequences(const sgt_session *session)
{
    return session && session->state.ready ? session->options.sequences : 0;
}

static int is_sequence(const sgt_session *session, int32_t sequence)
{
    return sequence >= 0 && sequence < count_sequences(session);
}

int32_t sgt_session_length(const sgt_session *session, int32_t sequence)
{
    return is_sequence(session, sequence) ? session->state.lengths[sequence] : 0;
}

int32_t sgt_session_max_length(const sgt_session *session)
{
    return session ? session->options.max_length : 0;
}

/* That a sequence is there and has at least so many tokens. */
static sgt_status check_prefix(const sgt_session *session, int32_t sequence, int32_t length)
{
    if (!session)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "session is NULL");
    if (!is_sequence(session, sequence))
        return sgti_fail(SGT_E_OUT_OF_RANGE, "sequence %d of a session that has %d", (int)sequence,
                         (int)count_sequences(session));
    if (length < 0 || length > session->state.lengths[sequence])
        return sgti_fail(SGT_E_OUT_OF_RANGE, "the first %d tokens of sequence %d, which has %d",
                         (int)length, (int)sequence, (int)session->state.lengths[sequence]);
    return SGT_OK;
}

sgt_status sgt_session_rewind(sgt_session *session, int32_t sequence, int32_t length)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_prefix(session, sequence, length);
    if (status == SGT_OK)
        session->state.lengths[sequence] = length;
    return status;
}

sgt_status sgt_session_copy(sgt_session *session, int32_t to, int32_t from, int32_t length)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_prefix(session, from, length);
    if (status == SGT_OK)
        status = check_prefix(session, to, 0);
    if (status == SGT_OK)
        status = sgti_session_check(session);
    if (status)
        return status;
    if (to != from && length > 0) {
        session->state.lengths[to] = 0; /* what it had is gone even when the copy fails */
        status = sgti_cache_copy(session, to, from, length);
        if (status)
            return status;
    }
    session->state.lengths[to] = length;
    return SGT_OK;
}
