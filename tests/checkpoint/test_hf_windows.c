/* SPDX-License-Identifier: BSD-3-Clause */
/* Sliding windows of Hugging Face folders: which layers have them when a folder is read, and which
 * models are written with one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hf_folder.h"

enum { LAYERS = 3, WINDOW = 3 };

#define LOCAL(l) {.size = sizeof(sgt_attention_pattern), .sets = SGT_KEYS_LOCAL, .stride = l}

static const sgt_attention_pattern locals[] = {LOCAL(WINDOW), LOCAL(WINDOW)};
static const sgt_attention_pattern wider[] = {LOCAL(4)};
static const sgt_attention_pattern mixed[] = {LOCAL(WINDOW), {.size = sizeof *mixed},
                                              LOCAL(WINDOW)};
static const sgt_attention_pattern by_block[] = {
    {.size = sizeof *by_block, .sets = SGT_KEYS_BLOCK, .stride = WINDOW}};

#define BLOCK(n, list) {.size = sizeof(sgt_block_config), .n_patterns = n, .patterns = list}

/* The model of hf_model, whose weights do not depend on blocks, with others. */
static sgt_model *with_blocks(const sgt_block_config *blocks, int32_t n_blocks)
{
    sgt_model_config config = sgtt_config();
    config.rope_theta = 54321.0;
    config.norm_eps = 1e-5;
    config.blocks = blocks;
    config.n_blocks = n_blocks;
    return sgtt_model(hf_context, &config, 3);
}

/* The window of a layer; 0: it is dense. */
static int32_t window_of(const sgt_model *model, int32_t layer)
{
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_model_get_config(&config, model));
    if (config.n_blocks == 0)
        return 0;
    const sgt_block_config *block = &config.blocks[layer % config.n_blocks];
    if (block->n_patterns == 0)
        return 0;
    ck_assert_int_eq(block->n_patterns, 1);
    ck_assert_int_eq(block->patterns[0].sets, SGT_KEYS_LOCAL);
    return block->patterns[0].stride;
}

static int config_has(const char *piece)
{
    char *text = hf_read_config();
    const int found = strstr(text, piece) != NULL;
    free(text);
    return found;
}

/* ---- reading ---- */

#define TYPE       "\"model_type\": \"llama\""
#define WORDS(a, b, c) ", \"layer_types\": [\"" a "\", \"" b "\", \"" c "\"]"
#define S "sliding_attention"
#define F "full_attention"

static const struct {
    const char *to; /* instead of TYPE */
    int32_t windows[LAYERS];
} folders[] = {
    {"\"model_type\": \"mistral\", \"sliding_window\": 3", {3, 3, 3}},
    {"\"model_type\": \"mistral\", \"sliding_window\": 1", {1, 1, 1}},
    {"\"model_type\": \"mistral\", \"sliding_window\": 2147483647",
     {2147483647, 2147483647, 2147483647}},
    {"\"model_type\": \"mistral\"", {4096, 4096, 4096}},
    {"\"model_type\": \"mistral\", \"sliding_window\": null", {0, 0, 0}},
    {"\"model_type\": \"mistral\", \"sliding_window\": 3, \"use_sliding_window\": true", {3, 3, 3}},
    {"\"model_type\": \"mistral\", \"sliding_window\": 3" WORDS(S, S, S), {3, 3, 3}},
    {"\"model_type\": \"mistral\", \"sliding_window\": null" WORDS(F, F, F), {0, 0, 0}},
    {"\"model_type\": \"ministral\", \"sliding_window\": 3", {3, 3, 3}},
    {"\"model_type\": \"ministral\", \"sliding_window\": 3, \"layer_types\": null", {3, 3, 3}},
    {"\"model_type\": \"ministral\", \"sliding_window\": 3" WORDS(F, S, F), {0, 3, 0}},
    {"\"model_type\": \"ministral\", \"sliding_window\": 3" WORDS(S, S, F), {3, 3, 0}},
    {"\"model_type\": \"ministral\", \"sliding_window\": 3" WORDS(F, F, F), {0, 0, 0}},
    {"\"model_type\": \"ministral\"" WORDS(F, F, S), {0, 0, 4096}},
    {"\"model_type\": \"llama\", \"sliding_window\": 3, \"use_sliding_window\": false", {0, 0, 0}},
    {"\"model_type\": \"llama\", \"use_sliding_window\": true" WORDS(S, F, S), {0, 0, 0}},
};

