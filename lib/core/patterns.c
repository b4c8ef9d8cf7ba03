/* SPDX-License-Identifier: BSD-3-Clause */
#include "patterns.h"

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"

#define ALL_SETS (SGT_KEYS_LOCAL | SGT_KEYS_STRIDED | SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY)

const sgt_attention_pattern sgti_dense_pattern = {.size = sizeof sgti_dense_pattern};

/* ---- checks ---- */

static sgt_status check_summary(const sgt_attention_pattern *p, const char *where)
{
    int has = (p->sets & SGT_KEYS_SUMMARY) != 0;
    if (p->phase < 0 || p->summary < has || (!has && (p->summary > 0 || p->phase > 0)))
        return sgti_fail(SGT_E_OUT_OF_RANGE, "%s: summary is %d, phase is %d; %s", where,
                         (int)p->summary, (int)p->phase,
                         has ? "at least 1 and 0" : "0 without SGT_KEYS_SUMMARY");
    if ((int64_t)p->summary * ((int64_t)p->phase + 1) > p->stride)
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "%s: summary %d times phase %d + 1 is beyond the stride of %d", where,
                         (int)p->summary, (int)p->phase, (int)p->stride);
    return SGT_OK;
}

sgt_status sgti_pattern_check(const sgt_attention_pattern *p, const char *where)
{
    if (p->sets & ~ALL_SETS)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "%s: sets is %d, not an sgt_key_set", where,
                         (int)p->sets);
    if (p->sets ? p->stride < 1 : p->stride != 0)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "%s: stride is %d, must be %s", where, (int)p->stride,
                         p->sets ? "at least 1" : "0 without sets");
    sgt_status status = check_summary(p, where);
    return status ? status : sgti_check_reserved(p->reserved, where);
}

/* ---- keys of a query ---- */

/* 1 when cell `place` of a block is one of its summary. */
static int is_summary(const sgt_attention_pattern *p, int64_t place)
{
    int64_t end = p->stride - (int64_t)p->summary * p->phase;
    return place >= end - p->summary && place < end;
}

int sgti_pattern_equal(const sgt_attention_pattern *a, const sgt_attention_pattern *b)
{
    return a->sets == b->sets && a->stride == b->stride && a->summary == b->summary &&
           a->phase == b->phase;
}

int sgti_pattern_is_dense(const sgt_attention_pattern *p)
{
    return !p->sets || ((p->sets & SGT_KEYS_STRIDED) && p->stride == 1) ||
           ((p->sets & SGT_KEYS_SUMMARY) && p->summary == p->stride);
}

int sgti_pattern_sees(const sgt_attention_pattern *p, int64_t i, int64_t j)
{
    int64_t l = p->stride;
    if (j > i)
        return 0;
    if (!p->sets || i == j)
        return 1;
    return ((p->sets & SGT_KEYS_LOCAL) && i - j < l) ||
           ((p->sets & SGT_KEYS_STRIDED) && (i - j) % l == 0) ||
           ((p->sets & SGT_KEYS_BLOCK) && j / l == i / l) ||
           ((p->sets & SGT_KEYS_SUMMARY) && is_summary(p, j % l));
}

int64_t sgti_pattern_near_begin(const sgt_attention_pattern *p, int64_t i)
{
    if (!p->sets)
        return 0;
    int64_t keys = 1;
    if (p->sets & SGT_KEYS_LOCAL)
        keys = p->stride;
    else if (p->sets & SGT_KEYS_BLOCK)
        keys = i % p->stride + 1;
    return i + 1 > keys ? i + 1 - keys : 0;
}

int64_t sgti_pattern_near_end(const sgt_attention_pattern *p, int64_t j)
{
    if (!p->sets)
        return INT64_MAX;
    if (p->sets & SGT_KEYS_LOCAL)
        return j + p->stride;
    return p->sets & SGT_KEYS_BLOCK ? (j / p->stride + 1) * p->stride : j + 1;
}

int64_t sgti_pattern_near_span(const sgt_attention_pattern *p, int64_t room)
{
    if (!p->sets || (p->sets & SGT_KEYS_LOCAL))
        return 0;
    int64_t span = p->sets & SGT_KEYS_BLOCK ? p->stride : 1;
    return span < room ? room / span * span : span;
}

