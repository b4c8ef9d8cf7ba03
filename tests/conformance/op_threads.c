/* SPDX-License-Identifier: BSD-3-Clause */
/* Every operation that the backend has gives the same bits with 1, 2, 3 and 5 threads, and twice,
 * on shapes of several parts. */
#include "op_attention.h"
#include "op_masks.h"
#include "suite.h"

#include <string.h>

#define ROWS 210
#define COLUMNS 307

static void run_elementwise(uint64_t *hash, sgtt_machine *m)
{
    sgtt_tensor *y = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *x = sgtt_random_matrix(m, SGTT_SWAPPED, ROWS, COLUMNS);
    sgtt_tensor *z = sgtt_random_matrix(m, SGTT_DENSE, ROWS, COLUMNS);
    if (m->slots->axpy) {
        sgtt_axpy(m, &y->t, 0.7f, &x->t);
        sgtt_axpy(m, &y->t, 0.3f, &z->t);
        sgtt_hash(hash, m, y);
    }
    if (m->slots->scale) {
        sgtt_scale(m, &y->t, 1.1f);
        sgtt_hash(hash, m, y);
    }
    if (m->slots->add) {
        sgtt_add(m, &y->t, &x->t, &z->t);
        sgtt_hash(hash, m, y);
    }
    sgtt_copy(m, &y->t, &x->t);
    sgtt_hash(hash, m, y);
    sgtt_fill(m, &x->t, 0.25);
    sgtt_hash(hash, m, x);
}

static void run_norm(uint64_t *hash, sgtt_machine *m)
{
    sgtt_tensor *x = sgtt_random_vector(m, 100003);
    double sum = m->slots->norm ? sgtt_norm(m, &x->t) : 0.0;
    memcpy(hash, &sum, sizeof sum);
}

static void run_convert(uint64_t *hash, sgtt_machine *m)
{
    const int64_t n = 100003;
    sgtt_tensor *x = sgtt_random_vector(m, n);
    sgtt_tensor *y = sgtt_make(m, SGT_BF16, SGTT_DENSE, 1, &n);
    if (m->slots->convert)
        sgtt_convert(m, &y->t, &x->t);
    sgtt_hash(hash, m, y);
}

static void run_embedding(uint64_t *hash, sgtt_machine *m)
{
    const int64_t n = ROWS;
    sgtt_tensor *table = sgtt_random_matrix(m, SGTT_ROWS, 13, COLUMNS);
    sgtt_tensor *rows = sgtt_random_matrix(m, SGTT_DENSE, ROWS, COLUMNS);
    sgtt_tensor *ids = sgtt_make(m, SGT_I32, SGTT_DENSE, 1, &n);
    sgtt_set_random(m, ids, 0.0, 13.0);
    sgt_embedding_backward_args backward = {
        .scale = 0.3f, .dtable = &table->t, .ids = &ids->t, .dout = &rows->t};
    if (m->slots->embedding_backward)
        sgtt_call(m, embedding_backward, &backward);
    sgtt_hash(hash, m, table);
    sgt_embedding_args forward = {.table = &table->t, .ids = &ids->t, .out = &rows->t};
    if (m->slots->embedding)
        sgtt_call(m, embedding, &forward);
    sgtt_hash(hash, m, rows);
}

static void run_rmsnorm(uint64_t *hash, sgtt_machine *m)
{
    sgtt_tensor *x = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *y = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *dx = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *weight = sgtt_random_vector(m, COLUMNS);
    sgtt_tensor *dweight = sgtt_random_vector(m, COLUMNS);
    sgtt_tensor *scratch = sgtt_random_matrix(m, SGTT_DENSE, SGT_RMSNORM_PARTS, COLUMNS);
    sgt_rmsnorm_args forward = {.eps = 1e-6f, .x = &x->t, .weight = &weight->t, .y = &y->t};
    if (m->slots->rmsnorm)
        sgtt_call(m, rmsnorm, &forward);
    sgtt_hash(hash, m, y);
    sgt_rmsnorm_backward_args backward = {.eps = 1e-6f,
                                          .x = &x->t,
                                          .weight = &weight->t,
                                          .dy = &y->t,
                                          .dx = &dx->t,
                                          .dweight = &dweight->t,
                                          .scratch = &scratch->t};
    if (m->slots->rmsnorm_backward)
        sgtt_call(m, rmsnorm_backward, &backward);
    sgtt_hash(hash, m, dx);
    sgtt_hash(hash, m, dweight);
}

