/* SPDX-License-Identifier: BSD-3-Clause */
/* Hugging Face folders: what we write we read, in every type; which folders there are. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hf_folder.h"

START_TEST(what_is_written_is_read)
{
    sgt_model *model = hf_model(_i), *again = NULL;
    sgt_model_config a = {.size = sizeof a}, b = {.size = sizeof b};
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    sgtt_ok(sgt_hf_load(&again, hf_context, hf_folder, NULL, NULL));
    sgtt_ok(sgt_model_get_config(&a, model));
    sgtt_ok(sgt_model_get_config(&b, again));
    ck_assert_mem_eq(&a, &b, sizeof a);
    ck_assert_double_eq(hf_loss(model), hf_loss(again));
    ck_assert_str_eq(hf_warning, "");
    char *text = hf_read_config();
    ck_assert_ptr_nonnull(strstr(text, "\"LlamaForCausalLM\""));
    ck_assert_ptr_null(strstr(text, "sgt"));
    free(text);
    sgt_model_free(model);
    sgt_model_free(again);
}
END_TEST

START_TEST(zero_is_a_norm_eps)
{
    sgt_model_config config = sgtt_config(), b = {.size = sizeof b};
    sgt_model *again = NULL;
    config.norm_eps = 0.0;
    sgt_model *model = sgtt_model(hf_context, &config, 3);
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    sgtt_ok(sgt_hf_load(&again, hf_context, hf_folder, NULL, NULL));
    sgtt_ok(sgt_model_get_config(&b, again));
    ck_assert_double_eq(b.norm_eps, 0.0);
    ck_assert_double_eq(hf_loss(model), hf_loss(again));
    sgt_model_free(model);
    sgt_model_free(again);
}
END_TEST

START_TEST(halves_are_near)
{
    sgt_model *model = hf_model(0), *again = NULL;
    sgt_hf_save_options options;
    sgtt_ok(sgt_hf_save_options_init(&options, sizeof options));
    options.dtype = _i == 0 ? SGT_BF16 : SGT_F16;
    sgtt_ok(sgt_hf_save(model, hf_folder, &options));
    sgtt_ok(sgt_hf_load(&again, hf_context, hf_folder, NULL, NULL));
    ck_assert_double_eq_tol(hf_loss(model), hf_loss(again), _i == 0 ? 0.05 : 0.01);
    ck_assert_double_ne(hf_loss(model), hf_loss(again));
    options.dtype = SGT_F64;
    sgtt_fails(sgt_hf_save(model, hf_folder, &options), SGT_E_INVALID_ARGUMENT, "dtype is 2");
    sgt_model_free(model);
    sgt_model_free(again);
}
END_TEST

static const struct {
    int32_t dtype;
    float value;
    const char *message; /* NULL: it is written */
} ends[] = {
    {SGT_F16, 65519.0f, NULL},
    {SGT_F16, 65520.0f, "of tensor 'model.layers.1.mlp.up_proj.weight' is 65520, which would be "
                        "infinite in float16"},
    {SGT_F16, -1e6f, "is -1e+06"},
    {SGT_BF16, 0x1.fep127f, NULL},
    {SGT_BF16, -FLT_MAX, "infinite in bfloat16"},
    {SGT_F32, FLT_MAX, NULL},
    {SGT_F16, INFINITY, NULL},
    {SGT_F16, NAN, NULL},
    {SGT_BF16, -INFINITY, NULL},
};

/* What does not fit is refused before anything of the folder changes; what never was finite is
 * written. */
START_TEST(a_finite_weight_does_not_become_infinite)
{
    sgt_model *model = hf_model(0), *again = NULL;
    sgt_hf_save_options options;
    sgt_tensor_view view = {.size = sizeof view};
    char path[SCRATCH_PATH];
    unsigned long before_bytes, after_bytes;
    int32_t index;
    scratch_path(path, "model.safetensors");
    sgtt_ok(sgt_hf_save_options_init(&options, sizeof options));
    sgtt_ok(sgt_hf_save(model, hf_folder, &options));
    void *before = scratch_read(path, &before_bytes);
    char *config = hf_read_config();
    sgtt_ok(sgt_model_find_parameter(&index, model, "model.layers.1.mlp.up_proj.weight"));
    sgtt_ok(sgt_model_parameter(&view, model, index, SGT_PART_WEIGHT));
    float *values = malloc(view.count * sizeof *values);
    sgtt_ok(sgt_model_read_parameter(values, view.count, model, index, SGT_PART_WEIGHT));
    values[view.count - 1] = ends[_i].value;
    sgtt_ok(sgt_model_write_parameter(model, index, SGT_PART_WEIGHT, values, view.count));
    options.dtype = ends[_i].dtype;
    if (ends[_i].message) {
        sgtt_fails(sgt_hf_save(model, hf_folder, &options), SGT_E_OUT_OF_RANGE, ends[_i].message);
        void *after = scratch_read(path, &after_bytes);
        ck_assert_uint_eq(before_bytes, after_bytes);
        ck_assert_mem_eq(before, after, before_bytes);
        char *config_after = hf_read_config();
        ck_assert_str_eq(config, config_after);
        free(after);
        free(config_after);
    } else {
        sgtt_ok(sgt_hf_save(model, hf_folder, &options));
        sgtt_ok(sgt_hf_load(&again, hf_context, hf_folder, NULL, NULL));
        sgtt_ok(sgt_model_read_parameter(values, view.count, again, index, SGT_PART_WEIGHT));
        float read = values[view.count - 1], wrote = ends[_i].value;
        ck_assert_int_eq(isfinite(read), isfinite(wrote));
        ck_assert_int_eq(isnan(read), isnan(wrote));
        ck_assert_int_eq(signbit(read), signbit(wrote));
    }
    free(values);
    free(before);
    free(config);
    sgt_model_free(model);
    sgt_model_free(again);
}
END_TEST

