/* SPDX-License-Identifier: BSD-3-Clause */
/* The operations on rows against their references: odd shapes, gaps, the aliasing that each one
 * allows, accumulation, NaN and infinity. */
#include <math.h>
#include <string.h>

#include "op_harness.h"
#include "op_reference.h"

typedef struct shape {
    int64_t rows;
    int64_t columns;
} shape;

static const shape shapes[] = {{1, 1},  {1, 2},  {3, 15},  {5, 16},   {2, 17},  {7, 31},
                               {4, 33}, {9, 64}, {70, 50}, {300, 96}, {40, 1000}, {2, 40001}};
#define SHAPES ((int)(sizeof shapes / sizeof shapes[0]))

/* Runs the body once for each shape and both layouts of rows, with a machine `m`. */
#define FOR_EACH_SHAPE(s, layout)                                                                  \
    for (int s = 0; s < SHAPES; s++)                                                               \
        for (enum sgtt_layout layout = SGTT_DENSE; layout <= SGTT_ROWS; layout++)

/* ---- embedding ---- */

START_TEST(embedding_gathers)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    const int64_t vocabulary = 11;
    FOR_EACH_SHAPE(s, layout) {
        int64_t n = shapes[s].rows, d = shapes[s].columns;
        sgtt_tensor *table = sgtt_random_matrix(&m, layout, vocabulary, d);
        sgtt_tensor *out = sgtt_random_matrix(&m, layout, n, d);
        sgtt_tensor *ids = sgtt_random_integers(&m, n, 0, vocabulary);
        sgt_embedding_args args = {.table = &table->t, .ids = &ids->t, .out = &out->t};
        sgtt_run_op(&m, sgti_embedding(m.dispatch, &args));
        double *rows = sgtt_values(&m, table);
        double *expected = sgtt_doubles(&m, n * d);
        int32_t *id = sgtt_integers(&m, ids);
        for (int64_t i = 0; i < n; i++)
            memcpy(expected + i * d, rows + id[i] * d, (size_t)d * sizeof(double));
        sgtt_expect(&m, out, expected, 0.0, "embedding");
        sgtt_expect_unchanged(&m, table, "embedding table");
        sgtt_clear(&m);
    }
    sgtt_close(&m);
}
END_TEST

START_TEST(embedding_scatters_in_order)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    const int64_t vocabulary = 5;
    const float scale = 0.37f;
    FOR_EACH_SHAPE(s, layout) {
        int64_t n = shapes[s].rows, d = shapes[s].columns;
        sgtt_tensor *dtable = sgtt_random_matrix(&m, layout, vocabulary, d);
        sgtt_tensor *dout = sgtt_random_matrix(&m, layout, n, d);
        sgtt_tensor *ids = sgtt_random_integers(&m, n, 0, vocabulary);
        double *expected = sgtt_values(&m, dtable);
        double *from = sgtt_values(&m, dout);
        int32_t *id = sgtt_integers(&m, ids);
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < d; j++)
                expected[id[i] * d + j] += (double)scale * from[i * d + j];
        }
        sgt_embedding_backward_args args = {
            .scale = scale, .dtable = &dtable->t, .ids = &ids->t, .dout = &dout->t};
        sgtt_run_op(&m, sgti_embedding_backward(m.dispatch, &args));
        sgtt_expect(&m, dtable, expected, 3e-6, "embedding gradient");

        /* 1e8 + 1 - 1e8 in float32: 0 in this order, 1 in others. */
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < d; j++)
                from[i * d + j] = i == 0 ? 1e8 : i == 1 ? 1.0 : i == 2 ? -1e8 : 0.0;
        }
        double *zeros = sgtt_doubles(&m, vocabulary * d);
        sgtt_set(&m, dtable, zeros);
        sgtt_set(&m, ids, sgtt_doubles(&m, n));
        sgtt_set(&m, dout, from);
        args.scale = 1.0f;
        sgtt_run_op(&m, sgti_embedding_backward(m.dispatch, &args));
        for (int64_t j = 0; j < d; j++)
            zeros[j] = n > 2 ? 0.0 : 1e8;
        sgtt_expect(&m, dtable, zeros, 0.0, "order of the embedding gradient");
        sgtt_clear(&m);
    }
    sgtt_close(&m);
}
END_TEST

/* ---- RMSNorm ---- */

