/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention of a list of heads, forward and backward, against the naive one: grouped keys, gains,
 * caches with offsets and lengths, entropies, and nothing seen that is not visible. */
#include "suite.h"

#include <math.h>

#include "op_reference.h"

#define MAX_BATCH 3
#define MAX_HEADS 6

typedef struct attention_case {
    const char *name;
    int64_t batch;
    int64_t queries;
    int64_t keys;
    int64_t heads;
    int64_t groups;
    int64_t dh;
    int32_t kv_heads[MAX_HEADS];
    int with_gains;
    int with_lengths; /* and offsets */
    int32_t offsets[MAX_BATCH];
    int32_t lengths[MAX_BATCH];
    double spread; /* of the scores, about */
} attention_case;

static const float all_gains[MAX_HEADS] = {0.25f, 1.0f, 0.5f, 1.0f, 0.0f, 0.125f};

static const attention_case cases[] = {
    {.name = "one token", .batch = 2, .queries = 1, .keys = 1, .heads = 2, .groups = 2, .dh = 8,
     .kv_heads = {0, 1}, .spread = 1.0},
    {.name = "two tokens", .batch = 1, .queries = 2, .keys = 2, .heads = 1, .groups = 1, .dh = 2,
     .kv_heads = {0}, .spread = 1.0},
    {.name = "all heads", .batch = 2, .queries = 37, .keys = 37, .heads = 4, .groups = 4,
     .dh = 16, .kv_heads = {0, 1, 2, 3}, .spread = 1.0},
    {.name = "grouped heads", .batch = 2, .queries = 70, .keys = 70, .heads = 6, .groups = 2,
     .dh = 20, .kv_heads = {0, 0, 0, 1, 1, 1}, .with_gains = 1, .spread = 2.0},
    {.name = "a list of heads", .batch = 3, .queries = 33, .keys = 33, .heads = 3, .groups = 5,
     .dh = 64, .kv_heads = {1, 3, 3}, .with_gains = 1, .spread = 1.0},
    {.name = "one head of many", .batch = 1, .queries = 130, .keys = 130, .heads = 1, .groups = 4,
     .dh = 80, .kv_heads = {2}, .spread = 3.0},
    {.name = "sharp", .batch = 1, .queries = 100, .keys = 100, .heads = 2, .groups = 2, .dh = 32,
     .kv_heads = {0, 1}, .spread = 60.0},
    {.name = "many blocks", .batch = 1, .queries = 521, .keys = 521, .heads = 2, .groups = 1,
     .dh = 6, .kv_heads = {0, 0}, .spread = 1.0},
    {.name = "wide head", .batch = 1, .queries = 40, .keys = 40, .heads = 1, .groups = 1,
     .dh = 128, .kv_heads = {0}, .spread = 1.0},
    {.name = "continued sequences", .batch = 3, .queries = 9, .keys = 120, .heads = 4,
     .groups = 2, .dh = 16, .kv_heads = {0, 0, 1, 1}, .with_gains = 1, .with_lengths = 1,
     .offsets = {111, 0, 50}, .lengths = {9, 3, 7}, .spread = 1.0},
    {.name = "an idle sequence", .batch = 3, .queries = 5, .keys = 40, .heads = 2, .groups = 2,
     .dh = 8, .kv_heads = {0, 1}, .with_lengths = 1, .offsets = {7, 0, 30}, .lengths = {0, 5, 1},
     .spread = 1.0},
    {.name = "decoding", .batch = 3, .queries = 1, .keys = 300, .heads = 6, .groups = 3, .dh = 64,
     .kv_heads = {0, 0, 1, 1, 2, 2}, .with_lengths = 1, .offsets = {299, 0, 64},
     .lengths = {1, 1, 1}, .spread = 1.0},
};
#define CASES ((int)(sizeof cases / sizeof cases[0]))

/* In round 0 the listed case, later a random one. */
static attention_case pick_case(sgtt_machine *m, int k)
{
    if (m->round == 0)
        return cases[k];
    attention_case c = {.name = "random", .spread = sgtt_uniform(m, 0.5, 4.0)};
    c.batch = 1 + sgtt_below(m, MAX_BATCH);
    c.queries = 1 + sgtt_below(m, 90);
    c.groups = 1 + sgtt_below(m, 4);
    c.heads = 1 + sgtt_below(m, MAX_HEADS);
    c.dh = 2 + 2 * sgtt_below(m, 48);
    c.with_gains = (int)sgtt_below(m, 2);
    c.with_lengths = (int)sgtt_below(m, 2);
    c.keys = c.queries + (c.with_lengths ? sgtt_below(m, 100) : 0);
    for (int64_t h = 0, group = 0; h < c.heads; h++) {
        group += sgtt_below(m, c.groups - group);
        c.kv_heads[h] = (int32_t)group;
    }
    for (int64_t b = 0; b < c.batch; b++) {
        c.offsets[b] = (int32_t)sgtt_below(m, c.keys - c.queries + 1);
        c.lengths[b] = (int32_t)sgtt_below(m, c.queries + 1);
    }
    return c;
}

