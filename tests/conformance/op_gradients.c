/* SPDX-License-Identifier: BSD-3-Clause */
/* Gradients of the operations that every model has. */
#include "op_gradients.h"

#include "suite.h"

#include <math.h>
#include <string.h>

#include "op_reference.h"

#define STEP 1e-5

double *sgtt_differences(sgtt_machine *m, double *x, int64_t n, sgtt_loss_fn loss, void *context)
{
    double *gradient = sgtt_doubles(m, n);
    for (int64_t i = 0; i < n; i++) {
        double kept = x[i];
        x[i] = kept + STEP;
        double up = loss(context);
        x[i] = kept - STEP;
        double down = loss(context);
        x[i] = kept;
        gradient[i] = (up - down) / (2.0 * STEP);
    }
    return gradient;
}

double sgtt_weighted_sum(const double *c, const double *f, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += c[i] * f[i];
    return sum;
}

sgtt_tensor *sgtt_zero_matrix(sgtt_machine *m, int64_t rows, int64_t columns)
{
    sgtt_tensor *made = sgtt_random_matrix(m, SGTT_ROWS, rows, columns);
    sgtt_set(m, made, sgtt_doubles(m, rows * columns));
    return made;
}

/* ---- RMSNorm ---- */

typedef struct rmsnorm_case {
    int64_t rows;
    int64_t d;
    double *x;
    double *weight;
    double *dy;
    double *y;
} rmsnorm_case;

static double rmsnorm_loss(void *context)
{
    rmsnorm_case *c = context;
    sgtt_ref_rmsnorm(c->y, c->x, c->weight, 1e-3, c->rows, c->d);
    return sgtt_weighted_sum(c->dy, c->y, c->rows * c->d);
}

static void rmsnorm_gradient(sgtt_machine *m)
{
    const int64_t rows = 5, d = 19;
    sgtt_tensor *x = sgtt_random_matrix(m, SGTT_ROWS, rows, d);
    sgtt_tensor *dy = sgtt_random_matrix(m, SGTT_ROWS, rows, d);
    sgtt_tensor *dx = sgtt_zero_matrix(m, rows, d);
    sgtt_tensor *weight = sgtt_random_vector(m, d);
    sgtt_tensor *dweight = sgtt_random_vector(m, d);
    sgtt_tensor *scratch = sgtt_make(m, SGT_F32, SGTT_DENSE, 2,
                                     (const int64_t[]){SGT_RMSNORM_PARTS, d});
    sgtt_set(m, dweight, sgtt_doubles(m, d));
    sgt_rmsnorm_backward_args args = {.eps = 1e-3f,
                                      .x = &x->t,
                                      .weight = &weight->t,
                                      .dy = &dy->t,
                                      .dx = &dx->t,
                                      .dweight = &dweight->t,
                                      .scratch = &scratch->t};
    sgtt_call(m, rmsnorm_backward, &args);
    rmsnorm_case c = {rows,
                      d,
                      sgtt_values(m, x),
                      sgtt_values(m, weight),
                      sgtt_values(m, dy),
                      sgtt_doubles(m, rows * d)};
    sgtt_expect(m, dx, sgtt_differences(m, c.x, rows * d, rmsnorm_loss, &c), 1e-5, "rmsnorm dx");
    sgtt_expect(m, dweight, sgtt_differences(m, c.weight, d, rmsnorm_loss, &c), 1e-5,
                "rmsnorm dweight");
}

/* ---- RoPE ---- */

typedef struct rope_case {
    const int64_t *shape;
    double *x;
    double *cosine;
    double *sine;
    double *dy;
    double *y;
    const int32_t *offsets;
    int64_t count;
} rope_case;

static double rope_loss(void *context)
{
    rope_case *c = context;
    const int64_t *s = c->shape;
    memcpy(c->y, c->x, (size_t)c->count * sizeof(double));
    sgtt_ref_rope(c->y, c->cosine, c->sine, c->offsets, 0, s[0], s[1], s[2], s[3]);
    return sgtt_weighted_sum(c->dy, c->y, c->count);
}

