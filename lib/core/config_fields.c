/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_fields.h"

#include <string.h>

#define NAMED(field, hf) .name = #field, .hf_name = hf, .offset = offsetof(sgt_model_config, field)
#define INTEGER(field, hf) NAMED(field, hf), .kind = SGTI_CONFIG_INTEGER
#define FLAG(field, hf)    NAMED(field, hf), .kind = SGTI_CONFIG_FLAG, .least = 0, .most = 1
#define REAL(field, hf)    NAMED(field, hf), .kind = SGTI_CONFIG_REAL
#define CHOICE(field, hf, list)                                                                    \
    NAMED(field, hf), .kind = SGTI_CONFIG_CHOICE, .words = list,                                   \
                      .most = sizeof(list) / sizeof((list)[0]) - 1

static const char *const altup_orders[] = {
    [SGT_ALTUP_ALTERNATE] = "alternate",
    [SGT_ALTUP_SAME] = "same",
};
static const char *const altup_tables[] = {
    [SGT_ALTUP_RECYCLED] = "recycled",
    [SGT_ALTUP_WIDE] = "wide",
};

/* Bounds keep every product of two sizes within 63 bits. */
const sgti_config_field sgti_config_fields[SGTI_CONFIG_FIELDS] = {
    {INTEGER(vocab_size, "vocab_size"), .least = 1, .most = 1 << 28, .hf_initial = -1.0},
    {INTEGER(d_model, "hidden_size"), .least = 1, .most = 1 << 24, .hf_initial = -1.0},
    {INTEGER(n_layers, "num_hidden_layers"), .least = 1, .most = 1 << 14, .hf_initial = -1.0},
    {INTEGER(n_heads, "num_attention_heads"), .least = 1, .most = 1 << 14, .hf_initial = -1.0},
    {INTEGER(n_kv_heads, "num_key_value_heads"), .least = 0, .most = 1 << 14},
    {INTEGER(head_dim, "head_dim"), .least = 0, .most = SGTI_MAX_HEAD_DIM},
    {INTEGER(d_ff, "intermediate_size"), .least = 1, .most = 1 << 26, .hf_initial = -1.0},
    {INTEGER(max_seq_len, "max_position_embeddings"), .least = 1, .most = 1 << 28,
     .hf_initial = 2048.0},
    {FLAG(tied, "tie_word_embeddings")},
    {REAL(rope_theta, "rope_theta"), .range = SGTI_ABOVE_0, .initial = 10000.0,
     .hf_initial = 10000.0},
    {REAL(norm_eps, "rms_norm_eps"), .range = SGTI_AT_LEAST_0, .initial = 1e-6,
     .hf_initial = 1e-6},
    {INTEGER(altup_streams, "sgt_altup_streams"), .least = 0, .most = SGTI_MAX_STREAMS,
     .initial = 1.0, .hf_initial = 1.0, .optional = 1},
    {CHOICE(altup_order, "sgt_altup_order", altup_orders), .optional = 1},
    {CHOICE(altup_table, "sgt_altup_table", altup_tables), .optional = 1},
};

const sgti_block_field sgti_block_fields[SGTI_BLOCK_FIELDS] = {
    {"attention", "sgt_block_attention", "sgt_attention_kind",
     offsetof(sgt_block_config, attention)},
    {"feed_forward", "sgt_block_feed_forward", "sgt_feed_forward_kind",
     offsetof(sgt_block_config, feed_forward)},
};

int sgti_config_is_told(const sgt_model_config *config, const sgti_config_field *field)
{
    return !field->optional || sgti_config_get(config, field) != field->initial;
}

int sgti_config_tells_more(const sgt_model_config *config)
{
    int more = 0;
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++)
        more |= sgti_config_fields[i].optional &&
                sgti_config_is_told(config, &sgti_config_fields[i]);
    return more;
}

int32_t sgti_config_find_word(const sgti_config_field *field, const char *word)
{
    for (int32_t i = 0; i <= field->most; i++) {
        if (strcmp(field->words[i], word) == 0)
            return i;
    }
    return -1;
}

int32_t sgti_block_get(const sgt_block_config *block, const sgti_block_field *field)
{
    int32_t value;
    memcpy(&value, (const char *)block + field->offset, sizeof value);
    return value;
}

void sgti_block_set(sgt_block_config *block, const sgti_block_field *field, int32_t value)
{
    memcpy((char *)block + field->offset, &value, sizeof value);
}

double sgti_config_get(const sgt_model_config *config, const sgti_config_field *field)
{
    const char *at = (const char *)config + field->offset;
    int32_t whole;
    double real;
    if (field->kind == SGTI_CONFIG_REAL) {
        memcpy(&real, at, sizeof real);
        return real;
    }
    memcpy(&whole, at, sizeof whole);
    return whole;
}

void sgti_config_set(sgt_model_config *config, const sgti_config_field *field, double value)
{
    char *at = (char *)config + field->offset;
    const int32_t whole = field->kind == SGTI_CONFIG_REAL ? 0 : (int32_t)value;
    if (field->kind == SGTI_CONFIG_REAL)
        memcpy(at, &value, sizeof value);
    else
        memcpy(at, &whole, sizeof whole);
}
