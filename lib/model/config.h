/* SPDX-License-Identifier: BSD-3-Clause */
/* Checking a configuration once, at the border. */
#ifndef SGTI_CONFIG_H
#define SGTI_CONFIG_H

#include <sgt/model.h>

#include "../base/structs.h"

#define SGTI_CONFIG_MINIMUM SGTI_SIZE_THROUGH(sgt_model_config, blocks)
#define SGTI_MODEL_OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_model_options, seed)

/* Reads the caller's struct, checks every field and fills the defaults in (n_kv_heads, head_dim).
 * Its blocks stay the caller's; NULL for an empty list.
 * Errors: SGT_E_INVALID_ARGUMENT, SGT_E_OUT_OF_RANGE (the field is named), SGT_E_STRUCT_SIZE, and
 * what a kind of part refuses. */
sgt_status sgti_config_resolve(sgt_model_config *resolved, const sgt_model_config *caller);

/* 1 for a resolved configuration that libsgt 0.1 had, too: standard blocks, and no widened
 * stream. */
int sgti_config_is_plain(const sgt_model_config *config);

/* Reads the caller's options, NULL for the defaults. Errors: SGT_E_OUT_OF_RANGE (the option is
 * named), SGT_E_STRUCT_SIZE. */
sgt_status sgti_model_options_read(sgt_model_options *own, const sgt_model_options *caller);

/* Width of what the final norm and the head read, and of a row of the embedding. */
static inline int64_t sgti_table_width(const sgt_model_config *config)
{
    return config->altup_table == SGT_ALTUP_WIDE
               ? (int64_t)config->altup_streams * config->d_model
               : config->d_model;
}

/* Width of the query and of the key (or value) projection. */
static inline int64_t sgti_query_width(const sgt_model_config *config)
{
    return (int64_t)config->n_heads * config->head_dim;
}

static inline int64_t sgti_key_width(const sgt_model_config *config)
{
    return (int64_t)config->n_kv_heads * config->head_dim;
}

#endif
