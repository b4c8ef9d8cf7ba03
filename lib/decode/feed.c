/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tokens through a session. A feed is cut into chunks of R rows; a chunk holds segments of one or
 * more sequences side by side. Lengths change only when everything has succeeded: what a failed
 * feed left in the cache lies behind the end of its sequences, where nobody looks.
 */
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/integers.h"
#include "../core/tensors.h"
#include "session.h"

#define FEED_MINIMUM SGTI_SIZE_THROUGH(sgt_feed, all_logits)

/* A feed under way. */
typedef struct feed_at_work {
    sgt_session *session;
    const sgt_feed *feed;
    float *const *last; /* [pieces] */
    float *losses;
    int64_t tokens;      /* N */
    int32_t piece;       /* where the next chunk begins: a piece */
    int32_t of_piece;    /* and how many of its tokens are done */
    int64_t first_token; /* of the chunk at work */
} feed_at_work;

static int32_t sequence_of(const sgt_feed *feed, int32_t piece)
{
    return feed->sequences ? feed->sequences[piece] : piece;
}

static int32_t length_of(const sgt_feed *feed, int32_t piece)
{
    return feed->lengths ? feed->lengths[piece] : 1;
}

/* ---- checks ---- */

static sgt_status check_piece(const sgt_session *session, const sgt_feed *feed, int32_t piece)
{
    const sgti_decode_state *state = &session->state;
    int32_t sequence = sequence_of(feed, piece), length = length_of(feed, piece);
    if (sequence < 0 || sequence >= state->layout.sequences)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "sequence %d of a session that has %d", (int)sequence,
                         (int)state->layout.sequences);
    if (state->named[sequence]++)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "sequence %d is fed twice in one call",
                         (int)sequence);
    if (length < 1)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%d tokens for sequence %d; at least 1 is needed",
                         (int)length, (int)sequence);
    if (length > state->layout.max_length - state->lengths[sequence])
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "%d tokens after %d of sequence %d exceed its max_length of %d",
                         (int)length, (int)state->lengths[sequence], (int)sequence,
                         (int)state->layout.max_length);
    return SGT_OK;
}

static sgt_status check_feed(int64_t *tokens, const sgt_session *session, const sgt_feed *feed)
{
    const sgti_decode_state *state = &session->state;
    int32_t vocab = session->model->config.vocab_size;
    int64_t n = 0;
    if (!feed->tokens)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "tokens is NULL");
    if (feed->count < 1)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "a feed of %d pieces", (int)feed->count);
    if (feed->count > state->layout.sequences)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "%d pieces for a session of %d sequences",
                         (int)feed->count, (int)state->layout.sequences);
    memset(state->named, 0, (size_t)state->layout.sequences * sizeof *state->named);
    for (int32_t piece = 0; piece < feed->count; piece++) {
        sgt_status status = check_piece(session, feed, piece);
        if (status)
            return status;
        n += length_of(feed, piece);
    }
    for (int64_t i = 0; i < n; i++)
        if (feed->tokens[i] < 0 || feed->tokens[i] >= vocab)
            return sgti_fail(SGT_E_OUT_OF_RANGE,
                             "token %d at position %lld is not in the vocabulary of %d",
                             (int)feed->tokens[i], (long long)i, (int)vocab);
    *tokens = n;
    return SGT_OK;
}

/* ---- chunks ---- */

/* Cuts the next chunk off. */
static void next_chunk(sgti_chunk *chunk, feed_at_work *work)
{
    sgti_decode_state *state = &work->session->state;
    const sgt_feed *feed = work->feed;
    *chunk = (sgti_chunk){.session = work->session,
                          .segments = state->segments,
                          .positions = state->positions};
    while (work->piece < feed->count && chunk->rows < state->layout.rows) {
        sgti_segment *segment = &state->segments[chunk->n_segments];
        int32_t rest = length_of(feed, work->piece) - work->of_piece;
        int32_t room = state->layout.rows - chunk->rows;
        segment->sequence = sequence_of(feed, work->piece);
        segment->count = rest < room ? rest : room;
        segment->row = chunk->rows;
        segment->piece = work->piece;
        segment->ends = segment->count == rest;
        state->positions[chunk->n_segments] = state->lengths[segment->sequence] + work->of_piece;
        chunk->rows += segment->count;
        chunk->n_segments++;
        work->of_piece += segment->count;
        if (segment->ends) {
            work->piece++;
            work->of_piece = 0;
        }
    }
}

