/* SPDX-License-Identifier: BSD-3-Clause */
#include "hf_blocks.h"

#include "../base/error.h"
#include "../base/text.h"
#include "../core/config_fields.h"

/* Adds the list of patterns where some block has one. */
static int write_patterns(json_t *lists, const sgt_model_config *config)
{
    int failed = 0, patterns = 0;
    json_t *texts = json_array();
    for (int32_t i = 0; i < config->n_blocks; i++) {
        const sgt_block_config block = sgti_block_config_of(config, i);
        patterns |= sgti_block_has_patterns(&block);
        failed |= json_array_append_new(texts, sgti_patterns_text(&block));
    }
    if (patterns)
        return failed | json_object_set_new(lists, SGTI_PATTERNS_HF_NAME, texts);
    json_decref(texts);
    return failed;
}

static json_t *entry_of(const sgt_block_config *block, const sgti_config_field *field)
{
    const double value = sgti_config_get(block, field);
    if (field->kind == SGTI_CONFIG_REAL)
        return json_real(value);
    if (field->kind == SGTI_CONFIG_CHOICE)
        return json_string(field->words[(int32_t)value]);
    return json_integer((json_int_t)value);
}

/* Adds the list of a field where some block tells it. */
static int write_field(json_t *lists, const sgt_model_config *config,
                       const sgti_config_field *field)
{
    int failed = 0, told = 0;
    json_t *entries = json_array();
    for (int32_t i = 0; i < config->n_blocks; i++) {
        const sgt_block_config block = sgti_block_config_of(config, i);
        told |= sgti_config_is_told(&block, field);
        failed |= json_array_append_new(entries, entry_of(&block, field));
    }
    if (told)
        return failed | json_object_set_new(lists, field->hf_name, entries);
    json_decref(entries);
    return failed;
}

int sgti_hf_blocks_write(json_t **lists, const sgt_model_config *config)
{
    int failed = 0;
    *lists = NULL;
    if (sgti_blocks_are_standard(config))
        return 0;
    *lists = json_object();
    for (int j = 0; j < SGTI_BLOCK_PARTS; j++) {
        json_t *names = json_array();
        for (int32_t i = 0; i < config->n_blocks; i++)
            failed |= json_array_append_new(names,
                                            json_string(sgti_block_of(config, i).parts[j]->name));
        failed |= json_object_set_new(*lists, sgti_block_fields[j].hf_name, names);
    }
    for (int j = SGTI_BLOCK_KINDS; j < SGTI_BLOCK_FIELDS; j++)
        failed |= write_field(*lists, config, &sgti_block_fields[j]);
    return failed | write_patterns(*lists, config);
}

static sgt_status fail_unknown(const char *word, const sgti_config_field *field, const char *path)
{
    return sgti_fail(SGT_E_VERSION,
                     "%s: %s: %.40s is not known to this libsgt %s: a newer one wrote it", path,
                     field->hf_name, word, sgt_version());
}

static sgt_status fail_type(const sgti_config_field *field, const char *type, const char *path)
{
    return sgti_fail(SGT_E_FORMAT, "%s: %s holds something else than %s", path, field->hf_name,
                     type);
}

static sgt_status read_kind(sgt_block_config *block, enum sgti_block_part part, const json_t *value,
                            const char *path)
{
    int32_t number;
    const sgti_config_field *field = &sgti_block_fields[part];
    const char *name = json_string_value(value);
    if (!name)
        return fail_type(field, "names", path);
    if (!sgti_find_kind(&number, part, name))
        return fail_unknown(name, field, path);
    sgti_config_set(block, field, number);
    return SGT_OK;
}

static sgt_status read_entry(sgt_block_config *block, const sgti_config_field *field,
                             const json_t *value, const char *path)
{
    int64_t whole;
    double number;
    if (field->kind == SGTI_CONFIG_REAL) {
        if (!json_is_number(value))
            return fail_type(field, "numbers", path);
        number = json_number_value(value);
    } else if (field->kind == SGTI_CONFIG_CHOICE) {
        const char *word = json_string_value(value);
        if (!word)
            return fail_type(field, "words", path);
        number = sgti_config_find_word(field, word);
        if (number < 0)
            return fail_unknown(word, field, path);
    } else {
        if (!sgti_json_integer(&whole, value, INT32_MIN, INT32_MAX))
            return fail_type(field, "whole numbers", path);
        number = (double)whole;
    }
    sgti_config_set(block, field, number);
    return SGT_OK;
}

