/* SPDX-License-Identifier: BSD-3-Clause */
/* config.json: forms of the same are read, what is not done is refused by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hf_folder.h"

static const struct {
    int at; /* digit of the plan */
    const char *to;
    sgt_status status;
    const char *message;
} damages[] = {
    {1, "x", SGT_E_FORMAT, "config.json: sgt_plan: it is not hexadecimal"},
    {0, "0", SGT_E_FORMAT, "config.json: sgt_plan: the bytes are no"}, /* the magic */
    {9, "2", SGT_E_VERSION, "config.json: sgt_plan: plan bytes: version 2"},
    {17, "4", SGT_E_FORMAT, "config.json: sgt_plan: "}, /* layers */
    {16, "", SGT_E_FORMAT, "config.json: sgt_plan has an odd number of digits"},
};

START_TEST(a_damaged_plan_is_named)
{
    static const char key[] = "\"sgt_plan\": \"";
    char from[64], to[64];
    sgt_model *model = hf_model(0), *none = NULL;
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_ok(sgt_plan_set_depth(plan, 1, 2));
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    char *text = hf_read_config(), *place = strstr(text, key);
    ck_assert_ptr_nonnull(place);
    int before = (int)sizeof key - 1 + damages[_i].at;
    snprintf(from, sizeof from, "%.*s", before + 1, place);
    snprintf(to, sizeof to, "%.*s%s", before, place, damages[_i].to);
    hf_edit_config(from, to);
    free(text);
    sgtt_fails(sgt_hf_load(&none, hf_context, hf_folder, NULL, NULL), damages[_i].status,
               damages[_i].message);
    ck_assert_ptr_nonnull(strstr(sgt_error_message(), hf_folder));
    ck_assert_ptr_null(none);
    sgt_plan_free(plan);
    sgt_model_free(model);
}
END_TEST

static const struct {
    const char *from, *to;
    sgt_status status;
    const char *message;
} edits[] = {
    {"\"model_type\": \"llama\"", "\"model_type\": \"gpt2\"", SGT_E_UNSUPPORTED, "model_type gpt2"},
    {"\"model_type\": \"llama\"", "\"model_kind\": \"llama\"", SGT_E_FORMAT,
     "model_type is missing"},
    {"\"silu\"", "\"gelu\"", SGT_E_UNSUPPORTED, "hidden_act gelu"},
    {"\"attention_bias\": false", "\"attention_bias\": true", SGT_E_UNSUPPORTED, "attention_bias"},
    {"\"mlp_bias\": false", "\"mlp_bias\": true", SGT_E_UNSUPPORTED, "mlp_bias"},
    {"\"mlp_bias\": false", "\"mlp_bias\": 3", SGT_E_FORMAT, "mlp_bias is neither true nor"},
    {"\"mlp_bias\"", "\"sliding_window\": 128, \"mlp_bias\"", SGT_E_UNSUPPORTED, "sliding_window"},
    {"\"mlp_bias\"", "\"quantization_config\": {}, \"mlp_bias\"", SGT_E_UNSUPPORTED,
     "quantization_config"},
    {"\"rope_type\": \"default\"", "\"rope_type\": \"yarn\"", SGT_E_UNSUPPORTED, "rope_type yarn"},
    {"\"mlp_bias\"", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}, \"mlp_bias\"",
     SGT_E_UNSUPPORTED, "type linear"},
    {"\"rope_type\"", "\"partial_rotary_factor\": 0.5, \"rope_type\"", SGT_E_UNSUPPORTED,
     "partial_rotary_factor"},
    {"\"hidden_size\": 20", "\"hidden_size\": 21", SGT_E_FORMAT,
     "has the shape [19, 20], not [19, 21]"},
    {"\"hidden_size\": 20", "\"hidden_size\": 0", SGT_E_FORMAT, "hidden_size is not a whole"},
    {"\"hidden_size\": 20", "\"hidden_size\": \"20\"", SGT_E_FORMAT, "hidden_size is not a whole"},
    {"\"hidden_size\": 20", "\"hidden_sise\": 20", SGT_E_FORMAT, "hidden_size is missing"},
    {"\"vocab_size\": 19", "\"vocab_size\": 18", SGT_E_FORMAT, "has the shape [19, 20], not [18"},
    {"\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4", SGT_E_FORMAT,
     "'model.layers.3.input_layernorm.weight' is missing"},
    {"\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", SGT_E_UNSUPPORTED, "'model.layers.2."},
    {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", SGT_E_INVALID_ARGUMENT,
     "config.json: n_kv_heads 3"},
    {"\"mlp_bias\"", "\"hidden_size\": 20, \"mlp_bias\"", SGT_E_FORMAT,
     "duplicate object key, at hidden_size"},
    {"\"rope_theta\": 54321.0,\n  \"tie", "\"rope_theta\": Infinity, \"tie", SGT_E_FORMAT,
     "at rope_theta"},
    {"\"model_type\": \"llama\"", "\"model_type\": \"sgt\", \"sgt_gates\": [1.0]", SGT_E_VERSION,
     "sgt_gates is not known to this libsgt"},
    {"\"model_type\": \"llama\"", "\"sgt_x\": {}, \"model_type\": \"sgt\"", SGT_E_VERSION,
     "sgt_x is not known"},
    {"\"rms_norm_eps\": ", "\"rms_norm_eps\": -", SGT_E_FORMAT,
     "rms_norm_eps is not a number of at least 0"},
    {"{", "[", SGT_E_FORMAT, "does not start with '{'"},
};

