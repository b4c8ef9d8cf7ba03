/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saves a model as a Hugging Face folder. New weights must never lie under an old config.json, nor
 * beside old weights that a reader could take. So the exchange goes in this order:
 *
 *     1. all new files are written as NAME.partial and are on the disk
 *     2. the old config.json is removed
 *     3. the weights get their name
 *     4. other weights of an earlier save are removed (hf_leftovers.h)
 *     5. the copies get their names (hf_copies.h)
 *     6. config.json gets its name
 *
 * If this is stopped anywhere, what is left is the old folder, the new one, or one without
 * config.json, which nobody loads; the next save goes on from there.
 */
#include <sgt/huggingface.h>

#include "checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/text.h"
#include "../core/config_fields.h"
#include "../format/hf_config.h"
#include "hf_blocks.h"
#include "hf_copies.h"
#include "hf_leftovers.h"
#include "hf_windows.h"

#define SAVE_MINIMUM SGTI_SIZE_THROUGH(sgt_hf_save_options, reserved)

enum { PATH_BYTES = 4096 };

typedef struct export {
    const sgt_model *model;
    sgti_memory *memory;
    sgti_st_dtype dtype;
    const char *dtype_name;
    const char *copy_from; /* NULL: nothing is copied */
    void *block;
    int64_t written; /* how many tensors, for the progress callback */
    char *plan; /* hexadecimal digits; NULL: config.json gets no plan */
    uint64_t plan_room;
} export;

sgt_status sgt_hf_save_options_init(sgt_hf_save_options *options, size_t size)
{
    sgt_hf_save_options defaults = {.size = sizeof defaults, .dtype = SGT_F32};
    return sgti_struct_init(options, size, &defaults, sizeof defaults, SAVE_MINIMUM,
                            "sgt_hf_save_options");
}

static sgt_status choose_dtype(export *e, int32_t dtype)
{
    static const struct {
        int32_t dtype;
        sgti_st_dtype stored;
        const char *name;
    } rows[] = {{SGT_F32, SGTI_ST_F32, "float32"},
                {SGT_BF16, SGTI_ST_BF16, "bfloat16"},
                {SGT_F16, SGTI_ST_F16, "float16"}};
    for (int i = 0; i < 3; i++) {
        if (rows[i].dtype == dtype) {
            e->dtype = rows[i].stored;
            e->dtype_name = rows[i].name;
            return SGT_OK;
        }
    }
    return sgti_fail(SGT_E_INVALID_ARGUMENT, "dtype is %d, not SGT_F32, SGT_BF16 or SGT_F16",
                     (int)dtype);
}

static int has_loops(const sgt_plan *plan)
{
    for (int32_t i = 0; i < plan->n_layers; i++) {
        if (plan->layers[i].depth > 0 || plan->layers[i].extra_runs > 0)
            return 1;
    }
    return 0;
}

/* Makes hexadecimal digits of the bytes of the plan. */
static sgt_status print_plan(export *e)
{
    static const char digits[] = "0123456789abcdef";
    void *text = NULL, *data = NULL;
    size_t bytes = 0;
    sgt_status status = sgt_plan_save(NULL, &bytes, e->model->plan);
    if (status == SGT_OK)
        status = sgti_allocate_zeroed(&text, e->memory, 2 * (uint64_t)bytes + 1, 1, "a plan");
    if (status)
        return status;
    e->plan = text;
    e->plan_room = 2 * (uint64_t)bytes + 1;
    status = sgti_allocate_zeroed(&data, e->memory, bytes, 1, "the bytes of a plan");
    if (status)
        return status;
    size_t room = bytes;
    status = sgt_plan_save(data, &room, e->model->plan);
    for (size_t i = 0; i < bytes; i++) {
        uint8_t byte = ((uint8_t *)data)[i];
        e->plan[2 * i] = digits[byte >> 4];
        e->plan[2 * i + 1] = digits[byte & 15];
    }
    sgti_release(e->memory, data, bytes);
    return status;
}

static sgt_status put(void *user, sgti_st_writer *writer, const sgti_st_output *output)
{
    export *e = user;
    sgt_tensor weight = sgti_weight(e->model, output->index);
    sgt_status status = sgti_progress(e->model->context, SGT_PHASE_SAVE, e->written++,
                                      e->model->parameters.count);
    return status ? status : sgti_put_tensor(writer, e->model->dispatch, &weight, output, e->block);
}

static sgt_status prepare_weights(sgti_new_file *file, export *e, const char *path)
{
    const sgti_parameters *parameters = &e->model->parameters;
    void *memory = NULL;
    sgt_status status = sgti_allocate_zeroed(&memory, e->memory, (uint64_t)parameters->count,
                                             sizeof(sgti_st_output), "a table of tensors");
    if (status)
        return status;
    sgti_st_output *outputs = memory;
    for (int32_t i = 0; i < parameters->count; i++) {
        const sgti_parameter *p = &parameters->list[i];
        outputs[i] = (sgti_st_output){.dtype = e->dtype, .rank = p->rank, .index = i};
        sgti_format(outputs[i].name, sizeof outputs[i].name, "%s", p->name);
        for (int32_t j = 0; j < p->rank; j++)
            outputs[i].shape[j] = (uint64_t)p->shape[j];
    }
    json_t *metadata = json_pack("{s:s}", "format", "pt"); /* transformers refuses files without */
    if (!metadata)
        status = sgti_fail(SGT_E_OUT_OF_MEMORY, "%s: no memory for the header", path);
    if (status == SGT_OK)
        status = sgti_safetensors_prepare(file, path, e->memory, outputs,
                                          (uint64_t)parameters->count, metadata, 0, put, e);
    json_decref(metadata);
    sgti_release(e->memory, outputs, (uint64_t)parameters->count * sizeof *outputs);
    return status;
}

