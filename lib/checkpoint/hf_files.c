/* SPDX-License-Identifier: BSD-3-Clause */
/* Every shard is opened once, when the first tensor of the map that lies in it is met; opening
 * checks its header. A JSON object leads from the shard's name to its place in the list. */
#include "hf_files.h"

#include <string.h>

#include "../base/error.h"
#include "../base/text.h"
#include "../format/hf_config.h"

enum { MOST_FILES = 1024, PATH_BYTES = 4096, INDEX_DEPTH = 2 };

#define MOST_INDEX_BYTES (UINT64_C(1) << 26)

sgt_status sgti_hf_index_read(json_t **index, json_t **map, sgti_memory *memory, const char *path)
{
    static const sgti_json_wanted wanted[] = {{.key = "weight_map"}, {.key = NULL}};
    char *text = NULL;
    uint64_t bytes = 0;
    json_t *tree = NULL;
    sgt_status status = sgti_file_read_whole(&text, &bytes, memory, path, MOST_INDEX_BYTES);
    if (status)
        return status;
    status = sgti_json_parse(&tree, text, bytes, wanted, INDEX_DEPTH, path);
    sgti_release(memory, text, bytes + 1);
    if (status)
        return status;
    json_t *found = json_object_get(tree, "weight_map");
    if (!json_is_object(found)) {
        json_decref(tree);
        return sgti_fail(SGT_E_FORMAT, "%s: weight_map is not an object", path);
    }
    *index = tree;
    *map = found;
    return SGT_OK;
}

/* ---- opening ---- */

static sgt_status name_file(char path[PATH_BYTES], const sgti_hf_files *files, const char *name)
{
    if (strlen(files->folder) + strlen(name) + 2 > PATH_BYTES)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%.200s...: the name is too long", files->folder);
    sgti_format(path, PATH_BYTES, "%s/%s", files->folder, name);
    return SGT_OK;
}

static sgt_status open_file(sgti_hf_files *files, const char *name)
{
    char path[PATH_BYTES];
    sgt_status status = name_file(path, files, name);
    if (status == SGT_OK)
        status = sgti_safetensors_open(&files->list[files->count], files->memory, path);
    if (status == SGT_OK)
        files->count++;
    return status;
}

/* Finds the file that the map names for a tensor. Opens it when this is its first tensor. */
static sgt_status open_shard(const sgti_safetensors **file, sgti_hf_files *files,
                             const char *shard, const char *path)
{
    sgt_status status = sgti_hf_check_shard(shard, path);
    if (status)
        return status;
    const json_t *number = json_object_get(files->numbers, shard);
    if (number) {
        *file = &files->list[json_integer_value(number)];
        return SGT_OK;
    }
    if (files->count == MOST_FILES)
        return sgti_fail(SGT_E_FORMAT, "%s: more than %d files", path, MOST_FILES);
    *file = &files->list[files->count];
    if (json_object_set_new(files->numbers, shard, json_integer(files->count)))
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "%s: no memory for a list of its files", path);
    return open_file(files, shard);
}

static sgt_status open_all(sgti_hf_files *files, const char *path)
{
    const char *name;
    json_t *value;
    files->numbers = json_object();
    if (!files->numbers)
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "%s: no memory for a list of its files", path);
    json_object_foreach(files->map, name, value) {
        const sgti_safetensors *file = NULL;
        sgt_status status = open_shard(&file, files, json_string_value(value), path);
        if (status)
            return status;
        if (!sgti_safetensors_find(file, name))
            return sgti_fail(SGT_E_FORMAT, "%s: tensor '%.120s' is missing: the index says that it "
                                           "is there", file->path, name);
    }
    if (files->count == 0)
        return sgti_fail(SGT_E_FORMAT, "%s: weight_map is empty", path);
    return SGT_OK;
}

static sgt_status open_index(sgti_hf_files *files)
{
    char path[PATH_BYTES];
    sgt_status status = name_file(path, files, SGTI_HF_INDEX);
    if (status == SGT_OK)
        status = sgti_hf_index_read(&files->index, &files->map, files->memory, path);
    if (status == SGT_E_NOT_FOUND)
        return sgti_fail(status, "%s: has neither " SGTI_HF_WEIGHTS " nor an index of shards",
                         files->folder);
    return status ? status : open_all(files, path);
}

sgt_status sgti_hf_files_open(sgti_hf_files *files, sgti_memory *memory, const char *folder)
{
    void *list = NULL;
    *files = (sgti_hf_files){.folder = folder, .memory = memory};
    sgt_status status = sgti_allocate_zeroed(&list, memory, MOST_FILES, sizeof *files->list,
                                             "the files of a model");
    if (status)
        return status;
    files->list = list;
    status = open_file(files, SGTI_HF_WEIGHTS);
    return status == SGT_E_NOT_FOUND ? open_index(files) : status;
}

void sgti_hf_files_close(sgti_hf_files *files)
{
    for (int32_t i = 0; i < files->count; i++)
        sgti_safetensors_close(&files->list[i]);
    if (files->memory)
        sgti_release(files->memory, files->list, MOST_FILES * sizeof *files->list);
    json_decref(files->numbers);
    json_decref(files->index);
    *files = (sgti_hf_files){0};
}

/* ---- finding ---- */

const sgti_st_tensor *sgti_hf_files_find(const sgti_safetensors **file, const sgti_hf_files *files,
                                         const char *name)
{
    const sgti_safetensors *of_name = &files->list[0];
    if (files->map) {
        const char *shard = json_string_value(json_object_get(files->map, name));
        if (!shard)
            return NULL;
        of_name = &files->list[json_integer_value(json_object_get(files->numbers, shard))];
    }
    *file = of_name;
    return sgti_safetensors_find(of_name, name);
}

static sgt_status refuse_stranger(const char *name, const char *path,
                                  const sgti_parameters *parameters)
{
    /* Older files carry the frequencies of the rotary positions, which follow from the config. */
    static const char frequencies[] = ".rotary_emb.inv_freq";
    size_t length = strlen(name), tail = sizeof frequencies - 1;
    if (length >= tail && strcmp(name + length - tail, frequencies) == 0)
        return SGT_OK;
    if (sgti_parameters_find(parameters, name) >= 0)
        return SGT_OK;
    return sgti_fail(SGT_E_UNSUPPORTED, "%s: tensor '%.120s' is of no part that this model has",
                     path, name);
}

sgt_status sgti_hf_files_refuse_strangers(const sgti_hf_files *files,
                                          const sgti_parameters *parameters)
{
    const char *name;
    json_t *value;
    sgt_status status = SGT_OK;
    if (files->map) {
        json_object_foreach(files->map, name, value) {
            const sgti_safetensors *file = NULL;
            sgti_hf_files_find(&file, files, name);
            status = refuse_stranger(name, file->path, parameters);
            if (status)
                return status;
        }
        return SGT_OK;
    }
    for (uint64_t i = 0; i < files->list[0].count && status == SGT_OK; i++)
        status = refuse_stranger(files->list[0].tensors[i].name, files->list[0].path, parameters);
    return status;
}
