/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sliding windows of config.json and attention patterns. A layer that slides over W keys sees those
 * with i - j < W, which is LOCAL with stride W; transformers masks the same pairs. A model is
 * written with a window when its blocks are standard but for their patterns, and each of these is
 * dense or LOCAL, all with one stride.
 */
#ifndef SGTI_HF_WINDOWS_H
#define SGTI_HF_WINDOWS_H

#include "../format/hf_config.h"
#include "../model/parts/blocks.h"

/* Makes the blocks of a config.json that has a window. Errors: SGT_E_OUT_OF_MEMORY,
 * SGT_E_MEMORY_LIMIT. */
sgt_status sgti_hf_windows_read(sgti_block_list *blocks, int32_t *n_blocks, sgti_memory *memory,
                                const sgti_hf_config *config);

/* Sets *window, 0 where a window does not tell what the blocks are or where none slides, and
 * *layer_types, to be released with json_decref; NULL: all layers slide. Non-zero when memory is
 * short. */
int sgti_hf_windows_write(int32_t *window, json_t **layer_types, const sgt_model_config *config);

#endif
