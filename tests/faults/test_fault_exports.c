/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An export over an older one stops at every call about files, and nothing is cleaned up, as when
 * the process is killed: the folder then holds the old model, the new one, or is refused; never the
 * weights of one under the depth plan of the other, nor, where the old one lay in shards, the
 * weights of both, nor the tokenizer of the other. The next export ends well.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sgt/sgt.h>

#include "fixtures.h"
#include "io_shim.h"
#include "scratch.h"

#define SHARD "model-00001-of-00002.safetensors"
#define OTHER "model-00002-of-00002.safetensors"
#define INDEX "model.safetensors.index.json"

static char folder[SCRATCH_PATH];
static sgt_context *context;
static sgt_model *older, *newer; /* with loops */

static int exists(const char *name)
{
    char path[SCRATCH_PATH];
    scratch_path(path, name);
    return access(path, F_OK) == 0;
}

static void put_text(const char *name, const char *text)
{
    char path[SCRATCH_PATH];
    scratch_path(path, name);
    scratch_write(path, text, strlen(text));
}

static int has_text(const char *name, const char *text)
{
    char path[SCRATCH_PATH];
    unsigned long bytes;
    if (!exists(name))
        return 0;
    scratch_path(path, name);
    unsigned char *found = scratch_read(path, &bytes);
    int equal = bytes == strlen(text) && memcmp(found, text, bytes) == 0;
    free(found);
    return equal;
}

static void setup(void)
{
    sgt_context_options options = sgtt_model_options();
    sgt_model_config config = sgtt_config();
    options.threads = 1;
    char source[SCRATCH_PATH];
    scratch_path(folder, "");
    scratch_path(source, "source");
    ck_assert_int_eq(mkdir(source, 0700), 0);
    put_text("source/tokenizer.json", "newer");
    sgtt_ok(sgt_context_create(&context, &options));
    older = sgtt_model(context, &config, 3);
    newer = sgtt_model(context, &config, 4);
    sgt_plan *plan = sgtt_plan_of(newer);
    sgtt_loop(plan, 1, 2, (const float[]){0.0f, 1.0f, 0.5f, 0.0f});
    sgtt_ok(sgt_model_set_plan(newer, plan));
    sgt_plan_free(plan);
}

static void teardown(void)
{
    sgt_model_free(older);
    sgt_model_free(newer);
    sgt_context_free(context);
    scratch_remove();
}

static int same(const sgt_model *a, const sgt_model *b)
{
    float *of_a = sgtt_read_all(a, SGT_PART_WEIGHT), *of_b = sgtt_read_all(b, SGT_PART_WEIGHT);
    int equal = memcmp(of_a, of_b, sgtt_elements(a) * sizeof *of_a) == 0;
    free(of_a);
    free(of_b);
    return equal && sgt_plan_equal(sgt_model_plan(a), sgt_model_plan(b));
}

typedef struct outcomes {
    int older, newer, refused;
} outcomes;

static void move(const char *from, const char *to)
{
    char old[SCRATCH_PATH], new[SCRATCH_PATH];
    scratch_path(old, from);
    scratch_path(new, to);
    ck_assert_int_eq(rename(old, new), 0);
}

/* The older model, as one file or as two shards, of which the index names each. */
static void export_older(int shards)
{
    static const char index[] = "{\"weight_map\":{\"model.norm.weight\":\"" SHARD "\",";
    char path[SCRATCH_PATH], text[8192];
    size_t used = sizeof index - 1;
    sgt_tensor_view view = {.size = sizeof view};
    sgtt_ok(sgt_hf_save(older, folder, NULL));
    put_text("tokenizer.json", "older");
    put_text("merges.txt", "older");
    if (!shards)
        return;
    memcpy(text, index, sizeof index);
    for (int32_t i = 0; i < sgt_model_n_parameters(older); i++) {
        sgtt_ok(sgt_model_parameter(&view, older, i, SGT_PART_WEIGHT));
        if (strcmp(view.name, "model.norm.weight") != 0)
            used += (size_t)snprintf(text + used, sizeof text - used, "\"%s\":\"" OTHER "\",",
                                     view.name);
    }
    memcpy(text + used - 1, "}}", 3);
    scratch_path(path, INDEX);
    scratch_write(path, text, used + 1);
    unsigned long bytes;
    scratch_path(path, "model.safetensors");
    unsigned char *data = scratch_read(path, &bytes);
    scratch_path(path, OTHER);
    scratch_write(path, data, bytes);
    free(data);
    move("model.safetensors", SHARD);
}

/* A folder with a config.json has one set of weights, whole. */
static void check_set_of_weights(void)
{
    int single = exists("model.safetensors");
    ck_assert(exists(SHARD) != single && exists(OTHER) != single && exists(INDEX) != single);
}

