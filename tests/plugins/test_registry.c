/* SPDX-License-Identifier: BSD-3-Clause */
/* Loading plug-ins: what is refused, with which message, and what is not. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/registry.h"
#include <sgt/model.h>

#include "plugins.h"
#include "scratch.h"
#include "testing.h"

START_TEST(built_in_tables_are_complete)
{
    const sgt_backend *backend;
    sgtt_ok(sgti_backend_check(&sgti_portable_backend, "built in"));
    sgtt_ok(sgti_backend_find(&backend, "portable"));
    ck_assert_ptr_eq(backend, &sgti_portable_backend);
}
END_TEST

START_TEST(path_needs_a_slash)
{
    const char *name = "untouched";
    sgtt_fails(sgt_backend_load(&name, "protected_backend.so"), SGT_E_INVALID_ARGUMENT,
               "protected_backend.so has no '/'");
    sgtt_fails(sgt_backend_load(&name, NULL), SGT_E_INVALID_ARGUMENT, "path is NULL");
    ck_assert_str_eq(name, "untouched");
}
END_TEST

/* A file of text under the name of a library. */
static sgt_status load_text(const char **name)
{
    static const char text[1024] = "#!/bin/sh\n"; /* long enough for a library's header */
    char path[SCRATCH_PATH];
    scratch_path(path, "no-library.so");
    scratch_write(path, text, sizeof text);
    sgt_status status = sgt_backend_load(name, path);
    scratch_remove();
    return status;
}

START_TEST(what_is_no_plugin_is_refused)
{
    const char *name = "untouched";
    sgtt_fails(sgt_backend_load(&name, "./no-such-file.so"), SGT_E_PLUGIN_LOAD,
               "no-such-file.so");
    sgtt_fails(sgt_backend_load(&name, "/dev/null"), SGT_E_PLUGIN_LOAD, "/dev/null");
    sgtt_fails(sgt_backend_load(&name, "/"), SGT_E_PLUGIN_LOAD, "/: ");
    sgtt_fails(load_text(&name), SGT_E_PLUGIN_LOAD, "no-library.so: invalid ELF header");
    sgtt_fails(sgtt_load_plugin(&name, "case_no_entry.so"), SGT_E_PLUGIN_LOAD,
               "case_no_entry.so: it has no symbol sgt_backend_entry");
    ck_assert_str_eq(name, "untouched");
}
END_TEST

static const struct refusal {
    const char *file;
    sgt_status status;
    const char *message;
} refusals[] = {
    {"case_refuses.so", SGT_E_PLUGIN_ABI, "case_refuses.so: it cannot work with backend ABI 2"},
    {"case_old_abi.so", SGT_E_PLUGIN_ABI, "made for backend ABI 0, this library has 2"},
    {"case_abi_1.so", SGT_E_PLUGIN_ABI, "made for backend ABI 1, this library has 2"},
    {"case_half_memory.so", SGT_E_PLUGIN_INCOMPLETE,
     "lacks the slot write, while it has other slots for memory"},
    {"case_half_graphs.so", SGT_E_PLUGIN_INCOMPLETE,
     "lacks the slot capture_begin, while it has other slots for graphs"},
    {"case_lent_graphs.so", SGT_E_PLUGIN_INCOMPLETE,
     "lacks the slot allocate: graphs need memory of its own"},
    {"case_short_table.so", SGT_E_PLUGIN_INCOMPLETE, "lacks the slot gemm"},
    {"case_missing_slot.so", SGT_E_PLUGIN_INCOMPLETE, "lacks the slot gemm"},
    {"case_missing_standin.so", SGT_E_PLUGIN_INCOMPLETE,
     "lacks the slot rope, which it needs as it has no host_pointer"},
    {"case_no_name.so", SGT_E_PLUGIN_INCOMPLETE, "the backend has no name"},
    {"case_bad_name.so", SGT_E_PLUGIN_INCOMPLETE, "name is not 1 to 64 of a-z"},
    {"case_clash.so", SGT_E_STATE, "another backend is named 'portable'"},
    {"case_new_abi.so", SGT_E_PLUGIN_ABI, "made for backend ABI 3, this library has 2"},
    {"case_tiny_table.so", SGT_E_PLUGIN_INCOMPLETE, "its table has 8 bytes only"},
    {"case_empty_name.so", SGT_E_PLUGIN_INCOMPLETE, "the backend has no name"},
    {"case_long_name.so", SGT_E_PLUGIN_INCOMPLETE, "name is not 1 to 64 of a-z"},
};

START_TEST(bad_tables_are_refused)
{
    const char *name = "untouched";
    const struct refusal *refusal = &refusals[_i];
    sgtt_fails(sgtt_load_plugin(&name, refusal->file), refusal->status, refusal->message);
    ck_assert_ptr_nonnull(strstr(sgt_error_message(), refusal->file));
    ck_assert_str_eq(name, "untouched");
}
END_TEST

static sgt_status create_on(const char *file)
{
    const char *name = NULL;
    sgt_context *context = NULL;
    sgt_context_options options;
    sgtt_ok(sgtt_load_plugin(&name, file));
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = name;
    options.threads = 2;
    sgt_status status = sgt_context_create(&context, &options);
    ck_assert((context != NULL) == (status == SGT_OK));
    sgt_context_free(context);
    return status;
}

START_TEST(a_failing_open_fails_the_context)
{
    sgtt_fails(create_on("case_failing_open.so"), SGT_E_UNSUPPORTED, "no such device");
    sgtt_fails(create_on("case_silent_open.so"), SGT_E_BACKEND, "failed in open");
}
END_TEST

