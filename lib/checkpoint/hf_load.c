/* SPDX-License-Identifier: BSD-3-Clause */
/* Loads a model from a Hugging Face folder. The configuration and the shapes of all tensors are
 * checked before the model is made. */
#include <sgt/huggingface.h>

#include "checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/text.h"
#include "../format/hf_config.h"
#include "../model/config.h"
#include "hf_blocks.h"
#include "hf_files.h"
#include "hf_windows.h"

#define LOAD_MINIMUM SGTI_SIZE_THROUGH(sgt_hf_load_options, tie_missing_head)

enum { PATH_BYTES = 4096 };

typedef struct folder {
    const char *path;
    sgt_context *context;
    sgti_memory *memory;
    sgti_hf_config config;
    sgti_block_list blocks; /* where the list of config.model lies */
    sgti_hf_files files;
} folder;

sgt_status sgt_hf_load_options_init(sgt_hf_load_options *options, size_t size)
{
    sgt_hf_load_options defaults = {.size = sizeof defaults};
    return sgti_struct_init(options, size, &defaults, sizeof defaults, LOAD_MINIMUM,
                            "sgt_hf_load_options");
}

/* Reads a small file of the folder whole; `path` gets its name. The caller releases *bytes + 1
 * bytes. */
static sgt_status read_text(char **text, uint64_t *bytes, char path[PATH_BYTES], const folder *f,
                            const char *name)
{
    if (strlen(f->path) + strlen(name) + 2 > PATH_BYTES)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%.200s...: the name is too long", f->path);
    sgti_format(path, PATH_BYTES, "%s/%s", f->path, name);
    return sgti_file_read_whole(text, bytes, f->memory, path, SGTI_HF_MOST_CONFIG);
}

static sgt_status no_config(const char *path)
{
    switch (sgti_kind_of_path(path)) {
    case SGTI_PATH_FOLDER:
        return sgti_fail(SGT_E_NOT_FOUND,
                         "%s: has no config.json: it holds no model, or one whose export was "
                         "interrupted", path);
    case SGTI_PATH_FILE:
        return sgti_fail(SGT_E_NOT_FOUND,
                         "%s: is a file: the folder with config.json and model.safetensors is "
                         "needed", path);
    default:
        return sgti_fail(SGT_E_NOT_FOUND,
                         "%s: there is no such folder (names of a hub are not fetched)", path);
    }
}

static sgt_status read_config(folder *f)
{
    char path[PATH_BYTES];
    char *text = NULL;
    uint64_t bytes = 0;
    sgt_status status = read_text(&text, &bytes, path, f, "config.json");
    if (status == SGT_E_NOT_FOUND)
        return no_config(f->path);
    if (status)
        return status;
    status = sgti_hf_config_parse(&f->config, text, bytes, path);
    sgti_release(f->memory, text, bytes + 1);
    int32_t *n_blocks = &f->config.model.n_blocks;
    if (status == SGT_OK && f->config.window > 0)
        status = sgti_hf_windows_read(&f->blocks, n_blocks, f->memory, &f->config);
    else if (status == SGT_OK)
        status = sgti_hf_blocks_read(&f->blocks, n_blocks, f->memory, f->config.tree, path);
    f->config.model.blocks = f->blocks.blocks;
    return status;
}

static int lacks_tokens(const sgt_special_tokens *tokens)
{
    return !tokens->has_bos || !tokens->has_pad || (tokens->n_eos == 0 && !tokens->eos_is_list);
}

/* Takes special tokens from generation_config.json: some folders have them only there. */
static sgt_status read_generation_config(folder *f)
{
    char path[PATH_BYTES];
    char *text = NULL;
    uint64_t bytes = 0;
    if (!lacks_tokens(&f->config.tokens))
        return SGT_OK;
    sgt_status status = read_text(&text, &bytes, path, f, "generation_config.json");
    if (status == SGT_E_NOT_FOUND)
        return SGT_OK;
    if (status)
        return status;
    status = sgti_hf_generation_parse(&f->config.tokens, text, bytes, path);
    sgti_release(f->memory, text, bytes + 1);
    return status;
}

