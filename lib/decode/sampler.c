/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Samplers as objects, with all arrays in one block of memory, and the steps of a pick up to the
 * draw itself, which is in choice.c.
 */
#include "sampler.h"

#include <math.h>
#include <string.h>

#include "../base/carver.h"
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/integers.h"
#include "../base/random.h"
#include "../core/context.h"

/* ---- memory ---- */

/* Each count is below 2^31 and each element below 2^5 bytes: the sum cannot overflow. */
static uint64_t lay_out(sgt_sampler *s, char *memory)
{
    sgti_carver c = {.memory = memory};
    sgti_choice *choice = &s->choice;
    sgti_token_window *window = &s->window;
    int64_t vocab = choice->vocab_size, top_k = choice->top_k;
    int draws = choice->temperature > 0, all = draws && top_k == 0;
    int64_t candidates = !draws ? 0 : top_k > 0 ? top_k : choice->top_p < 1 ? vocab : 0;
    choice->values = sgti_carve(&c, vocab, sizeof *choice->values);
    choice->weights = sgti_carve(&c, all ? vocab : 0, sizeof *choice->weights);
    choice->blocks = sgti_carve(&c, all ? sgti_ceil_div(vocab, SGTI_CHOICE_BLOCK) : 0,
                                sizeof *choice->blocks);
    choice->candidates = sgti_carve(&c, candidates, sizeof *choice->candidates);
    s->logits = sgti_carve(&c, vocab, sizeof *s->logits);
    s->bias_tokens = sgti_carve(&c, s->n_bias, sizeof *s->bias_tokens);
    s->bias = sgti_carve(&c, s->n_bias, sizeof *s->bias);
    int64_t counted = window->length > 0 ? vocab : 0;
    window->tokens = sgti_carve(&c, window->length, sizeof *window->tokens);
    window->counts = sgti_carve(&c, counted, sizeof *window->counts);
    window->distinct =
        sgti_carve(&c, sgti_min_i64(window->length, vocab), sizeof *window->distinct);
    window->places = sgti_carve(&c, counted, sizeof *window->places);
    return c.bytes;
}

/* ---- making and freeing ---- */

static sgt_sampler from_options(const sgt_sampler_options *o, sgt_context *context,
                                int32_t vocab_size)
{
    return (sgt_sampler){
        .context = context,
        .seed = o->seed,
        .choice = {.vocab_size = vocab_size,
                   .top_k = o->top_k < vocab_size ? o->top_k : 0,
                   .temperature = o->temperature,
                   .top_p = o->top_p,
                   .min_p = o->min_p},
        .n_bias = o->n_bias,
        .penalty = o->repetition_penalty,
        .window = {.length = o->repetition_penalty == 1 ? 0 : o->repetition_window},
        .picked = -1,
    };
}

sgt_status sgt_sampler_create(sgt_sampler **sampler, sgt_context *context, int32_t vocab_size,
                              const sgt_sampler_options *options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_sampler_options chosen;
    void *memory = NULL, *arrays = NULL;
    if (!sampler || !context)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !sampler ? "sampler" : "context");
    if (vocab_size < 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "vocab_size is %d, not at least 1", (int)vocab_size);
    sgt_status status = sgti_sampler_options_read(&chosen, options, vocab_size);
    if (status)
        return status;
    sgt_sampler made = from_options(&chosen, context, vocab_size);
    made.memory_bytes = lay_out(&made, NULL);
    status = sgti_allocate_zeroed(&memory, &context->memory, 1, sizeof made, "a sampler");
    if (status == SGT_OK)
        status = sgti_allocate_zeroed(&arrays, &context->memory, 1, made.memory_bytes,
                                      "the arrays of a sampler");
    if (status) {
        sgti_release(&context->memory, memory, sizeof made);
        return status;
    }
    made.memory = arrays;
    lay_out(&made, arrays);
    for (int32_t i = 0; i < made.n_bias; i++) {
        made.bias_tokens[i] = chosen.bias_tokens[i];
        made.bias[i] = chosen.bias[i];
    }
    sgti_context_ref(context);
    *sampler = memcpy(memory, &made, sizeof made);
    return SGT_OK;
}

