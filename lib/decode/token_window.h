/* SPDX-License-Identifier: BSD-3-Clause */
/* The latest tokens of a text, and which different ones are among them: both known at any time,
 * at a cost for each new token that does not depend on the length. */
#ifndef SGTI_TOKEN_WINDOW_H
#define SGTI_TOKEN_WINDOW_H

#include <stdint.h>

#include "../base/strict_math.h"

typedef struct sgti_token_window {
    int32_t length;     /* tokens it can hold, at least 1 */
    int32_t used;       /* tokens in it */
    int32_t next;       /* where in `tokens` the next one goes; the oldest once it is full */
    int32_t n_distinct;
    int32_t *tokens;    /* [length] a ring */
    int32_t *counts;    /* [V] how often each token is in it */
    int32_t *distinct;  /* [min(length, V)] those whose count is not 0, in no order */
    int32_t *places;    /* [V] where in `distinct` they are */
} sgti_token_window;

void sgti_token_window_add(sgti_token_window *window, int32_t token);
void sgti_token_window_clear(sgti_token_window *window);

#endif
