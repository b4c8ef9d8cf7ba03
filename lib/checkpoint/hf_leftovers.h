/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finds and removes leftovers: what an earlier save left in a Hugging Face folder and readers could
 * take for the weights of the new one. They are
 *
 *     pytorch_model.bin
 *     files named like shards: model-00001-of-00002.safetensors, pytorch_model-00001-of-00002.bin
 *     files that model.safetensors.index.json or pytorch_model.bin.index.json name
 *     these two indexes
 *
 * Only files of the folder itself count, and only with the ending that weights have. Of a symbolic
 * link the link is removed, never what it leads to.
 */
#ifndef SGTI_HF_LEFTOVERS_H
#define SGTI_HF_LEFTOVERS_H

#include "../base/memory.h"

typedef struct sgti_hf_leftovers {
    char **paths; /* [count] malloc'd, the indexes last */
    size_t count;
    size_t room;
} sgti_hf_leftovers;

/* Lists the leftovers. Call free also after a failure. */
sgt_status sgti_hf_leftovers_find(sgti_hf_leftovers *leftovers, sgti_memory *memory,
                                  const char *folder);
void sgti_hf_leftovers_free(sgti_hf_leftovers *leftovers);

/* Removes them, for good. The indexes go last: if the removal is stopped half-way, the next save
 * can still read what they name. */
sgt_status sgti_hf_leftovers_remove(const sgti_hf_leftovers *leftovers);

#endif
