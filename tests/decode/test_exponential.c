/* SPDX-License-Identifier: BSD-3-Clause */
/* The library's own exponential against the C library's, and at its ends. */
#include <float.h>
#include <math.h>

#include "decode/choice.h"
#include "decode/exponential.h"
#include "testing.h"

/* Relative error against a wider type where there is one. */
static double error_at(double x)
{
    long double exact = expl((long double)x);
    return (double)fabsl(((long double)sgti_exp(x) - exact) / exact);
}

START_TEST(as_accurate_as_promised)
{
    const double bound = LDBL_MANT_DIG > DBL_MANT_DIG ? 2e-16 : 4e-16;
    double worst = 0;
    for (int i = 0; i <= 1000000; i++)
        worst = fmax(worst, error_at(SGTI_EXP_LEAST * i / 1000000.0));
    for (double x = -1; x < -1e-300; x *= 0.97)
        worst = fmax(worst, error_at(x));
    ck_assert_double_le(worst, bound);
    ck_assert_double_gt(worst, 1e-17); /* something was compared */
}
END_TEST

/* Where k changes, the remainder is largest. */
START_TEST(halfway_between_powers_of_two)
{
    double worst = 0;
    for (int k = 0; k < 1020; k++) {
        double x = -(k + 0.5) * 0x1.62e42fefa39efp-1;
        for (int i = 0; i < 20; i++, x = nextafter(x, 0))
            worst = fmax(worst, error_at(x));
    }
    ck_assert_double_le(worst, 2e-16);
}
END_TEST

START_TEST(ends)
{
    ck_assert(sgti_exp(0) == 1);
    ck_assert(sgti_exp(-0.0) == 1);
    ck_assert(sgti_exp(-5e-324) == 1);
    ck_assert(sgti_exp(SGTI_EXP_LEAST) >= DBL_MIN);
    ck_assert(sgti_exp(nextafter(SGTI_EXP_LEAST, -INFINITY)) == 0);
    ck_assert(sgti_exp(-DBL_MAX) == 0);
    ck_assert(sgti_exp(-INFINITY) == 0);
}
END_TEST

/* A likelier token never weighs less, beyond the last bit. */
START_TEST(rises)
{
    double before = 0;
    int falls = 0;
    for (int i = 0; i <= 1000000; i++) {
        double y = sgti_exp(-40 + 40 * (i / 1e6));
        falls += y <= before;
        before = y;
    }
    ck_assert_int_eq(falls, 0);
}
END_TEST

/* A hash of the bits of many results, written down once: no processor fuses a product and a sum. */
START_TEST(the_same_bits_everywhere)
{
    uint64_t hash = 0;
    for (int i = 0; i < 5000; i++) {
        float logit = (float)i * -0x1p-7f;
        double result = sgti_choice_sum_exp(&logit, 1, 2.5 + i % 7);
        uint64_t bits;
        memcpy(&bits, &result, sizeof bits);
        hash = (hash ^ bits) * UINT64_C(0x100000001b3);
    }
    ck_assert_uint_eq(hash, UINT64_C(0x8e99d55ba7f8faf9));
}
END_TEST

/* The order of the sums of it, which vectorising must not change. */
START_TEST(sums_of_it)
{
    enum { N = 1300 };
    float logits[N];
    double blocks = 0;
    for (int i = 0; i < N; i++)
        logits[i] = (float)(-(i * i) % 701) * 0.13f;
    for (int first = 0; first < N; first += SGTI_CHOICE_BLOCK) {
        int end = first + SGTI_CHOICE_BLOCK < N ? first + SGTI_CHOICE_BLOCK : N;
        double lanes[8] = {0}, together = 0;
        int whole = first + (end - first) / 8 * 8;
        for (int i = first; i < whole; i++)
            lanes[(i - first) % 8] += sgti_exp((double)logits[i] - 2.5);
        for (int j = 0; j < 8; j++)
            together += lanes[j];
        for (int i = whole; i < end; i++)
            together += sgti_exp((double)logits[i] - 2.5);
        blocks += together;
    }
    ck_assert(sgti_choice_sum_exp(logits, N, 2.5) == blocks);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exponential");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 30);
    tcase_add_test(cases, as_accurate_as_promised);
    tcase_add_test(cases, halfway_between_powers_of_two);
    tcase_add_test(cases, ends);
    tcase_add_test(cases, rises);
    tcase_add_test(cases, the_same_bits_everywhere);
    tcase_add_test(cases, sums_of_it);
    suite_add_tcase(suite, cases);
    return sgtt_run(suite);
}
