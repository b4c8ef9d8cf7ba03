/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A configuration as metadata of a checkpoint: model.FIELD, each field a number or, of an enum, a
 * word; those that libsgt 0.1 did not have only where they say something. Where blocks are not all
 * standard ones, model.blocks says how many are listed, and model.block.I.FIELD has the name of a
 * kind, and of the other fields and the patterns those that say something.
 */
#include "checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "../base/error.h"
#include "../base/text.h"
#include "../core/config_fields.h"
#include "../core/patterns.h"
#include "../model/config.h"
#include "block_patterns.h"

#define PREFIX       "model."
#define N_BLOCKS     PREFIX "blocks"
#define BLOCK_PREFIX PREFIX "block."

enum { KEY_BYTES = 48, WHERE_BYTES = 300 };

static void name_key(char key[KEY_BYTES], const sgti_config_field *field)
{
    sgti_format(key, KEY_BYTES, PREFIX "%s", field->name);
}

static void name_block_key(char key[KEY_BYTES], int32_t block, const char *field)
{
    sgti_format(key, KEY_BYTES, BLOCK_PREFIX "%d.%s", (int)block, field);
}

static sgti_field_kind stored_kind(const sgti_config_field *field)
{
    return field->kind == SGTI_CONFIG_REAL ? SGTI_FIELD_F64 : SGTI_FIELD_I32;
}

/* Here and below `config` may be a block. */
static void print_field(char text[SGTI_NUMBER_TEXT], const void *config,
                        const sgti_config_field *field)
{
    if (field->kind == SGTI_CONFIG_CHOICE)
        sgti_format(text, SGTI_NUMBER_TEXT, "%s",
                    field->words[(int32_t)sgti_config_get(config, field)]);
    else
        sgti_number_print(text, stored_kind(field), (const char *)config + field->offset);
}

static int write_field(json_t *metadata, const char *key, const void *config,
                       const sgti_config_field *field)
{
    char text[SGTI_NUMBER_TEXT];
    if (!sgti_config_is_told(config, field))
        return 0;
    print_field(text, config, field);
    return json_object_set_new(metadata, key, json_string(text));
}

static int write_block(json_t *metadata, const sgt_model_config *config, int32_t i)
{
    char key[KEY_BYTES];
    int failed = 0;
    const sgt_block_config own = sgti_block_config_of(config, i);
    const sgti_block block = sgti_block_of(config, i);
    for (int j = 0; j < SGTI_BLOCK_PARTS; j++) {
        name_block_key(key, i, sgti_block_fields[j].name);
        failed |= json_object_set_new(metadata, key, json_string(block.parts[j]->name));
    }
    for (int j = SGTI_BLOCK_KINDS; j < SGTI_BLOCK_FIELDS; j++) {
        name_block_key(key, i, sgti_block_fields[j].name);
        failed |= write_field(metadata, key, &own, &sgti_block_fields[j]);
    }
    name_block_key(key, i, SGTI_PATTERNS_NAME);
    if (sgti_block_has_patterns(&own))
        failed |= json_object_set_new(metadata, key, sgti_patterns_text(&own));
    return failed;
}

static int write_blocks(json_t *metadata, const sgt_model_config *config)
{
    char text[SGTI_NUMBER_TEXT];
    if (sgti_blocks_are_standard(config))
        return 0;
    sgti_number_print(text, SGTI_FIELD_I32, &config->n_blocks);
    int failed = json_object_set_new(metadata, N_BLOCKS, json_string(text));
    for (int32_t i = 0; i < config->n_blocks; i++)
        failed |= write_block(metadata, config, i);
    return failed;
}

int sgti_config_write(json_t *metadata, const sgt_model_config *config)
{
    int failed = write_blocks(metadata, config);
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++) {
        char key[KEY_BYTES];
        name_key(key, &sgti_config_fields[i]);
        failed |= write_field(metadata, key, config, &sgti_config_fields[i]);
    }
    return failed;
}

static sgt_status fail_unknown(const sgti_safetensors *file, const char *key, const char *word)
{
    return sgti_fail(SGT_E_VERSION,
                     "%s: metadata: %s is '%.40s', which is not known to this libsgt %s: a newer "
                     "one wrote it",
                     file->path, key, word, sgt_version());
}

static sgt_status read_choice(void *config, const sgti_config_field *field,
                              const sgti_safetensors *file, const char *key)
{
    const char *word = sgti_safetensors_metadata(file, key);
    const int32_t number = sgti_config_find_word(field, word);
    sgti_config_set(config, field, number);
    return number >= 0 ? SGT_OK : fail_unknown(file, key, word);
}

static sgt_status read_field(void *config, const sgti_config_field *field, const char *key,
                             const sgti_safetensors *file)
{
    if (field->optional && !sgti_safetensors_metadata(file, key)) {
        sgti_config_set(config, field, field->initial);
        return SGT_OK;
    }
    if (field->kind == SGTI_CONFIG_CHOICE)
        return read_choice(config, field, file, key);
    return sgti_number_read((char *)config + field->offset, stored_kind(field), file, key);
}

