/* SPDX-License-Identifier: BSD-3-Clause */
/* Each option of a sampler, and many of them together, against a naive implementation. */
#include <math.h>
#include <stdlib.h>

#include "decode/sampler.h"
#include "fixtures.h"
#include "sampler_reference.h"

enum { PICKS = 6, MANY = 2000 };

static const int32_t vocabularies[] = {1, 2, 3, 8, 64, 511, 513, 1000, MANY};
enum { N_VOCABULARIES = sizeof vocabularies / sizeof vocabularies[0] };

/* Draws on which rounding could decide are rare; they end a comparison, for then the windows may
 * differ. */
static int undecided;

/* The next picks of a sampler and of the reference must agree. */
static void compare_picks(sgt_sampler *sampler, reference_sampler *reference, int picks,
                          enum logits_kind kind, uint64_t seed)
{
    int32_t vocab = reference->vocab_size;
    float *logits = malloc((size_t)vocab * sizeof *logits);
    for (int i = 0; i < picks; i++) {
        int32_t token = -1;
        fill_logits(logits, vocab, kind, seed + (uint64_t)i);
        int32_t expected = reference_pick(reference, logits);
        sgtt_ok(sgt_sampler_pick(&token, sampler, logits));
        if (expected < 0) {
            undecided++;
            break;
        }
        ck_assert_msg(token == expected, "V %d, kind %d, seed %d, pick %d: %d, expected %d", vocab,
                      (int)kind, (int)seed, i, token, expected);
    }
    free(logits);
}

static void compare(sgt_context *context, const sgt_sampler_options *options, int32_t vocab,
                    enum logits_kind kind, uint64_t seed)
{
    sgt_sampler *sampler;
    reference_sampler reference;
    sgtt_ok(sgt_sampler_create(&sampler, context, vocab, options));
    reference_open(&reference, vocab, options);
    compare_picks(sampler, &reference, PICKS, kind, seed);
    reference_close(&reference);
    sgt_sampler_free(sampler);
}

/* All vocabularies, all kinds of logits. */
static void compare_all(const sgt_sampler_options *options)
{
    sgt_context *context = sgtt_model_context();
    sgt_sampler_options seeded = *options;
    for (int v = 0; v < N_VOCABULARIES; v++)
        for (int kind = 0; kind < LOGITS_KINDS; kind++) {
            seeded.seed = (uint64_t)(100 * v + kind);
            compare(context, &seeded, vocabularies[v], (enum logits_kind)kind, seeded.seed);
        }
    ck_assert_int_le(undecided, 2);
    sgt_context_free(context);
}

START_TEST(defaults_draw_from_the_softmax)
{
    sgt_sampler_options options = sampling_defaults();
    compare_all(&options);
}
END_TEST

START_TEST(temperature_zero_takes_the_lowest_of_the_likeliest)
{
    sgt_sampler_options options = sampling_defaults();
    options.temperature = 0;
    compare_all(&options);
    options.top_k = 3;
    options.top_p = 0.5;
    options.min_p = 0.5;
    compare_all(&options);
}
END_TEST

static const double temperatures[] = {1e-320, 1e-3, 0.3, 0.8, 2, 50, 1e300};

START_TEST(temperature)
{
    sgt_sampler_options options = sampling_defaults();
    options.temperature = temperatures[_i];
    compare_all(&options);
}
END_TEST

static const int32_t top_ks[] = {1, 2, 7, 63, 64, 999, 100000};

START_TEST(top_k)
{
    sgt_sampler_options options = sampling_defaults();
    options.top_k = top_ks[_i];
    compare_all(&options);
}
END_TEST

static const double top_ps[] = {1e-300, 0.1, 0.5, 0.9, 0.99, 1 - 1e-6, 1 - 1e-12, 1 - 0x1p-53};

START_TEST(top_p)
{
    sgt_sampler_options options = sampling_defaults();
    options.top_p = top_ps[_i];
    compare_all(&options);
    options.temperature = 3;
    compare_all(&options);
    options.top_k = 64;
    compare_all(&options);
}
END_TEST

static const double min_ps[] = {1e-300, 0.01, 0.2, 0.9, 1};

START_TEST(min_p)
{
    sgt_sampler_options options = sampling_defaults();
    options.min_p = min_ps[_i];
    compare_all(&options);
}
END_TEST

