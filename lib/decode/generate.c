/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Generating: feed, pick a token, tell the host, and again, until the text ends. Texts that are
 * generated together form a group and go turn by turn. A turn picks one token for each text, then
 * feeds all these tokens in one pass over the weights, which is what a token costs most for. A text
 * that has ended leaves the group, so that later turns are cheaper. A single text is a group of
 * one.
 */
#include "generate.h"

#include "../base/carver.h"
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../core/context.h"
#include "sampler.h"
#include "session.h"

#define GENERATION_MINIMUM SGTI_SIZE_THROUGH(sgt_generation, log_prob)
#define BATCH_MINIMUM      SGTI_SIZE_THROUGH(sgt_generate_batch, generations)

/* A text that is generated. */
typedef struct text {
    int32_t sequence; /* that it is in */
    sgt_sampler *sampler;
    sgt_session_generate_options options;
    sgt_generation made;
} text;

/* Texts that are generated together. Every array has room for all of them; the last four have an
 * entry for each text that goes on, in the order of the texts. */
typedef struct group {
    sgt_session *session;
    text *texts;
    int32_t n_going;    /* texts that have not ended */
    int32_t *going;     /* [n_going] which of `texts` they are */
    int32_t *sequences; /* [n_going] for the next feed: their sequences, */
    int32_t *tokens;    /* [n_going] the token that was picked for each, */
    float **logits;     /* [n_going] and where its logits go: to its sampler */
} group;

/* ---- turns ---- */

/* Why the text ends with this token, or 0. A token may reach several ends at once; the first of the
 * list is reported, and the host's word (`said`) is the first of all. */
static int32_t end_of(const text *t, const sgt_session *session, int32_t token, int32_t said)
{
    const sgt_session_generate_options *o = &t->options;
    if (said > 0)
        return SGT_GENERATE_END_CALLBACK;
    if (sgti_is_stop_token(o, token))
        return SGT_GENERATE_END_STOP_TOKEN;
    if (sgti_ends_with_stop_sequence(o, t->made.count))
        return SGT_GENERATE_END_STOP_SEQUENCE;
    if (t->made.count == o->max_tokens)
        return SGT_GENERATE_END_MAX_TOKENS;
    if (sgt_session_length(session, t->sequence) == sgt_session_max_length(session))
        return SGT_GENERATE_END_FULL;
    return 0;
}

/* Writes a token down, tells the host, and sets made.end when the text ends with it. A callback
 * that answers below 0 fails; the message is its own if it has recorded one. */
static sgt_status report(text *t, const sgt_session *session, int32_t token)
{
    const sgt_session_generate_options *o = &t->options;
    int32_t index = t->made.count++, said = 0;
    uint64_t failures = sgti_failures();
    if (o->tokens)
        o->tokens[index] = token;
    if (o->callback) {
        said = o->callback(o->user, token, index);
        sgti_floats_renew();
    }
    if (said < 0)
        return sgti_failures() == failures
                   ? sgti_fail(said, "the callback ended the generation with %d", (int)said)
                   : said;
    t->made.end = end_of(t, session, token, said);
    return SGT_OK;
}

/* Picks the token that follows the last one that was fed, whose logits the sampler has. */
static sgt_status next_token(int32_t *token, text *t, const sgt_session *session)
{
    const float *logits = t->sampler->logits;
    sgt_status status = sgt_sampler_pick(token, t->sampler, logits);
    if (status)
        return status;
    t->made.log_prob += sgti_log_prob(logits, t->sampler->choice.vocab_size, *token);
    return report(t, session, *token);
}

/* Picks one more token for every text that goes on. Those that end with it leave the group; the
 * others move up and are ready for the next feed. */
static sgt_status take_turn(group *g)
{
    int32_t left = 0;
    for (int32_t i = 0; i < g->n_going; i++) {
        text *t = &g->texts[g->going[i]];
        int32_t token = 0;
        sgt_status status = next_token(&token, t, g->session);
        if (status)
            return status;
        if (t->made.end)
            continue;
        g->going[left] = g->going[i];
        g->sequences[left] = t->sequence;
        g->logits[left] = t->sampler->logits;
        g->tokens[left++] = token;
    }
    g->n_going = left;
    return SGT_OK;
}

/* Feeds each text of the group `lengths` tokens (NULL: 1 each), which lie one behind the other. */
static sgt_status feed_group(const group *g, const int32_t *tokens, const int32_t *lengths)
{
    const sgt_feed feed = {.size = sizeof feed,
                           .count = g->n_going,
                           .sequences = g->sequences,
                           .lengths = lengths,
                           .tokens = tokens};
    return sgti_session_run(g->session, &feed, g->logits, NULL);
}

/* Writes all texts to their ends, from their prompts on: these lie one behind the other, and have
 * `lengths` tokens; NULL: 1 each. */
static sgt_status write_group(group *g, const int32_t *prompts, const int32_t *lengths)
{
    sgt_status status = feed_group(g, prompts, lengths);
    for (int32_t i = 0; i < g->n_going && status == SGT_OK; i++) {
        int32_t length = lengths ? lengths[i] : 1;
        status = sgti_sampler_accept_prompt(g->texts[i].sampler, prompts, length);
        prompts += length;
    }
    while (status == SGT_OK && g->n_going > 0) {
        status = take_turn(g);
        if (status == SGT_OK && g->n_going > 0)
            status = feed_group(g, g->tokens, NULL);
    }
    return status;
}

