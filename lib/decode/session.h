/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of a session, for the files of this floor: session.c makes and frees it, sequences.c
 * keeps lengths, feed.c runs tokens through it, cache.c holds keys and values in the rows of
 * cache_layout.c, decode_weights.c the matrices that it multiplies with. The blocks themselves are
 * computed by lib/model.
 */
#ifndef SGTI_SESSION_H
#define SGTI_SESSION_H

#include <sgt/session.h>

#include "../model/work.h"
#include "cache_layout.h"
#include "decode_weights.h"

/* Everything of a session that depends on the weights and the plan of its model. A refresh makes it
 * anew. */
typedef struct sgti_decode_state {
    int32_t ready;       /* 0 after a refresh that failed: nothing below is there */
    uint64_t generation; /* of the weights that it was made for */
    sgti_passes *passes; /* of the plan that it was made for */
    sgti_storage lists;  /* of the passes; behind them room for `positions` */
    sgti_layout layout;  /* of `scratch`, in mode SGTI_DECODE */
    sgti_decode_matrices matrices;
    sgti_cache_layout caches; /* of `cache` */
    sgti_storage cache;
    sgti_storage derived;
    sgti_storage scratch;
    sgti_storage rounded; /* bf16 copies of all matrices, if products read those; else nothing */
    sgti_storage panel;   /* and room in which a few rows of one are converted back */
    char *host;            /* one allocation for the arrays below, of `layout`, `matrices` and
                              `caches` */
    uint64_t host_bytes;
    int32_t *lengths;      /* [S] tokens of each sequence */
    int32_t *shortest;     /* [S] the shortest that each may become by going back, but for 0 */
    int32_t *positions;    /* [S] of each segment of the chunk at work: tokens before it */
    int32_t *named;        /* [S] while a feed is checked: pieces that it has for each sequence */
    float *losses;         /* [L] of a text that is scored */
    struct sgti_segment *segments; /* [S] of the chunk at work */
} sgti_decode_state;

struct sgt_session {
    sgt_model *model; /* counted */
    sgt_session_options options; /* with every default resolved */
    sgti_decode_state state;
    sgti_rotary rotary; /* of max_length positions */
};

/* Some tokens of one sequence in consecutive rows of a chunk: a piece of a feed, or as much of it
 * as the chunk has room for. */
typedef struct sgti_segment {
    int32_t sequence;
    int32_t count;
    int32_t row;   /* first row in the chunk */
    int32_t piece; /* which piece of the feed it is of */
    int32_t ends;  /* 1: the last token of the piece is in it */
} sgti_segment;

/* A chunk at work: the rows of some segments. */
typedef struct sgti_chunk {
    sgti_work work; /* the first member: providers get it, and cast to find the rest */
    sgt_session *session;
    int32_t n_segments;
    const sgti_segment *segments;
    const int32_t *positions; /* [n_segments] tokens of the sequence before the segment */
} sgti_chunk;

/* SGT_OK while weights and plan of the model are still those that the session was made for. */
sgt_status sgti_session_check(const sgt_session *session);

/* Notes that keys of a sequence up to position `end` are about to be written. What they overwrite
 * in a ring cannot be gone back to (sequences.c). */
void sgti_session_reach(sgt_session *session, int32_t sequence, int32_t end);

/* Checks a feed, computes it and appends its tokens (feed.c). last, unless NULL, has for each piece
 * another place where the V logits of its last token go. losses, unless NULL, gets -ln p of tokens
 * 1 .. N-1 of a feed that is one piece of N tokens. */
sgt_status sgti_session_run(sgt_session *session, const sgt_feed *feed, float *const *last,
                            float *losses);

#endif
