/* SPDX-License-Identifier: BSD-3-Clause */
/* SwiGLU and its gradient against their references: in place and apart, with masks and choices, and
 * far out. */
#include "suite.h"

#include <math.h>

#include "op_masks.h"
#include "op_reference.h"

static void swiglu_matches(sgtt_machine *m)
{
    SGTT_FOR_EACH_SHAPE(s, layout) {
        for (int alias = 0; alias < 3; alias++) {
            const sgtt_shape shape = sgtt_pick_shape(m, s);
            const int64_t n = shape.rows, f = shape.columns;
            sgtt_tensor *gate = sgtt_random_matrix(m, layout, n, f);
            sgtt_tensor *up = sgtt_random_matrix(m, layout, n, f);
            sgtt_tensor *other = sgtt_random_matrix(m, layout, n, f);
            sgtt_tensor *out = alias == 0 ? other : alias == 1 ? gate : up;
            sgtt_set_random(m, gate, -12.0, 12.0);
            double *expected = sgtt_doubles(m, n * f);
            sgtt_ref_swiglu(expected, sgtt_values(m, gate), sgtt_values(m, up), n * f);
            sgt_swiglu_args args = {.gate = &gate->t, .up = &up->t, .out = &out->t};
            sgtt_call(m, swiglu, &args);
            sgtt_expect(m, out, expected, 1e-6, "swiglu");
            sgtt_clear(m);
        }
    }
}

static void swiglu_backward_matches(sgtt_machine *m)
{
    SGTT_FOR_EACH_SHAPE(s, layout) {
        for (int way = 0; way < 3; way++) {
            /* Bits: dgate is gate, dup is up, out is dout. */
            const int alias = way == 0 ? 0 : way == 1 ? 7 : (int)sgtt_below(m, 8);
            const sgtt_shape shape = sgtt_pick_shape(m, s);
            const int64_t n = shape.rows, f = shape.columns;
            sgtt_tensor *gate = sgtt_random_matrix(m, layout, n, f);
            sgtt_tensor *up = sgtt_random_matrix(m, layout, n, f);
            sgtt_tensor *dout = sgtt_random_matrix(m, layout, n, f);
            sgtt_tensor *dgate = alias & 1 ? gate : sgtt_random_matrix(m, layout, n, f);
            sgtt_tensor *dup = alias & 2 ? up : sgtt_random_matrix(m, layout, n, f);
            sgtt_tensor *out = alias & 4 ? dout : sgtt_random_matrix(m, layout, n, f);
            sgtt_set_random(m, gate, -12.0, 12.0);
            double *g = sgtt_values(m, gate);
            double *u = sgtt_values(m, up);
            double *expected_out = sgtt_doubles(m, n * f);
            double *expected_dgate = sgtt_doubles(m, n * f);
            double *expected_dup = sgtt_doubles(m, n * f);
            sgtt_ref_swiglu(expected_out, g, u, n * f);
            sgtt_ref_swiglu_backward(expected_dgate, expected_dup, sgtt_values(m, dout), g, u,
                                     n * f);
            sgt_swiglu_backward_args args = {.gate = &gate->t,
                                             .up = &up->t,
                                             .dout = &dout->t,
                                             .dgate = &dgate->t,
                                             .dup = &dup->t,
                                             .out = &out->t};
            sgtt_call(m, swiglu_backward, &args);
            sgtt_expect(m, out, expected_out, 1e-6, "swiglu out");
            sgtt_expect(m, dgate, expected_dgate, 2e-6, "swiglu dgate");
            sgtt_expect(m, dup, expected_dup, 1e-6, "swiglu dup");
            sgtt_clear(m);
        }
    }
}

/* ---- with masks and choices ---- */