/* Reads the kind of one part. */
static sgt_status read_kind(sgt_block_config *block, int32_t i, enum sgti_block_part part,
                            const sgti_safetensors *file)
{
    char key[KEY_BYTES];
    int32_t number;
    const sgti_config_field *field = &sgti_block_fields[part];
    name_block_key(key, i, field->name);
    const char *name = sgti_safetensors_metadata(file, key);
    if (!name)
        return sgti_fail(SGT_E_FORMAT, "%s: metadata: '%s' is missing", file->path, key);
    if (!sgti_find_kind(&number, part, name))
        return fail_unknown(file, key, name);
    sgti_config_set(block, field, number);
    return SGT_OK;
}

/* The text of a block's patterns; NULL where it has none. */
static const char *patterns_text(char key[KEY_BYTES], int32_t i, const sgti_safetensors *file)
{
    name_block_key(key, i, SGTI_PATTERNS_NAME);
    return sgti_safetensors_metadata(file, key);
}

static int64_t count_patterns(int32_t n_blocks, const sgti_safetensors *file)
{
    char key[KEY_BYTES];
    int64_t count = 0;
    for (int32_t i = 0; i < n_blocks; i++)
        count += sgti_patterns_count(patterns_text(key, i, file));
    return count;
}

static sgt_status read_patterns(sgti_block_list *list, int32_t i, const sgti_safetensors *file)
{
    char key[KEY_BYTES], where[WHERE_BYTES];
    const char *text = patterns_text(key, i, file);
    sgti_format(where, sizeof where, "%.200s: metadata: %s", file->path, key);
    return sgti_patterns_read(list, i, text, where);
}

static sgt_status read_block(sgti_block_list *list, int32_t i, const sgti_safetensors *file)
{
    sgt_status status = SGT_OK;
    for (int j = 0; j < SGTI_BLOCK_PARTS && status == SGT_OK; j++)
        status = read_kind(&list->blocks[i], i, (enum sgti_block_part)j, file);
    for (int j = SGTI_BLOCK_KINDS; j < SGTI_BLOCK_FIELDS && status == SGT_OK; j++) {
        char key[KEY_BYTES];
        name_block_key(key, i, sgti_block_fields[j].name);
        status = read_field(&list->blocks[i], &sgti_block_fields[j], key, file);
    }
    return status ? status : read_patterns(list, i, file);
}

static sgt_status read_blocks(sgti_block_list *list, int32_t *n_blocks,
                              const sgti_safetensors *file)
{
    if (!sgti_safetensors_metadata(file, N_BLOCKS))
        return SGT_OK;
    sgt_status status = sgti_number_read(n_blocks, SGTI_FIELD_I32, file, N_BLOCKS);
    if (status)
        return status;
    if (*n_blocks < 1 || (size_t)*n_blocks > json_object_size(file->metadata))
        return sgti_fail(SGT_E_FORMAT, "%s: metadata: " N_BLOCKS " is not possible", file->path);
    status =
        sgti_blocks_allocate(list, file->memory, *n_blocks, count_patterns(*n_blocks, file));
    for (int32_t i = 0; i < *n_blocks && status == SGT_OK; i++)
        status = read_block(list, i, file);
    return status;
}

static sgt_status read_fields(sgt_model_config *config, const sgti_safetensors *file)
{
    sgt_status status = SGT_OK;
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS && status == SGT_OK; i++) {
        char key[KEY_BYTES];
        name_key(key, &sgti_config_fields[i]);
        status = read_field(config, &sgti_config_fields[i], key, file);
    }
    return status;
}

sgt_status sgti_config_read(sgt_model_config *config, sgti_block_list *blocks,
                            const sgti_safetensors *file)
{
    sgt_model_config own = {.size = sizeof own}, resolved;
    sgti_block_list list = {0};
    sgt_status status = read_fields(&own, file);
    if (status == SGT_OK)
        status = read_blocks(&list, &own.n_blocks, file);
    own.blocks = list.blocks;
    if (status == SGT_OK && sgti_config_resolve(&resolved, &own))
        status = sgti_fail(SGT_E_FORMAT, "%s: metadata: " PREFIX "%s", file->path,
                           sgt_error_message());
    if (status) {
        sgti_blocks_free(&list, file->memory);
        return status;
    }
    for (int32_t i = 0; i < resolved.n_blocks; i++)
        sgti_block_resolve(&list.blocks[i]);
    *config = resolved;
    *blocks = list;
    return SGT_OK;
}

static int is_block_key(const char *key, const sgt_model_config *config)
{
    if (config->n_blocks == 0 || strncmp(key, BLOCK_PREFIX, strlen(BLOCK_PREFIX)) != 0)
        return config->n_blocks > 0 && strcmp(key, N_BLOCKS) == 0;
    long block = strtol(key + strlen(BLOCK_PREFIX), NULL, 10);
    if (block < 0 || block >= config->n_blocks)
        return 0;
    for (int i = 0; i <= SGTI_BLOCK_FIELDS; i++) {
        char known[KEY_BYTES];
        name_block_key(known, (int32_t)block,
                       i < SGTI_BLOCK_FIELDS ? sgti_block_fields[i].name : SGTI_PATTERNS_NAME);
        if (strcmp(known, key) == 0)
            return 1;
    }
    return 0;
}

