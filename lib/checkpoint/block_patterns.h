/* SPDX-License-Identifier: BSD-3-Clause */
/* The patterns of blocks as files have them: texts such as local:256,dense. */
#ifndef SGTI_BLOCK_PATTERNS_H
#define SGTI_BLOCK_PATTERNS_H

#include "../format/json.h"
#include "../model/parts/blocks.h"

/* The text of a block's patterns; "dense" where it has none. NULL when memory is short. */
json_t *sgti_patterns_text(const sgt_block_config *block);

/* How many patterns sgti_patterns_read takes room for: none for "dense", or for NULL. */
int64_t sgti_patterns_count(const char *text);

/* Reads the patterns of block i; `where` opens the message. Errors: SGT_E_FORMAT. */
sgt_status sgti_patterns_read(sgti_block_list *list, int32_t i, const char *text,
                              const char *where);

#endif
