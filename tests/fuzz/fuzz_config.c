/* SPDX-License-Identifier: BSD-3-Clause */
/* Any bytes as a config.json. */
#include "format/hf_config.h"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sgti_hf_config config;
    if (sgti_hf_config_parse(&config, (const char *)data, size, "fuzz") != SGT_OK)
        return 0;
    if (config.model.vocab_size < 1 || !(config.model.rope_theta > 0.0))
        __builtin_trap();
    sgti_hf_config_close(&config);
    return 0;
}
