/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of sgt_session_generate share: a small model with loops, a session, a sampler. */
#ifndef SGTT_GENERATE_SCENE_H
#define SGTT_GENERATE_SCENE_H

#include <sgt/session.h>

#include "fixtures.h"

enum { VOCAB = 19, LENGTH = 16, PROMPT = 5 };

extern const int32_t prompt[PROMPT];

typedef struct scene {
    sgt_context *context;
    sgt_model *model; /* two of its layers loop */
    sgt_session *session; /* two sequences */
    sgt_sampler *sampler;
} scene;

/* Greedy, or with every option that draws. */
scene open_scene(int greedy, const sgt_context_options *options);
scene open_default(int greedy);
void close_scene(scene *s);
sgt_sampler *make_sampler(sgt_context *context, int greedy);

sgt_session_generate_options generate_defaults(void);

/* In sequence 0; must succeed. */
sgt_generation generate(const scene *s, const int32_t *tokens, int32_t count,
                        const sgt_session_generate_options *options);

/* A callback that writes down what it gets. */
typedef struct listener {
    int32_t tokens[LENGTH + 1];
    int32_t count;
    int32_t stop_at; /* the index at which it answers; -1: never */
    int32_t answer;
} listener;

int32_t on_token(void *user, int32_t token, int32_t index);

#endif
