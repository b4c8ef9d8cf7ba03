/* SPDX-License-Identifier: BSD-3-Clause */
#include "struct_versions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/session.h>
#include <sgt/sgt.h>
#include <sgt/sys/backend_args.h>
#include <sgt/sys/growth.h>

#define NEWER  24 /* bytes of fields this version does not know */
#define GUARD  16
#define ROOM   (4096 + NEWER + GUARD)
#define FILLED 0x5a

static const size_t never[] = {0, 4, 4097, UINT32_MAX}; /* sizes no version has */

static const struct field {
    const char *type;
    const char *name;
    size_t offset;
    size_t bytes;
} fields[] = {
#define STRUCT(type, bytes)
#define FIELD(type, field, offset, kind) {#type, #field, offset, sizeof(((type *)0)->field)},
#define CONSTANT(name, value)
#include "layout.h"
};

/* Structs that have grown since the first release: where they ended then. */
static const struct {
    const char *type;
    size_t size;
} first_sizes[] = {
    {"sgt_context_options", offsetof(sgt_context_options, backend_options)},
    {"sgt_session_generate_options", offsetof(sgt_session_generate_options, stop_sequences)},
    {"sgt_growth_sparse_options", offsetof(sgt_growth_sparse_options, max_gain)},
    {"sgt_hf_save_options", offsetof(sgt_hf_save_options, copy_from)},
};

static size_t first_size(const char *type, size_t now)
{
    for (size_t i = 0; i < sizeof first_sizes / sizeof first_sizes[0]; i++)
        if (!strcmp(first_sizes[i].type, type))
            return first_sizes[i].size;
    return now;
}

static void set_size(void *caller, size_t size)
{
    uint32_t value = (uint32_t)size;
    memcpy(caller, &value, sizeof value);
}

static void size_is(const void *caller, size_t size)
{
    uint32_t value;
    memcpy(&value, caller, sizeof value);
    ck_assert_uint_eq(value, size);
}

/* Field by field: what lies between fields is nobody's. */
static void fields_are_equal(const struct struct_output *row, const char *a, const char *b)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const struct field *f = &fields[i];
        if (!strcmp(f->type, row->type) && f->offset > 0)
            ck_assert_msg(!memcmp(a + f->offset, b + f->offset, f->bytes),
                          "%s: %s differs between versions of %s", row->function, f->name, f->type);
    }
}

static void bytes_are(const char *bytes, size_t from, size_t to, int value, const char *function)
{
    for (size_t i = from; i < to; i++)
        if (bytes[i] != value)
            ck_abort_msg("%s: byte %zu is %d, not %d", function, i, bytes[i], value);
}

static void works(const struct_input *row, void *caller, const char *version)
{
    sgt_status status = row->call(caller);
    ck_assert_msg(status == SGT_OK, "%s with %s %s gave %s: %s", row->function, version, row->type,
                  sgt_status_name(status), sgt_error_message());
}

static int is_hole(const struct field *f, const char *type)
{
    return !strcmp(f->type, type) && !strcmp(f->name, "reserved");
}

/* A hole that is set is not ignored: it may be a field of a newer version. The message has the
 * type, or the place in a list. */
static void holes_are_zero(const struct_input *row, char *caller)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        for (size_t byte = 0; is_hole(&fields[i], row->type) && byte < fields[i].bytes; byte++) {
            caller[fields[i].offset + byte] = 1;
            sgtt_fails(row->call(caller), SGT_E_INVALID_ARGUMENT, ".reserved ");
            caller[fields[i].offset + byte] = 0;
        }
}

/* What is filled has zeros there, for readers of a newer version. */
static void holes_are_filled(const struct_output *row, const char *caller)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (is_hole(&fields[i], row->type))
            bytes_are(caller, fields[i].offset, fields[i].offset + fields[i].bytes, 0,
                      row->function);
}