/* The inverse rotation of the gradient of the output. */
static void rope_gradient(sgtt_machine *m)
{
    const int64_t shape[] = {2, 3, 2, 10};
    const int32_t offsets[] = {4, 1};
    const int64_t positions = 7;
    sgtt_tensor *dy = sgtt_make(m, SGT_F32, SGTT_ROWS, 4, shape);
    sgtt_tensor *cosine = sgtt_random_matrix(m, SGTT_DENSE, positions, 5);
    sgtt_tensor *sine = sgtt_random_matrix(m, SGTT_DENSE, positions, 5);
    double *angles = sgtt_values(m, cosine);
    double *cosines = sgtt_doubles(m, positions * 5);
    double *sines = sgtt_doubles(m, positions * 5);
    for (int64_t i = 0; i < positions * 5; i++) {
        cosines[i] = cos(7.0 * angles[i]);
        sines[i] = sin(7.0 * angles[i]);
    }
    sgtt_set(m, cosine, cosines);
    sgtt_set(m, sine, sines);
    sgtt_set_random(m, dy, -1.0, 1.0);
    const int64_t count = sgtt_count_of(dy);
    rope_case c = {shape,
                   sgtt_doubles(m, count),
                   sgtt_values(m, cosine),
                   sgtt_values(m, sine),
                   sgtt_values(m, dy),
                   sgtt_doubles(m, count),
                   offsets,
                   count};
    sgt_rope_args args = {.inverse = 1,
                          .x = &dy->t,
                          .cosine = &cosine->t,
                          .sine = &sine->t,
                          .offsets = &sgtt_integer_list(m, shape[0], offsets)->t};
    sgtt_call(m, rope, &args);
    sgtt_expect(m, dy, sgtt_differences(m, c.x, count, rope_loss, &c), 1e-6, "rope gradient");
}

/* ---- SwiGLU ---- */

typedef struct swiglu_case {
    int64_t n;
    double *gate;
    double *up;
    double *dout;
    double *out;
} swiglu_case;

static double swiglu_loss(void *context)
{
    swiglu_case *c = context;
    sgtt_ref_swiglu(c->out, c->gate, c->up, c->n);
    return sgtt_weighted_sum(c->dout, c->out, c->n);
}

static void swiglu_gradient(sgtt_machine *m)
{
    const int64_t rows = 4, f = 21;
    sgtt_tensor *gate = sgtt_random_matrix(m, SGTT_ROWS, rows, f);
    sgtt_tensor *up = sgtt_random_matrix(m, SGTT_ROWS, rows, f);
    sgtt_tensor *dout = sgtt_random_matrix(m, SGTT_ROWS, rows, f);
    sgtt_tensor *dgate = sgtt_zero_matrix(m, rows, f);
    sgtt_tensor *dup = sgtt_zero_matrix(m, rows, f);
    sgtt_tensor *out = sgtt_zero_matrix(m, rows, f);
    sgtt_set_random(m, gate, -6.0, 6.0);
    swiglu_case c = {rows * f, sgtt_values(m, gate), sgtt_values(m, up), sgtt_values(m, dout),
                     sgtt_doubles(m, rows * f)};
    sgt_swiglu_backward_args args = {.gate = &gate->t,
                                     .up = &up->t,
                                     .dout = &dout->t,
                                     .dgate = &dgate->t,
                                     .dup = &dup->t,
                                     .out = &out->t};
    sgtt_call(m, swiglu_backward, &args);
    sgtt_expect(m, dgate, sgtt_differences(m, c.gate, c.n, swiglu_loss, &c), 1e-5, "swiglu dgate");
    sgtt_expect(m, dup, sgtt_differences(m, c.up, c.n, swiglu_loss, &c), 1e-5, "swiglu dup");
}

/* ---- cross-entropy ---- */

typedef struct cross_entropy_case {
    int64_t rows;
    int64_t vocabulary;
    double *logits;
    double *losses;
    double *unused;
    const int32_t *targets;
} cross_entropy_case;

static double cross_entropy_loss(void *context)
{
    cross_entropy_case *c = context;
    sgtt_ref_cross_entropy(c->losses, c->unused, c->logits, c->targets, c->rows, c->vocabulary);
    double sum = 0.0;
    for (int64_t r = 0; r < c->rows; r++)
        sum += c->losses[r];
    return sum;
}

