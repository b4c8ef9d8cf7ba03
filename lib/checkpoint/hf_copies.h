/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Copies of the files of a tokenizer, and of generation_config.json, beside an export. They are
 * whole and on the disk before anything in the folder changes, and get their names together with
 * the new weights. A file that the source does not have is removed when an earlier save left one.
 */
#ifndef SGTI_HF_COPIES_H
#define SGTI_HF_COPIES_H

#include "../base/files.h"

enum { SGTI_HF_MOST_COPIES = 11 };

typedef struct sgti_hf_copies {
    sgti_new_file files[SGTI_HF_MOST_COPIES];
    const char *stale[SGTI_HF_MOST_COPIES]; /* of `paths`: what the source has not */
    char *paths;   /* [SGTI_HF_MOST_COPIES] of `room` bytes each */
    uint64_t room;
    sgti_memory *memory;
} sgti_hf_copies;

/* Copies from a folder into the .partial files of another, or of the same. `block` has `bytes`.
 * Errors: SGT_E_NOT_FOUND (no such source), SGT_E_IO, memory. */
sgt_status sgti_hf_copies_prepare(sgti_hf_copies *copies, sgti_memory *memory, const char *folder,
                                  const char *from, void *block, uint64_t bytes);

/* Gives the copies their names. */
sgt_status sgti_hf_copies_commit(sgti_hf_copies *copies);

/* Frees the copies, and removes those that have no name yet. A zeroed struct is fine. */
void sgti_hf_copies_close(sgti_hf_copies *copies);

#endif
