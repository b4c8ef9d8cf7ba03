/* SPDX-License-Identifier: BSD-3-Clause */
#include "blocks.h"

#include <string.h>

#include "../../base/error.h"
#include "../../base/float_mode.h"
#include "../../base/structs.h"
#include "../../base/text.h"
#include "../../core/config_fields.h"
#include "../../core/patterns.h"

#define BLOCK_MINIMUM SGTI_SIZE_THROUGH(sgt_block_config, hard_fraction)

static sgt_block_config standard_block(void)
{
    sgt_block_config block = {.size = sizeof block};
    for (int i = 0; i < SGTI_BLOCK_FIELDS; i++)
        sgti_config_set(&block, &sgti_block_fields[i], sgti_block_fields[i].initial);
    return block;
}

sgt_status sgt_block_config_init(sgt_block_config *block, size_t size)
{
    const sgt_block_config standard = standard_block();
    return sgti_struct_init(block, size, &standard, sizeof standard, BLOCK_MINIMUM,
                            "sgt_block_config");
}

/* Entries of a caller's array lie as far apart as the first one says, aligned or not. */
static uint32_t size_of(const void *entry)
{
    uint32_t size;
    memcpy(&size, entry, sizeof size);
    return size;
}

static const char *entry_of(const void *first, int32_t i)
{
    return (const char *)first + (size_t)i * size_of(first);
}

/* Copies what is known here of an entry that was checked; *own keeps its size. */
static void copy_entry(void *own, const char *entry)
{
    const uint32_t known = size_of(own), size = size_of(entry);
    memcpy(own, entry, size < known ? size : known);
    memcpy(own, &known, sizeof known);
}

sgt_block_config sgti_block_config_of(const sgt_model_config *config, int32_t layer)
{
    sgt_block_config own = standard_block();
    if (config->n_blocks > 0)
        copy_entry(&own, entry_of(config->blocks, layer % config->n_blocks));
    sgti_block_resolve(&own);
    return own;
}

sgt_attention_pattern sgti_block_pattern_of(const sgt_block_config *block, int32_t kv_head)
{
    sgt_attention_pattern own = sgti_dense_pattern;
    if (block->n_patterns > 0)
        copy_entry(&own, entry_of(block->patterns, kv_head % block->n_patterns));
    return own;
}

int sgti_block_has_patterns(const sgt_block_config *block)
{
    for (int32_t i = 0; i < block->n_patterns; i++) {
        const sgt_attention_pattern pattern = sgti_block_pattern_of(block, i);
        if (!sgti_pattern_is_dense(&pattern))
            return 1;
    }
    return 0;
}

/* NULL: there is no such kind. */
static const sgti_part_kind *kind_of(const sgt_block_config *block, enum sgti_block_part slot)
{
    const sgti_part_kind *kind =
        sgti_part_kind_of(slot, (int32_t)sgti_config_get(block, &sgti_block_fields[slot]));
    return kind && kind->with_units && block->units > 0 ? kind->with_units : kind;
}

sgti_block sgti_block_of(const sgt_model_config *config, int32_t layer)
{
    const sgt_block_config own = sgti_block_config_of(config, layer);
    sgti_block block;
    for (int i = 0; i < SGTI_BLOCK_PARTS; i++)
        block.parts[i] = kind_of(&own, (enum sgti_block_part)i);
    return block;
}

int sgti_blocks_draw(const sgt_model_config *config)
{
    int draws = 0;
    for (int32_t layer = 0; layer < config->n_layers; layer++) {
        const sgti_block block = sgti_block_of(config, layer);
        for (int i = 0; i < SGTI_BLOCK_PARTS; i++)
            draws |= block.parts[i]->draws;
    }
    return draws;
}

int sgti_block_has_standard_parts(const sgt_block_config *block)
{
    for (int i = 0; i < SGTI_BLOCK_FIELDS; i++) {
        const sgti_config_field *field = &sgti_block_fields[i];
        if (sgti_config_get(block, field) != field->initial)
            return 0;
    }
    return 1;
}

