/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as the metadata of a checkpoint: what is accepted must be what is written again. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/checkpoint.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *metadata = NULL, *again = NULL;
    sgti_numbers numbers, second;
    if (sgti_json_parse(&metadata, (const char *)data, size, NULL, 1, "fuzz") != SGT_OK)
        return 0;
    char path[] = "fuzz";
    sgti_memory memory;
    if (sgti_memory_init(&memory, NULL, 0) != SGT_OK)
        __builtin_trap();
    sgti_safetensors file = {.memory = &memory, .path = path, .metadata = metadata};
    if (sgti_numbers_read(&numbers, &file) == SGT_OK) {
        again = json_object();
        if (again == NULL || sgti_numbers_write(again, &numbers))
            __builtin_trap();
        file.metadata = again;
        if (sgti_numbers_read(&second, &file) != SGT_OK ||
            sgti_config_compare(&numbers.config, &second.config, path) != SGT_OK)
            __builtin_trap();
        sgti_numbers_release(&second, &memory);
        sgti_numbers_release(&numbers, &memory);
    }
    sgti_memory_destroy(&memory);
    json_decref(again);
    json_decref(metadata);
    return 0;
}
