/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "../base/error.h"
#include "../core/config_fields.h"
#include "pairs.h"
#include "parts/blocks.h"

static sgt_model_config default_config(void)
{
    sgt_model_config config = {.size = sizeof config};
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++)
        sgti_config_set(&config, &sgti_config_fields[i], sgti_config_fields[i].initial);
    return config;
}

sgt_status sgt_model_config_init(sgt_model_config *config, size_t size)
{
    const sgt_model_config defaults = default_config();
    return sgti_struct_init(config, size, &defaults, sizeof defaults, SGTI_CONFIG_MINIMUM,
                            "sgt_model_config");
}

static const sgt_model_options default_options = {.size = sizeof default_options};

sgt_status sgt_model_options_init(sgt_model_options *options, size_t size)
{
    return sgti_struct_init(options, size, &default_options, sizeof default_options,
                            SGTI_MODEL_OPTIONS_MINIMUM, "sgt_model_options");
}

sgt_status sgti_model_options_read(sgt_model_options *own, const sgt_model_options *caller)
{
    *own = default_options;
    if (!caller)
        return SGT_OK;
    sgt_status status = sgti_struct_read(own, sizeof *own, caller, SGTI_MODEL_OPTIONS_MINIMUM,
                                         "sgt_model_options");
    if (status == SGT_OK && own->recompute >> 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "recompute is %d, must be 0 or 1",
                         (int)own->recompute);
    return status;
}

static sgt_status check_fields(const sgt_model_config *config)
{
    sgt_status status = SGT_OK;
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS && status == SGT_OK; i++)
        status = sgti_config_check_field(config, &sgti_config_fields[i],
                                         sgti_config_fields[i].name);
    return status;
}

static sgt_status resolve_heads(sgt_model_config *config)
{
    if (config->n_kv_heads == 0)
        config->n_kv_heads = config->n_heads;
    if (config->n_heads % config->n_kv_heads != 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "n_kv_heads %d does not divide n_heads %d",
                         (int)config->n_kv_heads, (int)config->n_heads);
    if (config->head_dim == 0) {
        if (config->d_model % config->n_heads != 0)
            return sgti_fail(SGT_E_INVALID_ARGUMENT,
                             "d_model %d is not a multiple of n_heads %d and head_dim is not given",
                             (int)config->d_model, (int)config->n_heads);
        config->head_dim = config->d_model / config->n_heads;
    }
    return SGT_OK;
}

static sgt_status check_head(const sgt_model_config *config)
{
    if (config->head_modules > 0 && config->vocab_size % config->head_modules != 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "head_modules %d does not divide vocab_size %d",
                         (int)config->head_modules, (int)config->vocab_size);
    return SGT_OK;
}

/* With one stream there is nothing to say of streams. */
static void resolve_streams(sgt_model_config *config)
{
    if (config->altup_streams > 1)
        return;
    config->altup_streams = 1;
    config->altup_order = SGT_ALTUP_ALTERNATE;
    config->altup_table = SGT_ALTUP_RECYCLED;
}

int sgti_config_is_plain(const sgt_model_config *config)
{
    return sgti_blocks_are_standard(config) && !sgti_config_tells_more(config);
}

sgt_status sgti_config_resolve(sgt_model_config *resolved, const sgt_model_config *caller)
{
    if (!resolved || !caller)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "config is NULL");
    sgt_model_config config = default_config();
    sgt_status status =
        sgti_struct_read(&config, sizeof config, caller, SGTI_CONFIG_MINIMUM, "sgt_model_config");
    if (status == SGT_OK)
        status = sgti_check_reserved(config.reserved, "sgt_model_config");
    if (status == SGT_OK)
        status = check_fields(&config);
    if (status == SGT_OK)
        status = resolve_heads(&config);
    if (status == SGT_OK)
        status = check_head(&config);
    if (status == SGT_OK)
        status = sgti_blocks_check(&config);
    if (status == SGT_OK)
        status = sgti_pairs_check(&config);
    if (status)
        return status;
    resolve_streams(&config);
    if (config.n_blocks == 0)
        config.blocks = NULL;
    *resolved = config;
    return SGT_OK;
}