START_TEST(layers_have_the_windows_that_transformers_gives_them)
{
    sgt_attention_pattern patterns[LAYERS];
    sgt_block_config blocks[LAYERS];
    sgt_model *model = hf_model(0), *read = NULL, *made;
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    hf_edit_config(TYPE, folders[_i].to);
    sgtt_ok(sgt_hf_load(&read, hf_context, hf_folder, NULL, NULL));
    for (int32_t i = 0; i < LAYERS; i++) {
        const int32_t window = folders[_i].windows[i];
        ck_assert_int_eq(window_of(read, i), window);
        patterns[i] = (sgt_attention_pattern)LOCAL(window);
        blocks[i] = (sgt_block_config)BLOCK(window > 0, window > 0 ? &patterns[i] : NULL);
    }
    made = with_blocks(blocks, LAYERS);
    ck_assert_double_eq(hf_loss(read), hf_loss(made));
    const int hides = folders[_i].windows[1] > 0 && folders[_i].windows[1] <= WINDOW;
    ck_assert_int_eq(hf_loss(read) != hf_loss(model), hides);
    sgt_model_free(made);
    sgt_model_free(read);
    sgt_model_free(model);
}
END_TEST

static const struct {
    const char *to;
    sgt_status status;
    const char *message;
} refusals[] = {
    {"\"model_type\": \"llama\", \"sliding_window\": 3", SGT_E_UNSUPPORTED,
     "sliding_window of another model_type than mistral and ministral is not supported"},
    {"\"model_type\": \"llama\", \"sliding_window\": 3, \"use_sliding_window\": true",
     SGT_E_UNSUPPORTED, "sliding_window of another"},
    {"\"model_type\": \"sgt\", \"sliding_window\": 3", SGT_E_UNSUPPORTED, "sliding_window of"},
    {"\"model_type\": \"qwen2\", \"sliding_window\": 3", SGT_E_UNSUPPORTED, "model_type qwen2"},
    {"\"model_type\": 3", SGT_E_FORMAT, "model_type is not a string"},
    {"\"model_type\": \"mistral\", \"sliding_window\": 0", SGT_E_FORMAT, "sliding_window is not a"},
    {"\"model_type\": \"mistral\", \"sliding_window\": -1", SGT_E_FORMAT, "sliding_window is not"},
    {"\"model_type\": \"mistral\", \"sliding_window\": \"3\"", SGT_E_FORMAT, "sliding_window is"},
    {"\"model_type\": \"mistral\", \"sliding_window\": 2147483648", SGT_E_FORMAT, "sliding_window"},
    {"\"model_type\": \"mistral\", \"sliding_window\": 3, \"use_sliding_window\": false",
     SGT_E_UNSUPPORTED, "use_sliding_window false"},
    {"\"model_type\": \"mistral\", \"sliding_window\": 3, \"use_sliding_window\": 1", SGT_E_FORMAT,
     "use_sliding_window is neither true nor false"},
    {"\"model_type\": \"mistral\", \"sliding_window\": 3" WORDS(S, F, S), SGT_E_UNSUPPORTED,
     "layer_types other than sliding_window says of a mistral"},
    {"\"model_type\": \"mistral\", \"sliding_window\": null" WORDS(S, S, S), SGT_E_FORMAT,
     "layer_types has sliding_attention, but sliding_window is null"},
    {"\"model_type\": \"ministral\", \"sliding_window\": null" WORDS(F, F, S), SGT_E_FORMAT,
     "layer_types has sliding_attention, but sliding_window is null"},
    {"\"model_type\": \"ministral\"" WORDS(F, "chunked_attention", S), SGT_E_UNSUPPORTED,
     "layer_types chunked_attention is not supported"},
    {"\"model_type\": \"ministral\", \"layer_types\": [\"" F "\"]", SGT_E_FORMAT,
     "layer_types is not a list with a word for each layer"},
    {"\"model_type\": \"ministral\", \"layer_types\": \"" S "\"", SGT_E_FORMAT,
     "layer_types is not a list"},
    {"\"model_type\": \"ministral\", \"layer_types\": [\"" S "\", 1, null]", SGT_E_FORMAT,
     "layer_types holds something else than words"},
    {"\"num_key_value_headz\": 2, \"model_type\": \"mistral\"", SGT_E_INVALID_ARGUMENT,
     "n_kv_heads 8"},
};

START_TEST(what_is_not_clear_is_refused)
{
    sgt_model *model = hf_model(0), *none = NULL;
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    hf_edit_config(TYPE, refusals[_i].to);
    if (strstr(refusals[_i].to, "headz")) /* a key that is missing means 8 there */
        hf_edit_config("\"num_key_value_heads\"", "\"other_heads\"");
    sgtt_fails(sgt_hf_load(&none, hf_context, hf_folder, NULL, NULL), refusals[_i].status,
               refusals[_i].message);
    ck_assert_ptr_nonnull(strstr(sgt_error_message(), "config.json"));
    ck_assert_ptr_null(none);
    sgt_model_free(model);
}
END_TEST

