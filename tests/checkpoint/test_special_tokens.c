/* SPDX-License-Identifier: BSD-3-Clause */
/* Special tokens, and what else config.json says to other programs, go with a model through folders
 * and checkpoints. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>

#include "fixtures.h"
#include "scratch.h"

static char folder[SCRATCH_PATH];
static sgt_context *context;
static sgt_model *model;

static void setup(void)
{
    sgt_model_config config = sgtt_config();
    scratch_path(folder, "");
    context = sgtt_model_context();
    model = sgtt_model(context, &config, 3);
}

static void teardown(void)
{
    sgt_model_free(model);
    sgt_context_free(context);
    scratch_remove();
}

static char *read_text(const char *name)
{
    char path[SCRATCH_PATH];
    unsigned long bytes;
    scratch_path(path, name);
    char *text = (char *)scratch_read(path, &bytes);
    text[bytes] = '\0';
    return text;
}

static void write_text(const char *name, const char *text)
{
    char path[SCRATCH_PATH];
    scratch_path(path, name);
    scratch_write(path, text, strlen(text));
}

/* Puts members in front of those of config.json, without the lines that have their keys. */
static void set_members(const char *members)
{
    static const char *const keys[] = {"bos_token_id", "eos_token_id", "pad_token_id",
                                       "initializer_range", "attention_dropout"};
    char edited[16384];
    char *text = read_text("config.json");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char *key = strstr(text, keys[i]);
        if (key != NULL)
            key[0] = '_';
    }
    snprintf(edited, sizeof edited, "{%s%s", members, text + 1);
    write_text("config.json", edited);
    free(text);
}

static int has(const char *file, const char *piece)
{
    char *text = read_text(file);
    int found = strstr(text, piece) != NULL;
    free(text);
    return found;
}

static sgt_special_tokens tokens_of(const sgt_model *of)
{
    sgt_special_tokens tokens = {.size = sizeof tokens};
    sgtt_ok(sgt_model_get_special_tokens(&tokens, of));
    return tokens;
}

static void reload(void)
{
    sgt_model_free(model);
    model = NULL;
    sgtt_ok(sgt_hf_load(&model, context, folder, NULL, NULL));
}

/* ---- folders ---- */

static const struct {
    const char *members; /* of config.json */
    const char *generation; /* generation_config.json; NULL: none */
    const char *bos, *eos, *pad; /* written */
} forms[] = {
    {"", NULL, "null", "null", "null"},
    {"\"bos_token_id\": 3, \"eos_token_id\": 5, \"pad_token_id\": 9,", NULL, "3", "5", "9"},
    {"\"eos_token_id\": [5, 7],", NULL, "null", "[\n    5,\n    7\n  ]", "null"},
    {"\"eos_token_id\": [5],", NULL, "null", "[\n    5\n  ]", "null"},
    {"\"eos_token_id\": [],", NULL, "null", "[]", "null"},
    {"\"bos_token_id\": [4], \"eos_token_id\": null, \"pad_token_id\": -1,", NULL, "4", "null",
     "-1"},
    {"\"bos_token_id\": 0, \"eos_token_id\": 0, \"pad_token_id\": 19,", NULL, "0", "0", "19"},
    {"\"bos_token_id\": 128000, \"eos_token_id\": [128001, 128008, 128009],", NULL, "128000",
     "[\n    128001,\n    128008,\n    128009\n  ]", "null"},
    {"", "{\"bos_token_id\": 1, \"eos_token_id\": [2, 3], \"top_p\": NaN}", "1",
     "[\n    2,\n    3\n  ]", "null"},
    {"\"bos_token_id\": 6,", "{\"bos_token_id\": 1, \"eos_token_id\": 2, \"pad_token_id\": 0}", "6",
     "2", "0"},
    {"\"bos_token_id\": 6, \"eos_token_id\": 7, \"pad_token_id\": 8,", "no JSON", "6", "7", "8"},
};

