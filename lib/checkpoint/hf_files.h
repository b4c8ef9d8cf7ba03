/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tensors of a Hugging Face folder. They are those of model.safetensors; where there is no such
 * file, those that the weight_map of model.safetensors.index.json names, each in the file (shard)
 * that it names. What shards hold beside that, from an older model perhaps, is passed over.
 */
#ifndef SGTI_HF_FILES_H
#define SGTI_HF_FILES_H

#include "../format/safetensors.h"
#include "../model/parameters.h"

#define SGTI_HF_WEIGHTS "model.safetensors"
#define SGTI_HF_INDEX   "model.safetensors.index.json"

typedef struct sgti_hf_files {
    const char *folder;
    sgti_memory *memory;
    sgti_safetensors *list; /* [count] */
    int32_t count;
    json_t *index;   /* the tree of the index; NULL: there is one file without an index */
    json_t *map;     /* in that tree; leads from names of tensors to names of files */
    json_t *numbers; /* leads from names of files to their places in the list */
} sgti_hf_files;

/* Reads an index: *index becomes its tree, which the caller releases, and *map the weight_map in
 * it. SGT_E_NOT_FOUND: there is no such file. */
sgt_status sgti_hf_index_read(json_t **index, json_t **map, sgti_memory *memory, const char *path);

/* Opens all files, and checks that every tensor that the map names is in its file. Call close
 * also after a failure. */
sgt_status sgti_hf_files_open(sgti_hf_files *files, sgti_memory *memory, const char *folder);
void sgti_hf_files_close(sgti_hf_files *files);

/* Finds a tensor and its file; NULL when the folder has none of that name. */
const sgti_st_tensor *sgti_hf_files_find(const sgti_safetensors **file, const sgti_hf_files *files,
                                         const char *name);

/* SGT_E_UNSUPPORTED when the folder has a tensor that is none of these parameters: the model would
 * be another one without it. */
sgt_status sgti_hf_files_refuse_strangers(const sgti_hf_files *files,
                                          const sgti_parameters *parameters);

#endif
