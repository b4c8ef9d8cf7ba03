/* SPDX-License-Identifier: BSD-3-Clause */
/* linear against the naive product, with weights of F32 and BF16; and prepare_weight, which may be
 * called before products of a weight and never changes what they give. */
#include "suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "op_reference.h"

typedef struct layer {
    int64_t rows; /* N */
    int64_t in;
    int64_t out;
    int32_t dtype; /* of the weight */
    enum { NO_D, D_IS_Y, D_APART } d;
    enum sgtt_layout layout;
} layer;

/* A weight [out,in] with gaps after its rows, and its values: those of the type. */
static sgt_tensor make_weight(double **values, sgtt_machine *m, const layer *l)
{
    const int64_t row = l->in + (l->layout == SGTT_DENSE ? 0 : 7);
    const int64_t count = l->out * row;
    sgtt_tensor *all = sgtt_make(m, l->dtype, SGTT_DENSE, 1, &count);
    float *singles = (float *)sgtt_doubles(m, count);
    uint16_t *halves = (uint16_t *)sgtt_doubles(m, count);
    *values = sgtt_doubles(m, l->out * l->in);
    for (int64_t i = 0; i < count; i++) {
        float value = (float)sgtt_uniform(m, -1.0, 1.0);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        halves[i] = (uint16_t)(bits >> 16);
        if (l->dtype == SGT_BF16)
            bits &= 0xffff0000u;
        memcpy(&singles[i], &bits, sizeof bits);
        if (i % row < l->in)
            (*values)[i / row * l->in + i % row] = (double)singles[i];
    }
    sgtt_write(m, all, l->dtype == SGT_BF16 ? (const void *)halves : (const void *)singles);
    sgt_tensor weight = all->t;
    weight.rank = 2;
    weight.shape[0] = l->out;
    weight.shape[1] = l->in;
    weight.strides[0] = row;
    weight.strides[1] = 1;
    return weight;
}

/* y = x W^T + d. */
static double *expected_of(sgtt_machine *m, const layer *l, const sgtt_tensor *x,
                           const double *weight, const sgtt_tensor *d)
{
    double *transposed = sgtt_doubles(m, l->in * l->out);
    double *expected = sgtt_doubles(m, l->rows * l->out);
    for (int64_t i = 0; i < l->out; i++) {
        for (int64_t j = 0; j < l->in; j++)
            transposed[j * l->out + i] = weight[i * l->in + j];
    }
    sgtt_ref_gemm(expected, 1.0, sgtt_values(m, x), transposed, l->d == NO_D ? 0.0 : 1.0,
                  sgtt_values(m, d), l->rows, l->out, l->in);
    return expected;
}

static void prepare(sgtt_machine *m, const sgt_tensor *weight)
{
    sgt_prepare_weight_args args = {.weight = weight};
    sgtt_probe(m, prepare_weight, &args);
    int32_t result = m->slots->prepare_weight(m->slots_instance, &args);
    if (result != SGT_E_UNSUPPORTED)
        sgtt_slot_done(result, "prepare_weight");
}

/* 0 when the backend leaves this shape to gemm. */
static int check_layer(sgtt_machine *m, const layer *l)
{
    double *values;
    sgtt_tensor *x = sgtt_random_matrix(m, l->layout, l->rows, l->in);
    sgtt_tensor *y = sgtt_random_matrix(m, l->layout, l->rows, l->out);
    sgtt_tensor *d = l->d == D_APART ? sgtt_random_matrix(m, l->layout, l->rows, l->out) : y;
    const sgt_tensor weight = make_weight(&values, m, l);
    const double *expected = expected_of(m, l, x, values, d);
    sgt_linear_args args = {.x = &x->t,
                            .weight = &weight,
                            .y = &y->t,
                            .d = l->d == NO_D ? NULL : &d->t};
    if (m->slots->prepare_weight && l->dtype == SGT_F32)
        prepare(m, &weight);
    sgtt_probe(m, linear, &args);
    int32_t result = m->slots->linear(m->slots_instance, &args);
    char what[128];
    snprintf(what, sizeof what, "linear [%lld,%lld] to %lld, weight of %s, %s",
             (long long)l->rows, (long long)l->in, (long long)l->out,
             l->dtype == SGT_BF16 ? "BF16" : "F32",
             l->d == NO_D     ? "no d"
             : l->d == D_IS_Y ? "d is y"
                              : "d apart");
    if (result == SGT_E_UNSUPPORTED) {
        sgtt_expect_unchanged(m, y, what);
        sgtt_clear(m);
        return 0;
    }
    sgtt_slot_done(result, "linear");
    sgtt_expect_product(m, y, expected, l->in, 1.0f, l->d == NO_D ? 0.0f : 1.0f, what);
    sgtt_expect_unchanged(m, x, what);
    if (l->d == D_APART)
        sgtt_expect_unchanged(m, d, what);
    sgtt_clear(m);
    return 1;
}

static void linear_matches(sgtt_machine *m)
{
    static const int64_t sizes[] = {1, 2, 3, 7, 16, 31, 64, 129, 500};
    static const int64_t rows[] = {1, 1, 2, 4, 5, 8, 17};
    int taken = 0;
    for (int k = 0; k < 150; k++) {
        const layer l = {
            .rows = rows[sgtt_below(m, 7)],
            .in = m->round == 0 ? sizes[sgtt_below(m, 9)] : 1 + sgtt_below(m, 300),
            .out = m->round == 0 ? sizes[sgtt_below(m, 9)] : 1 + sgtt_below(m, 300),
            .dtype = k % 2 == 0 ? SGT_F32 : SGT_BF16,
            .d = (int)sgtt_below(m, 3),
            .layout = (enum sgtt_layout)sgtt_below(m, 2),
        };
        taken += check_layer(m, &l);
    }
    sgtt_note("%d of 150 shapes taken", taken);
}

/* A product after prepare_weight, and after the weight changed and was prepared again. */
static void prepared_weights_give_the_same(sgtt_machine *m)
{
    static const sgtt_shape shapes[] = {{1, 1}, {7, 33}, {64, 64}, {130, 97}};
    for (int k = 0; k < 4; k++) {
        const int64_t out = shapes[k].rows, in = shapes[k].columns, n = 19;
        sgtt_tensor *weight = sgtt_random_matrix(m, SGTT_DENSE, out, in);
        sgtt_tensor *x = sgtt_random_matrix(m, SGTT_DENSE, in, n);
        sgtt_tensor *y = sgtt_random_matrix(m, SGTT_DENSE, out, n);
        for (int change = 0; change < 2; change++) {
            if (change)
                sgtt_set_random(m, weight, -1.0, 1.0);
            prepare(m, &weight->t);
            sgtt_expect_unchanged(m, weight, "prepare_weight");
            double *expected = sgtt_doubles(m, out * n);
            sgtt_ref_gemm(expected, 1.0, sgtt_values(m, weight), sgtt_values(m, x), 0.0, NULL,
                          out, n, in);
            sgtt_gemm(m, &y->t, 1.0f, &weight->t, &x->t, 0.0f, NULL);
            sgtt_expect(m, y, expected, 2e-6, "gemm of a prepared weight");
        }
        sgtt_clear(m);
    }
}

const sgtt_op_test sgtt_prepare_weight_tests[] = {prepared_weights_give_the_same, NULL};
const sgtt_op_test sgtt_linear_tests[] = {linear_matches, NULL};