START_TEST(tokens_of_a_folder_are_written_again)
{
    char piece[128];
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    set_members(forms[_i].members);
    if (forms[_i].generation)
        write_text("generation_config.json", forms[_i].generation);
    reload();
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    for (int i = 0; i < 3; i++) {
        static const char *const keys[] = {"bos", "eos", "pad"};
        const char *const values[] = {forms[_i].bos, forms[_i].eos, forms[_i].pad};
        snprintf(piece, sizeof piece, "\n  \"%s_token_id\": %s,\n", keys[i], values[i]);
        ck_assert_msg(has("config.json", piece), "no %s", piece);
    }
    sgt_special_tokens before = tokens_of(model);
    if (forms[_i].generation)
        write_text("generation_config.json", "{}");
    reload();
    sgt_special_tokens after = tokens_of(model);
    ck_assert_mem_eq(&before, &after, sizeof before);
}
END_TEST

static const struct {
    const char *members;
    const char *message;
} refused[] = {
    {"\"eos_token_id\": \"</s>\",", "config.json: eos_token_id is neither a token id nor a list"},
    {"\"eos_token_id\": [1, 2.5],", "eos_token_id is neither"},
    {"\"eos_token_id\": [[1]],", "at eos_token_id"},
    {"\"eos_token_id\": 3000000000,", "eos_token_id is neither"},
    {"\"eos_token_id\": "
     "[0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,"
     "8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,6,7,8,9,0,1,2,3,4],",
     "eos_token_id is neither"},
    {"\"bos_token_id\": [1, 2],", "bos_token_id is no token id"},
    {"\"pad_token_id\": true,", "pad_token_id is no token id"},
    {"\"pad_token_id\": 1, \"pad_token_id\": 2,", "duplicate object key, at pad_token_id"},
    {"\"initializer_range\": 0.5, \"initializer_range\": 0.25,",
     "duplicate object key, at initializer_range"},
};

START_TEST(what_is_no_token_is_named)
{
    sgt_model *none = NULL;
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    set_members(refused[_i].members);
    sgtt_fails(sgt_hf_load(&none, context, folder, NULL, NULL), SGT_E_FORMAT, refused[_i].message);
    write_text("generation_config.json", "{\"eos_token_id\": {}}");
    set_members("");
    sgtt_fails(sgt_hf_load(&none, context, folder, NULL, NULL), SGT_E_FORMAT,
               "generation_config.json: eos_token_id is neither");
    ck_assert_ptr_null(none);
}
END_TEST

/* Numbers for other programs: those that cannot be understood are as if they were not there. */
START_TEST(what_others_train_with_is_written_again)
{
    static const struct {
        const char *members, *range, *dropout;
    } rows[] = {
        {"", "0.02", "0.0"},
        {"\"initializer_range\": 0.041666666666666664, \"attention_dropout\": 0.1,",
         "0.041666666666666664", "0.1"},
        {"\"initializer_range\": 1, \"attention_dropout\": null,", "1.0", "0.0"},
        {"\"initializer_range\": NaN, \"attention_dropout\": \"x\",", "0.02", "0.0"},
        {"\"initializer_range\": [1e999, {}], \"attention_dropout\": -1,", "0.02", "0.0"},
    };
    char piece[128];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sgtt_ok(sgt_hf_save(model, folder, NULL));
        set_members(rows[i].members);
        reload();
        sgtt_ok(sgt_hf_save(model, folder, NULL));
        snprintf(piece, sizeof piece, "\"initializer_range\": %s,", rows[i].range);
        ck_assert_msg(has("config.json", piece), "no %s", piece);
        snprintf(piece, sizeof piece, "\"attention_dropout\": %s,", rows[i].dropout);
        ck_assert_msg(has("config.json", piece), "no %s", piece);
    }
}
END_TEST

START_TEST(numbers_are_written_as_short_as_they_came)
{
    sgt_model_config config = sgtt_config();
    config.norm_eps = 1e-5;
    config.rope_theta = 500000.0;
    sgt_model *other = sgtt_model(context, &config, 3);
    sgtt_ok(sgt_hf_save(other, folder, NULL));
    ck_assert(has("config.json", "\"rms_norm_eps\": 1e-05,"));
    ck_assert(has("config.json", "\"rope_theta\": 500000.0,"));
    sgt_model_free(other);
}
END_TEST