START_TEST(what_is_not_done_is_refused_by_name)
{
    sgt_model *model = hf_model(0), *again = NULL;
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    hf_edit_config(edits[_i].from, edits[_i].to);
    sgtt_fails(sgt_hf_load(&again, hf_context, hf_folder, NULL, NULL), edits[_i].status,
               edits[_i].message);
    ck_assert_ptr_null(again);
    sgt_model_free(model);
}
END_TEST

static const struct {
    const char *from, *to;
} forms[] = {
    {"\"rope_theta\": 54321.0,\n  \"tie", "\"tie"}, /* rope_parameters alone */
    {"\"rope_parameters\"", "\"rope_other\""},      /* rope_theta alone */
    {"\"mlp_bias\"", "\"sliding_window\": null, \"rope_scaling\": null, \"mlp_bias\""},
    {"\"mlp_bias\"", "\"eos_token_ids\": [1, 2], \"mlp_bias\""},
    {"{", " \n{"},
    {"\"mlp_bias\"", "\"x_limit\": [0.0, Infinity, -Infinity, NaN, 1e999], \"mlp_bias\""},
    {"\"mlp_bias\"", "\"x_length\": 1000000000000000019884624838656, \"mlp_bias\""},
    {"\"mlp_bias\"", "\"x\": \"\\ud800 \\u0000\", \"\\u0000\": 1, \"\\udc00\": 2, \"mlp_bias\""},
    {"\"mlp_bias\"", "\"x\": 1, \"x\": 2, \"mlp_bias\""},
    {"\"mlp_bias\"", "\"x\": [[[[[[[[[[[[[[[[[[[[{\"y\": []}]]]]]]]]]]]]]]]]]]]], \"mlp_bias\""},
    {"\"rope_type\"", "\"x\": {\"y\": [NaN]}, \"x\": 1, \"rope_type\""},
    {"\"mlp_bias\"", "\"sgt_x\": 1, \"mlp_bias\""}, /* nobody's, in a llama */
};

START_TEST(forms_of_the_same_are_read)
{
    sgt_model *model = hf_model(0), *again = NULL;
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    hf_edit_config(forms[_i].from, forms[_i].to);
    sgtt_ok(sgt_hf_load(&again, hf_context, hf_folder, NULL, NULL));
    ck_assert_double_eq(hf_loss(model), hf_loss(again));
    sgt_model_free(model);
    sgt_model_free(again);
}
END_TEST

static const struct {
    const char *positions;
    int32_t max_seq_len; /* of the options */
    int32_t expected;
} lengths[] = {
    {"500000", 0, 500000},
    {"268435456", 0, 268435456},
    {"268435456", 300, 300},
};

/* A folder of kilobytes asks for no gigabytes: tables are as long as what is computed. */
START_TEST(many_positions_take_no_memory)
{
    char from[64], to[64];
    sgt_model *model = hf_model(0), *again = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgt_hf_load_options options;
    sgtt_ok(sgt_hf_load_options_init(&options, sizeof options));
    options.max_seq_len = lengths[_i].max_seq_len;
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    sgtt_ok(sgt_model_get_config(&config, model));
    snprintf(from, sizeof from, "embeddings\": %d", (int)config.max_seq_len);
    snprintf(to, sizeof to, "embeddings\": %s", lengths[_i].positions);
    hf_edit_config(from, to);
    sgtt_ok(sgt_hf_load(&again, hf_context, hf_folder, NULL, &options));
    sgtt_ok(sgt_model_get_config(&config, again));
    ck_assert_int_eq(config.max_seq_len, lengths[_i].expected);
    ck_assert_double_eq(hf_loss(model), hf_loss(again));
    ck_assert_uint_lt(sgtt_memory(hf_context).peak, 16u << 20);
    sgt_model_free(model);
    sgt_model_free(again);
}
END_TEST

START_TEST(presence_decides_about_the_head)
{
    sgt_model *model = hf_model(_i), *again = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_hf_save(model, hf_folder, NULL));
    hf_edit_config(_i ? "\"tie_word_embeddings\": true" : "\"tie_word_embeddings\": false",
                   _i ? "\"tie_word_embeddings\": false" : "\"tie_word_embeddings\": true");
    sgt_hf_load_options options;
    sgtt_ok(sgt_hf_load_options_init(&options, sizeof options));
    if (_i) { /* there is none, though config.json says that there is */
        sgtt_fails(sgt_hf_load(&again, hf_context, hf_folder, NULL, &options), SGT_E_FORMAT,
                   "'lm_head.weight' is missing");
        options.tie_missing_head = 1;
    }
    sgtt_ok(sgt_hf_load(&again, hf_context, hf_folder, NULL, &options));
    sgtt_ok(sgt_model_get_config(&config, again));
    ck_assert_int_eq(config.tied, _i);
    ck_assert_int_eq(strstr(hf_warning, "the head is not tied") != NULL, !_i);
    ck_assert_double_eq(hf_loss(model), hf_loss(again));
    sgt_model_free(model);
    sgt_model_free(again);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config.json");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, hf_setup, hf_teardown);
    tcase_add_loop_test(tests, a_damaged_plan_is_named, 0, sizeof damages / sizeof damages[0]);
    tcase_add_loop_test(tests, what_is_not_done_is_refused_by_name, 0,
                        sizeof edits / sizeof edits[0]);
    tcase_add_loop_test(tests, many_positions_take_no_memory, 0,
                        sizeof lengths / sizeof lengths[0]);
    tcase_add_loop_test(tests, forms_of_the_same_are_read, 0, sizeof forms / sizeof forms[0]);
    tcase_add_loop_test(tests, presence_decides_about_the_head, 0, 2);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