START_TEST(filters_together)
{
    sgt_context *context = sgtt_model_context();
    for (uint64_t seed = 0; seed < 600; seed++) {
        sgt_sampler_options options = sampling_defaults();
        options.seed = seed;
        options.top_k = seed % 3 ? (int32_t)(1 + 7 * seed % 300) : 0;
        options.top_p = seed % 4 ? 0.2 + 0.8 * sgtt_uniform(seed, 0) : 1;
        options.min_p = seed % 5 ? 0.2 * sgtt_uniform(seed, 1) : 0;
        options.temperature = 0.1 + 3 * sgtt_uniform(seed, 2);
        options.repetition_penalty = seed % 2 ? 0.5 + 2 * sgtt_uniform(seed, 3) : 1;
        options.repetition_window = (int32_t)(seed % 6);
        compare(context, &options, vocabularies[seed % N_VOCABULARIES],
                (enum logits_kind)(seed % LOGITS_KINDS), seed);
    }
    ck_assert_int_le(undecided, 2);
    sgt_context_free(context);
}
END_TEST

/* The ends of the range of random numbers: the first and the last token that may be drawn. */
START_TEST(first_and_last_token_of_the_draw)
{
    const double ends[] = {0, 1 - 0x1p-53};
    sgt_context *context = sgtt_model_context();
    float logits[MANY];
    for (uint64_t seed = 0; seed < 300; seed++) {
        sgt_sampler_options options = sampling_defaults();
        int32_t vocab = vocabularies[seed % N_VOCABULARIES];
        sgt_sampler *sampler;
        reference_sampler reference;
        options.top_k = seed % 2 ? (int32_t)(1 + seed % 80) : 0;
        options.top_p = seed % 3 ? sgtt_uniform(seed, 0) : 1;
        options.min_p = seed % 5 ? 0 : 0.1;
        sgtt_ok(sgt_sampler_create(&sampler, context, vocab, &options));
        reference_open(&reference, vocab, &options);
        fill_logits(logits, vocab, (enum logits_kind)(seed % LOGITS_KINDS), seed);
        reference_filter(&reference, logits);
        for (int i = 0; i < 2; i++) {
            sgti_choice *choice = &sampler->choice;
            int32_t expected = reference_draw(&reference, ends[i]);
            ck_assert_int_eq(sgti_choice_read(choice->values, logits, vocab), -1);
            int32_t likeliest = sgti_choice_likeliest(choice->values, vocab);
            int32_t token = sgti_choice_draw(choice, likeliest, ends[i]);
            if (expected >= 0)
                ck_assert_int_eq(token, expected);
        }
        reference_close(&reference);
        sgt_sampler_free(sampler);
    }
    sgt_context_free(context);
}
END_TEST

/* Four equal tokens: each has a quarter of the range, its lower end included. */
START_TEST(a_number_on_a_border_is_of_the_next_token)
{
    const float logits[] = {2, 2, 2, 2};
    sgt_context *context = sgtt_model_context();
    for (int setting = 0; setting < 3; setting++) {
        sgt_sampler_options options = sampling_defaults();
        sgt_sampler *sampler;
        options.top_k = setting == 1 ? 3 : 0;
        options.top_p = setting == 2 ? 0.75 : 1;
        sgtt_ok(sgt_sampler_create(&sampler, context, 4, &options));
        sgti_choice *choice = &sampler->choice;
        int32_t kept = setting == 0 ? 4 : 3;
        for (int32_t i = 0; i < kept; i++) {
            double border = (double)i / kept;
            ck_assert_int_eq(sgti_choice_read(choice->values, logits, 4), -1);
            ck_assert_int_eq(sgti_choice_draw(choice, 0, border), i);
        }
        sgt_sampler_free(sampler);
    }
    sgt_context_free(context);
}
END_TEST

/* The same between two blocks of weights that are summed apart. */
START_TEST(a_border_between_blocks)
{
    enum { VOCAB = 2 * SGTI_CHOICE_BLOCK };
    float logits[VOCAB];
    sgt_context *context = sgtt_model_context();
    sgt_sampler *sampler;
    sgtt_ok(sgt_sampler_create(&sampler, context, VOCAB, NULL));
    sgti_choice *choice = &sampler->choice;
    fill_logits(logits, VOCAB, LOGITS_EQUAL, 0);
    ck_assert_int_eq(sgti_choice_read(choice->values, logits, VOCAB), -1);
    ck_assert_int_eq(sgti_choice_draw(choice, 0, 0.5), SGTI_CHOICE_BLOCK);
    ck_assert_int_eq(sgti_choice_draw(choice, 0, 0.5 - 0x1p-40), SGTI_CHOICE_BLOCK - 1);
    sgt_sampler_free(sampler);
    sgt_context_free(context);
}
END_TEST

