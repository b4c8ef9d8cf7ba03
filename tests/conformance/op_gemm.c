/* SPDX-License-Identifier: BSD-3-Clause */
/* Products of every shape class, orientation and layout; batches; what beta 0 promises; NaN. */
#include "suite.h"

#include <math.h>
#include <stdio.h>

#include "op_reference.h"

typedef struct product {
    int64_t m;
    int64_t n;
    int64_t k;
    int64_t batch; /* 0: plain matrices */
    enum sgtt_layout layout_a;
    enum sgtt_layout layout_b;
    enum sgtt_layout layout_c;
    enum sgtt_layout layout_d;
    float alpha;
    float beta;
    enum { D_NULL, D_IS_C, D_APART } d;
    int repeat_b; /* one B for all products of a batch */
} product;

static sgtt_tensor *make_operand(sgtt_machine *m, const product *p, enum sgtt_layout layout,
                                 int64_t rows, int64_t columns)
{
    const int64_t shape[] = {p->batch, rows, columns};
    sgtt_tensor *made = p->batch > 0 ? sgtt_make(m, SGT_F32, layout, 3, shape)
                                     : sgtt_make(m, SGT_F32, layout, 2, shape + 1);
    sgtt_set_random(m, made, -1.0, 1.0);
    return made;
}

static void check_product(sgtt_machine *m, const product *p)
{
    sgtt_tensor *a = make_operand(m, p, p->layout_a, p->m, p->k);
    sgtt_tensor *b = make_operand(m, p, p->layout_b, p->k, p->n);
    sgtt_tensor *c = make_operand(m, p, p->layout_c, p->m, p->n);
    sgtt_tensor *d = p->d == D_APART ? make_operand(m, p, p->layout_d, p->m, p->n) : c;
    if (p->repeat_b)
        b->t.strides[0] = 0;
    double *from_a = sgtt_values(m, a);
    double *from_b = sgtt_values(m, b);
    double *from_d = sgtt_values(m, d);
    double *expected = sgtt_doubles(m, sgtt_count_of(c));
    for (int64_t i = 0; i < (p->batch > 0 ? p->batch : 1); i++)
        sgtt_ref_gemm(expected + i * p->m * p->n, (double)p->alpha, from_a + i * p->m * p->k,
                      from_b + i * p->k * p->n, (double)p->beta, from_d + i * p->m * p->n, p->m,
                      p->n, p->k);

    sgtt_gemm(m, &c->t, p->alpha, &a->t, &b->t, p->beta, p->d == D_NULL ? NULL : &d->t);
    char what[160];
    snprintf(what, sizeof what,
             "gemm %lld x %lld x %lld, batch %lld, layouts %d %d %d %d, alpha %g, beta %g%s%s",
             (long long)p->m, (long long)p->n, (long long)p->k, (long long)p->batch, p->layout_a,
             p->layout_b, p->layout_c, p->layout_d, (double)p->alpha, (double)p->beta,
             p->d == D_APART ? ", D apart" : p->d == D_IS_C ? ", D is C" : "",
             p->repeat_b ? ", one B" : "");
    sgtt_expect_product(m, c, expected, p->k, p->alpha, p->beta, what);
    sgtt_expect_unchanged(m, a, what);
    sgtt_expect_unchanged(m, b, what);
    if (p->d == D_APART)
        sgtt_expect_unchanged(m, d, what);
    sgtt_clear(m);
}

static void random_products(sgtt_machine *m)
{
    static const int64_t sizes[] = {1, 2, 3, 5, 6, 7, 8, 13, 16, 17, 31, 33, 48, 64, 65, 97, 130};
    static const float alphas[] = {1.0f, 0.37f, -2.0f};
    static const float betas[] = {0.0f, 1.0f, 0.6f};
    const int64_t count = sizeof sizes / sizeof sizes[0];
    for (int k = 0; k < 400; k++) {
        product p = {
            .m = sizes[sgtt_below(m, count)],
            .n = sizes[sgtt_below(m, count)],
            .k = sizes[sgtt_below(m, count)],
            .batch = k % 4 == 0 ? 1 + sgtt_below(m, 4) : 0,
            .layout_a = (enum sgtt_layout)sgtt_below(m, 3),
            .layout_b = (enum sgtt_layout)sgtt_below(m, 3),
            .layout_c = (enum sgtt_layout)sgtt_below(m, 3),
            .layout_d = (enum sgtt_layout)sgtt_below(m, 3),
            .alpha = alphas[sgtt_below(m, 3)],
            .beta = betas[sgtt_below(m, 3)],
            .d = (int)sgtt_below(m, 3),
        };
        p.repeat_b = p.batch > 1 && sgtt_below(m, 3) == 0;
        check_product(m, &p);
    }
}