/* ---- checkpoints ---- */

static void save(const char *name)
{
    char path[SCRATCH_PATH];
    sgt_checkpoint_save_options options;
    scratch_path(path, name);
    sgtt_ok(sgt_checkpoint_save_options_init(&options, sizeof options));
    options.checksums = 0;
    sgtt_ok(sgt_checkpoint_save(model, path, &options));
}

static sgt_status open_and_create(sgt_model **made, const char *name)
{
    char path[SCRATCH_PATH];
    sgt_checkpoint *checkpoint = NULL;
    scratch_path(path, name);
    sgt_status status = sgt_checkpoint_open(&checkpoint, context, path);
    if (status == SGT_OK)
        status = sgt_checkpoint_create(made, NULL, NULL, checkpoint, NULL, NULL, NULL);
    sgt_checkpoint_free(checkpoint);
    return status;
}

static const sgt_special_tokens kinds[] = {
    {.size = sizeof kinds[0], .has_bos = 1, .bos = 3},
    {.size = sizeof kinds[0], .has_pad = 1, .pad = -1, .n_eos = 1, .eos = {5}},
    {.size = sizeof kinds[0], .n_eos = 3, .eos = {128001, -7, INT32_MIN}},
    {.size = sizeof kinds[0], .has_bos = 1, .has_pad = 1, .eos_is_list = 1},
    {.size = sizeof kinds[0], .n_eos = 1, .eos_is_list = 1, .eos = {INT32_MAX}},
};

START_TEST(checkpoints_hold_tokens)
{
    char a[SCRATCH_PATH], b[SCRATCH_PATH];
    sgt_model *again = NULL;
    sgtt_ok(sgt_model_set_special_tokens(model, &kinds[_i]));
    save("a");
    sgtt_ok(open_and_create(&again, "a"));
    sgt_special_tokens tokens = tokens_of(again);
    ck_assert_mem_eq(&tokens, &kinds[_i], sizeof tokens);
    sgt_model_free(model);
    model = again;
    save("b");
    scratch_path(a, "a");
    scratch_path(b, "b");
    ck_assert(scratch_equal(a, b));
}
END_TEST

START_TEST(as_many_as_fit_are_held)
{
    sgt_model *again = NULL;
    sgt_special_tokens tokens = {.size = sizeof tokens, .n_eos = SGT_MAX_EOS_TOKENS};
    for (int32_t i = 0; i < SGT_MAX_EOS_TOKENS; i++)
        tokens.eos[i] = INT32_MIN + i;
    sgtt_ok(sgt_model_set_special_tokens(model, &tokens));
    save("a");
    sgtt_ok(open_and_create(&again, "a"));
    sgt_special_tokens found = tokens_of(again);
    ck_assert_mem_eq(&tokens, &found, sizeof tokens);
    sgt_model_free(again);
}
END_TEST

/* So that a checkpoint of a model without any has the bytes that it always had. */
START_TEST(a_model_without_tokens_writes_no_keys)
{
    save("a");
    char *text = read_text("a"); /* the header comes before the first zero of the data */
    ck_assert_ptr_null(memmem(text, 4096, "\"tokens.", 8));
    ck_assert_ptr_null(memmem(text, 4096, "\"hf.", 4));
    free(text);
}
END_TEST

/* Tokens of a folder stay with a model whose checkpoint is older than them. */
START_TEST(a_checkpoint_without_tokens_leaves_them)
{
    char path[SCRATCH_PATH];
    sgt_checkpoint *checkpoint = NULL;
    save("a");
    sgtt_ok(sgt_model_set_special_tokens(model, &kinds[0]));
    scratch_path(path, "a");
    sgtt_ok(sgt_checkpoint_open(&checkpoint, context, path));
    sgtt_ok(sgt_checkpoint_load(model, NULL, NULL, checkpoint, NULL));
    sgt_checkpoint_free(checkpoint);
    ck_assert_int_eq(tokens_of(model).bos, 3);
}
END_TEST