static sgt_status fail_length(const char *hf_name, const char *path)
{
    return sgti_fail(SGT_E_FORMAT, "%s: %s and %s are not lists of one length", path,
                     sgti_block_fields[0].hf_name, hf_name);
}

/* The lists that are there are of one length, which becomes *count; 0: there are none. Those of
 * kinds are there all, or none. */
static sgt_status count_blocks(size_t *count, const json_t *tree, const char *path)
{
    const json_t *first = json_object_get(tree, sgti_block_fields[0].hf_name);
    *count = json_array_size(first);
    for (int j = 0; j < SGTI_BLOCK_FIELDS; j++) {
        const json_t *list = json_object_get(tree, sgti_block_fields[j].hf_name);
        const int missing = j < SGTI_BLOCK_KINDS && !list != !first;
        if (missing || (list && !json_is_array(list)) || (list && json_array_size(list) != *count))
            return fail_length(sgti_block_fields[j].hf_name, path);
    }
    return SGT_OK;
}

/* The list of texts may be missing. */
static sgt_status count_patterns(int64_t *n_patterns, size_t n_blocks, const json_t *tree,
                                 const char *path)
{
    const json_t *list = json_object_get(tree, SGTI_PATTERNS_HF_NAME);
    *n_patterns = 0;
    if (list && (!json_is_array(list) || json_array_size(list) != n_blocks))
        return fail_length(SGTI_PATTERNS_HF_NAME, path);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *text = json_array_get(list, i);
        if (!json_is_string(text))
            return sgti_fail(SGT_E_FORMAT, "%s: %s holds something else than texts", path,
                             SGTI_PATTERNS_HF_NAME);
        *n_patterns += sgti_patterns_count(json_string_value(text));
    }
    return SGT_OK;
}

static sgt_status read_patterns(sgti_block_list *list, int32_t i, const json_t *tree,
                                const char *path)
{
    char where[300];
    const json_t *texts = json_object_get(tree, SGTI_PATTERNS_HF_NAME);
    sgti_format(where, sizeof where, "%.200s: %s", path, SGTI_PATTERNS_HF_NAME);
    return sgti_patterns_read(list, i, json_string_value(json_array_get(texts, (size_t)i)), where);
}

static sgt_status read_block(sgti_block_list *list, size_t i, const json_t *tree, const char *path)
{
    sgt_status status = SGT_OK;
    for (int j = 0; j < SGTI_BLOCK_FIELDS && status == SGT_OK; j++) {
        const sgti_config_field *field = &sgti_block_fields[j];
        const json_t *entries = json_object_get(tree, field->hf_name);
        const json_t *value = json_array_get(entries, i);
        if (j < SGTI_BLOCK_KINDS)
            status = read_kind(&list->blocks[i], (enum sgti_block_part)j, value, path);
        else if (entries)
            status = read_entry(&list->blocks[i], field, value, path);
    }
    return status ? status : read_patterns(list, (int32_t)i, tree, path);
}

sgt_status sgti_hf_blocks_read(sgti_block_list *blocks, int32_t *n_blocks, sgti_memory *memory,
                               const json_t *tree, const char *path)
{
    size_t count;
    int64_t n_patterns;
    sgti_block_list list = {0};
    sgt_status status = count_blocks(&count, tree, path);
    if (status == SGT_OK)
        status = count_patterns(&n_patterns, count, tree, path);
    if (status == SGT_OK)
        status = sgti_blocks_allocate(&list, memory, (int32_t)count, n_patterns);
    for (size_t i = 0; i < count && status == SGT_OK; i++)
        status = read_block(&list, i, tree, path);
    if (status) {
        sgti_blocks_free(&list, memory);
        return status;
    }
    *n_blocks = (int32_t)count;
    *blocks = list;
    return SGT_OK;
}
