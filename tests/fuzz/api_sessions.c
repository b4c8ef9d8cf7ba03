/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls about sessions. */
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
        .handle = made, .model = m, .generation = sgt_model_generation(m->handle), .ready = 1};
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
    int32_t sequence = choose(&w->in, SEQUENCES + 2) - 1, count = choose(&w->in, MOST_LENGTH + 3) - 1;
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
        s->lengths[sequence] += count;
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
    if (told(w, "the sequences of a session", got, expected))
        s->lengths[copies ? to : from] = length;
}

static void refresh(world *w, session_facts *s)
{
    sgt_status expected = s->handle ? SGT_OK : SGT_E_INVALID_ARGUMENT;
    int done = told(w, "sgt_session_refresh", sgt_session_refresh(s->handle), expected);
    if (s->handle == NULL)
        return;
    for (int i = 0; i < SEQUENCES; i++)
        s->lengths[i] = 0;
    sgt_plan_free(s->plan);
    s->plan = copy_plan(w, s->model);
    s->generation = sgt_model_generation(s->model->handle);
    s->ready = done;
}

void api_session_change(world *w)
{
    session_facts *s = choose_session(w);
    static const int32_t types[] = {SGT_F32, SGT_BF16, SGT_F16};
    int32_t type;
    switch (choose(&w->in, 3)) {
    case 0:
        rewind_or_copy(w, s);
        return;
    case 1:
        refresh(w, s);
        return;
    default:
        type = types[choose(&w->in, 3)];
        told(w, "sgt_session_pack", sgt_session_pack(s->handle, type),
             s->handle == NULL    ? SGT_E_INVALID_ARGUMENT
             : type == SGT_F16 ? SGT_E_UNSUPPORTED
                                  : check(s));
        return;
    }
}
