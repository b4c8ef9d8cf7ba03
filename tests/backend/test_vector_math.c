/* SPDX-License-Identifier: BSD-3-Clause */
/* Exponential and logarithm to units in the last place, noise from words, reductions in one order
 * for every instruction set, tails that touch nothing past their end, and how few rows round. */
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/isa_choice.h"
#include "backend/portable/isa_name.h"
#include "testing.h"
#include "vector_probe.h"

#define LANES 16

static const struct {
    const char *isa;
    const sgtt_vector_probe *probe;
} probes[] = {
    {"baseline", &sgtt_vector_probe_baseline},
#ifdef SGTI_HAVE_WIDE_ISA
    {"avx2", &sgtt_vector_probe_avx2},
    {"avx512", &sgtt_vector_probe_avx512},
#endif
};

/* How many of them this processor runs; they are in ascending order. */
static int supported(void)
{
    int count = 0;
    const char *chosen;
    while (count < (int)(sizeof probes / sizeof probes[0])
           && sgti_isa_choose(&chosen, probes[count].isa) == SGT_OK)
        count++;
    return count;
}

START_TEST(exponential_is_accurate)
{
    float x[LANES], y[LANES];
    double worst = 0.0, where = 0.0;
    for (double start = -87.3; start < 88.7; start += LANES * 0.00037) {
        for (int i = 0; i < LANES; i++)
            x[i] = (float)(start + 0.00037 * i);
        probes[_i].probe->exponential(y, x);
        for (int i = 0; i < LANES; i++) {
            double exact = exp((double)x[i]);
            double unit = ldexp(1.0, ilogb(exact) - 23);
            double error = fabs((double)y[i] - exact) / unit;
            if (isinf(y[i]) ? exact < 0x1.fffffefp127 : error > worst) {
                worst = error;
                where = (double)x[i];
            }
        }
    }
    ck_assert_msg(worst <= 1.1, "%s: %.3f units off at %.9g", probes[_i].isa, worst, where);
}
END_TEST

START_TEST(exponential_at_the_ends)
{
    const float x[LANES] = {0.0f,    -0.0f,  INFINITY, -INFINITY, NAN,    88.73f, 1e30f, -1e30f,
                            -104.1f, -103.9f, -88.0f,  -95.0f,    88.72f, 1e-30f, 3e38f, -3e38f};
    float y[LANES];
    probes[_i].probe->exponential(y, x);
    for (int i = 0; i < LANES; i++) {
        double exact = exp((double)x[i]);
        /* Denormal results are as good as their spacing allows. */
        double allowed = isfinite(exact) ? exact * 0x1p-23 + 0x1p-149 : 0.0;
        ck_assert_msg(isnan(x[i]) ? isnan(y[i])
                      : exact > 0x1.ffffffp127
                          ? isinf(y[i]) && y[i] > 0.0f
                          : fabs((double)y[i] - exact) <= allowed,
                      "%s: e^%g is %g", probes[_i].isa, (double)x[i], (double)y[i]);
    }
    ck_assert(y[0] == 1.0f && y[1] == 1.0f && y[3] == 0.0f);
}
END_TEST

/* Near 1, where the logarithm is small, and over all that noise takes it of. */
START_TEST(logarithm_is_accurate)
{
    float x[LANES], y[LANES];
    double worst = 0.0, where = 0.0;
    for (double start = 1e-6; start < 20.0; start *= 1.0 + LANES * 1e-5) {
        for (int i = 0; i < LANES; i++)
            x[i] = (float)(start * (1.0 + i * 1e-5));
        probes[_i].probe->logarithm(y, x);
        for (int i = 0; i < LANES; i++) {
            double exact = log((double)x[i]);
            double unit = exact != 0.0 ? ldexp(1.0, ilogb(exact) - 23) : 0x1p-149;
            double error = fabs((double)y[i] - exact) / unit;
            where = error > worst ? (double)x[i] : where;
            worst = error > worst ? error : worst;
        }
    }
    ck_assert_msg(worst <= 2.0, "%s: %.3f units off at %.9g", probes[_i].isa, worst, where);
}
END_TEST

/* Up to 13.8, and at both ends as exact as in the middle. */
START_TEST(noise_is_accurate)
{
    static const uint32_t ends[] = {0u, 1u, 77u, 0x7fffffffu, 0x80000000u, 0xffffff00u,
                                    0xfffffffeu, 0xffffffffu};
    uint32_t words[LANES], state = 1;
    float g[LANES];
    for (int round = 0; round < 20000; round++) {
        for (int i = 0; i < LANES; i++) {
            state = state * 1664525u + 1013904223u;
            words[i] = i < 8 ? ends[i] ^ (state >> 8) % (1u + (uint32_t)round) : state;
        }
        probes[_i].probe->gumbel(g, words);
        for (int i = 0; i < LANES; i++) {
            double u = 1e-6 + (1.0 - 2e-6) * ((double)words[i] + 0.5) / 4294967296.0;
            double error = fabs((double)g[i] + log(-log(u)));
            ck_assert_msg(error <= 1.5e-6, "%s: %.3g off for word %u", probes[_i].isa, error,
                          words[i]);
        }
    }
}
END_TEST