/* Checks what a text is given, and puts it into the group. */
static sgt_status join_group(group *g, int32_t sequence, sgt_sampler *sampler,
                             const sgt_session_generate_options *options)
{
    int32_t vocab_size = g->session->model->config.vocab_size, at = g->n_going;
    text t = {.sequence = sequence, .sampler = sampler, .made = {.size = sizeof t.made}};
    if (!sampler)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "sampler is NULL");
    if (sampler->choice.vocab_size != vocab_size)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "the sampler is for vocabularies of %d tokens, the model has %d",
                         (int)sampler->choice.vocab_size, (int)vocab_size);
    for (int32_t i = 0; i < at; i++)
        if (g->texts[i].sampler == sampler)
            return sgti_fail(SGT_E_INVALID_ARGUMENT, "the sampler is that of text %d too", (int)i);
    sgt_status status = sgti_generate_options_read(&t.options, options, g->session->model);
    if (status)
        return status;
    g->texts[at] = t;
    g->going[at] = at;
    g->sequences[at] = sequence;
    g->logits[at] = sampler->logits;
    g->n_going++;
    return SGT_OK;
}

/* ---- one text ---- */

sgt_status sgt_session_generate(sgt_generation *generation, sgt_session *session, int32_t sequence,
                                sgt_sampler *sampler, const int32_t *prompt, int32_t n_prompt,
                                const sgt_session_generate_options *options)
{
    SGTI_DEFAULT_FLOATS;
    text only;
    int32_t which, fed_to, token;
    float *logits;
    group g = {.session = session,
               .texts = &only,
               .going = &which,
               .sequences = &fed_to,
               .tokens = &token,
               .logits = &logits};
    sgt_status status = sgti_struct_check(generation, GENERATION_MINIMUM, "sgt_generation");
    if (status)
        return status;
    if (!session)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "session is NULL");
    status = join_group(&g, sequence, sampler, options);
    if (status == SGT_OK)
        status = write_group(&g, prompt, &n_prompt);
    if (status == SGT_OK)
        sgti_struct_write(generation, &only.made, sizeof only.made);
    return status;
}

/* ---- several ---- */

static sgt_status read_batch(sgt_generate_batch *own, const sgt_session *session,
                             const sgt_generate_batch *caller)
{
    sgt_status status =
        sgti_struct_read(own, sizeof *own, caller, BATCH_MINIMUM, "sgt_generate_batch");
    if (status)
        return status;
    if (own->count < 1 || own->count > session->options.sequences)
        return sgti_fail(own->count < 1 ? SGT_E_INVALID_ARGUMENT : SGT_E_OUT_OF_RANGE,
                         "%d texts for a session of %d sequences", (int)own->count,
                         (int)session->options.sequences);
    if (!own->samplers || !own->generations || !own->prompts)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "sgt_generate_batch.%s is NULL",
                         !own->samplers      ? "samplers"
                         : !own->generations ? "generations"
                                             : "prompts");
    return SGT_OK;
}

/* Checks all texts of a batch and makes them the group. The message of an error names the text. */
static sgt_status join_all(group *g, const sgt_generate_batch *batch)
{
    for (int32_t i = 0; i < batch->count; i++) {
        sgt_status status =
            sgti_struct_check(batch->generations[i], GENERATION_MINIMUM, "sgt_generation");
        if (status == SGT_OK)
            status = join_group(g, batch->sequences ? batch->sequences[i] : i, batch->samplers[i],
                                batch->options ? batch->options[i] : NULL);
        if (status)
            return sgti_fail(status, "text %d: %s", (int)i, sgt_error_message());
    }
    return SGT_OK;
}

/* Points the arrays of a group into one block of memory. */
static void lay_out(group *g, sgti_carver *c, int32_t count)
{
    g->texts = sgti_carve(c, count, sizeof *g->texts);
    g->going = sgti_carve(c, count, sizeof *g->going);
    g->sequences = sgti_carve(c, count, sizeof *g->sequences);
    g->tokens = sgti_carve(c, count, sizeof *g->tokens);
    g->logits = sgti_carve(c, count, sizeof *g->logits);
}

sgt_status sgt_session_generate_batch(sgt_session *session, const sgt_generate_batch *caller)
{
    SGTI_DEFAULT_FLOATS;
    sgt_generate_batch batch;
    group g = {.session = session};
    sgti_carver block = {0};
    void *memory = NULL;
    if (!session || !caller)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL",
                         !session ? "session" : "sgt_generate_batch");
    sgti_memory *lender = &session->model->context->memory;
    sgt_status status = read_batch(&batch, session, caller);
    if (status)
        return status;
    lay_out(&g, &block, batch.count);
    status = sgti_allocate_zeroed(&memory, lender, block.bytes, 1, "texts that are generated");
    if (status)
        return status;
    lay_out(&g, &(sgti_carver){.memory = memory}, batch.count);
    status = join_all(&g, &batch);
    if (status == SGT_OK)
        status = write_group(&g, batch.prompts, batch.lengths);
    for (int32_t i = 0; i < batch.count && status == SGT_OK; i++)
        sgti_struct_write(batch.generations[i], &g.texts[i].made, sizeof g.texts[i].made);
    sgti_release(lender, memory, block.bytes);
    return status;
}
