/* SPDX-License-Identifier: BSD-3-Clause */
/* The blocks of a configuration in config.json: for each field of a block a list with an entry a
 * block, and where there are patterns a list of theirs. Those of kinds are there where some block
 * is no standard one, the others where some block has what the standard one has not. */
#ifndef SGTI_HF_BLOCKS_H
#define SGTI_HF_BLOCKS_H

#include "block_patterns.h"

/* The lists by their keys, to be released with json_decref. *lists becomes NULL where all blocks
 * are standard. Non-zero when memory is short. */
int sgti_hf_blocks_write(json_t **lists, const sgt_model_config *config);

/* Reads n_blocks and *blocks, none where `tree` has no lists; `path` names the file in messages.
 * Errors: SGT_E_FORMAT, SGT_E_VERSION (a kind or a word), SGT_E_OUT_OF_MEMORY,
 * SGT_E_MEMORY_LIMIT. */
sgt_status sgti_hf_blocks_read(sgti_block_list *blocks, int32_t *n_blocks, sgti_memory *memory,
                               const json_t *tree, const char *path);

#endif
