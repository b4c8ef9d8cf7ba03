/* SPDX-License-Identifier: BSD-3-Clause */
/* What blocks tell beside kinds and patterns, in checkpoints and folders: written where it is not
 * usual, read, compared, refused by name. */
#include <stdlib.h>
#include <string.h>

#include "hf_folder.h"
#include "idle_kind.h"

#define BLOCK(...)  {.size = sizeof(sgt_block_config), __VA_ARGS__}
#define CONTROLLED  .feed_forward = IDLE, .units = 2, .controller_rank = 12345

/* Everything is said, nothing is, and some. */
static const sgt_block_config blocks[3] = {
    BLOCK(CONTROLLED, .temperature = 0.25, .hard_fraction = 1.0),
    BLOCK(.units = 0, .controller_rank = 9, .temperature = 7.0),
    BLOCK(CONTROLLED, .temperature = 0.1, .hard_fraction = 0.3),
};

static sgt_model *make(const sgt_block_config list[3])
{
    sgt_model_config config = idle_config();
    config.blocks = list;
    config.n_blocks = 3;
    return sgtt_model(hf_context, &config, 1);
}

static void blocks_are_kept(const sgt_model_config *config)
{
    sgt_block_config kept[3] = {blocks[0], idle_blocks[0], blocks[2]};
    kept[0].mult_kernel = kept[2].mult_kernel = 3;
    ck_assert_int_eq(config->n_blocks, 3);
    ck_assert_mem_eq(config->blocks, kept, sizeof kept);
}

static int has(const char *path, const char *piece)
{
    return scratch_replace(path, piece, piece);
}

/* ---- checkpoints ---- */

START_TEST(fields_come_back)
{
    char path[SCRATCH_PATH], again[SCRATCH_PATH];
    sgt_checkpoint *checkpoint = NULL;
    sgt_model *model = make(blocks), *made = NULL;
    sgt_model_config of_file = {.size = sizeof of_file}, of_model = {.size = sizeof of_model};
    hf_save_checkpoint(path, "fields", model);
    sgtt_ok(sgt_checkpoint_open(&checkpoint, hf_context, path));
    sgtt_ok(sgt_checkpoint_get_config(&of_file, checkpoint));
    blocks_are_kept(&of_file);
    sgtt_ok(sgt_checkpoint_create(&made, NULL, NULL, checkpoint, NULL, NULL, NULL));
    sgt_checkpoint_free(checkpoint);
    sgtt_ok(sgt_model_get_config(&of_model, made));
    blocks_are_kept(&of_model);
    hf_save_checkpoint(again, "again", made);
    ck_assert(scratch_equal(path, again));
    sgt_model_free(made);
    sgt_model_free(model);
}
END_TEST

START_TEST(only_what_is_not_usual_is_written)
{
    char path[SCRATCH_PATH];
    sgt_model *model = make(blocks);
    hf_save_checkpoint(path, "fields", model);
    ck_assert_int_eq(has(path, "\"model.block.0.units\":\"2\""), 1);
    ck_assert_int_eq(has(path, "\"model.block.0.controller_rank\":\"12345\""), 1);
    ck_assert_int_eq(has(path, "\"model.block.0.temperature\":\"0x3fd0000000000000\""), 1);
    ck_assert_int_eq(has(path, "\"model.block.0.hard_fraction\":\"0x3ff0000000000000\""), 1);
    ck_assert_int_eq(has(path, "\"model.block.2.units\":\"2\""), 1);
    ck_assert_int_eq(has(path, ".units\""), 2);
    ck_assert_int_eq(has(path, ".controller_rank\""), 2);
    ck_assert_int_eq(has(path, ".temperature\""), 1);
    ck_assert_int_eq(has(path, ".hard_fraction\""), 1);
    ck_assert_int_eq(has(path, ".mult_kernel\""), 0);
    ck_assert_int_eq(has(path, ".attention_output\""), 0);
    sgt_model_free(model);
}
END_TEST

/* _i: a layer has a controller that has none in the file. */
START_TEST(fields_are_compared_by_layer)
{
    char path[SCRATCH_PATH];
    sgt_checkpoint *checkpoint = NULL;
    sgt_block_config others[3] = {blocks[0], blocks[1], blocks[2]};
    others[0].temperature = 0.5;
    others[1].controller_rank = 8; /* nothing without units */
    if (_i)
        others[1].units = 2;
    others[2].units = 17;
    sgt_model *model = make(blocks), *other = make(others);
    hf_save_checkpoint(path, "fields", model);
    sgtt_ok(sgt_checkpoint_open(&checkpoint, hf_context, path));
    sgtt_ok(sgt_checkpoint_load(model, NULL, NULL, checkpoint, NULL));
    sgtt_fails(sgt_checkpoint_load(other, NULL, NULL, checkpoint, NULL), SGT_E_INVALID_ARGUMENT,
               _i ? "does not fit the model: layer 0's temperature 0.25 in the file, 0.5 here; "
                    "layer 1's units 0 in the file, 2 here; "
                    "layer 1's controller_rank 0 in the file, 8 here; "
                    "layer 1's temperature 0.1 in the file, 7 here; "
                  : "does not fit the model: layer 0's temperature 0.25 in the file, 0.5 here; "
                    "layer 2's units 2 in the file, 17 here");
    ck_assert_ptr_null(strstr(sgt_error_message(), "feed_forward"));
    sgt_checkpoint_free(checkpoint);
    sgt_model_free(other);
    sgt_model_free(model);
}
END_TEST

