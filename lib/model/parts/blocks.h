/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The blocks of a configuration. Its list may be a caller's, of an older or newer library: nobody
 * else looks into it. Without a list every block is the standard one.
 */
#ifndef SGTI_BLOCKS_H
#define SGTI_BLOCKS_H

#include "part.h"

/* What a layer is made of. */
typedef struct sgti_block {
    const sgti_part_kind *parts[SGTI_BLOCK_PARTS];
} sgti_block;

/* Of a configuration that was checked. */
sgti_block sgti_block_of(const sgt_model_config *config, int32_t layer);
sgt_block_config sgti_block_config_of(const sgt_model_config *config, int32_t layer);

/* The pattern of a key/value head. */
sgt_attention_pattern sgti_block_pattern_of(const sgt_block_config *block, int32_t kv_head);
/* 1 when some head does not see every earlier key. */
int sgti_block_has_patterns(const sgt_block_config *block);

/* 1 when a part of some layer draws. */
int sgti_blocks_draw(const sgt_model_config *config);

/* 1 when a resolved block has the parts of the standard one, whatever its patterns are. */
int sgti_block_has_standard_parts(const sgt_block_config *block);

/* 1 when every block is the standard one. Files have no list then. */
int sgti_blocks_are_standard(const sgt_model_config *config);

/* Checks the list, and asks every kind that is in it about the rest of the configuration, which is
 * resolved. Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE, SGT_E_OUT_OF_RANGE (the entry and
 * its field are named), and what a kind says. */
sgt_status sgti_blocks_check(const sgt_model_config *config);

/* Finds a kind by its name. Returns 1, and its number; 0: there is none. */
int sgti_find_kind(int32_t *number, enum sgti_block_part slot, const char *name);

/* A list of blocks of one's own, in one allocation. All 0: there is none. */
typedef struct sgti_block_list {
    sgt_block_config *blocks;    /* [n_blocks] of this library's size */
    sgt_attention_pattern *room; /* behind them: the next pattern that no block has yet */
    uint64_t bytes;
} sgti_block_list;

/* Makes a list of standard blocks, with room for n_patterns. */
sgt_status sgti_blocks_allocate(sgti_block_list *list, sgti_memory *memory, int32_t n_blocks,
                                int64_t n_patterns);
/* Gives block i `count` dense patterns of the room, and returns them. */
sgt_attention_pattern *sgti_blocks_take_room(sgti_block_list *list, int32_t i, int32_t count);
void sgti_blocks_free(sgti_block_list *list, sgti_memory *memory);

/* A list with the blocks of a configuration, and its bytes. */
sgt_status sgti_blocks_copy(sgti_block_list *list, sgti_memory *memory,
                            const sgt_model_config *config);
uint64_t sgti_blocks_bytes(const sgt_model_config *config);

#endif
