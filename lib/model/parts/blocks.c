/* SPDX-License-Identifier: BSD-3-Clause */
#include "blocks.h"

#include <string.h>

#include "../../base/error.h"
#include "../../base/float_mode.h"
#include "../../base/structs.h"
#include "../../core/config_fields.h"

#define BLOCK_MINIMUM SGTI_SIZE_THROUGH(sgt_block_config, reserved)

static const sgt_block_config standard = {.size = sizeof standard};

sgt_status sgt_block_config_init(sgt_block_config *block, size_t size)
{
    return sgti_struct_init(block, size, &standard, sizeof standard, BLOCK_MINIMUM,
                            "sgt_block_config");
}

/* Entries lie as far apart as the first one says, aligned or not. */
static uint32_t size_of(const char *entry)
{
    uint32_t size;
    memcpy(&size, entry, sizeof size);
    return size;
}

static const char *entry_of(const sgt_model_config *config, int32_t i)
{
    const char *first = (const char *)config->blocks;
    return first + (size_t)i * size_of(first);
}

sgt_block_config sgti_block_config_of(const sgt_model_config *config, int32_t layer)
{
    sgt_block_config own = standard;
    if (config->n_blocks > 0) {
        const char *entry = entry_of(config, layer % config->n_blocks);
        memcpy(&own, entry, size_of(entry) < sizeof own ? size_of(entry) : sizeof own);
        own.size = sizeof own;
    }
    return own;
}

sgti_block sgti_block_of(const sgt_model_config *config, int32_t layer)
{
    const sgt_block_config own = sgti_block_config_of(config, layer);
    sgti_block block;
    for (int i = 0; i < SGTI_BLOCK_PARTS; i++)
        block.parts[i] = sgti_part_kind_of((enum sgti_block_part)i,
                                           sgti_block_get(&own, &sgti_block_fields[i]));
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

int sgti_blocks_are_standard(const sgt_model_config *config)
{
    for (int32_t i = 0; i < config->n_blocks; i++) {
        const sgt_block_config own = sgti_block_config_of(config, i);
        for (int j = 0; j < SGTI_BLOCK_FIELDS; j++) {
            if (sgti_block_get(&own, &sgti_block_fields[j]) != 0)
                return 0;
        }
    }
    return 1;
}

/* ---- checking ---- */

static sgt_status check_entry(const sgt_model_config *config, int32_t i)
{
    sgt_block_config own = standard;
    const char *first = entry_of(config, 0), *entry = entry_of(config, i);
    if (size_of(entry) != size_of(first))
        return sgti_fail(SGT_E_STRUCT_SIZE,
                         "blocks[%d].size is %u, not %u as that of blocks[0] (sgt_block_config)",
                         (int)i, (unsigned)size_of(entry), (unsigned)size_of(first));
    sgt_status status =
        sgti_struct_read(&own, sizeof own, entry, BLOCK_MINIMUM, "sgt_block_config");
    return status ? status : sgti_check_reserved(own.reserved, "sgt_block_config");
}

static sgt_status check_parts(const sgt_model_config *config, int32_t i)
{
    const sgt_block_config own = sgti_block_config_of(config, i);
    for (int j = 0; j < SGTI_BLOCK_PARTS; j++) {
        const sgti_block_field *field = &sgti_block_fields[j];
        int32_t number = sgti_block_get(&own, field);
        const sgti_part_kind *kind = sgti_part_kind_of((enum sgti_block_part)j, number);
        if (!kind)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "blocks[%d].%s is %d, not an %s", (int)i,
                             field->name, (int)number, field->enum_name);
        sgt_status status = kind->check ? kind->check(config, &own) : SGT_OK;
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

uint64_t sgti_blocks_bytes(int32_t n_blocks)
{
    return (uint64_t)n_blocks * sizeof(sgt_block_config);
}

sgt_status sgti_blocks_allocate(sgt_block_config **list, sgti_memory *memory, int32_t n_blocks)
{
    void *fresh = NULL;
    sgt_status status = sgti_allocate_zeroed(&fresh, memory, (uint64_t)n_blocks,
                                             sizeof(sgt_block_config), "a list of blocks");
    if (status)
        return status;
    *list = fresh;
    for (int32_t i = 0; i < n_blocks; i++)
        (*list)[i] = standard;
    return SGT_OK;
}

sgt_status sgti_blocks_copy(sgt_block_config **list, sgti_memory *memory,
                            const sgt_model_config *config)
{
    sgt_status status = sgti_blocks_allocate(list, memory, config->n_blocks);
    for (int32_t i = 0; i < config->n_blocks && status == SGT_OK; i++)
        (*list)[i] = sgti_block_config_of(config, i);
    return status;
}
