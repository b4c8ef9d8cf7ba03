/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The latest tokens of a text, and the list of different ones among them, which a repetition
 * penalty goes through. The list is kept up to date as tokens come and go, so that neither costs
 * more in a longer window.
 */
#ifndef SGTI_TOKEN_WINDOW_H
#define SGTI_TOKEN_WINDOW_H

#include <stdint.h>

#include "../base/strict_math.h"

typedef struct sgti_token_window {
    int32_t length;     /* tokens it can hold, at least 1 */
    int32_t used;       /* tokens in it */
    int32_t next;       /* place in `tokens` of the next one; once full, that of the oldest */
    int32_t n_distinct; /* different tokens in it */
    int32_t *tokens;    /* [length] a ring: behind the last place comes the first */
    int32_t *counts;    /* [V] how often each token is in the window */
    int32_t *distinct;  /* [min(length, V)] the tokens whose count is not 0, in no order */
    int32_t *places;    /* [V] the place in `distinct` of a token whose count is not 0 */
} sgti_token_window;

/* Adds a token; in a full window it takes the place of the oldest. */
void sgti_token_window_add(sgti_token_window *window, int32_t token);

/* Forgets all tokens. */
void sgti_token_window_clear(sgti_token_window *window);

#endif
