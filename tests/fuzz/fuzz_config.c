/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a config.json; the blocks that it lists, or whose windows it tells, are those that
 * are written again. */
#include "checkpoint/checkpoint.h"
#include "checkpoint/hf_blocks.h"
#include "checkpoint/hf_windows.h"
#include "format/hf_config.h"

#include "fuzz.h"

enum { MOST_HEADS = 9 };

/* So that comparing takes no longer than reading did. */
static void keep_small(sgt_model_config *model)
{
    model->n_layers = model->n_blocks;
    model->n_kv_heads = MOST_HEADS;
}

static void check_blocks(sgti_hf_config *config, sgti_memory *memory)
{
    sgti_block_list blocks = {0}, again = {0};
    sgt_model_config *model = &config->model, second;
    json_t *lists = NULL;
    if (sgti_hf_blocks_read(&blocks, &model->n_blocks, memory, config->tree, "fuzz") != SGT_OK)
        return;
    model->blocks = blocks.blocks;
    keep_small(model);
    second = *model;
    if (sgti_hf_blocks_write(&lists, model) ||
        sgti_hf_blocks_read(&again, &second.n_blocks, memory, lists, "fuzz") != SGT_OK)
        __builtin_trap();
    second.blocks = again.blocks;
    if (sgti_config_compare(model, &second, "fuzz") != SGT_OK)
        __builtin_trap();
    json_decref(lists);
    sgti_blocks_free(&again, memory);
    sgti_blocks_free(&blocks, memory);
}

static void check_windows(const sgti_hf_config *config, sgti_memory *memory)
{
    sgti_block_list blocks = {0};
    sgt_model_config model = config->model;
    json_t *types = NULL;
    int32_t window = 0;
    if (config->layer_types && config->window < 1)
        __builtin_trap();
    if (!config->layer_types)
        model.n_layers = 1;
    if (config->window == 0 ||
        sgti_hf_windows_read(&blocks, &model.n_blocks, memory, config) != SGT_OK)
        return;
    model.blocks = blocks.blocks;
    if (sgti_hf_windows_write(&window, &types, &model) || window != config->window ||
        !types != !config->layer_types || (types && !json_equal(types, config->layer_types)))
        __builtin_trap();
    json_decref(types);
    sgti_blocks_free(&blocks, memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sgti_hf_config config;
    sgti_memory memory;
    if (sgti_hf_config_parse(&config, (const char *)data, size, "fuzz") != SGT_OK)
        return 0;
    if (config.model.vocab_size < 1 || !(config.model.rope_theta > 0.0))
        __builtin_trap();
    if (sgti_memory_init(&memory, NULL, 0) != SGT_OK)
        __builtin_trap();
    check_windows(&config, &memory);
    check_blocks(&config, &memory);
    sgti_memory_destroy(&memory);
    sgti_hf_config_close(&config);
    return 0;
}
