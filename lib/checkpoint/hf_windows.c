/* SPDX-License-Identifier: BSD-3-Clause */
#include "hf_windows.h"

#include <string.h>

#include "../core/config_fields.h"
#include "../core/patterns.h"

/* ---- reading ---- */

static int slides(const sgti_hf_config *config, int32_t layer)
{
    const json_t *word = json_array_get(config->layer_types, (size_t)layer);
    return !word || strcmp(json_string_value(word), SGTI_HF_SLIDING) == 0;
}

/* How many blocks tell the kind of all layers when they go round. */
static int32_t count_blocks(const sgti_hf_config *config)
{
    int32_t count = 1;
    for (int32_t i = 1; config->layer_types && i < config->model.n_layers; i++) {
        if (slides(config, i) != slides(config, i % count))
            count = i + 1;
    }
    return count;
}

sgt_status sgti_hf_windows_read(sgti_block_list *blocks, int32_t *n_blocks, sgti_memory *memory,
                                const sgti_hf_config *config)
{
    sgti_block_list list = {0};
    const int32_t count = count_blocks(config);
    sgt_status status = sgti_blocks_allocate(&list, memory, count, count);
    if (status)
        return status;
    for (int32_t i = 0; i < count; i++) {
        if (slides(config, i)) {
            sgt_attention_pattern *pattern = sgti_blocks_take_room(&list, i, 1);
            pattern->sets = SGT_KEYS_LOCAL;
            pattern->stride = config->window;
        }
    }
    *n_blocks = count;
    *blocks = list;
    return SGT_OK;
}

/* ---- writing ---- */

/* How many keys the rows of a layer see: 0 for all, -1 where that is not how it can be said. */
static int32_t window_of(const sgt_model_config *config, int32_t layer)
{
    const sgt_block_config block = sgti_block_config_of(config, layer);
    int32_t window = 0;
    if (!sgti_block_has_standard_parts(&block))
        return -1;
    for (int32_t i = 0; i < block.n_patterns; i++) {
        const sgt_attention_pattern pattern = sgti_block_pattern_of(&block, i);
        const int dense = sgti_pattern_is_dense(&pattern);
        const int32_t own = dense ? 0 : pattern.sets == SGT_KEYS_LOCAL ? pattern.stride : -1;
        if (own < 0 || (i > 0 && own != window))
            return -1;
        window = own;
    }
    return window;
}

/* The one window of all layers that slide, 0 where there is none; *sliding: how many do. */
static int32_t one_window(int32_t *sliding, const sgt_model_config *config)
{
    int32_t window = 0;
    *sliding = 0;
    for (int32_t layer = 0; layer < config->n_layers; layer++) {
        const int32_t own = window_of(config, layer);
        if (own < 0 || (own > 0 && window > 0 && own != window))
            return 0;
        if (own > 0)
            window = own;
        *sliding += own > 0;
    }
    return window;
}

int sgti_hf_windows_write(int32_t *window, json_t **layer_types, const sgt_model_config *config)
{
    int failed = 0;
    int32_t sliding;
    *layer_types = NULL;
    *window = one_window(&sliding, config);
    if (*window == 0 || sliding == config->n_layers)
        return 0;
    *layer_types = json_array();
    for (int32_t layer = 0; layer < config->n_layers; layer++) {
        const int full = window_of(config, layer) == 0;
        failed |= json_array_append_new(*layer_types,
                                        json_string(full ? SGTI_HF_FULL : SGTI_HF_SLIDING));
    }
    return failed;
}
