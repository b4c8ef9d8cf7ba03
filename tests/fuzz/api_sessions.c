/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls about sessions and samplers. */
#include "api_calls.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_LENGTH = 5 };

static session_facts *choose_session(world *w)
{
    return &w->sessions[choose(&w->in, SLOTS)];
}

static void free_session(session_facts *s)
{
    sgt_session_free(s->handle);
    sgt_plan_free(s->plan);
    drop_model(s->model);
    *s = (session_facts){0};
}

void api_session(world *w)
{
    session_facts *s = choose_session(w);
    model_facts *m = choose_model(w);
    sgt_session *made = NULL;
    sgt_session_options options;
    sgt_status expected = m ? SGT_OK : SGT_E_INVALID_ARGUMENT;
    if (s->handle != NULL) {
        free_session(s);
        return;
    }
    if (sgt_session_options_init(&options, sizeof options) != SGT_OK)
        abort();
    options.sequences = SEQUENCES;
    options.max_length = MOST_LENGTH;
    options.chunk = 1 + choose(&w->in, 4);
    switch (choose(&w->in, 12)) {
    case 0:
        options.max_length = MOST_SEQ + 1;
        expected = m ? SGT_E_OUT_OF_RANGE : expected;
        break;
    case 1:
        options.sequences = 0;
        expected = m ? SGT_E_OUT_OF_RANGE : expected;
        break;
    case 2:
        options.weights = SGT_F16;
        expected = m ? SGT_E_UNSUPPORTED : expected;
        break;
    case 3:
    case 4:
    case 5:
        options.weights = SGT_BF16;
        break;
    default:
        break;
    }
    if (!told(w, "sgt_session_create",
              sgt_session_create(&made, m ? m->handle : NULL, &options), expected)) {
        if (made != NULL)
            abort();
        return;
    }
    m->references++;
    *s = (session_facts){
        .handle = made, .model = m, .generation = sgt_model_generation(m->handle), .ready = 1,
        .chunk = options.chunk};
    s->plan = copy_plan(w, m);
}

/* SGT_E_STATE unless the model is as it was. */
static sgt_status check(const session_facts *s)
{
    int same = s->ready && s->generation == sgt_model_generation(s->model->handle) &&
               sgt_plan_equal(s->plan, sgt_model_plan(s->model->handle));
    return same ? SGT_OK : SGT_E_STATE;
}

static int is_sequence(const session_facts *s, int32_t sequence)
{
    return s->ready && sequence >= 0 && sequence < SEQUENCES;
}

static void note_reach(session_facts *s, int32_t sequence, int32_t end)
{
    if (end > s->most[sequence])
        s->most[sequence] = end;
}

static void note_length(session_facts *s, int32_t sequence, int32_t length)
{
    s->lengths[sequence] = length;
    if (length == 0)
        s->most[sequence] = 0;
    note_reach(s, sequence, length);
}

/* Of tokens that were refused half-way: patterns may have given up what the old end needs, and then
 * the whole chunks before stay. */
static void note_failed_feed(session_facts *s, int32_t sequence, int32_t count)
{
    int32_t before = s->lengths[sequence], after = sgt_session_length(s->handle, sequence);
    if (after < before || after - before >= count || (after - before) % s->chunk != 0 ||
        (after != before && (before == 0 || !s->model->forgets)))
        abort();
    if (before > 0)
        note_reach(s, sequence, before + count);
    s->lengths[sequence] = after;
}

/* Whether rings may have given up what going back to a length needs. */
static int may_be_gone(const session_facts *s, int32_t sequence, int32_t length)
{
    return s->model->forgets && length > 0 && s->most[sequence] - length > s->chunk;
}

static sgt_status foretell_feed(const session_facts *s, int32_t sequence, int32_t count, int bad)
{
    if (s->handle == NULL)
        return SGT_E_INVALID_ARGUMENT;
    if (check(s) != SGT_OK)
        return SGT_E_STATE;
    if (!is_sequence(s, sequence))
        return SGT_E_OUT_OF_RANGE;
    if (count < 1)
        return SGT_E_INVALID_ARGUMENT;
    return bad || count > MOST_LENGTH - s->lengths[sequence] ? SGT_E_OUT_OF_RANGE : SGT_OK;
}

