/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs tokens through a session. A feed is cut into chunks of at most R rows, because activations
 * have room for R rows. A chunk holds segments, each some tokens of one sequence, side by side: all
 * of them share the products with weights, and only rotation and attention go by sequence.
 *
 *     a feed of pieces   a b c d e    f g    h          of three sequences
 *     chunks for R = 3   [a b c]  [d e | f]  [g | h]    1, 2 and 2 segments
 *
 * The lengths of sequences change at the very end, when everything has succeeded. So a failed feed
 * changes nothing: the keys and values that it left in the cache lie behind the end of its
 * sequences, where nobody reads them and the next feed writes. But in a ring they may lie over what
 * the old end needs; such a sequence keeps the chunks that succeeded.
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
    float *const *last;  /* as in sgti_session_run, like the next */
    float *losses;
    int64_t tokens;      /* N, of all pieces */
    int32_t piece;       /* the next chunk begins in this piece, */
    int32_t of_piece;    /* behind so many of its tokens */
    int64_t first_token; /* of the chunk at work, counted over all pieces */
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
    if (sequence < 0 || sequence >= session->options.sequences)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "sequence %d of a session that has %d", (int)sequence,
                         (int)session->options.sequences);
    if (state->named[sequence]++)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "sequence %d is fed twice in one call",
                         (int)sequence);
    if (length < 1)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%d tokens for sequence %d; at least 1 is needed",
                         (int)length, (int)sequence);
    if (length > session->options.max_length - state->lengths[sequence])
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "%d tokens after %d of sequence %d exceed its max_length of %d",
                         (int)length, (int)state->lengths[sequence], (int)sequence,
                         (int)session->options.max_length);
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
    if (feed->count > session->options.sequences)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "%d pieces for a session of %d sequences",
                         (int)feed->count, (int)session->options.sequences);
    memset(state->named, 0, (size_t)session->options.sequences * sizeof *state->named);
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

/* Cuts the next chunk off: R rows, or what is left. */
static void next_chunk(sgti_chunk *chunk, feed_at_work *feeding)
{
    sgt_session *session = feeding->session;
    sgti_decode_state *state = &session->state;
    const sgt_feed *feed = feeding->feed;
    int32_t most = (int32_t)state->layout.shape.rows, rows = 0;
    *chunk = (sgti_chunk){
        .session = session, .segments = state->segments, .positions = state->positions};
    while (feeding->piece < feed->count && rows < most) {
        sgti_segment *segment = &state->segments[chunk->n_segments];
        int32_t rest = length_of(feed, feeding->piece) - feeding->of_piece;
        segment->sequence = sequence_of(feed, feeding->piece);
        segment->count = rest < most - rows ? rest : most - rows;
        segment->row = rows;
        segment->piece = feeding->piece;
        segment->ends = segment->count == rest;
        state->positions[chunk->n_segments] =
            state->lengths[segment->sequence] + feeding->of_piece;
        rows += segment->count;
        chunk->n_segments++;
        feeding->of_piece += segment->count;
        if (segment->ends) {
            feeding->piece++;
            feeding->of_piece = 0;
        }
    }
    chunk->work.rows = rows;
}

/* Fills in what lib/model needs to know of a chunk; only its number of rows is known before. */
static void begin_work(sgti_chunk *chunk, const feed_at_work *feeding)
{
    const sgt_session *session = feeding->session;
    const sgti_layout *layout = &session->state.layout;
    int64_t per_chunk = layout->shape.rows, n_runs = layout->n_runs;
    chunk->work = (sgti_work){
        .model = session->model,
        .dispatch = session->model->dispatch,
        .config = &session->model->config,
        .layout = layout,
        .providers = &sgti_session_providers,
        .arena = session->state.scratch.buffer,
        .rotary = &session->rotary,
        .lists = session->state.lists.buffer,
        .panel = session->state.panel.buffer,
        .rows = chunk->work.rows,
        .inference = 1,
        .phase = SGT_PHASE_DECODE,
        .progress_done = feeding->first_token / per_chunk * n_runs,
        .progress_total = sgti_ceil_div(feeding->tokens, per_chunk) * n_runs};
}

