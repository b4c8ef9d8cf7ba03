/* SPDX-License-Identifier: BSD-3-Clause */
/* Counting the keys of a pattern against looking at each pair. */
#include "core/patterns.h"

#include "testing.h"

static const sgt_attention_pattern patterns[] = {
    {0},
    {.sets = SGT_KEYS_LOCAL, .stride = 1},
    {.sets = SGT_KEYS_LOCAL, .stride = 5},
    {.sets = SGT_KEYS_STRIDED, .stride = 1},
    {.sets = SGT_KEYS_STRIDED, .stride = 4},
    {.sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED, .stride = 6},
    {.sets = SGT_KEYS_BLOCK, .stride = 7},
    {.sets = SGT_KEYS_SUMMARY, .stride = 8, .summary = 2},
    {.sets = SGT_KEYS_SUMMARY, .stride = 8, .summary = 2, .phase = 3},
    {.sets = SGT_KEYS_SUMMARY, .stride = 5, .summary = 5},
    {.sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 8, .summary = 3, .phase = 1},
    {.sets = SGT_KEYS_STRIDED | SGT_KEYS_SUMMARY, .stride = 6, .summary = 2},
    {.sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED | SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY,
     .stride = 9, .summary = 4, .phase = 1},
};

enum { N_PATTERNS = sizeof patterns / sizeof patterns[0], LONGEST = 67 };

static int64_t look_at_each(const sgt_attention_pattern *pattern, int64_t i)
{
    int64_t count = 0;
    for (int64_t j = 0; j < LONGEST; j++)
        count += sgti_pattern_sees(pattern, i, j);
    return count;
}

START_TEST(visible_keys_are_those_that_are_seen)
{
    int64_t pairs = 0, alone = 0;
    for (int64_t i = 0; i < LONGEST; i++) {
        int64_t seen = look_at_each(&patterns[_i], i);
        ck_assert_int_eq(sgti_pattern_visible(&patterns[_i], i), seen);
        ck_assert_int_eq(sgti_pattern_rows_with_one(&patterns[_i], i, 1), seen == 1);
        pairs += seen;
        alone += seen == 1;
        ck_assert_int_eq(sgti_pattern_pairs(&patterns[_i], i + 1), pairs);
        ck_assert_int_eq(sgti_pattern_rows_with_one(&patterns[_i], 0, i + 1), alone);
    }
}
END_TEST

START_TEST(every_query_sees_itself_and_nothing_later)
{
    for (int64_t i = 0; i < LONGEST; i++) {
        ck_assert_int_eq(sgti_pattern_sees(&patterns[_i], i, i), 1);
        for (int64_t j = i + 1; j < LONGEST; j++)
            ck_assert_int_eq(sgti_pattern_sees(&patterns[_i], i, j), 0);
    }
}
END_TEST

START_TEST(the_sets_are_those_of_the_paper)
{
    /* Figure 3 of arXiv 1904.10509: a query of row 2, column 3 of blocks of 5. */
    const sgt_attention_pattern fixed = {
        .sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 5, .summary = 1};
    const int64_t seen[] = {4, 9, 10, 11, 12, 13};
    int64_t n = 0;
    for (int64_t j = 0; j < LONGEST; j++)
        if (sgti_pattern_sees(&fixed, 13, j))
            ck_assert_int_eq(seen[n++], j);
    ck_assert_int_eq(n, 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patterns");
    TCase *tests = tcase_create("patterns");
    tcase_add_loop_test(tests, visible_keys_are_those_that_are_seen, 0, N_PATTERNS);
    tcase_add_loop_test(tests, every_query_sees_itself_and_nothing_later, 0, N_PATTERNS);
    tcase_add_test(tests, the_sets_are_those_of_the_paper);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