static void cross_entropy_gradient(sgtt_machine *m)
{
    const int64_t rows = 4, vocabulary = 37;
    sgtt_tensor *logits = sgtt_random_matrix(m, SGTT_ROWS, rows, vocabulary);
    sgtt_tensor *dlogits = sgtt_zero_matrix(m, rows, vocabulary);
    sgtt_tensor *losses = sgtt_random_vector(m, rows);
    sgtt_tensor *targets = sgtt_make(m, SGT_I32, SGTT_DENSE, 1, &rows);
    sgtt_set(m, targets, (const double[]){36.0, 0.0, -1.0, 16.0});
    sgtt_set_random(m, logits, -3.0, 3.0);
    cross_entropy_case c = {rows,
                            vocabulary,
                            sgtt_values(m, logits),
                            sgtt_doubles(m, rows),
                            sgtt_doubles(m, rows * vocabulary),
                            sgtt_integers(m, targets)};
    sgt_cross_entropy_args args = {.logits = &logits->t,
                                   .targets = &targets->t,
                                   .losses = &losses->t,
                                   .dlogits = &dlogits->t};
    sgtt_call(m, cross_entropy, &args);
    sgtt_expect(m, dlogits,
                sgtt_differences(m, c.logits, rows * vocabulary, cross_entropy_loss, &c), 1e-5,
                "cross-entropy dlogits");
}

/* ---- embedding ---- */

typedef struct embedding_case {
    int64_t tokens;
    int64_t d;
    double *table;
    const double *dout;
    const int32_t *ids;
} embedding_case;

static double embedding_loss(void *context)
{
    embedding_case *c = context;
    double sum = 0.0;
    for (int64_t n = 0; n < c->tokens; n++)
        sum += sgtt_weighted_sum(c->dout + n * c->d, c->table + c->ids[n] * c->d, c->d);
    return sum;
}

static void embedding_gradient(sgtt_machine *m)
{
    const int64_t vocabulary = 6, d = 11, tokens = 9;
    sgtt_tensor *table = sgtt_random_matrix(m, SGTT_ROWS, vocabulary, d);
    sgtt_tensor *dtable = sgtt_zero_matrix(m, vocabulary, d);
    sgtt_tensor *dout = sgtt_random_matrix(m, SGTT_ROWS, tokens, d);
    sgtt_tensor *ids = sgtt_make(m, SGT_I32, SGTT_DENSE, 1, &tokens);
    sgtt_set(m, ids, (const double[]){2.0, 5.0, 2.0, 0.0, 1.0, 5.0, 5.0, 4.0, 2.0});
    embedding_case c = {tokens, d, sgtt_values(m, table), sgtt_values(m, dout),
                        sgtt_integers(m, ids)};
    sgt_embedding_backward_args args = {
        .scale = 1.0f, .dtable = &dtable->t, .ids = &ids->t, .dout = &dout->t};
    sgtt_call(m, embedding_backward, &args);
    sgtt_expect(m, dtable, sgtt_differences(m, c.table, vocabulary * d, embedding_loss, &c), 1e-6,
                "embedding gradient");
}

/* ---- attention ---- */

typedef struct attention_case {
    sgtt_ref_attention_args args;
    double *q;
    double *k;
    double *v;
    double *dout;
    double *out;
    double *lse;
    double *entropy;
    int64_t outputs;
} attention_case;

static double attention_loss(void *context)
{
    attention_case *c = context;
    const sgtt_ref_attention_args *a = &c->args;
    sgtt_ref_attention(c->out, c->lse, c->entropy, c->entropy + a->batch * a->heads, a);
    return sgtt_weighted_sum(c->dout, c->out, c->outputs);
}

