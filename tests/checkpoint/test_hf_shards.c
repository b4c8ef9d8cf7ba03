/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hugging Face folders of several files: the weight_map of the index says which tensor counts, and
 * an export leaves nothing of them that a reader could take for the new weights.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sgt/sgt.h>

#include "fixtures.h"
#include "scratch.h"

#define ONE   "model-00001-of-00002.safetensors"
#define TWO   "model-00002-of-00002.safetensors"
#define INDEX "model.safetensors.index.json"

static char folder[SCRATCH_PATH], workshop[SCRATCH_PATH];
static sgt_context *context;
static char warning[512];

static void on_log(void *user, int32_t level, const char *message)
{
    (void)user, (void)level;
    snprintf(warning, sizeof warning, "%s", message);
}

static void setup(void)
{
    sgt_context_options options = sgtt_model_options();
    options.log = on_log;
    scratch_path(folder, "folder");
    scratch_path(workshop, "workshop");
    ck_assert(mkdir(folder, 0700) == 0 && mkdir(workshop, 0700) == 0);
    sgtt_ok(sgt_context_create(&context, &options));
    warning[0] = '\0';
}

static void teardown(void)
{
    sgt_context_free(context);
    scratch_remove();
}

typedef char file_path[2 * SCRATCH_PATH];

static const char *in(file_path path, const char *where, const char *name)
{
    snprintf(path, sizeof(file_path), "%s/%s", where, name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    file_path path;
    scratch_write(in(path, folder, name), text, strlen(text));
}

static int exists(const char *name)
{
    file_path path;
    struct stat about;
    return lstat(in(path, folder, name), &about) == 0;
}

static void move(const char *from, const char *to)
{
    file_path old, new;
    ck_assert_int_eq(rename(in(old, workshop, from), in(new, folder, to)), 0);
}

/* A model whose weights are a shard of the folder: all of them, whatever the map names. The
 * folder's config.json is its. */
static sgt_model *make_shard(const char *name, const sgt_model_config *config, uint64_t seed)
{
    sgt_model *model = sgtt_model(context, config, seed);
    sgtt_ok(sgt_hf_save(model, workshop, NULL));
    move("model.safetensors", name);
    move("config.json", "config.json");
    return model;
}

static const char *parameter_name(const sgt_model *model, int32_t index)
{
    static sgt_tensor_view view;
    view.size = sizeof view;
    sgtt_ok(sgt_model_parameter(&view, model, index, SGT_PART_WEIGHT));
    return view.name;
}

/* Names every parameter but `without` in ONE; where they alternate, every second in TWO. `more`
 * goes before the end of the map. */
static void write_index(const sgt_model *model, int alternate, const char *more,
                        const char *without)
{
    static char text[16384];
    size_t used = (size_t)snprintf(text, sizeof text, "{\"metadata\":{},\"weight_map\":{");
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++) {
        const char *name = parameter_name(model, i);
        if (without && strcmp(name, without) == 0)
            continue;
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\"%s\":\"%s\"",
                                 text[used - 1] == '{' ? "" : ",", name,
                                 alternate && i % 2 ? TWO : ONE);
    }
    snprintf(text + used, sizeof text - used, "%s}}", more);
    write_text(INDEX, text);
}

/* ---- loading ---- */

START_TEST(each_tensor_is_read_from_the_file_that_the_map_names)
{
    sgt_model_config config = sgtt_config();
    sgt_model *models[2] = {make_shard(ONE, &config, 1), make_shard(TWO, &config, 2)};
    sgt_model *loaded = NULL;
    write_index(models[0], 1, "", NULL);
    sgtt_ok(sgt_hf_load(&loaded, context, folder, NULL, NULL));
    for (int32_t i = 0; i < sgt_model_n_parameters(loaded); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        float found[600], expected[600];
        sgtt_ok(sgt_model_parameter(&view, loaded, i, SGT_PART_WEIGHT));
        ck_assert_uint_le(view.count, 600);
        sgtt_ok(sgt_model_read_parameter(found, view.count, loaded, i, SGT_PART_WEIGHT));
        sgtt_ok(sgt_model_read_parameter(expected, view.count, models[i % 2], i, SGT_PART_WEIGHT));
        ck_assert_msg(memcmp(found, expected, view.count * sizeof *found) == 0, "%s", view.name);
    }
    sgt_model_free(loaded);
    sgt_model_free(models[0]);
    sgt_model_free(models[1]);
}
END_TEST