static sgt_tensor integers_at(const sgt_session *session, uint64_t offset, int64_t count)
{
    return sgti_tensor_as(sgti_tensor_1d(session->state.scratch.buffer, offset, count), SGT_I32);
}

/* Embedding and every block. */
static sgt_status run_blocks(const sgti_chunk *chunk, const feed_at_work *work)
{
    const sgt_session *session = chunk->session;
    const sgt_model *model = session->model;
    const sgti_decode_layout *layout = &session->state.layout;
    sgt_tensor ids = integers_at(session, layout->ids, chunk->rows);
    sgt_tensor x = sgti_decode_at(session, layout->x, chunk->rows, model->config.d_model);
    sgt_tensor table = sgti_weight(model, model->parameters.embedding);
    sgt_embedding_args args = {.table = &table, .ids = &ids, .out = &x};
    int64_t chunks = sgti_ceil_div(work->tokens, layout->rows);
    int64_t done = work->first_token / layout->rows * layout->n_runs;
    sgt_status status = sgti_write(model->dispatch, &ids, work->feed->tokens + work->first_token);
    if (status == SGT_OK)
        status = sgti_embedding(model->dispatch, &args);
    for (int32_t layer = 0; layer < layout->n_layers; layer++)
        for (int32_t run = 0; run < layout->layers[layer].n_runs && status == SGT_OK; run++) {
            status = sgti_progress(model->context, SGT_PHASE_DECODE, done++,
                                   chunks * layout->n_runs);
            if (status == SGT_OK)
                status = sgti_decode_run(chunk, layer, run);
        }
    return status;
}

/* ---- logits ---- */

/* The logits of some rows of the chunk, at most head_rows, into the scratch. */
static sgt_status make_logits(sgt_tensor *logits, const sgti_chunk *chunk, int32_t row,
                              int32_t rows)
{
    const sgt_session *session = chunk->session;
    const sgt_model *model = session->model;
    const sgti_decode_layout *layout = &session->state.layout;
    sgt_status status = sgti_decode_norm(session, row, rows, model->parameters.final_norm);
    if (status)
        return status;
    sgt_tensor h =
        sgti_rows(sgti_decode_at(session, layout->h, row + rows, model->config.d_model), row, rows);
    *logits = sgti_decode_at(session, layout->logits, rows, model->config.vocab_size);
    return sgti_decode_linear(session, logits, &h, layout->n_matrices - 1, NULL);
}

/* Losses of `rows` rows from their logits, against the tokens that follow. */
static sgt_status make_losses(const feed_at_work *work, const sgt_tensor *logits, int32_t row,
                              int64_t rows)
{
    const sgt_session *session = work->session;
    const sgti_decode_layout *layout = &session->state.layout;
    sgti_dispatch *dispatch = session->model->dispatch;
    int64_t token = work->first_token + row;
    sgt_tensor targets = integers_at(session, layout->targets, rows);
    sgt_tensor losses = sgti_tensor_1d(session->state.scratch.buffer, layout->losses, rows);
    sgt_tensor known = sgti_rows(*logits, 0, rows);
    sgt_cross_entropy_args args = {.logits = &known, .targets = &targets, .losses = &losses};
    sgt_status status = sgti_write(dispatch, &targets, work->feed->tokens + token + 1);
    if (status == SGT_OK)
        status = sgti_cross_entropy(dispatch, &args);
    return status ? status : sgti_read(dispatch, work->losses + token, &losses);
}