START_TEST(rmsnorm_matches)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    const float eps = 1e-5f;
    FOR_EACH_SHAPE(s, layout) {
        for (int in_place = 0; in_place < 2; in_place++) {
            int64_t n = shapes[s].rows, d = shapes[s].columns;
            sgtt_tensor *x = sgtt_random_matrix(&m, layout, n, d);
            sgtt_tensor *y = in_place ? x : sgtt_random_matrix(&m, layout, n, d);
            sgtt_tensor *weight = sgtt_random_vector(&m, d);
            double *expected = sgtt_doubles(&m, n * d);
            sgtt_ref_rmsnorm(expected, sgtt_values(&m, x), sgtt_values(&m, weight), (double)eps,
                             n, d);
            sgt_rmsnorm_args args = {
                .eps = eps, .x = &x->t, .weight = &weight->t, .y = &y->t};
            sgtt_run_op(&m, sgti_rmsnorm(m.dispatch, &args));
            sgtt_expect(&m, y, expected, 2e-6, "rmsnorm");
            if (!in_place)
                sgtt_expect_unchanged(&m, x, "rmsnorm x");
            sgtt_clear(&m);
        }
    }
    sgtt_close(&m);
}
END_TEST

START_TEST(rmsnorm_backward_accumulates)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    const float eps = 1e-5f;
    FOR_EACH_SHAPE(s, layout) {
        int64_t n = shapes[s].rows, d = shapes[s].columns;
        sgtt_tensor *x = sgtt_random_matrix(&m, layout, n, d);
        sgtt_tensor *dy = sgtt_random_matrix(&m, layout, n, d);
        sgtt_tensor *dx = sgtt_random_matrix(&m, layout, n, d);
        sgtt_tensor *weight = sgtt_random_vector(&m, d);
        sgtt_tensor *dweight = sgtt_random_vector(&m, d);
        sgtt_tensor *scratch = sgtt_make(&m, SGT_F32, SGTT_DENSE, 2,
                                         (const int64_t[]){SGT_RMSNORM_PARTS, d});
        double *expected_dx = sgtt_values(&m, dx);
        double *expected_dweight = sgtt_values(&m, dweight);
        sgtt_ref_rmsnorm_backward(expected_dx, expected_dweight, sgtt_values(&m, dy),
                                  sgtt_values(&m, x), sgtt_values(&m, weight), (double)eps, n, d);
        sgt_rmsnorm_backward_args args = {.eps = eps,
                                          .x = &x->t,
                                          .weight = &weight->t,
                                          .dy = &dy->t,
                                          .dx = &dx->t,
                                          .dweight = &dweight->t,
                                          .scratch = &scratch->t};
        sgtt_run_op(&m, sgti_rmsnorm_backward(m.dispatch, &args));
        sgtt_expect(&m, dx, expected_dx, 3e-6, "rmsnorm dx");
        sgtt_expect(&m, dweight, expected_dweight, 5e-6, "rmsnorm dweight");
        sgtt_expect_unchanged(&m, x, "rmsnorm x");
        sgtt_expect_unchanged(&m, dy, "rmsnorm dy");
        sgtt_clear(&m);
    }
    sgtt_close(&m);
}
END_TEST

START_TEST(rmsnorm_passes_nan)
{
    const int64_t n = 4, d = 37;
    sgtt_machine m;
    sgtt_open(&m, _i, 1);
    sgtt_tensor *x = sgtt_random_matrix(&m, SGTT_ROWS, n, d);
    sgtt_tensor *y = sgtt_random_matrix(&m, SGTT_ROWS, n, d);
    sgtt_tensor *weight = sgtt_random_vector(&m, d);
    double *values = sgtt_values(&m, x);
    values[1 * d + 36] = NAN;
    for (int64_t i = 0; i < d; i++)
        values[2 * d + i] = 0.0;
    sgtt_set(&m, x, values);
    double *expected = sgtt_doubles(&m, n * d);
    sgtt_ref_rmsnorm(expected, values, sgtt_values(&m, weight), 1e-6, n, d);
    sgt_rmsnorm_args args = {.eps = 1e-6f, .x = &x->t, .weight = &weight->t, .y = &y->t};
    sgtt_run_op(&m, sgti_rmsnorm(m.dispatch, &args));
    sgtt_expect(&m, y, expected, 2e-6, "rmsnorm with a row of NaN and a row of zeros");
    sgtt_close(&m);
}
END_TEST

