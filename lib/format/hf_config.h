/* SPDX-License-Identifier: BSD-3-Clause */
/* config.json of a LLaMA folder: what it says about the model, and what of it is not supported. */
#ifndef SGTI_HF_CONFIG_H
#define SGTI_HF_CONFIG_H

#include <sgt/model.h>

#include "json.h"

#define SGTI_HF_MOST_CONFIG (UINT64_C(1) << 20) /* bytes */

typedef struct sgti_hf_config {
    json_t *tree;
    sgt_model_config model; /* tied as the file says */
    const char *plan;       /* the depth plan in hexadecimal digits, in the tree; NULL: none */
} sgti_hf_config;

/* `path` names the file in messages. Errors: SGT_E_FORMAT, SGT_E_UNSUPPORTED,
 * SGT_E_OUT_OF_MEMORY. */
sgt_status sgti_hf_config_parse(sgti_hf_config *config, const char *text, uint64_t bytes,
                                const char *path);
void sgti_hf_config_close(sgti_hf_config *config);

/* The text of a config.json, free() it; NULL: out of memory. plan NULL: a LlamaForCausalLM. */
char *sgti_hf_config_text(const sgt_model_config *model, const char *dtype, const char *plan);

/* Checks that a weight_map names files of its own folder only. */
sgt_status sgti_hf_check_shard(const char *shard, const char *path);

#endif