/* Makes the rotation tables reach to the last position of the chunk. They are kept, so that only
 * what is new in them is computed. */
static sgt_status fill_rotary(const sgti_chunk *chunk)
{
    int32_t longest = 0;
    for (int32_t i = 0; i < chunk->n_segments; i++) {
        int32_t end = chunk->positions[i] + chunk->segments[i].count;
        longest = end > longest ? end : longest;
    }
    return sgti_rotary_fill(&chunk->session->rotary, chunk->work.dispatch, chunk->work.config,
                            longest);
}

/* The embedding and all blocks, for the rows of a chunk. */
static sgt_status run_blocks(const sgti_chunk *chunk, const feed_at_work *feeding)
{
    const sgti_work *work = &chunk->work;
    for (int32_t i = 0; i < chunk->n_segments; i++)
        sgti_session_reach(chunk->session, chunk->segments[i].sequence,
                           chunk->positions[i] + chunk->segments[i].count);
    sgt_tensor ids = sgti_tensor_flat(sgti_at(work, &work->layout->ids));
    sgt_tensor positions = sgti_pass_lists_more(work->lists, chunk->session->state.passes, 0,
                                                chunk->n_segments);
    sgt_status status =
        sgti_write(work->dispatch, &ids, feeding->feed->tokens + feeding->first_token);
    if (status == SGT_OK)
        status = sgti_write(work->dispatch, &positions, chunk->positions);
    return status ? status : sgti_blocks_forward(work);
}

/* ---- logits ---- */

/* Losses of the first `rows` rows of logits, which are those of tokens `token`, `token` + 1, ...:
 * each against the token that follows it. */
static sgt_status make_losses(const sgti_work *work, const feed_at_work *feeding,
                              const sgt_tensor *logits, int64_t token, int64_t rows)
{
    const sgti_layout *layout = work->layout;
    sgt_tensor targets = sgti_tensor_flat(sgti_rows(sgti_at(work, &layout->targets), 0, rows));
    sgt_tensor losses = sgti_tensor_flat(sgti_rows(sgti_at(work, &layout->losses), 0, rows));
    sgt_tensor known = sgti_rows(*logits, 0, rows);
    sgt_cross_entropy_args args = {.logits = &known, .targets = &targets, .losses = &losses};
    sgt_status status = sgti_write(work->dispatch, &targets, feeding->feed->tokens + token + 1);
    if (status == SGT_OK)
        status = sgti_cross_entropy(work->dispatch, &args);
    return status ? status : sgti_read(work->dispatch, feeding->losses + token, &losses);
}

/* Receives the logits of some rows of a chunk when those of every row are wanted: for the caller,
 * for losses, or both. The last token of the feed has no loss, because nothing follows it. */
static sgt_status use_all(const sgti_work *work, const sgt_tensor *logits, const sgt_tensor *h,
                          int64_t first, int64_t rows, void *argument)
{
    const feed_at_work *feeding = argument;
    float *all = feeding->feed->all_logits;
    int64_t token = feeding->first_token + first;
    sgt_status status = SGT_OK;
    (void)h;
    if (all)
        status = sgti_read(work->dispatch, all + token * logits->shape[1], logits);
    int64_t scored = sgti_min_i64(rows, feeding->tokens - 1 - token);
    if (status == SGT_OK && feeding->losses && scored > 0)
        status = make_losses(work, feeding, logits, token, scored);
    return status;
}

/* Logits of the last tokens of some pieces that follow one another. */
typedef struct give_at_work {
    const feed_at_work *feeding;
    int32_t piece; /* the first of them */
} give_at_work;

