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

static const sgti_config_field *find(const sgti_config_field *table, size_t count,
                                     const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(table[i].name, name))
            return &table[i];
    }
    return NULL;
}

static const sgti_config_field *row_of(const char *name)
{
    return find(sgti_config_fields, SGTI_CONFIG_FIELDS, name);
}

static const struct {
    const char *type;
    const sgti_config_field *table;
    size_t count;
} tables[] = {{"sgt_model_config", sgti_config_fields, SGTI_CONFIG_FIELDS},
              {"sgt_block_config", sgti_block_fields, SGTI_BLOCK_FIELDS}};

/* _i: of which struct. */
START_TEST(every_field_has_its_row)
{
    size_t found = 0;
    for (size_t i = 0; i < sizeof public_fields / sizeof public_fields[0]; i++) {
        if (strcmp(public_fields[i].type, tables[_i].type) || is_other(public_fields[i].name))
            continue;
        const sgti_config_field *row =
            find(tables[_i].table, tables[_i].count, public_fields[i].name);
        ck_assert_msg(row, "%s has no row", public_fields[i].name);
        ck_assert_int_eq(public_fields[i].kind, row->kind == SGTI_CONFIG_REAL ? F64 : I32);
        found++;
    }
    ck_assert_uint_eq(found, tables[_i].count);
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

static const struct {
    int32_t vocab_size, tied, head_modules, reserved;
    sgt_status status;
    const char *message;
} wrong[] = {
    {20, 0, -1, 0, SGT_E_OUT_OF_RANGE, "head_modules is -1, must be 0 to 16384"},
    {20, 0, 16385, 0, SGT_E_OUT_OF_RANGE, "head_modules is 16385"},
    {20, 0, 3, 0, SGT_E_INVALID_ARGUMENT, "head_modules 3 does not divide vocab_size 20"},
    {20, 1, 4, 0, SGT_E_UNSUPPORTED, "these exclude each other: head_modules and tied"},
    {20, 0, 0, 1, SGT_E_INVALID_ARGUMENT, "sgt_model_config.reserved is 1"},
};

START_TEST(a_wrong_field_is_named)
{
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = sgtt_config();
    sgt_model *none = NULL;
    config.vocab_size = wrong[_i].vocab_size;
    config.tied = wrong[_i].tied;
    config.head_modules = wrong[_i].head_modules;
    config.reserved = wrong[_i].reserved;
    sgtt_fails(sgt_model_create(&none, context, &config, NULL), wrong[_i].status,
               wrong[_i].message);
    ck_assert_ptr_null(none);
    sgt_context_free(context);
}
END_TEST

static const struct {
    sgt_block_config block;
    sgt_status status;
    const char *message;
} wrong_blocks[] = {
#define BLOCK(...) {.size = sizeof(sgt_block_config), __VA_ARGS__}
    {BLOCK(.feed_forward = 2), SGT_E_OUT_OF_RANGE, "blocks[1].feed_forward is 2, not an sgt_feed"},
    {BLOCK(.units = 5, .controller_rank = 1), SGT_E_INVALID_ARGUMENT,
     "blocks[1]: units 5 do not divide d_ff 24"},
    {BLOCK(.units = 48, .controller_rank = 1), SGT_E_INVALID_ARGUMENT,
     "blocks[1]: units 48 do not divide d_ff 24"},
    {BLOCK(.units = 4), SGT_E_OUT_OF_RANGE, "controller_rank is 0, must be at least 1"},
    {BLOCK(.feed_forward = SGT_FEED_FORWARD_RELU, .units = 4), SGT_E_OUT_OF_RANGE,
     "controller_rank is 0, must be at least 1"},
};

START_TEST(a_wrong_block_is_named)
{
    const sgt_block_config list[2] = {BLOCK(0), wrong_blocks[_i].block};
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = sgtt_config();
    sgt_model *none = NULL;
    config.d_ff = 24;
    config.n_blocks = 2;
    config.blocks = list;
    sgtt_fails(sgt_model_create(&none, context, &config, NULL), wrong_blocks[_i].status,
               wrong_blocks[_i].message);
    ck_assert_ptr_null(none);
    sgt_context_free(context);
}
END_TEST

/* _i: every head has its own keys, but the modules are not all of the stream. */
START_TEST(modules_exclude_groups_and_other_widths)
{
    static const char *const messages[] = {
        "these exclude each other: attention multiplicative and an n_kv_heads other than n_heads",
        "these exclude each other: attention multiplicative and a d_model other than n_heads *"};
    const sgt_block_config list[2] = {BLOCK(0), BLOCK(.attention = SGT_ATTENTION_MULTIPLICATIVE)};
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = sgtt_config();
    sgt_model *model = NULL;
    config.n_blocks = 2;
    config.blocks = list;
    if (_i)
        config.n_kv_heads = config.n_heads;
    else
        config.d_model = config.n_heads * config.head_dim;
    sgtt_fails(sgt_model_create(&model, context, &config, NULL), SGT_E_UNSUPPORTED, messages[_i]);
    ck_assert_ptr_null(model);
    config.n_kv_heads = config.n_heads;
    config.d_model = config.n_heads * config.head_dim;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

#define COUNT(list) (int)(sizeof(list) / sizeof(list)[0])

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *tests = tcase_create("fields");
    tcase_add_loop_test(tests, a_wrong_field_is_named, 0, COUNT(wrong));
    tcase_add_loop_test(tests, a_wrong_block_is_named, 0, COUNT(wrong_blocks));
    tcase_add_loop_test(tests, modules_exclude_groups_and_other_widths, 0, 2);
    tcase_add_loop_test(tests, every_field_has_its_row, 0, 2);
    tcase_add_test(tests, a_row_reads_and_sets_its_field);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
