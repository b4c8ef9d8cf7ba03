/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies the files of a tokenizer, and generation_config.json, into the folder of an export. Copies
 * are whole and on the disk before anything in the folder changes, and get their names together
 * with the new weights. A file that the source does not have is removed where an earlier save left
 * one, since it would belong to another model.
 */
#ifndef SGTI_HF_COPIES_H
#define SGTI_HF_COPIES_H

#include "../base/files.h"

enum { SGTI_HF_MOST_COPIES = 11 };

typedef struct sgti_hf_copies {
    sgti_new_file files[SGTI_HF_MOST_COPIES];
    const char *stale[SGTI_HF_MOST_COPIES]; /* those of `paths` that the source does not have */
    char *paths;   /* [SGTI_HF_MOST_COPIES] of `room` bytes each */
    uint64_t room;
    sgti_memory *memory;
} sgti_hf_copies;

/* Copies from the folder `from` into .partial files in `folder`, which may be the same. `block` is
 * memory of `bytes` bytes to copy through. Call close also after a failure. Errors: SGT_E_NOT_FOUND
 * (no such source), SGT_E_IO, SGT_E_OUT_OF_MEMORY, SGT_E_MEMORY_LIMIT. */
sgt_status sgti_hf_copies_prepare(sgti_hf_copies *copies, sgti_memory *memory, const char *folder,
                                  const char *from, void *block, uint64_t bytes);

/* Gives the copies their names, and removes the stale files. */
sgt_status sgti_hf_copies_commit(sgti_hf_copies *copies);

/* Frees the copies, and removes those that have no name yet. *copies may be zeroed. */
void sgti_hf_copies_close(sgti_hf_copies *copies);

#endif
