/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention of a list of heads against the naive one: grouped keys, gains, caches with offsets and
 * lengths, entropies, and nothing seen that is not visible. */
#include "op_attention.h"

#include <math.h>

static sgt_attention_args forward_args(const sgtt_attention_case *c,
                                       const sgtt_attention_tensors *t)
{
    return (sgt_attention_args){
        .scale = sgtt_attention_scale(c),
        .q = &t->q->t,
        .k = &t->k->t,
        .v = &t->v->t,
        .out = &t->out->t,
        .lse = &t->lse->t,
        .entropy_last = &t->last->t,
        .entropy_mean = &t->mean->t,
        .kv_heads = &t->kv_heads->t,
        .gains = sgtt_tensor_of(t->gains),
        .offsets = sgtt_tensor_of(t->offsets),
        .lengths = sgtt_tensor_of(t->lengths),
        .patterns = sgtt_attention_patterns(c),
    };
}

/* lse only of the rows that were computed. */
static void check_lse(sgtt_machine *m, const sgtt_attention_case *c, sgtt_tensor *lse,
                      const double *expected)
{
    float *got = (float *)sgtt_doubles(m, sgtt_count_of(lse));
    sgtt_read(m, got, lse);
    for (int64_t i = 0; i < sgtt_count_of(lse); i++) {
        int64_t b = i / (c->heads * c->queries);
        int64_t t = i % c->queries;
        if (c->with_lengths && t >= c->lengths[b])
            continue;
        double share = fabs((double)got[i] - expected[i])
                       / (2e-6 * (1.0 + fabs(expected[i]) + c->spread));
        sgtt_require(share <= 1.0, "%s: lse %lld is %.9g, expected %.9g", c->name, (long long)i,
                     (double)got[i], expected[i]);
        sgtt_count(share);
    }
}

static void check_forward(sgtt_machine *m, const sgtt_attention_case *c,
                          const sgtt_attention_tensors *t)
{
    const sgt_attention_args args = forward_args(c, t);
    const sgtt_ref_attention_args naive = sgtt_attention_reference(m, c, t);
    double *out = sgtt_values(m, t->out);
    double *lse = sgtt_doubles(m, sgtt_count_of(t->lse));
    double *last = sgtt_doubles(m, c->batch * c->heads);
    double *mean = sgtt_doubles(m, c->batch * c->heads);
    sgtt_ref_attention(out, lse, last, mean, &naive);

    sgt_attention_args run = args;
    sgtt_call(m, attention, &run);
    sgtt_expect(m, t->out, out, 3e-6 * (1.0 + c->spread), c->name);
    check_lse(m, c, t->lse, lse);
    sgtt_expect_within(m, t->last, last, 3e-6, "entropy of the last row");
    sgtt_expect_within(m, t->mean, mean, 3e-6, "mean entropy");
    sgtt_expect_unchanged(m, t->q, c->name);
    sgtt_expect_unchanged(m, t->k, c->name);
    sgtt_expect_unchanged(m, t->v, c->name);
}

static void forward_matches(sgtt_machine *m)
{
    for (int k = 0; k < SGTT_ATTENTION_CASES; k++) {
        const sgtt_attention_case c = sgtt_attention_pick(m, k);
        sgtt_attention_tensors t = sgtt_attention_make(m, &c);
        check_forward(m, &c, &t);
        sgtt_clear(m);
    }
}

/* Each optional result alone leaves the others' bits as they were with all. */
static void optional_results_change_nothing(sgtt_machine *m)
{
    for (int k = 0; k < SGTT_ATTENTION_CASES; k++) {
        const sgtt_attention_case picked = sgtt_attention_pick(m, k);
        const sgtt_attention_case *c = &picked;
        sgtt_attention_tensors t = sgtt_attention_make(m, c);
        sgt_attention_args args = forward_args(c, &t);
        uint64_t all = 0, none = 0;
        sgtt_call(m, attention, &args);
        sgtt_hash(&all, m, t.out);
        args.lse = args.entropy_last = args.entropy_mean = NULL;
        sgtt_call(m, attention, &args);
        sgtt_hash(&none, m, t.out);
        sgtt_require(all == none, "%s: the output depends on what else is asked", c->name);
        sgtt_count(0.0);
        sgtt_clear(m);
    }
}

/* Keys that no query sees, and queries past the length, may hold anything: NaN here. */
static void what_is_not_visible_does_not_matter(sgtt_machine *m)
{
    for (int k = 0; k < SGTT_ATTENTION_CASES; k++) {
        const sgtt_attention_case picked = sgtt_attention_pick(m, k);
        const sgtt_attention_case *c = &picked;
        sgtt_attention_tensors t = sgtt_attention_make(m, c);
        if (!c->with_lengths) {
            sgtt_clear(m);
            continue;
        }
        double *q = sgtt_values(m, t.q);
        double *keys = sgtt_values(m, t.k);
        double *values = sgtt_values(m, t.v);
        int64_t q_row = c->heads * c->dh, k_row = c->groups * c->dh;
        for (int64_t i = 0; i < sgtt_count_of(t.q); i++) {
            int64_t b = i / (c->queries * q_row);
            if (i / q_row % c->queries >= c->lengths[b])
                q[i] = NAN;
        }
        for (int64_t i = 0; i < sgtt_count_of(t.k); i++) {
            int64_t b = i / (c->keys * k_row);
            if (i / k_row % c->keys >= c->offsets[b] + c->lengths[b])
                keys[i] = values[i] = NAN;
        }
        sgtt_set(m, t.q, q);
        sgtt_set(m, t.k, keys);
        sgtt_set(m, t.v, values);
        check_forward(m, c, &t);
        sgtt_clear(m);
    }
}

