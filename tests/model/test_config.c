/* SPDX-License-Identifier: BSD-3-Clause */
/* Configurations: the table of their fields against the struct itself. */
#include <string.h>

#include "../abi/kinds.h"
#include "core/config_fields.h"
#include "fixtures.h"

static const struct {
    const char *type;
    const char *name;
    int kind;
} public_fields[] = {
#define STRUCT(type, bytes)
#define FIELD(type, field, offset, kind) {#type, #field, kind},
#define CONSTANT(name, value)
#include "../abi/layout.h"
};

/* What is no number of the architecture. */
static int is_other(const char *name)
{
    static const char *const others[] = {"size", "n_blocks", "reserved", "blocks",
                                         "n_patterns", "patterns"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (!strcmp(others[i], name))
            return 1;
    }
    return 0;
}

static const sgti_config_field *row_of(const char *name)
{
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++) {
        if (!strcmp(sgti_config_fields[i].name, name))
            return &sgti_config_fields[i];
    }
    return NULL;
}

START_TEST(every_field_has_its_row)
{
    size_t found = 0, of_blocks = 0;
    for (size_t i = 0; i < sizeof public_fields / sizeof public_fields[0]; i++) {
        if (strcmp(public_fields[i].type, "sgt_model_config") || is_other(public_fields[i].name))
            continue;
        const sgti_config_field *row = row_of(public_fields[i].name);
        ck_assert_msg(row, "%s has no row", public_fields[i].name);
        ck_assert_int_eq(public_fields[i].kind, row->kind == SGTI_CONFIG_REAL ? F64 : I32);
        found++;
    }
    ck_assert_uint_eq(found, SGTI_CONFIG_FIELDS);
    for (size_t i = 0; i < sizeof public_fields / sizeof public_fields[0]; i++)
        of_blocks += !strcmp(public_fields[i].type, "sgt_block_config") &&
                     !is_other(public_fields[i].name);
    ck_assert_uint_eq(of_blocks, SGTI_BLOCK_FIELDS);
}
END_TEST

START_TEST(a_row_reads_and_sets_its_field)
{
    sgt_model_config config = sgtt_config();
    const sgti_config_field *d_ff = row_of("d_ff"), *norm_eps = row_of("norm_eps");
    ck_assert_double_eq(sgti_config_get(&config, d_ff), config.d_ff);
    ck_assert_double_eq(sgti_config_get(&config, norm_eps), config.norm_eps);
    sgti_config_set(&config, d_ff, 77);
    sgti_config_set(&config, norm_eps, 0.5);
    ck_assert_int_eq(config.d_ff, 77);
    ck_assert_double_eq(config.norm_eps, 0.5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tests = tcase_create("fields");
    tcase_add_test(tests, every_field_has_its_row);
    tcase_add_test(tests, a_row_reads_and_sets_its_field);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
