/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the activations of one forward (and its backward) lie in one block of memory, derived from
 * a shape alone. A forward is a list of parts: attention passes and feed-forward parts in the order
 * in which they run, each with the regions that it reads and writes. N rows are tokens.
 *
 * Three arenas share the block:
 *
 *     | kept                              | decisions        | scratch        |
 *       batch, then for every part:         what parts chose   dx, then what one
 *       its input x, what its backward      and backward must  part or the head
 *       needs (q|k|v, lse, gate|up, ..);    find again         needs while it runs
 *       gradients of the head
 *
 * What is kept depends on the mode. With one extra pass, a run of a block is three parts, which
 * lead the stream x from x0 to x3: attention pass 0 (x0 to x1), attention pass 1 (x1 to x2) and the
 * feed-forward part (x2 to x3). The next run leads it from x3 to x6, and so on:
 *
 *     training       x0 qkv0 x1 qkv1 x2 gate|up x3 qkv3 ...     everything has a place of its own
 *     recompute      x0 x3 x6 .. and one run's qkv, x, gate|up   the runs lie over each other
 *     evaluation,    x                                           every x is the same region, and
 *     decoding                                                   the rest is scratch
 *
 * How long regions live, in the training of one block:
 *
 *                     forward                         | backward
 *                     pass 0  pass 1  feed-forward    | feed-forward  pass 1  pass 0
 *     x0, qkv0, lse0  |-------------------------------|----------------------------|
 *     x1, qkv1, lse1          |-----------------------|--------------------|
 *     x2, gate|up                     |---------------|------------|
 *     dx                                              |-----------------------------
 *     scratch         |-----| |-----| |----------|    | |----------|  |----|  |----|
 *
 * Where a token is K > 1 streams, every layer has K planes in the place of x0, and one for its y,
 * the last x; streams.h tells what becomes of them. Recompute keeps them all. Evaluation and
 * decoding take two such sets in turn.
 *
 * Decisions are kept under recompute too, so that a remade forward reads what the first one chose.
 */
#ifndef SGTI_LAYOUT_H
#define SGTI_LAYOUT_H

#include "regions.h"

#define SGTI_PART_REGIONS 16
#define SGTI_PART_DERIVED 4

struct sgti_part_kind; /* parts/part.h */

/* One part at its place in the forward. */
typedef struct sgti_part {
    const struct sgti_part_kind *kind;
    const sgti_pass *pass;  /* of an attention part */
    int32_t index;          /* in the list of parts */
    int32_t layer;
    int32_t run;            /* of its layer's runs */
    /* An attention part has these two. Its entropies are the last [B,h] and then the mean [B,h]. */
    int32_t entropy_pass;   /* its number among the layer's passes of all runs */
    uint64_t entropy;       /* where in layout.entropy its entropies begin, in doubles */
    /* Every part has these. */
    sgti_region x;          /* [N,d] the stream before it */
    sgti_region y;          /* [N,d] the stream after it; may be x */
    sgti_region own[SGTI_PART_REGIONS]; /* by the kind's own numbers */
    sgti_region derived[SGTI_PART_DERIVED]; /* scratch for the kind's derived matrices; not in
                                               decoding, where the session has them */
} sgti_part;

/* One run of a block: consecutive parts. */
typedef struct sgti_run {
    int32_t layer;
    int32_t first_part;
    int32_t n_parts;
} sgti_run;

/* The streams of a layer: planes [N,d], one behind the other. */
typedef struct sgti_planes {
    sgti_region first;
    uint64_t step; /* bytes from the start of one to that of the next */
} sgti_planes;

/* One layer: consecutive runs, which lead one stream of K from x to y. */
typedef struct sgti_layer_place {
    int32_t first_run;
    int32_t n_runs;
    int32_t active;  /* the stream that they work on */
    sgti_planes in;  /* the K streams before the layer; where K > 1, y is one plane more */
    sgti_planes out; /* the K streams behind it; not there for K = 1 */
} sgti_layer_place;

/* What streams.c works in where K > 1. All but d_streams is scratch. */
typedef struct sgti_streams_place {
    sgti_region weights;      /* [K,K+1] */
    sgti_region ones;         /* [1,SGTI_STREAM_SUMS] */
    sgti_region products[2];  /* [N,K(K+1)], and what they are added to; training */
    sgti_planes d_streams[2]; /* K gradients, of the streams before and behind a layer in turn;
                                 training. For K = 1 both are dx */
} sgti_streams_place;

#define SGTI_STREAM_SUMS 64 /* so many rows are added by one product */

/* Where the head works. It makes R rows of logits at a time; D is d, or K d where it reads all K
 * streams. */
typedef struct sgti_head_place {
    sgti_region x;       /* [N,D] input of the final norm */
    sgti_region dx;      /* [N,D] its gradient; training */
    sgti_region h;       /* [R,D] its output */
    sgti_region logits;  /* [R,V]; all N rows in mode SGTI_TRAIN_LOGITS */
    sgti_region modules; /* [R S, D] of a head of S modules (logits.h) */
    sgti_region ones;    /* [1,V] likewise; training */
    sgti_region d_weight, d_scale, d_bias; /* unscaled gradients of the head; mode
                                              SGTI_TRAIN_LOSS */
    sgti_region d_final; /* [N,D] unscaled gradient of the normalised x; training */
    sgti_region norm_scratch; /* of the gradient of the final norm */
    int64_t chunk_rows;  /* R */
} sgti_head_place;

typedef struct sgti_layout {
    sgti_shape shape;
    int32_t n_runs;
    int32_t n_parts;
    sgti_layer_place *layers; /* [n_layers]; NULL when only measured, like the next two */
    sgti_run *runs;           /* [n_runs] */
    sgti_part *parts;         /* [n_parts] */
    uint64_t base[SGTI_ARENAS]; /* bytes: where each arena begins */
    uint64_t bytes;             /* of the whole block */

    sgti_region ids;      /* int32 [N] tokens */
    sgti_region targets;  /* int32 [N] */
    sgti_region losses;   /* [N] */
    sgti_region entropy;  /* float64, of all passes */
    uint64_t n_entropies; /* doubles */
    sgti_region dx;       /* [N,d] gradient of the stream; training */
    sgti_streams_place streams;
    sgti_head_place head;
} sgti_layout;

/* Plane k as a region of its own. */
sgti_region sgti_plane(const sgti_planes *planes, int32_t k);

/* Fills a layout for a shape that was checked. Its lists `layers`, `runs` and `parts` must be NULL,
 * and then it is only measured, or have room for all of them. Errors: SGT_E_OVERFLOW. */
sgt_status sgti_layout_plan(sgti_layout *layout, const sgti_shape *shape);

#endif
