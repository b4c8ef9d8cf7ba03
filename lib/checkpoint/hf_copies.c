/* SPDX-License-Identifier: BSD-3-Clause */
/* A list of names, each of which becomes a .partial file, a stale file to remove, or nothing. */
#include "hf_copies.h"

#include <string.h>

#include "../base/error.h"
#include "../base/text.h"

static const char *const names[SGTI_HF_MOST_COPIES] = {
    "generation_config.json", "tokenizer.json",    "tokenizer.model",     "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json",          "vocab.txt",
    "merges.txt",             "chat_template.json", "chat_template.jinja",
};

enum { LONGEST_NAME = 32 };

static sgt_status copy_bytes(sgti_new_file *to, const sgti_file *from, void *block, uint64_t most)
{
    sgt_status status = SGT_OK;
    for (uint64_t done = 0; done < from->bytes && status == SGT_OK; done += most) {
        uint64_t n = from->bytes - done < most ? from->bytes - done : most;
        status = sgti_file_read(from, block, n, done);
        if (status == SGT_OK)
            status = sgti_new_file_write(to, block, n);
    }
    return status == SGT_OK ? sgti_new_file_synchronise(to) : status;
}

/* Copies one file into the .partial file of `to`, which may be the source itself: then it gets the
 * same bytes once more, under its old name. */
static sgt_status prepare(sgti_hf_copies *copies, int index, char *to, const char *from,
                          void *block, uint64_t bytes)
{
    sgti_file source = {0};
    sgt_status status = sgti_file_open(&source, from);
    if (status == SGT_E_NOT_FOUND) {
        copies->stale[index] = to;
        return SGT_OK;
    }
    if (status)
        return status;
    status = sgti_new_file_open(&copies->files[index], copies->memory, to);
    if (status == SGT_OK)
        status = copy_bytes(&copies->files[index], &source, block, bytes);
    sgti_file_close(&source);
    return status;
}

sgt_status sgti_hf_copies_prepare(sgti_hf_copies *copies, sgti_memory *memory, const char *folder,
                                  const char *from, void *block, uint64_t bytes)
{
    void *paths = NULL;
    uint64_t room = strlen(folder) + LONGEST_NAME, source_room = strlen(from) + LONGEST_NAME;
    if (sgti_kind_of_path(from) != SGTI_PATH_FOLDER)
        return sgti_fail(SGT_E_NOT_FOUND, "%.4000s: copy_from is no folder", from);
    sgt_status status = sgti_allocate_zeroed(&paths, memory, SGTI_HF_MOST_COPIES * room, 1,
                                             "the names of files");
    if (status)
        return status;
    *copies = (sgti_hf_copies){.memory = memory, .room = room, .paths = paths};
    status = sgti_allocate_zeroed(&paths, memory, source_room, 1, "the name of a file");
    if (status)
        return status;
    char *source = paths;
    for (int i = 0; i < SGTI_HF_MOST_COPIES && status == SGT_OK; i++) {
        char *to = copies->paths + (uint64_t)i * room;
        sgti_format(to, room, "%s/%s", folder, names[i]);
        sgti_format(source, source_room, "%s/%s", from, names[i]);
        status = prepare(copies, i, to, source, block, bytes);
    }
    sgti_release(memory, source, source_room);
    return status;
}

sgt_status sgti_hf_copies_commit(sgti_hf_copies *copies)
{
    sgt_status status = SGT_OK;
    for (int i = 0; i < SGTI_HF_MOST_COPIES && status == SGT_OK; i++) {
        if (copies->stale[i])
            status = sgti_file_remove(copies->stale[i]);
        else if (copies->files[i].path)
            status = sgti_new_file_commit(&copies->files[i]);
    }
    return status;
}

void sgti_hf_copies_close(sgti_hf_copies *copies)
{
    for (int i = 0; i < SGTI_HF_MOST_COPIES; i++)
        sgti_new_file_close(&copies->files[i]);
    if (copies->memory)
        sgti_release(copies->memory, copies->paths, SGTI_HF_MOST_COPIES * copies->room);
    *copies = (sgti_hf_copies){0};
}
