/* SPDX-License-Identifier: BSD-3-Clause */
#include "config_fields.h"

#include <string.h>

#include "../base/error.h"

#define NAMED(field, hf) .name = #field, .hf_name = hf, .offset = offsetof(STRUCT, field)
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

static const char *const attention_outputs[] = {
    [SGT_ATTENTION_OUTPUT_PROJECTION] = "projection",
    [SGT_ATTENTION_OUTPUT_NONE] = "none",
};

#define STRUCT sgt_model_config
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
    {INTEGER(head_modules, "sgt_head_modules"), .least = 0, .most = 1 << 14, .optional = 1},
};

#undef STRUCT

#define STRUCT sgt_block_config
const sgti_config_field sgti_block_fields[SGTI_BLOCK_FIELDS] = {
    {NAMED(attention, "sgt_block_attention"), .kind = SGTI_CONFIG_CHOICE},
    {NAMED(feed_forward, "sgt_block_feed_forward"), .kind = SGTI_CONFIG_CHOICE},
    {INTEGER(mult_kernel, "sgt_block_mult_kernel"), .least = 0, .most = 64, .initial = 3.0,
     .hf_initial = 3.0, .optional = 1},
    {CHOICE(attention_output, "sgt_block_attention_output", attention_outputs), .optional = 1},
    {INTEGER(units, "sgt_block_units"), .least = 0, .most = 1 << 26, .optional = 1},
    {INTEGER(controller_rank, "sgt_block_controller_rank"), .least = 0, .most = 1 << 24,
     .optional = 1},
    {REAL(temperature, "sgt_block_temperature"), .range = SGTI_AT_LEAST_0, .initial = 0.1,
     .hf_initial = 0.1, .optional = 1},
    {REAL(hard_fraction, "sgt_block_hard_fraction"), .range = SGTI_FROM_0_THROUGH_1, .initial = 0.3,
     .hf_initial = 0.3, .optional = 1},
};
#undef STRUCT

int sgti_config_is_told(const void *config, const sgti_config_field *field)
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

/* Sets fields `first` to `last` to their defaults. */
static void forget(sgt_block_config *block, int first, int last)
{
    for (int i = first; i <= last; i++)
        sgti_config_set(block, &sgti_block_fields[i], sgti_block_fields[i].initial);
}

void sgti_block_resolve(sgt_block_config *block)
{
    enum { MULT_KERNEL = 2, UNITS = 4, HARD_FRACTION = 7 };
    if (block->attention != SGT_ATTENTION_MULTIPLICATIVE || block->mult_kernel == 0)
        forget(block, MULT_KERNEL, MULT_KERNEL);
    if (block->units == 0)
        forget(block, UNITS, HARD_FRACTION);
}

double sgti_config_get(const void *config, const sgti_config_field *field)
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

void sgti_config_set(void *config, const sgti_config_field *field, double value)
{
    char *at = (char *)config + field->offset;
    const int32_t whole = field->kind == SGTI_CONFIG_REAL ? 0 : (int32_t)value;
    if (field->kind == SGTI_CONFIG_REAL)
        memcpy(at, &value, sizeof value);
    else
        memcpy(at, &whole, sizeof whole);
}

sgt_status sgti_config_check_field(const void *config, const sgti_config_field *field,
                                   const char *name)
{
    const double value = sgti_config_get(config, field);
    if (field->kind == SGTI_CONFIG_REAL)
        return sgti_check_float32(value, field->range, name);
    if (value < field->least || value > field->most)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "%s is %d, must be %d to %d", name, (int)value,
                         (int)field->least, (int)field->most);
    return SGT_OK;
}
