/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where keys and values lie in the caches of a session. A later pass of a layer makes its keys from
 * what the pass before it left in the residual stream, so they differ from pass to pass: every
 * attention pass of every run has a cache of its own,
 *
 *     [S, 2g, rows, dh]   S sequences; the keys of the g heads that the pass reads, then their
 *                         values
 *
 * Only keys that a later query may still see have a row. If the patterns of a pass show near keys
 * (core/patterns.h) and summary cells, the rows are a ring, and one for each cell behind it:
 *
 *     0                    R = near + chunk      rows
 *     | a ring of keys     | s0 s1 s2 ..         |    key p is in row p mod R,
 *                                                     and summary cell n in row R + n as well
 *
 * A chunk is written before its first query looks back: the ring has room for both. The groups of a
 * pass share R, the largest that one of them needs; each numbers its own cells. Where a query may
 * see any key (dense, STRIDED), or where it would take fewer rows, key p is in row p.
 *
 * A part that remembers more than keys (part.h) has its history behind them,
 *
 *     [S, rows, values]   of position p in row p mod rows
 *
 * with steps + chunk rows, a ring as above, or one for every position where that is fewer.
 */
#ifndef SGTI_CACHE_LAYOUT_H
#define SGTI_CACHE_LAYOUT_H

#include <sgt/session.h>

#include "../model/passes.h"

/* The cache of an attention part. */
typedef struct sgti_cache_place {
    uint64_t first; /* its first element */
    int64_t ring;   /* R; 0: key p is in row p */
    int64_t rows;   /* of each head, in all */
    uint64_t history;       /* the first element of its history */
    int64_t history_rows;   /* of each sequence */
    int64_t history_values; /* in a row; 0: it remembers nothing */
} sgti_cache_place;

typedef struct sgti_cache_layout {
    sgti_cache_place *places; /* [n_parts] of attention parts; others have none */
    int64_t smallest_ring;    /* rows of the smallest, of a history or R; 0: there is none */
    uint64_t bytes;
    int overflow;             /* 1: more than can be counted */
} sgti_cache_layout;

/* Lays the caches out: all of layout but `places`, which may be NULL, and the entries of that. */
void sgti_cache_layout_plan(sgti_cache_layout *layout, const sgt_model_config *config,
                            const sgti_passes *passes, const sgt_session_options *options);

#endif
