/* SPDX-License-Identifier: BSD-3-Clause */
/* The choice of an instruction set agrees with what the compiler's run-time library finds. */

#include "backend/isa_choice.h"
#include "testing.h"

/* 0 baseline, 1 avx2, 2 avx512. */
static int best_by_compiler(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2"))
        return 0;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vl")
               ? 2
               : 1;
#else
    return 0;
#endif
}

static const char *const names[] = {"baseline", "avx2", "avx512"};

START_TEST(the_best_is_the_default)
{
    const char *isa = NULL;
    sgtt_ok(sgti_isa_choose(&isa, NULL));
    ck_assert_str_eq(isa, names[best_by_compiler()]);
}
END_TEST

START_TEST(narrower_ones_may_be_chosen)
{
    for (int i = 0; i < 3; i++) {
        const char *isa = "untouched";
        if (i <= best_by_compiler()) {
            sgtt_ok(sgti_isa_choose(&isa, names[i]));
            ck_assert_str_eq(isa, names[i]);
        } else {
            sgtt_fails(sgti_isa_choose(&isa, names[i]), SGT_E_UNSUPPORTED, names[i]);
            ck_assert_str_eq(isa, "untouched");
        }
    }
}
END_TEST

START_TEST(unknown_names_are_refused)
{
    const char *isa = "untouched";
    sgtt_fails(sgti_isa_choose(&isa, "AVX2"), SGT_E_INVALID_ARGUMENT, "isa is \"AVX2\"");
    sgtt_fails(sgti_isa_choose(&isa, ""), SGT_E_INVALID_ARGUMENT, "isa is \"\"");
    ck_assert_str_eq(isa, "untouched");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("isa");
    TCase *tests = tcase_create("isa");
    tcase_add_test(tests, the_best_is_the_default);
    tcase_add_test(tests, narrower_ones_may_be_chosen);
    tcase_add_test(tests, unknown_names_are_refused);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
