/* SPDX-License-Identifier: BSD-3-Clause */
/* The sequences of a session: lengths, rewinding, shared prefixes. */
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../core/tensors.h"
#include "session.h"

static int is_sequence(const sgt_session *session, int32_t sequence)
{
    return session && sequence >= 0 && sequence < session->state.layout.sequences;
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
                         (int)session->state.layout.sequences);
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

/* The first `length` positions of one sequence in a part of the cache: [2g, length, dh]. */
static sgt_tensor prefix_of(const sgt_session *session, const sgti_decode_pass *pass,
                            uint64_t cache, int32_t sequence, int32_t length)
{
    int64_t dh = session->model->config.head_dim, most = session->state.layout.max_length;
    int64_t heads = 2 * (int64_t)pass->n_groups;
    sgt_tensor tensor =
        sgti_tensor_3d(session->state.cache.buffer,
                       cache + (uint64_t)(sequence * heads * most * dh), heads, most, dh);
    tensor.shape[1] = length;
    return tensor;
}

/* One layer's cache of `from` to `to`. */
static sgt_status copy_layer(sgt_session *session, int32_t layer, int32_t to, int32_t from,
                             int32_t length)
{
    const sgti_decode_layout *layout = &session->state.layout;
    const sgti_decode_layer *of_layer = &layout->layers[layer];
    for (int32_t i = 0; i < of_layer->n_passes * of_layer->n_runs; i++) {
        const sgti_decode_pass *pass =
            &layout->passes[of_layer->first_pass + i % of_layer->n_passes];
        uint64_t cache =
            pass->cache + (uint64_t)(i / of_layer->n_passes) * of_layer->run_stride;
        if (pass->n_groups == 0)
            continue;
        sgt_tensor source = prefix_of(session, pass, cache, from, length);
        sgt_tensor target = prefix_of(session, pass, cache, to, length);
        sgt_status status = sgti_copy(session->model->dispatch, &target, &source);
        if (status)
            return status;
    }
    return SGT_OK;
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
        for (int32_t layer = 0; layer < session->state.layout.n_layers; layer++) {
            status = copy_layer(session, layer, to, from, length);
            if (status)
                return status;
        }
    }
    session->state.lengths[to] = length;
    return SGT_OK;
}