static void run_rope(uint64_t *hash, sgtt_machine *m)
{
    const int64_t shape[] = {3, 70, 6, 64};
    sgtt_tensor *x = sgtt_make(m, SGT_F32, SGTT_DENSE, 4, shape);
    sgtt_tensor *cosine = sgtt_random_matrix(m, SGTT_DENSE, 70, 32);
    sgtt_tensor *sine = sgtt_random_matrix(m, SGTT_DENSE, 70, 32);
    sgtt_set_random(m, x, -1.0, 1.0);
    sgt_rope_args args = {.x = &x->t, .cosine = &cosine->t, .sine = &sine->t};
    if (m->slots->rope)
        sgtt_call(m, rope, &args);
    sgtt_hash(hash, m, x);
}

static void run_swiglu(uint64_t *hash, sgtt_machine *m)
{
    sgtt_tensor *gate = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *up = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *out = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgt_swiglu_args forward = {.gate = &gate->t, .up = &up->t, .out = &out->t};
    if (m->slots->swiglu)
        sgtt_call(m, swiglu, &forward);
    sgtt_hash(hash, m, out);
    sgt_swiglu_backward_args backward = {.gate = &gate->t,
                                         .up = &up->t,
                                         .dout = &out->t,
                                         .dgate = &gate->t,
                                         .dup = &up->t,
                                         .out = &out->t};
    if (m->slots->swiglu_backward)
        sgtt_call(m, swiglu_backward, &backward);
    sgtt_hash(hash, m, gate);
    sgtt_hash(hash, m, up);
    sgtt_hash(hash, m, out);
}

enum { UNITS = 8, GROUPS = 41 };

/* A mask, then a choice of other units, through everything that takes them. */
static void run_masks(uint64_t *hash, sgtt_machine *m)
{
    const int declined = sgtt_declines_masks(m);
    const int64_t f = GROUPS * UNITS;
    sgtt_tensor *x = sgtt_random_matrix(m, SGTT_ROWS, ROWS, f);
    sgtt_tensor *up = sgtt_random_matrix(m, SGTT_ROWS, ROWS, f);
    sgtt_tensor *out = sgtt_random_matrix(m, SGTT_ROWS, ROWS, f);
    sgtt_tensor *dmask = sgtt_random_matrix(m, SGTT_ROWS, ROWS, f);
    sgtt_tensor *mask = sgtt_random_matrix(m, SGTT_ROWS, ROWS, f);
    sgtt_tensor *choice = sgtt_random_choice(m, ROWS, GROUPS, UNITS);
    for (int chosen = 0; chosen < 2; chosen++) {
        const sgt_tensor *of_mask = chosen ? NULL : &mask->t;
        const sgt_tensor *of_choice = chosen ? &choice->t : NULL;
        const int32_t units = chosen ? UNITS : 0;
        sgt_swiglu_backward_args swiglu = {.gate = &x->t,
                                           .up = &up->t,
                                           .dout = &out->t,
                                           .dgate = &x->t,
                                           .dup = &up->t,
                                           .out = &out->t,
                                           .mask = of_mask,
                                           .choice = of_choice,
                                           .dmask = &dmask->t,
                                           .units = units};
        sgt_relu_backward_args relu = {.units = units,
                                       .x = &x->t,
                                       .dout = &out->t,
                                       .dx = &x->t,
                                       .out = &out->t,
                                       .mask = of_mask,
                                       .choice = of_choice,
                                       .dmask = &dmask->t};
        if (m->slots->swiglu_backward && !declined)
            sgtt_call(m, swiglu_backward, &swiglu);
        sgtt_hash(hash, m, dmask);
        if (m->slots->relu_backward)
            sgtt_call(m, relu_backward, &relu);
        sgtt_hash(hash, m, dmask);
        sgtt_hash(hash, m, x);
        sgtt_hash(hash, m, out);
    }
}

