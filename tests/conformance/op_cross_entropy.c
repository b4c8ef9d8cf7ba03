/* SPDX-License-Identifier: BSD-3-Clause */
/* Cross-entropy against its reference: losses, gradients in place or apart, ignored rows,
 * precision, logits that are not finite. */
#include "suite.h"

#include <math.h>

#include "op_reference.h"

enum { SEPARATE, IN_PLACE, NO_GRADIENT };

static void cross_entropy_matches(sgtt_machine *m)
{
    SGTT_FOR_EACH_SHAPE(s, layout) {
        for (int mode = SEPARATE; mode <= NO_GRADIENT; mode++) {
            const sgtt_shape shape = sgtt_pick_shape(m, s);
            const int64_t n = shape.rows, v = shape.columns;
            sgtt_tensor *logits = sgtt_random_matrix(m, layout, n, v);
            sgtt_tensor *dlogits = mode == IN_PLACE ? logits
                                                    : sgtt_random_matrix(m, layout, n, v);
            sgtt_tensor *targets = sgtt_random_integers(m, n, -1, v);
            sgtt_tensor *losses = sgtt_random_vector(m, n);
            sgtt_set_random(m, logits, -8.0, 8.0);
            double *expected_losses = sgtt_doubles(m, n);
            double *expected_dlogits = sgtt_doubles(m, n * v);
            sgtt_ref_cross_entropy(expected_losses, expected_dlogits, sgtt_values(m, logits),
                                   sgtt_integers(m, targets), n, v);
            sgt_cross_entropy_args args = {.logits = &logits->t,
                                           .targets = &targets->t,
                                           .losses = &losses->t,
                                           .dlogits = mode == NO_GRADIENT ? NULL : &dlogits->t};
            sgtt_call(m, cross_entropy, &args);
            sgtt_expect(m, losses, expected_losses, 1e-6, "cross-entropy");
            if (mode == NO_GRADIENT)
                sgtt_expect_unchanged(m, dlogits, "no dlogits were asked for");
            else
                sgtt_expect(m, dlogits, expected_dlogits, 1e-6, "cross-entropy dlogits");
            if (mode != IN_PLACE)
                sgtt_expect_unchanged(m, logits, "cross-entropy logits");
            sgtt_clear(m);
        }
    }
}

/* A vocabulary of equal logits: ln V to the last bits, and no drift in the sum. */
static void cross_entropy_is_precise(sgtt_machine *m)
{
    const int64_t v = 50304;
    sgtt_tensor *logits = sgtt_random_matrix(m, SGTT_DENSE, 1, v);
    sgtt_tensor *losses = sgtt_random_vector(m, 1);
    sgtt_tensor *targets = sgtt_random_integers(m, 1, 0, v);
    sgtt_set(m, logits, sgtt_doubles(m, v));
    sgt_cross_entropy_args args = {
        .logits = &logits->t, .targets = &targets->t, .losses = &losses->t};
    double expected = log((double)v);
    sgtt_call(m, cross_entropy, &args);
    sgtt_expect(m, losses, &expected, 5e-8, "ln 50304");
}

/* An almost certain target: its loss is what the others weigh, far below the last bit of 1. */
static void cross_entropy_of_a_certain_target(sgtt_machine *m)
{
    enum { V = 37 };
    sgtt_tensor *logits = sgtt_random_matrix(m, SGTT_DENSE, 1, V);
    sgtt_tensor *dlogits = sgtt_random_matrix(m, SGTT_DENSE, 1, V);
    sgtt_tensor *losses = sgtt_random_vector(m, 1);
    sgtt_tensor *targets = sgtt_random_integers(m, 1, 5, 6);
    double x[V], dx[V];
    for (int i = 0; i < V; i++)
        x[i] = i == 5 ? 16.0 : -8.0;
    sgtt_set(m, logits, x);
    sgt_cross_entropy_args args = {.logits = &logits->t,
                                   .targets = &targets->t,
                                   .losses = &losses->t,
                                   .dlogits = &dlogits->t};
    double loss;
    sgtt_ref_cross_entropy(&loss, dx, x, (const int32_t[]){5}, 1, V);
    sgtt_call(m, cross_entropy, &args);
    sgtt_expect(m, losses, &loss, 1e-6, "loss of a certain target");
    sgtt_expect(m, dlogits, dx, 1e-6, "gradient of a certain target");
}

static void cross_entropy_of_hostile_logits(sgtt_machine *m)
{
    enum { R = 6, V = 35 };
    sgtt_tensor *logits = sgtt_random_matrix(m, SGTT_ROWS, R, V);
    sgtt_tensor *dlogits = sgtt_random_matrix(m, SGTT_ROWS, R, V);
    sgtt_tensor *losses = sgtt_random_vector(m, R);
    sgtt_tensor *targets = sgtt_random_integers(m, R, 0, V);
    const double target_of_row[R] = {3, 3, 3, 3, -1, 3};
    double *x = sgtt_values(m, logits);
    double *losses_expected = sgtt_doubles(m, R);
    double *dlogits_expected = sgtt_doubles(m, R * V);
    x[0 * V + 34] = NAN;        /* all NaN */
    x[1 * V + 20] = INFINITY;   /* all NaN */
    x[2 * V + 3] = -INFINITY;   /* the target is impossible: infinite loss, finite gradient */
    x[3 * V + 9] = -INFINITY;   /* another one is impossible: nothing special */
    x[4 * V + 7] = NAN;         /* ignored */
    for (int i = 0; i < V; i++) /* certain but one: no overflow */
        x[5 * V + i] = i == 3 ? 3e38 : -3e38;
    sgtt_set(m, logits, x);
    sgtt_set(m, targets, target_of_row);
    sgtt_ref_cross_entropy(losses_expected, dlogits_expected, sgtt_values(m, logits),
                           sgtt_integers(m, targets), R, V);
    for (int i = 0; i < 2 * V; i++)
        dlogits_expected[i] = NAN;
    losses_expected[0] = losses_expected[1] = NAN;
    sgt_cross_entropy_args args = {.logits = &logits->t,
                                   .targets = &targets->t,
                                   .losses = &losses->t,
                                   .dlogits = &dlogits->t};
    sgtt_call(m, cross_entropy, &args);
    sgtt_expect(m, losses, losses_expected, 3e-7, "losses of hostile logits");
    sgtt_expect(m, dlogits, dlogits_expected, 1e-6, "gradients of hostile logits");
}

const sgtt_op_test sgtt_cross_entropy_tests[] = {
    cross_entropy_matches, cross_entropy_is_precise, cross_entropy_of_a_certain_target,
    cross_entropy_of_hostile_logits, NULL};
