/* SPDX-License-Identifier: BSD-3-Clause */
/* Structs of older and newer callers in the calls of checkpoint.h and huggingface.h. */
#include <stdio.h>
#include <sys/stat.h>

#include <sgt/checkpoint.h>
#include <sgt/huggingface.h>

#include "fixtures.h"
#include "scratch.h"
#include "struct_versions.h"

static sgt_context *context;
static sgt_model *model;
static sgt_optimizer *optimizer;
static sgt_checkpoint *checkpoint;
static char saved[SCRATCH_PATH], file[SCRATCH_PATH], folder[SCRATCH_PATH];

static sgt_checkpoint_save_options a_save;
static sgt_checkpoint_load_options a_load;
static const sgt_model_options a_model = {.size = sizeof a_model, .recompute = 1};
static sgt_hf_load_options a_folder_load;
static sgt_hf_save_options a_folder_save;

static void setup(void)
{
    sgt_model_config config = sgtt_config();
    scratch_path(saved, "saved.safetensors");
    scratch_path(file, "file.safetensors");
    scratch_path(folder, "folder");
    mkdir(folder, 0700);
    context = sgtt_model_context();
    model = sgtt_model(context, &config, 1);
    sgtt_ok(sgt_optimizer_create(&optimizer, model, NULL));
    sgtt_ok(sgt_checkpoint_save_options_init(&a_save, sizeof a_save));
    a_save.optimizer = optimizer;
    sgtt_ok(sgt_checkpoint_save(model, saved, &a_save));
    sgtt_ok(sgt_checkpoint_open(&checkpoint, context, saved));
    sgtt_ok(sgt_checkpoint_load_options_init(&a_load, sizeof a_load));
    sgtt_ok(sgt_hf_load_options_init(&a_folder_load, sizeof a_folder_load));
    a_folder_load.max_seq_len = 11;
    sgtt_ok(sgt_hf_save_options_init(&a_folder_save, sizeof a_folder_save));
    sgtt_ok(sgt_hf_save(model, folder, NULL));
}

static void teardown(void)
{
    sgt_checkpoint_free(checkpoint);
    sgt_optimizer_free(optimizer);
    sgt_model_free(model);
    sgt_context_free(context);
    scratch_remove();
}

/* ---- structs that a call reads ---- */

/* A refused save leaves no file. */
static sgt_status with_save_options(void *input)
{
    struct stat about;
    remove(file);
    sgt_status status = sgt_checkpoint_save(model, file, input);
    ck_assert_int_eq(stat(file, &about) == 0, status == SGT_OK);
    if (status == SGT_OK)
        ck_assert(scratch_equal(file, saved));
    return status;
}

static sgt_status with_load_options(void *input)
{
    return sgt_checkpoint_load(model, optimizer, NULL, checkpoint, input);
}

static sgt_status with_create_options(void *input)
{
    sgt_model *made = NULL;
    sgt_optimizer *updater = NULL;
    sgt_status status = sgt_checkpoint_create(&made, &updater, NULL, checkpoint, NULL, NULL, input);
    ck_assert_int_eq(made != NULL && updater != NULL, status == SGT_OK);
    sgt_optimizer_free(updater);
    sgt_model_free(made);
    return status;
}

static sgt_status with_created_options(void *input)
{
    sgt_model *made = NULL;
    sgt_status status = sgt_checkpoint_create(&made, NULL, NULL, checkpoint, NULL, input, NULL);
    ck_assert_int_eq(made != NULL, status == SGT_OK);
    sgt_model_free(made);
    return status;
}

static sgt_status with_folder_model_options(void *input)
{
    sgt_model *made = NULL;
    sgt_status status = sgt_hf_load(&made, context, folder, input, NULL);
    sgt_model_options kept = {.size = sizeof kept};
    if (status)
        return status;
    sgtt_ok(sgt_model_get_options(&kept, made));
    ck_assert_int_eq(kept.recompute, 1);
    sgt_model_free(made);
    return SGT_OK;
}

static sgt_status with_folder_load_options(void *input)
{
    sgt_model *made = NULL;
    sgt_status status = sgt_hf_load(&made, context, folder, NULL, input);
    if (status)
        return status;
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_model_get_config(&config, made));
    ck_assert_int_eq(config.max_seq_len, 11);
    sgt_model_free(made);
    return SGT_OK;
}

static sgt_status with_folder_save_options(void *input)
{
    return sgt_hf_save(model, folder, input);
}

static const struct_input inputs[] = {
    INPUT(sgt_checkpoint_save, sgt_checkpoint_save_options, with_save_options, &a_save),
    INPUT(sgt_checkpoint_load, sgt_checkpoint_load_options, with_load_options, &a_load),
    INPUT(sgt_checkpoint_create, sgt_checkpoint_load_options, with_create_options, &a_load),
    INPUT(sgt_checkpoint_create, sgt_model_options, with_created_options, &a_model),
    INPUT(sgt_hf_load, sgt_model_options, with_folder_model_options, &a_model),
    INPUT(sgt_hf_load, sgt_hf_load_options, with_folder_load_options, &a_folder_load),
    INPUT(sgt_hf_save, sgt_hf_save_options, with_folder_save_options, &a_folder_save),
};

/* ---- structs that a call fills ---- */

static sgt_status fill_info(void *output)
{
    return sgt_checkpoint_get_info(output, checkpoint);
}

static sgt_status fill_config(void *output)
{
    return sgt_checkpoint_get_config(output, checkpoint);
}

static sgt_status fill_optimizer_options(void *output)
{
    return sgt_checkpoint_get_optimizer_options(output, checkpoint);
}

static const struct_output outputs[] = {
    OUTPUT(sgt_checkpoint_get_info, sgt_checkpoint_info, fill_info, 1),
    OUTPUT(sgt_checkpoint_get_config, sgt_model_config, fill_config, 1),
    OUTPUT(sgt_checkpoint_get_optimizer_options, sgt_optimizer_options, fill_optimizer_options, 1),
};

/* ---- the functions that fill in defaults ---- */

INIT_CALL(sgt_checkpoint_save_options_init, sgt_checkpoint_save_options)
INIT_CALL(sgt_checkpoint_load_options_init, sgt_checkpoint_load_options)
INIT_CALL(sgt_hf_load_options_init, sgt_hf_load_options)
INIT_CALL(sgt_hf_save_options_init, sgt_hf_save_options)

static const struct_init inits[] = {
    INIT(sgt_checkpoint_save_options_init, sgt_checkpoint_save_options),
    INIT(sgt_checkpoint_load_options_init, sgt_checkpoint_load_options),
    INIT(sgt_hf_load_options_init, sgt_hf_load_options),
    INIT(sgt_hf_save_options_init, sgt_hf_save_options),
};

int main(void)
{
    Suite *suite =
        struct_suite("structs of other versions: files", STRUCT_TABLES, setup, teardown);
    return sgtt_run(suite);
}
