/* SPDX-License-Identifier: BSD-3-Clause */
#include "pairs.h"

#include "../base/error.h"
#include "parts/blocks.h"

static int tied_modules(const sgt_model_config *config, const sgt_block_config *block)
{
    (void)block;
    return config->tied && config->head_modules > 0;
}

static int softmax_without_output(const sgt_model_config *config, const sgt_block_config *block)
{
    (void)config;
    return block->attention == SGT_ATTENTION_SOFTMAX &&
           block->attention_output == SGT_ATTENTION_OUTPUT_NONE;
}

static int grouped_modules(const sgt_model_config *config, const sgt_block_config *block)
{
    return block->attention == SGT_ATTENTION_MULTIPLICATIVE &&
           config->n_kv_heads != config->n_heads;
}

static int partial_modules(const sgt_model_config *config, const sgt_block_config *block)
{
    return block->attention == SGT_ATTENTION_MULTIPLICATIVE &&
           (int64_t)config->n_heads * config->head_dim != config->d_model;
}

static const struct {
    int (*excluded)(const sgt_model_config *config, const sgt_block_config *block);
    const char *sentence;
} pairs[] = {
    {tied_modules, "head_modules and tied: a head of modules is not an embedding"},
    {softmax_without_output, "attention_output none and attention softmax: only heads that are "
                             "modules are as wide as the piece of the stream that they add to"},
    {grouped_modules, "attention multiplicative and an n_kv_heads other than n_heads: every module "
                      "makes its own keys and values"},
    {partial_modules, "attention multiplicative and a d_model other than n_heads * head_dim: the "
                      "modules are all of the stream"},
};

sgt_status sgti_pairs_check(const sgt_model_config *config)
{
    const int32_t kinds = config->n_blocks > 0 ? config->n_blocks : 1;
    for (int32_t i = 0; i < kinds; i++) {
        const sgt_block_config block = sgti_block_config_of(config, i);
        for (size_t j = 0; j < sizeof pairs / sizeof pairs[0]; j++) {
            if (pairs[j].excluded(config, &block))
                return sgti_fail(SGT_E_UNSUPPORTED, "these exclude each other: %s",
                                 pairs[j].sentence);
        }
    }
    return SGT_OK;
}