static void masked_swiglu_matches(sgtt_machine *m)
{
    if (sgtt_declines_masks(m))
        return;
    SGTT_FOR_EACH_SHAPE(s, layout) {
        for (int way = 0; way < 6; way++) {
            const sgtt_shape shape = sgtt_pick_shape(m, s);
            const int64_t n = shape.rows, f = shape.columns;
            const sgtt_mask mask =
                sgtt_pick_mask(m, way % 2 ? SGTT_MASK : SGTT_CHOICE, layout, n, f);
            sgtt_tensor *gate = sgtt_random_matrix(m, layout, n, f);
            sgtt_tensor *up = sgtt_random_matrix(m, layout, n, f);
            sgtt_tensor *out = way < 2   ? gate
                               : way < 4 ? up
                                         : sgtt_random_matrix(m, layout, n, f);
            sgtt_set_random(m, gate, -12.0, 12.0);
            double *expected = sgtt_doubles(m, n * f);
            sgtt_ref_swiglu(expected, sgtt_values(m, gate), sgtt_values(m, up), n * f);
            expected = sgtt_products(m, expected, mask.values, n * f);
            sgt_swiglu_args args = {.gate = &gate->t,
                                    .up = &up->t,
                                    .out = &out->t,
                                    .mask = sgtt_given(mask.mask),
                                    .choice = sgtt_given(mask.choice),
                                    .units = mask.units};
            sgtt_call(m, swiglu, &args);
            sgtt_expect(m, out, expected, 2e-6, "masked swiglu");
            if (mask.mask)
                sgtt_expect_unchanged(m, mask.mask, "swiglu mask");
            sgtt_clear(m);
        }
    }
}

/* Bits of alias: dgate is gate, dup is up, out is dout, dmask is mask; 16: no dmask. */
static void masked_gradients_of(sgtt_machine *m, enum sgtt_layout layout, sgtt_shape shape,
                                enum sgtt_mask_kind kind, int alias)
{
    const int64_t n = shape.rows, f = shape.columns;
    const sgtt_mask mask = sgtt_pick_mask(m, kind, layout, n, f);
    sgtt_tensor *gate = sgtt_random_matrix(m, layout, n, f);
    sgtt_tensor *up = sgtt_random_matrix(m, layout, n, f);
    sgtt_tensor *dout = sgtt_random_matrix(m, layout, n, f);
    sgtt_tensor *dgate = alias & 1 ? gate : sgtt_random_matrix(m, layout, n, f);
    sgtt_tensor *dup = alias & 2 ? up : sgtt_random_matrix(m, layout, n, f);
    sgtt_tensor *out = alias & 4 ? dout : sgtt_random_matrix(m, layout, n, f);
    sgtt_tensor *dmask = alias & 16                  ? NULL
                         : alias & 8 && mask.mask ? mask.mask
                                                  : sgtt_random_matrix(m, layout, n, f);
    sgtt_set_random(m, gate, -12.0, 12.0);
    double *g = sgtt_values(m, gate), *u = sgtt_values(m, up), *d = sgtt_values(m, dout);
    double *plain = sgtt_doubles(m, n * f);
    double *expected_dgate = sgtt_doubles(m, n * f);
    double *expected_dup = sgtt_doubles(m, n * f);
    sgtt_ref_swiglu(plain, g, u, n * f);
    sgtt_ref_swiglu_backward(expected_dgate, expected_dup, sgtt_products(m, d, mask.values, n * f),
                             g, u, n * f);
    sgt_swiglu_backward_args args = {.gate = &gate->t,
                                     .up = &up->t,
                                     .dout = &dout->t,
                                     .dgate = &dgate->t,
                                     .dup = &dup->t,
                                     .out = &out->t,
                                     .mask = sgtt_given(mask.mask),
                                     .choice = sgtt_given(mask.choice),
                                     .dmask = sgtt_given(dmask),
                                     .units = mask.units};
    sgtt_call(m, swiglu_backward, &args);
    sgtt_expect(m, out, sgtt_products(m, plain, mask.values, n * f), 2e-6, "masked swiglu out");
    sgtt_expect(m, dgate, expected_dgate, 4e-6, "masked swiglu dgate");
    sgtt_expect(m, dup, expected_dup, 2e-6, "masked swiglu dup");
    if (dmask)
        sgtt_expect(m, dmask, sgtt_products(m, d, plain, n * f), 2e-6, "masked swiglu dmask");
    else if (mask.mask)
        sgtt_expect_unchanged(m, mask.mask, "no gradient of the mask was asked for");
}