/* Larger than every block of the kernels in one dimension after another. */
static void large_products(sgtt_machine *m)
{
    static const int64_t sizes[][3] = {{1, 3000, 70},  {2500, 1, 40}, {1700, 5, 33}, {20, 1100, 64},
                                       {70, 65, 2000}, {400, 300, 257}, {1, 1, 5000}};
    if (m->round > 0)
        return;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        for (int k = 0; k < 3; k++) {
            enum sgtt_layout a = (enum sgtt_layout)k;
            enum sgtt_layout b = (enum sgtt_layout)((k + (int)s) % 3);
            product p = {
                .m = sizes[s][0], .n = sizes[s][1], .k = sizes[s][2],
                .layout_a = a,    .layout_b = b,    .layout_c = b,
                .alpha = 0.5f,    .beta = k == 1 ? 0.0f : 1.0f,
            };
            check_product(m, &p);
        }
    }
}

/* Memory of C is NaN before; D is full of NaN too. */
static void beta_zero_reads_nothing(sgtt_machine *m)
{
    const int64_t shape[] = {37, 41};
    for (enum sgtt_layout layout = SGTT_DENSE; layout <= SGTT_SWAPPED; layout++) {
        for (int separate_d = 0; separate_d < 2; separate_d++) {
            sgtt_tensor *a = sgtt_random_matrix(m, layout, 37, 29);
            sgtt_tensor *b = sgtt_random_matrix(m, layout, 29, 41);
            sgtt_tensor *c = sgtt_make(m, SGT_F32, layout, 2, shape);
            sgtt_tensor *d = sgtt_make(m, SGT_F32, layout, 2, shape);
            double *expected = sgtt_doubles(m, 37 * 41);
            sgtt_ref_gemm(expected, 1.0, sgtt_values(m, a), sgtt_values(m, b), 0.0, NULL, 37,
                          41, 29);
            sgtt_gemm(m, &c->t, 1.0f, &a->t, &b->t, 0.0f, separate_d ? &d->t : NULL);
            sgtt_expect(m, c, expected, 2e-6, "gemm into NaN with beta 0");
            sgtt_clear(m);
        }
    }
}

/* Zeros do not swallow them: 0 * infinity is NaN. */
static void nan_and_infinity_pass(sgtt_machine *m)
{
    sgtt_tensor *a = sgtt_random_matrix(m, SGTT_DENSE, 19, 23);
    sgtt_tensor *b = sgtt_random_matrix(m, SGTT_DENSE, 23, 21);
    sgtt_tensor *c = sgtt_random_matrix(m, SGTT_DENSE, 19, 21);
    double *from_a = sgtt_values(m, a);
    double *from_b = sgtt_values(m, b);
    double *expected = sgtt_values(m, c);
    from_a[3 * 23 + 22] = NAN;
    from_a[5 * 23 + 1] = INFINITY;
    from_b[1 * 21 + 20] = 0.0;
    from_b[7 * 21 + 2] = -INFINITY;
    from_a[9 * 23 + 7] = 0.0;
    sgtt_set(m, a, from_a);
    sgtt_set(m, b, from_b);
    sgtt_ref_gemm(expected, 1.0, sgtt_values(m, a), sgtt_values(m, b), 1.0, expected, 19, 21,
                  23);
    sgtt_gemm(m, &c->t, 1.0f, &a->t, &b->t, 1.0f, NULL);
    sgtt_expect(m, c, expected, 2e-6, "gemm with NaN and infinities");
}

const sgtt_op_test sgtt_gemm_tests[] = {random_products, large_products, beta_zero_reads_nothing,
                                        nan_and_infinity_pass, NULL};