/* ---- checks ---- */

/* Decides whether the head is tied. Where the folder has a head, the model has it, whatever
 * config.json says. Where config.json promises one that is not there, it may have been lost with a
 * file, and only the caller may say that the embedding takes its place. */
static sgt_status settle_head(folder *f, const sgt_hf_load_options *options)
{
    const sgti_safetensors *file;
    int32_t *tied = &f->config.model.tied;
    if (sgti_hf_files_find(&file, &f->files, "lm_head.weight")) {
        if (*tied)
            sgti_log(f->context, SGT_LOG_WARNING,
                     "%s: config.json says tie_word_embeddings true, but lm_head.weight is there: "
                     "the head is not tied", f->path);
        *tied = 0;
        return SGT_OK;
    }
    if (!*tied && !options->tie_missing_head)
        return sgti_fail(SGT_E_FORMAT,
                         "%s: tensor 'lm_head.weight' is missing, but config.json does not say "
                         "that the head is tied (tie_word_embeddings); see tie_missing_head",
                         f->path);
    *tied = 1;
    return SGT_OK;
}

/* Checks that the folder has every tensor of the model with the right shape, and no others. */
static sgt_status check_tensors(const folder *f, const sgt_model_config *config)
{
    sgti_parameters parameters = {0};
    sgt_status status = sgti_parameters_create(&parameters, f->memory, config);
    if (status)
        return status;
    for (int32_t i = 0; i < parameters.count && status == SGT_OK; i++) {
        const sgti_safetensors *file = NULL;
        const sgti_parameter *parameter = &parameters.list[i];
        const sgti_st_tensor *tensor = sgti_hf_files_find(&file, &f->files, parameter->name);
        if (!tensor)
            status = sgti_fail(SGT_E_FORMAT, "%s: tensor '%s' is missing", f->path,
                               parameter->name);
        if (status == SGT_OK)
            status = sgti_st_check_float(file, tensor);
        if (status == SGT_OK)
            status = sgti_check_shape(file, tensor, parameter->rank, parameter->shape);
    }
    if (status == SGT_OK)
        status = sgti_hf_files_refuse_strangers(&f->files, &parameters);
    sgti_parameters_destroy(&parameters, f->memory);
    return status;
}

/* ---- reading ---- */

static sgt_status read_weights(const folder *f, sgt_model *model)
{
    sgti_tensor_reader reader = {0};
    sgt_status status = sgti_tensor_reader_open(&reader, &f->files.list[0], model->dispatch, 1);
    for (int32_t i = 0; i < model->parameters.count && status == SGT_OK; i++) {
        const char *name = model->parameters.list[i].name;
        sgt_tensor weight = sgti_weight(model, i);
        sgti_hf_files_find(&reader.file, &f->files, name);
        status = sgti_progress(f->context, SGT_PHASE_LOAD, i, model->parameters.count);
        if (status == SGT_OK)
            status = sgti_get_tensor(&reader, name, &weight);
    }
    sgti_tensor_reader_close(&reader);
    sgti_model_touch_weights(model);
    return status;
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, c);
    return found ? (int)(found - digits) : -1;
}

static sgt_status read_digits(uint8_t *data, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return sgti_fail(SGT_E_FORMAT, "it is not hexadecimal");
        data[i] = (uint8_t)(16 * high + low);
    }
    return SGT_OK;
}

