/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same tokens everywhere: picks that were written down once, again in other rounding modes,
 * with subnormal numbers flushed to zero and with traps on. A change of these numbers changes what
 * every user's seed gives.
 */
#include <fenv.h>
#include <math.h>
#include <stdlib.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "fixtures.h"
#include "sampler_reference.h"

enum { PICKS = 8 };

typedef struct golden {
    int32_t vocab_size, top_k, window;
    double temperature, top_p, min_p, penalty;
    enum logits_kind kind;
    int32_t tokens[PICKS];
} golden;

static const golden goldens[] = {
    {100, 0, 0, 1, 1, 0, 1, LOGITS_EVEN,
     {35, 35, 83, 59, 53, 87, 87, 17}},
    {1000, 0, 0, 0.7, 1, 0, 1, LOGITS_EVEN,
     {543, 623, 956, 565, 581, 842, 787, 386}},
    {50304, 0, 0, 2.5, 1, 0, 1, LOGITS_EVEN,
     {24214, 27037, 46011, 29049, 30816, 43669, 38191, 20718}},
    {50304, 40, 0, 1.3, 1, 0, 1, LOGITS_EVEN,
     {13549, 10184, 6037, 6712, 35051, 38021, 20785, 36967}},
    {50304, 0, 0, 3, 0.9, 0, 1, LOGITS_EVEN,
     {19814, 39507, 43215, 49643, 46390, 15733, 42406, 46515}},
    {1000, 0, 0, 4, 1, 0.05, 1, LOGITS_EVEN,
     {512, 564, 936, 572, 607, 863, 756, 398}},
    {1000, 0, 5, 1, 1, 0, 1.3, LOGITS_EVEN,
     {543, 623, 955, 565, 581, 842, 783, 386}},
    {1000, 0, 0, 1, 1, 0, 1, LOGITS_TIES,
     {456, 494, 915, 588, 613, 860, 742, 391}},
    {1000, 12, 0, 1, 0.8, 0, 1, LOGITS_TIES,
     {27, 36, 90, 57, 28, 55, 56, 34}},
    {1000, 0, 64, 0, 1, 0, 1.5, LOGITS_TIES,
     {0, 23, 2, 26, 7, 9, 16, 25}},
    {1000, 300, 64, 9, 0.95, 0.02, 1.2, LOGITS_PEAKED,
     {539, 94, 838, 705, 929, 363, 976, 159}},
    {1000, 0, 0, 1, 1, 0, 1, LOGITS_FORBIDDEN,
     {596, 679, 916, 565, 588, 825, 787, 387}},
};
enum { N_GOLDENS = sizeof goldens / sizeof goldens[0] };

/* A bias on a few tokens, one of them forbidden. */
static const int32_t bias_tokens[] = {0, 5, 99};
static const float bias[] = {2, -INFINITY, 0.75f};

static void pick_golden(int32_t tokens[PICKS], sgt_context *context, const golden *g)
{
    sgt_sampler_options options = sampling_defaults();
    float *logits = malloc((size_t)g->vocab_size * sizeof *logits);
    sgt_sampler *sampler;
    options.seed = 20260323998;
    options.top_k = g->top_k;
    options.temperature = g->temperature;
    options.top_p = g->top_p;
    options.min_p = g->min_p;
    options.repetition_penalty = g->penalty;
    options.repetition_window = g->window;
    options.bias_tokens = bias_tokens;
    options.bias = bias;
    options.n_bias = 3;
    sgtt_ok(sgt_sampler_create(&sampler, context, g->vocab_size, &options));
    for (int i = 0; i < PICKS; i++) {
        fill_logits(logits, g->vocab_size, g->kind, (uint64_t)(i / 2));
        sgtt_ok(sgt_sampler_pick(&tokens[i], sampler, logits));
    }
    sgt_sampler_free(sampler);
    free(logits);
}