/* ---- RoPE ---- */

START_TEST(rope_turns_and_turns_back)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    static const int64_t cases[][4] = {/* B, T, h, dh */
                                       {1, 1, 1, 2},  {2, 3, 3, 6},   {1, 5, 2, 32},
                                       {3, 7, 1, 34}, {2, 40, 4, 64}, {1, 300, 3, 80}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        for (int with_offsets = 0; with_offsets < 2; with_offsets++) {
            const int64_t *c = cases[k];
            const int64_t half = c[3] / 2;
            const int64_t row = c[2] * c[3] + 7; /* heads are columns of a wider matrix */
            const int64_t strides[] = {c[1] * row, row, c[3], 1};
            const int32_t offsets[] = {4, 0, 9};
            sgtt_tensor *x = sgtt_make_strided(&m, SGT_F32, 4, c, strides);
            sgtt_tensor *cosine = sgtt_random_matrix(&m, SGTT_DENSE, c[1] + 9, half);
            sgtt_tensor *sine = sgtt_random_matrix(&m, SGTT_DENSE, c[1] + 9, half);
            sgtt_set_random(&m, x, -1.0, 1.0);
            sgt_rope_args args = {.x = &x->t,
                                  .cosine = &cosine->t,
                                  .sine = &sine->t,
                                  .offsets = with_offsets ? offsets : NULL};
            for (int inverse = 0; inverse < 2; inverse++) {
                double *expected = sgtt_values(&m, x);
                sgtt_ref_rope(expected, sgtt_values(&m, cosine), sgtt_values(&m, sine),
                              args.offsets, inverse, c[0], c[1], c[2], c[3]);
                args.inverse = inverse;
                sgtt_run_op(&m, sgti_rope(m.dispatch, &args));
                sgtt_expect(&m, x, expected, 1e-6, "rope");
            }
            sgtt_clear(&m);
        }
    }
    sgtt_close(&m);
}
END_TEST

/* ---- SwiGLU ---- */

START_TEST(swiglu_matches)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    FOR_EACH_SHAPE(s, layout) {
        for (int alias = 0; alias < 3; alias++) {
            int64_t n = shapes[s].rows, f = shapes[s].columns;
            sgtt_tensor *gate = sgtt_random_matrix(&m, layout, n, f);
            sgtt_tensor *up = sgtt_random_matrix(&m, layout, n, f);
            sgtt_tensor *other = sgtt_random_matrix(&m, layout, n, f);
            sgtt_tensor *out = alias == 0 ? other : alias == 1 ? gate : up;
            sgtt_set_random(&m, gate, -12.0, 12.0);
            double *expected = sgtt_doubles(&m, n * f);
            sgtt_ref_swiglu(expected, sgtt_values(&m, gate), sgtt_values(&m, up), n * f);
            sgt_swiglu_args args = {.gate = &gate->t, .up = &up->t, .out = &out->t};
            sgtt_run_op(&m, sgti_swiglu(m.dispatch, &args));
            sgtt_expect(&m, out, expected, 1e-6, "swiglu");
            sgtt_clear(&m);
        }
    }
    sgtt_close(&m);
}
END_TEST

START_TEST(swiglu_backward_matches)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    FOR_EACH_SHAPE(s, layout) {
        for (int in_place = 0; in_place < 2; in_place++) {
            int64_t n = shapes[s].rows, f = shapes[s].columns;
            sgtt_tensor *gate = sgtt_random_matrix(&m, layout, n, f);
            sgtt_tensor *up = sgtt_random_matrix(&m, layout, n, f);
            sgtt_tensor *dout = sgtt_random_matrix(&m, layout, n, f);
            sgtt_tensor *dgate = in_place ? gate : sgtt_random_matrix(&m, layout, n, f);
            sgtt_tensor *dup = in_place ? up : sgtt_random_matrix(&m, layout, n, f);
            sgtt_tensor *out = in_place ? dout : sgtt_random_matrix(&m, layout, n, f);
            sgtt_set_random(&m, gate, -12.0, 12.0);
            double *g = sgtt_values(&m, gate);
            double *u = sgtt_values(&m, up);
            double *expected_out = sgtt_doubles(&m, n * f);
            double *expected_dgate = sgtt_doubles(&m, n * f);
            double *expected_dup = sgtt_doubles(&m, n * f);
            sgtt_ref_swiglu(expected_out, g, u, n * f);
            sgtt_ref_swiglu_backward(expected_dgate, expected_dup, sgtt_values(&m, dout), g, u,
                                     n * f);
            sgt_swiglu_backward_args args = {.gate = &gate->t,
                                             .up = &up->t,
                                             .dout = &dout->t,
                                             .dgate = &dgate->t,
                                             .dup = &dup->t,
                                             .out = &out->t};
            sgtt_run_op(&m, sgti_swiglu_backward(m.dispatch, &args));
            sgtt_expect(&m, out, expected_out, 1e-6, "swiglu out");
            sgtt_expect(&m, dgate, expected_dgate, 2e-6, "swiglu dgate");
            sgtt_expect(&m, dup, expected_dup, 1e-6, "swiglu dup");
            sgtt_clear(&m);
        }
    }
    sgtt_close(&m);
}
END_TEST