START_TEST(checkpoints_hold_what_others_train_with)
{
    sgt_model *again = NULL;
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    set_members("\"initializer_range\": 0.125,");
    reload();
    save("a");
    sgtt_ok(open_and_create(&again, "a"));
    sgtt_ok(sgt_hf_save(again, folder, NULL));
    ck_assert(has("config.json", "\"initializer_range\": 0.125,"));
    sgt_model_free(again);
}
END_TEST

static const struct {
    const char *from, *to;
    const char *message;
} damages[] = {
    {"\"tokens.eos\":\"5 7\"", "\"tokens.eos\":\"5 x\"", "tokens.eos is '5 x'"},
    {"\"tokens.eos\":\"5 7\"", "\"tokens.eos\":\" 57\"", "tokens.eos is ' 57'"},
    {"\"tokens.eos\":\"5 7\"", "\"tokens.eof\":\"5 7\"", "'tokens.eof' is not known"},
    {"\"tokens.bos\":\"3\"", "\"tokens.bos\":\"-\"", "tokens.bos is '-'"},
    {"\"tokens.pad\":\"3000000\"", "\"tokens.pad\":\"3 00000\"", "tokens.pad is '3 00000'"},
};

START_TEST(damaged_tokens_are_named)
{
    char path[SCRATCH_PATH];
    unsigned long bytes;
    sgt_model *none = NULL;
    sgt_special_tokens tokens = {.size = sizeof tokens, .has_bos = 1, .bos = 3, .n_eos = 2,
                                 .eos = {5, 7}, .has_pad = 1, .pad = 3000000};
    sgtt_ok(sgt_model_set_special_tokens(model, &tokens));
    save("a");
    scratch_path(path, "a");
    char *data = (char *)scratch_read(path, &bytes);
    char *place = memmem(data, bytes, damages[_i].from, strlen(damages[_i].from));
    ck_assert_ptr_nonnull(place);
    memcpy(place, damages[_i].to, strlen(damages[_i].to));
    scratch_write(path, data, bytes);
    free(data);
    sgt_status status = open_and_create(&none, "a");
    ck_assert(status == SGT_E_FORMAT || status == SGT_E_VERSION);
    ck_assert_msg(strstr(sgt_error_message(), damages[_i].message) != NULL, "%s",
                  sgt_error_message());
}
END_TEST

START_TEST(counts_that_cannot_be_are_refused)
{
    sgt_special_tokens tokens = {.size = sizeof tokens, .n_eos = SGT_MAX_EOS_TOKENS + 1};
    sgtt_fails(sgt_model_set_special_tokens(model, &tokens), SGT_E_OUT_OF_RANGE,
               "sgt_special_tokens.n_eos is 65, must be 0 to 64");
    tokens.n_eos = -1;
    sgtt_fails(sgt_model_set_special_tokens(model, &tokens), SGT_E_OUT_OF_RANGE, "n_eos is -1");
    tokens.n_eos = 0;
    tokens.has_bos = 2;
    sgtt_fails(sgt_model_set_special_tokens(model, &tokens), SGT_E_OUT_OF_RANGE, "has_bos is 2");
    ck_assert_int_eq(tokens_of(model).has_bos, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("special tokens");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, tokens_of_a_folder_are_written_again, 0,
                        sizeof forms / sizeof forms[0]);
    tcase_add_loop_test(tests, what_is_no_token_is_named, 0, sizeof refused / sizeof refused[0]);
    tcase_add_test(tests, what_others_train_with_is_written_again);
    tcase_add_test(tests, numbers_are_written_as_short_as_they_came);
    tcase_add_loop_test(tests, checkpoints_hold_tokens, 0, sizeof kinds / sizeof kinds[0]);
    tcase_add_test(tests, as_many_as_fit_are_held);
    tcase_add_test(tests, a_model_without_tokens_writes_no_keys);
    tcase_add_test(tests, a_checkpoint_without_tokens_leaves_them);
    tcase_add_test(tests, checkpoints_hold_what_others_train_with);
    tcase_add_loop_test(tests, damaged_tokens_are_named, 0, sizeof damages / sizeof damages[0]);
    tcase_add_test(tests, counts_that_cannot_be_are_refused);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