/* What is wanted of every row of the chunk. */
static sgt_status give_all(const sgti_chunk *chunk, const feed_at_work *work)
{
    const sgt_session *session = chunk->session;
    int64_t vocab = session->model->config.vocab_size;
    int32_t most = session->state.layout.head_rows;
    for (int32_t row = 0; row < chunk->rows; row += most) {
        sgt_tensor logits;
        int32_t rows = chunk->rows - row < most ? chunk->rows - row : most;
        sgt_status status = make_logits(&logits, chunk, row, rows);
        if (status == SGT_OK && work->feed->all_logits)
            status = sgti_read(session->model->dispatch,
                               work->feed->all_logits + (work->first_token + row) * vocab, &logits);
        int64_t scored = sgti_min_i64(rows, work->tokens - 1 - work->first_token - row);
        if (status == SGT_OK && work->losses && scored > 0)
            status = make_losses(work, &logits, row, scored);
        if (status)
            return status;
    }
    return SGT_OK;
}

/* Hands over the logits of `rows` neighbouring pieces. */
static sgt_status give_pieces(const feed_at_work *work, int32_t piece, int32_t rows,
                              const sgt_tensor *logits)
{
    const sgt_model *model = work->session->model;
    sgt_status status = SGT_OK;
    if (work->feed->logits)
        status = sgti_read(model->dispatch,
                           work->feed->logits + (int64_t)piece * model->config.vocab_size, logits);
    for (int32_t row = 0; work->last && row < rows && status == SGT_OK; row++) {
        sgt_tensor one = sgti_rows(*logits, row, 1);
        status = sgti_read(model->dispatch, work->last[piece + row], &one);
    }
    return status;
}

/* The logits of the last token of every piece that ends here; neighbours share a product. */
static sgt_status give_last(const sgti_chunk *chunk, const feed_at_work *work)
{
    const sgt_session *session = chunk->session;
    for (int32_t i = 0; i < chunk->n_segments;) {
        const sgti_segment *segment = &chunk->segments[i];
        sgt_tensor logits;
        int32_t row = segment->row + segment->count - 1, rows = 1;
        if (!segment->ends) {
            i++;
            continue;
        }
        while (i + rows < chunk->n_segments && rows < session->state.layout.head_rows &&
               segment[rows].count == 1 && segment[rows].ends)
            rows++;
        sgt_status status = make_logits(&logits, chunk, row, rows);
        if (status == SGT_OK)
            status = give_pieces(work, segment->piece, rows, &logits);
        if (status)
            return status;
        i += rows;
    }
    return SGT_OK;
}

sgt_status sgti_session_run(sgt_session *session, const sgt_feed *feed, float *const *last,
                            float *losses)
{
    feed_at_work work = {.session = session, .feed = feed, .last = last, .losses = losses};
    sgt_status status = sgti_session_check(session);
    if (status == SGT_OK)
        status = check_feed(&work.tokens, session, feed);
    if (status == SGT_OK)
        status = sgti_model_prepare_weights(session->model);
    while (status == SGT_OK && work.first_token < work.tokens) {
        sgti_chunk chunk;
        next_chunk(&chunk, &work);
        status = run_blocks(&chunk, &work);
        if (status == SGT_OK && (feed->all_logits || losses))
            status = give_all(&chunk, &work);
        if (status == SGT_OK && (feed->logits || last))
            status = give_last(&chunk, &work);
        work.first_token += chunk.rows;
    }
    if (status == SGT_OK)
        status = sgti_sync(session->model->dispatch);
    for (int32_t piece = 0; status == SGT_OK && piece < feed->count; piece++)
        session->state.lengths[sequence_of(feed, piece)] += length_of(feed, piece);
    return status;
}

sgt_status sgt_session_feed_batch(sgt_session *session, const sgt_feed *caller)
{
    SGTI_DEFAULT_FLOATS;
    sgt_feed feed = {.size = sizeof feed};
    if (!session || !caller)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", session ? "feed" : "session");
    sgt_status status =
        sgti_struct_read(&feed, sizeof feed, caller, FEED_MINIMUM, "sgt_feed");
    return status ? status : sgti_session_run(session, &feed, NULL, NULL);
}

sgt_status sgt_session_feed(float *logits, sgt_session *session, int32_t sequence,
                            const int32_t *tokens, int32_t count)
{
    SGTI_DEFAULT_FLOATS;
    const sgt_feed feed = {.size = sizeof feed,
                           .count = 1,
                           .sequences = &sequence,
                           .lengths = &count,
                           .tokens = tokens,
                           .logits = logits};
    if (!session)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "session is NULL");
    return sgti_session_run(session, &feed, NULL, NULL);
}
