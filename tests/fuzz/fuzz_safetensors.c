/* SPDX-License-Identifier: BSD-3-Clause */
/* A header of any bytes with as many bytes behind it as its first eight say, up to a page. */
#include <string.h>

#include "format/safetensors.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sgti_memory memory;
    char path[] = "fuzz"; /* closed by hand: it was not allocated */
    uint64_t behind = 0;
    if (size < 8 || sgti_memory_init(&memory, NULL, (uint64_t)1 << 28) != SGT_OK)
        return 0;
    memcpy(&behind, data, sizeof behind);
    sgti_safetensors file = {.memory = &memory, .path = path};
    if (sgti_safetensors_parse(&file, (const char *)data + 8, size - 8, behind) == SGT_OK) {
        uint64_t end = 0;
        for (uint64_t i = 0; i < file.count; i++) {
            if (file.tensors[i].begin != end)
                __builtin_trap();
            end = file.tensors[i].end;
            sgti_safetensors_find(&file, file.tensors[i].name);
        }
        if (end != behind)
            __builtin_trap();
    }
    file.path = NULL;
    sgti_safetensors_close(&file);
    if (memory.current != 0)
        __builtin_trap();
    sgti_memory_destroy(&memory);
    return 0;
}