static void check_golden(sgt_context *context, int number, const char *where)
{
    int32_t tokens[PICKS];
    pick_golden(tokens, context, &goldens[number]);
    for (int i = 0; i < PICKS; i++)
        ck_assert_msg(tokens[i] == goldens[number].tokens[i],
                      "case %d, %s: {%d, %d, %d, %d, %d, %d, %d, %d}", number, where, tokens[0],
                      tokens[1], tokens[2], tokens[3], tokens[4], tokens[5], tokens[6], tokens[7]);
}

START_TEST(golden_picks)
{
    sgt_context *context = sgtt_model_context();
    check_golden(context, _i, "as it is");
    sgt_context_free(context);
}
END_TEST

START_TEST(rounding_modes)
{
    static const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    sgt_context *context = sgtt_model_context();
    for (int m = 0; m < 3; m++) {
        ck_assert_int_eq(fesetround(modes[m]), 0);
        check_golden(context, _i, "rounding otherwise");
        ck_assert_int_eq(fegetround(), modes[m]); /* and it is the host's again */
    }
    fesetround(FE_TONEAREST);
    sgt_context_free(context);
}
END_TEST

/* What is subnormal as float: distances of logits that decide when the temperature is as small. */
START_TEST(subnormal_numbers_count)
{
#if defined(__SSE2__)
    const unsigned flush = 0x8040; /* results and operands */
    const float logits[] = {0, 3e-42f, 0, -0.0f};
    sgt_context *context = sgtt_model_context();
    sgt_sampler_options options = sampling_defaults();
    sgt_sampler *sampler;
    int32_t token = -1;
    options.temperature = 0;
    sgtt_ok(sgt_sampler_create(&sampler, context, 4, &options));
    unsigned control = _mm_getcsr();
    _mm_setcsr(control | flush);
    sgtt_ok(sgt_sampler_pick(&token, sampler, logits));
    ck_assert_uint_eq(_mm_getcsr() & flush, flush);
    check_golden(context, 0, "flushing to zero");
    _mm_setcsr(control);
    ck_assert_int_eq(token, 1);
    sgt_sampler_free(sampler);
    sgt_context_free(context);
#endif
}
END_TEST

/* A host that has every floating-point exception trapped is not interrupted, nor are its flags
 * touched. */
START_TEST(exceptions_of_the_host)
{
    sgt_context *context = sgtt_model_context();
    feclearexcept(FE_ALL_EXCEPT);
    check_golden(context, _i, "flags clear");
    ck_assert_int_eq(fetestexcept(FE_ALL_EXCEPT & ~FE_INEXACT), 0);
#if defined(__GLIBC__)
    sgt_sampler_options options = sampling_defaults();
    const float logits[] = {-INFINITY, 1e38f, -1e38f, 1e-40f};
    sgt_sampler *sampler;
    int32_t token = -1;
    options.temperature = 1e-310;
    sgtt_ok(sgt_sampler_create(&sampler, context, 4, &options));
    feclearexcept(FE_ALL_EXCEPT);
    feenableexcept(FE_ALL_EXCEPT);
    int trapped = fegetexcept(); /* none where the processor cannot */
    sgt_status status = sgt_sampler_pick(&token, sampler, logits);
    int enabled = fegetexcept();
    fedisableexcept(FE_ALL_EXCEPT);
    sgtt_ok(status);
    ck_assert_int_eq(enabled, trapped);
#if defined(__x86_64__)
    ck_assert_int_eq(trapped, FE_ALL_EXCEPT);
#endif
    ck_assert_int_eq(fetestexcept(FE_ALL_EXCEPT), 0);
    ck_assert_int_eq(token, 1);
    sgt_sampler_free(sampler);
#endif
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden picks");
    TCase *cases = tcase_create("all");
    tcase_add_loop_test(cases, golden_picks, 0, N_GOLDENS);
    tcase_add_loop_test(cases, rounding_modes, 0, N_GOLDENS);
    tcase_add_test(cases, subnormal_numbers_count);
    tcase_add_loop_test(cases, exceptions_of_the_host, 0, N_GOLDENS);
    suite_add_tcase(suite, cases);
    return sgtt_run(suite);
}
