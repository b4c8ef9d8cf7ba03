/* SPDX-License-Identifier: BSD-3-Clause */
/* Tokens of several streams in checkpoints and folders: said where there are several, read,
 * compared, refused by name. A plain model's files say nothing of them. */
#include <stdlib.h>
#include <string.h>

#include "hf_folder.h"

#define NOTHING "                          " /* as long as the key of streams is */
#define WIDER   "has the shape [19, 60], not [19, 20]"

static sgt_model *make(int32_t streams, int32_t order, int32_t table)
{
    sgt_model_config config = sgtt_config();
    config.altup_streams = streams;
    config.altup_order = order;
    config.altup_table = table;
    return sgtt_model(hf_context, &config, 1);
}

static sgt_model *make_all(void)
{
    return make(3, SGT_ALTUP_SAME, SGT_ALTUP_WIDE);
}

static int has(const char *path, const char *piece)
{
    return scratch_replace(path, piece, piece) > 0;
}

static void streams_are(const sgt_model_config *config, int32_t streams, int32_t order,
                        int32_t table)
{
    ck_assert_int_eq(config->altup_streams, streams);
    ck_assert_int_eq(config->altup_order, order);
    ck_assert_int_eq(config->altup_table, table);
}

/* Opens a file and gives its configuration. */
static sgt_model_config config_of_file(const char *path)
{
    sgt_checkpoint *checkpoint = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_checkpoint_open(&checkpoint, hf_context, path));
    sgtt_ok(sgt_checkpoint_get_config(&config, checkpoint));
    sgt_checkpoint_free(checkpoint);
    return config;
}

/* ---- checkpoints ---- */

START_TEST(one_stream_is_not_written)
{
    char path[SCRATCH_PATH], other[SCRATCH_PATH];
    sgt_model *plain = make(1, 0, 0), *wordy = make(0, SGT_ALTUP_SAME, SGT_ALTUP_WIDE);
    hf_save_checkpoint(path, "plain", plain);
    hf_save_checkpoint(other, "wordy", wordy);
    ck_assert(scratch_equal(path, other));
    ck_assert(has(path, "\"sgt.checkpoint\":\"1\""));
    ck_assert(!has(path, "altup"));
    const sgt_model_config config = config_of_file(path);
    streams_are(&config, 1, SGT_ALTUP_ALTERNATE, SGT_ALTUP_RECYCLED);
    sgt_model_free(wordy);
    sgt_model_free(plain);
}
END_TEST

START_TEST(streams_come_back)
{
    char path[SCRATCH_PATH], again[SCRATCH_PATH];
    sgt_checkpoint *checkpoint = NULL;
    sgt_model *model = make_all(), *made = NULL;
    sgt_model_config config = {.size = sizeof config};
    hf_save_checkpoint(path, "streams", model);
    ck_assert(has(path, "\"sgt.checkpoint\":\"2\""));
    ck_assert(has(path, "\"model.altup_streams\":\"3\""));
    ck_assert(has(path, "\"model.altup_order\":\"same\""));
    ck_assert(has(path, "\"model.altup_table\":\"wide\""));
    sgtt_ok(sgt_checkpoint_open(&checkpoint, hf_context, path));
    sgtt_ok(sgt_checkpoint_create(&made, NULL, NULL, checkpoint, NULL, NULL, NULL));
    sgt_checkpoint_free(checkpoint);
    sgtt_ok(sgt_model_get_config(&config, made));
    streams_are(&config, 3, SGT_ALTUP_SAME, SGT_ALTUP_WIDE);
    ck_assert_double_eq(hf_loss(made), hf_loss(model));
    hf_save_checkpoint(again, "again", made);
    ck_assert(scratch_equal(path, again));
    sgt_model_free(made);
    sgt_model_free(model);
}
END_TEST

/* What is usual is not said. */
START_TEST(only_the_number_of_usual_streams_is_written)
{
    char path[SCRATCH_PATH];
    sgt_model *model = make(2, SGT_ALTUP_ALTERNATE, SGT_ALTUP_RECYCLED);
    hf_save_checkpoint(path, "usual", model);
    ck_assert(has(path, "\"model.altup_streams\":\"2\""));
    ck_assert(!has(path, "altup_order"));
    ck_assert(!has(path, "altup_table"));
    const sgt_model_config config = config_of_file(path);
    streams_are(&config, 2, SGT_ALTUP_ALTERNATE, SGT_ALTUP_RECYCLED);
    sgt_model_free(model);
}
END_TEST

