/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attention patterns: which earlier keys a query sees (Child et al., arXiv 1904.10509). A pattern
 * is a union of sets of keys j <= i, and every query i sees itself. With stride l, summary c and
 * phase o:
 *
 *     SGT_KEYS_LOCAL     i - j < l                             the last l keys
 *     SGT_KEYS_STRIDED   (i - j) mod l = 0                     each l-th key, counted back from i
 *     SGT_KEYS_BLOCK     floor(j / l) = floor(i / l)           the block of l that i is in
 *     SGT_KEYS_SUMMARY   l - c (o+1) <= j mod l < l - c o      c cells at the end of every block,
 *                                                              o times c further left
 *
 * For query 9 with l = 4, c = 1, o = 0:
 *
 *     key       0 1 2 3 | 4 5 6 7 | 8 9
 *     LOCAL                   x x   x x
 *     STRIDED     x         x         x
 *     BLOCK                         x x
 *     SUMMARY         x         x
 *
 * The paper's strided attention is LOCAL and STRIDED, its fixed attention BLOCK and SUMMARY.
 *
 * Threads. Any; a pattern is plain data.
 */
#ifndef SGT_PATTERN_H
#define SGT_PATTERN_H

#include <sgt/status.h>

SGT_BEGIN_DECLS

/* Sets of keys, or-ed. */
enum sgt_key_set {
    SGT_KEYS_LOCAL = 1,   /* the last l keys */
    SGT_KEYS_STRIDED = 2, /* each l-th key, counted back from the query */
    SGT_KEYS_BLOCK = 4,   /* the block of l that the query is in */
    SGT_KEYS_SUMMARY = 8  /* c cells of every block */
};

/* A union of sets. */
typedef struct sgt_attention_pattern {
    uint32_t size;
    int32_t sets;     /* enum sgt_key_set; 0: every earlier key (dense), the rest is 0 too */
    int32_t stride;   /* l, at least 1 */
    int32_t summary;  /* c of SGT_KEYS_SUMMARY, at least 1 there; else 0. c (o+1) <= l */
    int32_t phase;    /* o of SGT_KEYS_SUMMARY, at least 0; else 0 */
    int32_t reserved; /* 0 */
} sgt_attention_pattern;

/* Counts the pairs of a query and a key that it sees in a sequence of `seq` tokens, 1 to 2^28: what
 * attention costs. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE (a field of the
 * pattern, which is named; seq), SGT_E_STRUCT_SIZE. Since 0.2. */
SGT_API sgt_status sgt_attention_pattern_count_pairs(uint64_t *pairs,
                                                     const sgt_attention_pattern *pattern,
                                                     int64_t seq);

/* Reads a pattern from text: `dense`, or sets (local, strided, block, summary) joined by +, then
 * :stride[:summary[:phase]], as in local:256, local+strided:128, block+summary:128:8. Errors:
 * SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE (the field is named), SGT_E_STRUCT_SIZE. Since 0.2. */
SGT_API sgt_status sgt_attention_pattern_parse(sgt_attention_pattern *pattern, const char *text);

SGT_END_DECLS

#endif