START_TEST(swiglu_at_the_ends)
{
    const double gates[] = {-1e30, -200.0, -88.0, 88.0, 200.0, 1e30, 0.0, NAN, INFINITY};
    const int64_t f = 9;
    sgtt_machine m;
    sgtt_open(&m, _i, 1);
    sgtt_tensor *gate = sgtt_random_matrix(&m, SGTT_DENSE, 1, f);
    sgtt_tensor *up = sgtt_random_matrix(&m, SGTT_DENSE, 1, f);
    sgtt_tensor *out = sgtt_random_matrix(&m, SGTT_DENSE, 1, f);
    sgtt_tensor *dout = sgtt_random_matrix(&m, SGTT_DENSE, 1, f);
    double ones[9], expected[9], dgate[9], dup[9];
    for (int i = 0; i < 9; i++)
        ones[i] = 1.0;
    sgtt_set(&m, gate, gates);
    sgtt_set(&m, up, ones);
    sgtt_set(&m, dout, ones);
    double *g = sgtt_values(&m, gate);
    sgtt_ref_swiglu(expected, g, ones, f);
    sgt_swiglu_args args = {.gate = &gate->t, .up = &up->t, .out = &out->t};
    sgtt_run_op(&m, sgti_swiglu(m.dispatch, &args));
    /* One by one: the largest must not set the tolerance of the others. */
    float got[9];
    sgtt_run_op(&m, sgti_read(m.dispatch, got, &out->t));
    for (int i = 0; i < 9; i++)
        ck_assert_msg(isnan(expected[i]) ? isnan(got[i])
                      : isinf(expected[i])
                          ? (double)got[i] == expected[i]
                          : fabs((double)got[i] - expected[i]) <= 1e-6 * fabs(expected[i]) + 1e-37,
                      "%s: swiglu(%g) is %g", m.label, gates[i], (double)got[i]);

    /* Where it is finite the slope is 0 or 1 far out. */
    sgtt_ref_swiglu_backward(dgate, dup, ones, g, ones, 7);
    sgt_swiglu_backward_args back = {.gate = &gate->t,
                                     .up = &up->t,
                                     .dout = &dout->t,
                                     .dgate = &gate->t,
                                     .dup = &up->t,
                                     .out = &dout->t};
    sgtt_run_op(&m, sgti_swiglu_backward(m.dispatch, &back));
    sgtt_run_op(&m, sgti_read(m.dispatch, got, &gate->t));
    for (int i = 0; i < 7; i++)
        ck_assert_msg(fabs((double)got[i] - dgate[i]) <= 1e-6,
                      "%s: the slope of silu at %g is %g, not %g", m.label, gates[i],
                      (double)got[i], dgate[i]);
    ck_assert_msg(isnan(got[7]), "%s: the slope of silu at NaN is %g", m.label, (double)got[7]);
    sgtt_close(&m);
}
END_TEST

/* ---- AdamW ---- */

typedef struct adamw_case {
    sgtt_tensor *param;
    sgtt_tensor *grad;
    sgtt_tensor *moment1;
    sgtt_tensor *moment2;
} adamw_case;

static adamw_case make_adamw(sgtt_machine *m, int64_t n)
{
    adamw_case c = {sgtt_random_vector(m, n), sgtt_random_vector(m, n), sgtt_random_vector(m, n),
                    sgtt_random_vector(m, n)};
    sgtt_set_random(m, c.moment2, 0.0, 1e-3);
    return c;
}