/* What it says of a controller that it does not have is not looked at. */
START_TEST(a_file_without_units_has_no_controller)
{
    char path[SCRATCH_PATH];
    sgt_checkpoint *checkpoint = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgt_model *model = make(blocks);
    hf_save_checkpoint(path, "missing", model);
    ck_assert_int_eq(scratch_replace(path, "\"model.block.0.units\":\"2\"",
                                     "\"model.block.0.units\":\"0\""), 1);
    sgtt_ok(sgt_checkpoint_open(&checkpoint, hf_context, path));
    sgtt_ok(sgt_checkpoint_get_config(&config, checkpoint));
    ck_assert_int_eq(config.blocks[0].controller_rank, 0);
    ck_assert_double_eq(config.blocks[0].temperature, 0.1);
    ck_assert_double_eq(config.blocks[0].hard_fraction, 0.3);
    ck_assert_int_eq(config.blocks[2].controller_rank, 12345);
    sgt_checkpoint_free(checkpoint);
    sgt_model_free(model);
}
END_TEST

#define RANK "\"model.block.0.controller_rank\":\"12345\""

static const hf_damage damages[] = {
    {RANK, "\"model.block.0.attention_output\":\"nine\"", SGT_E_VERSION,
     "model.block.0.attention_output is 'nine', which is not known to this libsgt"},
    {RANK, "\"model.block.0.attention_output\":\"none\"", SGT_E_FORMAT,
     "metadata: model.these exclude each other: attention_output none"},
    {RANK, "\"model.block.0.controller_rank\":\"1234x\"", SGT_E_FORMAT,
     "model.block.0.controller_rank is '1234x'"},
    {RANK, "\"model.block.0.controller_rank\":\"-1234\"", SGT_E_FORMAT,
     "model.blocks[0].controller_rank is -1234, must be 0 to"},
    {RANK, "\"model.block.0.kontroller_rank\":\"12345\"", SGT_E_VERSION,
     "'model.block.0.kontroller_rank' is not known"},
    {"\"0x3fd0000000000000\"", "\"0x7ff0000000000000\"", SGT_E_FORMAT,
     "model.blocks[0].temperature is inf"},
    {"\"0x3fd0000000000000\"", "\"0x3fd000000000000 \"", SGT_E_FORMAT,
     "model.block.0.temperature is '0x3fd000000000000 '"},
    {"\"0x3ff0000000000000\"", "\"0x3ff0000000000001\"", SGT_E_FORMAT,
     "model.blocks[0].hard_fraction is 1.0000000000000002"},
    {"\"model.block.2.units\"", "\"model.block.3.units\"", SGT_E_VERSION,
     "'model.block.3.units' is not known"},
};

START_TEST(damaged_fields_are_named)
{
    sgt_model *model = make(blocks);
    hf_refuse_damaged(model, &damages[_i]);
    sgt_model_free(model);
}
END_TEST

/* ---- folders ---- */

static int config_has(const char *piece)
{
    char *text = hf_read_config();
    const int found = strstr(text, piece) != NULL;
    free(text);
    return found;
}

#define UNITS       "\"sgt_block_units\": [\n    2,\n    0,\n    2\n  ]"
#define TEMPERATURE "\"sgt_block_temperature\": [\n    0.25,\n    0.1,\n    0.1\n  ]"

START_TEST(fields_come_back_from_a_folder)
{
    sgt_model *model = make(blocks), *made = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    ck_assert(config_has("\"model_type\": \"sgt\""));
    ck_assert(config_has(UNITS));
    ck_assert(config_has(TEMPERATURE));
    ck_assert(config_has("\"sgt_block_controller_rank\": [\n    12345,\n    0,\n    12345\n  ]"));
    ck_assert(config_has("\"sgt_block_hard_fraction\": [\n    1.0,\n    0.3,\n    0.3\n  ]"));
    ck_assert(!config_has("sgt_block_mult_kernel"));
    ck_assert(!config_has("sgt_block_attention_output"));
    sgtt_ok(sgt_hf_load(&made, hf_context, hf_folder, NULL, NULL));
    sgtt_ok(sgt_model_get_config(&config, made));
    blocks_are_kept(&config);
    ck_assert_double_eq(hf_loss(made), hf_loss(model));
    sgt_model_free(made);
    sgt_model_free(model);
}
END_TEST

