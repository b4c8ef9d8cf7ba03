/* SPDX-License-Identifier: BSD-3-Clause */
#include "token_window.h"

/* Removes one occurrence of a token. When none is left, the last entry of `distinct` fills the
 * gap. */
static void drop(sgti_token_window *w, int32_t token)
{
    if (--w->counts[token] > 0)
        return;
    int32_t moved = w->distinct[--w->n_distinct];
    w->distinct[w->places[token]] = moved;
    w->places[moved] = w->places[token];
}

void sgti_token_window_add(sgti_token_window *w, int32_t token)
{
    if (w->used == w->length)
        drop(w, w->tokens[w->next]);
    else
        w->used++;
    w->tokens[w->next] = token;
    w->next = w->next + 1 < w->length ? w->next + 1 : 0;
    if (w->counts[token]++ == 0) {
        w->places[token] = w->n_distinct;
        w->distinct[w->n_distinct++] = token;
    }
}

void sgti_token_window_clear(sgti_token_window *w)
{
    for (int32_t i = 0; i < w->n_distinct; i++)
        w->counts[w->distinct[i]] = 0;
    w->used = w->next = w->n_distinct = 0;
}
