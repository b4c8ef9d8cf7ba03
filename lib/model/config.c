/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "../base/error.h"
#include "../base/float32.h"
#include "../base/text.h"

static const sgt_model_config defaults = {
    .size = sizeof(sgt_model_config),
    .rope_theta = 10000.0,
    .norm_eps = 1e-6,
};

sgt_status sgt_model_config_init(sgt_model_config *config, size_t size)
{
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

/* Bounds that keep every product of two sizes within 63 bits. */
static sgt_status check_sizes(const sgt_model_config *config)
{
    const struct {
        const char *name;
        int32_t value;
        int32_t least;
        int32_t most;
    } fields[] = {
        {"vocab_size", config->vocab_size, 1, 1 << 28},
        {"d_model", config->d_model, 1, 1 << 24},
        {"n_layers", config->n_layers, 1, 1 << 14},
        {"n_heads", config->n_heads, 1, 1 << 14},
        {"n_kv_heads", config->n_kv_heads, 0, 1 << 14},
        {"head_dim", config->head_dim, 0, SGTI_MAX_HEAD_DIM},
        {"d_ff", config->d_ff, 1, 1 << 26},
        {"max_seq_len", config->max_seq_len, 1, 1 << 28},
        {"tied", config->tied, 0, 1},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].value < fields[i].least || fields[i].value > fields[i].most)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "%s is %d, must be %d to %d", fields[i].name,
                             (int)fields[i].value, (int)fields[i].least, (int)fields[i].most);
    }
    return SGT_OK;
}

static sgt_status resolve_heads(sgt_model_config *config)
{
    if (config->n_kv_heads == 0)
        config->n_kv_heads = config->n_heads;
    if (config->n_heads % config->n_kv_heads != 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "n_kv_heads %d does not divide n_heads %d",
                         (int)config->n_kv_heads, (int)config->n_heads);
    char from[64] = ""; /* where a head_dim comes from that nobody gave */
    if (config->head_dim == 0) {
        if (config->d_model % config->n_heads != 0)
            return sgti_fail(SGT_E_INVALID_ARGUMENT,
                             "d_model %d is not a multiple of n_heads %d and head_dim is not given",
                             (int)config->d_model, (int)config->n_heads);
        config->head_dim = config->d_model / config->n_heads;
        sgti_format(from, sizeof from, " (d_model %d / n_heads %d)", (int)config->d_model,
                    (int)config->n_heads);
    }
    if (config->head_dim > SGTI_MAX_HEAD_DIM)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "head_dim is %d%s, must be 2 to %d",
                         (int)config->head_dim, from, SGTI_MAX_HEAD_DIM);
    if (config->head_dim % 2 != 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "head_dim is %d%s, must be even",
                         (int)config->head_dim, from);
    return SGT_OK;
}

sgt_status sgti_config_resolve(sgt_model_config *resolved, const sgt_model_config *caller)
{
    if (!resolved || !caller)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "config is NULL");
    sgt_model_config config = defaults;
    sgt_status status =
        sgti_struct_read(&config, sizeof config, caller, SGTI_CONFIG_MINIMUM, "sgt_model_config");
    if (status)
        return status;
    status = check_sizes(&config);
    if (status)
        return status;
    status = resolve_heads(&config);
    if (status)
        return status;
    status = sgti_check_float32(config.rope_theta, SGTI_ABOVE_0, "rope_theta");
    if (status == SGT_OK)
        status = sgti_check_float32(config.norm_eps, SGTI_AT_LEAST_0, "norm_eps");
    if (status)
        return status;
    *resolved = config;
    return SGT_OK;
}
