/* SPDX-License-Identifier: BSD-3-Clause */
/* Heads of modules in checkpoints and folders: said where there is one, read, compared, refused by
 * name. */
#include <stdlib.h>
#include <string.h>

#include "hf_folder.h"

#define NOTHING "                           " /* as long as the key of modules is */
#define SHAPE   "has the shape [5, 20], not "

static sgt_model *make(int32_t modules, int32_t tied)
{
    sgt_model_config config = sgtt_config();
    config.vocab_size = 20;
    config.head_modules = modules;
    config.tied = tied;
    return sgtt_model(hf_context, &config, 1);
}

static int32_t modules_of(const sgt_model *model)
{
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_model_get_config(&config, model));
    return config.head_modules;
}

static int config_has(const char *piece)
{
    char *text = hf_read_config();
    const int found = strstr(text, piece) != NULL;
    free(text);
    return found;
}

START_TEST(a_head_comes_back)
{
    char path[SCRATCH_PATH], again[SCRATCH_PATH];
    sgt_checkpoint *checkpoint = NULL;
    sgt_model *model = make(4, 0), *made = NULL;
    hf_save_checkpoint(path, "head", model);
    ck_assert_int_eq(scratch_replace(path, "\"model.head_modules\":\"4\"",
                                     "\"model.head_modules\":\"4\""), 1);
    ck_assert_int_eq(scratch_replace(path, "\"sgt.checkpoint\":\"2\"",
                                     "\"sgt.checkpoint\":\"2\""), 1);
    sgtt_ok(sgt_checkpoint_open(&checkpoint, hf_context, path));
    sgtt_ok(sgt_checkpoint_create(&made, NULL, NULL, checkpoint, NULL, NULL, NULL));
    sgt_checkpoint_free(checkpoint);
    ck_assert_int_eq(modules_of(made), 4);
    ck_assert_double_eq(hf_loss(made), hf_loss(model));
    hf_save_checkpoint(again, "again", made);
    ck_assert(scratch_equal(path, again));
    sgt_model_free(made);
    sgt_model_free(model);
}
END_TEST

START_TEST(a_matrix_is_not_said)
{
    char path[SCRATCH_PATH];
    sgt_model *model = make(0, 0);
    hf_save_checkpoint(path, "plain", model);
    ck_assert_int_eq(scratch_replace(path, "head_modules", "head_modules"), 0);
    ck_assert_int_eq(scratch_replace(path, "\"sgt.checkpoint\":\"1\"",
                                     "\"sgt.checkpoint\":\"1\""), 1);
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    ck_assert(config_has("\"model_type\": \"llama\""));
    ck_assert(!config_has("sgt_"));
    sgt_model_free(model);
}
END_TEST

START_TEST(heads_are_compared)
{
    char path[SCRATCH_PATH];
    sgt_checkpoint *checkpoint = NULL;
    sgt_model *model = make(4, 0), *other = make(5, 0);
    hf_save_checkpoint(path, "head", model);
    sgtt_ok(sgt_checkpoint_open(&checkpoint, hf_context, path));
    sgtt_ok(sgt_checkpoint_load(model, NULL, NULL, checkpoint, NULL));
    sgtt_fails(sgt_checkpoint_load(other, NULL, NULL, checkpoint, NULL), SGT_E_INVALID_ARGUMENT,
               "does not fit the model: head_modules 4 in the file, 5 here");
    sgt_checkpoint_free(checkpoint);
    sgt_model_free(other);
    sgt_model_free(model);
}
END_TEST

#define MODULES "\"model.head_modules\":\"4\""

static const hf_damage damages[] = {
    {MODULES, "\"model.head_modules\":\"x\"", SGT_E_FORMAT, "model.head_modules is 'x'"},
    {MODULES, "\"model.head_modules\":\"3\"", SGT_E_FORMAT,
     "model.head_modules 3 does not divide vocab_size 20"},
    {MODULES, "\"model.head_modules\":\"5\"", SGT_E_FORMAT,
     "'lm_head.scale' has the shape [4, 20], not [5, 20]"},
    {MODULES, "\"model.head_nodules\":\"4\"", SGT_E_VERSION, "'model.head_nodules' is not known"},
    {MODULES ",", NOTHING, SGT_E_FORMAT, SHAPE},
    {"\"model.tied\":\"0\"", "\"model.tied\":\"1\"", SGT_E_FORMAT,
     "model.these exclude each other: head_modules and tied"},
};

START_TEST(damaged_heads_are_named)
{
    sgt_model *model = make(4, 0);
    hf_refuse_damaged(model, &damages[_i]);
    sgt_model_free(model);
}
END_TEST

START_TEST(a_head_comes_back_from_a_folder)
{
    sgt_model *model = make(4, 0), *made = NULL;
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    ck_assert(config_has("\"model_type\": \"sgt\""));
    ck_assert(config_has("\"SgtForCausalLM\""));
    ck_assert(config_has("\"sgt_head_modules\": 4"));
    sgtt_ok(sgt_hf_load(&made, hf_context, hf_folder, NULL, NULL));
    ck_assert_int_eq(modules_of(made), 4);
    ck_assert_double_eq(hf_loss(made), hf_loss(model));
    sgt_model_free(made);
    sgt_model_free(model);
}
END_TEST

#define OF_FOLDER "\"sgt_head_modules\": 4"

static const struct {
    const char *from, *to;
    sgt_status status;
    const char *message;
} edits[] = {
    {OF_FOLDER, "\"sgt_head_modules\": \"4\"", SGT_E_FORMAT,
     "sgt_head_modules is not a whole number"},
    {OF_FOLDER, "\"sgt_head_modules\": -4", SGT_E_FORMAT, "sgt_head_modules is not a whole number"},
    {OF_FOLDER, "\"sgt_head_modules\": 3", SGT_E_INVALID_ARGUMENT,
     "config.json: head_modules 3 does not divide vocab_size 20"},
    {OF_FOLDER, "\"sgt_head_modules\": 16385", SGT_E_OUT_OF_RANGE,
     "config.json: head_modules is 16385"},
    {OF_FOLDER, "\"sgt_head_module\": 4", SGT_E_VERSION, "sgt_head_module is not known"},
    {OF_FOLDER, "\"sgt_head_modules\": 5", SGT_E_FORMAT, "has the shape [4, 20], not [5, 20]"},
    {OF_FOLDER ",", "", SGT_E_FORMAT, SHAPE "[20, 20]"},
};

START_TEST(wrong_heads_of_a_folder_are_named)
{
    sgt_model *model = make(4, 0), *none = NULL;
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

#define COUNT(list) (int)(sizeof(list) / sizeof(list)[0])

int main(void)
{
    Suite *suite = suite_create("heads in files");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, hf_setup, hf_teardown);
    tcase_add_test(tests, a_head_comes_back);
    tcase_add_test(tests, a_matrix_is_not_said);
    tcase_add_test(tests, heads_are_compared);
    tcase_add_loop_test(tests, damaged_heads_are_named, 0, COUNT(damages));
    tcase_add_test(tests, a_head_comes_back_from_a_folder);
    tcase_add_loop_test(tests, wrong_heads_of_a_folder_are_named, 0, COUNT(edits));
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
