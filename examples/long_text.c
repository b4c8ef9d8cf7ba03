/* SPDX-License-Identifier: BSD-3-Clause */
#include "long_text.h"

#include <string.h>

/* Of `length` tokens, what is fed: all that leave room for more, or half a session. */
static int32_t fed(const long_text *t, int32_t length)
{
    int32_t most = sgt_session_max_length(t->session);
    return length < most ? length : most / 2 + most % 2;
}

int32_t long_text_fed(const long_text *t)
{
    return fed(t, t->n_prompt);
}

/* Across the sessions' ends, which the library would not look over. */
static int is_stopped(const long_text *t)
{
    return t->n_stop > 0 && t->made >= t->n_stop &&
           !memcmp(t->tokens + t->n_prompt + t->made - t->n_stop, t->stop,
                   (size_t)t->n_stop * sizeof *t->stop);
}

static int32_t on_token(void *user, int32_t token, int32_t index)
{
    long_text *t = user;
    (void)index;
    t->tokens[t->n_prompt + t->made] = token;
    int32_t said = t->callback(t->user, token, t->made++);
    return said ? said : is_stopped(t);
}

sgt_status long_text_write(long_text *t)
{
    sgt_session_generate_options options;
    sgt_generation generation = {.size = sizeof generation, .end = SGT_GENERATE_END_FULL};
    sgt_status status = sgt_session_generate_options_init(&options, sizeof options);
    options.callback = on_token;
    options.user = t;
    t->made = 0;
    while (status == SGT_OK && t->made < t->n_new && generation.end == SGT_GENERATE_END_FULL) {
        int32_t length = t->n_prompt + t->made, count = fed(t, length);
        options.max_tokens = t->n_new - t->made;
        status = sgt_session_rewind(t->session, 0, 0);
        if (status == SGT_OK)
            status = sgt_session_generate(&generation, t->session, 0, t->sampler,
                                          t->tokens + length - count, count, &options);
    }
    return status;
}