void api_feed(world *w)
{
    session_facts *s = choose_session(w);
    int32_t sequence = choose(&w->in, SEQUENCES + 2) - 1,
            count = choose(&w->in, MOST_LENGTH + 3) - 1;
    int32_t seed = choose(&w->in, 256), bad = choose(&w->in, 10) == 0 && count > 0;
    int32_t scores = choose(&w->in, 3) == 0, tokens[MOST_LENGTH + 2];
    sgt_score score = {.size = sizeof score, .count = -7};
    float logits[VOCAB];
    for (int32_t i = 0; i < MOST_LENGTH + 2; i++)
        tokens[i] = (seed + 3 * i) % VOCAB;
    if (bad)
        tokens[count - 1] = VOCAB;
    if (count < 0)
        count = INT32_MIN;
    sgt_status expected = foretell_feed(s, sequence, count, bad);
    sgt_status got = scores ? sgt_session_score(&score, s->handle, sequence, tokens, count, NULL)
                            : sgt_session_feed(logits, s->handle, sequence, tokens, count);
    int done = told(w, "a feed", got, expected);
    if (!done && score.count != -7)
        abort();
    if (done && !scores && !isfinite(logits[0]))
        abort();
    if (done)
        note_length(s, sequence, s->lengths[sequence] + count);
    else if (expected == SGT_OK)
        note_failed_feed(s, sequence, count);
    for (int32_t i = 0; s->handle != NULL && i < SEQUENCES; i++)
        if (sgt_session_length(s->handle, i) != (s->ready ? s->lengths[i] : 0))
            abort();
}

static void rewind_or_copy(world *w, session_facts *s)
{
    int32_t from = choose(&w->in, SEQUENCES + 1), to = choose(&w->in, SEQUENCES + 1);
    int32_t length = choose(&w->in, MOST_LENGTH + 1) - 1, copies = choose(&w->in, 2);
    sgt_status expected = SGT_OK;
    if (s->handle == NULL)
        expected = SGT_E_INVALID_ARGUMENT;
    else if (!is_sequence(s, from) || length < 0 || length > s->lengths[from])
        expected = SGT_E_OUT_OF_RANGE;
    else if (copies && !is_sequence(s, to))
        expected = SGT_E_OUT_OF_RANGE;
    else if (copies)
        expected = check(s);
    sgt_status got = copies ? sgt_session_copy(s->handle, to, from, length)
                            : sgt_session_rewind(s->handle, from, length);
    int known = s->handle != NULL && is_sequence(s, from) && length >= 0;
    if (got == SGT_E_STATE && known && may_be_gone(s, from, length))
        expected = got; /* before `to` is looked at */
    if (!told(w, "the sequences of a session", got, expected))
        return;
    if (copies && to != from)
        s->most[to] = s->most[from];
    note_length(s, copies ? to : from, length);
}

static void refresh(world *w, session_facts *s)
{
    sgt_status expected = s->handle ? SGT_OK : SGT_E_INVALID_ARGUMENT;
    int done = told(w, "sgt_session_refresh", sgt_session_refresh(s->handle), expected);
    if (s->handle == NULL)
        return;
    for (int i = 0; i < SEQUENCES; i++)
        note_length(s, i, 0);
    sgt_plan_free(s->plan);
    s->plan = copy_plan(w, s->model);
    s->generation = sgt_model_generation(s->model->handle);
    s->ready = done;
}

void api_session_change(world *w)
{
    session_facts *s = choose_session(w);
    if (choose(&w->in, 2))
        refresh(w, s);
    else
        rewind_or_copy(w, s);
}

/* ---- samplers ---- */

void api_sampler(world *w)
{
    int32_t slot = choose(&w->in, SLOTS), vocab = choose(&w->in, 8) == 0 ? VOCAB + 1 : VOCAB;
    sgt_sampler *made = NULL;
    sgt_sampler_options options;
    sgt_status expected = SGT_OK;
    if (w->samplers[slot] != NULL) {
        sgt_sampler_free(w->samplers[slot]);
        w->samplers[slot] = NULL;
        return;
    }
    if (sgt_sampler_options_init(&options, sizeof options) != SGT_OK)
        abort();
    options.top_k = choose(&w->in, VOCAB + 2);
    options.temperature = 0.5 * choose(&w->in, 4);
    options.repetition_penalty = 1.0 + 0.25 * choose(&w->in, 3);
    options.repetition_window = choose(&w->in, 4);
    switch (choose(&w->in, 16)) {
    case 0:
        options.top_p = 0.0;
        expected = SGT_E_OUT_OF_RANGE;
        break;
    case 1:
        options.min_p = NAN;
        expected = SGT_E_INVALID_ARGUMENT;
        break;
    case 2:
        options.n_bias = 1;
        expected = SGT_E_INVALID_ARGUMENT;
        break;
    case 3:
        options.temperature = -1.0;
        expected = SGT_E_OUT_OF_RANGE;
        break;
    default:
        break;
    }
    int done = told(w, "sgt_sampler_create",
                    sgt_sampler_create(&made, w->context, vocab, &options), expected);
    if (done != (made != NULL))
        abort();
    w->samplers[slot] = made;
    w->sampler_vocab[slot] = vocab;
}

