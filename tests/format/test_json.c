/* SPDX-License-Identifier: BSD-3-Clause */
/* Texts of JSON: what is read, what is refused and where, and that Jansson's reader agrees. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "format/json.h"
#include "testing.h"

enum { DEPTH = 4 };

static sgt_status parse(json_t **tree, const char *text)
{
    char *exact = malloc(strlen(text)); /* nothing behind the end */
    memcpy(exact, text, strlen(text));
    sgt_status status = sgti_json_parse(tree, exact, strlen(text), DEPTH, "the text");
    free(exact);
    return status;
}

static const char *const good[] = {
    "{}",
    "{ \"a\" :\t[ ]\r} \n",
    "{\"a\":[1,-1,0,-0,9223372036854775807,-9223372036854775808]}",
    "{\"a\":[1.5,-0.0,1e3,1E+3,12.25e-3,0.1,1e-400,2.2250738585072014e-308,1.7976931348623157e308]}",
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
    {" {}", "does not start with '{'"},
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
    {"{\"a\":1,\"a\":2}", "duplicate object key"},
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
    ck_assert_int_eq(strncmp(text, "{\n  \"a\": 0,\n  \"aaaaaaaaaaaaaaaaaaaaaaaaaaa\": 26,", 46), 0);
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
    tcase_add_test(tests, the_locale_does_not_matter);
    tcase_add_test(tests, what_is_written_is_sorted_and_whole);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
