/* SPDX-License-Identifier: BSD-3-Clause */
/* Sized structs between an older or newer caller and this library. */
#include <string.h>

#include "base/structs.h"
#include "testing.h"

/* One struct in three versions; the library is at the second. */
typedef struct first_version {
    uint32_t size;
    int32_t depth;
} first_version;

typedef struct this_version {
    uint32_t size;
    int32_t depth;
    double rate;
} this_version;

typedef struct next_version {
    uint32_t size;
    int32_t depth;
    double rate;
    int32_t heads;
    int32_t reserved;
} next_version;

static const this_version defaults = {.depth = 1, .rate = 0.5};

static sgt_status take(this_version *own, const void *caller)
{
    *own = defaults;
    return sgti_struct_read(own, sizeof *own, caller, sizeof(first_version), "options");
}

START_TEST(an_older_struct_keeps_the_newer_defaults)
{
    this_version own;
    first_version caller = {sizeof caller, 7};
    sgtt_ok(take(&own, &caller));
    ck_assert_int_eq(own.depth, 7);
    ck_assert_double_eq(own.rate, 0.5);
    ck_assert_uint_eq(own.size, sizeof own);
}
END_TEST

START_TEST(the_same_version_is_read_whole)
{
    this_version own;
    this_version caller = {sizeof caller, 7, 0.25};
    sgtt_ok(take(&own, &caller));
    ck_assert_int_eq(own.depth, 7);
    ck_assert_double_eq(own.rate, 0.25);
}
END_TEST

START_TEST(a_newer_struct_works_while_its_tail_is_zero)
{
    this_version own;
    next_version caller = {sizeof caller, 7, 0.25, 0, 0};
    sgtt_ok(take(&own, &caller));
    ck_assert_double_eq(own.rate, 0.25);
    ck_assert_uint_eq(own.size, sizeof own);
}
END_TEST

START_TEST(a_newer_field_that_is_set_is_refused)
{
    this_version own;
    next_version caller = {sizeof caller, 7, 0.25, 3, 0};
    sgtt_fails(take(&own, &caller), SGT_E_STRUCT_SIZE, "options: a field at byte 16");
    ck_assert_int_eq(own.depth, 1);
    caller.heads = 0;
    caller.reserved = 1 << 24; /* the very last byte */
    sgtt_fails(take(&own, &caller), SGT_E_STRUCT_SIZE, "options: a field at byte 23");
}
END_TEST

START_TEST(a_size_that_cannot_be_is_refused)
{
    this_version own;
    this_version caller = {0, 7, 0.25};
    sgtt_fails(take(&own, &caller), SGT_E_STRUCT_SIZE,
               "options: size is 0, at least 8 was expected: set .size to sizeof(options)");
    caller.size = sizeof(first_version) - 1;
    sgtt_fails(take(&own, &caller), SGT_E_STRUCT_SIZE, "options: size is 7");
    caller.size = 0xdeadbeef; /* never set: must not be read past */
    sgtt_fails(take(&own, &caller), SGT_E_STRUCT_SIZE, "sizeof");
}
END_TEST

START_TEST(results_fit_the_callers_struct)
{
    const this_version own = {sizeof own, 9, 0.125};
    struct {
        first_version caller;
        unsigned char after[16];
    } old = {.caller = {sizeof old.caller, 0}};
    memset(old.after, 0xaa, sizeof old.after);
    sgti_struct_write(&old.caller, &own, sizeof own);
    ck_assert_int_eq(old.caller.depth, 9);
    ck_assert_uint_eq(old.caller.size, sizeof old.caller);
    for (size_t i = 0; i < sizeof old.after; i++)
        ck_assert_uint_eq(old.after[i], 0xaa);

    next_version newer = {sizeof newer, -1, -1, -1, -1};
    sgti_struct_write(&newer, &own, sizeof own);
    ck_assert_uint_eq(newer.size, sizeof newer);
    ck_assert_int_eq(newer.depth, 9);
    ck_assert_double_eq(newer.rate, 0.125);
    ck_assert_int_eq(newer.heads, 0);
    ck_assert_int_eq(newer.reserved, 0);
}
END_TEST

static sgt_status init(void *caller, size_t size)
{
    return sgti_struct_init(caller, size, &defaults, sizeof defaults, sizeof(first_version),
                            "options");
}

START_TEST(init_fills_every_version)
{
    first_version old;
    next_version newer;
    memset(&newer, 0xff, sizeof newer);
    sgtt_ok(init(&old, sizeof old));
    ck_assert_uint_eq(old.size, sizeof old);
    ck_assert_int_eq(old.depth, 1);
    sgtt_ok(init(&newer, sizeof newer));
    ck_assert_uint_eq(newer.size, sizeof newer);
    ck_assert_double_eq(newer.rate, 0.5);
    ck_assert_int_eq(newer.heads, 0);
    ck_assert_int_eq(newer.reserved, 0);
    sgtt_fails(init(NULL, sizeof newer), SGT_E_INVALID_ARGUMENT, "options is NULL");
    sgtt_fails(init(&newer, 4), SGT_E_STRUCT_SIZE, "options: size is 4");
    ck_assert_double_eq(newer.rate, 0.5);
}
END_TEST

START_TEST(check_names_the_struct)
{
    first_version result = {sizeof result, 0};
    sgtt_ok(sgti_struct_check(&result, sizeof result, "report"));
    sgtt_fails(sgti_struct_check(NULL, sizeof result, "report"), SGT_E_INVALID_ARGUMENT,
               "report is NULL");
    result.size = 4;
    sgtt_fails(sgti_struct_check(&result, sizeof result, "report"), SGT_E_STRUCT_SIZE, "report");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("structs");
    TCase *tests = tcase_create("structs");
    tcase_add_test(tests, an_older_struct_keeps_the_newer_defaults);
    tcase_add_test(tests, the_same_version_is_read_whole);
    tcase_add_test(tests, a_newer_struct_works_while_its_tail_is_zero);
    tcase_add_test(tests, a_newer_field_that_is_set_is_refused);
    tcase_add_test(tests, a_size_that_cannot_be_is_refused);
    tcase_add_test(tests, results_fit_the_callers_struct);
    tcase_add_test(tests, init_fills_every_version);
    tcase_add_test(tests, check_names_the_struct);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
