/* SPDX-License-Identifier: BSD-3-Clause */
/* Counter-based random numbers: known answers, the cut, and moments. */
#include <math.h>

#include "base/random.h"
#include "testing.h"

typedef struct answer {
    uint64_t seed, stream, index; /* key, upper and lower half of the counter */
    uint32_t bits[4];
} answer;

/* philox4x32-10 of Random123's table of known answers (kat_vectors). */
static const answer answers[] = {
    {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {0x299f31d0a4093822,
     0x0370734413198a2e,
     0x85a308d3243f6a88,
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

START_TEST(known_answers)
{
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        uint32_t bits[4];
        sgti_random_bits(bits, answers[i].seed, answers[i].stream, answers[i].index);
        for (int word = 0; word < 4; word++)
            ck_assert_uint_eq(bits[word], answers[i].bits[word]);
    }
}
END_TEST

/* Mean and variance of a normal cut at c: 0 and 1 - 2 c phi(c) / (2 Phi(c) - 1). */
static double cut_variance(double cut)
{
    double density = exp(-0.5 * cut * cut) / sqrt(2 * acos(-1.0));
    return 1 - 2 * cut * density / erf(cut / sqrt(2));
}

START_TEST(moments_and_bound)
{
    const double cuts[] = {0.01, 0.9, 1, 2, 3, 8};
    const int count = 20000;
    double cut = cuts[_i];
    double sum = 0, squares = 0, largest = 0;
    for (int i = 0; i < count; i++) {
        double z = sgti_random_truncated_normal(7, 3, (uint64_t)i, cut);
        sum += z;
        squares += z * z;
        largest = fmax(largest, fabs(z));
    }
    double variance = cut_variance(cut);
    ck_assert_double_le(largest, cut);
    ck_assert_double_gt(largest, cut * (cut > 3 ? 0.4 : 0.9));
    ck_assert_double_eq_tol(sum / count, 0, 4 * sqrt(variance / count));
    ck_assert_double_eq_tol(squares / count, variance, 0.05 * variance);
}
END_TEST

START_TEST(a_number_depends_on_its_place_only)
{
    double z = sgti_random_truncated_normal(1, 2, 3, 3);
    ck_assert_double_eq(sgti_random_truncated_normal(1, 2, 3, 3), z);
    ck_assert_double_ne(sgti_random_truncated_normal(2, 2, 3, 3), z);
    ck_assert_double_ne(sgti_random_truncated_normal(1, 3, 3, 3), z);
    ck_assert_double_ne(sgti_random_truncated_normal(1, 2, 4, 3), z);
}
END_TEST

/* Correlation between neighbours, which share all but a bit of the counter. */
START_TEST(neighbours_are_independent)
{
    const int count = 10000;
    double along_index = 0, along_stream = 0;
    for (uint64_t i = 0; i < (uint64_t)count; i++) {
        double z = sgti_random_truncated_normal(5, 0, i, 3);
        along_index += z * sgti_random_truncated_normal(5, 0, i + 1, 3);
        along_stream += z * sgti_random_truncated_normal(5, 1, i, 3);
    }
    ck_assert_double_eq_tol(along_index / count, 0, 0.04);
    ck_assert_double_eq_tol(along_stream / count, 0, 0.04);
}
END_TEST

/* Of two numbers that are drawn again, with a cut that refuses one in ten, none may be the first of
 * the stream beside it. */
START_TEST(a_redraw_is_nobody_else_s_number)
{
    for (uint64_t i = 0; i < 2000; i++)
        for (uint64_t stream = 1; stream < 4; stream++)
            ck_assert_double_ne(sgti_random_truncated_normal(5, 0, i, 1),
                                sgti_random_truncated_normal(5, stream, i, 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random");
    TCase *tests = tcase_create("random");
    tcase_add_test(tests, known_answers);
    tcase_add_loop_test(tests, moments_and_bound, 0, 6);
    tcase_add_test(tests, a_number_depends_on_its_place_only);
    tcase_add_test(tests, neighbours_are_independent);
    tcase_add_test(tests, a_redraw_is_nobody_else_s_number);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
