/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which keys j a query i of causal attention sees (Child et al., arXiv 1904.10509). A pattern is a
 * union of the sets of keys below, all with j <= i; a query always sees itself. With stride l,
 * summary c and phase o:
 *
 *     LOCAL     i - j < l                          the last l keys
 *     STRIDED   (i - j) mod l = 0                  each l-th key, counted back from the query
 *     BLOCK     floor(j / l) = floor(i / l)        the block of l keys that the query is in
 *     SUMMARY   l - c (o+1) <= j mod l < l - c o   c cells near the end of every block
 *
 * For query 9 with l = 4, c = 1, o = 0:
 *
 *     key       0 1 2 3 | 4 5 6 7 | 8 9
 *     LOCAL                   x x   x x
 *     STRIDED     x         x         x
 *     BLOCK                         x x
 *     SUMMARY         x         x
 *
 * A pattern without any set sees every j <= i. The near sets (LOCAL, BLOCK) together are one range
 * that ends at the query; the far sets (STRIDED, SUMMARY) are counted only in front of that range.
 */
#ifndef SGTI_PATTERNS_H
#define SGTI_PATTERNS_H

#include <stdint.h>

enum sgti_key_set {
    SGTI_KEYS_LOCAL = 1,
    SGTI_KEYS_STRIDED = 2,
    SGTI_KEYS_BLOCK = 4,
    SGTI_KEYS_SUMMARY = 8
};

typedef struct sgti_pattern {
    int32_t sets;    /* enum sgti_key_set, or-ed; 0: dense */
    int32_t stride;  /* l >= 1 unless dense */
    int32_t summary; /* c; c (o+1) <= l */
    int32_t phase;   /* o >= 0 */
} sgti_pattern;

/* The pattern without sets: a query sees itself and every earlier key. */
extern const sgti_pattern sgti_dense_pattern;

/* 1 when query i sees key j. */
int sgti_pattern_sees(const sgti_pattern *pattern, int64_t i, int64_t j);

/* How many keys query i sees; at least 1. */
int64_t sgti_pattern_visible(const sgti_pattern *pattern, int64_t i);

/* Pairs of a query and a key that it sees, in a sequence of `seq`. */
int64_t sgti_pattern_pairs(const sgti_pattern *pattern, int64_t seq);

/* How many of the queries first .. first + rows - 1 see one key only. Their entropy is always 0, so
 * they are left out of means. */
int64_t sgti_pattern_rows_with_one(const sgti_pattern *pattern, int64_t first, int64_t rows);

#endif
