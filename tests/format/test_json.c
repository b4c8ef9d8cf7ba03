/* SPDX-License-Identifier: BSD-3-Clause */
/* Texts of JSON: what is read, what is refused and where, and that Jansson's reader agrees; what is
 * not wanted does not matter. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/json.h"
#include "testing.h"

enum { DEPTH = 4 };

static sgt_status parse_wanted(json_t **tree, const char *text, const sgti_json_wanted *wanted)
{
    char *exact = malloc(strlen(text)); /* nothing behind the end */
    memcpy(exact, text, strlen(text));
    sgt_status status = sgti_json_parse(tree, exact, strlen(text), wanted, DEPTH, "the text");
    free(exact);
    return status;
}

static sgt_status parse(json_t **tree, const char *text)
{
    return parse_wanted(tree, text, NULL);
}

static const char *const good[] = {
    "{}",
    "\n {}",
    "{ \"a\" :\t[ ]\r} \n",
    "{\"a\":[1,-1,0,-0,9223372036854775807,-9223372036854775808]}",
    "{\"a\":[1.5,-0.0,1e3,1E+3,12.25e-3,0.1,1e-400,2.2250738585072014e-308,"
    "1.7976931348623157e308]}",
    "{\"a\":true,\"b\":false,\"c\":null}",
    "{\"a\":\"\",\"b\":\"x\",\"\":\"empty\"}",
    "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
    "{\"a\":\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"}",
    "{\"\\u0041\":1,\"B\":2}",
    "{\"a\":\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\x7f\"}",
    "{\"a\":{\"b\":{\"c\":{}}}}",
    "{\"a\":\"} ] , : [ { \\\" ] inside\",\"b\":[[[]]]}",
    "{\"a long name, longer than sixteen bytes\":\"and a value that is even longer than that\"}",
};

START_TEST(what_is_json_is_read)
{
    json_t *tree = NULL;
    json_t *other = json_loads(good[_i], JSON_REJECT_DUPLICATES, NULL);
    sgtt_ok(parse(&tree, good[_i]));
    ck_assert_ptr_nonnull(other);
    ck_assert_int_eq(json_equal(tree, other), 1);
    json_decref(tree);
    json_decref(other);
}
END_TEST

static const struct {
    const char *text;
    const char *message;
} bad[] = {
    {"", "does not start with '{'"},
    {" ", "does not start with '{'"},
    {" [", "does not start with '{'"},
    {"[1]", "does not start with '{'"},
    {"{", "string or '}' expected"},
    {"{\"a\"", "byte 4: ':' expected"},
    {"{\"a\":", "invalid token"},
    {"{\"a\":1", "'}' or ',' expected"},
    {"{\"a\":1,", "string or '}' expected"},
    {"{\"a\":1,}", "string or '}' expected"},
    {"{,}", "string or '}' expected"},
    {"{1:2}", "string or '}' expected"},
    {"{\"a\" 1}", "':' expected"},
    {"{\"a\":1 \"b\":2}", "'}' or ',' expected"},
    {"{\"a\":[1 2]}", "']' or ',' expected"},
    {"{\"a\":[1,]}", "invalid token"},
    {"{\"a\":[1}", "']' or ',' expected"},
    {"{}{}", "end of file expected"},
    {"{} x", "end of file expected"},
    {"{\"a\":1,\"a\":2}", "duplicate object key, at a"},
    {"{\"a\":1,\"\\u0061\":2}", "duplicate object key"},
    {"{\"a\":tru}", "invalid token"},
    {"{\"a\":True}", "invalid token"},
    {"{\"a\":nullx}", "'}' or ',' expected"},
    {"{\"a\":01}", "begins with 0"},
    {"{\"a\":-}", "invalid number"},
    {"{\"a\":+1}", "invalid token"},
    {"{\"a\":.5}", "invalid token"},
    {"{\"a\":1.}", "invalid number"},
    {"{\"a\":1e}", "invalid number"},
    {"{\"a\":1e+}", "invalid number"},
    {"{\"a\":0x10}", "'}' or ',' expected"},
    {"{\"a\":NaN}", "invalid token"},
    {"{\"a\":1e999}", "real number overflow"},
    {"{\"a\":-1e999}", "real number overflow"},
    {"{\"a\":9223372036854775808}", "too big integer"},
    {"{\"a\":-9223372036854775809}", "too big integer"},
    {"{\"a\":99999999999999999999}", "too big integer"},
    {"{\"a\":\"x", "premature end"},
    {"{\"a\":\"x\\", "invalid escape"},
    {"{\"a\":\"\\x\"}", "invalid escape"},
    {"{\"a\":\"\\u12\"}", "invalid Unicode escape"},
    {"{\"a\":\"\\u00g0\"}", "invalid Unicode escape"},
    {"{\"a\":\"\\u0000\"}", "\\u0000 is not allowed"},
    {"{\"a\":\"\\ud800\"}", "half a surrogate pair"},
    {"{\"a\":\"\\ud800\\u0041\"}", "half a surrogate pair"},
    {"{\"a\":\"\\ud800\\n\"}", "half a surrogate pair"},
    {"{\"a\":\"\\udc00\"}", "half a surrogate pair"},
    {"{\"a\":\"a\nb\"}", "control character"},
    {"{\"a\":\"\x1f\"}", "control character"},
    {"{\"a\":\"\xff\"}", "not UTF-8"},
    {"{\"a\":\"\xc3\"}", "not UTF-8"},
    {"{\"a\":\"\xc0\x80\"}", "not UTF-8"},         /* overlong */
    {"{\"a\":\"\xe0\x80\x80\"}", "not UTF-8"},
    {"{\"a\":\"\xf0\x80\x80\x80\"}", "not UTF-8"},
    {"{\"a\":\"\xed\xa0\x80\"}", "not UTF-8"},     /* a surrogate */
    {"{\"a\":\"\xf4\x90\x80\x80\"}", "not UTF-8"}, /* behind the last character */
    {"{\"a\":\"\xe2\x82", "not UTF-8"},
    {"{\"a\":\"\x80\"}", "not UTF-8"},
    {"{\xc3\xa9:1}", "string or '}' expected"},
    {"{\"a\":[[[[1]]]]}", "nested too deeply"},
};

