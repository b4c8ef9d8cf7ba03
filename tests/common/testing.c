/* SPDX-License-Identifier: BSD-3-Clause */
#include "testing.h"

#include <stdio.h>
#include <string.h>

int sgtt_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int run = srunner_ntests_run(runner);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return run > 0 && failed == 0 ? 0 : 1;
}

int sgtt_skipped(const char *reason, const char *detail)
{
    enum { SKIPPED = 77 };
    printf("skipped: %s%s\n", reason, detail);
    return SKIPPED;
}

void sgtt_check_ok(sgt_status status, const char *call, const char *file, int line)
{
    ck_assert_msg(status == SGT_OK, "%s:%d: %s gave %s: %s", file, line, call,
                  sgt_status_name(status), sgt_error_message());
}

void sgtt_check_fails(sgt_status status, sgt_status expected, const char *substring,
                      const char *call, const char *file, int line)
{
    ck_assert_msg(status == expected, "%s:%d: %s gave %s (%s), expected %s", file, line, call,
                  sgt_status_name(status), sgt_error_message(), sgt_status_name(expected));
    ck_assert_msg(strstr(sgt_error_message(), substring) != NULL,
                  "%s:%d: %s said \"%s\", expected \"...%s...\"", file, line, call,
                  sgt_error_message(), substring);
}
