/* SPDX-License-Identifier: BSD-3-Clause */
/* The gradients of attention against the naive ones. */
#include "op_attention.h"

/* What a forward gives a backward: the backend may leave the forward to others. */
static void set_forward(sgtt_machine *m, const sgtt_attention_tensors *t,
                        const sgtt_ref_attention_args *naive)
{
    double *out = sgtt_doubles(m, sgtt_count_of(t->out));
    double *lse = sgtt_doubles(m, sgtt_count_of(t->lse));
    double *entropy = sgtt_doubles(m, 2 * naive->batch * naive->heads);
    sgtt_ref_attention(out, lse, entropy, entropy + naive->batch * naive->heads, naive);
    sgtt_set(m, t->out, out);
    sgtt_set(m, t->lse, lse);
}

static int is_zero(const double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (values[i] != 0.0)
            return 0;
    return 1;
}

static void check_backward(sgtt_machine *m, const sgtt_attention_case *c,
                           const sgtt_attention_tensors *t)
{
    sgtt_tensor *dout = sgtt_attention_heads(m, c->batch, c->queries, c->heads, c->dh, 1.0);
    sgtt_tensor *dq = sgtt_attention_heads(m, c->batch, c->queries, c->heads, c->dh, 1.0);
    sgtt_tensor *dk = sgtt_attention_heads(m, c->batch, c->keys, c->groups, c->dh, 1.0);
    sgtt_tensor *dv = sgtt_attention_heads(m, c->batch, c->keys, c->groups, c->dh, 1.0);
    const sgtt_ref_attention_args naive = sgtt_attention_reference(m, c, t);
    double *expected_dq = sgtt_doubles(m, sgtt_count_of(dq));
    double *expected_dk = sgtt_doubles(m, sgtt_count_of(dk));
    double *expected_dv = sgtt_doubles(m, sgtt_count_of(dv));
    sgtt_ref_attention_backward(expected_dq, expected_dk, expected_dv, sgtt_values(m, dout),
                                &naive);

    set_forward(m, t, &naive);
    sgt_attention_backward_args args = {
        .scale = sgtt_attention_scale(c), .q = &t->q->t,   .k = &t->k->t,       .v = &t->v->t,
        .out = &t->out->t,     .lse = &t->lse->t, .dout = &dout->t, .dq = &dq->t,
        .dk = &dk->t,         .dv = &dv->t,   .kv_heads = &t->kv_heads->t,
        .gains = sgtt_tensor_of(t->gains), .patterns = sgtt_attention_patterns(c)};
    sgtt_call(m, attention_backward, &args);
    /* Of a row that sees few keys not much is left after the difference in its slopes. */
    const double tolerance = (c->with_patterns ? 2e-5 : 2e-6) * (1.0 + c->spread);
    if (is_zero(expected_dq, sgtt_count_of(dq))) { /* the weight of an only key cannot change */
        sgtt_expect_within(m, dq, expected_dq, tolerance, "attention dq");
        sgtt_expect_within(m, dk, expected_dk, tolerance, "attention dk");
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
    for (int k = 0; k < SGTT_ATTENTION_CASES; k++) {
        const sgtt_attention_case c = sgtt_attention_pick(m, k);
        if (c.with_lengths)
            continue;
        sgtt_attention_tensors t = sgtt_attention_make(m, &c);
        check_backward(m, &c, &t);
        sgtt_clear(m);
    }
}

static void keys_of_minus_infinity_have_no_gradient(sgtt_machine *m)
{
    const sgtt_attention_case *c = &sgtt_attention_overflowing[0];
    sgtt_attention_tensors t = sgtt_attention_make(m, c);
    sgtt_attention_overflow(m, c, &t);
    check_backward(m, c, &t);
}

const sgtt_op_test sgtt_attention_backward_tests[] = {
    backward_matches, keys_of_minus_infinity_have_no_gradient, NULL};
