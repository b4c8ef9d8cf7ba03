/* SPDX-License-Identifier: BSD-3-Clause */
#include "patterns.h"

#include "../base/strict_math.h"

const sgti_pattern sgti_dense_pattern = {0};

/* 1 when cell `place` of a block belongs to its summary. */
static int is_summary(const sgti_pattern *p, int64_t place)
{
    int64_t end = p->stride - (int64_t)p->summary * p->phase;
    return place >= end - p->summary && place < end;
}

int sgti_pattern_sees(const sgti_pattern *p, int64_t i, int64_t j)
{
    int64_t l = p->stride;
    if (j > i)
        return 0;
    if (!p->sets || i == j)
        return 1;
    return ((p->sets & SGTI_KEYS_LOCAL) && i - j < l) ||
           ((p->sets & SGTI_KEYS_STRIDED) && (i - j) % l == 0) ||
           ((p->sets & SGTI_KEYS_BLOCK) && j / l == i / l) ||
           ((p->sets & SGTI_KEYS_SUMMARY) && is_summary(p, j % l));
}

/* The first key of the range that the near sets and the query itself make. */
static int64_t near_begin(const sgti_pattern *p, int64_t i)
{
    int64_t keys = 1;
    if ((p->sets & SGTI_KEYS_LOCAL) && p->stride > keys)
        keys = p->stride;
    if ((p->sets & SGTI_KEYS_BLOCK) && i % p->stride + 1 > keys)
        keys = i % p->stride + 1;
    return i + 1 > keys ? i + 1 - keys : 0;
}

/* Counts the keys below `end` that belong to summaries: those of whole blocks, then the rest. */
static int64_t count_summary(const sgti_pattern *p, int64_t end)
{
    int64_t first = p->stride - (int64_t)p->summary * (p->phase + 1);
    int64_t rest = end % p->stride - first;
    if (rest < 0)
        rest = 0;
    return end / p->stride * p->summary + (rest < p->summary ? rest : p->summary);
}

int64_t sgti_pattern_visible(const sgti_pattern *p, int64_t i)
{
    if (!p->sets)
        return i + 1;
    int64_t begin = near_begin(p, i), place = i % p->stride, count = i + 1 - begin;
    /* The STRIDED keys of a query are those at its own place in every block; so many lie in front
     * of the near range. */
    int64_t strided = begin / p->stride + (begin % p->stride > place);
    if (p->sets & SGTI_KEYS_STRIDED)
        count += strided;
    if (p->sets & SGTI_KEYS_SUMMARY)
        count += count_summary(p, begin);
    if ((p->sets & SGTI_KEYS_STRIDED) && (p->sets & SGTI_KEYS_SUMMARY) && is_summary(p, place))
        count -= strided; /* at a summary's place they are in both sets and were counted twice */
    return count;
}

int64_t sgti_pattern_pairs(const sgti_pattern *p, int64_t seq)
{
    int64_t pairs = 0;
    if (!p->sets)
        return seq * (seq + 1) / 2;
    for (int64_t i = 0; i < seq; i++)
        pairs += sgti_pattern_visible(p, i);
    return pairs;
}

int64_t sgti_pattern_rows_with_one(const sgti_pattern *p, int64_t first, int64_t rows)
{
    int64_t count = 0;
    if (!p->sets)
        return first == 0 && rows > 0;
    for (int64_t i = first; i < first + rows; i++)
        count += sgti_pattern_visible(p, i) == 1;
    return count;
}
