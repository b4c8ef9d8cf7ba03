/* SPDX-License-Identifier: BSD-3-Clause */
/* copy, fill, add, axpy, scale and the sum of squares, on every layout that they must take. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op_harness.h"

static const int64_t shapes[][SGT_MAX_RANK] = {
    {1, 1, 1, 1}, {1, 1, 1, 33}, {1, 1, 17, 1}, {1, 1, 5, 7},     {1, 1, 33, 65},
    {2, 3, 4, 5}, {3, 1, 16, 16}, {1, 4, 70, 3}, {1, 1, 300, 131}, {1, 1, 2, 40000},
};
#define SHAPES ((int)(sizeof shapes / sizeof shapes[0]))

static const enum sgtt_layout layouts[] = {SGTT_DENSE, SGTT_ROWS, SGTT_SWAPPED};
#define LAYOUTS 3

/* Dense strides with the dimensions of `repeated` (a set of bits) not stored. */
static sgtt_tensor *make_repeating(sgtt_machine *machine, const int64_t *shape, unsigned repeated)
{
    int64_t strides[SGT_MAX_RANK];
    int64_t step = 1;
    for (int i = SGT_MAX_RANK - 1; i >= 0; i--) {
        strides[i] = repeated & 1u << i ? 0 : step;
        step *= repeated & 1u << i ? 1 : shape[i];
    }
    sgtt_tensor *made = sgtt_make_strided(machine, SGT_F32, SGT_MAX_RANK, shape, strides);
    sgtt_set_random(machine, made, -1.0, 1.0);
    return made;
}

static sgtt_tensor *make_random(sgtt_machine *machine, const int64_t *shape,
                                enum sgtt_layout layout)
{
    sgtt_tensor *made = sgtt_make(machine, SGT_F32, layout, SGT_MAX_RANK, shape);
    sgtt_set_random(machine, made, -1.0, 1.0);
    return made;
}

static void check_all(sgtt_machine *m, sgtt_tensor *y, sgtt_tensor *x, sgtt_tensor *z)
{
    const float alpha = 0.7f;
    int64_t count = sgtt_count(y);
    double *before = sgtt_values(m, y);
    double *from = sgtt_values(m, x);
    double *other = sgtt_values(m, z);
    double *expected = sgtt_doubles(m, count);

    for (int64_t i = 0; i < count; i++)
        expected[i] = before[i] + (double)alpha * from[i];
    sgtt_run_op(m, sgti_axpy(m->dispatch, &y->t, alpha, &x->t));
    sgtt_expect(m, y, expected, 1e-6, "axpy");

    before = sgtt_values(m, y);
    for (int64_t i = 0; i < count; i++)
        expected[i] = (double)((float)before[i] * alpha);
    sgtt_run_op(m, sgti_scale(m->dispatch, &y->t, alpha));
    sgtt_expect(m, y, expected, 0.0, "scale");

    for (int64_t i = 0; i < count; i++)
        expected[i] = (double)((float)from[i] + (float)other[i]);
    sgtt_run_op(m, sgti_add(m->dispatch, &y->t, &x->t, &z->t));
    sgtt_expect(m, y, expected, 0.0, "add");

    sgtt_run_op(m, sgti_copy(m->dispatch, &y->t, &x->t));
    sgtt_expect(m, y, from, 0.0, "copy");

    for (int64_t i = 0; i < count; i++)
        expected[i] = (double)0.3f;
    sgtt_run_op(m, sgti_fill(m->dispatch, &y->t, (double)0.3f));
    sgtt_expect(m, y, expected, 0.0, "fill");

    sgtt_expect_unchanged(m, x, "elementwise x");
    sgtt_expect_unchanged(m, z, "elementwise z");
}

START_TEST(every_layout)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    for (int s = 0; s < SHAPES; s++) {
        for (int k = 0; k < LAYOUTS * LAYOUTS; k++) {
            sgtt_tensor *y = make_random(&m, shapes[s], layouts[k % LAYOUTS]);
            sgtt_tensor *x = make_random(&m, shapes[s], layouts[k / LAYOUTS]);
            sgtt_tensor *z = make_random(&m, shapes[s], layouts[s % LAYOUTS]);
            check_all(&m, y, x, z);
            sgtt_clear(&m);
        }
    }
    sgtt_close(&m);
}
END_TEST

START_TEST(repeating_inputs)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    for (int s = 0; s < SHAPES; s++) {
        for (unsigned repeated = 1; repeated < 16; repeated++) {
            sgtt_tensor *y = make_random(&m, shapes[s], layouts[repeated % LAYOUTS]);
            sgtt_tensor *x = make_repeating(&m, shapes[s], repeated);
            sgtt_tensor *z = make_repeating(&m, shapes[s], 15 - repeated);
            check_all(&m, y, x, z);
            sgtt_clear(&m);
        }
    }
    sgtt_close(&m);
}
END_TEST

/* [B,T,h,dh] seen as [B,h,T,dh], and three cuts at once: what no merging can make simple. */
START_TEST(permuted_dimensions)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    const int64_t shape[] = {3, 5, 7, 4};
    static const int orders[][SGT_MAX_RANK] = {
        {0, 2, 1, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {2, 3, 0, 1}, {1, 2, 3, 0}, {3, 0, 2, 1}};
    for (int k = 0; k < 36; k++) {
        int64_t strides[2][SGT_MAX_RANK];
        for (int side = 0; side < 2; side++) {
            const int *order = orders[side == 0 ? k % 6 : k / 6];
            int64_t step = 1;
            for (int i = SGT_MAX_RANK - 1; i >= 0; i--) {
                strides[side][order[i]] = step;
                step = step * shape[order[i]] + (i & 1);
            }
        }
        sgtt_tensor *y = sgtt_make_strided(&m, SGT_F32, 4, shape, strides[0]);
        sgtt_tensor *x = sgtt_make_strided(&m, SGT_F32, 4, shape, strides[1]);
        sgtt_tensor *z = sgtt_make_strided(&m, SGT_F32, 4, shape, strides[0]);
        sgtt_set_random(&m, y, -1.0, 1.0);
        sgtt_set_random(&m, x, -1.0, 1.0);
        sgtt_set_random(&m, z, -1.0, 1.0);
        check_all(&m, y, x, z);
        sgtt_clear(&m);
    }
    sgtt_close(&m);
}
END_TEST