static void run_choose(uint64_t *hash, sgtt_machine *m)
{
    sgtt_tensor *logits = sgtt_random_matrix(m, SGTT_ROWS, ROWS, GROUPS * UNITS);
    sgtt_tensor *dmask = sgtt_random_matrix(m, SGTT_ROWS, ROWS, GROUPS);
    sgtt_tensor *choice = sgtt_random_choice(m, ROWS, GROUPS, UNITS);
    sgt_choose_args forward = {.units = UNITS,
                               .seed = 7,
                               .stream = 9,
                               .temperature = 0.3f,
                               .logits = &logits->t,
                               .choice = &choice->t,
                               .mask = &logits->t};
    sgt_choose_backward_args backward = {.units = UNITS,
                                         .mask = &logits->t,
                                         .dmask = &dmask->t,
                                         .choice = &choice->t,
                                         .dlogits = &logits->t};
    if (m->slots->choose)
        sgtt_call(m, choose, &forward);
    sgtt_hash(hash, m, choice);
    sgtt_hash(hash, m, logits);
    if (m->slots->choose_backward)
        sgtt_call(m, choose_backward, &backward);
    sgtt_hash(hash, m, logits);
}

static void run_row_products(uint64_t *hash, sgtt_machine *m)
{
    const int64_t shape[] = {ROWS, 5, COLUMNS};
    sgtt_tensor *x = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *y = sgtt_random_matrix(m, SGTT_ROWS, 5, COLUMNS);
    sgtt_tensor *dx = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *dy = sgtt_random_matrix(m, SGTT_ROWS, 5, COLUMNS);
    sgtt_tensor *out = sgtt_make(m, SGT_F32, SGTT_DENSE, 3, shape);
    sgtt_set_random(m, out, -1.0, 1.0);
    sgt_row_products_backward_args backward = {
        .x = &x->t, .y = &y->t, .dout = &out->t, .dx = &dx->t, .dy = &dy->t};
    sgt_row_products_args forward = {.x = &x->t, .y = &y->t, .out = &out->t};
    if (m->slots->row_products_backward)
        sgtt_call(m, row_products_backward, &backward);
    sgtt_hash(hash, m, dx);
    sgtt_hash(hash, m, dy);
    if (m->slots->row_products)
        sgtt_call(m, row_products, &forward);
    sgtt_hash(hash, m, out);
}

static void run_cross_entropy(uint64_t *hash, sgtt_machine *m)
{
    const int64_t n = ROWS;
    sgtt_tensor *logits = sgtt_random_matrix(m, SGTT_ROWS, ROWS, COLUMNS);
    sgtt_tensor *losses = sgtt_random_vector(m, ROWS);
    sgtt_tensor *targets = sgtt_make(m, SGT_I32, SGTT_DENSE, 1, &n);
    sgtt_set_random(m, targets, -1.0, COLUMNS);
    sgt_cross_entropy_args args = {.logits = &logits->t,
                                   .targets = &targets->t,
                                   .losses = &losses->t,
                                   .dlogits = &logits->t};
    if (m->slots->cross_entropy)
        sgtt_call(m, cross_entropy, &args);
    sgtt_hash(hash, m, logits);
    sgtt_hash(hash, m, losses);
}

static void run_adamw(uint64_t *hash, sgtt_machine *m)
{
    sgtt_tensor *t[4];
    for (int i = 0; i < 4; i++)
        t[i] = sgtt_random_vector(m, 100003);
    sgtt_set_random(m, t[3], 0.0, 1.0);
    const int64_t firsts[] = {0, 50001}, counts[] = {50001, 50002};
    const float rates[] = {0.01f, 0.02f}, decays[] = {0.1f, 0.0f};
    sgt_adamw_args args = {.grad_scale = 0.5f,
                           .beta1 = 0.9f,
                           .beta2 = 0.95f,
                           .eps = 1e-8f,
                           .correction1 = 0.1f,
                           .correction2 = 0.05f,
                           .n_pieces = 2,
                           .param = &t[0]->t,
                           .grad = &t[1]->t,
                           .moment1 = &t[2]->t,
                           .moment2 = &t[3]->t,
                           .firsts = firsts,
                           .counts = counts,
                           .rates = rates,
                           .decays = decays};
    if (m->slots->adamw)
        sgtt_call(m, adamw, &args);
    for (int i = 0; i < 4; i++)
        sgtt_hash(hash, m, t[i]);
}

