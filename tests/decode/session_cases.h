/* SPDX-License-Identifier: BSD-3-Clause */
/* Models with every kind of plan for tests of sessions, and what a whole forward says of them. */
#ifndef SGTT_SESSION_CASES_H
#define SGTT_SESSION_CASES_H

#include <sgt/session.h>

#include "fixtures.h"

typedef struct session_case {
    const char *name;
    int32_t kv_heads;
    int32_t tied;
    void (*edit)(sgt_plan *plan); /* NULL: no loops */
    void (*shape)(sgt_model_config *config); /* NULL: dense attention, one stream */
} session_case;

enum { SESSION_CASES = 20, SESSION_LENGTH = 41 };
extern const session_case session_cases[SESSION_CASES];

/* A model of the case with room for SESSION_LENGTH tokens. */
sgt_model *session_model(sgt_context *context, const session_case *which);

/* Logits [length,V] of one forward over the tokens; the caller frees. */
float *whole_logits(const sgt_model *model, const int32_t *tokens, int32_t length);

/* SESSION_LENGTH random tokens; the caller frees. */
int32_t *session_tokens(const sgt_model *model, uint64_t seed);

int32_t session_vocab(const sgt_model *model);

/* ||a - b|| <= bound ||b||. */
void check_close(const float *a, const float *b, size_t count, double bound, const char *what);

#endif