static sgt_status prepare_config(sgti_new_file *file, const export *e, const char *path)
{
    const sgt_model *model = e->model;
    json_t *blocks = NULL, *layer_types = NULL;
    sgti_hf_description of = {.model = &model->config, .tokens = &model->tokens,
                              .notes = &model->notes, .dtype = e->dtype_name, .plan = e->plan};
    char *text = NULL;
    int failed = 0;
    if (!e->plan && !sgti_config_tells_more(&model->config))
        failed = sgti_hf_windows_write(&of.window, &layer_types, &model->config);
    if (!failed && of.window == 0)
        failed = sgti_hf_blocks_write(&blocks, &model->config);
    of.blocks = blocks;
    of.layer_types = layer_types;
    if (!failed)
        text = sgti_hf_config_text(&of);
    json_decref(blocks);
    json_decref(layer_types);
    if (!text)
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "%s: no memory for its text", path);
    sgt_status status = sgti_new_file_open(file, e->memory, path);
    if (status == SGT_OK)
        status = sgti_new_file_write(file, text, strlen(text));
    free(text);
    return status;
}

/* Puts the new files in the place of the old ones, in the order that the head of this file
 * tells. */
static sgt_status exchange(sgti_new_file *weights, sgti_new_file *config, sgti_hf_copies *copies,
                           const sgti_hf_leftovers *leftovers)
{
    sgt_status status = sgti_new_file_synchronise(config);
    if (status == SGT_OK)
        status = sgti_new_file_synchronise(weights);
    if (status == SGT_OK)
        status = sgti_file_remove(config->path);
    if (status == SGT_OK)
        status = sgti_new_file_commit(weights);
    if (status == SGT_OK)
        status = sgti_hf_leftovers_remove(leftovers);
    if (status == SGT_OK)
        status = sgti_hf_copies_commit(copies);
    return status == SGT_OK ? sgti_new_file_commit(config) : status;
}

/* Prepares all files beside the old ones, and finds what an earlier save left; only then does
 * anything in the folder change. */
static sgt_status write_folder(export *e, const char *folder)
{
    char weights[PATH_BYTES], config[PATH_BYTES];
    sgti_new_file weights_file = {0}, config_file = {0};
    sgti_hf_leftovers leftovers = {0};
    sgti_hf_copies copies = {0};
    if (strlen(folder) + sizeof "/model.safetensors.partial" > PATH_BYTES)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%.200s...: the name is too long", folder);
    sgti_format(weights, sizeof weights, "%s/model.safetensors", folder);
    sgti_format(config, sizeof config, "%s/config.json", folder);
    sgti_path_kind kind = sgti_kind_of_path(folder);
    if (kind != SGTI_PATH_FOLDER)
        return sgti_fail(SGT_E_IO, "%.4000s: %s", folder,
                         kind == SGTI_PATH_FILE ? "is a file, not a folder"
                                                : "there is no such folder");
    sgt_status status = sgti_allocate_aligned(&e->block, e->memory, 64, SGTI_BLOCK_BYTES,
                                              "a block of a file");
    if (status == SGT_OK)
        status = prepare_config(&config_file, e, config);
    if (status == SGT_OK)
        status = prepare_weights(&weights_file, e, weights);
    if (status == SGT_OK && e->copy_from)
        status = sgti_hf_copies_prepare(&copies, e->memory, folder, e->copy_from, e->block,
                                        SGTI_BLOCK_BYTES);
    if (status == SGT_OK)
        status = sgti_hf_leftovers_find(&leftovers, e->memory, folder);
    if (status == SGT_OK)
        status = exchange(&weights_file, &config_file, &copies, &leftovers);
    sgti_hf_copies_close(&copies);
    sgti_hf_leftovers_free(&leftovers);
    sgti_new_file_close(&weights_file);
    sgti_new_file_close(&config_file);
    return status;
}

sgt_status sgt_hf_save(const sgt_model *model, const char *folder,
                       const sgt_hf_save_options *options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_hf_save_options own = {.size = sizeof own, .dtype = SGT_F32};
    export e = {.model = model};
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    e.memory = &model->context->memory;
    sgt_status status = sgti_check_path(folder, "folder");
    if (status == SGT_OK && options)
        status = sgti_struct_read(&own, sizeof own, options, SAVE_MINIMUM, "sgt_hf_save_options");
    if (status == SGT_OK)
        status = sgti_check_reserved(own.reserved, "sgt_hf_save_options");
    if (status == SGT_OK && own.without_loops >> 1)
        status = sgti_fail(SGT_E_INVALID_ARGUMENT, "without_loops is %d, not 0 or 1",
                           (int)own.without_loops);
    if (status == SGT_OK && own.copy_from)
        status = sgti_check_path(own.copy_from, "copy_from");
    e.copy_from = own.copy_from;
    if (status == SGT_OK)
        status = choose_dtype(&e, own.dtype);
    if (status == SGT_OK && !own.without_loops && has_loops(model->plan))
        status = print_plan(&e);
    if (status == SGT_OK)
        status = write_folder(&e, folder);
    sgti_release(e.memory, e.block, SGTI_BLOCK_BYTES);
    sgti_release(e.memory, e.plan, e.plan_room);
    return status;
}
