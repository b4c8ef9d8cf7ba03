/* SPDX-License-Identifier: BSD-3-Clause */
/* Attention over keys in a ring: what attention over all keys gives, of rows that are written as a
 * cache writes them. Rows that hold no key hold NaN. */
#include "op_attention.h"

#include <math.h>

#define PATTERN(...) {.size = sizeof(sgt_attention_pattern), __VA_ARGS__}
static const sgtt_attention_case cases[] = {
    {.name = "a ring, decoding", .batch = 3, .queries = 1, .keys = 400, .heads = 3, .groups = 2,
     .dh = 64, .kv_heads = {0, 1, 1}, .with_gains = 1, .with_lengths = 1,
     .offsets = {399, 170, 3}, .lengths = {1, 1, 1}, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_LOCAL, .stride = 150),
                  PATTERN(.sets = SGT_KEYS_BLOCK, .stride = 31)}},
    {.name = "a ring, a chunk", .batch = 2, .queries = 70, .keys = 270, .heads = 2, .groups = 2,
     .dh = 20, .kv_heads = {0, 1}, .with_lengths = 1, .offsets = {200, 40}, .lengths = {70, 33},
     .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_LOCAL | SGT_KEYS_BLOCK, .stride = 9),
                  PATTERN(.sets = SGT_KEYS_BLOCK, .stride = 40)}},
    {.name = "a ring and summaries, decoding", .batch = 2, .queries = 1, .keys = 600, .heads = 4,
     .groups = 3, .dh = 16, .kv_heads = {0, 1, 1, 2}, .with_lengths = 1, .offsets = {599, 62},
     .lengths = {1, 1}, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 16, .summary = 3),
                  PATTERN(.sets = SGT_KEYS_LOCAL | SGT_KEYS_SUMMARY, .stride = 7, .summary = 2,
                          .phase = 1),
                  PATTERN(.sets = SGT_KEYS_LOCAL, .stride = 5)}},
    {.name = "a ring and summaries, a chunk", .batch = 1, .queries = 130, .keys = 331, .heads = 2,
     .groups = 2, .dh = 8, .kv_heads = {0, 1}, .with_lengths = 1, .offsets = {201},
     .lengths = {130}, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_SUMMARY, .stride = 6, .summary = 2),
                  PATTERN(.sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 64, .summary = 8)}},
};
#undef PATTERN

/* A random case, its sets those that a ring may have. */
static sgtt_attention_case pick(sgtt_machine *m, size_t k)
{
    if (m->round == 0)
        return cases[k];
    sgtt_attention_case c = sgtt_attention_pick(m, (int)k);
    c.with_patterns = 1;
    for (int64_t g = 0; g < c.groups; g++) {
        sgt_attention_pattern *p = &c.patterns[g];
        p->sets &= ~SGT_KEYS_STRIDED;
        if (!p->sets)
            *p = (sgt_attention_pattern){
                .size = sizeof *p,
                .sets = SGT_KEYS_LOCAL,
                .stride = 1 + (int32_t)sgtt_below(m, 70)};
    }
    return c;
}

/* As few rows as hold what the queries of a call see of the sets but SUMMARY, and a few more. */
static int64_t ring_of(sgtt_machine *m, const sgtt_attention_case *c)
{
    int64_t near = 1;
    for (int64_t g = 0; g < c->groups; g++) {
        const sgt_attention_pattern *p = &c->patterns[g];
        if ((p->sets & (SGT_KEYS_LOCAL | SGT_KEYS_BLOCK)) && p->stride > near)
            near = p->stride;
    }
    return near - 1 + c->queries + sgtt_below(m, 3);
}

static int is_summary(const sgt_attention_pattern *p, int64_t key)
{
    int64_t end = p->stride - (int64_t)p->summary * p->phase, place = key % p->stride;
    return (p->sets & SGT_KEYS_SUMMARY) && place >= end - p->summary && place < end;
}

/* The rows of a ring in which the keys of `all` (one group of one sequence, `step` apart) are
 * when `count` have come one after the other. */
static void write_group(double *ring, const double *all, int64_t step, int64_t dh, int64_t count,
                        int64_t rows, const sgt_attention_pattern *p)
{
    int64_t cells = 0;
    for (int64_t key = 0; key < count; key++) {
        for (int64_t i = 0; i < dh; i++)
            ring[key % rows * step + i] = all[key * step + i];
        for (int64_t i = 0; is_summary(p, key) && i < dh; i++)
            ring[(rows + cells) * step + i] = all[key * step + i];
        cells += is_summary(p, key);
    }
}

static sgtt_tensor *in_ring(sgtt_machine *m, const sgtt_attention_case *c, const sgtt_tensor *all,
                            int64_t rows)
{
    const int64_t room = rows + c->keys, step = c->groups * c->dh;
    const double *from = sgtt_values(m, all);
    sgtt_tensor *made = sgtt_attention_heads(m, c->batch, room, c->groups, c->dh, 1.0);
    double *to = sgtt_values(m, made);
    for (int64_t i = 0; i < sgtt_count_of(made); i++)
        to[i] = NAN;
    for (int64_t b = 0; b < c->batch; b++) {
        int64_t count = c->with_lengths ? c->offsets[b] + c->lengths[b] : c->queries;
        for (int64_t g = 0; g < c->groups; g++)
            write_group(to + b * room * step + g * c->dh, from + b * c->keys * step + g * c->dh,
                        step, c->dh, count, rows, &c->patterns[g]);
    }
    sgtt_set(m, made, to);
    return made;
}

static void check_case(sgtt_machine *m, const sgtt_attention_case *c)
{
    sgtt_attention_tensors t = sgtt_attention_make(m, c);
    const sgtt_ref_attention_args naive = sgtt_attention_reference(m, c, &t);
    double *out = sgtt_values(m, t.out), *mean = sgtt_doubles(m, c->batch * c->heads);
    double *lse = sgtt_doubles(m, sgtt_count_of(t.lse));
    double *last = sgtt_doubles(m, c->batch * c->heads);
    sgtt_ref_attention(out, lse, last, mean, &naive);

    const int64_t ring = ring_of(m, c);
    const sgtt_tensor *k = in_ring(m, c, t.k, ring), *v = in_ring(m, c, t.v, ring);
    sgt_attention_args args = {
        .scale = sgtt_attention_scale(c),
        .q = &t.q->t,
        .k = &k->t,
        .v = &v->t,
        .out = &t.out->t,
        .entropy_last = &t.last->t,
        .entropy_mean = &t.mean->t,
        .kv_heads = &t.kv_heads->t,
        .gains = sgtt_tensor_of(t.gains),
        .offsets = sgtt_tensor_of(t.offsets),
        .lengths = sgtt_tensor_of(t.lengths),
        .patterns = c->patterns,
        .ring = ring,
    };
    sgtt_call(m, attention, &args);
    sgtt_expect(m, t.out, out, 3e-6 * (1.0 + c->spread), c->name);
    sgtt_expect_within(m, t.last, last, 3e-6, "entropy of the last row over a ring");
    sgtt_expect_within(m, t.mean, mean, 3e-6, "mean entropy over a ring");
}

void sgtt_attention_rings(sgtt_machine *m)
{
    for (size_t k = 0; k < sizeof cases / sizeof *cases && !sgtt_declines_patterns(m); k++) {
        const sgtt_attention_case c = pick(m, k);
        check_case(m, &c);
        sgtt_clear(m);
    }
}