START_TEST(loops_stay_or_are_left_out)
{
    sgt_model *model = hf_model(0), *again = NULL, *plain = NULL;
    sgt_hf_save_options options;
    double vanilla = hf_loss(model);
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_loop(plan, 1, 2, (const float[]){0.0f, 1.0f, 0.123f, 0.0f});
    sgtt_ok(sgt_plan_set_extra_runs(plan, 2, 1));
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    char *text = hf_read_config();
    ck_assert_ptr_nonnull(strstr(text, "\"model_type\": \"sgt\""));
    free(text);
    sgtt_ok(sgt_hf_load(&again, hf_context, hf_folder, NULL, NULL));
    ck_assert_int_eq(sgt_plan_equal(sgt_model_plan(again), plan), 1);
    ck_assert_double_eq(hf_loss(model), hf_loss(again));
    sgtt_ok(sgt_hf_save_options_init(&options, sizeof options));
    options.without_loops = 1;
    sgtt_ok(sgt_hf_save(model, hf_folder, &options));
    sgtt_ok(sgt_hf_load(&plain, hf_context, hf_folder, NULL, NULL));
    ck_assert_double_eq(hf_loss(plain), vanilla);
    ck_assert_double_ne(hf_loss(model), vanilla);
    sgt_plan_free(plan);
    sgt_model_free(model);
    sgt_model_free(again);
    sgt_model_free(plain);
}
END_TEST

/* It would be the root of the file system. */
START_TEST(a_folder_has_a_name)
{
    sgt_model *model = hf_model(0), *again = NULL;
    sgtt_fails(sgt_hf_save(model, "", NULL), SGT_E_INVALID_ARGUMENT, "folder is empty");
    sgtt_fails(sgt_hf_load(&again, hf_context, "", NULL, NULL), SGT_E_INVALID_ARGUMENT,
               "path is empty");
    sgt_model_free(model);
}
END_TEST

START_TEST(what_is_no_folder_of_a_model_is_said)
{
    char empty[SCRATCH_PATH], file[SCRATCH_PATH];
    sgt_model *again = NULL;
    scratch_path(empty, "");
    scratch_path(file, "weights.gguf");
    scratch_write(file, "GGUF", 4);
    const struct {
        const char *path, *message;
    } wrong[] = {
        {"HuggingFaceTB/SmolLM2-135M", "SmolLM2-135M: there is no such folder (names of a"},
        {file, "weights.gguf: is a file: the folder with config.json"},
        {empty, "has no config.json"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        sgtt_fails(sgt_hf_load(&again, hf_context, wrong[i].path, NULL, NULL), SGT_E_NOT_FOUND,
                   wrong[i].message);
        ck_assert_ptr_null(strstr(sgt_error_message(), i == 2 ? "no such" : "has no"));
    }
}
END_TEST

/* Whatever is written first, the message names what was given. */
START_TEST(a_save_into_no_folder_names_it)
{
    char file[SCRATCH_PATH], none[SCRATCH_PATH];
    sgt_model *model = hf_model(0);
    scratch_path(none, "none");
    scratch_path(file, "file");
    scratch_write(file, "x", 1);
    sgtt_fails(sgt_hf_save(model, none, NULL), SGT_E_IO, "none: there is no such folder");
    sgtt_fails(sgt_hf_save(model, file, NULL), SGT_E_IO, "file: is a file, not a folder");
    sgtt_fails(sgt_checkpoint_save(model, strcat(none, "/a.safetensors"), NULL), SGT_E_IO,
               "none/a.safetensors: cannot be created: its folder is not there");
    sgt_model_free(model);
}
END_TEST

START_TEST(shards_are_found_in_their_folder_only)
{
    char index[SCRATCH_PATH], whole[SCRATCH_PATH], part[SCRATCH_PATH];
    static const char *const bad[] = {"../x", "/etc/passwd", "", ".", "a\\\\b"};
    sgt_model *model = hf_model(0), *again = NULL;
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    scratch_path(index, "model.safetensors.index.json");
    scratch_path(whole, "model.safetensors");
    scratch_path(part, "model-00001-of-00001.safetensors");
    ck_assert_int_eq(rename(whole, part), 0);
    sgtt_fails(sgt_hf_load(&again, hf_context, hf_folder, NULL, NULL), SGT_E_NOT_FOUND,
               "nor an index");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"weight_map\":{\"lm_head.weight\":\"%s\"}}", bad[i]);
        scratch_write(index, text, strlen(text));
        sgtt_fails(sgt_hf_load(&again, hf_context, hf_folder, NULL, NULL), SGT_E_FORMAT,
                   "no file of this folder");
    }
    sgt_model_free(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("Hugging Face folders");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, hf_setup, hf_teardown);
    tcase_add_loop_test(tests, what_is_written_is_read, 0, 2);
    tcase_add_test(tests, zero_is_a_norm_eps);
    tcase_add_loop_test(tests, halves_are_near, 0, 2);
    tcase_add_loop_test(tests, a_finite_weight_does_not_become_infinite, 0,
                        sizeof ends / sizeof ends[0]);
    tcase_add_test(tests, loops_stay_or_are_left_out);
    tcase_add_test(tests, a_folder_has_a_name);
    tcase_add_test(tests, what_is_no_folder_of_a_model_is_said);
    tcase_add_test(tests, a_save_into_no_folder_names_it);
    tcase_add_test(tests, shards_are_found_in_their_folder_only);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
