/* SPDX-License-Identifier: BSD-3-Clause */
/* Hugging Face folders: what we write we read; forms of config.json; what is refused by name. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sgt/sgt.h>

#include "fixtures.h"
#include "scratch.h"

static char folder[SCRATCH_PATH];
static sgt_context *context;
static char warning[512];

static void on_log(void *user, int32_t level, const char *message)
{
    (void)user;
    ck_assert_int_eq(level, SGT_LOG_WARNING);
    snprintf(warning, sizeof warning, "%s", message);
}

static void setup(void)
{
    sgt_context_options options = sgtt_model_options();
    options.log = on_log;
    scratch_path(folder, "");
    sgtt_ok(sgt_context_create(&context, &options));
    warning[0] = '\0';
}

static void teardown(void)
{
    sgt_context_free(context);
    scratch_remove();
}

static sgt_model *make_model(int32_t tied)
{
    sgt_model_config config = sgtt_config();
    config.tied = tied;
    config.rope_theta = 54321.0;
    config.norm_eps = 1e-5;
    return sgtt_model(context, &config, 3);
}

static double loss_of(const sgt_model *model)
{
    sgt_batch batch = sgtt_batch(2, 7, 19, 3, 0);
    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_model_evaluate(&metrics, model, &batch, NULL));
    sgtt_batch_free(&batch);
    return metrics.loss;
}

static char *read_config(void)
{
    char path[SCRATCH_PATH];
    unsigned long bytes;
    scratch_path(path, "config.json");
    char *text = (char *)scratch_read(path, &bytes);
    text[bytes] = '\0';
    return text;
}

/* Replaces one piece of config.json. */
static void edit_config(const char *from, const char *to)
{
    char path[SCRATCH_PATH], edited[16384];
    char *text = read_config(), *place = strstr(text, from);
    ck_assert_msg(place != NULL, "no %s in %s", from, text);
    snprintf(edited, sizeof edited, "%.*s%s%s", (int)(place - text), text, to,
             place + strlen(from));
    scratch_path(path, "config.json");
    scratch_write(path, edited, strlen(edited));
    free(text);
}

START_TEST(what_is_written_is_read)
{
    sgt_model *model = make_model(_i), *again = NULL;
    sgt_model_config a = {.size = sizeof a}, b = {.size = sizeof b};
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    sgtt_ok(sgt_hf_load(&again, context, folder, NULL, NULL));
    sgtt_ok(sgt_model_get_config(&a, model));
    sgtt_ok(sgt_model_get_config(&b, again));
    ck_assert_mem_eq(&a, &b, sizeof a);
    ck_assert_double_eq(loss_of(model), loss_of(again));
    ck_assert_str_eq(warning, "");
    char *text = read_config();
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
    sgt_model *model = sgtt_model(context, &config, 3);
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    sgtt_ok(sgt_hf_load(&again, context, folder, NULL, NULL));
    sgtt_ok(sgt_model_get_config(&b, again));
    ck_assert_double_eq(b.norm_eps, 0.0);
    ck_assert_double_eq(loss_of(model), loss_of(again));
    sgt_model_free(model);
    sgt_model_free(again);
}
END_TEST