int sgti_is_config_key(const char *key, const sgt_model_config *config)
{
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++) {
        char known[KEY_BYTES];
        name_key(known, &sgti_config_fields[i]);
        if (strcmp(known, key) == 0)
            return 1;
    }
    return is_block_key(key, config);
}

/* ---- comparing ---- */

/* What is different, for a message; what has no room in it is left out. */
typedef struct differences {
    char text[400];
    size_t used;
} differences;

static void add_difference(differences *d, const char *what, const char *there, const char *here)
{
    if (d->used >= sizeof d->text)
        return;
    int length = sgti_format(d->text + d->used, sizeof d->text - d->used,
                             "%s%s %s in the file, %s here", d->used > 0 ? "; " : "", what, there,
                             here);
    d->used += length > 0 ? (size_t)length : 0;
}

/* Here a double may be decimal: a person reads it. */
static void print_plainly(char text[SGTI_NUMBER_TEXT], const void *config,
                          const sgti_config_field *field)
{
    if (field->kind == SGTI_CONFIG_REAL)
        sgti_format(text, SGTI_NUMBER_TEXT, "%.9g", sgti_config_get(config, field));
    else
        print_field(text, config, field);
}

static void compare_field(differences *d, const char *what, const sgti_config_field *field,
                          const void *model, const void *file)
{
    char here[SGTI_NUMBER_TEXT], there[SGTI_NUMBER_TEXT];
    print_field(here, model, field);
    print_field(there, file, field);
    if (strcmp(here, there) == 0)
        return;
    print_plainly(here, model, field);
    print_plainly(there, file, field);
    add_difference(d, what, there, here);
}

static void compare_fields(differences *d, const sgt_model_config *model,
                           const sgt_model_config *file)
{
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++)
        compare_field(d, sgti_config_fields[i].name, &sgti_config_fields[i], model, file);
}

/* Names the first key/value head of a layer whose patterns differ. */
static void compare_patterns(differences *d, const sgt_model_config *model,
                             const sgt_model_config *file, int32_t layer)
{
    const sgt_block_config of_model = sgti_block_config_of(model, layer);
    const sgt_block_config of_file = sgti_block_config_of(file, layer);
    for (int32_t g = 0; g < model->n_kv_heads; g++) {
        char what[KEY_BYTES], here[SGTI_PATTERN_TEXT], there[SGTI_PATTERN_TEXT];
        const sgt_attention_pattern a = sgti_block_pattern_of(&of_model, g);
        const sgt_attention_pattern b = sgti_block_pattern_of(&of_file, g);
        if (sgti_pattern_equal(&a, &b) || (sgti_pattern_is_dense(&a) && sgti_pattern_is_dense(&b)))
            continue;
        sgti_format(what, sizeof what, "layer %d's " SGTI_PATTERNS_NAME, (int)layer);
        sgti_pattern_print(here, &a);
        sgti_pattern_print(there, &b);
        add_difference(d, what, there, here);
        return;
    }
}

static void compare_parts(differences *d, const sgt_model_config *model,
                          const sgt_model_config *file, int32_t layer)
{
    const sgti_block here = sgti_block_of(model, layer), there = sgti_block_of(file, layer);
    const sgt_block_config of_model = sgti_block_config_of(model, layer);
    const sgt_block_config of_file = sgti_block_config_of(file, layer);
    for (int i = 0; i < SGTI_BLOCK_FIELDS; i++) {
        const sgti_config_field *field = &sgti_block_fields[i];
        char what[KEY_BYTES];
        sgti_format(what, sizeof what, "layer %d's %s", (int)layer, field->name);
        if (i >= SGTI_BLOCK_KINDS)
            compare_field(d, what, field, &of_model, &of_file);
        else if (sgti_config_get(&of_model, field) != sgti_config_get(&of_file, field))
            add_difference(d, what, there.parts[i]->name, here.parts[i]->name);
    }
}

/* Lists are equal when every layer is: how they are written does not matter. */
static void compare_blocks(differences *d, const sgt_model_config *model,
                           const sgt_model_config *file)
{
    int32_t layers = model->n_layers < file->n_layers ? model->n_layers : file->n_layers;
    for (int32_t layer = 0; layer < layers; layer++) {
        compare_parts(d, model, file, layer);
        compare_patterns(d, model, file, layer);
    }
}

sgt_status sgti_config_compare(const sgt_model_config *model, const sgt_model_config *file,
                               const char *path)
{
    differences d = {0};
    compare_fields(&d, model, file);
    compare_blocks(&d, model, file);
    if (d.used == 0)
        return SGT_OK;
    return sgti_fail(SGT_E_INVALID_ARGUMENT, "%.80s does not fit the model: %s", path, d.text);
}
