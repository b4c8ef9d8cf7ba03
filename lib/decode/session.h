/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a session, for the files of this floor: session.c makes and frees it, feed.c runs
 * tokens through it, cache.c holds keys and values, decode_weights.c what it multiplies with. The
 * blocks themselves are those of lib/model.
 */
#ifndef SGTI_SESSION_H
#define SGTI_SESSION_H

#include <sgt/session.h>

#include "../model/work.h"
#include "decode_weights.h"

/* Everything that belongs to one state of the model; made anew by a refresh. */
typedef struct sgti_decode_state {
    int32_t ready;       /* 0: nothing below is there */
    uint64_t generation; /* of the weights */
    sgti_passes *passes; /* of the model's plan of then */
    sgti_storage lists;  /* theirs, and behind them `positions` */
    sgti_layout layout;  /* of the scratch, in mode SGTI_DECODE */
    sgti_decode_matrices matrices;
    sgti_storage cache;
    sgti_storage gathered;
    sgti_storage scratch;
    sgti_storage rounded; /* bf16 copies of all matrices, if products read those; else nothing */
    sgti_storage panel;   /* and room in which a few rows of one are converted back */
    char *host;            /* the arrays below and those of the above in one allocation */
    uint64_t host_bytes;
    uint64_t *cache_first; /* [n_parts] elements: where an attention part's cache begins */
    int32_t *lengths;      /* [S] tokens of each sequence */
    int32_t *positions;    /* [S] of each segment of the chunk at work: tokens before it */
    int32_t *named;        /* [S] scratch: pieces that a feed has for each sequence */
    float *losses;         /* [L] of a text that is scored */
    struct sgti_segment *segments; /* [S] */
} sgti_decode_state;

struct sgt_session {
    sgt_model *model; /* counted */
    sgt_session_options options;
    sgti_decode_state state;
    sgti_rotary rotary; /* of max_length positions */
};

/* Tokens of one sequence that are worked on together: consecutive rows of the chunk. */
typedef struct sgti_segment {
    int32_t sequence;
    int32_t count;
    int32_t row;   /* first row in the chunk */
    int32_t piece; /* of the feed */
    int32_t ends;  /* 1: with it the piece ends */
} sgti_segment;

/* A chunk at work: rows of tokens of several segments. */
typedef struct sgti_chunk {
    sgti_work work; /* the first member, so that providers find the rest */
    sgt_session *session;
    int32_t n_segments;
    const sgti_segment *segments;
    const int32_t *positions; /* [n_segments] */
} sgti_chunk;

/* SGT_OK while weights and plan are those of the session. */
sgt_status sgti_session_check(const sgt_session *session);

/* Checks and runs a feed, and appends its tokens. last [pieces] tells where the V logits of each go
 * beside feed->logits; losses, only for a feed of one piece of N tokens, gets -ln p of tokens
 * 1 .. N-1; NULL: not wanted. feed.c */
sgt_status sgti_session_run(sgt_session *session, const sgt_feed *feed, float *const *last,
                            float *losses);

#endif