START_TEST(streams_are_compared)
{
    char path[SCRATCH_PATH];
    sgt_checkpoint *checkpoint = NULL;
    sgt_model *model = make_all(), *other = make(2, SGT_ALTUP_ALTERNATE, SGT_ALTUP_WIDE);
    hf_save_checkpoint(path, "streams", model);
    sgtt_ok(sgt_checkpoint_open(&checkpoint, hf_context, path));
    sgtt_ok(sgt_checkpoint_load(model, NULL, NULL, checkpoint, NULL));
    sgtt_fails(sgt_checkpoint_load(other, NULL, NULL, checkpoint, NULL), SGT_E_INVALID_ARGUMENT,
               "does not fit the model: altup_streams 3 in the file, 2 here; "
               "altup_order same in the file, alternate here");
    ck_assert_ptr_null(strstr(sgt_error_message(), "altup_table"));
    sgt_checkpoint_free(checkpoint);
    sgt_model_free(other);
    sgt_model_free(model);
}
END_TEST

/* What a file does not say is usual. */
START_TEST(a_file_without_the_word_has_the_usual_one)
{
    char path[SCRATCH_PATH];
    sgt_model *model = make_all();
    hf_save_checkpoint(path, "missing", model);
    ck_assert_int_eq(scratch_replace(path, "\"model.altup_order\":\"same\",", NOTHING " "), 1);
    const sgt_model_config config = config_of_file(path);
    streams_are(&config, 3, SGT_ALTUP_ALTERNATE, SGT_ALTUP_WIDE);
    sgt_model_free(model);
}
END_TEST

static const hf_damage damages[] = {
    {"altup_order\":\"same\"", "altup_order\":\"some\"", SGT_E_VERSION,
     "model.altup_order is 'some', which is not known to this libsgt"},
    {"altup_table\":\"wide\"", "altup_table\":\"wild\"", SGT_E_VERSION,
     "model.altup_table is 'wild', which is not known to this libsgt"},
    {"altup_table\":\"wide\"", "altup_table\":\"1234\"", SGT_E_VERSION,
     "model.altup_table is '1234'"},
    {"altup_streams\":\"3\"", "altup_streams\":\"x\"", SGT_E_FORMAT, "model.altup_streams is 'x'"},
    {"model.altup_streams\":\"3\"", "model.altup_stream\":\"17\"", SGT_E_VERSION,
     "'model.altup_stream' is not known"},
    {"altup_streams\":\"3\"", "altup_streams\":\"0\"", SGT_E_FORMAT, WIDER},
    {"\"model.altup_streams\":\"3\",", NOTHING, SGT_E_FORMAT, WIDER},
    {"\"model.altup_table\":\"wide\",", NOTHING " ", SGT_E_FORMAT, WIDER},
    {"\"model.altup_order\"", "\"model.altup_orden\"", SGT_E_VERSION,
     "'model.altup_orden' is not known"},
};

