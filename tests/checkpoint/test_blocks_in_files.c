/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists of blocks in checkpoints and folders: written where they say something, read, compared. */
#include <stdlib.h>
#include <string.h>

#include "hf_folder.h"
#include "idle_kind.h"

static void begin(void)
{
    idle_is_known = 1;
    hf_setup();
}

static const sgt_block_config standard_blocks[3] = {
    {.size = sizeof *standard_blocks},
    {.size = sizeof *standard_blocks},
    {.size = sizeof *standard_blocks},
};

static const sgt_attention_pattern two_patterns[2] = {
    {.size = sizeof *two_patterns, .sets = SGT_KEYS_LOCAL, .stride = 6},
    {.size = sizeof *two_patterns},
};

static const sgt_attention_pattern fixed = {.size = sizeof fixed,
                                            .sets = SGT_KEYS_BLOCK | SGT_KEYS_SUMMARY,
                                            .stride = 8, .summary = 2, .phase = 1};

static const sgt_block_config patterned_blocks[3] = {
    {.size = sizeof *patterned_blocks, .n_patterns = 2, .patterns = two_patterns},
    {.size = sizeof *patterned_blocks},
    {.size = sizeof *patterned_blocks, .n_patterns = 1, .patterns = &fixed},
};

static sgt_model_config with_blocks(const sgt_block_config *blocks, int32_t n_blocks)
{
    sgt_model_config config = idle_config();
    config.blocks = blocks;
    config.n_blocks = n_blocks;
    return config;
}

static sgt_model *make(const sgt_block_config *blocks, int32_t n_blocks)
{
    sgt_model_config config = with_blocks(blocks, n_blocks);
    return sgtt_model(hf_context, &config, 1);
}

static sgt_checkpoint *open_file(const char *path)
{
    sgt_checkpoint *checkpoint = NULL;
    sgtt_ok(sgt_checkpoint_open(&checkpoint, hf_context, path));
    return checkpoint;
}

static void blocks_are_idle(const sgt_model_config *config)
{
    ck_assert_int_eq(config->n_blocks, 2);
    ck_assert_mem_eq(config->blocks, idle_blocks, sizeof idle_blocks);
}

static void blocks_are_patterned(const sgt_model_config *config)
{
    ck_assert_int_eq(config->n_blocks, 3);
    ck_assert_int_eq(config->blocks[0].n_patterns, 2);
    ck_assert_mem_eq(config->blocks[0].patterns, two_patterns, sizeof two_patterns);
    ck_assert_int_eq(config->blocks[1].n_patterns, 0);
    ck_assert_ptr_null(config->blocks[1].patterns);
    ck_assert_int_eq(config->blocks[2].n_patterns, 1);
    ck_assert_mem_eq(config->blocks[2].patterns, &fixed, sizeof fixed);
}

/* ---- checkpoints ---- */

START_TEST(a_standard_list_is_not_written)
{
    char without[SCRATCH_PATH], with[SCRATCH_PATH];
    sgt_model *plain = make(NULL, 0), *listed = make(standard_blocks, 3);
    sgt_model_config config = {.size = sizeof config};
    hf_save_checkpoint(without, "without", plain);
    hf_save_checkpoint(with, "with", listed);
    ck_assert(scratch_equal(without, with));
    sgt_checkpoint *checkpoint = open_file(with);
    sgtt_ok(sgt_checkpoint_get_config(&config, checkpoint));
    ck_assert_int_eq(config.n_blocks, 0);
    ck_assert_ptr_null(config.blocks);
    sgtt_ok(sgt_checkpoint_load(plain, NULL, NULL, checkpoint, NULL));
    sgtt_ok(sgt_checkpoint_load(listed, NULL, NULL, checkpoint, NULL));
    sgt_checkpoint_free(checkpoint);
    sgt_model_free(listed);
    sgt_model_free(plain);
}
END_TEST

START_TEST(a_list_comes_back)
{
    char path[SCRATCH_PATH], again[SCRATCH_PATH];
    sgt_model *model = make(idle_blocks, 2), *made = NULL;
    sgt_model_config of_file = {.size = sizeof of_file}, of_model = {.size = sizeof of_model};
    hf_save_checkpoint(path, "listed", model);
    ck_assert_int_eq(scratch_replace(path, "\"model.block.1.feed_forward\":\"idle\"",
                                     "\"model.block.1.feed_forward\":\"idle\""), 1);
    sgt_checkpoint *checkpoint = open_file(path);
    sgtt_ok(sgt_checkpoint_get_config(&of_file, checkpoint));
    blocks_are_idle(&of_file);
    sgtt_ok(sgt_checkpoint_create(&made, NULL, NULL, checkpoint, NULL, NULL, NULL));
    sgt_checkpoint_free(checkpoint);
    sgtt_ok(sgt_model_get_config(&of_model, made));
    blocks_are_idle(&of_model);
    hf_save_checkpoint(again, "again", made);
    ck_assert(scratch_equal(path, again));
    sgt_model_free(made);
    sgt_model_free(model);
}
END_TEST