int64_t sgti_pattern_strided(const sgt_attention_pattern *p, int64_t i)
{
    if (!(p->sets & SGT_KEYS_STRIDED))
        return 0;
    int64_t begin = sgti_pattern_near_begin(p, i), place = i % p->stride;
    if ((p->sets & SGT_KEYS_SUMMARY) && is_summary(p, place))
        return 0;
    return begin / p->stride + (begin % p->stride > place);
}

/* The place in a block at which its summary begins. */
static int64_t summary_begin(const sgt_attention_pattern *p)
{
    return p->stride - (int64_t)p->summary * (p->phase + 1);
}

int64_t sgti_pattern_cells(const sgt_attention_pattern *p, int64_t end)
{
    if (!(p->sets & SGT_KEYS_SUMMARY))
        return 0;
    int64_t rest = end % p->stride - summary_begin(p);
    if (rest < 0)
        rest = 0;
    return end / p->stride * p->summary + (rest < p->summary ? rest : p->summary);
}

int64_t sgti_pattern_cell(const sgt_attention_pattern *p, int64_t n)
{
    return n / p->summary * p->stride + summary_begin(p) + n % p->summary;
}

int64_t sgti_pattern_summary(const sgt_attention_pattern *p, int64_t i)
{
    return sgti_pattern_cells(p, sgti_pattern_near_begin(p, i));
}

int64_t sgti_pattern_near_most(const sgt_attention_pattern *p)
{
    if (!p->sets || (p->sets & SGT_KEYS_STRIDED))
        return INT64_MAX;
    return p->sets & (SGT_KEYS_LOCAL | SGT_KEYS_BLOCK) ? p->stride : 1;
}

/* ---- counts ---- */

int64_t sgti_pattern_visible(const sgt_attention_pattern *p, int64_t i)
{
    return i + 1 - sgti_pattern_near_begin(p, i) + sgti_pattern_strided(p, i) +
           sgti_pattern_summary(p, i);
}

/* From query l on, every l-th query sees the same number of keys more than the one before. So the
 * queries of one place in their blocks are an arithmetic series behind the first. */
int64_t sgti_pattern_pairs(const sgt_attention_pattern *p, int64_t seq)
{
    const int64_t l = p->stride;
    int64_t pairs = 0;
    if (!p->sets)
        return seq * (seq + 1) / 2;
    for (int64_t i = 0; i < l && i < seq; i++)
        pairs += sgti_pattern_visible(p, i);
    for (int64_t i = l; i < 2 * l && i < seq; i++) {
        const int64_t queries = (seq - i + l - 1) / l, first = sgti_pattern_visible(p, i);
        const int64_t more = sgti_pattern_visible(p, i + l) - first;
        pairs += queries * first + queries * (queries - 1) / 2 * more;
    }
    return pairs;
}

int64_t sgti_pattern_rows_with_one(const sgt_attention_pattern *p, int64_t first, int64_t rows)
{
    int64_t count = 0;
    if (!p->sets)
        return first == 0 && rows > 0;
    for (int64_t i = first; i < first + rows; i++)
        count += sgti_pattern_visible(p, i) == 1;
    return count;
}

sgt_status sgt_attention_pattern_count_pairs(uint64_t *pairs, const sgt_attention_pattern *pattern,
                                             int64_t seq)
{
    SGTI_DEFAULT_FLOATS;
    sgt_attention_pattern own;
    if (!pairs || !pattern)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", pairs ? "pattern" : "pairs");
    sgt_status status = sgti_struct_read(&own, sizeof own, pattern, SGTI_PATTERN_MINIMUM,
                                         "sgt_attention_pattern");
    if (status == SGT_OK)
        status = sgti_pattern_check(&own, "sgt_attention_pattern");
    if (status == SGT_OK && (seq < 1 || seq > 1 << 28))
        status = sgti_fail(SGT_E_OUT_OF_RANGE, "seq is %lld, must be 1 to %d", (long long)seq,
                           1 << 28);
    if (status == SGT_OK)
        *pairs = (uint64_t)sgti_pattern_pairs(&own, seq);
    return status;
}