START_TEST(a_mistral_without_positions_has_many)
{
    sgt_model *model = hf_model(0), *read = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    hf_edit_config(TYPE, "\"model_type\": \"mistral\"");
    hf_edit_config("\"max_position_embeddings\"", "\"other_positions\"");
    sgtt_ok(sgt_hf_load(&read, hf_context, hf_folder, NULL, NULL));
    sgtt_ok(sgt_model_get_config(&config, read));
    ck_assert_int_eq(config.max_seq_len, 131072);
    sgt_model_free(read);
    sgt_model_free(model);
}
END_TEST

/* ---- writing ---- */

static const struct {
    const char *type;
    sgt_block_config blocks[LAYERS];
    int32_t n_blocks;
} models[] = {
    {"mistral", {BLOCK(1, locals)}, 1},
    {"mistral", {BLOCK(2, locals), BLOCK(1, locals)}, 2},
    {"ministral", {BLOCK(0, NULL), BLOCK(1, locals)}, 2},
    {"ministral", {BLOCK(1, locals), BLOCK(1, locals), BLOCK(1, &mixed[1])}, 3},
    {"llama", {BLOCK(1, &mixed[1])}, 1},
    {"sgt", {BLOCK(1, locals), BLOCK(1, wider)}, 2},
    {"sgt", {BLOCK(2, mixed)}, 1},
    {"sgt", {BLOCK(2, &mixed[1])}, 1},
    {"sgt", {BLOCK(1, locals), BLOCK(1, by_block)}, 2},
};

/* Whatever the folder is called, what comes back computes the same and is written alike. */
START_TEST(a_model_is_written_as_what_others_would_compute)
{
    char type[64];
    sgt_model *model = with_blocks(models[_i].blocks, models[_i].n_blocks), *read = NULL;
    const int slides = strstr(models[_i].type, "istral") != NULL;
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    char *first = hf_read_config();
    snprintf(type, sizeof type, "\"model_type\": \"%s\"", models[_i].type);
    ck_assert_msg(config_has(type), "%s", first);
    ck_assert_int_eq(config_has("\"sliding_window\": 3"), slides);
    ck_assert_int_eq(config_has("\"layer_types\""), strcmp(models[_i].type, "ministral") == 0);
    ck_assert_int_eq(config_has("\"sgt_block_"), strcmp(models[_i].type, "sgt") == 0);
    sgtt_ok(sgt_hf_load(&read, hf_context, hf_folder, NULL, NULL));
    ck_assert_double_eq(hf_loss(read), hf_loss(model));
    sgtt_ok(sgt_hf_save(read, hf_folder, NULL));
    char *second = hf_read_config();
    ck_assert_str_eq(first, second);
    free(second);
    free(first);
    sgt_model_free(read);
    sgt_model_free(model);
}
END_TEST

/* A Mistral that has grown is none; without its loops it is. */
START_TEST(loops_are_not_lost)
{
    static const sgt_block_config blocks[] = {BLOCK(1, locals)};
    sgt_model *model = with_blocks(blocks, 1), *read = NULL;
    sgt_hf_save_options options;
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_ok(sgt_plan_set_depth(plan, 1, 1));
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    ck_assert(config_has("\"model_type\": \"sgt\"") && !config_has("\"sliding_window\""));
    sgtt_ok(sgt_hf_load(&read, hf_context, hf_folder, NULL, NULL));
    ck_assert_double_eq(hf_loss(read), hf_loss(model));
    ck_assert_int_eq(window_of(read, 2), WINDOW);
    ck_assert_int_eq(sgt_plan_equal(sgt_model_plan(read), plan), 1);
    sgtt_ok(sgt_hf_save_options_init(&options, sizeof options));
    options.without_loops = 1;
    sgtt_ok(sgt_hf_save(read, hf_folder, &options));
    ck_assert(config_has("\"model_type\": \"mistral\"") && !config_has("\"sgt_"));
    sgt_plan_free(plan);
    sgt_model_free(read);
    sgt_model_free(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("windows of folders");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, hf_setup, hf_teardown);
    tcase_add_loop_test(tests, layers_have_the_windows_that_transformers_gives_them, 0,
                        sizeof folders / sizeof folders[0]);
    tcase_add_loop_test(tests, what_is_not_clear_is_refused, 0,
                        sizeof refusals / sizeof refusals[0]);
    tcase_add_test(tests, a_mistral_without_positions_has_many);
    tcase_add_loop_test(tests, a_model_is_written_as_what_others_would_compute, 0,
                        sizeof models / sizeof models[0]);
    tcase_add_test(tests, loops_are_not_lost);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
