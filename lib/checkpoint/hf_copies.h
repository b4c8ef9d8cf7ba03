/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of a tokenizer and generation_config.json that are copied beside an export: whole and on
 * the disk before anything of the folder changes, under their names with the new weights. Where the
 * source has none, that of an earlier save is removed.
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

/* Gives them their names. */
sgt_status sgti_hf_copies_commit(sgti_hf_copies *copies);

/* Frees, and removes what has no name yet. Zeroed is fine. */
void sgti_hf_copies_close(sgti_hf_copies *copies);

#endif