/* A NaN in the key or the value of one position reaches the queries that see it, no others. */
static void nan_follows_causality(sgtt_machine *m)
{
    const sgtt_attention_case *c = &sgtt_attention_cases[2];
    const int64_t position = 18;
    for (int in_value = 0; in_value < 2; in_value++) {
        sgtt_attention_tensors t = sgtt_attention_make(m, c);
        sgtt_tensor *poisoned = in_value ? t.v : t.k;
        double *values = sgtt_values(m, poisoned);
        const int64_t row = c->groups * c->dh;
        for (int64_t i = 0; i < row; i++)
            values[position * row + i] = NAN;
        sgtt_set(m, poisoned, values);
        sgt_attention_args args = forward_args(c, &t);
        sgtt_call(m, attention, &args);
        const sgtt_ref_attention_args naive = sgtt_attention_reference(m, c, &t);
        double *out = sgtt_values(m, t.out);
        double *lse = sgtt_doubles(m, sgtt_count_of(t.lse));
        double *last = sgtt_doubles(m, 2 * c->batch * c->heads);
        sgtt_ref_attention(out, lse, last, last + c->batch * c->heads, &naive);
        sgtt_expect(m, t.out, out, 3e-6, in_value ? "NaN in a value" : "NaN in a key");
        sgtt_clear(m);
    }
}

/* Equal scores: entropy 1 exactly, lse = ln of the keys; at T = 1 entropy 0. */
static void uniform_attention(sgtt_machine *m)
{
    for (int64_t length = 1; length < 600; length = length * 3 + 1) {
        const sgtt_attention_case c = {.name = "uniform", .batch = 1, .queries = length,
                                  .keys = length, .heads = 1, .groups = 1, .dh = 4,
                                  .spread = 0.0};
        sgtt_attention_tensors t = sgtt_attention_make(m, &c);
        sgt_attention_args args = forward_args(&c, &t);
        const double entropy = length > 1 ? 1.0 : 0.0;
        float *lse = (float *)sgtt_doubles(m, length);
        sgtt_call(m, attention, &args);
        sgtt_read(m, lse, t.lse);
        sgtt_expect_within(m, t.last, &entropy, 1e-6, "entropy of equal scores");
        sgtt_expect_within(m, t.mean, &entropy, 1e-6, "mean entropy of equal scores");
        sgtt_require(fabs((double)lse[length - 1] - log((double)length)) <= 1e-6,
                     "lse of %lld equal scores is %.9g", (long long)length,
                     (double)lse[length - 1]);
        sgtt_clear(m);
    }
}

/* Huge scores: no overflow, and the same as after taking a constant off. */
static void large_scores_do_not_overflow(sgtt_machine *m)
{
    sgtt_attention_case c = sgtt_attention_cases[6];
    c.name = "scores of thousands";
    c.spread = 1000.0;
    sgtt_attention_tensors t = sgtt_attention_make(m, &c);
    double *k = sgtt_values(m, t.k);
    double *q = sgtt_values(m, t.q);
    for (int64_t i = 0; i < sgtt_count_of(t.k); i++)
        k[i] = (double)(i % 3);
    for (int64_t i = 0; i < sgtt_count_of(t.q); i++)
        q[i] = (double)(i % 5 * 256);
    sgtt_set(m, t.k, k);
    sgtt_set(m, t.q, q);
    sgt_attention_args args = forward_args(&c, &t);
    const sgtt_ref_attention_args naive = sgtt_attention_reference(m, &c, &t);
    double *out = sgtt_values(m, t.out);
    double *lse = sgtt_doubles(m, sgtt_count_of(t.lse));
    double *entropy = sgtt_doubles(m, 2 * c.batch * c.heads);
    sgtt_ref_attention(out, lse, entropy, entropy + c.batch * c.heads, &naive);
    sgtt_call(m, attention, &args);
    sgtt_expect(m, t.out, out, 1e-3, c.name);
    check_lse(m, &c, t.lse, lse);
}

static void keys_of_minus_infinity_weigh_nothing(sgtt_machine *m)
{
    for (int k = 0; k < 2; k++) {
        sgtt_attention_tensors t = sgtt_attention_make(m, &sgtt_attention_overflowing[k]);
        sgtt_attention_overflow(m, &sgtt_attention_overflowing[k], &t);
        check_forward(m, &sgtt_attention_overflowing[k], &t);
        sgtt_clear(m);
    }
}

const sgtt_op_test sgtt_attention_tests[] = {forward_matches,
                                             optional_results_change_nothing,
                                             what_is_not_visible_does_not_matter,
                                             nan_follows_causality,
                                             uniform_attention,
                                             large_scores_do_not_overflow,
                                             keys_of_minus_infinity_weigh_nothing,
                                             sgtt_attention_rings,
                                             NULL};