static sgt_status create_model_on(const char *file)
{
    const char *name = NULL;
    sgt_context *context = NULL;
    sgt_model *model = NULL;
    sgt_context_options options;
    sgt_model_config config;
    sgtt_ok(sgtt_load_plugin(&name, file));
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = name;
    sgtt_ok(sgt_context_create(&context, &options));
    sgtt_ok(sgt_model_config_init(&config, sizeof config));
    config.vocab_size = 8;
    config.d_model = 8;
    config.n_layers = 1;
    config.n_heads = 2;
    config.d_ff = 8;
    config.max_seq_len = 4;
    sgt_status status = sgt_model_create(&model, context, &config, NULL);
    ck_assert_ptr_null(model);
    sgt_context_free(context);
    return status;
}

START_TEST(a_failing_allocate_fails_the_model)
{
    sgtt_fails(create_model_on("case_no_memory.so"), SGT_E_OUT_OF_MEMORY, "the device is full");
    sgtt_fails(create_model_on("case_mute_memory.so"), SGT_E_OUT_OF_MEMORY,
               "failed in allocate");
}
END_TEST

START_TEST(tables_of_other_versions_work)
{
    sgtt_ok(create_on("case_old_table.so"));
    sgtt_ok(create_on("case_new_table.so"));
    sgtt_ok(create_on("case_lent_memory.so"));
}
END_TEST

START_TEST(the_same_file_again_is_fine)
{
    const char *first = NULL;
    const char *second = NULL;
    sgtt_ok(sgtt_load_plugin(&first, "partial_backend.so"));
    sgtt_ok(sgtt_load_plugin(&second, "partial_backend.so"));
    ck_assert_str_eq(first, "partial");
    ck_assert_ptr_eq(first, second);
    sgtt_ok(sgtt_load_plugin(NULL, "partial_backend.so"));
}
END_TEST

START_TEST(the_instance_behind_a_context)
{
    const sgt_backend *table = NULL;
    void *instance = NULL;
    sgt_context *context = sgtt_context_on("partial", 1);
    sgtt_ok(sgt_backend_instance(&table, &instance, context));
    ck_assert_str_eq(table->name, "partial");
    ck_assert_ptr_nonnull(instance);
    ck_assert(table->rope == NULL);
    sgtt_fails(sgt_backend_instance(NULL, &instance, context), SGT_E_INVALID_ARGUMENT,
               "table is NULL");
    sgtt_fails(sgt_backend_instance(&table, NULL, context), SGT_E_INVALID_ARGUMENT,
               "instance is NULL");
    sgtt_fails(sgt_backend_instance(&table, &instance, NULL), SGT_E_INVALID_ARGUMENT,
               "context is NULL");
    sgt_context_free(context);
}
END_TEST

static void *load_in_thread(void *result)
{
    *(sgt_status *)result = sgtt_load_plugin(NULL, "protected_backend.so");
    return NULL;
}

START_TEST(threads_may_load_at_once)
{
    pthread_t threads[4];
    sgt_status results[4];
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, load_in_thread, &results[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(results[i], SGT_OK);
    }
}
END_TEST

START_TEST(an_unknown_name_is_not_found)
{
    sgt_context *context = NULL;
    sgt_context_options options;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = "abacus";
    sgtt_fails(sgt_context_create(&context, &options), SGT_E_NOT_FOUND, "no backend 'abacus'");
    ck_assert_ptr_null(context);
}
END_TEST

static void copy_file(const char *to, const char *from)
{
    char buffer[4096];
    size_t n;
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    ck_assert(in != NULL && out != NULL);
    while ((n = fread(buffer, 1, sizeof buffer, in)) > 0)
        ck_assert_uint_eq(fwrite(buffer, 1, n, out), n);
    fclose(in);
    ck_assert_int_eq(fclose(out), 0);
}

START_TEST(another_file_of_the_same_name_clashes)
{
    char folder[] = "/tmp/sgt-plugin-XXXXXX";
    char from[1024], to[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(from, sizeof from, "%s/partial_backend.so", getenv("SGT_TEST_PLUGINS"));
    snprintf(to, sizeof to, "%s/copy.so", folder);
    copy_file(to, from);
    sgtt_ok(sgt_backend_load(NULL, from));
    sgt_status status = sgt_backend_load(NULL, to);
    remove(to);
    remove(folder);
    sgtt_fails(status, SGT_E_STATE, "another backend is named 'partial'");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("registry");
    TCase *tests = tcase_create("registry");
    tcase_add_test(tests, built_in_tables_are_complete);
    tcase_add_test(tests, path_needs_a_slash);
    tcase_add_test(tests, what_is_no_plugin_is_refused);
    tcase_add_loop_test(tests, bad_tables_are_refused, 0,
                        (int)(sizeof refusals / sizeof *refusals));
    tcase_add_test(tests, a_failing_open_fails_the_context);
    tcase_add_test(tests, a_failing_allocate_fails_the_model);
    tcase_add_test(tests, tables_of_other_versions_work);
    tcase_add_test(tests, the_instance_behind_a_context);
    tcase_add_test(tests, the_same_file_again_is_fine);
    tcase_add_test(tests, threads_may_load_at_once);
    tcase_add_test(tests, an_unknown_name_is_not_found);
    tcase_add_test(tests, another_file_of_the_same_name_clashes);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
