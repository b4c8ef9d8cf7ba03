/* SPDX-License-Identifier: BSD-3-Clause */
#include "op_attention.h"

#include <math.h>

static const float all_gains[SGTT_MAX_HEADS] = {0.25f, 1.0f, 0.5f, 1.0f, 0.0f, 0.125f};

const sgtt_attention_case sgtt_attention_cases[SGTT_ATTENTION_CASES] = {
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
#define PATTERN(...) {.size = sizeof(sgt_attention_pattern), __VA_ARGS__}
    {.name = "the last keys", .batch = 2, .queries = 301, .keys = 301, .heads = 3, .groups = 2,
     .dh = 16, .kv_heads = {0, 0, 1}, .with_gains = 1, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_LOCAL, .stride = 37), PATTERN(0)}},
    {.name = "each fifth key", .batch = 1, .queries = 333, .keys = 333, .heads = 2, .groups = 1,
     .dh = 20, .kv_heads = {0, 0}, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_STRIDED, .stride = 5)}},
    {.name = "blocks", .batch = 1, .queries = 400, .keys = 400, .heads = 1, .groups = 1, .dh = 8,
     .kv_heads = {0}, .spread = 2.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_BLOCK, .stride = 64)}},
    {.name = "summaries alone", .batch = 1, .queries = 500, .keys = 500, .heads = 2, .groups = 2,
     .dh = 16, .kv_heads = {0, 1}, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_SUMMARY, .stride = 9, .summary = 4),
                  PATTERN(.sets = SGT_KEYS_SUMMARY, .stride = 3, .summary = 1, .phase = 2)}},
    {.name = "strided attention of the paper", .batch = 1, .queries = 290, .keys = 290, .heads = 2,
     .groups = 1, .dh = 32, .kv_heads = {0, 0}, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED, .stride = 17)}},
    {.name = "fixed attention of the paper", .batch = 2, .queries = 613, .keys = 613, .heads = 2,
     .groups = 1, .dh = 8, .kv_heads = {0, 0}, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 32, .summary = 4)}},
    {.name = "blocks and strides", .batch = 1, .queries = 260, .keys = 260, .heads = 2, .groups = 2,
     .dh = 12, .kv_heads = {0, 1}, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_BLOCK | SGT_KEYS_STRIDED, .stride = 7),
                  PATTERN(.sets = SGT_KEYS_STRIDED | SGT_KEYS_SUMMARY, .stride = 8, .summary = 3)}},
    {.name = "many sequences with strides", .batch = 11, .queries = 613, .keys = 613, .heads = 2,
     .groups = 1, .dh = 8, .kv_heads = {0, 0}, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED, .stride = 40)}},
    {.name = "every set", .batch = 1, .queries = 130, .keys = 130, .heads = 1, .groups = 1,
     .dh = 64, .kv_heads = {0}, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED | SGT_KEYS_BLOCK |
                                  SGT_KEYS_SUMMARY, .stride = 11, .summary = 2, .phase = 1)}},
    {.name = "a stride beyond the sequence", .batch = 1, .queries = 40, .keys = 40, .heads = 2,
     .groups = 2, .dh = 8, .kv_heads = {0, 1}, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_STRIDED, .stride = 1000),
                  PATTERN(.sets = SGT_KEYS_LOCAL, .stride = 1000)}},
    {.name = "continued patterns", .batch = 3, .queries = 9, .keys = 150, .heads = 4, .groups = 2,
     .dh = 16, .kv_heads = {0, 0, 1, 1}, .with_lengths = 1, .offsets = {141, 0, 50},
     .lengths = {9, 3, 7}, .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_STRIDED, .stride = 4),
                  PATTERN(.sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 16, .summary = 2)}},
    {.name = "decoding patterns", .batch = 2, .queries = 1, .keys = 300, .heads = 3, .groups = 3,
     .dh = 64, .kv_heads = {0, 1, 2}, .with_lengths = 1, .offsets = {299, 64}, .lengths = {1, 1},
     .spread = 1.0, .with_patterns = 1,
     .patterns = {PATTERN(.sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED, .stride = 16),
                  PATTERN(.sets = SGT_KEYS_LOCAL, .stride = 32),
                  PATTERN(.sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 8, .summary = 1)}},
#undef PATTERN
};

static sgt_attention_pattern random_pattern(sgtt_machine *m)
{
    sgt_attention_pattern p = {.size = sizeof p, .sets = (int32_t)sgtt_below(m, 16)};
    if (p.sets)
        p.stride = 1 + (int32_t)sgtt_below(m, 70);
    if (p.sets & SGT_KEYS_SUMMARY) {
        p.summary = 1 + (int32_t)sgtt_below(m, p.stride);
        p.phase = (int32_t)sgtt_below(m, p.stride / p.summary);
    }
    return p;
}

/* The first case with a pattern, on a slot that nothing stands in for. */
int sgtt_declines_patterns(sgtt_machine *m)
{
    enum { FIRST_PATTERN = 12 };
    const sgtt_attention_case *c = &sgtt_attention_cases[FIRST_PATTERN];
    if (m->stand_in || m->on_host || !m->slots->attention)
        return 0;
    sgtt_attention_tensors t = sgtt_attention_make(m, c);
    const sgt_attention_args args = {.size = sizeof args,
                                     .scale = sgtt_attention_scale(c),
                                     .q = &t.q->t,
                                     .k = &t.k->t,
                                     .v = &t.v->t,
                                     .out = &t.out->t,
                                     .kv_heads = &t.kv_heads->t,
                                     .patterns = c->patterns};
    int32_t result = m->slots->attention(m->slots_instance, &args);
    sgtt_clear(m);
    return result == SGT_E_UNSUPPORTED;
}

