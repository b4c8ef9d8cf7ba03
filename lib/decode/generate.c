/* SPDX-License-Identifier: BSD-3-Clause */
/* Generating: feed, pick, tell the host, until one of the four ends. */
#include "session.h"

#include "../base/error.h"
#include "../base/float_mode.h"
#include "sampler.h"

#define OPTIONS_MINIMUM    SGTI_SIZE_THROUGH(sgt_generate_options, user)
#define GENERATION_MINIMUM SGTI_SIZE_THROUGH(sgt_generation, log_prob)

static const sgt_generate_options default_options = {.size = sizeof default_options};

sgt_status sgt_generate_options_init(sgt_generate_options *options, size_t size)
{
    return sgti_struct_init(options, size, &default_options, sizeof default_options,
                            OPTIONS_MINIMUM, "sgt_generate_options");
}

/* ---- checks ---- */

static sgt_status check_options(const sgt_generate_options *o, int32_t vocab_size)
{
    if (o->max_tokens < 0 || o->n_stop_tokens < 0)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "sgt_generate_options.%s is %d, below 0",
                         o->max_tokens < 0 ? "max_tokens" : "n_stop_tokens",
                         (int)(o->max_tokens < 0 ? o->max_tokens : o->n_stop_tokens));
    if (o->tokens != NULL && o->max_tokens == 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "sgt_generate_options.max_tokens is 0: how many has the array `tokens`?");
    if (o->stop_tokens == NULL && o->n_stop_tokens > 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "sgt_generate_options.stop_tokens is NULL, n_stop_tokens is %d",
                         (int)o->n_stop_tokens);
    if (o->reserved != 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "sgt_generate_options.reserved is %d, not 0",
                         (int)o->reserved);
    for (int32_t i = 0; i < o->n_stop_tokens; i++)
        if (o->stop_tokens[i] < 0 || o->stop_tokens[i] >= vocab_size)
            return sgti_fail(SGT_E_OUT_OF_RANGE,
                             "sgt_generate_options.stop_tokens[%d] is %d, not in 0 .. %d", (int)i,
                             (int)o->stop_tokens[i], (int)vocab_size - 1);
    return SGT_OK;
}

static sgt_status read_options(sgt_generate_options *own, const sgt_generate_options *caller,
                               int32_t vocab_size)
{
    *own = default_options;
    if (caller == NULL)
        return SGT_OK;
    sgt_status status =
        sgti_struct_read(own, sizeof *own, caller, OPTIONS_MINIMUM, "sgt_generate_options");
    return status == SGT_OK ? check_options(own, vocab_size) : status;
}

static sgt_status check_handles(const sgt_session *session, const sgt_sampler *sampler)
{
    if (session == NULL || sampler == NULL)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL",
                         session == NULL ? "session" : "sampler");
    int32_t tokens = session->model->config.vocab_size;
    if (sampler->choice.vocab_size != tokens)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "the sampler is for vocabularies of %d tokens, the model has %d",
                         (int)sampler->choice.vocab_size, (int)tokens);
    return SGT_OK;
}

/* ---- the loop ---- */

typedef struct generator {
    sgt_session *session;
    int32_t sequence;
    sgt_sampler *sampler;
    const sgt_generate_options *options;
    sgt_generation made;
} generator;

static int is_stop_token(const sgt_generate_options *o, int32_t token)
{
    for (int32_t i = 0; i < o->n_stop_tokens; i++)
        if (o->stop_tokens[i] == token)
            return 1;
    return 0;
}

/* Tells the host of the token. Where more than one end is reached at once, the host's word comes
 * first. */
static sgt_status report(generator *g, int32_t token)
{
    const sgt_generate_options *o = g->options;
    int32_t index = g->made.count++, said = 0;
    uint64_t failures = sgti_failures();
    if (o->tokens != NULL)
        o->tokens[index] = token;
    if (o->callback != NULL) {
        said = o->callback(o->user, token, index);
        sgti_floats_renew();
    }
    if (said < 0)
        return sgti_failures() == failures
                   ? sgti_fail(said, "the callback ended the generation with %d", (int)said)
                   : said;
    if (said > 0)
        g->made.end = SGT_END_CALLBACK;
    else if (is_stop_token(o, token))
        g->made.end = SGT_END_STOP_TOKEN;
    else if (g->made.count == o->max_tokens)
        g->made.end = SGT_END_MAX_TOKENS;
    else if (sgt_session_length(g->session, g->sequence) == sgt_session_max_length(g->session))
        g->made.end = SGT_END_FULL;
    return SGT_OK;
}

/* From the logits of the last token that was fed. */
static sgt_status go_on(generator *g)
{
    float *logits = g->sampler->logits;
    sgt_status status = SGT_OK;
    while (status == SGT_OK) {
        int32_t token = 0;
        status = sgt_sampler_pick(&token, g->sampler, logits);
        if (status != SGT_OK)
            break;
        g->made.log_prob += sgti_log_prob(logits, g->sampler->choice.vocab_size, token);
        status = report(g, token);
        if (status != SGT_OK || g->made.end != 0)
            break;
        status = sgt_session_feed(logits, g->session, g->sequence, &token, 1);
    }
    return status;
}

sgt_status sgt_session_generate(sgt_generation *generation, sgt_session *session, int32_t sequence,
                                sgt_sampler *sampler, const int32_t *prompt, int32_t n_prompt,
                                const sgt_generate_options *options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_generate_options chosen;
    sgt_status status = sgti_struct_check(generation, GENERATION_MINIMUM, "sgt_generation");
    if (status == SGT_OK)
        status = check_handles(session, sampler);
    if (status == SGT_OK)
        status = read_options(&chosen, options, session->model->config.vocab_size);
    if (status == SGT_OK)
        status = sgt_session_feed(sampler->logits, session, sequence, prompt, n_prompt);
    if (status == SGT_OK)
        status = sgt_sampler_accept(sampler, prompt, n_prompt);
    if (status != SGT_OK)
        return status;
    generator g = {.session = session,
                   .sequence = sequence,
                   .sampler = sampler,
                   .options = &chosen,
                   .made = {.size = sizeof g.made}};
    status = go_on(&g);
    if (status == SGT_OK)
        sgti_struct_write(generation, &g.made, sizeof g.made);
    return status;
}