/* A shard of a larger model: its last layer is no part of what the map names. */
START_TEST(what_the_map_leaves_out_is_passed_over)
{
    static const char stranger[] = ",\"model.layers.3.mlp.up_proj.weight\":\"" ONE "\"";
    static const char known[] = ",\"model.layers.3.self_attn.rotary_emb.inv_freq\":\"" ONE "\"";
    sgt_model_config config = sgtt_config(), larger = config;
    larger.n_layers = 4;
    sgt_model *of_four = make_shard(ONE, &larger, 1), *of_three = make_shard(TWO, &config, 2);
    sgt_model *loaded = NULL;
    write_index(of_three, 1, "", NULL);
    sgtt_ok(sgt_hf_load(&loaded, context, folder, NULL, NULL));
    write_index(of_three, 1, stranger, NULL);
    sgt_model *none = NULL;
    sgtt_fails(sgt_hf_load(&none, context, folder, NULL, NULL), SGT_E_UNSUPPORTED,
               ONE ": tensor 'model.layers.3.mlp.up_proj.weight' is of no part");
    write_index(of_three, 1, known, NULL);
    sgtt_fails(sgt_hf_load(&none, context, folder, NULL, NULL), SGT_E_FORMAT,
               "inv_freq' is missing");
    sgt_model_free(loaded);
    sgt_model_free(of_three);
    sgt_model_free(of_four);
}
END_TEST

static const struct {
    const char *more, *without;
    sgt_status status;
    const char *message;
} promises[] = {
    {",\"model.norm.weight\":\"" TWO "\"", "model.norm.weight", SGT_OK, ""},
    {",\"model.layers.9.mlp.up_proj.weight\":\"" TWO "\"", NULL, SGT_E_FORMAT,
     TWO ": tensor 'model.layers.9.mlp.up_proj.weight' is missing"},
    {",\"lm_head.weight\":\"" TWO "\"", "lm_head.weight", SGT_E_FORMAT,
     TWO ": tensor 'lm_head.weight' is missing"},
    {"", "model.layers.1.mlp.up_proj.weight", SGT_E_FORMAT,
     "'model.layers.1.mlp.up_proj.weight' is missing"},
    {"", "lm_head.weight", SGT_E_FORMAT, "'lm_head.weight' is missing"},
    {",\"lm_head.weight\":\"model-00003-of-00002.safetensors\"", "lm_head.weight",
     SGT_E_NOT_FOUND, "model-00003-of-00002.safetensors"},
    {",\"x\":7", NULL, SGT_E_FORMAT, "something else than names"},
};

/* TWO has no head; config.json says that there is one. */
START_TEST(what_the_map_promises_is_there)
{
    sgt_model_config config = sgtt_config(), tied = config;
    tied.tied = 1;
    sgt_model_free(make_shard(TWO, &tied, 1));
    sgt_model *model = make_shard(ONE, &config, 2), *loaded = NULL;
    write_index(model, 0, promises[_i].more, promises[_i].without);
    sgt_status status = sgt_hf_load(&loaded, context, folder, NULL, NULL);
    if (promises[_i].status == SGT_OK)
        sgtt_ok(status);
    else
        sgtt_fails(status, promises[_i].status, promises[_i].message);
    ck_assert_int_eq(loaded != NULL, status == SGT_OK);
    sgt_model_free(loaded);
    sgt_model_free(model);
}
END_TEST

START_TEST(only_the_caller_ties_a_head_that_is_nowhere)
{
    sgt_model_config config = sgtt_config(), found = {.size = sizeof found};
    sgt_model *model = make_shard(ONE, &config, 1), *loaded = NULL;
    sgt_hf_load_options options;
    sgtt_ok(sgt_hf_load_options_init(&options, sizeof options));
    write_index(model, 0, "", "lm_head.weight");
    sgtt_fails(sgt_hf_load(&loaded, context, folder, NULL, &options), SGT_E_FORMAT,
               "see tie_missing_head");
    options.tie_missing_head = 1;
    sgtt_ok(sgt_hf_load(&loaded, context, folder, NULL, &options));
    sgtt_ok(sgt_model_get_config(&found, loaded));
    ck_assert_int_eq(found.tied, 1);
    sgt_model_free(loaded);
    loaded = NULL;
    write_index(model, 0, "", NULL); /* one that is there stays as it is */
    sgtt_ok(sgt_hf_load(&loaded, context, folder, NULL, &options));
    sgtt_ok(sgt_model_get_config(&found, loaded));
    ck_assert_int_eq(found.tied, 0);
    sgt_model_free(loaded);
    sgt_model_free(model);
}
END_TEST

START_TEST(a_shard_has_a_possible_name)
{
    static const int lengths[] = {256, 4090, 5000};
    static char text[8192];
    sgt_model_config config = sgtt_config();
    sgt_model *none = NULL;
    sgt_model_free(make_shard(ONE, &config, 1));
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        snprintf(text, sizeof text, "{\"weight_map\":{\"x\":\"%0*d\"}}", lengths[i], 7);
        write_text(INDEX, text);
        sgtt_fails(sgt_hf_load(&none, context, folder, NULL, NULL), SGT_E_FORMAT,
                   "is no file of this folder");
    }
    write_text(INDEX, "{\"weight_map\":{}}");
    sgtt_fails(sgt_hf_load(&none, context, folder, NULL, NULL), SGT_E_FORMAT, "is empty");
}
END_TEST