int sgti_blocks_are_standard(const sgt_model_config *config)
{
    for (int32_t i = 0; i < config->n_blocks; i++) {
        const sgt_block_config own = sgti_block_config_of(config, i);
        if (!sgti_block_has_standard_parts(&own) || sgti_block_has_patterns(&own))
            return 0;
    }
    return 1;
}

/* ---- checking ---- */

/* Reads entry i of the caller's array `list` into *own, whose size says how much is known. */
static sgt_status read_entry(void *own, const void *first, int32_t i, size_t minimum,
                             const char *list, const char *type)
{
    const char *entry = entry_of(first, i);
    if (size_of(entry) != size_of(first))
        return sgti_fail(SGT_E_STRUCT_SIZE, "%s[%d].size is %u, not %u as that of %s[0] (%s)",
                         list, (int)i, (unsigned)size_of(entry), (unsigned)size_of(first), list,
                         type);
    return sgti_struct_read(own, size_of(own), entry, minimum, type);
}

static sgt_status check_pattern(const sgt_block_config *block, int32_t i, const char *list)
{
    char where[64];
    sgt_attention_pattern own = sgti_dense_pattern;
    sgti_format(where, sizeof where, "%s[%d]", list, (int)i);
    sgt_status status = read_entry(&own, block->patterns, i, SGTI_PATTERN_MINIMUM, list,
                                   "sgt_attention_pattern");
    return status ? status : sgti_pattern_check(&own, where);
}

static sgt_status check_patterns(const sgt_block_config *block, int32_t i, int32_t kv_heads)
{
    char list[48];
    sgt_status status = SGT_OK;
    if (block->n_patterns < 0 || block->n_patterns > kv_heads)
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "blocks[%d].n_patterns is %d, must be 0 to n_kv_heads = %d", (int)i,
                         (int)block->n_patterns, (int)kv_heads);
    if (block->n_patterns > 0 && !block->patterns)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "blocks[%d].patterns is NULL, but n_patterns is %d", (int)i,
                         (int)block->n_patterns);
    sgti_format(list, sizeof list, "blocks[%d].patterns", (int)i);
    for (int32_t p = 0; p < block->n_patterns && status == SGT_OK; p++)
        status = check_pattern(block, p, list);
    return status;
}

static sgt_status check_entry(const sgt_model_config *config, int32_t i)
{
    sgt_block_config own = standard_block();
    sgt_status status =
        read_entry(&own, config->blocks, i, BLOCK_MINIMUM, "blocks", "sgt_block_config");
    for (int j = SGTI_BLOCK_KINDS; j < SGTI_BLOCK_FIELDS && status == SGT_OK; j++) {
        char name[64];
        sgti_format(name, sizeof name, "blocks[%d].%s", (int)i, sgti_block_fields[j].name);
        status = sgti_config_check_field(&own, &sgti_block_fields[j], name);
    }
    return status ? status : check_patterns(&own, i, config->n_kv_heads);
}

static sgt_status check_parts(const sgt_model_config *config, int32_t i)
{
    const sgt_block_config own = sgti_block_config_of(config, i);
    for (int j = 0; j < SGTI_BLOCK_PARTS; j++) {
        static const char *const enums[] = {"sgt_attention_kind", "sgt_feed_forward_kind"};
        const sgti_config_field *field = &sgti_block_fields[j];
        const sgti_part_kind *kind = kind_of(&own, (enum sgti_block_part)j);
        if (!kind)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "blocks[%d].%s is %d, not an %s", (int)i,
                             field->name, (int)sgti_config_get(&own, field), enums[j]);
        sgt_status status = kind->check ? kind->check(config, &own) : SGT_OK;
        if (status && config->n_blocks > 0)
            return sgti_fail(status, "blocks[%d]: %s", (int)i, sgt_error_message());
        if (status)
            return status;
    }
    return SGT_OK;
}

