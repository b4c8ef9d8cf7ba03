/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether draws follow the distribution they should: Pearson's chi-square, with fixed seeds. */
#include <math.h>

#include "fixtures.h"
#include "sampler_reference.h"

enum { VOCAB = 1100, DRAWS = 20000 };

/* Wilson and Hilferty, 1931: the chi-square that one in ten thousand exceeds. */
static double critical(int freedom)
{
    double spread = 2.0 / (9.0 * freedom);
    return freedom * pow(1 - spread + 3.719 * sqrt(spread), 3);
}

/* Chi-square of `counts` against the kept tokens of a reference; those expected fewer than 8 times
 * count as one. Every draw must be of a kept token. */
static double chi_square(int *freedom, const int *counts, const reference_sampler *reference)
{
    double total = 0, square = 0, rare = 0;
    int seen = 0, rare_seen = 0, cells = 0;
    for (int32_t i = 0; i < reference->n_kept; i++)
        total += reference->kept[i].weight;
    for (int32_t i = 0; i < reference->n_kept; i++) {
        double expected = DRAWS * reference->kept[i].weight / total;
        int count = counts[reference->kept[i].token];
        seen += count;
        if (expected < 8) {
            rare += expected;
            rare_seen += count;
            continue;
        }
        square += (count - expected) * (count - expected) / expected;
        cells++;
    }
    ck_assert_int_eq(seen, DRAWS);
    if (rare > 0) {
        square += (rare_seen - rare) * (rare_seen - rare) / rare;
        cells++;
    }
    *freedom = cells - 1;
    return square;
}

static void draw_many(int *counts, sgt_context *context, const sgt_sampler_options *options,
                      const float *logits)
{
    sgt_sampler *sampler;
    for (int i = 0; i < VOCAB; i++)
        counts[i] = 0;
    sgtt_ok(sgt_sampler_create(&sampler, context, VOCAB, options));
    sgt_status status = SGT_OK; /* checked once: a check costs more than a pick */
    for (int i = 0; i < DRAWS && status == SGT_OK; i++) {
        int32_t token = 0;
        status = sgt_sampler_pick(&token, sampler, logits);
        counts[token]++;
    }
    sgtt_ok(status);
    sgt_sampler_free(sampler);
}

static const struct {
    int32_t top_k;
    double top_p, min_p, temperature;
} settings[] = {
    {0, 1, 0, 1},     {0, 1, 0, 4},         {30, 1, 0, 2},
    {0, 0.8, 0, 1.5}, {100, 0.9, 0.01, 2}, {0, 1, 0.2, 3},
};
enum { N_SETTINGS = sizeof settings / sizeof settings[0] };

static sgt_sampler_options options_of(int number)
{
    sgt_sampler_options options = sampling_defaults();
    options.top_k = settings[number].top_k;
    options.top_p = settings[number].top_p;
    options.min_p = settings[number].min_p;
    options.temperature = settings[number].temperature;
    options.seed = 11;
    return options;
}

START_TEST(draws_follow_the_distribution)
{
    static int counts[VOCAB];
    float logits[VOCAB];
    int freedom;
    sgt_context *context = sgtt_model_context();
    sgt_sampler_options options = options_of(_i);
    reference_sampler reference;
    fill_logits(logits, VOCAB, LOGITS_EVEN, 3);
    draw_many(counts, context, &options, logits);
    reference_open(&reference, VOCAB, &options);
    reference_filter(&reference, logits);
    double square = chi_square(&freedom, counts, &reference);
    ck_assert_int_ge(freedom, 5);
    ck_assert_double_lt(square, critical(freedom));
    reference_close(&reference);
    sgt_context_free(context);
}
END_TEST

/* The measure is sharp enough to tell a temperature that is a tenth off. */
START_TEST(another_distribution_is_noticed)
{
    static int counts[VOCAB];
    float logits[VOCAB];
    int freedom;
    sgt_context *context = sgtt_model_context();
    sgt_sampler_options options = options_of(0);
    reference_sampler reference;
    fill_logits(logits, VOCAB, LOGITS_EVEN, 3);
    draw_many(counts, context, &options, logits);
    options.temperature = 1.1;
    reference_open(&reference, VOCAB, &options);
    reference_filter(&reference, logits);
    double square = chi_square(&freedom, counts, &reference);
    ck_assert_double_gt(square, critical(freedom));
    reference_close(&reference);
    sgt_context_free(context);
}
END_TEST

/* Pairs of successive draws out of four equal tokens: sixteen equal cells. */
START_TEST(successive_draws_are_independent)
{
    enum { TOKENS = 4, CELLS = TOKENS * TOKENS };
    const float logits[TOKENS] = {0};
    int counts[CELLS] = {0};
    int32_t last = 0, token = 0;
    double square = 0;
    sgt_context *context = sgtt_model_context();
    sgt_sampler *sampler;
    sgtt_ok(sgt_sampler_create(&sampler, context, TOKENS, NULL));
    for (int i = 0; i < DRAWS; i++) {
        sgtt_ok(sgt_sampler_pick(&token, sampler, logits));
        counts[TOKENS * last + token]++;
        last = token;
    }
    for (int i = 0; i < CELLS; i++)
        square += pow(counts[i] - (double)DRAWS / CELLS, 2) / ((double)DRAWS / CELLS);
    ck_assert_double_lt(square, critical(CELLS - 1));
    sgt_sampler_free(sampler);
    sgt_context_free(context);
}
END_TEST

START_TEST(seeds_and_resets)
{
    enum { PICKS = 40 };
    float logits[VOCAB];
    int32_t first[PICKS], again[PICKS];
    int equal = 0;
    sgt_context *context = sgtt_model_context();
    sgt_sampler_options options = sampling_defaults();
    sgt_sampler *sampler;
    options.temperature = 4;
    options.repetition_penalty = 3;
    options.seed = UINT64_MAX;
    fill_logits(logits, VOCAB, LOGITS_EVEN, 3);
    sgtt_ok(sgt_sampler_create(&sampler, context, VOCAB, &options));
    for (int i = 0; i < PICKS; i++)
        sgtt_ok(sgt_sampler_pick(&first[i], sampler, logits));
    sgtt_ok(sgt_sampler_reset(sampler, UINT64_MAX));
    for (int i = 0; i < PICKS; i++) {
        sgtt_ok(sgt_sampler_pick(&again[i], sampler, logits));
        ck_assert_int_eq(again[i], first[i]);
    }
    sgtt_ok(sgt_sampler_reset(sampler, 1));
    for (int i = 0; i < PICKS; i++) {
        sgtt_ok(sgt_sampler_pick(&again[i], sampler, logits));
        equal += again[i] == first[i];
    }
    ck_assert_int_lt(equal, PICKS / 4);
    sgt_sampler_free(sampler);
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("draws of samplers");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 30);
    tcase_add_loop_test(cases, draws_follow_the_distribution, 0, N_SETTINGS);
    tcase_add_test(cases, another_distribution_is_noticed);
    tcase_add_test(cases, successive_draws_are_independent);
    tcase_add_test(cases, seeds_and_resets);
    suite_add_tcase(suite, cases);
    return sgtt_run(suite);
}
