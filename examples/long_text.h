/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text of any length from a session that holds only so many tokens: when it is full, the last half
 * of what it holds is fed anew, and the text goes on after that.
 */
#ifndef LONG_TEXT_H
#define LONG_TEXT_H

#include <sgt/session.h>

typedef struct long_text {
    sgt_session *session; /* its sequence 0 is used */
    sgt_sampler *sampler;
    int32_t *tokens;      /* [n_prompt + n_new] the prompt in front */
    int32_t n_prompt;     /* at least 1 */
    int32_t n_new;        /* at least 1 */
    const int32_t *stop;  /* [n_stop] new tokens that end the text; they belong to it */
    int32_t n_stop;       /* 0: none */
    sgt_token_fn callback; /* gets each new token and may stop, as in sgt_session_generate */
    void *user;
    int32_t made;         /* out: new tokens */
} long_text;

/* The tokens of the prompt that are fed: the last ones of a long one. */
int32_t long_text_fed(const long_text *t);

sgt_status long_text_write(long_text *t);

#endif