static void check_input(const struct_input *row)
{
    size_t size = row->size, first = first_size(row->type, size);
    char *caller = calloc(1, ROOM);
    ck_assert_uint_lt(size, ROOM - NEWER);
    memcpy(caller, row->right, size);
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        set_size(caller, never[i]);
        sgtt_fails(row->call(caller), SGT_E_STRUCT_SIZE, row->type);
    }
    set_size(caller, first - 1);
    sgtt_fails(row->call(caller), SGT_E_STRUCT_SIZE, row->type);
    memset(caller + first, FILLED, size - first); /* behind a struct of the first release */
    set_size(caller, first);
    works(row, caller, "the first");
    memcpy(caller, row->right, size);

    /* Newer: what this library does not know must be zero. */
    set_size(caller, size + NEWER);
    works(row, caller, "a newer");
    for (size_t byte = size; byte < size + NEWER; byte++) {
        caller[byte] = 1;
        sgtt_fails(row->call(caller), SGT_E_STRUCT_SIZE, row->type);
        caller[byte] = 0;
    }
    caller[size + NEWER] = 1; /* behind it: not the struct's */
    works(row, caller, "a newer");
    free(caller);

    /* Not a byte more than its own may be read: sanitizers and valgrind look at this one. */
    char *exact = malloc(size);
    memcpy(exact, row->right, size);
    set_size(exact, size);
    works(row, exact, "this version's");
    size_is(exact, size);
    holes_are_zero(row, exact);
    free(exact);
}

static void check_output(const struct_output *row)
{
    size_t size = row->size, first = first_size(row->type, size);
    char *caller = malloc(ROOM), *exact = malloc(ROOM);
    memset(caller, FILLED, ROOM);
    memset(exact, FILLED, ROOM);
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        set_size(caller, never[i]);
        sgtt_fails(row->call(caller), SGT_E_STRUCT_SIZE, row->type);
        bytes_are(caller, 4, ROOM, FILLED, row->function);
    }
    set_size(caller, first - 1);
    sgtt_fails(row->call(caller), SGT_E_STRUCT_SIZE, row->type);
    bytes_are(caller, 4, ROOM, FILLED, row->function);
    set_size(caller, first);
    sgtt_ok(row->call(caller));
    bytes_are(caller, first, ROOM, FILLED, row->function);

    set_size(caller, size + NEWER); /* what this version does not know is zero afterwards */
    sgtt_ok(row->call(caller));
    size_is(caller, size + NEWER);
    bytes_are(caller, size, size + NEWER, 0, row->function);
    bytes_are(caller, size + NEWER, ROOM, FILLED, row->function);

    set_size(exact, size);
    sgtt_ok(row->call(exact));
    size_is(exact, size);
    bytes_are(exact, size, ROOM, FILLED, row->function);
    holes_are_filled(row, exact);
    if (row->same)
        fields_are_equal(row, exact, caller);
    free(exact);
    free(caller);
}

static void check_init(const struct_init *row)
{
    size_t size = row->size, first = first_size(row->type, size);
    char older[ROOM], now[ROOM], newer[ROOM];
    memset(older, FILLED, ROOM);
    memset(now, FILLED, ROOM);
    memset(newer, FILLED, ROOM);
    sgtt_fails(row->call(NULL, size), SGT_E_INVALID_ARGUMENT, row->type);
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        sgtt_fails(row->call(now, never[i]), SGT_E_STRUCT_SIZE, row->type);
    sgtt_fails(row->call(now, first - 1), SGT_E_STRUCT_SIZE, row->type);
    bytes_are(now, 0, ROOM, FILLED, row->function);

    sgtt_ok(row->call(older, first));
    size_is(older, first);
    bytes_are(older, first, ROOM, FILLED, row->function);
    sgtt_ok(row->call(now, size));
    ck_assert_mem_eq(older + 4, now + 4, first - 4);
    size_is(now, size);
    bytes_are(now, size, ROOM, FILLED, row->function);
    sgtt_ok(row->call(newer, size + NEWER));
    size_is(newer, size + NEWER);
    bytes_are(newer, size, size + NEWER, 0, row->function);
    bytes_are(newer, size + NEWER, ROOM, FILLED, row->function);
    ck_assert_mem_eq(now + 4, newer + 4, size - 4);
}

/* ---- the tests ---- */

static struct_tables rows; /* of this program */

START_TEST(reads)
{
    check_input(&rows.inputs[_i]);
}
END_TEST

START_TEST(fills)
{
    check_output(&rows.outputs[_i]);
}
END_TEST

START_TEST(defaults)
{
    check_init(&rows.inits[_i]);
}
END_TEST

Suite *struct_suite(const char *name, struct_tables tables, void (*setup)(void),
                    void (*teardown)(void))
{
    Suite *suite = suite_create(name);
    TCase *cases = tcase_create("all");
    rows = tables;
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, reads, 0, (int)rows.n_inputs);
    tcase_add_loop_test(cases, fills, 0, (int)rows.n_outputs);
    tcase_add_loop_test(cases, defaults, 0, (int)rows.n_inits);
    suite_add_tcase(suite, cases);
    return suite;
}