static sgtt_attention_case listed(sgtt_machine *m, int k)
{
    sgtt_attention_case c = sgtt_attention_cases[k];
    c.with_patterns = c.with_patterns && !sgtt_declines_patterns(m);
    return c;
}

sgtt_attention_case sgtt_attention_pick(sgtt_machine *m, int k)
{
    if (m->round == 0)
        return listed(m, k);
    sgtt_attention_case c = {.name = "random", .spread = sgtt_uniform(m, 0.5, 4.0)};
    c.batch = 1 + sgtt_below(m, SGTT_MAX_BATCH);
    c.queries = 1 + sgtt_below(m, 90);
    c.groups = 1 + sgtt_below(m, 4);
    c.heads = 1 + sgtt_below(m, SGTT_MAX_HEADS);
    c.dh = 2 + 2 * sgtt_below(m, 48);
    c.with_gains = (int)sgtt_below(m, 2);
    c.with_lengths = (int)sgtt_below(m, 2);
    c.keys = c.queries + (c.with_lengths ? sgtt_below(m, 100) : 0);
    for (int64_t h = 0, group = 0; h < c.heads; h++) {
        group += sgtt_below(m, c.groups - group);
        c.kv_heads[h] = (int32_t)group;
    }
    c.with_patterns = (int)sgtt_below(m, 2) && !sgtt_declines_patterns(m);
    for (int64_t g = 0; g < c.groups; g++)
        c.patterns[g] = random_pattern(m);
    for (int64_t b = 0; b < c.batch; b++) {
        c.offsets[b] = (int32_t)sgtt_below(m, c.keys - c.queries + 1);
        c.lengths[b] = (int32_t)sgtt_below(m, c.queries + 1);
    }
    return c;
}

const sgt_tensor *sgtt_tensor_of(const sgtt_tensor *tensor)
{
    return tensor ? &tensor->t : NULL;
}

sgtt_tensor *sgtt_attention_heads(sgtt_machine *m, int64_t batch, int64_t length, int64_t heads,
                               int64_t dh, double spread)
{
    const int64_t row = heads * dh + 5;
    const int64_t shape[] = {batch, length, heads, dh};
    const int64_t strides[] = {(length + 2) * row, row, dh, 1};
    sgtt_tensor *made = sgtt_make_strided(m, SGT_F32, 4, shape, strides);
    sgtt_set_random(m, made, -spread, spread);
    return made;
}

sgtt_attention_tensors sgtt_attention_make(sgtt_machine *m, const sgtt_attention_case *c)
{
    const int64_t rows[] = {c->batch, c->heads, c->queries};
    return (sgtt_attention_tensors){
        .q = sgtt_attention_heads(m, c->batch, c->queries, c->heads, c->dh, 1.7 * c->spread),
        .k = sgtt_attention_heads(m, c->batch, c->keys, c->groups, c->dh, 1.7),
        .v = sgtt_attention_heads(m, c->batch, c->keys, c->groups, c->dh, 1.0),
        .out = sgtt_attention_heads(m, c->batch, c->queries, c->heads, c->dh, 1.0),
        .lse = sgtt_make(m, SGT_F32, SGTT_DENSE, 3, rows),
        .last = sgtt_make(m, SGT_F64, SGTT_DENSE, 2, rows),
        .mean = sgtt_make(m, SGT_F64, SGTT_DENSE, 2, rows),
        .kv_heads = sgtt_integer_list(m, c->heads, c->kv_heads),
        .gains = c->with_gains ? sgtt_float_list(m, c->heads, all_gains) : NULL,
        .offsets = c->with_lengths ? sgtt_integer_list(m, c->batch, c->offsets) : NULL,
        .lengths = c->with_lengths ? sgtt_integer_list(m, c->batch, c->lengths) : NULL,
    };
}

const sgt_attention_pattern *sgtt_attention_patterns(const sgtt_attention_case *c)
{
    return c->with_patterns ? c->patterns : NULL;
}

float sgtt_attention_scale(const sgtt_attention_case *c)
{
    return 1.0f / sqrtf((float)c->dh);
}

sgtt_ref_attention_args sgtt_attention_reference(sgtt_machine *m, const sgtt_attention_case *c,
                                              const sgtt_attention_tensors *t)
{
    return (sgtt_ref_attention_args){
        .batch = c->batch,
        .queries = c->queries,
        .keys = c->keys,
        .heads = c->heads,
        .groups = c->groups,
        .dh = c->dh,
        .scale = (double)sgtt_attention_scale(c),
        .q = sgtt_values(m, t->q),
        .k = sgtt_values(m, t->k),
        .v = sgtt_values(m, t->v),
        .kv_heads = c->kv_heads,
        .gains = c->with_gains ? all_gains : NULL,
        .offsets = c->with_lengths ? c->offsets : NULL,
        .lengths = c->with_lengths ? c->lengths : NULL,
        .patterns = sgtt_attention_patterns(c),
    };
}

const sgtt_attention_case sgtt_attention_overflowing[2] = {
    {.name = "keys of -infinity", .batch = 1, .queries = 300, .keys = 300, .heads = 2, .groups = 1,
     .dh = 8, .kv_heads = {0, 0}, .spread = 1.0},
    {.name = "keys of -infinity, decoding", .batch = 1, .queries = 3, .keys = 300, .heads = 2,
     .groups = 1, .dh = 8, .kv_heads = {0, 0}, .with_lengths = 1, .offsets = {297}, .lengths = {3},
     .spread = 1.0},
};

void sgtt_attention_overflow(sgtt_machine *m, const sgtt_attention_case *c,
                                const sgtt_attention_tensors *t)
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
