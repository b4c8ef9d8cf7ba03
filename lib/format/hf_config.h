/* SPDX-License-Identifier: BSD-3-Clause */
/* config.json of a LLaMA or Mistral folder: what it says about the model, and what of it is not
 * supported. */
#ifndef SGTI_HF_CONFIG_H
#define SGTI_HF_CONFIG_H

#include <sgt/model.h>

#include "hf_notes.h"
#include "json.h"

#define SGTI_HF_MOST_CONFIG (UINT64_C(1) << 20) /* bytes */

/* The words of layer_types. */
#define SGTI_HF_SLIDING "sliding_attention"
#define SGTI_HF_FULL    "full_attention"

typedef struct sgti_hf_config {
    json_t *tree;           /* what was read; the lists of blocks are left to the caller */
    sgt_model_config model; /* tied as the file says, without blocks */
    sgt_special_tokens tokens;
    sgti_hf_notes notes;
    const char *plan;       /* the depth plan in hexadecimal digits, in the tree; NULL: none */
    int32_t window;         /* keys that a sliding layer sees, its own among them; 0: none slides */
    const json_t *layer_types; /* [n_layers] SGTI_HF_SLIDING or _FULL, in the tree; NULL: with a
                                  window every layer slides */
} sgti_hf_config;

/* `path` names the file in messages. Errors: SGT_E_FORMAT, SGT_E_UNSUPPORTED,
 * SGT_E_OUT_OF_MEMORY. */
sgt_status sgti_hf_config_parse(sgti_hf_config *config, const char *text, uint64_t bytes,
                                const char *path);
void sgti_hf_config_close(sgti_hf_config *config);

/* Takes from a generation_config.json the special tokens that config.json does not tell. Errors as
 * above. */
sgt_status sgti_hf_generation_parse(sgt_special_tokens *tokens, const char *text, uint64_t bytes,
                                    const char *path);

/* What a config.json is written from. */
typedef struct sgti_hf_description {
    const sgt_model_config *model;
    const sgt_special_tokens *tokens;
    const sgti_hf_notes *notes;
    const char *dtype;
    const char *plan;     /* NULL: no loops */
    const json_t *blocks; /* lists by their keys; NULL: what follows says all of blocks */
    int32_t window;       /* as in sgti_hf_config. Without all of these, and without optional fields
                             of the model, it is a LlamaForCausalLM */
    const json_t *layer_types;
} sgti_hf_description;

/* Returns the text of a config.json, to be freed with free(); NULL when memory is short. */
char *sgti_hf_config_text(const sgti_hf_description *of);

/* Checks that a weight_map names files of its own folder only. */
sgt_status sgti_hf_check_shard(const char *shard, const char *path);

#endif