/* Gives the model the depth plan that config.json has as hexadecimal digits, if it has one. */
static sgt_status set_plan(const folder *f, sgt_model *model)
{
    void *data = NULL;
    sgt_plan *plan = NULL;
    const char *text = f->config.plan;
    if (!text)
        return SGT_OK;
    if (strlen(text) % 2 != 0)
        return sgti_fail(SGT_E_FORMAT, "%s: config.json: sgt_plan has an odd number of digits",
                         f->path);
    size_t bytes = strlen(text) / 2;
    sgt_status status = sgti_allocate_zeroed(&data, f->memory, bytes + 1, 1, "a depth plan");
    if (status)
        return status;
    status = read_digits(data, text, bytes);
    if (status == SGT_OK)
        status = sgt_plan_load(&plan, f->context, data, bytes);
    if (status == SGT_OK)
        status = sgt_model_set_plan(model, plan);
    sgt_plan_free(plan);
    sgti_release(f->memory, data, bytes + 1);
    if (status == SGT_E_INVALID_ARGUMENT)
        status = SGT_E_FORMAT;
    if (status == SGT_E_FORMAT || status == SGT_E_VERSION)
        return sgti_fail(status, "%.200s: config.json: sgt_plan: %s", f->path, sgt_error_message());
    return status;
}

/* Rotary positions go on beyond what a model was trained with, but it does not know them: so a
 * longer max_seq_len is allowed and warned of. */
static void settle_length(folder *f, const sgt_hf_load_options *options)
{
    int32_t *length = &f->config.model.max_seq_len;
    if (options->max_seq_len > *length)
        sgti_log(f->context, SGT_LOG_WARNING,
                 "%s: max_seq_len %d is beyond the %d positions that the model was made for",
                 f->path, (int)options->max_seq_len, (int)*length);
    if (options->max_seq_len > 0)
        *length = options->max_seq_len;
}

/* Reads all but the weights: which model it is, and that the files have its tensors. */
static sgt_status read_model(sgt_model_config *config, folder *f,
                             const sgt_hf_load_options *options)
{
    sgt_status status = read_config(f);
    if (status == SGT_OK)
        status = read_generation_config(f);
    if (status == SGT_OK)
        status = sgti_hf_files_open(&f->files, f->memory, f->path);
    if (status == SGT_OK)
        status = settle_head(f, options);
    if (status)
        return status;
    settle_length(f, options);
    status = sgti_config_resolve(config, &f->config.model);
    if (status)
        return sgti_fail(status, "%.200s: config.json: %s", f->path, sgt_error_message());
    return check_tensors(f, config);
}

static sgt_status load(sgt_model **model, folder *f, const sgt_model_options *model_options,
                       const sgt_hf_load_options *options)
{
    sgt_model *made = NULL;
    sgt_model_config resolved;
    sgt_status status = read_model(&resolved, f, options);
    if (status == SGT_OK)
        status = sgt_model_create(&made, f->context, &resolved, model_options);
    if (status == SGT_OK)
        status = read_weights(f, made);
    if (status == SGT_OK)
        status = set_plan(f, made);
    if (status) {
        sgt_model_free(made);
        return status;
    }
    made->tokens = f->config.tokens;
    made->notes = f->config.notes;
    *model = made;
    return SGT_OK;
}

sgt_status sgt_hf_load(sgt_model **model, sgt_context *context, const char *path,
                       const sgt_model_options *model_options, const sgt_hf_load_options *options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_hf_load_options own = {.size = sizeof own};
    if (!model || !context)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !model ? "model" : "context");
    sgt_status status = sgti_check_path(path, "path");
    if (status == SGT_OK && options)
        status = sgti_struct_read(&own, sizeof own, options, LOAD_MINIMUM, "sgt_hf_load_options");
    if (status)
        return status;
    if (own.max_seq_len < 0 || own.tie_missing_head >> 1)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "max_seq_len is %d, tie_missing_head is %d",
                         (int)own.max_seq_len, (int)own.tie_missing_head);
    folder f = {.path = path, .context = context, .memory = &context->memory};
    status = load(model, &f, model_options, &own);
    sgti_hf_files_close(&f.files);
    sgti_blocks_free(&f.blocks, f.memory);
    sgti_hf_config_close(&f.config);
    return status;
}