START_TEST(equal_lanes_are_bits)
{
    for (uint32_t bits = 0; bits < 1u << LANES; bits += 97) {
        float a[LANES], b[LANES];
        for (int i = 0; i < LANES; i++) {
            a[i] = bits >> i & 1 ? -0.0f : NAN;
            b[i] = bits >> i & 1 ? 0.0f : NAN;
        }
        ck_assert_uint_eq(probes[_i].probe->equal(a, b), bits);
    }
}
END_TEST

/* Numbers of many sizes: another order would give another last bit in most of the rounds. */
START_TEST(sums_take_the_documented_order)
{
    uint32_t state = 1;
    for (int round = 0; round < 100; round++) {
        float x[LANES], half[LANES];
        for (int i = 0; i < LANES; i++) {
            state = state * 1664525u + 1013904223u;
            half[i] = x[i] = ldexpf((float)(int32_t)state, (int)(state >> 8 & 15u));
        }
        for (int width = LANES / 2; width > 0; width /= 2) {
            for (int i = 0; i < width; i++)
                half[i] += half[i + width];
        }
        float got = probes[_i].probe->sum(x);
        ck_assert_msg(got == half[0], "%s: %.9g, not %.9g", probes[_i].isa, (double)got,
                      (double)half[0]);
    }
}
END_TEST

START_TEST(highest_looks_at_every_lane)
{
    for (int top = 0; top < LANES; top++) {
        float x[LANES];
        for (int i = 0; i < LANES; i++)
            x[i] = i == top ? -1.0f : -INFINITY;
        ck_assert(probes[_i].probe->highest(x) == -1.0f);
    }
}
END_TEST

/* At the very end of a page before one that cannot be read or written. */
START_TEST(tails_stay_inside)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(pages != MAP_FAILED);
    ck_assert(mprotect(pages + page, page, PROT_NONE) == 0);
    for (size_t count = 1; count <= LANES; count++) {
        float *x = (float *)(void *)(pages + page) - count;
        float y[LANES], loaded[LANES];
        for (size_t i = 0; i < count; i++)
            x[i] = (float)(i + 1);
        for (size_t i = 0; i < LANES; i++)
            y[i] = -7.0f;
        probes[_i].probe->tail(y, x, count);
        probes[_i].probe->load_tail(loaded, x, count, -INFINITY);
        for (size_t i = 0; i < LANES; i++) {
            ck_assert(y[i] == (i < count ? 2.0f * (float)(i + 1) : -7.0f));
            ck_assert(loaded[i] == (i < count ? (float)(i + 1) : -INFINITY));
        }
        probes[_i].probe->tail(x, x, count);
        ck_assert(x[count - 1] == 2.0f * (float)count);
    }
    munmap(pages, 2 * page);
}
END_TEST

/* One is fused where the processor can; never the product with alpha. */
static void check_sum(float found, float product, float beta, float d)
{
    const volatile float rounded = product * 0.37f, beside = beta * d;
    ck_assert_msg(found == rounded + beside || found == fmaf(beta, d, rounded),
                  "%a is not %a + %a * %a", (double)found, (double)rounded, (double)beta,
                  (double)d);
}

/* With a depth of 1 the product that alpha multiplies is known. Every number of rows and columns
 * has its own code. */
START_TEST(few_rows_round_the_product_with_alpha)
{
    enum { ROWS = SGTI_FEW_ROWS, COLS = 5 };
    float a[ROWS], b[COLS], c[ROWS * COLS], d[ROWS * COLS];
    for (int i = 0; i < ROWS; i++)
        a[i] = 1.0f + 0.0137f * (float)i;
    for (int j = 0; j < COLS; j++)
        b[j] = 1.0f - 0.0271f * (float)j;
    for (int i = 0; i < ROWS * COLS; i++)
        d[i] = -0.6f + 0.0031f * (float)i;
    for (int rows = 1; rows <= ROWS; rows++) {
        sgti_few_rows_part part = {.rows = rows, .cols = COLS, .depth = 1,
                                   .alpha = 0.37f, .beta = 0.6f,
                                   .a = a, .a_row = 1, .b = b, .b_col = 1,
                                   .c = c, .c_row = COLS, .d = d, .d_row = COLS, .d_col = 1};
        probes[_i].probe->few_rows(&part);
        for (int i = 0; i < rows * COLS; i++) {
            const volatile float product = a[i / COLS] * b[i % COLS];
            check_sum(c[i], product, part.beta, d[i]);
        }
    }
}
END_TEST

int main(void)
{
    int count = supported();
    Suite *suite = suite_create("vector mathematics");
    TCase *tests = tcase_create("sixteen lanes");
    tcase_add_loop_test(tests, exponential_is_accurate, 0, count);
    tcase_add_loop_test(tests, exponential_at_the_ends, 0, count);
    tcase_add_loop_test(tests, logarithm_is_accurate, 0, count);
    tcase_add_loop_test(tests, noise_is_accurate, 0, count);
    tcase_add_loop_test(tests, equal_lanes_are_bits, 0, count);
    tcase_add_loop_test(tests, sums_take_the_documented_order, 0, count);
    tcase_add_loop_test(tests, highest_looks_at_every_lane, 0, count);
    tcase_add_loop_test(tests, tails_stay_inside, 0, count);
    tcase_add_loop_test(tests, few_rows_round_the_product_with_alpha, 0, count);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
