/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a session, for the files of this floor. session.c makes and frees it, feed.c runs
 * tokens through it, decode_block.c is one block, decode_weights.c what it multiplies with.
 */
#ifndef SGTI_SESSION_H
#define SGTI_SESSION_H

#include <sgt/session.h>

#include "../model/model.h"
#include "decode_layout.h"

/* Everything that belongs to one state of the model; made anew by a refresh. */
typedef struct sgti_decode_state {
    int32_t ready;       /* 0: nothing below is there */
    uint64_t generation; /* of the weights */
    sgt_plan *plan;      /* a copy */
    sgti_decode_layout layout;
    sgti_storage cache;
    sgti_storage gathered;
    sgti_storage scratch;
    char *host;          /* the arrays below and those of the layout in one allocation */
    uint64_t host_bytes;
    int32_t *kv_heads;   /* [n_listed] of each pass: whose keys a head reads */
    float *gains;        /* [n_listed] */
    int32_t *lengths;    /* [S] tokens of each sequence */
    int32_t *positions;  /* [S] of each segment of the chunk at work: tokens before it */
    int32_t *named;      /* [S] scratch: pieces that a feed has for each sequence */
    int32_t *heads;      /* [H] scratch of gathering */
    int32_t *groups;     /* [Hkv] likewise */
    float *losses;       /* [L] of a text that is scored */
    struct sgti_segment *segments; /* [S] */
} sgti_decode_state;

struct sgt_session {
    sgt_model *model; /* counted */
    sgt_session_options options;
    sgti_decode_state state;
    int32_t rounded;             /* 1: works with bf16 copies */
    sgti_storage packed; /* bf16 copies of the matrices */
    sgti_storage panel;  /* a few rows of one, converted back */
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
    sgt_session *session;
    int32_t rows;
    int32_t n_segments;
    const sgti_segment *segments;
    const int32_t *positions; /* [n_segments] */
} sgti_chunk;

/* SGT_OK while weights and plan are those of the session. */
sgt_status sgti_session_check(const sgt_session *session);

/* A matrix of the scratch. */
sgt_tensor sgti_decode_at(const sgt_session *session, uint64_t offset, int64_t rows, int64_t cols);

/* y = x W^T (+ d) with matrix `number` of the layout; d may be NULL or y. decode_weights.c */
sgt_status sgti_decode_linear(const sgt_session *session, const sgt_tensor *y, const sgt_tensor *x,
                              int32_t number, const sgt_tensor *d);

/* Fills `gathered` and the lists of heads. decode_weights.c */
sgt_status sgti_decode_gather(sgt_session *session);

/* Makes the bf16 copies of the matrices in session->packed. decode_weights.c */
sgt_status sgti_decode_convert(sgt_session *session);
uint64_t sgti_decode_panel_bytes(const sgti_decode_layout *layout);

/* h = RMSNorm(x) with the norm weight of this index, for `rows` rows of the scratch from `row` on.
 * decode_block.c */
sgt_status sgti_decode_norm(const sgt_session *session, int32_t row, int32_t rows,
                            int32_t parameter);

/* All passes and the feed-forward part of one run of a layer, on x in place. decode_block.c */
sgt_status sgti_decode_run(const sgti_chunk *chunk, int32_t layer, int32_t run);

/* Checks and runs a feed, and appends its tokens. last [pieces] tells where the V logits of each go
 * beside feed->logits; losses, only for a feed of one piece of N tokens, gets -ln p of tokens
 * 1 .. N-1; NULL: not wanted. feed.c */
sgt_status sgti_session_run(sgt_session *session, const sgt_feed *feed, float *const *last,
                            float *losses);

#endif