typedef struct attention_tensors {
    sgtt_tensor *q;
    sgtt_tensor *k;
    sgtt_tensor *v;
    sgtt_tensor *out;
    sgtt_tensor *lse;
    sgtt_tensor *last;
    sgtt_tensor *mean;
    sgtt_tensor *kv_heads;
    sgtt_tensor *gains;   /* NULL: not wanted, like those below */
    sgtt_tensor *offsets;
    sgtt_tensor *lengths;
} attention_tensors;

static const sgt_tensor *tensor_of(const sgtt_tensor *tensor)
{
    return tensor ? &tensor->t : NULL;
}

/* [B,T,heads,dh] as columns of wider rows, with room between sequences. */
static sgtt_tensor *make_heads(sgtt_machine *m, int64_t batch, int64_t length, int64_t heads,
                               int64_t dh, double spread)
{
    const int64_t row = heads * dh + 5;
    const int64_t shape[] = {batch, length, heads, dh};
    const int64_t strides[] = {(length + 2) * row, row, dh, 1};
    sgtt_tensor *made = sgtt_make_strided(m, SGT_F32, 4, shape, strides);
    sgtt_set_random(m, made, -spread, spread);
    return made;
}

static attention_tensors make_case(sgtt_machine *m, const attention_case *c)
{
    const int64_t rows[] = {c->batch, c->heads, c->queries};
    return (attention_tensors){
        .q = make_heads(m, c->batch, c->queries, c->heads, c->dh, 1.7 * c->spread),
        .k = make_heads(m, c->batch, c->keys, c->groups, c->dh, 1.7),
        .v = make_heads(m, c->batch, c->keys, c->groups, c->dh, 1.0),
        .out = make_heads(m, c->batch, c->queries, c->heads, c->dh, 1.0),
        .lse = sgtt_make(m, SGT_F32, SGTT_DENSE, 3, rows),
        .last = sgtt_make(m, SGT_F64, SGTT_DENSE, 2, rows),
        .mean = sgtt_make(m, SGT_F64, SGTT_DENSE, 2, rows),
        .kv_heads = sgtt_integer_list(m, c->heads, c->kv_heads),
        .gains = c->with_gains ? sgtt_float_list(m, c->heads, all_gains) : NULL,
        .offsets = c->with_lengths ? sgtt_integer_list(m, c->batch, c->offsets) : NULL,
        .lengths = c->with_lengths ? sgtt_integer_list(m, c->batch, c->lengths) : NULL,
    };
}

static float scale_of(const attention_case *c)
{
    return 1.0f / sqrtf((float)c->dh);
}

static sgt_attention_args forward_args(const attention_case *c, const attention_tensors *t)
{
    return (sgt_attention_args){
        .scale = scale_of(c),
        .q = &t->q->t,
        .k = &t->k->t,
        .v = &t->v->t,
        .out = &t->out->t,
        .lse = &t->lse->t,
        .entropy_last = &t->last->t,
        .entropy_mean = &t->mean->t,
        .kv_heads = &t->kv_heads->t,
        .gains = tensor_of(t->gains),
        .offsets = tensor_of(t->offsets),
        .lengths = tensor_of(t->lengths),
    };
}

static sgtt_ref_attention_args reference_args(sgtt_machine *m, const attention_case *c,
                                              const attention_tensors *t)
{
    return (sgtt_ref_attention_args){
        .batch = c->batch,
        .queries = c->queries,
        .keys = c->keys,
        .heads = c->heads,
        .groups = c->groups,
        .dh = c->dh,
        .scale = (double)scale_of(c),
        .q = sgtt_values(m, t->q),
        .k = sgtt_values(m, t->k),
        .v = sgtt_values(m, t->v),
        .kv_heads = c->kv_heads,
        .gains = c->with_gains ? all_gains : NULL,
        .offsets = c->with_lengths ? c->offsets : NULL,
        .lengths = c->with_lengths ? c->lengths : NULL,
    };
}

