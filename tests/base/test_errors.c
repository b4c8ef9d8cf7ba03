/* SPDX-License-Identifier: BSD-3-Clause */
/* Status codes, their names, and the message of a thread. */
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <string.h>

#include <sgt/common.h>

#include "base/error.h"
#include "base/text.h"
#include "testing.h"

START_TEST(names_and_texts)
{
    ck_assert_str_eq(sgt_status_name(SGT_OK), "SGT_OK");
    ck_assert_str_eq(sgt_status_name(SGT_E_PLUGIN_ABI), "SGT_E_PLUGIN_ABI");
    ck_assert_str_eq(sgt_status_name(SGT_E_INTERNAL), "SGT_E_INTERNAL");
    ck_assert_str_eq(sgt_status_name(3), "SGT_STOPPED");
    ck_assert_str_eq(sgt_status_name(-9999), "unknown status");
    ck_assert_str_eq(sgt_status_name(-3), "SGT_HOST");
    ck_assert_str_eq(sgt_status_name(-9), "SGT_HOST");
    ck_assert_str_eq(sgt_status_text(-1), "a code of the host's own, from a callback or a plug-in");
    ck_assert_str_eq(sgt_status_text(SGT_E_OUT_OF_MEMORY), "out of memory");
    ck_assert_str_eq(sgt_status_text(-9999), "unknown status");
}
END_TEST

START_TEST(values_never_change)
{
    ck_assert_int_eq(SGT_E_INVALID_ARGUMENT, -10);
    ck_assert_int_eq(SGT_E_STATE, -20);
    ck_assert_int_eq(SGT_E_OUT_OF_MEMORY, -30);
    ck_assert_int_eq(SGT_E_IO, -40);
    ck_assert_int_eq(SGT_E_BACKEND, -50);
    ck_assert_int_eq(SGT_E_INTERNAL, -90);
}
END_TEST

START_TEST(a_failure_leaves_its_message)
{
    ck_assert_str_eq(sgt_error_message(), "");
    uint64_t before = sgti_failures();
    ck_assert_int_eq(sgti_fail(SGT_E_STATE, "layer %d of %s", 3, "plan"), SGT_E_STATE);
    ck_assert_str_eq(sgt_error_message(), "layer 3 of plan");
    ck_assert_uint_eq(sgti_failures(), before + 1);
    ck_assert_int_eq(sgti_last_failure(), SGT_E_STATE);
}
END_TEST

START_TEST(a_message_may_quote_the_last_one)
{
    sgti_fail(SGT_E_IO, "disk full");
    sgti_fail(SGT_E_IO, "a.bin: %s", sgt_error_message());
    ck_assert_str_eq(sgt_error_message(), "a.bin: disk full");
}
END_TEST

/* What a callback of the host says, with any status it may return. */
START_TEST(a_callback_sets_its_message)
{
    ck_assert_int_eq(sgt_error_set(7, "the budget is spent: 100 %s"), 7);
    ck_assert_str_eq(sgt_error_message(), "the budget is spent: 100 %s");
    ck_assert_int_eq(sgti_last_failure(), 7);
    ck_assert_int_eq(sgt_error_set(SGT_E_IO, sgt_error_message()), SGT_E_IO);
    ck_assert_str_eq(sgt_error_message(), "the budget is spent: 100 %s");
    ck_assert_int_eq(sgt_error_set(SGT_E_IO, NULL), SGT_E_IO);
    ck_assert_str_eq(sgt_error_message(), "");
}
END_TEST

/* Both ends stay: whose it was, and what. */
START_TEST(a_long_message_is_cut)
{
    char text[1000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    sgti_fail(SGT_E_IO, "/home/%s: disk full", text);
    const char *message = sgt_error_message();
    ck_assert_uint_eq(strlen(message), 511);
    ck_assert(strncmp(message, "/home/x", 7) == 0);
    ck_assert_ptr_nonnull(strstr(message, "xx ... xx"));
    ck_assert_str_eq(message + 511 - strlen("x: disk full"), "x: disk full");
    sgti_fail(SGT_E_IO, "%.511s", text);
    ck_assert(memcmp(sgt_error_message(), text, 511) == 0);
    sgti_fail(SGT_E_IO, "short");
    ck_assert_str_eq(sgt_error_message(), "short");
}
END_TEST

static void *fail_in_thread(void *argument)
{
    (void)argument;
    ck_assert_str_eq(sgt_error_message(), "");
    sgti_fail(SGT_E_IO, "of the other thread");
    return NULL;
}

START_TEST(threads_have_their_own_message)
{
    pthread_t thread;
    sgti_fail(SGT_E_STATE, "of this thread");
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_in_thread, NULL), 0);
    pthread_join(thread, NULL);
    ck_assert_str_eq(sgt_error_message(), "of this thread");
}
END_TEST

/* The locale is changed for this thread only where one with a decimal comma is installed; the
 * host's choice must be in force again afterwards. */
START_TEST(numbers_do_not_follow_the_locale)
{
    char text[32];
    const char *names[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "fr_FR"};
    const char *set = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !set; i++)
        set = setlocale(LC_ALL, names[i]);
    char point = *localeconv()->decimal_point;
    errno = 77;
    ck_assert_int_eq(sgti_format(text, sizeof text, "%.2f", 1.5), 4);
    ck_assert_str_eq(text, "1.50");
    ck_assert_int_eq(errno, 77);
    sgti_fail(SGT_E_OUT_OF_RANGE, "lr is %g", -0.25);
    ck_assert_str_eq(sgt_error_message(), "lr is -0.25");
    ck_assert_int_eq(*localeconv()->decimal_point, point);
}
END_TEST

START_TEST(version_is_that_of_the_headers)
{
    ck_assert_str_eq(sgt_version(), "0.2.0");
    ck_assert_uint_eq(sgt_version_number(), 2000);
    ck_assert_uint_eq(sgt_version_number(), SGT_VERSION_MAJOR * 1000000 +
                                                SGT_VERSION_MINOR * 1000 + SGT_VERSION_PATCH);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("errors");
    TCase *tests = tcase_create("errors");
    tcase_add_test(tests, a_failure_leaves_its_message);
    tcase_add_test(tests, names_and_texts);
    tcase_add_test(tests, values_never_change);
    tcase_add_test(tests, a_message_may_quote_the_last_one);
    tcase_add_test(tests, a_callback_sets_its_message);
    tcase_add_test(tests, a_long_message_is_cut);
    tcase_add_test(tests, threads_have_their_own_message);
    tcase_add_test(tests, numbers_do_not_follow_the_locale);
    tcase_add_test(tests, version_is_that_of_the_headers);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