sgt_status sgti_blocks_check(const sgt_model_config *config)
{
    sgt_status status = SGT_OK;
    if (config->n_blocks < 0 || config->n_blocks > config->n_layers)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "n_blocks is %d, must be 0 to n_layers = %d",
                         (int)config->n_blocks, (int)config->n_layers);
    if (config->n_blocks > 0 && !config->blocks)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "blocks is NULL, but n_blocks is %d",
                         (int)config->n_blocks);
    for (int32_t i = 0; i < config->n_blocks && status == SGT_OK; i++)
        status = check_entry(config, i);
    int32_t kinds = config->n_blocks > 0 ? config->n_blocks : 1;
    for (int32_t i = 0; i < kinds && status == SGT_OK; i++)
        status = check_parts(config, i);
    return status;
}

/* ---- names and copies ---- */

int sgti_find_kind(int32_t *number, enum sgti_block_part slot, const char *name)
{
    const sgti_part_kind *kind;
    for (int32_t i = 0; (kind = sgti_part_kind_of(slot, i)) != NULL; i++) {
        if (strcmp(kind->name, name) == 0) {
            *number = i;
            return 1;
        }
    }
    return 0;
}

static uint64_t bytes_of(int32_t n_blocks, int64_t n_patterns)
{
    return (uint64_t)n_blocks * sizeof(sgt_block_config) +
           (uint64_t)n_patterns * sizeof(sgt_attention_pattern);
}

static int64_t count_patterns(const sgt_model_config *config)
{
    int64_t count = 0;
    for (int32_t i = 0; i < config->n_blocks; i++)
        count += sgti_block_config_of(config, i).n_patterns;
    return count;
}

uint64_t sgti_blocks_bytes(const sgt_model_config *config)
{
    return bytes_of(config->n_blocks, count_patterns(config));
}

sgt_status sgti_blocks_allocate(sgti_block_list *list, sgti_memory *memory, int32_t n_blocks,
                                int64_t n_patterns)
{
    void *fresh = NULL;
    const uint64_t bytes = bytes_of(n_blocks, n_patterns);
    sgt_status status = sgti_allocate_zeroed(&fresh, memory, bytes, 1, "a list of blocks");
    if (status || n_blocks == 0)
        return status;
    *list = (sgti_block_list){.blocks = fresh, .bytes = bytes};
    list->room = (sgt_attention_pattern *)(void *)(list->blocks + n_blocks);
    for (int32_t i = 0; i < n_blocks; i++)
        list->blocks[i] = standard_block();
    return SGT_OK;
}

sgt_attention_pattern *sgti_blocks_take_room(sgti_block_list *list, int32_t i, int32_t count)
{
    sgt_attention_pattern *patterns = list->room;
    list->blocks[i].n_patterns = count;
    list->blocks[i].patterns = count > 0 ? patterns : NULL;
    for (int32_t p = 0; p < count; p++)
        patterns[p] = sgti_dense_pattern;
    list->room += count;
    return patterns;
}

void sgti_blocks_free(sgti_block_list *list, sgti_memory *memory)
{
    sgti_release(memory, list->blocks, list->bytes);
    *list = (sgti_block_list){0};
}

sgt_status sgti_blocks_copy(sgti_block_list *list, sgti_memory *memory,
                            const sgt_model_config *config)
{
    sgt_status status =
        sgti_blocks_allocate(list, memory, config->n_blocks, count_patterns(config));
    for (int32_t i = 0; i < config->n_blocks && status == SGT_OK; i++) {
        const sgt_block_config block = sgti_block_config_of(config, i);
        list->blocks[i] = block;
        sgt_attention_pattern *patterns = sgti_blocks_take_room(list, i, block.n_patterns);
        for (int32_t p = 0; p < block.n_patterns; p++)
            patterns[p] = sgti_block_pattern_of(&block, p);
    }
    return status;
}