void sgt_sampler_free(sgt_sampler *sampler)
{
    if (!sampler)
        return;
    sgt_context *context = sampler->context;
    sgti_release(&context->memory, sampler->memory, sampler->memory_bytes);
    sgti_release(&context->memory, sampler, sizeof *sampler);
    sgti_context_unref(context);
}

/* ---- picking ---- */

/* Values from logits: bias, then penalty. */
static sgt_status read_values(const sgt_sampler *s, const float *logits)
{
    double *values = s->choice.values;
    int32_t wrong = sgti_choice_read(values, logits, s->choice.vocab_size);
    if (wrong >= 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "logits[%d] is %s", (int)wrong,
                         isnan(logits[wrong]) ? "not a number" : "+infinity");
    for (int32_t i = 0; i < s->n_bias; i++)
        values[s->bias_tokens[i]] += s->bias[i];
    for (int32_t i = 0; i < s->window.n_distinct; i++) {
        double *value = &values[s->window.distinct[i]];
        *value = sgti_choice_penalise(*value, s->penalty);
    }
    return SGT_OK;
}

/* A multiple of 2^-53 in [0,1). */
static double uniform(const sgt_sampler *s)
{
    uint32_t bits[4];
    sgti_random_bits(bits, s->seed, SGTI_STREAM_TOKENS, s->drawn);
    return (double)(((uint64_t)bits[1] << 32 | bits[0]) >> 11) * 0x1p-53;
}

static sgt_status choose(int32_t *token, const sgt_sampler *s, const float *logits)
{
    sgt_status status = read_values(s, logits);
    if (status)
        return status;
    int32_t likeliest = sgti_choice_likeliest(s->choice.values, s->choice.vocab_size);
    if (likeliest < 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "logits and bias forbid all %d tokens: each is -infinity",
                         (int)s->choice.vocab_size);
    *token = s->choice.temperature > 0 ? sgti_choice_draw(&s->choice, likeliest, uniform(s))
                                       : likeliest;
    return SGT_OK;
}

sgt_status sgt_sampler_pick(int32_t *token, sgt_sampler *sampler, const float *logits)
{
    SGTI_DEFAULT_FLOATS;
    int32_t chosen = 0;
    if (!token || !sampler || !logits)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL",
                         !token     ? "token"
                         : !sampler ? "sampler"
                                    : "logits");
    sgt_status status = choose(&chosen, sampler, logits);
    if (status)
        return status;
    sampler->drawn++;
    if (sampler->window.length > 0)
        sgti_token_window_add(&sampler->window, chosen);
    sampler->picked = chosen;
    *token = chosen;
    return SGT_OK;
}

sgt_status sgt_sampler_accept(sgt_sampler *sampler, const int32_t *tokens, int32_t count)
{
    SGTI_DEFAULT_FLOATS;
    if (!sampler || (!tokens && count != 0))
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !sampler ? "sampler" : "tokens");
    if (count < 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "count is %d, below 0", (int)count);
    for (int32_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= sampler->choice.vocab_size)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "tokens[%d] is %d, not in 0 .. %d", (int)i,
                             (int)tokens[i], (int)sampler->choice.vocab_size - 1);
    for (int32_t i = 0; i < count && sampler->window.length > 0; i++)
        sgti_token_window_add(&sampler->window, tokens[i]);
    if (count > 0)
        sampler->picked = -1;
    return SGT_OK;
}

sgt_status sgti_sampler_accept_prompt(sgt_sampler *sampler, const int32_t *prompt,
                                      int32_t n_prompt)
{
    int32_t known = prompt[0] == sampler->picked;
    sampler->picked = -1;
    return sgt_sampler_accept(sampler, prompt + known, n_prompt - known);
}

sgt_status sgt_sampler_reset(sgt_sampler *sampler, uint64_t seed)
{
    SGTI_DEFAULT_FLOATS;
    if (!sampler)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "sampler is NULL");
    sampler->seed = seed;
    sampler->drawn = 0;
    sampler->picked = -1;
    if (sampler->window.length > 0)
        sgti_token_window_clear(&sampler->window);
    return SGT_OK;
}

double sgti_log_prob(const float *logits, int32_t vocab_size, int32_t token)
{
    double highest = -INFINITY;
    for (int32_t i = 0; i < vocab_size; i++)
        highest = logits[i] > highest ? logits[i] : highest;
    return logits[token] - highest - log(sgti_choice_sum_exp(logits, vocab_size, highest));
}
