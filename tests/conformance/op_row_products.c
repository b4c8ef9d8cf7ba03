/* SPDX-License-Identifier: BSD-3-Clause */
/* Products of rows with rows, and their gradients, which are added in the order of the rows. */
#include "suite.h"

#include "op_masks.h"
#include "op_reference.h"

#define SIZES 8

/* Rows of x and of y, columns. */
static const int64_t listed[SIZES][3] = {{1, 1, 1},   {3, 1, 17},  {1, 5, 40}, {7, 3, 1},
                                         {130, 4, 33}, {2, 3, 5000}, {40, 16, 64}, {90, 70, 611}};

static const int64_t *pick_size(int64_t drawn[3], sgtt_machine *m, int index)
{
    static const int64_t most[3] = {60, 20, 200};
    if (m->round == 0)
        return listed[index];
    for (int i = 0; i < 3; i++)
        drawn[i] = 1 + sgtt_below(m, most[i]);
    return drawn;
}

static void row_products_match(sgtt_machine *m)
{
    for (int i = 0; i < 2 * SIZES; i++) {
        int64_t drawn[3];
        const int64_t *size = pick_size(drawn, m, i / 2);
        const enum sgtt_layout layout = i % 2 ? SGTT_ROWS : SGTT_DENSE;
        sgtt_tensor *x = sgtt_random_matrix(m, layout, size[0], size[2]);
        sgtt_tensor *y = sgtt_random_matrix(m, layout, size[1], size[2]);
        sgtt_tensor *out = sgtt_make(m, SGT_F32, layout, 3, size);
        double *expected = sgtt_doubles(m, size[0] * size[1] * size[2]);
        sgtt_ref_row_products(expected, sgtt_values(m, x), sgtt_values(m, y), size);
        sgt_row_products_args args = {.x = &x->t, .y = &y->t, .out = &out->t};
        sgtt_call(m, row_products, &args);
        sgtt_expect(m, out, expected, 1e-6, "products of rows");
        sgtt_expect_unchanged(m, x, "row_products x");
        sgtt_expect_unchanged(m, y, "row_products y");
        sgtt_clear(m);
    }
}

/* out lies with its second dimension outside, as when modules are the batch of a product. */
static void row_products_of_modules(sgtt_machine *m)
{
    const int64_t size[] = {9, 4, 21};
    const int64_t strides[] = {21, 9 * 21 + 2, 1};
    sgtt_tensor *x = sgtt_random_matrix(m, SGTT_ROWS, size[0], size[2]);
    sgtt_tensor *y = sgtt_random_matrix(m, SGTT_ROWS, size[1], size[2]);
    sgtt_tensor *out = sgtt_make_strided(m, SGT_F32, 3, size, strides);
    double *expected = sgtt_doubles(m, size[0] * size[1] * size[2]);
    sgtt_ref_row_products(expected, sgtt_values(m, x), sgtt_values(m, y), size);
    sgt_row_products_args args = {.x = &x->t, .y = &y->t, .out = &out->t};
    sgtt_call(m, row_products, &args);
    sgtt_expect(m, out, expected, 1e-6, "products of rows, by modules");
}

static void row_products_backward_match(sgtt_machine *m)
{
    for (int i = 0; i < 3 * SIZES; i++) {
        int64_t drawn[3];
        const int64_t *size = pick_size(drawn, m, i / 3);
        const int without = i % 3; /* 1: dx is not wanted, 2: dy */
        sgtt_tensor *x = sgtt_random_matrix(m, SGTT_ROWS, size[0], size[2]);
        sgtt_tensor *y = sgtt_random_matrix(m, SGTT_ROWS, size[1], size[2]);
        sgtt_tensor *dx = sgtt_random_matrix(m, SGTT_ROWS, size[0], size[2]);
        sgtt_tensor *dy = sgtt_random_matrix(m, SGTT_ROWS, size[1], size[2]);
        sgtt_tensor *dout = sgtt_make(m, SGT_F32, i % 2 ? SGTT_ROWS : SGTT_DENSE, 3, size);
        sgtt_set_random(m, dout, -1.0, 1.0);
        double *expected_dx = sgtt_values(m, dx);
        double *expected_dy = sgtt_values(m, dy);
        sgtt_ref_row_products_backward(expected_dx, expected_dy, sgtt_values(m, dout),
                                       sgtt_values(m, x), sgtt_values(m, y), size);
        sgt_row_products_backward_args args = {.x = &x->t,
                                               .y = &y->t,
                                               .dout = &dout->t,
                                               .dx = without == 1 ? NULL : &dx->t,
                                               .dy = without == 2 ? NULL : &dy->t};
        sgtt_call(m, row_products_backward, &args);
        if (without == 1)
            sgtt_expect_unchanged(m, dx, "no dx was asked for");
        else
            sgtt_expect(m, dx, expected_dx, 3e-6, "row_products dx");
        if (without == 2)
            sgtt_expect_unchanged(m, dy, "no dy was asked for");
        else
            sgtt_expect(m, dy, expected_dy, 3e-6, "row_products dy");
        sgtt_clear(m);
    }
}

/* Three terms whose sum in float32 is 0 in their order, and 1 from the last on. */
static void gradients_are_summed_in_order(sgtt_machine *m)
{
    enum { N = 3, D = 37 };
    static const double terms[N] = {1.0, 1e8, -1e8};
    const int64_t size[] = {N, N, D};
    double ones[N * D], of_terms[N * N * D];
    sgtt_tensor *one = sgtt_random_matrix(m, SGTT_DENSE, N, D);
    sgtt_tensor *dout = sgtt_make(m, SGT_F32, SGTT_DENSE, 3, size);
    sgtt_tensor *dx = sgtt_random_matrix(m, SGTT_DENSE, N, D);
    sgtt_tensor *dy = sgtt_random_matrix(m, SGTT_DENSE, N, D);
    sgt_row_products_backward_args args = {
        .x = &one->t, .y = &one->t, .dout = &dout->t, .dx = &dx->t, .dy = &dy->t};
    for (int i = 0; i < N * D; i++)
        ones[i] = 1.0;
    sgtt_set(m, one, ones);
    for (int along_y = 0; along_y < 2; along_y++) {
        for (int i = 0; i < N * N * D; i++)
            of_terms[i] = terms[along_y ? i / D % N : i / D / N];
        sgtt_set(m, dout, of_terms);
        sgtt_set(m, dx, sgtt_doubles(m, N * D));
        sgtt_set(m, dy, sgtt_doubles(m, N * D));
        sgtt_call(m, row_products_backward, &args);
        sgtt_expect(m, along_y ? dx : dy, sgtt_doubles(m, N * D), 0.0,
                    along_y ? "order of the sum of dx" : "order of the sum of dy");
    }
}

const sgtt_op_test sgtt_row_products_tests[] = {row_products_match, row_products_of_modules, NULL};
const sgtt_op_test sgtt_row_products_backward_tests[] = {row_products_backward_match,
                                                         gradients_are_summed_in_order, NULL};