START_TEST(patterns_come_back)
{
    char path[SCRATCH_PATH], again[SCRATCH_PATH];
    sgt_model *model = make(patterned_blocks, 3), *made = NULL;
    sgt_model_config of_file = {.size = sizeof of_file}, of_model = {.size = sizeof of_model};
    hf_save_checkpoint(path, "patterns", model);
    ck_assert_int_eq(scratch_replace(path, "\"sgt.checkpoint\":\"2\"",
                                     "\"sgt.checkpoint\":\"2\""), 1);
    ck_assert_int_eq(scratch_replace(path, "\"model.block.0.patterns\":\"local:6,dense\"",
                                     "\"model.block.0.patterns\":\"local:6,dense\""), 1);
    ck_assert_int_eq(scratch_replace(path, "\"model.block.2.patterns\":\"block+summary:8:2:1\"",
                                     "\"model.block.2.patterns\":\"block+summary:8:2:1\""), 1);
    sgt_checkpoint *checkpoint = open_file(path);
    sgtt_ok(sgt_checkpoint_get_config(&of_file, checkpoint));
    blocks_are_patterned(&of_file);
    sgtt_ok(sgt_checkpoint_create(&made, NULL, NULL, checkpoint, NULL, NULL, NULL));
    sgt_checkpoint_free(checkpoint);
    sgtt_ok(sgt_model_get_config(&of_model, made));
    blocks_are_patterned(&of_model);
    hf_save_checkpoint(again, "again", made);
    ck_assert(scratch_equal(path, again));
    sgt_model_free(made);
    sgt_model_free(model);
}
END_TEST

/* By layer and key/value head: a list that is written otherwise may say the same. */
START_TEST(patterns_are_compared)
{
    char path[SCRATCH_PATH];
    sgt_block_config twice[3] = {patterned_blocks[0], patterned_blocks[1], patterned_blocks[2]};
    const sgt_attention_pattern both[2] = {fixed, fixed};
    sgt_model *model = make(patterned_blocks, 3), *other = make(NULL, 0);
    twice[2].n_patterns = 2;
    twice[2].patterns = both;
    sgt_model *equal = make(twice, 3);
    hf_save_checkpoint(path, "patterns", model);
    sgt_checkpoint *checkpoint = open_file(path);
    sgtt_ok(sgt_checkpoint_load(equal, NULL, NULL, checkpoint, NULL));
    sgtt_fails(sgt_checkpoint_load(other, NULL, NULL, checkpoint, NULL), SGT_E_INVALID_ARGUMENT,
               "layer 0's patterns local:6 in the file, dense here; "
               "layer 2's patterns block+summary:8:2:1 in the file, dense here");
    sgt_checkpoint_free(checkpoint);
    sgt_model_free(other);
    sgt_model_free(equal);
    sgt_model_free(model);
}
END_TEST

static const struct {
    const char *from, *to;
    const char *message;
} wrong_patterns[] = {
    {"\"local:6,dense\"", "\"lokal:6,dense\"", "model.block.0.patterns: 'lokal:6' is no pattern"},
    {"\"local:6,dense\"", "\"local:6,,ense\"", "model.block.0.patterns: '' is no pattern"},
    {"\"local:6,dense\"", "\"local:0,dense\"", "model.block.0.patterns: local:0: stride is 0"},
    {"\"block+summary:8:2:1\"", "\"local:8,dense,dense\"", "blocks[2].n_patterns is 3"},
};

START_TEST(damaged_patterns_are_named)
{
    char path[SCRATCH_PATH];
    sgt_checkpoint *none = NULL;
    sgt_model *model = make(patterned_blocks, 3), *unread = NULL;
    const char *of_folder = strstr(wrong_patterns[_i].message, ": ");
    hf_save_checkpoint(path, "damaged", model);
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    uint64_t before = sgtt_memory(hf_context).current;
    ck_assert_int_eq(scratch_replace(path, wrong_patterns[_i].from, wrong_patterns[_i].to), 1);
    hf_edit_config(wrong_patterns[_i].from, wrong_patterns[_i].to);
    sgtt_fails(sgt_checkpoint_open(&none, hf_context, path), SGT_E_FORMAT,
               wrong_patterns[_i].message);
    sgt_status status = sgt_hf_load(&unread, hf_context, hf_folder, NULL, NULL);
    ck_assert_int_eq(status, of_folder ? SGT_E_FORMAT : SGT_E_OUT_OF_RANGE);
    ck_assert_ptr_nonnull(
        strstr(sgt_error_message(), of_folder ? of_folder : wrong_patterns[_i].message));
    ck_assert_uint_eq(sgtt_memory(hf_context).current, before);
    sgt_model_free(model);
}
END_TEST