START_TEST(halves_are_near)
{
    sgt_model *model = make_model(0), *again = NULL;
    sgt_hf_save_options options;
    sgtt_ok(sgt_hf_save_options_init(&options, sizeof options));
    options.dtype = _i == 0 ? SGT_BF16 : SGT_F16;
    sgtt_ok(sgt_hf_save(model, folder, &options));
    sgtt_ok(sgt_hf_load(&again, context, folder, NULL, NULL));
    ck_assert_double_eq_tol(loss_of(model), loss_of(again), _i == 0 ? 0.05 : 0.01);
    ck_assert_double_ne(loss_of(model), loss_of(again));
    options.dtype = SGT_F64;
    sgtt_fails(sgt_hf_save(model, folder, &options), SGT_E_INVALID_ARGUMENT, "dtype is 2");
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
    sgt_model *model = make_model(0), *again = NULL;
    sgt_hf_save_options options;
    sgt_tensor_view view = {.size = sizeof view};
    char path[SCRATCH_PATH];
    unsigned long before_bytes, after_bytes;
    int32_t index;
    scratch_path(path, "model.safetensors");
    sgtt_ok(sgt_hf_save_options_init(&options, sizeof options));
    sgtt_ok(sgt_hf_save(model, folder, &options));
    void *before = scratch_read(path, &before_bytes);
    char *config = read_config();
    sgtt_ok(sgt_model_find_parameter(&index, model, "model.layers.1.mlp.up_proj.weight"));
    sgtt_ok(sgt_model_parameter(&view, model, index, SGT_PART_WEIGHT));
    float *values = malloc(view.count * sizeof *values);
    sgtt_ok(sgt_model_read_parameter(values, view.count, model, index, SGT_PART_WEIGHT));
    values[view.count - 1] = ends[_i].value;
    sgtt_ok(sgt_model_write_parameter(model, index, SGT_PART_WEIGHT, values, view.count));
    options.dtype = ends[_i].dtype;
    if (ends[_i].message) {
        sgtt_fails(sgt_hf_save(model, folder, &options), SGT_E_OUT_OF_RANGE,
                   ends[_i].message);
        void *after = scratch_read(path, &after_bytes);
        ck_assert_uint_eq(before_bytes, after_bytes);
        ck_assert_mem_eq(before, after, before_bytes);
        char *config_after = read_config();
        ck_assert_str_eq(config, config_after);
        free(after);
        free(config_after);
    } else {
        sgtt_ok(sgt_hf_save(model, folder, &options));
        sgtt_ok(sgt_hf_load(&again, context, folder, NULL, NULL));
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
    sgt_model *model = make_model(0), *again = NULL, *plain = NULL;
    sgt_hf_save_options options;
    double vanilla = loss_of(model);
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_loop(plan, 1, 2, (const float[]){0.0f, 1.0f, 0.123f, 0.0f});
    sgtt_ok(sgt_plan_set_extra_runs(plan, 2, 1));
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    char *text = read_config();
    ck_assert_ptr_nonnull(strstr(text, "\"model_type\": \"sgt\""));
    free(text);
    sgtt_ok(sgt_hf_load(&again, context, folder, NULL, NULL));
    ck_assert_int_eq(sgt_plan_equal(sgt_model_plan(again), plan), 1);
    ck_assert_double_eq(loss_of(model), loss_of(again));
    sgtt_ok(sgt_hf_save_options_init(&options, sizeof options));
    options.without_loops = 1;
    sgtt_ok(sgt_hf_save(model, folder, &options));
    sgtt_ok(sgt_hf_load(&plain, context, folder, NULL, NULL));
    ck_assert_double_eq(loss_of(plain), vanilla);
    ck_assert_double_ne(loss_of(model), vanilla);
    sgt_plan_free(plan);
    sgt_model_free(model);
    sgt_model_free(again);
    sgt_model_free(plain);
}
END_TEST

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
    sgt_model *model = make_model(0), *none = NULL;
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_ok(sgt_plan_set_depth(plan, 1, 2));
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    char *text = read_config(), *place = strstr(text, key);
    ck_assert_ptr_nonnull(place);
    int before = (int)sizeof key - 1 + damages[_i].at;
    snprintf(from, sizeof from, "%.*s", before + 1, place);
    snprintf(to, sizeof to, "%.*s%s", before, place, damages[_i].to);
    edit_config(from, to);
    free(text);
    sgtt_fails(sgt_hf_load(&none, context, folder, NULL, NULL), damages[_i].status,
               damages[_i].message);
    ck_assert_ptr_nonnull(strstr(sgt_error_message(), folder));
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
    {"\"model_type\": \"llama\"", "\"model_kind\": \"llama\"", SGT_E_FORMAT, "model_type is missing"},
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
    {"\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2", SGT_E_UNSUPPORTED,
     "'model.layers.2."},
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

/* It would be the root of the file system. */
START_TEST(a_folder_has_a_name)
{
    sgt_model *model = make_model(0), *again = NULL;
    sgtt_fails(sgt_hf_save(model, "", NULL), SGT_E_INVALID_ARGUMENT, "folder is empty");
    sgtt_fails(sgt_hf_load(&again, context, "", NULL, NULL), SGT_E_INVALID_ARGUMENT,
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
    } wrong[] = {{"HuggingFaceTB/SmolLM2-135M", "SmolLM2-135M: there is no such folder (names of a"},
                 {file, "weights.gguf: is a file: the folder with config.json"},
                 {empty, "has no config.json"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        sgtt_fails(sgt_hf_load(&again, context, wrong[i].path, NULL, NULL), SGT_E_NOT_FOUND,
                   wrong[i].message);
        ck_assert_ptr_null(strstr(sgt_error_message(), i == 2 ? "no such" : "has no"));
    }
}
END_TEST

/* Whatever is written first, the message names what was given. */
START_TEST(a_save_into_no_folder_names_it)
{
    char file[SCRATCH_PATH], none[SCRATCH_PATH];
    sgt_model *model = make_model(0);
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

START_TEST(what_is_not_done_is_refused_by_name)
{
    sgt_model *model = make_model(0), *again = NULL;
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    edit_config(edits[_i].from, edits[_i].to);
    sgtt_fails(sgt_hf_load(&again, context, folder, NULL, NULL), edits[_i].status,
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
    sgt_model *model = make_model(0), *again = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgt_hf_load_options options;
    sgtt_ok(sgt_hf_load_options_init(&options, sizeof options));
    options.max_seq_len = lengths[_i].max_seq_len;
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    sgtt_ok(sgt_model_get_config(&config, model));
    snprintf(from, sizeof from, "embeddings\": %d", (int)config.max_seq_len);
    snprintf(to, sizeof to, "embeddings\": %s", lengths[_i].positions);
    edit_config(from, to);
    sgtt_ok(sgt_hf_load(&again, context, folder, NULL, &options));
    sgtt_ok(sgt_model_get_config(&config, again));
    ck_assert_int_eq(config.max_seq_len, lengths[_i].expected);
    ck_assert_double_eq(loss_of(model), loss_of(again));
    ck_assert_uint_lt(sgtt_memory(context).peak, 16u << 20);
    sgt_model_free(model);
    sgt_model_free(again);
}
END_TEST

START_TEST(forms_of_the_same_are_read)
{
    sgt_model *model = make_model(0), *again = NULL;
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    edit_config(forms[_i].from, forms[_i].to);
    sgtt_ok(sgt_hf_load(&again, context, folder, NULL, NULL));
    ck_assert_double_eq(loss_of(model), loss_of(again));
    sgt_model_free(model);
    sgt_model_free(again);
}
END_TEST

START_TEST(presence_decides_about_the_head)
{
    sgt_model *model = make_model(_i), *again = NULL;
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    edit_config(_i ? "\"tie_word_embeddings\": true" : "\"tie_word_embeddings\": false",
                _i ? "\"tie_word_embeddings\": false" : "\"tie_word_embeddings\": true");
    sgt_hf_load_options options;
    sgtt_ok(sgt_hf_load_options_init(&options, sizeof options));
    if (_i) { /* there is none, though config.json says that there is */
        sgtt_fails(sgt_hf_load(&again, context, folder, NULL, &options), SGT_E_FORMAT,
                   "'lm_head.weight' is missing");
        options.tie_missing_head = 1;
    }
    sgtt_ok(sgt_hf_load(&again, context, folder, NULL, &options));
    sgtt_ok(sgt_model_get_config(&config, again));
    ck_assert_int_eq(config.tied, _i);
    ck_assert_int_eq(strstr(warning, "the head is not tied") != NULL, !_i);
    ck_assert_double_eq(loss_of(model), loss_of(again));
    sgt_model_free(model);
    sgt_model_free(again);
}
END_TEST

/* ---- files of others that go with a folder ---- */

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
    sgt_model *model = make_model(0);
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
    sgt_model *model = make_model(0);
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
    sgt_model *model = make_model(0);
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
    sgt_model *model = make_model(0), *other = make_model(1);
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

START_TEST(shards_are_found_in_their_folder_only)
{
    char index[SCRATCH_PATH], whole[SCRATCH_PATH], part[SCRATCH_PATH];
    static const char *const bad[] = {"../x", "/etc/passwd", "", ".", "a\\\\b"};
    sgt_model *model = make_model(0), *again = NULL;
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    scratch_path(index, "model.safetensors.index.json");
    scratch_path(whole, "model.safetensors");
    scratch_path(part, "model-00001-of-00001.safetensors");
    ck_assert_int_eq(rename(whole, part), 0);
    sgtt_fails(sgt_hf_load(&again, context, folder, NULL, NULL), SGT_E_NOT_FOUND, "nor an index");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"weight_map\":{\"lm_head.weight\":\"%s\"}}", bad[i]);
        scratch_write(index, text, strlen(text));
        sgtt_fails(sgt_hf_load(&again, context, folder, NULL, NULL), SGT_E_FORMAT,
                   "no file of this folder");
    }
    sgt_model_free(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("Hugging Face folders");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, what_is_written_is_read, 0, 2);
    tcase_add_test(tests, zero_is_a_norm_eps);
    tcase_add_loop_test(tests, halves_are_near, 0, 2);
    tcase_add_loop_test(tests, a_finite_weight_does_not_become_infinite, 0,
                        sizeof ends / sizeof ends[0]);
    tcase_add_test(tests, loops_stay_or_are_left_out);
    tcase_add_loop_test(tests, a_damaged_plan_is_named, 0, sizeof damages / sizeof damages[0]);
    tcase_add_test(tests, a_folder_has_a_name);
    tcase_add_test(tests, what_is_no_folder_of_a_model_is_said);
    tcase_add_test(tests, a_save_into_no_folder_names_it);
    tcase_add_loop_test(tests, what_is_not_done_is_refused_by_name, 0,
                        sizeof edits / sizeof edits[0]);
    tcase_add_loop_test(tests, many_positions_take_no_memory, 0,
                        sizeof lengths / sizeof lengths[0]);
    tcase_add_loop_test(tests, forms_of_the_same_are_read, 0, sizeof forms / sizeof forms[0]);
    tcase_add_loop_test(tests, presence_decides_about_the_head, 0, 2);
    tcase_add_test(tests, files_of_a_tokenizer_are_copied);
    tcase_add_test(tests, what_the_source_has_not_goes);
    tcase_add_test(tests, a_folder_may_be_its_own_source);
    tcase_add_test(tests, a_copy_that_fails_changes_nothing);
    tcase_add_test(tests, shards_are_found_in_their_folder_only);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