static void run_gemm(uint64_t *hash, sgtt_machine *m)
{
    static const int64_t sizes[][3] = {{700, 900, 130}, {1000, 40, 70}, {33, 1500, 64},
                                       {129, 130, 1100}, {5, 7, 9}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        sgtt_tensor *a = sgtt_random_matrix(m, s % 2 != 0 ? SGTT_SWAPPED : SGTT_ROWS,
                                            sizes[s][0], sizes[s][2]);
        sgtt_tensor *b = sgtt_random_matrix(m, s % 3 != 0 ? SGTT_SWAPPED : SGTT_ROWS,
                                            sizes[s][2], sizes[s][1]);
        sgtt_tensor *c = sgtt_random_matrix(m, SGTT_DENSE, sizes[s][0], sizes[s][1]);
        sgtt_gemm(m, &c->t, 1.0f, &a->t, &b->t, 0.5f, NULL);
        sgtt_hash(hash, m, c);
    }
}

/* Products with chosen rows, for few and many rows. */
static void run_units(uint64_t *hash, sgtt_machine *m)
{
    static const int64_t rows[] = {1, 7, 23, 400};
    for (int r = 0; r < 4; r++) {
        sgtt_tensor *weight = sgtt_random_matrix(m, SGTT_ROWS, GROUPS * UNITS, COLUMNS);
        sgtt_tensor *a = sgtt_random_matrix(m, SGTT_ROWS, rows[r], GROUPS);
        sgtt_tensor *x = sgtt_random_matrix(m, SGTT_ROWS, rows[r], COLUMNS);
        sgtt_tensor *choice = sgtt_random_choice(m, rows[r], GROUPS, UNITS);
        sgt_units_args args = {.units = UNITS,
                               .weight = &weight->t,
                               .choice = &choice->t,
                               .a = &a->t,
                               .x = &x->t};
        if (m->slots->unit_inputs)
            sgtt_call(m, unit_inputs, &args);
        sgtt_hash(hash, m, a);
        if (m->slots->unit_gradients)
            sgtt_call(m, unit_gradients, &args);
        sgtt_hash(hash, m, weight);
        args.d = &x->t;
        if (m->slots->unit_outputs)
            sgtt_call(m, unit_outputs, &args);
        sgtt_hash(hash, m, x);
    }
}

static sgtt_tensor *random_heads(sgtt_machine *m, const int64_t *shape)
{
    sgtt_tensor *made = sgtt_make(m, SGT_F32, SGTT_DENSE, 4, shape);
    sgtt_set_random(m, made, -1.0, 1.0);
    return made;
}

/* Attention and its gradient on sequences of 461, for heads of which the last reads the last
 * key/value head. */
static void attend(uint64_t *hash, sgtt_machine *m, int64_t sequences, int64_t heads,
                   const int32_t *kv_heads, const sgt_attention_pattern *patterns)
{
    const int64_t q_shape[] = {sequences, 461, heads, 32};
    const int64_t k_shape[] = {sequences, 461, kv_heads[heads - 1] + 1, 32};
    const int64_t lse_shape[] = {sequences, heads, 461};
    sgtt_tensor *reads = sgtt_integer_list(m, heads, kv_heads);
    sgtt_tensor *q = random_heads(m, q_shape), *dq = random_heads(m, q_shape);
    sgtt_tensor *k = random_heads(m, k_shape), *dk = random_heads(m, k_shape);
    sgtt_tensor *v = random_heads(m, k_shape), *dv = random_heads(m, k_shape);
    sgtt_tensor *out = random_heads(m, q_shape), *dout = random_heads(m, q_shape);
    sgtt_tensor *lse = sgtt_make(m, SGT_F32, SGTT_DENSE, 3, lse_shape);
    sgtt_tensor *last = sgtt_make(m, SGT_F64, SGTT_DENSE, 2, lse_shape);
    sgtt_tensor *mean = sgtt_make(m, SGT_F64, SGTT_DENSE, 2, lse_shape);
    sgt_attention_args forward = {.scale = 0.18f,
                                  .q = &q->t,
                                  .k = &k->t,
                                  .v = &v->t,
                                  .out = &out->t,
                                  .lse = &lse->t,
                                  .entropy_last = &last->t,
                                  .entropy_mean = &mean->t,
                                  .kv_heads = &reads->t,
                                  .patterns = patterns};
    sgt_attention_backward_args backward = {.scale = 0.18f,
                                            .q = &q->t,
                                            .k = &k->t,
                                            .v = &v->t,
                                            .out = &out->t,
                                            .lse = &lse->t,
                                            .dout = &dout->t,
                                            .dq = &dq->t,
                                            .dk = &dk->t,
                                            .dv = &dv->t,
                                            .kv_heads = &reads->t,
                                            .patterns = patterns};
    if (m->slots->attention)
        sgtt_call(m, attention, &forward);
    if (m->slots->attention_backward)
        sgtt_call(m, attention_backward, &backward);
    sgtt_tensor *results[] = {out, lse, last, mean, dq, dk, dv};
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        sgtt_hash(hash, m, results[i]);
}

