/* SPDX-License-Identifier: BSD-3-Clause */
/* Embedding, RMSNorm and RoPE against their references: odd shapes, gaps, the aliasing that each
 * one allows, accumulation, NaN. */
#include "suite.h"

#include <math.h>
#include <string.h>

#include "op_reference.h"

/* ---- embedding ---- */

static void embedding_gathers(sgtt_machine *m)
{
    const int64_t vocabulary = 11;
    SGTT_FOR_EACH_SHAPE(s, layout) {
        const sgtt_shape shape = sgtt_pick_shape(m, s);
        const int64_t n = shape.rows, d = shape.columns;
        sgtt_tensor *table = sgtt_random_matrix(m, layout, vocabulary, d);
        sgtt_tensor *out = sgtt_random_matrix(m, layout, n, d);
        sgtt_tensor *ids = sgtt_random_integers(m, n, 0, vocabulary);
        sgt_embedding_args args = {.table = &table->t, .ids = &ids->t, .out = &out->t};
        sgtt_call(m, embedding, &args);
        double *rows = sgtt_values(m, table);
        double *expected = sgtt_doubles(m, n * d);
        int32_t *id = sgtt_integers(m, ids);
        for (int64_t i = 0; i < n; i++)
            memcpy(expected + i * d, rows + id[i] * d, (size_t)d * sizeof(double));
        sgtt_expect(m, out, expected, 0.0, "embedding");
        sgtt_expect_unchanged(m, table, "embedding table");
        sgtt_clear(m);
    }
}

/* Three terms whose sum in float32 is 0 in their order: the first list gives 1 where the first and
 * the last are added first, the second where they are added from the last on. */
static const double orders[2][3] = {{1e8, 1.0, -1e8}, {1.0, 1e8, -1e8}};

/* All rows go to row 0 of the table, which starts with zeros. */
static void check_order(sgtt_machine *m, sgt_embedding_backward_args *args, sgtt_tensor *dtable,
                        sgtt_tensor *dout, sgtt_tensor *ids, const double *terms)
{
    const int64_t n = dout->t.shape[0], d = dout->t.shape[1];
    double *rows = sgtt_doubles(m, n * d);
    double *expected = sgtt_doubles(m, dtable->t.shape[0] * d);
    for (int64_t i = 0; i < n && i < 3; i++) {
        for (int64_t j = 0; j < d; j++)
            rows[i * d + j] = terms[i];
    }
    sgtt_set(m, dtable, expected);
    sgtt_set(m, ids, sgtt_doubles(m, n));
    sgtt_set(m, dout, rows);
    sgtt_call(m, embedding_backward, args);
    for (int64_t j = 0; j < d; j++)
        expected[j] = n > 2 ? 0.0 : n == 2 ? 1e8 : terms[0];
    sgtt_expect(m, dtable, expected, 0.0, "order of the embedding gradient");
}

static void embedding_scatters_in_order(sgtt_machine *m)
{
    const int64_t vocabulary = 5;
    const float scale = 0.37f;
    SGTT_FOR_EACH_SHAPE(s, layout) {
        const sgtt_shape shape = sgtt_pick_shape(m, s);
        const int64_t n = shape.rows, d = shape.columns;
        sgtt_tensor *dtable = sgtt_random_matrix(m, layout, vocabulary, d);
        sgtt_tensor *dout = sgtt_random_matrix(m, layout, n, d);
        sgtt_tensor *ids = sgtt_random_integers(m, n, 0, vocabulary);
        double *expected = sgtt_values(m, dtable);
        double *from = sgtt_values(m, dout);
        int32_t *id = sgtt_integers(m, ids);
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < d; j++)
                expected[id[i] * d + j] += (double)scale * from[i * d + j];
        }
        sgt_embedding_backward_args args = {
            .scale = scale, .dtable = &dtable->t, .ids = &ids->t, .dout = &dout->t};
        sgtt_call(m, embedding_backward, &args);
        sgtt_expect(m, dtable, expected, 3e-6, "embedding gradient");

        args.scale = 1.0f;
        for (int which = 0; which < 2; which++)
            check_order(m, &args, dtable, dout, ids, orders[which]);
        sgtt_clear(m);
    }
}

/* ---- RMSNorm ---- */

static void rmsnorm_matches(sgtt_machine *m)
{
    const float eps = 1e-5f;
    SGTT_FOR_EACH_SHAPE(s, layout) {
        for (int in_place = 0; in_place < 2; in_place++) {
            const sgtt_shape shape = sgtt_pick_shape(m, s);
            const int64_t n = shape.rows, d = shape.columns;
            sgtt_tensor *x = sgtt_random_matrix(m, layout, n, d);
            sgtt_tensor *y = in_place ? x : sgtt_random_matrix(m, layout, n, d);
            sgtt_tensor *weight = sgtt_random_vector(m, d);
            double *expected = sgtt_doubles(m, n * d);
            sgtt_ref_rmsnorm(expected, sgtt_values(m, x), sgtt_values(m, weight), (double)eps,
                             n, d);
            sgt_rmsnorm_args args = {
                .eps = eps, .x = &x->t, .weight = &weight->t, .y = &y->t};
            sgtt_call(m, rmsnorm, &args);
            sgtt_expect(m, y, expected, 2e-6, "rmsnorm");
            if (!in_place)
                sgtt_expect_unchanged(m, x, "rmsnorm x");
            sgtt_clear(m);
        }
    }
}