/* Of an earlier save in the same folder, config.json keeps nothing. */
START_TEST(fields_do_not_stay_behind)
{
    sgt_model *model = make(blocks), *plain = hf_model(0), *made = NULL;
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    sgtt_ok(sgt_hf_save(plain, hf_folder, NULL));
    ck_assert(!config_has("sgt_"));
    sgtt_ok(sgt_hf_load(&made, hf_context, hf_folder, NULL, NULL));
    ck_assert_double_eq(hf_loss(made), hf_loss(plain));
    sgt_model_free(made);
    sgt_model_free(plain);
    sgt_model_free(model);
}
END_TEST

#define OUTPUTS(word) ", \"sgt_block_attention_output\": [\"projection\", " word ", \"projection\"]"

static const struct {
    const char *from, *to;
    sgt_status status;
    const char *message;
} edits[] = {
    {UNITS, "\"sgt_block_units\": [2, 0]", SGT_E_FORMAT,
     "sgt_block_attention and sgt_block_units are not lists of one length"},
    {UNITS, "\"sgt_block_units\": 2", SGT_E_FORMAT,
     "sgt_block_attention and sgt_block_units are not lists of one length"},
    {UNITS, "\"sgt_block_units\": null", SGT_E_FORMAT,
     "sgt_block_attention and sgt_block_units are not lists of one length"},
    {UNITS, "\"sgt_block_units\": [2, 0, 2.0]", SGT_E_FORMAT,
     "sgt_block_units holds something else than whole numbers"},
    {UNITS, "\"sgt_block_units\": [2, \"0\", 2]", SGT_E_FORMAT,
     "sgt_block_units holds something else than whole numbers"},
    {UNITS, "\"sgt_block_units\": [2, 0, 4294967296]", SGT_E_FORMAT,
     "sgt_block_units holds something else than whole numbers"},
    {UNITS, "\"sgt_block_units\": [2, 0, -1]", SGT_E_OUT_OF_RANGE,
     "config.json: blocks[2].units is -1, must be"},
    {UNITS, "\"sgt_block_unit\": [2, 0, 2]", SGT_E_VERSION, "sgt_block_unit is not known"},
    {TEMPERATURE, "\"sgt_block_temperature\": [0.25, true, 0]", SGT_E_FORMAT,
     "sgt_block_temperature holds something else than numbers"},
    {TEMPERATURE, "\"sgt_block_temperature\": [0.25, 0, -0.5]", SGT_E_OUT_OF_RANGE,
     "config.json: blocks[2].temperature is -0.5"},
    {UNITS, UNITS OUTPUTS("\"nine\""), SGT_E_VERSION,
     "sgt_block_attention_output: nine is not known to this libsgt"},
    {UNITS, UNITS OUTPUTS("1"), SGT_E_FORMAT,
     "sgt_block_attention_output holds something else than words"},
    {UNITS, UNITS OUTPUTS("\"none\""), SGT_E_UNSUPPORTED,
     "config.json: these exclude each other: attention_output none"},
};

START_TEST(wrong_fields_of_a_folder_are_named)
{
    sgt_model *model = make(blocks), *none = NULL;
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    hf_edit_config(edits[_i].from, edits[_i].to);
    const uint64_t before = sgtt_memory(hf_context).current;
    sgtt_fails(sgt_hf_load(&none, hf_context, hf_folder, NULL, NULL), edits[_i].status,
               edits[_i].message);
    ck_assert_ptr_null(none);
    ck_assert_uint_eq(sgtt_memory(hf_context).current, before);
    sgt_model_free(model);
}
END_TEST

START_TEST(a_folder_without_a_list_has_the_usual_field)
{
    sgt_model *model = make(blocks), *made = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    hf_edit_config(TEMPERATURE, "\"x\": 1");
    sgtt_ok(sgt_hf_load(&made, hf_context, hf_folder, NULL, NULL));
    sgtt_ok(sgt_model_get_config(&config, made));
    ck_assert_double_eq(config.blocks[0].temperature, 0.1);
    ck_assert_double_eq(config.blocks[0].hard_fraction, 1.0);
    sgt_model_free(made);
    sgt_model_free(model);
}
END_TEST

#define COUNT(list) (int)(sizeof(list) / sizeof(list)[0])

int main(void)
{
    Suite *suite = suite_create("fields in files");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, hf_setup, hf_teardown);
    tcase_add_test(tests, fields_come_back);
    tcase_add_test(tests, only_what_is_not_usual_is_written);
    tcase_add_loop_test(tests, fields_are_compared_by_layer, 0, 2);
    tcase_add_test(tests, a_file_without_units_has_no_controller);
    tcase_add_loop_test(tests, damaged_fields_are_named, 0, COUNT(damages));
    tcase_add_test(tests, fields_come_back_from_a_folder);
    tcase_add_test(tests, fields_do_not_stay_behind);
    tcase_add_loop_test(tests, wrong_fields_of_a_folder_are_named, 0, COUNT(edits));
    tcase_add_test(tests, a_folder_without_a_list_has_the_usual_field);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
