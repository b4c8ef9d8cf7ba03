/* SPDX-License-Identifier: BSD-3-Clause */
/* ReLU with masks, choices and neither, and its gradients: against references, in place and
 * apart. */
#include "suite.h"

#include <math.h>

#include "op_masks.h"
#include "op_reference.h"

static void relu_matches(sgtt_machine *m)
{
    SGTT_FOR_EACH_SHAPE(s, layout) {
        for (int way = 0; way < 2 * SGTT_MASK_KINDS; way++) {
            const sgtt_shape shape = sgtt_pick_shape(m, s);
            const int64_t n = shape.rows, f = shape.columns;
            const sgtt_mask mask = sgtt_pick_mask(m, way / 2, layout, n, f);
            sgtt_tensor *x = sgtt_random_matrix(m, layout, n, f);
            sgtt_tensor *out = way % 2 ? x : sgtt_random_matrix(m, layout, n, f);
            double *expected = sgtt_doubles(m, n * f);
            sgtt_ref_relu(expected, sgtt_values(m, x), mask.values, n * f);
            sgt_relu_args args = {.units = mask.units,
                                  .x = &x->t,
                                  .out = &out->t,
                                  .mask = sgtt_given(mask.mask),
                                  .choice = sgtt_given(mask.choice)};
            sgtt_call(m, relu, &args);
            sgtt_expect(m, out, expected, 1e-6, "relu");
            if (out != x)
                sgtt_expect_unchanged(m, x, "relu x");
            if (mask.mask)
                sgtt_expect_unchanged(m, mask.mask, "relu mask");
            if (mask.choice)
                sgtt_expect_unchanged(m, mask.choice, "relu choice");
            sgtt_clear(m);
        }
    }
}

static void relu_at_the_ends(sgtt_machine *m)
{
    enum { ENDS = 6 };
    static const double ends[ENDS] = {-INFINITY, -0x1p99, 0.0, 0x1p99, INFINITY, NAN};
    static const double expected[ENDS] = {0.0, 0.0, 0.0, 0x1p99, INFINITY, NAN};
    sgtt_tensor *x = sgtt_random_matrix(m, SGTT_ROWS, 1, ENDS);
    sgtt_set(m, x, ends);
    sgt_relu_args args = {.x = &x->t, .out = &x->t};
    sgtt_call(m, relu, &args);
    sgtt_expect_within(m, x, expected, 0.0, "relu far out");
}

typedef struct gradient_case {
    sgtt_tensor *x;
    sgtt_tensor *dout;
    sgtt_tensor *dx;
    sgtt_tensor *out;
    sgtt_tensor *dmask;
    sgtt_mask mask;
} gradient_case;

/* Bits of alias: dx is x, out is dout, dmask is mask; 8: no dmask. */
static gradient_case make_case(sgtt_machine *m, enum sgtt_mask_kind kind, int alias,
                               enum sgtt_layout layout, int64_t n, int64_t f)
{
    gradient_case c = {.mask = sgtt_pick_mask(m, kind, layout, n, f)};
    c.x = sgtt_random_matrix(m, layout, n, f);
    c.dout = sgtt_random_matrix(m, layout, n, f);
    c.dx = alias & 1 ? c.x : sgtt_make(m, SGT_F32, layout, 2, (const int64_t[]){n, f});
    c.out = alias & 2 ? c.dout : sgtt_make(m, SGT_F32, layout, 2, (const int64_t[]){n, f});
    if (!(alias & 8) && kind != SGTT_NO_MASK)
        c.dmask = alias & 4 && c.mask.mask
                      ? c.mask.mask
                      : sgtt_make(m, SGT_F32, layout, 2, (const int64_t[]){n, f});
    return c;
}

static void check_gradient(sgtt_machine *m, gradient_case *c, int64_t count)
{
    double *x = sgtt_values(m, c->x);
    double *out = sgtt_doubles(m, count);
    double *dx = sgtt_doubles(m, count);
    double *dmask = sgtt_doubles(m, count);
    sgtt_ref_relu(out, x, c->mask.values, count);
    sgtt_ref_relu_backward(dx, dmask, sgtt_values(m, c->dout), x, c->mask.values, count);
    sgt_relu_backward_args args = {.units = c->mask.units,
                                   .x = &c->x->t,
                                   .dout = &c->dout->t,
                                   .dx = &c->dx->t,
                                   .out = &c->out->t,
                                   .mask = sgtt_given(c->mask.mask),
                                   .choice = sgtt_given(c->mask.choice),
                                   .dmask = sgtt_given(c->dmask)};
    sgtt_call(m, relu_backward, &args);
    sgtt_expect(m, c->dx, dx, 1e-6, "relu dx");
    sgtt_expect(m, c->out, out, 1e-6, "relu out");
    if (c->dmask)
        sgtt_expect(m, c->dmask, dmask, 1e-6, "relu dmask");
    else if (c->mask.mask)
        sgtt_expect_unchanged(m, c->mask.mask, "no gradient of the mask was asked for");
}

static void relu_backward_matches(sgtt_machine *m)
{
    SGTT_FOR_EACH_SHAPE(s, layout) {
        for (int way = 0; way < 3 * SGTT_MASK_KINDS; way++) {
            const int alias = way % 3 == 0 ? 0 : way % 3 == 1 ? 7 : (int)sgtt_below(m, 16);
            const sgtt_shape shape = sgtt_pick_shape(m, s);
            gradient_case c = make_case(m, way / 3, alias, layout, shape.rows, shape.columns);
            check_gradient(m, &c, shape.rows * shape.columns);
            sgtt_clear(m);
        }
    }
}

const sgtt_op_test sgtt_relu_tests[] = {relu_matches, relu_at_the_ends, NULL};
const sgtt_op_test sgtt_relu_backward_tests[] = {relu_backward_matches, NULL};
