/* SPDX-License-Identifier: BSD-3-Clause */
/* copy, fill, add, axpy, scale and the sum of squares, on every layout that they must take. */
#include "suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int64_t shapes[][SGT_MAX_RANK] = {
    {1, 1, 1, 1, 1, 1},    {1, 1, 1, 1, 1, 33}, {1, 1, 1, 1, 17, 1},     {1, 1, 1, 1, 5, 7},
    {1, 1, 1, 1, 33, 65},  {2, 3, 2, 3, 4, 5},  {3, 1, 2, 1, 16, 16},    {1, 2, 1, 4, 70, 3},
    {1, 1, 1, 1, 300, 131}, {1, 1, 1, 1, 2, 40000},
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

/* ---- one call ---- */

typedef enum kind { COPY, FILL, ADD, AXPY, SCALE } kind;

static const char *const names[] = {"copy", "fill", "add", "axpy", "scale"};

static void call(sgtt_machine *m, kind which, float alpha, const sgtt_tensor *y,
                 const sgtt_tensor *x, const sgtt_tensor *z)
{
    switch (which) {
    case COPY:
        sgtt_copy(m, &y->t, &x->t);
        break;
    case FILL:
        sgtt_fill(m, &y->t, (double)alpha);
        break;
    case ADD:
        sgtt_add(m, &y->t, &x->t, &z->t);
        break;
    case AXPY:
        sgtt_axpy(m, &y->t, alpha, &x->t);
        break;
    case SCALE:
        sgtt_scale(m, &y->t, alpha);
        break;
    }
}

static double expected_of(kind which, float alpha, double y, double x, double z)
{
    switch (which) {
    case COPY:
        return x;
    case FILL:
        return (double)alpha;
    case ADD:
        return (double)((float)x + (float)z);
    case AXPY:
        return y + (double)alpha * x;
    default:
        return (double)((float)y * alpha);
    }
}

static void check_call(sgtt_machine *m, kind which, sgtt_tensor *y, sgtt_tensor *x,
                       sgtt_tensor *z)
{
    const float alpha = 0.7f;
    const double *from_y = sgtt_values(m, y);
    const double *from_x = sgtt_values(m, x);
    const double *from_z = sgtt_values(m, z);
    double *expected = sgtt_doubles(m, sgtt_count_of(y));
    double largest = 0.0;
    for (int64_t i = 0; i < sgtt_count_of(y); i++) {
        expected[i] = expected_of(which, alpha, from_y[i], from_x[i], from_z[i]);
        largest = fmax(largest, fabs(from_y[i]) + fabs(from_x[i]));
    }
    call(m, which, alpha, y, x, z);
    if (which == AXPY) /* the terms may cancel, their rounding stays */
        sgtt_expect_within(m, y, expected, 2e-7 * largest, names[which]);
    else
        sgtt_expect(m, y, expected, 0.0, names[which]);
    sgtt_expect_unchanged(m, x, names[which]);
    sgtt_expect_unchanged(m, z, names[which]);
    sgtt_clear(m);
}

/* ---- layouts ---- */

/* *shape becomes number `s` of the list, a random one after round 0. */
static void pick_shape(int64_t *shape, sgtt_machine *m, int s)
{
    for (int i = 0; i < SGT_MAX_RANK; i++)
        shape[i] = m->round == 0 ? shapes[s][i] : 1 + sgtt_below(m, i < 2 ? 2 : i < 4 ? 3 : 60);
}

static void every_layout(sgtt_machine *m, kind which)
{
    for (int s = 0; s < SHAPES; s++) {
        for (int k = 0; k < LAYOUTS * LAYOUTS; k++) {
            int64_t shape[SGT_MAX_RANK];
            pick_shape(shape, m, s);
            sgtt_tensor *y = make_random(m, shape, layouts[k % LAYOUTS]);
            sgtt_tensor *x = make_random(m, shape, layouts[k / LAYOUTS]);
            sgtt_tensor *z = make_random(m, shape, layouts[s % LAYOUTS]);
            check_call(m, which, y, x, z);
        }
    }
}

static void repeating_inputs(sgtt_machine *m, kind which)
{
    for (int s = 0; s < SHAPES; s++) {
        for (unsigned repeated = 1; repeated < 64; repeated += 4) {
            int64_t shape[SGT_MAX_RANK];
            pick_shape(shape, m, s);
            sgtt_tensor *y = make_random(m, shape, layouts[repeated % LAYOUTS]);
            sgtt_tensor *x = make_repeating(m, shape, repeated);
            sgtt_tensor *z = make_repeating(m, shape, 63 - repeated);
            check_call(m, which, y, x, z);
        }
    }
}

