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

START_TEST(lists_of_keys_are_the_keys_that_are_seen)
{
    const sgt_attention_pattern *p = &patterns[_i];
    for (int64_t i = 0; i < LONGEST; i++) {
        int64_t begin = sgti_pattern_near_begin(p, i), strided = 0, summary = 0;
        for (int64_t j = 0; j < LONGEST; j++)
            ck_assert_int_eq(begin <= i && sgti_pattern_near_begin(p, j) <= i && i <= j,
                             i <= j && j < sgti_pattern_near_end(p, i));
        for (int64_t j = begin; j <= i; j++)
            ck_assert_int_eq(sgti_pattern_sees(p, i, j), 1);
        for (int64_t j = 0; p->sets && j < begin; j++) {
            int in_class = (p->sets & SGT_KEYS_STRIDED) && (i - j) % p->stride == 0;
            int seen = sgti_pattern_sees(p, i, j);
            strided += in_class && sgti_pattern_strided(p, i) > 0;
            summary += seen && !(in_class && sgti_pattern_strided(p, i) > 0);
        }
        ck_assert_int_eq(sgti_pattern_strided(p, i), strided);
        ck_assert_int_eq(sgti_pattern_summary(p, i), summary);
    }
}
END_TEST

START_TEST(cells_are_counted_from_the_first)
{
    const sgt_attention_pattern *p = &patterns[_i];
    const sgt_attention_pattern cells = {
        .sets = SGT_KEYS_SUMMARY, .stride = p->stride, .summary = p->summary, .phase = p->phase};
    int64_t n = 0;
    for (int64_t key = 0; key < LONGEST; key++) {
        ck_assert_int_eq(sgti_pattern_cells(p, key), n);
        if ((p->sets & SGT_KEYS_SUMMARY) && sgti_pattern_sees(&cells, LONGEST, key))
            ck_assert_int_eq(sgti_pattern_cell(p, n++), key);
    }
}
END_TEST

START_TEST(near_keys_are_at_most_so_many)
{
    const sgt_attention_pattern *p = &patterns[_i];
    int64_t most = 0;
    for (int64_t i = 0; i < LONGEST; i++) {
        int64_t near = i + 1 - sgti_pattern_near_begin(p, i);
        most = near > most ? near : most;
    }
    int any = !p->sets || (p->sets & SGT_KEYS_STRIDED);
    ck_assert_int_eq(sgti_pattern_near_most(p), any ? INT64_MAX : most);
}
END_TEST

/* ---- text, checks, pairs ---- */

static const struct {
    const char *text;
    sgt_attention_pattern pattern;
} texts[] = {
    {"dense", {0}},
    {"local:256", {.sets = SGT_KEYS_LOCAL, .stride = 256}},
    {"local+strided:128", {.sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED, .stride = 128}},
    {"block+summary:128:8",
     {.sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY, .stride = 128, .summary = 8}},
    {"summary:9:2:3", {.sets = SGT_KEYS_SUMMARY, .stride = 9, .summary = 2, .phase = 3}},
};

START_TEST(texts_are_read)
{
    sgt_attention_pattern pattern = {.size = sizeof pattern};
    sgtt_ok(sgt_attention_pattern_parse(&pattern, texts[_i].text));
    ck_assert_int_eq(pattern.sets, texts[_i].pattern.sets);
    ck_assert_int_eq(pattern.stride, texts[_i].pattern.stride);
    ck_assert_int_eq(pattern.summary, texts[_i].pattern.summary);
    ck_assert_int_eq(pattern.phase, texts[_i].pattern.phase);
}
END_TEST

START_TEST(patterns_are_printed_as_they_are_read)
{
    char text[SGTI_PATTERN_TEXT];
    sgti_pattern_print(text, &texts[_i].pattern);
    ck_assert_str_eq(text, texts[_i].text);
}
END_TEST

START_TEST(the_longest_text_has_room)
{
    char text[SGTI_PATTERN_TEXT];
    const sgt_attention_pattern pattern = {
        .sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED | SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY,
        .stride = INT32_MAX, .summary = INT32_MAX, .phase = INT32_MAX};
    sgti_pattern_print(text, &pattern);
    ck_assert_str_eq(text, "local+strided+block+summary:2147483647:2147483647:2147483647");
}
END_TEST

