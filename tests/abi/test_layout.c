/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every public struct is laid out as the table says, and every public constant has its value: a
 * program compiled against an older header of this soname finds each field where it was. layout.py
 * checks that nothing of the headers is missing in the table.
 */
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <sgt/session.h>
#include <sgt/sgt.h>
#include <sgt/sys/backend_args.h>
#include <sgt/sys/growth.h>

#include "kinds.h"
#include "testing.h"


typedef struct layout_row {
    const char *type;  /* a struct, or the constant */
    const char *field; /* NULL: the whole of it */
    long expected;     /* size, offset or value */
    long found;
    int expected_kind;
    int found_kind;
} layout_row;

static const layout_row rows[] = {
#define STRUCT(type, bytes) {#type, NULL, bytes, (long)sizeof(type), 0, 0},
#define FIELD(type, field, offset, kind)                                                           \
    {#type, #field, offset, (long)offsetof(type, field), kind, KIND_OF(type, field)},
#define CONSTANT(name, value) {#name, NULL, value, (long)(name), 0, 0},
#include "layout.h"
};

#define N_ROWS (sizeof rows / sizeof rows[0])

START_TEST(nothing_has_moved)
{
    static const char *const kinds[] = KIND_NAMES;
    int moved = 0;
    for (size_t i = 0; i < N_ROWS; i++) {
        const layout_row *row = &rows[i];
        if (row->found == row->expected && row->found_kind == row->expected_kind)
            continue;
        if (row->field)
            printf("%s.%s: %s at %ld, was %s at %ld\n", row->type, row->field,
                   kinds[row->found_kind], row->found, kinds[row->expected_kind], row->expected);
        else
            printf("%s: %ld, was %ld\n", row->type, row->found, row->expected);
        moved++;
    }
    fflush(stdout);
    ck_assert_msg(moved == 0, "%d of %zu rows differ from layout.h", moved, N_ROWS);
}
END_TEST

/* What the table is about at all. */
START_TEST(the_table_is_whole)
{
    int structs = 0, fields = 0;
    for (size_t i = 0; i < N_ROWS; i++) {
        structs += rows[i].field && rows[i].expected == 0;
        fields += rows[i].field != NULL;
    }
    ck_assert_int_ge(structs, 40);
    ck_assert_int_ge(fields, 250);
}
END_TEST

int main(void)
{
    if (sizeof(void *) != 8 || CHAR_BIT != 8)
        return sgtt_skipped("the table is of 64-bit machines", "");
    Suite *suite = suite_create("layout");
    TCase *tests = tcase_create("layout");
    tcase_add_test(tests, nothing_has_moved);
    tcase_add_test(tests, the_table_is_whole);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
