/* SPDX-License-Identifier: BSD-3-Clause */
/* First the indexes are read, then each file of the folder is compared with what they name and with
 * the patterns of names. Nothing is removed while this goes on. */
#include "hf_leftovers.h"

#include <stdlib.h>
#include <string.h>

#include "../base/error.h"
#include "../base/files.h"
#include "../base/folders.h"
#include "hf_files.h"

/* A way in which other programs keep weights. */
typedef struct kind {
    const char *stem;
    const char *ending;
    const char *index;
    int whole_too; /* 1: the file STEM.ENDING is one too; 0: that is the name of the new weights */
} kind;

static const kind kinds[] = {
    {"model", ".safetensors", SGTI_HF_INDEX, 0},
    {"pytorch_model", ".bin", "pytorch_model.bin.index.json", 1},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

typedef struct search {
    sgti_hf_leftovers *found;
    sgti_memory *memory;
    const char *folder;
    json_t *named[KINDS]; /* objects whose keys are the files that the indexes name */
} search;

static int ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), tail = strlen(ending);
    return length > tail && strcmp(name + length - tail, ending) == 0;
}

/* 1 for a name such as model-00001-of-00002.safetensors. */
static int is_shard(const char *name, const kind *k)
{
    static const char pattern[] = "-ddddd-of-ddddd";
    const char *at = name + strlen(k->stem);
    if (strncmp(name, k->stem, strlen(k->stem)) != 0)
        return 0;
    for (size_t i = 0; pattern[i] != '\0'; i++, at++) {
        int fits = pattern[i] == 'd' ? *at >= '0' && *at <= '9' : *at == pattern[i];
        if (!fits)
            return 0;
    }
    return strcmp(at, k->ending) == 0;
}

static int is_whole(const char *name, const kind *k)
{
    size_t stem = strlen(k->stem);
    return strncmp(name, k->stem, stem) == 0 && strcmp(name + stem, k->ending) == 0;
}

static int is_weights(const search *s, const char *name, int which)
{
    const kind *k = &kinds[which];
    if (is_whole(name, k))
        return k->whole_too;
    if (!ends_with(name, k->ending))
        return 0;
    return is_shard(name, k) || json_object_get(s->named[which], name);
}

/* Reads which files an index names. A damaged index names none: no reader can go by it either. */
static sgt_status read_index(search *s, int which)
{
    char *path = NULL;
    const char *tensor;
    json_t *index = NULL, *map, *value;
    s->named[which] = json_object();
    if (!s->named[which])
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "no memory for a list of files");
    sgt_status status = sgti_folder_join(&path, s->folder, kinds[which].index);
    if (status)
        return status;
    status = sgti_hf_index_read(&index, &map, s->memory, path);
    free(path);
    if (status == SGT_E_NOT_FOUND || status == SGT_E_FORMAT)
        return SGT_OK;
    if (status)
        return status;
    json_object_foreach(map, tensor, value) {
        if (json_is_string(value) &&
            json_object_set_new(s->named[which], json_string_value(value), json_true()))
            status = sgti_fail(SGT_E_OUT_OF_MEMORY, "no memory for a list of files");
    }
    json_decref(index);
    return status;
}

static sgt_status append(search *s, const char *name)
{
    sgti_hf_leftovers *found = s->found;
    if (found->count == found->room) {
        size_t room = found->room > 0 ? 2 * found->room : 16;
        char **grown = realloc(found->paths, room * sizeof *grown);
        if (!grown)
            return sgti_fail(SGT_E_OUT_OF_MEMORY, "no memory for a list of files");
        found->paths = grown;
        found->room = room;
    }
    sgt_status status = sgti_folder_join(&found->paths[found->count], s->folder, name);
    found->count += status == SGT_OK;
    return status;
}

static sgt_status append_file(search *s, const char *name)
{
    int file = 0;
    sgt_status status = sgti_folder_has_file(&file, s->folder, name);
    return status == SGT_OK && file ? append(s, name) : status;
}

/* Lists the weights in the folder, and behind them the indexes. */
static sgt_status search_folder(search *s)
{
    DIR *opened = NULL;
    const char *name;
    sgt_status status = sgti_folder_open(&opened, s->folder);
    if (status)
        return status;
    while ((status = sgti_folder_next(&name, opened, s->folder)) == SGT_OK && name) {
        int weights = 0;
        for (int i = 0; i < KINDS; i++)
            weights |= is_weights(s, name, i);
        if (weights)
            status = append_file(s, name);
        if (status)
            break;
    }
    closedir(opened);
    for (int i = 0; i < KINDS && status == SGT_OK; i++)
        status = append_file(s, kinds[i].index);
    return status;
}

sgt_status sgti_hf_leftovers_find(sgti_hf_leftovers *leftovers, sgti_memory *memory,
                                  const char *folder)
{
    search s = {.found = leftovers, .memory = memory, .folder = folder};
    sgt_status status = SGT_OK;
    *leftovers = (sgti_hf_leftovers){0};
    for (int i = 0; i < KINDS && status == SGT_OK; i++)
        status = read_index(&s, i);
    if (status == SGT_OK)
        status = search_folder(&s);
    for (int i = 0; i < KINDS; i++)
        json_decref(s.named[i]);
    return status;
}

void sgti_hf_leftovers_free(sgti_hf_leftovers *leftovers)
{
    for (size_t i = 0; i < leftovers->count; i++)
        free(leftovers->paths[i]);
    free(leftovers->paths);
    *leftovers = (sgti_hf_leftovers){0};
}

sgt_status sgti_hf_leftovers_remove(const sgti_hf_leftovers *leftovers)
{
    sgt_status status = SGT_OK;
    for (size_t i = 0; i < leftovers->count && status == SGT_OK; i++)
        status = sgti_file_remove(leftovers->paths[i]);
    return status;
}
