/* SPDX-License-Identifier: BSD-3-Clause */
#include "block_patterns.h"

#include <stdlib.h>
#include <string.h>

#include "../base/error.h"
#include "../core/patterns.h"

json_t *sgti_patterns_text(const sgt_block_config *block)
{
    const int32_t count = block->n_patterns > 0 ? block->n_patterns : 1;
    char *text = malloc((size_t)count * SGTI_PATTERN_TEXT), *end = text;
    for (int32_t i = 0; i < count && text; i++) {
        const sgt_attention_pattern pattern = sgti_block_pattern_of(block, i);
        if (i > 0)
            *end++ = ',';
        sgti_pattern_print(end, &pattern);
        end += strlen(end);
    }
    json_t *value = text ? json_string(text) : NULL;
    free(text);
    return value;
}

int64_t sgti_patterns_count(const char *text)
{
    return !text || strcmp(text, "dense") == 0 ? 0 : sgti_pattern_list_count(text);
}

sgt_status sgti_patterns_read(sgti_block_list *list, int32_t i, const char *text, const char *where)
{
    const int32_t count = (int32_t)sgti_patterns_count(text);
    sgt_attention_pattern *patterns = sgti_blocks_take_room(list, i, count);
    if (count > 0 && sgti_pattern_list_read(patterns, text))
        return sgti_fail(SGT_E_FORMAT, "%s: %s", where, sgt_error_message());
    return SGT_OK;
}
