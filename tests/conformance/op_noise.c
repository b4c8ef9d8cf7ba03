/* SPDX-License-Identifier: BSD-3-Clause */
/* The noise of choices: each number is the one that the contract names, and together they are
 * distributed as Gumbel noise is, independently for other seeds and streams. */
#include "suite.h"

#include <math.h>

#include "op_masks.h"
#include "op_reference.h"

/* Value of each unit with its noise; the choice must be the largest, or as good as that. */
static void draws_match(sgtt_machine *m)
{
    static const float temperatures[] = {0.1f, 1.0f, 3.0f};
    SGTT_FOR_EACH_SHAPE(s, layout) {
        const sgtt_shape shape = sgtt_pick_shape(m, s);
        const int64_t n = shape.rows, f = shape.columns;
        const int32_t units = sgtt_pick_units(m, f);
        sgtt_tensor *logits = sgtt_random_matrix(m, layout, n, f);
        sgtt_tensor *choice = sgtt_random_choice(m, n, f / units, units);
        sgt_choose_args args = {.units = units,
                                .seed = (uint64_t)sgtt_below(m, INT64_MAX),
                                .stream = (uint64_t)sgtt_below(m, INT64_MAX),
                                .temperature = temperatures[sgtt_below(m, 3)],
                                .logits = &logits->t,
                                .choice = &choice->t};
        const double *x = sgtt_values(m, logits);
        int32_t *chosen = sgtt_integers(m, choice);
        sgtt_call(m, choose, &args);
        sgtt_read(m, chosen, choice);
        for (int64_t group = 0; group < n * f / units; group++) {
            const int64_t first = group * units;
            double best = -INFINITY, of_choice = NAN;
            for (int64_t i = 0; i < units; i++) {
                const double value = x[first + i] + (double)args.temperature *
                                                        sgtt_ref_gumbel(args.seed, args.stream,
                                                                        (uint64_t)(first + i));
                best = value > best ? value : best;
                of_choice = i == chosen[group] ? value : of_choice;
            }
            sgtt_require(of_choice >= best - 1e-4,
                         "noise of number %lld and on: unit %d has %.6f, the largest is %.6f",
                         (long long)first, (int)chosen[group], of_choice, best);
        }
        sgtt_count(0.0);
        sgtt_clear(m);
    }
}

/* ---- the distribution ---- */

enum { DRAWS = 20000, UNITS = 5 };

static const double scores[UNITS] = {0.3, -0.9, 0.0, 0.7, -0.2};

/* DRAWS choices among the same logits. */
static int32_t *draw(sgtt_machine *m, uint64_t seed, uint64_t stream, float temperature)
{
    sgtt_tensor *logits = sgtt_random_matrix(m, SGTT_DENSE, DRAWS, UNITS);
    sgtt_tensor *choice = sgtt_random_choice(m, DRAWS, 1, UNITS);
    double *x = sgtt_doubles(m, DRAWS * UNITS);
    for (int i = 0; i < DRAWS * UNITS; i++)
        x[i] = scores[i % UNITS];
    sgtt_set(m, logits, x);
    sgt_choose_args args = {.units = UNITS,
                            .seed = seed,
                            .stream = stream,
                            .temperature = temperature,
                            .logits = &logits->t,
                            .choice = &choice->t};
    int32_t *chosen = sgtt_integers(m, choice);
    sgtt_call(m, choose, &args);
    sgtt_read(m, chosen, choice);
    return chosen;
}

/* The largest of z + t g is unit i with probability softmax(z / t)_i (Gumbel's maximum). The sum of
 * (observed - expected)^2 / expected over the units has 4 degrees of freedom: it is above 23.5 once
 * in ten thousand seeds. */
static void choices_have_their_frequencies(sgtt_machine *m)
{
    static const float temperatures[] = {0.5f, 1.0f, 2.0f};
    for (int k = 0; k < 3; k++) {
        double scaled[UNITS], share[UNITS], count[UNITS] = {0.0}, sum = 0.0;
        const int32_t *chosen = draw(m, 17 + (uint64_t)m->round, 4, temperatures[k]);
        for (int i = 0; i < UNITS; i++)
            scaled[i] = scores[i] / (double)temperatures[k];
        sgtt_ref_softmax(share, scaled, 1, UNITS);
        for (int i = 0; i < DRAWS; i++)
            count[chosen[i]] += 1.0;
        for (int i = 0; i < UNITS; i++) {
            const double expected = DRAWS * share[i];
            sum += (count[i] - expected) * (count[i] - expected) / expected;
        }
        sgtt_require(sum < 23.5, "frequencies of choices at temperature %g: chi-square %.1f",
                     (double)temperatures[k], sum);
        sgtt_count(sum / 23.5);
        sgtt_clear(m);
    }
}

/* The same for pairs of choices: with 16 degrees of freedom, 45.9 once in ten thousand. */
static void expect_independent(const int32_t *a, const int32_t *b, int count, const char *what)
{
    double pairs[UNITS][UNITS] = {{0.0}}, of_a[UNITS] = {0.0}, of_b[UNITS] = {0.0}, sum = 0.0;
    for (int i = 0; i < count; i++) {
        pairs[a[i]][b[i]] += 1.0;
        of_a[a[i]] += 1.0;
        of_b[b[i]] += 1.0;
    }
    for (int i = 0; i < UNITS; i++) {
        for (int j = 0; j < UNITS; j++) {
            const double expected = of_a[i] * of_b[j] / count;
            sum += (pairs[i][j] - expected) * (pairs[i][j] - expected) / expected;
        }
    }
    sgtt_require(sum < 45.9, "choices of %s depend on each other: chi-square %.1f", what, sum);
    sgtt_count(sum / 45.9);
}

static void draws_are_independent(sgtt_machine *m)
{
    static const struct {
        uint64_t seed;
        uint64_t stream;
        const char *what;
    } others[] = {{12, 4, "two seeds"},
                  {11 + (UINT64_C(1) << 32), 4, "two seeds with equal lower halves"},
                  {11, 5, "two streams"},
                  {11, 4 + (UINT64_C(1) << 32), "two streams with equal lower halves"}};
    const int32_t *chosen = draw(m, 11, 4, 1.0f);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        expect_independent(chosen, draw(m, others[i].seed, others[i].stream, 1.0f), DRAWS,
                           others[i].what);
    expect_independent(chosen, chosen + 1, DRAWS - 1, "two rows");
}

/* The single draws come last, so that what is wrong with all of them is said first. */
const sgtt_op_test sgtt_choose_noise[] = {choices_have_their_frequencies, draws_are_independent,
                                          draws_match, NULL};