START_TEST(what_is_not_is_refused)
{
    json_t *tree = NULL;
    sgtt_fails(parse(&tree, bad[_i].text), SGT_E_FORMAT, bad[_i].message);
    ck_assert_ptr_null(tree);
    if (strstr(bad[_i].message, "deeply") == NULL && bad[_i].text[0] == '{')
        ck_assert_ptr_null(json_loads(bad[_i].text, JSON_REJECT_DUPLICATES, NULL));
}
END_TEST

/* ---- members that are wanted ---- */

static const sgti_json_wanted members[] = {{.key = "in"}, {.key = NULL}};
static const sgti_json_wanted wanted[] = {
    {.key = "kept"},  {.key = "part", .members = members}, {.key = "there", .presence = 1},
    {.key = "all_*"}, {.key = "maybe", .optional = 1},     {.key = NULL}};

#define KEPT "\"kept\":1"

static const char *const passed[] = {
    "{" KEPT ",\"x\":NaN}",
    "{" KEPT ",\"x\":[0.0,Infinity,-Infinity,1e999]}",
    "{" KEPT ",\"x\":1000000000000000019884624838656}",
    "{" KEPT ",\"x\":\"\\ud800\",\"y\":\"\\u0000\",\"z\":\"\\q \xff\"}",
    "{\"\\udc00\":1," KEPT ",\"\\u0000\":2,\"kept\\u0000\":3,\"\xff\":4}",
    "{\"x\":1,\"x\":2," KEPT ",\"y\":{\"kept\":1,\"kept\":2}}",
    "{\"x\":[[[[[[[[[[{\"a\":[[[[{}]]]]}]]]]]]]]]]," KEPT "}",
    "{\"x\":{ \"a\" : [ ] , \"b\" : { } }\n,\t" KEPT "}",
    "{\"x\":\"]},{\\\"[\"," KEPT "}",
    "{" KEPT ",\"part\":{\"out\":NaN,\"in\":2,\"out\":[[[[[]]]]]}}",
    "{" KEPT ",\"part\":[2]}",
    "{" KEPT ",\"there\":[NaN]}",
    "{" KEPT ",\"all_\":1,\"all_x\":2,\"all\":NaN}",
};

START_TEST(what_is_not_wanted_does_not_matter)
{
    json_t *tree = NULL;
    sgtt_ok(parse_wanted(&tree, passed[_i], wanted));
    ck_assert_int_eq(json_integer_value(json_object_get(tree, "kept")), 1);
    ck_assert_ptr_null(json_object_get(tree, "x"));
    ck_assert_ptr_null(json_object_get(tree, "all"));
    const json_t *part = json_object_get(tree, "part");
    if (json_is_object(part)) {
        ck_assert_uint_eq(json_object_size(part), 1);
        ck_assert_int_eq(json_integer_value(json_object_get(part, "in")), 2);
    }
    if (strstr(passed[_i], "there"))
        ck_assert_int_eq(json_is_true(json_object_get(tree, "there")), 1);
    if (strstr(passed[_i], "all_x"))
        ck_assert_uint_eq(json_object_size(tree), 3);
    json_decref(tree);
}
END_TEST