static sgt_adamw_args adamw_args(const adamw_case *c)
{
    return (sgt_adamw_args){.grad_scale = 0.3f,
                            .lr = 6e-4f,
                            .beta1 = 0.9f,
                            .beta2 = 0.95f,
                            .eps = 1e-8f,
                            .weight_decay = 0.1f,
                            .correction1 = 1.0f - 0.729f,
                            .correction2 = 1.0f - 0.857375f,
                            .param = &c->param->t,
                            .grad = &c->grad->t,
                            .moment1 = &c->moment1->t,
                            .moment2 = &c->moment2->t};
}

START_TEST(adamw_matches)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    static const int64_t sizes[] = {1, 15, 16, 33, 1000, 16385, 50001};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int64_t n = sizes[s];
        adamw_case c = make_adamw(&m, n);
        sgt_adamw_args a = adamw_args(&c);
        double *before = sgtt_values(&m, c.param);
        double *p = sgtt_values(&m, c.param);
        double *g = sgtt_values(&m, c.grad);
        double *m1 = sgtt_values(&m, c.moment1);
        double *m2 = sgtt_values(&m, c.moment2);
        for (int64_t i = 0; i < n; i++) {
            double scaled = g[i] * (double)a.grad_scale;
            m1[i] = (double)a.beta1 * m1[i] + (1.0 - (double)a.beta1) * scaled;
            m2[i] = (double)a.beta2 * m2[i] + (1.0 - (double)a.beta2) * scaled * scaled;
            p[i] -= (double)a.lr * (double)a.weight_decay * p[i];
            p[i] -= (double)a.lr * (m1[i] / (double)a.correction1)
                    / (sqrt(m2[i] / (double)a.correction2) + (double)a.eps);
        }
        sgtt_run_op(&m, sgti_adamw(m.dispatch, &a));
        sgtt_expect(&m, c.param, p, 2e-7, "adamw param");
        sgtt_expect(&m, c.moment1, m1, 5e-7, "adamw moment1");
        sgtt_expect(&m, c.moment2, m2, 5e-7, "adamw moment2");
        sgtt_expect(&m, c.grad, sgtt_doubles(&m, n), 0.0, "adamw sets the gradient to zero");
        ck_assert(memcmp(before, p, (size_t)n * sizeof(double)) != 0);
        sgtt_clear(&m);
    }
    sgtt_close(&m);
}
END_TEST

/* Nothing has been seen yet: no division by zero. */
START_TEST(adamw_of_zeros_stays)
{
    const int64_t n = 21;
    sgtt_machine m;
    sgtt_open(&m, _i, 1);
    adamw_case c = make_adamw(&m, n);
    sgt_adamw_args a = adamw_args(&c);
    double *zeros = sgtt_doubles(&m, n);
    sgtt_set(&m, c.grad, zeros);
    sgtt_set(&m, c.moment1, zeros);
    sgtt_set(&m, c.moment2, zeros);
    a.weight_decay = 0.0f;
    double *p = sgtt_values(&m, c.param);
    sgtt_run_op(&m, sgti_adamw(m.dispatch, &a));
    sgtt_expect(&m, c.param, p, 0.0, "adamw without gradient or decay");
    sgtt_close(&m);
}
END_TEST

int main(void)
{
    int devices = sgtt_devices();
    Suite *suite = suite_create("operations on rows");
    TCase *tests = tcase_create("rows");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, embedding_gathers, 0, devices);
    tcase_add_loop_test(tests, embedding_scatters_in_order, 0, devices);
    tcase_add_loop_test(tests, rmsnorm_matches, 0, devices);
    tcase_add_loop_test(tests, rmsnorm_backward_accumulates, 0, devices);
    tcase_add_loop_test(tests, rmsnorm_passes_nan, 0, devices);
    tcase_add_loop_test(tests, rope_turns_and_turns_back, 0, devices);
    tcase_add_loop_test(tests, swiglu_matches, 0, devices);
    tcase_add_loop_test(tests, swiglu_backward_matches, 0, devices);
    tcase_add_loop_test(tests, swiglu_at_the_ends, 0, devices);
    tcase_add_loop_test(tests, adamw_matches, 0, devices);
    tcase_add_loop_test(tests, adamw_of_zeros_stays, 0, devices);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
