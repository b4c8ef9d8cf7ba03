/* SPDX-License-Identifier: BSD-3-Clause */
/* Choosing units, the softmax of groups and its gradient. The noise itself is checked in
 * op_noise.c. */
#include "suite.h"

#include <math.h>

#include "op_masks.h"
#include "op_reference.h"

/* Of -7, so that what is not written is seen. */
static sgtt_tensor *empty_choice(sgtt_machine *m, int64_t rows, int64_t groups)
{
    const int64_t shape[] = {rows, groups};
    sgtt_tensor *choice = sgtt_make(m, SGT_I32, SGTT_DENSE, 2, shape);
    sgtt_set_random(m, choice, -7.0, -7.0);
    return choice;
}

static double *as_doubles(sgtt_machine *m, const int32_t *values, int64_t count)
{
    double *made = sgtt_doubles(m, count);
    for (int64_t i = 0; i < count; i++)
        made[i] = values[i];
    return made;
}

enum { NO_MASK_WANTED, SEPARATE, IN_PLACE, WAYS };

/* Small whole numbers: most groups have several that are largest. */
static void choose_matches(sgtt_machine *m)
{
    SGTT_FOR_EACH_SHAPE(s, layout) {
        for (int way = 0; way < 2 * WAYS; way++) {
            const sgtt_shape shape = sgtt_pick_shape(m, s);
            const int64_t n = shape.rows, f = shape.columns;
            const int32_t units = sgtt_pick_units(m, f);
            sgtt_tensor *logits = sgtt_random_matrix(m, layout, n, f);
            sgtt_tensor *mask = way % WAYS == NO_MASK_WANTED ? NULL
                                : way % WAYS == IN_PLACE
                                    ? logits
                                    : sgtt_make(m, SGT_F32, layout, 2, (const int64_t[]){n, f});
            sgtt_tensor *choice = empty_choice(m, n, f / units);
            double *x = sgtt_values(m, logits);
            int32_t *chosen = sgtt_integers(m, choice);
            double *soft = sgtt_doubles(m, n * f);
            for (int64_t i = 0; i < n * f; i++)
                x[i] = way < WAYS ? (double)sgtt_below(m, 4) : 8.0 * x[i];
            sgtt_set(m, logits, x);
            x = sgtt_values(m, logits);
            sgtt_ref_choose(chosen, x, n * f / units, units);
            sgtt_ref_softmax(soft, x, n * f / units, units);
            sgt_choose_args args = {.units = units,
                                    .seed = 3,
                                    .stream = 5,
                                    .logits = &logits->t,
                                    .choice = &choice->t,
                                    .mask = sgtt_given(mask)};
            sgtt_call(m, choose, &args);
            sgtt_expect(m, choice, as_doubles(m, chosen, n * f / units), 0.0,
                        way < WAYS ? "choice among equals" : "choice");
            if (mask)
                sgtt_expect(m, mask, soft, 2e-6 + 3e-10 * units, "softmax of a group");
            if (mask != logits)
                sgtt_expect_unchanged(m, logits, "choose logits");
            sgtt_clear(m);
        }
    }
}

/* The mask alone, as a forward that is made again asks for it; of a hard step with its noise. */
static void choose_without_a_choice(sgtt_machine *m)
{
    SGTT_FOR_EACH_SHAPE(s, layout) {
        const sgtt_shape shape = sgtt_pick_shape(m, s);
        const int64_t n = shape.rows, f = shape.columns;
        const int32_t units = sgtt_pick_units(m, f);
        sgtt_tensor *logits = sgtt_random_matrix(m, layout, n, f);
        double *soft = sgtt_doubles(m, n * f);
        sgtt_ref_softmax(soft, sgtt_values(m, logits), n * f / units, units);
        sgt_choose_args args = {.units = units,
                                .seed = 3,
                                .stream = 5,
                                .temperature = s % 2 ? 0.0f : 0.5f,
                                .logits = &logits->t,
                                .mask = &logits->t};
        sgtt_call(m, choose, &args);
        sgtt_expect(m, logits, soft, 2e-6 + 3e-10 * units, "softmax without a choice");
        sgtt_clear(m);
    }
}