/* Layers count, not how the list is written. */
START_TEST(blocks_are_compared_by_layer)
{
    char path[SCRATCH_PATH];
    const sgt_block_config longer[3] = {idle_blocks[0], idle_blocks[1], idle_blocks[0]};
    sgt_model *model = make(idle_blocks, 2), *equal = make(longer, 3), *other = make(NULL, 0);
    hf_save_checkpoint(path, "listed", model);
    sgt_checkpoint *checkpoint = open_file(path);
    sgtt_ok(sgt_checkpoint_load(equal, NULL, NULL, checkpoint, NULL));
    sgtt_fails(sgt_checkpoint_load(other, NULL, NULL, checkpoint, NULL), SGT_E_INVALID_ARGUMENT,
               "does not fit the model: layer 1's feed_forward idle in the file, swiglu here");
    sgt_checkpoint_free(checkpoint);
    sgt_model_free(other);
    sgt_model_free(equal);
    sgt_model_free(model);
}
END_TEST

static const hf_damage damages[] = {
    {"feed_forward\":\"idle\"", "feed_forward\":\"busy\"", SGT_E_VERSION,
     "model.block.1.feed_forward is 'busy', which is not known to this libsgt"},
    {"\"model.blocks\":\"2\"", "\"model.blocks\":\"0\"", SGT_E_FORMAT,
     "model.blocks is not possible"},
    {"\"model.blocks\":\"2\"", "\"model.blocks\":\"x\"", SGT_E_FORMAT, "model.blocks is 'x'"},
    {"\"model.blocks\":\"2\"", "\"model.blocks\":\"3\"", SGT_E_FORMAT,
     "'model.block.2.attention' is missing"},
    {"\"model.blocks\":\"2\"", "\"model.blocks\":\"1\"", SGT_E_VERSION,
     "'model.block.1.attention' is not known"},
    {"\"model.blocks\"", "\"model.blobks\"", SGT_E_VERSION, "is not known to this libsgt"},
    {"\"model.block.1.attention\"", "\"model.block.1.attentiom\"", SGT_E_FORMAT,
     "'model.block.1.attention' is missing"},
    {"\"model.d_ff\":\"34\"", "\"model.d_ff\":\"35\"", SGT_E_FORMAT, "beside an idle part"},
};

START_TEST(a_damaged_list_is_named)
{
    sgt_model *model = make(idle_blocks, 2);
    hf_refuse_damaged(model, &damages[_i]);
    sgt_model_free(model);
}
END_TEST

/* What an earlier release says to the file of a later one. */
START_TEST(a_kind_of_a_newer_library_is_refused)
{
    char path[SCRATCH_PATH];
    sgt_checkpoint *none = NULL;
    sgt_model *model = make(idle_blocks, 2), *unread = NULL;
    hf_save_checkpoint(path, "newer", model);
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    sgt_model_free(model);
    idle_is_known = 0;
    sgtt_fails(sgt_checkpoint_open(&none, hf_context, path), SGT_E_VERSION,
               "model.block.1.feed_forward is 'idle'");
    sgtt_fails(sgt_hf_load(&unread, hf_context, hf_folder, NULL, NULL), SGT_E_VERSION,
               "sgt_block_feed_forward: idle is not known to this libsgt");
}
END_TEST

/* ---- folders ---- */

START_TEST(a_folder_has_no_standard_list)
{
    sgt_model *plain = make(NULL, 0), *listed = make(standard_blocks, 1);
    sgtt_ok(sgt_hf_save(plain, hf_folder, NULL));
    char *without = hf_read_config();
    sgtt_ok(sgt_hf_save(listed, hf_folder, NULL));
    char *with = hf_read_config();
    ck_assert_str_eq(with, without);
    ck_assert_ptr_nonnull(strstr(with, "\"model_type\": \"llama\""));
    free(with);
    free(without);
    sgt_model_free(listed);
    sgt_model_free(plain);
}
END_TEST