static const sgt_attention_pattern patterns[] = {
    {.size = sizeof patterns[0], .sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED, .stride = 19},
    {.size = sizeof patterns[0], .sets = SGT_KEYS_STRIDED, .stride = 3},
    {.size = sizeof patterns[0], .sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 32,
     .summary = 5},
    {.size = sizeof patterns[0], .sets = SGT_KEYS_LOCAL | SGT_KEYS_SUMMARY, .stride = 150,
     .summary = 40},
    {.size = sizeof patterns[0], .sets = SGT_KEYS_BLOCK | SGT_KEYS_STRIDED, .stride = 45},
};
static const int32_t apart[] = {0, 1, 2};

/* More and fewer key/value heads than threads: a backend may cut them in other ways. */
static void run_attention(uint64_t *hash, sgtt_machine *m)
{
    static const int32_t grouped[] = {0, 0, 1, 2, 2};
    const sgt_attention_pattern *sparse = sgtt_declines_patterns(m) ? NULL : patterns;
    attend(hash, m, 2, 5, grouped, NULL);
    attend(hash, m, 2, 5, grouped, sparse);
    for (int64_t heads = 1; heads <= 3; heads++) {
        attend(hash, m, 1, heads, apart, NULL);
        attend(hash, m, 1, heads, apart, sparse);
    }
}

static void run_one_head(uint64_t *hash, sgtt_machine *m)
{
    int count = sgtt_declines_patterns(m) ? 0 : (int)(sizeof patterns / sizeof patterns[0]);
    for (int i = 1; i < count; i++)
        attend(hash, m, 1, 1, apart, &patterns[i]);
}

typedef struct operation {
    const char *name;
    void (*run)(uint64_t *hash, sgtt_machine *m);
} operation;

static const operation operations[] = {
    {"elementwise", run_elementwise}, {"norm", run_norm},
    {"convert", run_convert},         {"embedding", run_embedding},
    {"rmsnorm", run_rmsnorm},         {"rope", run_rope},
    {"swiglu", run_swiglu},           {"masks", run_masks},
    {"choose", run_choose},           {"products of rows", run_row_products},
    {"cross-entropy", run_cross_entropy},
    {"adamw", run_adamw},             {"gemm", run_gemm},
    {"units", run_units},
    {"attention", run_attention},     {"attention of one head", run_one_head},
};
#define OPERATIONS ((int)(sizeof operations / sizeof operations[0]))

/* The same random inputs for every number of threads, and twice for each. */
void sgtt_check_threads(const void *subject)
{
    static const int32_t threads[] = {1, 2, 3, 5};
    uint64_t expected[OPERATIONS] = {0};
    for (int k = 0; k < 4; k++) {
        sgtt_machine m;
        sgtt_open(&m, subject, threads[k], 0);
        const uint64_t seed = m.random;
        for (int repeat = 0; repeat < 2; repeat++) {
            for (int i = 0; i < OPERATIONS; i++) {
                uint64_t hash = 14695981039346656037u;
                m.random = seed + (uint64_t)i;
                operations[i].run(&hash, &m);
                sgtt_clear(&m);
                if (k == 0 && repeat == 0)
                    expected[i] = hash;
                sgtt_require(hash == expected[i], "%s gives other bits %s", operations[i].name,
                             repeat > 0 ? "the second time" : "with another number of threads");
                sgtt_count(0.0);
            }
        }
        sgtt_close(&m);
    }
}