static void attention_gradient(sgtt_machine *m)
{
    enum { B = 2, T = 6, H = 3, G = 3, DH = 4 };
    const int64_t q_shape[] = {B, T, H, DH};
    const int64_t k_shape[] = {B, T, G, DH};
    const int64_t lse_shape[] = {B, H, T};
    static const int32_t kv_heads[] = {0, 2, 2}; /* nobody reads 1 */
    static const float gains[] = {0.75f, 1.0f, 0.5f};
    sgtt_tensor *q = sgtt_make(m, SGT_F32, SGTT_ROWS, 4, q_shape);
    sgtt_tensor *k = sgtt_make(m, SGT_F32, SGTT_ROWS, 4, k_shape);
    sgtt_tensor *v = sgtt_make(m, SGT_F32, SGTT_ROWS, 4, k_shape);
    sgtt_tensor *dout = sgtt_make(m, SGT_F32, SGTT_ROWS, 4, q_shape);
    sgtt_tensor *out = sgtt_make(m, SGT_F32, SGTT_ROWS, 4, q_shape);
    sgtt_tensor *dq = sgtt_make(m, SGT_F32, SGTT_ROWS, 4, q_shape);
    sgtt_tensor *dk = sgtt_make(m, SGT_F32, SGTT_ROWS, 4, k_shape);
    sgtt_tensor *dv = sgtt_make(m, SGT_F32, SGTT_ROWS, 4, k_shape);
    sgtt_tensor *lse = sgtt_make(m, SGT_F32, SGTT_DENSE, 3, lse_shape);
    sgtt_set_random(m, q, -2.0, 2.0);
    sgtt_set_random(m, k, -2.0, 2.0);
    sgtt_set_random(m, v, -1.0, 1.0);
    sgtt_set_random(m, dout, -1.0, 1.0);
    sgt_attention_backward_args backward = {.scale = 0.5f,
                                            .q = &q->t,
                                            .k = &k->t,
                                            .v = &v->t,
                                            .out = &out->t,
                                            .lse = &lse->t,
                                            .dout = &dout->t,
                                            .dq = &dq->t,
                                            .dk = &dk->t,
                                            .dv = &dv->t,
                                            .kv_heads = &sgtt_integer_list(m, H, kv_heads)->t,
                                            .gains = &sgtt_float_list(m, H, gains)->t};
    attention_case c = {.q = sgtt_values(m, q),
                        .k = sgtt_values(m, k),
                        .v = sgtt_values(m, v),
                        .dout = sgtt_values(m, dout),
                        .out = sgtt_doubles(m, B * T * H * DH),
                        .lse = sgtt_doubles(m, B * H * T),
                        .entropy = sgtt_doubles(m, 2 * B * H),
                        .outputs = B * T * H * DH};
    c.args = (sgtt_ref_attention_args){.batch = B,
                                       .queries = T,
                                       .keys = T,
                                       .heads = H,
                                       .groups = G,
                                       .dh = DH,
                                       .scale = 0.5,
                                       .q = c.q,
                                       .k = c.k,
                                       .v = c.v,
                                       .kv_heads = kv_heads,
                                       .gains = gains};
    attention_loss(&c);
    sgtt_set(m, out, c.out);
    sgtt_set(m, lse, c.lse);
    sgtt_call(m, attention_backward, &backward);
    sgtt_expect(m, dq, sgtt_differences(m, c.q, sgtt_count_of(q), attention_loss, &c), 1e-5,
                "attention dq");
    sgtt_expect(m, dk, sgtt_differences(m, c.k, sgtt_count_of(k), attention_loss, &c), 1e-5,
                "attention dk");
    sgtt_expect(m, dv, sgtt_differences(m, c.v, sgtt_count_of(v), attention_loss, &c), 1e-5,
                "attention dv");
}

const sgtt_op_test sgtt_embedding_gradient[] = {embedding_gradient, NULL};
const sgtt_op_test sgtt_rmsnorm_gradient[] = {rmsnorm_gradient, NULL};
const sgtt_op_test sgtt_rope_gradient[] = {rope_gradient, NULL};
const sgtt_op_test sgtt_attention_gradient[] = {attention_gradient, NULL};
const sgtt_op_test sgtt_swiglu_gradient[] = {swiglu_gradient, sgtt_masked_swiglu_gradient,
                                             NULL};
const sgtt_op_test sgtt_cross_entropy_gradient[] = {cross_entropy_gradient, NULL};