static const struct {
    const char *text;
    const char *message;
} unwanted[] = {
    {"{\"kept\":1,\"kept\":2}", "duplicate object key, at kept"},
    {"{\"part\":{\"in\":1,\"in\":2}}", "duplicate object key, at in"},
    {"{\"maybe\":1,\"maybe\":2}", "duplicate object key, at maybe"},
    {"{\"maybe\":NaN,\"maybe\":2}", "duplicate object key, at maybe"},
    {"{\"there\":1,\"there\":2}", "duplicate object key, at there"},
    {"{\"kept\":[NaN]}", "invalid token, at kept"},
    {"{\"part\":{\"in\":1e999}}", "real number overflow, at in"},
    {"{\"kept\":[[[[1]]]]}", "nested too deeply, at kept"},
    {"{\"x\":[}", "invalid token"},
    {"{\"x\":[1}", "']' or ',' expected"},
    {"{\"x\":{1}}", "a string expected"},
    {"{\"x\":{\"a\"}}", "':' expected"},
    {"{\"x\":{\"a\":1]}", "'}' or ',' expected"},
    {"{\"x\":[1,]}", "invalid token"},
    {"{\"x\":{\"a\":1,}}", "a string expected"},
    {"{\"x\":}", "invalid token"},
    {"{\"x\"", "':' expected"},
    {"{\"x\":\"", "premature end"},
    {"{\"x\":\"\\", "premature end"},
    {"{\"x\":\"\\\"}", "premature end"},
    {"{\"x\":1", "'}' or ',' expected"},
    {"{\"x\":[[", "invalid token"},
    {"{\"x\":1 2}", "'}' or ',' expected"},
};

START_TEST(what_is_wanted_is_checked_and_the_rest_ends)
{
    json_t *tree = NULL;
    sgtt_fails(parse_wanted(&tree, unwanted[_i].text, wanted), SGT_E_FORMAT, unwanted[_i].message);
    ck_assert_ptr_null(tree);
}
END_TEST

/* A thousand levels are passed over, and no more, with a bracket for each bit of the walk. */
START_TEST(nesting_ends_somewhere)
{
    enum { LEVELS = 1000 };
    char *text = malloc(8 * LEVELS + 64);
    for (int levels = LEVELS; levels <= LEVELS + 1; levels++) {
        json_t *tree = NULL;
        size_t used = (size_t)sprintf(text, "{\"x\":");
        for (int i = 0; i < levels; i++)
            used += (size_t)sprintf(text + used, i % 3 == 0 ? "[" : "{\"a\":");
        used += (size_t)sprintf(text + used, "0");
        for (int i = levels - 1; i >= 0; i--)
            text[used++] = i % 3 == 0 ? ']' : '}';
        memcpy(text + used, "}", 2);
        if (levels > LEVELS)
            sgtt_fails(parse_wanted(&tree, text, wanted), SGT_E_FORMAT, "nested too deeply");
        else
            sgtt_ok(parse_wanted(&tree, text, wanted));
        json_decref(tree);
    }
    free(text);
}
END_TEST

/* Where a comma separates the decimals, numbers are read and written with a point all the same. */
START_TEST(the_locale_does_not_matter)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8"};
    json_t *tree = NULL;
    for (int i = 0; i < 3 && setlocale(LC_ALL, names[i]) == NULL; i++)
        ;
    sgtt_ok(parse(&tree, "{\"a\":1234.5}"));
    ck_assert_double_eq(json_real_value(json_object_get(tree, "a")), 1234.5);
    char *text = sgti_json_text(tree, 0);
    ck_assert_str_eq(text, "{\"a\":1234.5}");
    free(text);
    json_decref(tree);
    setlocale(LC_ALL, "C");
}
END_TEST

START_TEST(what_is_written_is_sorted_and_whole)
{
    char name[100];
    json_t *tree = json_object(), *again = NULL;
    for (int i = 0; i < 90; i++) {
        memset(name, 'a' + i % 26, (size_t)i + 1);
        name[i + 1] = '\0';
        json_object_set_new(tree, name, json_integer(i));
    }
    char *text = sgti_json_text(tree, 2), *twice;
    sgtt_ok(parse(&again, text));
    ck_assert_int_eq(json_equal(tree, again), 1);
    twice = sgti_json_text(again, 2);
    ck_assert_str_eq(text, twice);
    ck_assert_int_eq(strncmp(text, "{\n  \"a\": 0,\n  \"aaaaaaaaaaaaaaaaaaaaaaaaaaa\": 26,", 46),
                     0);
    free(text);
    free(twice);
    json_decref(tree);
    json_decref(again);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("JSON");
    TCase *tests = tcase_create("all");
    tcase_add_loop_test(tests, what_is_json_is_read, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(tests, what_is_not_is_refused, 0, sizeof bad / sizeof *bad);
    tcase_add_loop_test(tests, what_is_not_wanted_does_not_matter, 0,
                        sizeof passed / sizeof *passed);
    tcase_add_loop_test(tests, what_is_wanted_is_checked_and_the_rest_ends, 0,
                        sizeof unwanted / sizeof *unwanted);
    tcase_add_test(tests, nesting_ends_somewhere);
    tcase_add_test(tests, the_locale_does_not_matter);
    tcase_add_test(tests, what_is_written_is_sorted_and_whole);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