/* Receives those logits, one row per piece, and hands them to whoever wants them. */
static sgt_status give_pieces(const sgti_work *work, const sgt_tensor *logits, const sgt_tensor *h,
                              int64_t first, int64_t rows, void *argument)
{
    const give_at_work *give = argument;
    const feed_at_work *feeding = give->feeding;
    int64_t piece = give->piece + first, vocab = logits->shape[1];
    sgt_status status = SGT_OK;
    (void)h;
    if (feeding->feed->logits)
        status = sgti_read(work->dispatch, feeding->feed->logits + piece * vocab, logits);
    for (int64_t row = 0; feeding->last && row < rows && status == SGT_OK; row++) {
        sgt_tensor one = sgti_rows(*logits, row, 1);
        status = sgti_read(work->dispatch, feeding->last[piece + row], &one);
    }
    return status;
}

/* Makes the logits of the last token of every piece that ends in this chunk. Where pieces of one
 * token follow, their rows are neighbours of that row, and one product makes the logits of all. */
static sgt_status give_last(const sgti_chunk *chunk, const feed_at_work *feeding)
{
    for (int32_t i = 0; i < chunk->n_segments;) {
        const sgti_segment *segment = &chunk->segments[i];
        int32_t rows = 1;
        if (!segment->ends) {
            i++;
            continue;
        }
        while (i + rows < chunk->n_segments && segment[rows].count == 1 && segment[rows].ends)
            rows++;
        sgt_status status =
            sgti_head_logits(&chunk->work, segment->row + segment->count - 1, 1, rows,
                             give_pieces, &(give_at_work){feeding, segment->piece});
        if (status)
            return status;
        i += rows;
    }
    return SGT_OK;
}

/* After a failure in the chunk whose segments the state has: what becomes of a sequence whose old
 * end a ring does not reach back to. */
static void keep_chunks(const feed_at_work *feeding)
{
    sgti_decode_state *state = &feeding->session->state;
    const int32_t failed = state->segments[0].piece;
    for (int32_t piece = 0; piece <= failed; piece++) {
        const int32_t sequence = sequence_of(feeding->feed, piece);
        int32_t *length = &state->lengths[sequence];
        if (*length == 0)
            state->shortest[sequence] = 0;
        else if (*length < state->shortest[sequence])
            *length = piece < failed ? *length + length_of(feeding->feed, piece)
                                     : state->positions[0];
    }
}

static void append_all(const feed_at_work *feeding)
{
    for (int32_t piece = 0; piece < feeding->feed->count; piece++)
        feeding->session->state.lengths[sequence_of(feeding->feed, piece)] +=
            length_of(feeding->feed, piece);
}

sgt_status sgti_session_run(sgt_session *session, const sgt_feed *feed, float *const *last,
                            float *losses)
{
    feed_at_work feeding = {.session = session, .feed = feed, .last = last, .losses = losses};
    sgt_status status = sgti_session_check(session);
    if (status == SGT_OK)
        status = check_feed(&feeding.tokens, session, feed);
    if (status == SGT_OK)
        status = sgti_model_prepare_weights(session->model);
    if (status)
        return status;
    while (status == SGT_OK && feeding.first_token < feeding.tokens) {
        sgti_chunk chunk;
        next_chunk(&chunk, &feeding);
        begin_work(&chunk, &feeding);
        status = fill_rotary(&chunk);
        if (status == SGT_OK)
            status = run_blocks(&chunk, &feeding);
        if (status == SGT_OK && (feed->all_logits || losses))
            status = sgti_head_logits(&chunk.work, 0, 1, chunk.work.rows, use_all, &feeding);
        if (status == SGT_OK && (feed->logits || last))
            status = give_last(&chunk, &feeding);
        feeding.first_token += chunk.work.rows;
    }
    if (status == SGT_OK)
        status = sgti_sync(session->model->dispatch);
    if (status == SGT_OK)
        append_all(&feeding);
    else
        keep_chunks(&feeding);
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