static void masked_swiglu_backward_matches(sgtt_machine *m)
{
    if (sgtt_declines_masks(m))
        return;
    SGTT_FOR_EACH_SHAPE(s, layout) {
        for (int way = 0; way < 6; way++) {
            const int alias = way < 2 ? 0 : way < 4 ? 15 : (int)sgtt_below(m, 32);
            masked_gradients_of(m, layout, sgtt_pick_shape(m, s),
                                way % 2 ? SGTT_MASK : SGTT_CHOICE, alias);
            sgtt_clear(m);
        }
    }
}

/* ---- far out ---- */

enum { ENDS = 9 };
static const double ends[ENDS] = {-1e30, -200.0, -88.0, 88.0, 200.0, 1e30, 0.0, NAN, INFINITY};

static sgtt_tensor *vector_of(sgtt_machine *m, const double *values)
{
    sgtt_tensor *made = sgtt_random_matrix(m, SGTT_DENSE, 1, ENDS);
    sgtt_set(m, made, values);
    return made;
}

/* One by one: the largest must not set the tolerance of the others. */
static void swiglu_at_the_ends(sgtt_machine *m)
{
    double ones[ENDS], expected[ENDS];
    float got[ENDS];
    for (int i = 0; i < ENDS; i++)
        ones[i] = 1.0;
    sgtt_tensor *gate = vector_of(m, ends);
    sgtt_tensor *up = vector_of(m, ones);
    sgtt_tensor *out = vector_of(m, ones);
    sgtt_ref_swiglu(expected, sgtt_values(m, gate), ones, ENDS);
    sgt_swiglu_args args = {.gate = &gate->t, .up = &up->t, .out = &out->t};
    sgtt_call(m, swiglu, &args);
    sgtt_read(m, got, out);
    for (int i = 0; i < ENDS; i++) {
        double tolerance = 1e-6 * fabs(expected[i]) + 1e-37;
        sgtt_require(isnan(expected[i])   ? isnan(got[i])
                     : isinf(expected[i]) ? (double)got[i] == expected[i]
                                          : fabs((double)got[i] - expected[i]) <= tolerance,
                     "swiglu(%g) is %g", ends[i], (double)got[i]);
        sgtt_count(0.0);
    }
}

/* Where it is finite the slope is 0 or 1 far out. */
static void slope_at_the_ends(sgtt_machine *m)
{
    double ones[ENDS], dgate[ENDS], dup[ENDS];
    float got[ENDS];
    for (int i = 0; i < ENDS; i++)
        ones[i] = 1.0;
    sgtt_tensor *gate = vector_of(m, ends);
    sgtt_tensor *up = vector_of(m, ones);
    sgtt_tensor *dout = vector_of(m, ones);
    sgtt_ref_swiglu_backward(dgate, dup, ones, sgtt_values(m, gate), ones, 7);
    sgt_swiglu_backward_args args = {.gate = &gate->t,
                                     .up = &up->t,
                                     .dout = &dout->t,
                                     .dgate = &gate->t,
                                     .dup = &up->t,
                                     .out = &dout->t};
    sgtt_call(m, swiglu_backward, &args);
    sgtt_read(m, got, gate);
    for (int i = 0; i < 7; i++) {
        sgtt_require(fabs((double)got[i] - dgate[i]) <= 1e-6,
                     "the slope of silu at %g is %g, not %g", ends[i], (double)got[i], dgate[i]);
        sgtt_count(0.0);
    }
    sgtt_require(isnan(got[7]), "the slope of silu at NaN is %g", (double)got[7]);
}

const sgtt_op_test sgtt_swiglu_tests[] = {swiglu_matches, swiglu_at_the_ends,
                                          masked_swiglu_matches, NULL};
const sgtt_op_test sgtt_swiglu_backward_tests[] = {
    swiglu_backward_matches, slope_at_the_ends, masked_swiglu_backward_matches, NULL};