/* [B,T,h,dh] seen as [B,h,T,dh], and three cuts at once: what no merging can make simple. */
static void permuted_dimensions(sgtt_machine *m, kind which)
{
    enum { RANK = 4 };
    const int64_t shape[] = {3, 5, 7, 4};
    static const int orders[][RANK] = {
        {0, 2, 1, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {2, 3, 0, 1}, {1, 2, 3, 0}, {3, 0, 2, 1}};
    for (int k = 0; k < 36; k++) {
        int64_t strides[2][RANK];
        for (int side = 0; side < 2; side++) {
            const int *order = orders[side == 0 ? k % 6 : k / 6];
            int64_t step = 1;
            for (int i = RANK - 1; i >= 0; i--) {
                strides[side][order[i]] = step;
                step = step * shape[order[i]] + (i & 1);
            }
        }
        sgtt_tensor *y = sgtt_make_strided(m, SGT_F32, RANK, shape, strides[0]);
        sgtt_tensor *x = sgtt_make_strided(m, SGT_F32, RANK, shape, strides[1]);
        sgtt_tensor *z = sgtt_make_strided(m, SGT_F32, RANK, shape, strides[0]);
        sgtt_set_random(m, y, -1.0, 1.0);
        sgtt_set_random(m, x, -1.0, 1.0);
        sgtt_set_random(m, z, -1.0, 1.0);
        check_call(m, which, y, x, z);
    }
}

static void all_layouts(sgtt_machine *m, kind which)
{
    every_layout(m, which);
    repeating_inputs(m, which);
    permuted_dimensions(m, which);
}

static void copy_layouts(sgtt_machine *m)
{
    all_layouts(m, COPY);
}

static void fill_layouts(sgtt_machine *m)
{
    all_layouts(m, FILL);
}

static void add_layouts(sgtt_machine *m)
{
    all_layouts(m, ADD);
}

static void axpy_layouts(sgtt_machine *m)
{
    all_layouts(m, AXPY);
}

static void scale_layouts(sgtt_machine *m)
{
    all_layouts(m, SCALE);
}

/* ---- other types, other values ---- */

static void copy_of_other_types(sgtt_machine *m)
{
    static const int32_t dtypes[] = {SGT_F64, SGT_I32};
    const int64_t shape[] = {37, 41};
    for (int k = 0; k < 2; k++) {
        for (int l = 0; l < LAYOUTS * LAYOUTS; l++) {
            sgtt_tensor *y = sgtt_make(m, dtypes[k], layouts[l % LAYOUTS], 2, shape);
            sgtt_tensor *x = sgtt_make(m, dtypes[k], layouts[l / LAYOUTS], 2, shape);
            sgtt_set_random(m, x, -1e6, 1e6);
            sgtt_copy(m, &y->t, &x->t);
            sgtt_expect(m, y, sgtt_values(m, x), 0.0, "copy");
            sgtt_clear(m);
        }
    }
}

/* Every bit of a half-width element, NaN payloads too, from rows to columns. */
static void copy_of_halves(sgtt_machine *m)
{
    enum { ROWS = 47, COLUMNS = 33, COUNT = ROWS * COLUMNS };
    static const int32_t dtypes[] = {SGT_BF16, SGT_F16};
    const int64_t count = COUNT;
    uint16_t from[COUNT], got[COUNT];
    for (int k = 0; k < 2; k++) {
        sgtt_tensor *x = sgtt_make(m, dtypes[k], SGTT_DENSE, 1, &count);
        sgtt_tensor *y = sgtt_make(m, dtypes[k], SGTT_DENSE, 1, &count);
        for (int i = 0; i < COUNT; i++)
            from[i] = (uint16_t)sgtt_below(m, 65536);
        sgtt_write(m, x, from);
        sgt_tensor rows = x->t, columns = y->t;
        rows.rank = columns.rank = 2;
        rows.shape[0] = columns.shape[0] = ROWS;
        rows.shape[1] = columns.shape[1] = COLUMNS;
        rows.strides[0] = COLUMNS;
        rows.strides[1] = 1;
        columns.strides[0] = 1;
        columns.strides[1] = ROWS;
        sgtt_copy(m, &columns, &rows);
        sgtt_read(m, got, y);
        for (int i = 0; i < COUNT; i++)
            sgtt_require(got[i % COLUMNS * ROWS + i / COLUMNS] == from[i],
                         "copy: a half-width element %04x came as %04x", from[i],
                         got[i % COLUMNS * ROWS + i / COLUMNS]);
        sgtt_count(0.0);
        sgtt_clear(m);
    }
}

static void fill_of_doubles(sgtt_machine *m)
{
    const int64_t shape[] = {37, 41};
    for (int l = 0; l < LAYOUTS; l++) {
        sgtt_tensor *y = sgtt_make(m, SGT_F64, layouts[l], 2, shape);
        double *expected = sgtt_doubles(m, sgtt_count_of(y));
        for (int64_t i = 0; i < sgtt_count_of(y); i++)
            expected[i] = 1.0 / 3.0;
        sgtt_fill(m, &y->t, 1.0 / 3.0);
        sgtt_expect(m, y, expected, 0.0, "fill of F64");
        sgtt_clear(m);
    }
}

enum { SPECIAL = 8 };
static const double special[SPECIAL] = {0.0,      -0.0, 1e-45,  -INFINITY,
                                        INFINITY, NAN,  3.4e38, -3.4e38};

static void check_special(sgtt_machine *m, kind which, float alpha)
{
    const int64_t n = SPECIAL;
    sgtt_tensor *x = sgtt_make(m, SGT_F32, SGTT_DENSE, 1, &n);
    sgtt_tensor *y = sgtt_make(m, SGT_F32, SGTT_DENSE, 1, &n);
    double *expected = sgtt_doubles(m, n);
    sgtt_set(m, x, special);
    sgtt_set(m, y, special);
    for (int i = 0; i < SPECIAL; i++) {
        double value = (double)(float)special[i];
        expected[i] = (double)(float)expected_of(which, alpha, value, value, value);
    }
    call(m, which, alpha, y, x, x);
    sgtt_expect(m, y, expected, 0.0, names[which]);
}

static void copy_of_special_values(sgtt_machine *m)
{
    check_special(m, COPY, 1.0f);
}

static void axpy_of_special_values(sgtt_machine *m)
{
    check_special(m, AXPY, 1.0f);
}

static void scale_of_special_values(sgtt_machine *m)
{
    check_special(m, SCALE, 0.0f);
}

static void add_of_special_values(sgtt_machine *m)
{
    check_special(m, ADD, 0.0f);
}

/* ---- the norm ---- */

/* Three pieces of a vector, in which the rest is NaN. */
static void norm_of_pieces(sgtt_machine *m)
{
    const int64_t n = 60000, one = 1;
    const int64_t firsts[] = {40000, 3, 10}, counts[] = {17000, 1, 20000};
    sgtt_tensor *x = sgtt_random_vector(m, n), *sum = sgtt_make(m, SGT_F64, SGTT_DENSE, 1, &one);
    double *values = sgtt_values(m, x), *wanted = sgtt_doubles(m, n), expected = 0.0;
    for (int64_t i = 0; i < n; i++)
        wanted[i] = NAN;
    for (int k = 0; k < 3; k++) {
        for (int64_t i = firsts[k]; i < firsts[k] + counts[k]; i++) {
            wanted[i] = values[i];
            expected += values[i] * values[i];
        }
    }
    sgtt_set(m, x, wanted);
    sgt_norm_args args = {
        .n_pieces = 3, .x = &x->t, .sum = &sum->t, .firsts = firsts, .counts = counts};
    sgtt_call(m, norm, &args);
    sgtt_expect(m, sum, &expected, 1e-12, "norm of pieces");
    args.n_pieces = 0;
    expected = 0.0;
    sgtt_call(m, norm, &args);
    sgtt_expect(m, sum, &expected, 0.0, "norm of no pieces");
}

static void sum_of_squares(sgtt_machine *m)
{
    static const int64_t sizes[] = {1, 15, 16, 17, 1000, 16385, 200003};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const int64_t n = m->round == 0 ? sizes[s] : 1 + sgtt_below(m, 40000);
        sgtt_tensor *x = sgtt_random_vector(m, n);
        double *values = sgtt_values(m, x);
        double expected = 0.0;
        for (int64_t i = 0; i < n; i++)
            expected += values[i] * values[i];
        double got = sgtt_norm(m, &x->t);
        sgtt_require(fabs(got - expected) <= 1e-12 * expected, "norm of %lld: %.17g, not %.17g",
                     (long long)n, got, expected);
        sgtt_count(fabs(got - expected) / (1e-12 * expected));

        /* Squares that float32 cannot hold. */
        for (int64_t i = 0; i < n; i++)
            values[i] = i % 2 != 0 ? 1e-30 : 1e30;
        sgtt_set(m, x, values);
        got = sgtt_norm(m, &x->t);
        sgtt_require(got > 0.9e60 && isfinite(got), "norm of large values: %g", got);

        values[n - 1] = NAN;
        sgtt_set(m, x, values);
        got = sgtt_norm(m, &x->t);
        sgtt_require(isnan(got), "norm with a NaN: %g", got);
        values[n - 1] = -INFINITY;
        sgtt_set(m, x, values);
        got = sgtt_norm(m, &x->t);
        sgtt_require(isinf(got), "norm with an infinity: %g", got);
        sgtt_clear(m);
    }
}

const sgtt_op_test sgtt_copy_tests[] = {copy_layouts, copy_of_other_types, copy_of_halves,
                                        copy_of_special_values, NULL};
const sgtt_op_test sgtt_fill_tests[] = {fill_layouts, fill_of_doubles, NULL};
const sgtt_op_test sgtt_add_tests[] = {add_layouts, add_of_special_values, NULL};
const sgtt_op_test sgtt_axpy_tests[] = {axpy_layouts, axpy_of_special_values, NULL};
const sgtt_op_test sgtt_scale_tests[] = {scale_layouts, scale_of_special_values, NULL};
const sgtt_op_test sgtt_norm_tests[] = {sum_of_squares, norm_of_pieces, NULL};