static void rmsnorm_backward_accumulates(sgtt_machine *m)
{
    const float eps = 1e-5f;
    SGTT_FOR_EACH_SHAPE(s, layout) {
        const sgtt_shape shape = sgtt_pick_shape(m, s);
        const int64_t n = shape.rows, d = shape.columns;
        sgtt_tensor *x = sgtt_random_matrix(m, layout, n, d);
        sgtt_tensor *dy = sgtt_random_matrix(m, layout, n, d);
        sgtt_tensor *dx = sgtt_random_matrix(m, layout, n, d);
        sgtt_tensor *weight = sgtt_random_vector(m, d);
        sgtt_tensor *dweight = sgtt_random_vector(m, d);
        sgtt_tensor *scratch = sgtt_make(m, SGT_F32, SGTT_DENSE, 2,
                                         (const int64_t[]){SGT_RMSNORM_PARTS, d});
        double *expected_dx = sgtt_values(m, dx);
        double *expected_dweight = sgtt_values(m, dweight);
        sgtt_ref_rmsnorm_backward(expected_dx, expected_dweight, sgtt_values(m, dy),
                                  sgtt_values(m, x), sgtt_values(m, weight), (double)eps, n, d);
        sgt_rmsnorm_backward_args args = {.eps = eps,
                                          .x = &x->t,
                                          .weight = &weight->t,
                                          .dy = &dy->t,
                                          .dx = &dx->t,
                                          .dweight = &dweight->t,
                                          .scratch = &scratch->t};
        sgtt_call(m, rmsnorm_backward, &args);
        sgtt_expect(m, dx, expected_dx, 3e-6, "rmsnorm dx");
        sgtt_expect(m, dweight, expected_dweight, 5e-6, "rmsnorm dweight");
        sgtt_expect_unchanged(m, x, "rmsnorm x");
        sgtt_expect_unchanged(m, dy, "rmsnorm dy");
        sgtt_clear(m);
    }
}

static void rmsnorm_passes_nan(sgtt_machine *m)
{
    const int64_t n = 4, d = 37;
    sgtt_tensor *x = sgtt_random_matrix(m, SGTT_ROWS, n, d);
    sgtt_tensor *y = sgtt_random_matrix(m, SGTT_ROWS, n, d);
    sgtt_tensor *weight = sgtt_random_vector(m, d);
    double *values = sgtt_values(m, x);
    values[1 * d + 36] = NAN;
    for (int64_t i = 0; i < d; i++)
        values[2 * d + i] = 0.0;
    sgtt_set(m, x, values);
    double *expected = sgtt_doubles(m, n * d);
    sgtt_ref_rmsnorm(expected, values, sgtt_values(m, weight), 1e-6, n, d);
    sgt_rmsnorm_args args = {.eps = 1e-6f, .x = &x->t, .weight = &weight->t, .y = &y->t};
    sgtt_call(m, rmsnorm, &args);
    sgtt_expect(m, y, expected, 2e-6, "rmsnorm with a row of NaN and a row of zeros");
}

/* ---- RoPE ---- */

static void rope_turns_and_turns_back(sgtt_machine *m)
{
    static const int64_t cases[][4] = {/* B, T, h, dh */
                                       {1, 1, 1, 2},  {2, 3, 3, 6},   {1, 5, 2, 32},
                                       {3, 7, 1, 34}, {2, 40, 4, 64}, {1, 300, 3, 80}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        for (int with_offsets = 0; with_offsets < 2; with_offsets++) {
            const int64_t random[] = {1 + sgtt_below(m, 3), 1 + sgtt_below(m, 90),
                                      1 + sgtt_below(m, 6), 2 + 2 * sgtt_below(m, 48)};
            const int64_t *c = m->round == 0 ? cases[k] : random;
            const int64_t half = c[3] / 2;
            const int64_t row = c[2] * c[3] + 7; /* heads are columns of a wider matrix */
            const int64_t strides[] = {c[1] * row, row, c[3], 1};
            const int32_t offsets[] = {4, 0, 9};
            sgtt_tensor *x = sgtt_make_strided(m, SGT_F32, 4, c, strides);
            sgtt_tensor *cosine = sgtt_random_matrix(m, SGTT_DENSE, c[1] + 9, half);
            sgtt_tensor *sine = sgtt_random_matrix(m, SGTT_DENSE, c[1] + 9, half);
            sgtt_set_random(m, x, -1.0, 1.0);
            sgtt_tensor *list = sgtt_integer_list(m, 3, offsets);
            list->t.shape[0] = c[0];
            sgt_rope_args args = {.x = &x->t,
                                  .cosine = &cosine->t,
                                  .sine = &sine->t,
                                  .offsets = with_offsets ? &list->t : NULL};
            for (int inverse = 0; inverse < 2; inverse++) {
                double *expected = sgtt_values(m, x);
                sgtt_ref_rope(expected, sgtt_values(m, cosine), sgtt_values(m, sine),
                              with_offsets ? offsets : NULL, inverse, c[0], c[1], c[2], c[3]);
                args.inverse = inverse;
                sgtt_call(m, rope, &args);
                sgtt_expect(m, x, expected, 1e-6, "rope");
            }
            sgtt_clear(m);
        }
    }
}

const sgtt_op_test sgtt_embedding_tests[] = {embedding_gathers, NULL};
const sgtt_op_test sgtt_embedding_backward_tests[] = {embedding_scatters_in_order, NULL};
const sgtt_op_test sgtt_rmsnorm_tests[] = {rmsnorm_matches, rmsnorm_passes_nan, NULL};
const sgtt_op_test sgtt_rmsnorm_backward_tests[] = {rmsnorm_backward_accumulates, NULL};
const sgtt_op_test sgtt_rope_tests[] = {rope_turns_and_turns_back, NULL};