/* Whatever the logits are, a choice is an index of its group. */
static void choose_of_hostile_logits(sgtt_machine *m)
{
    enum { R = 6, U = 19 };
    sgtt_tensor *logits = sgtt_random_matrix(m, SGTT_ROWS, R, 2 * U);
    sgtt_tensor *choice = empty_choice(m, R, 2);
    double *x = sgtt_values(m, logits);
    int32_t *chosen = sgtt_integers(m, choice);
    for (int i = 0; i < U; i++) {
        x[0 * 2 * U + i] = NAN;             /* nothing else: the first */
        x[1 * 2 * U + U + i] = -INFINITY;   /* all are equal: the first */
        x[2 * 2 * U + i] = i ? -1e38 : NAN; /* the first number behind it */
        x[3 * 2 * U + i] = i % 3 ? NAN : -INFINITY;
    }
    x[4 * 2 * U + 5] = x[4 * 2 * U + 18] = INFINITY; /* the lower of the two */
    x[5 * 2 * U + U + 18] = 1e38;
    x[5 * 2 * U + U + 17] = NAN;
    sgtt_set(m, logits, x);
    sgtt_ref_choose(chosen, x, 2 * R, U);
    sgt_choose_args args = {.units = U, .logits = &logits->t, .choice = &choice->t};
    sgtt_call(m, choose, &args);
    sgtt_expect(m, choice, as_doubles(m, chosen, 2 * R), 0.0, "choice among hostile logits");
    args.temperature = 0.5f;
    sgtt_call(m, choose, &args);
    int32_t *noisy = sgtt_integers(m, choice);
    sgtt_read(m, noisy, choice);
    for (int i = 0; i < 2 * R; i++)
        sgtt_require(noisy[i] >= 0 && noisy[i] < U, "a choice among hostile logits is %d",
                     (int)noisy[i]);
    sgtt_count(0.0);
}

/* No exponential overflows, and one far below adds nothing. */
static void softmax_of_large_logits(sgtt_machine *m)
{
    enum { U = 21 };
    double x[2 * U], expected[2 * U];
    sgtt_tensor *logits = sgtt_random_matrix(m, SGTT_ROWS, 1, 2 * U);
    sgtt_tensor *choice = empty_choice(m, 1, 2);
    for (int i = 0; i < U; i++) {
        x[i] = i == 4 ? -INFINITY : 1e4;
        x[U + i] = i == 7 ? 3e38 : -3e38;
    }
    sgtt_set(m, logits, x);
    sgtt_ref_softmax(expected, sgtt_values(m, logits), 2, U);
    sgt_choose_args args = {
        .units = U, .logits = &logits->t, .choice = &choice->t, .mask = &logits->t};
    sgtt_call(m, choose, &args);
    sgtt_expect(m, logits, expected, 1e-6, "softmax of large logits");
}

/* ---- the gradient ---- */

/* With a choice the gradient of all other units is 0. */
static void choose_backward_of(sgtt_machine *m, enum sgtt_layout layout, sgtt_shape shape,
                               int with_choice, int alias)
{
    const int64_t n = shape.rows, f = shape.columns;
    const int32_t units = sgtt_pick_units(m, f);
    const int64_t groups = f / units;
    sgtt_tensor *mask = sgtt_random_matrix(m, layout, n, f);
    sgtt_tensor *choice = with_choice ? sgtt_random_choice(m, n, groups, units) : NULL;
    sgtt_tensor *dmask = sgtt_random_matrix(m, layout, n, with_choice ? groups : f);
    sgtt_tensor *dlogits = alias == 1                  ? mask
                           : alias == 2 && !with_choice ? dmask
                                                       : sgtt_random_matrix(m, layout, n, f);
    double *dm = sgtt_values(m, dmask);
    if (with_choice) {
        const double *of_chosen = dm;
        const int32_t *chosen = sgtt_integers(m, choice);
        dm = sgtt_doubles(m, n * f);
        for (int64_t s = 0; s < n * groups; s++)
            dm[s * units + chosen[s]] = of_chosen[s];
    }
    double *expected = sgtt_doubles(m, n * f);
    sgtt_ref_softmax_backward(expected, sgtt_values(m, mask), dm, n * groups, units);
    sgt_choose_backward_args args = {.units = units,
                                     .mask = &mask->t,
                                     .dmask = &dmask->t,
                                     .choice = sgtt_given(choice),
                                     .dlogits = &dlogits->t};
    sgtt_call(m, choose_backward, &args);
    sgtt_expect(m, dlogits, expected, 5e-6, "choose dlogits");
    if (dlogits != mask)
        sgtt_expect_unchanged(m, mask, "choose_backward mask");
    if (dlogits != dmask)
        sgtt_expect_unchanged(m, dmask, "choose_backward dmask");
}

static void choose_backward_matches(sgtt_machine *m)
{
    SGTT_FOR_EACH_SHAPE(s, layout) {
        for (int way = 0; way < 6; way++) {
            choose_backward_of(m, layout, sgtt_pick_shape(m, s), way % 2, way / 2);
            sgtt_clear(m);
        }
    }
}

const sgtt_op_test sgtt_choose_tests[] = {choose_matches, choose_of_hostile_logits,
                                          softmax_of_large_logits, choose_without_a_choice, NULL};
const sgtt_op_test sgtt_choose_backward_tests[] = {choose_backward_matches, NULL};