/* lse only of the rows that were computed. */
static void check_lse(sgtt_machine *m, const attention_case *c, sgtt_tensor *lse,
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

static void check_forward(sgtt_machine *m, const attention_case *c, const attention_tensors *t)
{
    const sgt_attention_args args = forward_args(c, t);
    const sgtt_ref_attention_args naive = reference_args(m, c, t);
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
    for (int k = 0; k < CASES; k++) {
        const attention_case c = pick_case(m, k);
        attention_tensors t = make_case(m, &c);
        check_forward(m, &c, &t);
        sgtt_clear(m);
    }
}

/* Each optional result alone leaves the others' bits as they were with all. */
static void optional_results_change_nothing(sgtt_machine *m)
{
    for (int k = 0; k < CASES; k++) {
        const attention_case picked = pick_case(m, k);
        const attention_case *c = &picked;
        attention_tensors t = make_case(m, c);
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
    for (int k = 0; k < CASES; k++) {
        const attention_case picked = pick_case(m, k);
        const attention_case *c = &picked;
        attention_tensors t = make_case(m, c);
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
    const attention_case *c = &cases[2];
    const int64_t position = 18;
    for (int in_value = 0; in_value < 2; in_value++) {
        attention_tensors t = make_case(m, c);
        sgtt_tensor *poisoned = in_value ? t.v : t.k;
        double *values = sgtt_values(m, poisoned);
        const int64_t row = c->groups * c->dh;
        for (int64_t i = 0; i < row; i++)
            values[position * row + i] = NAN;
        sgtt_set(m, poisoned, values);
        sgt_attention_args args = forward_args(c, &t);
        sgtt_call(m, attention, &args);
        const sgtt_ref_attention_args naive = reference_args(m, c, &t);
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
        const attention_case c = {.name = "uniform", .batch = 1, .queries = length,
                                  .keys = length, .heads = 1, .groups = 1, .dh = 4,
                                  .spread = 0.0};
        attention_tensors t = make_case(m, &c);
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
    attention_case c = cases[6];
    c.name = "scores of thousands";
    c.spread = 1000.0;
    attention_tensors t = make_case(m, &c);
    double *k = sgtt_values(m, t.k);
    double *q = sgtt_values(m, t.q);
    for (int64_t i = 0; i < sgtt_count_of(t.k); i++)
        k[i] = (double)(i % 3);
    for (int64_t i = 0; i < sgtt_count_of(t.q); i++)
        q[i] = (double)(i % 5 * 256);
    sgtt_set(m, t.k, k);
    sgtt_set(m, t.q, q);
    sgt_attention_args args = forward_args(&c, &t);
    const sgtt_ref_attention_args naive = reference_args(m, &c, &t);
    double *out = sgtt_values(m, t.out);
    double *lse = sgtt_doubles(m, sgtt_count_of(t.lse));
    double *entropy = sgtt_doubles(m, 2 * c.batch * c.heads);
    sgtt_ref_attention(out, lse, entropy, entropy + c.batch * c.heads, &naive);
    sgtt_call(m, attention, &args);
    sgtt_expect(m, t.out, out, 1e-3, c.name);
    check_lse(m, &c, t.lse, lse);
}

/* Scores that overflow to -infinity, for more keys than fit into a block: they weigh nothing. */
static const attention_case overflowing[] = {
    {.name = "keys of -infinity", .batch = 1, .queries = 300, .keys = 300, .heads = 2, .groups = 1,
     .dh = 8, .kv_heads = {0, 0}, .spread = 1.0},
    {.name = "keys of -infinity, decoding", .batch = 1, .queries = 3, .keys = 300, .heads = 2,
     .groups = 1, .dh = 8, .kv_heads = {0, 0}, .with_lengths = 1, .offsets = {297}, .lengths = {3},
     .spread = 1.0},
};

/* Queries from EARLY_KEYS on score -infinity with the keys before; each sees itself too. */
static void overflow_early_keys(sgtt_machine *m, const attention_case *c,
                                const attention_tensors *t)
{
    enum { EARLY_KEYS = 270 };
    double *q = sgtt_values(m, t->q), *k = sgtt_values(m, t->k);
    for (int64_t i = 0; i < c->queries * c->heads; i++)
        q[i * c->dh] = i / c->heads + c->offsets[0] < EARLY_KEYS ? 0.0 : 1e38;
    for (int64_t i = 0; i < c->keys; i++)
        k[i * c->dh] = i < EARLY_KEYS ? -16.0 : 0.0;
    sgtt_set(m, t->q, q);
    sgtt_set(m, t->k, k);
}

static void keys_of_minus_infinity_weigh_nothing(sgtt_machine *m)
{
    for (int k = 0; k < 2; k++) {
        attention_tensors t = make_case(m, &overflowing[k]);
        overflow_early_keys(m, &overflowing[k], &t);
        check_forward(m, &overflowing[k], &t);
        sgtt_clear(m);
    }
}

/* ---- backward ---- */

/* What a forward gives a backward: the backend may leave the forward to others. */
static void set_forward(sgtt_machine *m, const attention_tensors *t,
                        const sgtt_ref_attention_args *naive)
{
    double *out = sgtt_doubles(m, sgtt_count_of(t->out));
    double *lse = sgtt_doubles(m, sgtt_count_of(t->lse));
    double *entropy = sgtt_doubles(m, 2 * naive->batch * naive->heads);
    sgtt_ref_attention(out, lse, entropy, entropy + naive->batch * naive->heads, naive);
    sgtt_set(m, t->out, out);
    sgtt_set(m, t->lse, lse);
}

static void check_backward(sgtt_machine *m, const attention_case *c, const attention_tensors *t)
{
    sgtt_tensor *dout = make_heads(m, c->batch, c->queries, c->heads, c->dh, 1.0);
    sgtt_tensor *dq = make_heads(m, c->batch, c->queries, c->heads, c->dh, 1.0);
    sgtt_tensor *dk = make_heads(m, c->batch, c->keys, c->groups, c->dh, 1.0);
    sgtt_tensor *dv = make_heads(m, c->batch, c->keys, c->groups, c->dh, 1.0);
    const sgtt_ref_attention_args naive = reference_args(m, c, t);
    double *expected_dq = sgtt_doubles(m, sgtt_count_of(dq));
    double *expected_dk = sgtt_doubles(m, sgtt_count_of(dk));
    double *expected_dv = sgtt_doubles(m, sgtt_count_of(dv));
    sgtt_ref_attention_backward(expected_dq, expected_dk, expected_dv, sgtt_values(m, dout),
                                &naive);

    set_forward(m, t, &naive);
    sgt_attention_backward_args args = {
        .scale = scale_of(c), .q = &t->q->t,   .k = &t->k->t,       .v = &t->v->t,
        .out = &t->out->t,     .lse = &t->lse->t, .dout = &dout->t, .dq = &dq->t,
        .dk = &dk->t,         .dv = &dv->t,   .kv_heads = &t->kv_heads->t,
        .gains = tensor_of(t->gains)};
    sgtt_call(m, attention_backward, &args);
    const double tolerance = 1.5e-6 * (1.0 + c->spread);
    if (c->queries == 1) { /* the probability of the only key cannot change */
        sgtt_expect_within(m, dq, expected_dq, 1e-6, "attention dq");
        sgtt_expect_within(m, dk, expected_dk, 1e-6, "attention dk");
    } else {
        sgtt_expect_norm(m, dq, expected_dq, tolerance, "attention dq");
        sgtt_expect_norm(m, dk, expected_dk, tolerance, "attention dk");
    }
    sgtt_expect_norm(m, dv, expected_dv, tolerance, "attention dv");
    sgtt_expect_unchanged(m, dout, "attention dout");
    sgtt_expect_unchanged(m, t->q, "attention q");
}

static void backward_matches(sgtt_machine *m)
{
    for (int k = 0; k < CASES; k++) {
        const attention_case c = pick_case(m, k);
        if (c.with_lengths)
            continue;
        attention_tensors t = make_case(m, &c);
        check_backward(m, &c, &t);
        sgtt_clear(m);
    }
}

static void keys_of_minus_infinity_have_no_gradient(sgtt_machine *m)
{
    const attention_case *c = &overflowing[0];
    attention_tensors t = make_case(m, c);
    overflow_early_keys(m, c, &t);
    check_backward(m, c, &t);
}

const sgtt_op_test sgtt_attention_tests[] = {forward_matches,
                                             optional_results_change_nothing,
                                             what_is_not_visible_does_not_matter,
                                             nan_follows_causality,
                                             uniform_attention,
                                             large_scores_do_not_overflow,
                                             keys_of_minus_infinity_weigh_nothing,
                                             NULL};
const sgtt_op_test sgtt_attention_backward_tests[] = {
    backward_matches, keys_of_minus_infinity_have_no_gradient, NULL};