START_TEST(bias_is_added_and_forbids)
{
    enum { VOCAB = 12 };
    const int32_t tokens[] = {3, 7, 0, 3, 11};
    const float bias[] = {2.5f, -INFINITY, -1e30f, 1.25f, 4};
    sgt_context *context = sgtt_model_context();
    sgt_sampler_options options = sampling_defaults();
    options.bias_tokens = tokens;
    options.bias = bias;
    options.n_bias = 5;
    for (uint64_t seed = 0; seed < 200; seed++) {
        options.seed = seed;
        options.temperature = seed % 4;
        compare(context, &options, VOCAB, (enum logits_kind)(seed % 3), seed);
    }
    sgt_context_free(context);
}
END_TEST

/* The options' arrays belong to the caller. */
START_TEST(bias_is_copied)
{
    enum { VOCAB = 6 };
    int32_t tokens[] = {4};
    float bias[] = {100}, logits[VOCAB] = {0};
    sgt_context *context = sgtt_model_context();
    sgt_sampler_options options = sampling_defaults();
    sgt_sampler *sampler;
    int32_t token = -1;
    options.bias_tokens = tokens;
    options.bias = bias;
    options.n_bias = 1;
    options.temperature = 0;
    sgtt_ok(sgt_sampler_create(&sampler, context, VOCAB, &options));
    tokens[0] = 1;
    bias[0] = -100;
    sgtt_ok(sgt_sampler_pick(&token, sampler, logits));
    ck_assert_int_eq(token, 4);
    for (int i = 0; i < VOCAB; i++)
        ck_assert(logits[i] == 0);
    sgt_sampler_free(sampler);
    sgt_context_free(context);
}
END_TEST

START_TEST(repetition_penalty_of_the_window)
{
    sgt_context *context = sgtt_model_context();
    for (uint64_t seed = 0; seed < 120; seed++) {
        sgt_sampler_options options = sampling_defaults();
        int32_t vocab = 5 + (int32_t)(seed % 30);
        sgt_sampler *sampler;
        reference_sampler reference;
        options.seed = seed;
        options.temperature = seed % 3 ? 1 : 0;
        options.repetition_penalty = seed % 2 ? 1.7 : 0.6;
        options.repetition_window = (int32_t)(seed % 12);
        sgtt_ok(sgt_sampler_create(&sampler, context, vocab, &options));
        reference_open(&reference, vocab, &options);
        for (int i = 0; i < 10; i++) { /* a prompt */
            int32_t token = (int32_t)(sgtt_uniform(seed, (uint64_t)i) * vocab);
            reference_accept(&reference, token);
            sgtt_ok(sgt_sampler_accept(sampler, &token, 1));
        }
        compare_picks(sampler, &reference, 40, LOGITS_EVEN, 1000 * seed);
        reference_close(&reference);
        sgt_sampler_free(sampler);
    }
    ck_assert_int_le(undecided, 2);
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options of samplers");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 30);
    tcase_add_test(cases, defaults_draw_from_the_softmax);
    tcase_add_test(cases, temperature_zero_takes_the_lowest_of_the_likeliest);
    tcase_add_loop_test(cases, temperature, 0, sizeof temperatures / sizeof temperatures[0]);
    tcase_add_loop_test(cases, top_k, 0, sizeof top_ks / sizeof top_ks[0]);
    tcase_add_loop_test(cases, top_p, 0, sizeof top_ps / sizeof top_ps[0]);
    tcase_add_loop_test(cases, min_p, 0, sizeof min_ps / sizeof min_ps[0]);
    tcase_add_test(cases, filters_together);
    tcase_add_test(cases, first_and_last_token_of_the_draw);
    tcase_add_test(cases, a_number_on_a_border_is_of_the_next_token);
    tcase_add_test(cases, a_border_between_blocks);
    tcase_add_test(cases, bias_is_added_and_forbids);
    tcase_add_test(cases, bias_is_copied);
    tcase_add_test(cases, repetition_penalty_of_the_window);
    suite_add_tcase(suite, cases);
    return sgtt_run(suite);
}