START_TEST(lists_of_patterns_are_read)
{
    sgt_attention_pattern read[3];
    ck_assert_int_eq(sgti_pattern_list_count("dense"), 1);
    ck_assert_int_eq(sgti_pattern_list_count("local:3,dense,block:4"), 3);
    sgtt_ok(sgti_pattern_list_read(read, "local:3,dense,block:4"));
    ck_assert_int_eq(read[0].stride, 3);
    ck_assert_int_eq(read[1].sets, 0);
    ck_assert_int_eq(read[2].sets, SGT_KEYS_BLOCK);
    sgtt_fails(sgti_pattern_list_read(read, "local:3,,dense"), SGT_E_INVALID_ARGUMENT, "''");
}
END_TEST

static const char *const no_patterns[] = {
    "", "lokal:3", "local", "local:", "local:0", "local:-1", "local:3x", "local:3:1", ":3",
    "local+:3",
    "local+local:3", "summary:8", "summary:8:0", "summary:8:5:1", "block:8:2", "dense:1",
    "local:99999999999", "summary:8:1:1:1",
    "local+strided+block+summary+local+strided+block+summary+local+strided+block+summary:8:1:1",
};

START_TEST(other_texts_are_refused)
{
    sgt_attention_pattern pattern = {.size = sizeof pattern, .stride = 77};
    sgt_status status = sgt_attention_pattern_parse(&pattern, no_patterns[_i]);
    ck_assert_msg(status == SGT_E_INVALID_ARGUMENT || status == SGT_E_OUT_OF_RANGE, "%s: %s",
                  no_patterns[_i], sgt_status_name(status));
    ck_assert_int_eq(pattern.stride, 77);
}
END_TEST

START_TEST(pairs_are_counted_for_hosts)
{
    sgt_attention_pattern pattern = {.size = sizeof pattern, .sets = SGT_KEYS_LOCAL, .stride = 3};
    uint64_t pairs = 0;
    sgtt_ok(sgt_attention_pattern_count_pairs(&pairs, &pattern, 10));
    ck_assert_uint_eq(pairs, 1 + 2 + 8 * 3);
    sgtt_fails(sgt_attention_pattern_count_pairs(&pairs, &pattern, 0), SGT_E_OUT_OF_RANGE,
               "seq is 0");
    sgtt_fails(sgt_attention_pattern_count_pairs(NULL, &pattern, 1), SGT_E_INVALID_ARGUMENT,
               "pairs");
    sgtt_fails(sgt_attention_pattern_count_pairs(&pairs, NULL, 1), SGT_E_INVALID_ARGUMENT,
               "pattern");
    pattern.sets = 16;
    sgtt_fails(sgt_attention_pattern_count_pairs(&pairs, &pattern, 1), SGT_E_OUT_OF_RANGE,
               "sets is 16");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("patterns");
    TCase *tests = tcase_create("patterns");
    tcase_add_loop_test(tests, visible_keys_are_those_that_are_seen, 0, N_PATTERNS);
    tcase_add_loop_test(tests, every_query_sees_itself_and_nothing_later, 0, N_PATTERNS);
    tcase_add_test(tests, the_sets_are_those_of_the_paper);
    tcase_add_loop_test(tests, lists_of_keys_are_the_keys_that_are_seen, 0, N_PATTERNS);
    tcase_add_loop_test(tests, cells_are_counted_from_the_first, 0, N_PATTERNS);
    tcase_add_loop_test(tests, near_keys_are_at_most_so_many, 0, N_PATTERNS);
    tcase_add_loop_test(tests, texts_are_read, 0, (int)(sizeof texts / sizeof texts[0]));
    tcase_add_loop_test(tests, patterns_are_printed_as_they_are_read, 0,
                        (int)(sizeof texts / sizeof texts[0]));
    tcase_add_test(tests, the_longest_text_has_room);
    tcase_add_test(tests, lists_of_patterns_are_read);
    tcase_add_loop_test(tests, other_texts_are_refused, 0,
                        (int)(sizeof no_patterns / sizeof no_patterns[0]));
    tcase_add_test(tests, pairs_are_counted_for_hosts);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
