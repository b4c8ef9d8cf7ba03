/* SPDX-License-Identifier: BSD-3-Clause */
/* Doubles as the shortest text that reads back; texts that are whole numbers. */
#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "testing.h"

static const struct {
    double value;
    const char *text;
} known[] = {
    {0.0, "0.0"},
    {-0.0, "-0.0"},
    {1.0, "1.0"},
    {1e-5, "1e-05"},
    {1e-6, "1e-06"},
    {0.0001, "0.0001"},
    {0.02, "0.02"},
    {10000.0, "10000.0"},
    {500000.0, "500000.0"},
    {54321.0, "54321.0"},
    {0.1, "0.1"},
    {0.1 + 0.2, "0.30000000000000004"},
    {1e15, "1000000000000000.0"},
    {1e16, "1e+16"},
    {-123.456, "-123.456"},
    {1e22, "1e+22"},
    {1.2e100, "1.2e+100"},
    {DBL_MAX, "1.7976931348623157e+308"},
    {DBL_MIN, "2.2250738585072014e-308"},
    {4.9406564584124654e-324, "5e-324"},
};

START_TEST(the_shortest_is_written)
{
    static const char *const names[] = {"C", "de_DE.UTF-8", "fr_FR.UTF-8"};
    char text[SGTI_DOUBLE_TEXT];
    for (int i = 0; i < 3; i++) {
        setlocale(LC_ALL, names[i]); /* where it is there */
        sgti_print_double(text, known[_i].value);
        ck_assert_str_eq(text, known[_i].text);
    }
    setlocale(LC_ALL, "C");
}
END_TEST

START_TEST(every_value_reads_back)
{
    char text[SGTI_DOUBLE_TEXT];
    uint64_t bits = UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < 20000; i++) {
        double value;
        bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        sgti_print_double(text, value);
        ck_assert_msg(sgti_text_to_double(text) == value, "%s", text);
        ck_assert_ptr_nonnull(strpbrk(text, ".e"));
    }
}
END_TEST

static const struct {
    const char *text;
    int64_t least, most;
    int good;
    int64_t number;
} wholes[] = {
    {"0", 0, 9, 1, 0},
    {"9", 0, 9, 1, 9},
    {"10", 0, 9, 0, 0},
    {"-1", 0, 9, 0, 0},
    {"-1", -1, 9, 1, -1},
    {"007", 0, 9, 1, 7},
    {"", 0, 9, 0, 0},
    {"-", -9, 9, 0, 0},
    {"+1", 0, 9, 0, 0},
    {" 1", 0, 9, 0, 0},
    {"1 ", 0, 9, 0, 0},
    {"1.0", 0, 9, 0, 0},
    {"0x1", 0, 9, 0, 0},
    {"9223372036854775807", INT64_MIN, INT64_MAX, 1, INT64_MAX},
    {"9223372036854775808", INT64_MIN, INT64_MAX, 0, 0},
    {"-9223372036854775808", INT64_MIN, INT64_MAX, 1, INT64_MIN},
    {"-9223372036854775809", INT64_MIN, INT64_MAX, 0, 0},
    {"99999999999999999999", INT64_MIN, INT64_MAX, 0, 0},
};

START_TEST(whole_numbers_are_told_from_other_texts)
{
    int64_t number = 77;
    errno = 5;
    int good = sgti_text_to_whole(&number, wholes[_i].text, wholes[_i].least, wholes[_i].most);
    ck_assert_int_eq(good, wholes[_i].good);
    ck_assert(number == (good ? wholes[_i].number : 77));
    ck_assert_int_eq(errno, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *tests = tcase_create("all");
    tcase_add_loop_test(tests, the_shortest_is_written, 0, sizeof known / sizeof known[0]);
    tcase_add_test(tests, every_value_reads_back);
    tcase_add_loop_test(tests, whole_numbers_are_told_from_other_texts, 0,
                        sizeof wholes / sizeof wholes[0]);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
