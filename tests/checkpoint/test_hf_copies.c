/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of others that go with a Hugging Face folder: a tokenizer is copied whole, or not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hf_folder.h"

static void put_file(const char *name, const char *text)
{
    char path[SCRATCH_PATH];
    scratch_path(path, name);
    scratch_write(path, text, strlen(text));
}

static int is_file_of(const char *name, const char *text)
{
    char path[SCRATCH_PATH];
    unsigned long bytes;
    scratch_path(path, name);
    if (access(path, F_OK) != 0)
        return 0;
    char *found = (char *)scratch_read(path, &bytes);
    int same = bytes == strlen(text) && memcmp(found, text, bytes) == 0;
    free(found);
    return same;
}

static int is_there(const char *name)
{
    char path[SCRATCH_PATH];
    scratch_path(path, name);
    return access(path, F_OK) == 0;
}

static const char *const copied[] = {
    "generation_config.json",  "tokenizer.json",    "tokenizer.model", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json",      "vocab.txt",
    "merges.txt",              "chat_template.json", "chat_template.jinja"};

enum { COPIED = sizeof copied / sizeof copied[0] };

static char from[SCRATCH_PATH], to[SCRATCH_PATH];

static sgt_status save_with_copies(const sgt_model *model)
{
    sgt_hf_save_options options;
    sgtt_ok(sgt_hf_save_options_init(&options, sizeof options));
    options.copy_from = from;
    return sgt_hf_save(model, to, &options);
}

/* Two folders, the old files of one and the new ones of the other. */
static void make_folders(void)
{
    scratch_path(from, "from");
    scratch_path(to, "to");
    ck_assert_int_eq(mkdir(from, 0700) | mkdir(to, 0700), 0);
    for (int i = 0; i < COPIED; i++) {
        char name[SCRATCH_PATH], text[64];
        snprintf(text, sizeof text, "new %s", copied[i]);
        snprintf(name, sizeof name, "from/%s", copied[i]);
        put_file(name, text);
        snprintf(name, sizeof name, "to/%s", copied[i]);
        put_file(name, "old");
    }
}

START_TEST(files_of_a_tokenizer_are_copied)
{
    sgt_model *model = hf_model(0);
    make_folders();
    put_file("from/README.md", "x");
    put_file("to/notes.txt", "mine");
    sgtt_ok(sgt_hf_save(model, to, NULL)); /* without the option they stay */
    ck_assert(is_file_of("to/tokenizer.json", "old"));
    sgtt_ok(save_with_copies(model));
    for (int i = 0; i < COPIED; i++) {
        char name[SCRATCH_PATH], text[64];
        snprintf(text, sizeof text, "new %s", copied[i]);
        snprintf(name, sizeof name, "to/%s", copied[i]);
        ck_assert_msg(is_file_of(name, text), "%s", name);
    }
    ck_assert(is_file_of("to/notes.txt", "mine"));
    ck_assert(!is_there("to/README.md"));
    sgt_model_free(model);
}
END_TEST

/* A tokenizer of another kind must not be put together from two. */
START_TEST(what_the_source_has_not_goes)
{
    char path[SCRATCH_PATH];
    sgt_model *model = hf_model(0);
    make_folders();
    scratch_path(path, "from/vocab.json");
    ck_assert_int_eq(remove(path), 0);
    sgtt_ok(save_with_copies(model));
    ck_assert(!is_there("to/vocab.json"));
    ck_assert(is_file_of("to/merges.txt", "new merges.txt"));
    sgt_model_free(model);
}
END_TEST

/* Over its own folder, by another name of it, and where links lead to one file (as in a hub's
 * cache). */
START_TEST(a_folder_may_be_its_own_source)
{
    char path[SCRATCH_PATH], linked[SCRATCH_PATH];
    sgt_model *model = hf_model(0);
    make_folders();
    snprintf(from, sizeof from, "%.400s/../to", to);
    sgtt_ok(save_with_copies(model));
    ck_assert(is_file_of("to/tokenizer.json", "old"));
    scratch_path(from, "from");
    scratch_path(path, "from/tokenizer.json");
    ck_assert_int_eq(remove(path), 0);
    scratch_path(linked, "blob");
    scratch_write(linked, "linked", 6);
    ck_assert_int_eq(symlink(linked, path), 0);
    sgtt_ok(save_with_copies(model));
    ck_assert(is_file_of("to/tokenizer.json", "linked"));
    sgt_model_free(model);
}
END_TEST

/* Nothing of the folder has changed, and nothing half is left. */
START_TEST(a_copy_that_fails_changes_nothing)
{
    char path[SCRATCH_PATH];
    unsigned long before, after;
    sgt_model *model = hf_model(0), *other = hf_model(1);
    make_folders();
    sgtt_ok(sgt_hf_save(model, to, NULL));
    scratch_path(path, "from/vocab.json");
    ck_assert_int_eq(remove(path) | mkdir(path, 0700), 0);
    scratch_path(path, "to/model.safetensors");
    void *weights = scratch_read(path, &before);
    sgtt_fails(save_with_copies(other), SGT_E_IO, "from/vocab.json: is not a regular file");
    void *now = scratch_read(path, &after);
    ck_assert_uint_eq(before, after);
    ck_assert_mem_eq(weights, now, before);
    ck_assert(is_there("to/config.json"));
    for (int i = 0; i < COPIED; i++) {
        char name[SCRATCH_PATH];
        snprintf(name, sizeof name, "to/%s", copied[i]);
        ck_assert(is_file_of(name, "old"));
        snprintf(name, sizeof name, "to/%s.partial", copied[i]);
        ck_assert(!is_there(name));
    }
    scratch_path(from, "nowhere");
    sgtt_fails(save_with_copies(other), SGT_E_NOT_FOUND, "nowhere: copy_from is no folder");
    from[0] = '\0';
    sgtt_fails(save_with_copies(other), SGT_E_INVALID_ARGUMENT, "copy_from is empty");
    free(weights);
    free(now);
    sgt_model_free(model);
    sgt_model_free(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("files that go with a folder");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, hf_setup, hf_teardown);
    tcase_add_test(tests, files_of_a_tokenizer_are_copied);
    tcase_add_test(tests, what_the_source_has_not_goes);
    tcase_add_test(tests, a_folder_may_be_its_own_source);
    tcase_add_test(tests, a_copy_that_fails_changes_nothing);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
