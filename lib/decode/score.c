/* SPDX-License-Identifier: BSD-3-Clause */
/* Scoring tells how likely a given text is: it feeds the text and adds up the losses of its
 * tokens. */
#include <math.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "session.h"

#define SCORE_MINIMUM SGTI_SIZE_THROUGH(sgt_score, perplexity)

sgt_status sgt_session_score(sgt_score *score, sgt_session *session, int32_t sequence,
                             const int32_t *tokens, int32_t count, float *log_probs)
{
    SGTI_DEFAULT_FLOATS;
    const sgt_feed feed = {.size = sizeof feed,
                           .count = 1,
                           .sequences = &sequence,
                           .lengths = &count,
                           .tokens = tokens};
    sgt_score own = {.size = sizeof own};
    if (!session)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "session is NULL");
    sgt_status status = sgti_struct_check(score, SCORE_MINIMUM, "sgt_score");
    if (status)
        return status;
    const float *losses = session->state.losses;
    status = sgti_session_run(session, &feed, NULL, session->state.losses);
    if (status)
        return status;
    own.count = count - 1;
    for (int32_t i = 0; i + 1 < count; i++) {
        own.log_prob -= (double)losses[i];
        if (log_probs)
            log_probs[i] = -losses[i];
    }
    own.perplexity = count > 1 ? exp(-own.log_prob / (count - 1)) : 1.0;
    sgti_struct_write(score, &own, sizeof own);
    return SGT_OK;
}