static void look_at_folder(outcomes *seen, int64_t at)
{
    sgt_model *found = NULL;
    if (exists("config.json") && exists(INDEX))
        check_set_of_weights();
    sgt_status status = sgt_hf_load(&found, context, folder, NULL, NULL);
    if (status != SGT_OK) {
        ck_assert_int_eq(status, SGT_E_NOT_FOUND);
        ck_assert_ptr_nonnull(strstr(sgt_error_message(), "whose export was interrupted"));
        seen->refused++;
        return;
    }
    int is_older = same(found, older), is_newer = same(found, newer);
    ck_assert_msg(is_older || is_newer, "call %d left a mixture", (int)at);
    ck_assert(has_text("tokenizer.json", is_older ? "older" : "newer"));
    ck_assert_int_eq(exists("merges.txt"), is_older);
    seen->older += is_older;
    seen->newer += is_newer;
    sgt_model_free(found);
}

/* With the tokenizer of a folder that has no merges. */
static sgt_status export_newer(void)
{
    char source[SCRATCH_PATH];
    sgt_hf_save_options options;
    scratch_path(source, "source");
    sgtt_ok(sgt_hf_save_options_init(&options, sizeof options));
    options.copy_from = source;
    return sgt_hf_save(newer, folder, &options);
}

/* 1 when the export was not reached by the fault. */
static int export_with(int64_t at, int64_t most, int shards)
{
    export_older(shards);
    sweep_arm(&io_sweep, at, most);
    io_sweep.inside = 1;
    sgt_status status = export_newer();
    io_sweep.inside = 0;
    int through = io_sweep.failed == 0;
    sweep_lift(&io_sweep);
    if (through)
        sgtt_ok(status);
    else
        ck_assert(status == SGT_E_IO || status == SGT_E_NOT_FOUND); /* the source, not looked at */
    return through;
}

static const io_call kinds[] = {IO_OPEN, IO_WRITE, IO_FSYNC, IO_EXAMINE, IO_RENAME,
                                IO_REMOVE, IO_OPEN_FOLDER, IO_READ_FOLDER, IO_READ};

enum { KINDS = sizeof kinds / sizeof *kinds };

/* After a stopped export the next one leaves the new model alone. */
static void end_well(void)
{
    sgt_model *found = NULL;
    sgtt_ok(export_newer());
    ck_assert(!exists(INDEX) && !exists(SHARD) && !exists(OTHER));
    sgtt_ok(sgt_hf_load(&found, context, folder, NULL, NULL));
    ck_assert(same(found, newer));
    sgt_model_free(found);
}

/* The call alone, and with all of its kind after it. */
START_TEST(a_stopped_export_is_no_mixture)
{
    outcomes seen = {0};
    int kind = _i % KINDS, shards = _i / KINDS;
    for (int64_t most = 1;; most = INT64_MAX) {
        io_fault_now = (io_fault){kinds[kind], EIO, 0};
        int64_t at = 0;
        while (!export_with(at, most, shards)) {
            look_at_folder(&seen, at++);
            end_well();
        }
        ck_assert_int_gt(at, 0);
        look_at_folder(&seen, at);
        if (most == INT64_MAX)
            break;
    }
    ck_assert_int_ge(seen.newer, 2); /* those that nothing stopped */
    if (kinds[kind] == IO_RENAME)
        ck_assert_int_gt(seen.refused, 0);
    else
        ck_assert_int_gt(seen.older, 0);
}
END_TEST

/* What an export does before the names change leaves what was there, byte for byte. */
START_TEST(a_refused_config_leaves_the_folder)
{
    char config[SCRATCH_PATH], kept[SCRATCH_PATH], weights[SCRATCH_PATH];
    char kept_weights[SCRATCH_PATH], partial[SCRATCH_PATH];
    unsigned long bytes;
    sgtt_ok(sgt_hf_save(older, folder, NULL));
    scratch_path(config, "config.json");
    scratch_path(kept, "kept.json");
    scratch_path(weights, "model.safetensors");
    scratch_path(kept_weights, "kept.safetensors");
    unsigned char *data = scratch_read(config, &bytes);
    scratch_write(kept, data, bytes);
    free(data);
    data = scratch_read(weights, &bytes);
    scratch_write(kept_weights, data, bytes);
    free(data);
    scratch_path(partial, "config.json.partial");
    ck_assert_int_eq(symlink("/nowhere", partial), 0); /* the new one cannot be opened */
    sgtt_fails(export_newer(), SGT_E_IO, "config.json");
    ck_assert(scratch_equal(config, kept));
    ck_assert(scratch_equal(weights, kept_weights));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exports fail");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, a_stopped_export_is_no_mixture, 0, 2 * KINDS);
    tcase_add_test(cases, a_refused_config_leaves_the_folder);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