START_TEST(a_longer_sequence_than_the_model_knows_is_warned_of)
{
    sgt_model_config config = sgtt_config();
    sgt_hf_load_options options;
    sgtt_ok(sgt_hf_load_options_init(&options, sizeof options));
    sgt_model_free(make_shard("model.safetensors", &config, 1));
    for (int more = 0; more < 2; more++) {
        sgt_model *model = NULL;
        options.max_seq_len = config.max_seq_len + more;
        sgtt_ok(sgt_hf_load(&model, context, folder, NULL, &options));
        sgt_model_free(model);
        ck_assert_int_eq(strstr(warning, "beyond the 16 positions") != NULL, more);
    }
}
END_TEST

/* ---- exports over what an earlier save left ---- */

static const char *const weights[] = {ONE,
                                      INDEX,
                                      "model-00007-of-00009.safetensors",
                                      "named.safetensors",
                                      "pytorch_model.bin",
                                      "pytorch_model-00001-of-00001.bin",
                                      "pytorch_model.bin.index.json",
                                      "named.bin"};
static const char *const others[] = {"tokenizer.json",
                                     "notes.txt",
                                     "other.safetensors",
                                     "training_args.bin",
                                     "model-00001-of-2.safetensors",
                                     "xmodel-00001-of-00002.safetensors",
                                     "model-00001-of-00002.safetensors.old",
                                     "../outside.safetensors"};

enum { WEIGHTS = sizeof weights / sizeof *weights, OTHERS = sizeof others / sizeof *others };

static void leave_an_earlier_save(void)
{
    for (int i = 0; i < WEIGHTS; i++)
        write_text(weights[i], "old");
    for (int i = 0; i < OTHERS; i++)
        write_text(others[i], "other");
    write_text(INDEX, "{\"weight_map\":{\"a\":\"named.safetensors\",\"b\":\"" ONE "\",\"c\":"
                      "\"tokenizer.json\",\"d\":\"../outside.safetensors\",\"e\":\"notes.txt\","
                      "\"f\":\"model.safetensors\",\"g\":\"config.json\",\"h\":3,"
                      "\"i\":\"training_args.bin\",\"j\":\"gone.safetensors\"}}");
    write_text("pytorch_model.bin.index.json", "{\"weight_map\":{\"a\":\"named.bin\"}}");
}

/* Of a plain model, and of a grown one. */
START_TEST(an_export_leaves_no_old_weights)
{
    sgt_model_config config = sgtt_config();
    sgt_model *model = sgtt_model(context, &config, 4), *again = NULL;
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_ok(sgt_plan_set_depth(plan, 1, _i));
    sgtt_ok(sgt_model_set_plan(model, plan));
    leave_an_earlier_save();
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    for (int i = 0; i < WEIGHTS; i++)
        ck_assert_msg(!exists(weights[i]), "%s is left", weights[i]);
    for (int i = 0; i < OTHERS; i++)
        ck_assert_msg(exists(others[i]), "%s is gone", others[i]);
    sgtt_ok(sgt_hf_load(&again, context, folder, NULL, NULL));
    ck_assert_int_eq(sgt_plan_equal(sgt_model_plan(again), plan), 1);
    sgt_plan_free(plan);
    sgt_model_free(model);
    sgt_model_free(again);
}
END_TEST

/* As in the cache of a hub: the link goes, what it leads to stays. A folder is nobody's weights. */
START_TEST(links_are_not_followed)
{
    file_path link, inside;
    sgt_model_config config = sgtt_config();
    sgt_model *model = sgtt_model(context, &config, 4);
    write_text("../blob", "old");
    ck_assert_int_eq(symlink("../blob", in(link, folder, ONE)), 0);
    ck_assert_int_eq(mkdir(in(inside, folder, TWO), 0700), 0);
    write_text(INDEX, "{\"weight_map\":{\"a\":\"" ONE "\",\"b\":\"" TWO "\"}}");
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    ck_assert(!exists(ONE) && !exists(INDEX) && exists("../blob") && exists(TWO));
    sgt_model_free(model);
}
END_TEST

/* An index that nobody can read does not keep a model from being saved. */
START_TEST(a_damaged_index_goes_too)
{
    sgt_model_config config = sgtt_config();
    sgt_model *model = sgtt_model(context, &config, 4), *again = NULL;
    write_text(INDEX, "{\"weight_map\":[");
    write_text(ONE, "old");
    sgtt_ok(sgt_hf_save(model, folder, NULL));
    ck_assert(!exists(ONE) && !exists(INDEX));
    sgtt_ok(sgt_hf_load(&again, context, folder, NULL, NULL));
    sgt_model_free(again);
    sgt_model_free(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shards of Hugging Face folders");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, each_tensor_is_read_from_the_file_that_the_map_names);
    tcase_add_test(tests, what_the_map_leaves_out_is_passed_over);
    tcase_add_loop_test(tests, what_the_map_promises_is_there, 0,
                        sizeof promises / sizeof *promises);
    tcase_add_test(tests, only_the_caller_ties_a_head_that_is_nowhere);
    tcase_add_test(tests, a_shard_has_a_possible_name);
    tcase_add_test(tests, a_longer_sequence_than_the_model_knows_is_warned_of);
    tcase_add_loop_test(tests, an_export_leaves_no_old_weights, 0, 2);
    tcase_add_test(tests, links_are_not_followed);
    tcase_add_test(tests, a_damaged_index_goes_too);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
