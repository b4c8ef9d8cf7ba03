/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sequences of a session: their lengths, rewinding, shared prefixes. A sequence is its length
 * and what lies below it in the cache. So rewinding only makes the length smaller: the keys and
 * values behind it stay in the cache, are never read, and are overwritten by the next feed.
 *
 * A ring (cache_layout.h) forgets. After keys up to position e were written, its near + chunk rows
 * hold the keys from e - chunk - near on. A sequence goes on from a length only if it still has the
 * `near` keys before that, so it may become as short as e - chunk:
 *
 *     0    forgotten    | near keys | chunk       e
 *                                   ^ shortest
 *
 * A copy takes its ring, and with it how far that goes back.
 */
#include "../base/error.h"
#include "../base/float_mode.h"
#include "cache.h"
#include "session.h"

/* A session whose refresh failed has no sequences. */
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

/* SGT_OK when the sequence is there and has at least `length` tokens. */
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

/* The same, and the caches must hold what the next token sees of them. */
static sgt_status check_held(const sgt_session *session, int32_t sequence, int32_t length)
{
    sgt_status status = check_prefix(session, sequence, length);
    if (status || length == 0 || length >= session->state.shortest[sequence])
        return status;
    const int32_t had = session->state.lengths[sequence];
    return sgti_fail(SGT_E_STATE,
                     "the first %d tokens of sequence %d, which has %d: the session keeps what "
                     "going back by %d tokens needs, or by all",
                     (int)length, (int)sequence, (int)had,
                     (int)(had - session->state.shortest[sequence]));
}

void sgti_session_reach(sgt_session *session, int32_t sequence, int32_t end)
{
    const int64_t ring = session->state.caches.smallest_ring;
    int32_t *shortest = &session->state.shortest[sequence];
    if (ring > 0 && end > ring && end - session->options.chunk > *shortest)
        *shortest = end - session->options.chunk;
}

static void set_length(sgt_session *session, int32_t sequence, int32_t length, int32_t shortest)
{
    session->state.lengths[sequence] = length;
    session->state.shortest[sequence] = length > 0 ? shortest : 0;
}

sgt_status sgt_session_rewind(sgt_session *session, int32_t sequence, int32_t length)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_held(session, sequence, length);
    if (status == SGT_OK)
        set_length(session, sequence, length, session->state.shortest[sequence]);
    return status;
}

sgt_status sgt_session_copy(sgt_session *session, int32_t to, int32_t from, int32_t length)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_held(session, from, length);
    if (status == SGT_OK)
        status = check_prefix(session, to, 0);
    if (status == SGT_OK)
        status = sgti_session_check(session);
    if (status)
        return status;
    if (to != from && length > 0) {
        set_length(session, to, 0, 0); /* a copy that fails has overwritten it too */
        status = sgti_cache_copy(session, to, from, length);
        if (status)
            return status;
    }
    set_length(session, to, length, session->state.shortest[from]);
    return SGT_OK;
}