START_TEST(damaged_streams_are_named)
{
    sgt_model *model = make_all();
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

START_TEST(a_folder_of_one_stream_is_a_llama)
{
    sgt_model *model = make(0, SGT_ALTUP_SAME, SGT_ALTUP_WIDE);
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    ck_assert(config_has("\"model_type\": \"llama\""));
    ck_assert(!config_has("sgt_"));
    sgt_model_free(model);
}
END_TEST

START_TEST(streams_come_back_from_a_folder)
{
    sgt_model *model = _i ? make_all() : make(2, 0, 0), *made = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    ck_assert(config_has("\"model_type\": \"sgt\""));
    ck_assert(config_has("\"SgtForCausalLM\""));
    ck_assert(config_has(_i ? "\"sgt_altup_streams\": 3" : "\"sgt_altup_streams\": 2"));
    ck_assert_int_eq(config_has("\"sgt_altup_order\": \"same\""), _i);
    ck_assert_int_eq(config_has("\"sgt_altup_table\": \"wide\""), _i);
    ck_assert_int_eq(config_has("sgt_altup_order"), _i);
    sgtt_ok(sgt_hf_load(&made, hf_context, hf_folder, NULL, NULL));
    sgtt_ok(sgt_model_get_config(&config, made));
    streams_are(&config, _i ? 3 : 2, _i ? SGT_ALTUP_SAME : SGT_ALTUP_ALTERNATE,
                _i ? SGT_ALTUP_WIDE : SGT_ALTUP_RECYCLED);
    ck_assert_double_eq(hf_loss(made), hf_loss(model));
    sgt_model_free(made);
    sgt_model_free(model);
}
END_TEST

/* A program that knows windows of keys alone must not take it for a Mistral. */
START_TEST(a_window_of_a_model_with_streams_is_a_pattern)
{
    const sgt_attention_pattern window = {
        .size = sizeof window, .sets = SGT_KEYS_LOCAL, .stride = 3};
    const sgt_block_config block = {.size = sizeof block, .n_patterns = 1, .patterns = &window};
    sgt_model_config config = sgtt_config();
    sgt_model *made = NULL;
    config.altup_streams = 2;
    config.n_blocks = 1;
    config.blocks = &block;
    sgt_model *model = sgtt_model(hf_context, &config, 1);
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    ck_assert(config_has("\"model_type\": \"sgt\""));
    ck_assert(config_has("\"sgt_block_patterns\": [\n    \"local:3\"\n  ]"));
    ck_assert(!config_has("sliding_window"));
    sgtt_ok(sgt_hf_load(&made, hf_context, hf_folder, NULL, NULL));
    ck_assert_double_eq(hf_loss(made), hf_loss(model));
    sgt_model_free(made);
    sgt_model_free(model);
}
END_TEST

#define ORDER   "\"sgt_altup_order\": \"same\""
#define STREAMS "\"sgt_altup_streams\": 3"
#define TABLE   "\"sgt_altup_table\": \"wide\""

static const struct {
    const char *from, *to;
    sgt_status status;
    const char *message;
} edits[] = {
    {ORDER, "\"sgt_altup_order\": \"some\"", SGT_E_VERSION,
     "sgt_altup_order some is not known to this libsgt"},
    {ORDER, "\"sgt_altup_order\": 1", SGT_E_FORMAT, "sgt_altup_order is not a string"},
    {TABLE, "\"sgt_altup_table\": \"wild\"", SGT_E_VERSION,
     "sgt_altup_table wild is not known to this libsgt"},
    {TABLE, "\"sgt_altup_table\": [\"wide\"]", SGT_E_FORMAT, "sgt_altup_table is not a string"},
    {STREAMS, "\"sgt_altup_streams\": \"3\"", SGT_E_FORMAT,
     "sgt_altup_streams is not a whole number"},
    {STREAMS, "\"sgt_altup_streams\": 0", SGT_E_FORMAT, "sgt_altup_streams is not a whole number"},
    {STREAMS, "\"sgt_altup_streams\": 17", SGT_E_OUT_OF_RANGE,
     "config.json: altup_streams is 17, must be"},
    {STREAMS, "\"sgt_altup_stream\": 3", SGT_E_VERSION, "sgt_altup_stream is not known"},
    {STREAMS, "\"sgt_altup_streams\": 2", SGT_E_FORMAT, "has the shape [19, 60], not [19, 40]"},
    {TABLE, "\"sgt_altup_table\": \"recycled\"", SGT_E_FORMAT, WIDER},
    {STREAMS ",", "", SGT_E_FORMAT, WIDER},
};

START_TEST(wrong_streams_of_a_folder_are_named)
{
    sgt_model *model = make_all(), *none = NULL;
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

static const char *const usual_orders[] = {
    "\"sgt_altup_order\": null", "\"sgt_altup_order\": \"alternate\"", "\"x\": 1"};

START_TEST(a_folder_without_words_has_the_usual_ones)
{
    sgt_model *model = make_all(), *made = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    hf_edit_config(ORDER, usual_orders[_i]);
    sgtt_ok(sgt_hf_load(&made, hf_context, hf_folder, NULL, NULL));
    sgtt_ok(sgt_model_get_config(&config, made));
    streams_are(&config, 3, SGT_ALTUP_ALTERNATE, SGT_ALTUP_WIDE);
    sgt_model_free(made);
    sgt_model_free(model);
}
END_TEST

/* Its weights are not those of a plain model. */
START_TEST(a_recycled_model_is_not_taken_for_a_plain_one)
{
    sgt_model *model = make(2, 0, 0), *none = NULL;
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    hf_edit_config("\"sgt_altup_streams\": 2,", "");
    sgtt_fails(sgt_hf_load(&none, hf_context, hf_folder, NULL, NULL), SGT_E_UNSUPPORTED,
               "'model.layers.0.altup.");
    sgt_model_free(model);
}
END_TEST

#define COUNT(list) (int)(sizeof(list) / sizeof(list)[0])

int main(void)
{
    Suite *suite = suite_create("streams in files");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, hf_setup, hf_teardown);
    tcase_add_test(tests, one_stream_is_not_written);
    tcase_add_test(tests, streams_come_back);
    tcase_add_test(tests, only_the_number_of_usual_streams_is_written);
    tcase_add_test(tests, streams_are_compared);
    tcase_add_test(tests, a_file_without_the_word_has_the_usual_one);
    tcase_add_loop_test(tests, damaged_streams_are_named, 0, COUNT(damages));
    tcase_add_test(tests, a_folder_of_one_stream_is_a_llama);
    tcase_add_loop_test(tests, streams_come_back_from_a_folder, 0, 2);
    tcase_add_test(tests, a_window_of_a_model_with_streams_is_a_pattern);
    tcase_add_loop_test(tests, wrong_streams_of_a_folder_are_named, 0, COUNT(edits));
    tcase_add_loop_test(tests, a_folder_without_words_has_the_usual_ones, 0, COUNT(usual_orders));
    tcase_add_test(tests, a_recycled_model_is_not_taken_for_a_plain_one);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