START_TEST(a_list_comes_back_from_a_folder)
{
    sgt_model *model = make(idle_blocks, 2), *made = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    char *text = hf_read_config();
    ck_assert_ptr_nonnull(strstr(text, "\"model_type\": \"sgt\""));
    ck_assert_ptr_nonnull(strstr(text, "\"SgtForCausalLM\""));
    ck_assert_ptr_nonnull(strstr(text, "\"sgt_block_feed_forward\": [\n    \"swiglu\",\n"
                                       "    \"idle\"\n  ]"));
    free(text);
    sgtt_ok(sgt_hf_load(&made, hf_context, hf_folder, NULL, NULL));
    sgtt_ok(sgt_model_get_config(&config, made));
    blocks_are_idle(&config);
    ck_assert_double_eq(hf_loss(made), hf_loss(model));
    sgt_model_free(made);
    sgt_model_free(model);
}
END_TEST

START_TEST(patterns_come_back_from_a_folder)
{
    sgt_model *model = make(patterned_blocks, 3), *made = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    char *text = hf_read_config();
    ck_assert_ptr_nonnull(strstr(text, "\"model_type\": \"sgt\""));
    ck_assert_ptr_nonnull(strstr(text, "\"sgt_block_patterns\": [\n    \"local:6,dense\",\n"
                                       "    \"dense\",\n    \"block+summary:8:2:1\"\n  ]"));
    free(text);
    sgtt_ok(sgt_hf_load(&made, hf_context, hf_folder, NULL, NULL));
    sgtt_ok(sgt_model_get_config(&config, made));
    blocks_are_patterned(&config);
    ck_assert_double_eq(hf_loss(made), hf_loss(model));
    sgt_model_free(made);
    sgt_model_free(model);
    hf_edit_config("\"dense\",", "");
    sgtt_fails(sgt_hf_load(&made, hf_context, hf_folder, NULL, NULL), SGT_E_FORMAT,
               "sgt_block_attention and sgt_block_patterns are not lists of one length");
    hf_edit_config("\"local:6,dense\"", "\"dense\", 3");
    sgtt_fails(sgt_hf_load(&made, hf_context, hf_folder, NULL, NULL), SGT_E_FORMAT,
               "sgt_block_patterns holds something else than texts");
}
END_TEST

static const struct {
    const char *from, *to;
    sgt_status status;
    const char *message;
} edits[] = {
    {"\"idle\"", "\"busy\"", SGT_E_VERSION, "sgt_block_feed_forward: busy is not known"},
    {"\"idle\"", "3", SGT_E_FORMAT, "sgt_block_feed_forward holds something else than names"},
    {"\"idle\"", "\"idle\", \"idle\"", SGT_E_FORMAT,
     "sgt_block_attention and sgt_block_feed_forward are not lists of one length"},
    {"\"sgt_block_attention\"", "\"sgt_block_attentiom\"", SGT_E_VERSION,
     "sgt_block_attentiom is not known"},
    {"\"sgt_block_attention\": [", "\"sgt_block_attention\": null, \"x\": [", SGT_E_FORMAT,
     "are not lists of one length"},
    {"\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1", SGT_E_OUT_OF_RANGE,
     "config.json: n_blocks is 2"},
};

START_TEST(a_wrong_list_of_a_folder_is_named)
{
    sgt_model *model = make(idle_blocks, 2), *none = NULL;
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    hf_edit_config(edits[_i].from, edits[_i].to);
    uint64_t before = sgtt_memory(hf_context).current;
    sgtt_fails(sgt_hf_load(&none, hf_context, hf_folder, NULL, NULL), edits[_i].status,
               edits[_i].message);
    ck_assert_uint_eq(sgtt_memory(hf_context).current, before);
    sgt_model_free(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blocks in files");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, begin, hf_teardown);
    tcase_add_test(tests, a_standard_list_is_not_written);
    tcase_add_test(tests, a_list_comes_back);
    tcase_add_test(tests, patterns_come_back);
    tcase_add_test(tests, patterns_are_compared);
    tcase_add_loop_test(tests, damaged_patterns_are_named, 0,
                        sizeof wrong_patterns / sizeof wrong_patterns[0]);
    tcase_add_test(tests, blocks_are_compared_by_layer);
    tcase_add_loop_test(tests, a_damaged_list_is_named, 0, sizeof damages / sizeof damages[0]);
    tcase_add_test(tests, a_kind_of_a_newer_library_is_refused);
    tcase_add_test(tests, a_folder_has_no_standard_list);
    tcase_add_test(tests, a_list_comes_back_from_a_folder);
    tcase_add_test(tests, patterns_come_back_from_a_folder);
    tcase_add_loop_test(tests, a_wrong_list_of_a_folder_is_named, 0,
                        sizeof edits / sizeof edits[0]);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
