/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which keys a query of causal attention sees, as integers (Child et al., arXiv 1904.10509). A
 * pattern is a union of sets of keys j <= i; every query i sees itself. With stride l, summary c and
 * phase o:
 *
 *     LOCAL     i - j < l                              the last l keys
 *     STRIDED   (i - j) mod l = 0                      each l-th key, counted back from the query
 *     BLOCK     floor(j / l) = floor(i / l)            the block of l that the query is in
 *     SUMMARY   l - c (o+1) <= j mod l < l - c o       c cells near the end of every block
 *
 * No set at all: every j <= i. What is near (LOCAL, BLOCK) is one range that ends at the query; what
 * is far is counted in front of it.
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

/* Every earlier key. */
extern const sgti_pattern sgti_dense_pattern;

/* 1 when query i sees key j. */
int sgti_pattern_sees(const sgti_pattern *pattern, int64_t i, int64_t j);

/* How many keys query i sees; at least 1. */
int64_t sgti_pattern_visible(const sgti_pattern *pattern, int64_t i);

/* Pairs of a query and a key that it sees, in a sequence of `seq`. */
int64_t sgti_pattern_pairs(const sgti_pattern *pattern, int64_t seq);

/* Of the queries first .. first + rows - 1, those that see one key only: their entropy says
 * nothing and stays out of means. */
int64_t sgti_pattern_rows_with_one(const sgti_pattern *pattern, int64_t first, int64_t rows);

#endif
