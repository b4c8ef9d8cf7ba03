/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attention patterns as integers (<sgt/pattern.h>), for whoever computes, counts or keeps pairs.
 * The keys of a query i are up to three lists that do not meet:
 *
 *     near      the range [near_begin(i), i]: what LOCAL and BLOCK see, at least i itself
 *     strided   in front of it, the keys r, r + l, r + 2l, .. with r = i mod l
 *     summary   in front of it, the summary cells of all blocks, one block after the other
 *
 * As i grows the beginnings and the lengths never fall (those of `strided` among the queries of one
 * r), so a block of queries sees a staircase of each list. A query that is a summary cell itself
 * finds its strided keys among the summaries; they are not listed twice.
 */
#ifndef SGTI_PATTERNS_H
#define SGTI_PATTERNS_H

#include <sgt/pattern.h>

#include "../base/structs.h"

#define SGTI_PATTERN_MINIMUM SGTI_SIZE_THROUGH(sgt_attention_pattern, reserved)

/* Every earlier key. */
extern const sgt_attention_pattern sgti_dense_pattern;

/* SGT_E_OUT_OF_RANGE or SGT_E_INVALID_ARGUMENT when a field is none of a pattern; `where` opens the
 * message. */
sgt_status sgti_pattern_check(const sgt_attention_pattern *pattern, const char *where);

/* Whether two patterns are written alike. */
int sgti_pattern_equal(const sgt_attention_pattern *a, const sgt_attention_pattern *b);

/* 1 when every earlier key is seen, whatever the sets are called. */
int sgti_pattern_is_dense(const sgt_attention_pattern *pattern);

/* 1 when query i sees key j. */
int sgti_pattern_sees(const sgt_attention_pattern *pattern, int64_t i, int64_t j);

/* Where the near keys of query i begin. */
int64_t sgti_pattern_near_begin(const sgt_attention_pattern *pattern, int64_t i);

/* One past the last query that has key j among its near keys. INT64_MAX: all later ones. */
int64_t sgti_pattern_near_end(const sgt_attention_pattern *pattern, int64_t j);

/* Positions from a multiple of the span up to the next have their near keys among themselves. 0:
 * there is no such span. Of several it is the longest within `room`, or the shortest. */
int64_t sgti_pattern_near_span(const sgt_attention_pattern *pattern, int64_t room);

/* How many strided keys, and how many summary cells, query i sees in front of the near ones. */
int64_t sgti_pattern_strided(const sgt_attention_pattern *pattern, int64_t i);
int64_t sgti_pattern_summary(const sgt_attention_pattern *pattern, int64_t i);

/* The most near keys that a query has; INT64_MAX where it may see any key, if only as a strided
 * one. */
int64_t sgti_pattern_near_most(const sgt_attention_pattern *pattern);

/* Summary cells among the keys 0 .. end - 1; and which key the n-th of all cells is. */
int64_t sgti_pattern_cells(const sgt_attention_pattern *pattern, int64_t end);
int64_t sgti_pattern_cell(const sgt_attention_pattern *pattern, int64_t n);

/* How many keys query i sees; at least 1. */
int64_t sgti_pattern_visible(const sgt_attention_pattern *pattern, int64_t i);

/* Pairs of a query and a key that it sees, in a sequence of `seq`. */
int64_t sgti_pattern_pairs(const sgt_attention_pattern *pattern, int64_t seq);

/* Of the queries first .. first + rows - 1, those that see one key only: their entropy says
 * nothing and stays out of means. */
int64_t sgti_pattern_rows_with_one(const sgt_attention_pattern *pattern, int64_t first,
                                   int64_t rows);

/* ---- pattern_text.c ---- */

/* The text that sgt_attention_pattern_parse reads. */
#define SGTI_PATTERN_TEXT 80
void sgti_pattern_print(char text[SGTI_PATTERN_TEXT], const sgt_attention_pattern *pattern);

/* A list has commas between its patterns, as in local:256,dense. Count says how many there are, and
 * read fills as many. Errors: as sgt_attention_pattern_parse. */
int64_t sgti_pattern_list_count(const char *text);
sgt_status sgti_pattern_list_read(sgt_attention_pattern *patterns, const char *text);

#endif