START_TEST(copy_and_fill_of_other_types)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    static const int32_t dtypes[] = {SGT_F64, SGT_I32};
    const int64_t shape[] = {37, 41};
    for (int k = 0; k < 2; k++) {
        for (int l = 0; l < LAYOUTS * LAYOUTS; l++) {
            sgtt_tensor *y = sgtt_make(&m, dtypes[k], layouts[l % LAYOUTS], 2, shape);
            sgtt_tensor *x = sgtt_make(&m, dtypes[k], layouts[l / LAYOUTS], 2, shape);
            sgtt_set_random(&m, x, -1e6, 1e6);
            sgtt_run_op(&m, sgti_copy(m.dispatch, &y->t, &x->t));
            sgtt_expect(&m, y, sgtt_values(&m, x), 0.0, "copy");
            if (dtypes[k] == SGT_F64) {
                double *expected = sgtt_doubles(&m, sgtt_count(y));
                for (int64_t i = 0; i < sgtt_count(y); i++)
                    expected[i] = 1.0 / 3.0;
                sgtt_run_op(&m, sgti_fill(m.dispatch, &y->t, 1.0 / 3.0));
                sgtt_expect(&m, y, expected, 0.0, "fill of F64");
            }
            sgtt_clear(&m);
        }
    }
    sgtt_close(&m);
}
END_TEST

START_TEST(special_values_pass)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 1);
    const double special[] = {0.0, -0.0, 1e-45, -INFINITY, INFINITY, NAN, 3.4e38, -3.4e38};
    const int64_t n = 8;
    sgtt_tensor *x = sgtt_make(&m, SGT_F32, SGTT_DENSE, 1, &n);
    sgtt_tensor *y = sgtt_make(&m, SGT_F32, SGTT_DENSE, 1, &n);
    sgtt_set(&m, x, special);
    sgtt_run_op(&m, sgti_copy(m.dispatch, &y->t, &x->t));
    sgtt_expect(&m, y, sgtt_values(&m, x), 0.0, "copy");
    double *expected = sgtt_doubles(&m, n);
    for (int64_t i = 0; i < n; i++)
        expected[i] = (double)((float)special[i] + (float)special[i]);
    sgtt_run_op(&m, sgti_axpy(m.dispatch, &y->t, 1.0f, &x->t));
    sgtt_expect(&m, y, expected, 0.0, "axpy");
    for (int64_t i = 0; i < n; i++)
        expected[i] = (double)((float)expected[i] * 0.0f);
    sgtt_run_op(&m, sgti_scale(m.dispatch, &y->t, 0.0f));
    sgtt_expect(&m, y, expected, 0.0, "scale by zero");
    sgtt_close(&m);
}
END_TEST

START_TEST(sum_of_squares)
{
    sgtt_machine m;
    sgtt_open(&m, _i, 2);
    static const int64_t sizes[] = {1, 15, 16, 17, 1000, 16385, 200003};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        sgtt_tensor *x = sgtt_random_vector(&m, sizes[s]);
        double *values = sgtt_values(&m, x);
        double expected = 0.0;
        for (int64_t i = 0; i < sizes[s]; i++)
            expected += values[i] * values[i];
        double got = -1.0;
        sgtt_run_op(&m, sgti_norm(m.dispatch, &got, &x->t));
        ck_assert_msg(fabs(got - expected) <= 1e-12 * expected,
                      "%s: norm of %lld: %.17g, not %.17g", m.label, (long long)sizes[s], got,
                      expected);

        /* Squares that float32 cannot hold. */
        for (int64_t i = 0; i < sizes[s]; i++)
            values[i] = i % 2 != 0 ? 1e-30 : 1e30;
        sgtt_set(&m, x, values);
        sgtt_run_op(&m, sgti_norm(m.dispatch, &got, &x->t));
        ck_assert_msg(got > 0.9e60 && isfinite(got), "%s: norm of large values: %g", m.label, got);

        values[sizes[s] - 1] = NAN;
        sgtt_set(&m, x, values);
        sgtt_run_op(&m, sgti_norm(m.dispatch, &got, &x->t));
        ck_assert_msg(isnan(got), "%s: norm with a NaN: %g", m.label, got);
        values[sizes[s] - 1] = -INFINITY;
        sgtt_set(&m, x, values);
        sgtt_run_op(&m, sgti_norm(m.dispatch, &got, &x->t));
        ck_assert_msg(isinf(got), "%s: norm with an infinity: %g", m.label, got);
        sgtt_clear(&m);
    }
    sgtt_close(&m);
}
END_TEST

int main(void)
{
    int devices = sgtt_devices();
    Suite *suite = suite_create("elementwise operations");
    TCase *tests = tcase_create("elementwise");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, every_layout, 0, devices);
    tcase_add_loop_test(tests, repeating_inputs, 0, devices);
    tcase_add_loop_test(tests, permuted_dimensions, 0, devices);
    tcase_add_loop_test(tests, copy_and_fill_of_other_types, 0, devices);
    tcase_add_loop_test(tests, special_values_pass, 0, devices);
    tcase_add_loop_test(tests, sum_of_squares, 0, devices);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
