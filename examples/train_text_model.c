/* SPDX-License-Identifier: BSD-3-Clause */
#include "train_text_model.h"

enum { VOCABULARY = 256 };

static sgt_model_config config_of(const settings *o)
{
    sgt_model_config config;
    sgt_model_config_init(&config, sizeof config);
    config.vocab_size = VOCABULARY;
    config.d_model = (int32_t)o->d_model;
    config.n_layers = (int32_t)o->layers;
    config.n_heads = (int32_t)o->heads;
    config.n_kv_heads = (int32_t)o->kv_heads;
    config.d_ff = (int32_t)o->d_ff;
    config.max_seq_len = (int32_t)o->seq;
    config.altup_streams = (int32_t)o->altup_streams;
    config.head_modules = (int32_t)o->head_modules;
    config.n_blocks = o->n_blocks;
    config.blocks = o->blocks;
    return config;
}

int model_open(sgt_model **model, sgt_context *context, const settings *o)
{
    const sgt_model_config config = config_of(o);
    sgt_model_options options;
    sgt_model_init_options init;
    sgt_model_options_init(&options, sizeof options);
    options.seed = (uint64_t)o->seed;
    sgt_model_init_options_init(&init, sizeof init);
    init.seed = (uint64_t)o->seed;
    init.std = o->init_std;
    init.residual = (int32_t)o->init_residual;
    init.unit_scale = (int32_t)o->unit_scale;
    sgt_status status = sgt_model_create(model, context, &config, &options);
    if (status == SGT_OK)
        status = sgt_model_init_weights(*model, &init);
    if (status == SGT_OK && o->log)
        status = sgt_model_collect_entropy(*model, SGT_ENTROPY_LAST);
    return status == SGT_OK ? EXIT_DONE : call_failed("making the model", status);
}
