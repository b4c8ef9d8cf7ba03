/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes that overflow are noticed, in checked arithmetic and in an arena. */
#include "base/arena.h"
#include "base/checked.h"
#include "testing.h"

START_TEST(products)
{
    uint64_t result = 5;
    ck_assert(sgti_mul_u64(&result, 0, UINT64_MAX) && result == 0);
    ck_assert(sgti_mul_u64(&result, UINT64_MAX, 0) && result == 0);
    ck_assert(sgti_mul_u64(&result, UINT64_MAX, 1) && result == UINT64_MAX);
    ck_assert(sgti_mul_u64(&result, UINT32_MAX, UINT64_C(0x100000001)) && result == UINT64_MAX);
    result = 5;
    ck_assert(!sgti_mul_u64(&result, UINT64_C(1) << 32, UINT64_C(1) << 32));
    ck_assert(!sgti_mul_u64(&result, 2, UINT64_MAX / 2 + 1));
    ck_assert_uint_eq(result, 5);
}
END_TEST

START_TEST(sums)
{
    uint64_t result = 5;
    ck_assert(sgti_add_u64(&result, UINT64_MAX, 0) && result == UINT64_MAX);
    result = 5;
    ck_assert(!sgti_add_u64(&result, UINT64_MAX, 1));
    ck_assert(!sgti_add_u64(&result, UINT64_MAX / 2 + 1, UINT64_MAX / 2 + 1));
    ck_assert_uint_eq(result, 5);
}
END_TEST

START_TEST(an_arena_stacks_and_remembers_its_peak)
{
    sgti_arena arena = {0};
    ck_assert_uint_eq(sgti_arena_take(&arena, 3, 5, 4), 0);
    ck_assert_uint_eq(sgti_arena_take(&arena, 1, 16, 4), 64);
    uint64_t mark = sgti_arena_mark(&arena);
    ck_assert_uint_eq(sgti_arena_take(&arena, 100, 10, 8), 128);
    sgti_arena_reset(&arena, mark);
    ck_assert_uint_eq(sgti_arena_take(&arena, 1, 1, 2), 128);
    ck_assert_uint_eq(arena.used, 192);
    ck_assert_uint_eq(arena.peak, 128 + 8000);
    ck_assert_int_eq(arena.overflow, 0);
}
END_TEST

START_TEST(an_arena_notices_overflow)
{
    sgti_arena arena = {0};
    sgti_arena_take(&arena, UINT64_C(1) << 40, UINT64_C(1) << 40, 4);
    ck_assert_int_eq(arena.overflow, 1);

    arena = (sgti_arena){0};
    for (int i = 0; i < 64 && !arena.overflow; i++)
        sgti_arena_take(&arena, UINT64_C(1) << 30, UINT64_C(1) << 26, 4);
    ck_assert_int_eq(arena.overflow, 1);
    ck_assert_uint_le(arena.peak, UINT64_MAX / 8 + SGTI_ARENA_ALIGN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checked");
    TCase *tests = tcase_create("checked");
    tcase_add_test(tests, products);
    tcase_add_test(tests, sums);
    tcase_add_test(tests, an_arena_stacks_and_remembers_its_peak);
    tcase_add_test(tests, an_arena_notices_overflow);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