/* Logits, good and bad, and tokens that are put in the window. */
void api_pick(world *w)
{
    int32_t slot = choose(&w->in, SLOTS), how = choose(&w->in, 8), token = -1;
    int32_t tokens[] = {choose(&w->in, VOCAB + 2) - 1, 3};
    float logits[VOCAB + 1];
    sgt_sampler *sampler = w->samplers[slot];
    for (int i = 0; i <= VOCAB; i++)
        logits[i] = 0.5f * (float)(choose(&w->in, 9) - 4);
    sgt_status expected = sampler ? SGT_OK : SGT_E_INVALID_ARGUMENT;
    if (how == 0 || how == 1) {
        logits[2] = how == 0 ? NAN : INFINITY;
        expected = SGT_E_INVALID_ARGUMENT;
    } else if (how == 2) {
        int32_t vocab = sampler ? w->sampler_vocab[slot] : VOCAB;
        int good = tokens[0] >= 0 && tokens[0] < vocab;
        told(w, "sgt_sampler_accept", sgt_sampler_accept(sampler, tokens, 2),
             sampler == NULL ? SGT_E_INVALID_ARGUMENT : good ? SGT_OK : SGT_E_OUT_OF_RANGE);
        return;
    } else if (how == 3) {
        told(w, "sgt_sampler_reset", sgt_sampler_reset(sampler, 9), expected);
        return;
    }
    int done = told(w, "sgt_sampler_pick", sgt_sampler_pick(&token, sampler, logits), expected);
    if (done ? token < 0 || token >= w->sampler_vocab[slot] : token != -1)
        abort();
}

static int32_t stop_text(void *user, int32_t token, int32_t index)
{
    const int32_t *answer = user;
    if (token < 0 || token >= VOCAB)
        abort();
    return index >= 1 ? *answer : 0;
}

void api_generate(world *w)
{
    session_facts *s = choose_session(w);
    int32_t slot = choose(&w->in, SLOTS), sequence = choose(&w->in, SEQUENCES + 1);
    int32_t count = choose(&w->in, 4), answer = choose(&w->in, 3) * 3 - 3, end = -1;
    const int32_t prompt[] = {1, 2, 3};
    sgt_sampler *sampler = w->samplers[slot];
    sgt_session_generate_options options;
    sgt_generation generation = {.size = sizeof generation, .count = -7};
    if (sgt_session_generate_options_init(&options, sizeof options) != SGT_OK)
        abort();
    options.callback = stop_text;
    options.user = &answer;
    sgt_status expected = foretell_feed(s, sequence, count, 0);
    if (s->handle == NULL || sampler == NULL || w->sampler_vocab[slot] != VOCAB)
        expected = SGT_E_INVALID_ARGUMENT;
    int32_t before = sgt_session_length(s->handle, sequence);
    sgt_status got = sgt_session_generate(&generation, s->handle, sequence, sampler, prompt, count,
                                          &options);
    if (expected == SGT_OK && answer < 0 && got == answer)
        expected = answer; /* if it came to a second token */
    int done = told(w, "sgt_session_generate", got, expected);
    int32_t after = sgt_session_length(s->handle, sequence);
    if (done)
        end = generation.end;
    if (done &&
        (after != before + count + generation.count - 1 || end < SGT_GENERATE_END_STOP_TOKEN))
        abort();
    if (after < before || (expected != SGT_OK && expected != answer && after != before))
        abort();
    if (s->handle != NULL && is_sequence(s, sequence))
        note_length(s, sequence, after); /* a failure keeps what was fed */
    if (expected == SGT_OK && !done && before > 0) {
        note_reach(s, sequence, before + count);
        note_reach(s, sequence, after + 1);
    }
}
