/* SPDX-License-Identifier: BSD-3-Clause */
/* A configuration as metadata of a checkpoint: model.FIELD, each field a number. */
#include "checkpoint.h"

#include <string.h>

#include "../base/error.h"
#include "../base/text.h"
#include "../core/config_fields.h"
#include "../model/config.h"

#define PREFIX "model."

enum { KEY_BYTES = 48 };

static void name_key(char key[KEY_BYTES], const sgti_config_field *field)
{
    sgti_format(key, KEY_BYTES, PREFIX "%s", field->name);
}

static sgti_field_kind stored_kind(const sgti_config_field *field)
{
    return field->kind == SGTI_CONFIG_REAL ? SGTI_FIELD_F64 : SGTI_FIELD_I32;
}

static void print_field(char text[SGTI_NUMBER_TEXT], const sgt_model_config *config,
                        const sgti_config_field *field)
{
    sgti_number_print(text, stored_kind(field), (const char *)config + field->offset);
}

int sgti_config_write(json_t *metadata, const sgt_model_config *config)
{
    int failed = 0;
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++) {
        char key[KEY_BYTES], text[SGTI_NUMBER_TEXT];
        name_key(key, &sgti_config_fields[i]);
        print_field(text, config, &sgti_config_fields[i]);
        failed |= json_object_set_new(metadata, key, json_string(text));
    }
    return failed;
}

sgt_status sgti_config_read(sgt_model_config *config, const sgti_safetensors *file)
{
    sgt_model_config own = {.size = sizeof own}, resolved;
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++) {
        char key[KEY_BYTES];
        const sgti_config_field *field = &sgti_config_fields[i];
        name_key(key, field);
        sgt_status status =
            sgti_number_read((char *)&own + field->offset, stored_kind(field), file, key);
        if (status)
            return status;
    }
    if (sgti_config_resolve(&resolved, &own))
        return sgti_fail(SGT_E_FORMAT, "%s: metadata: " PREFIX "%s", file->path,
                         sgt_error_message());
    *config = own;
    return SGT_OK;
}

int sgti_is_config_key(const char *key)
{
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++) {
        char known[KEY_BYTES];
        name_key(known, &sgti_config_fields[i]);
        if (strcmp(known, key) == 0)
            return 1;
    }
    return 0;
}

/* ---- comparing ---- */

/* Here a double may be decimal: a person reads it. */
static void print_plainly(char text[SGTI_NUMBER_TEXT], const sgt_model_config *config,
                          const sgti_config_field *field)
{
    if (field->kind == SGTI_CONFIG_REAL)
        sgti_format(text, SGTI_NUMBER_TEXT, "%.9g", sgti_config_get(config, field));
    else
        print_field(text, config, field);
}

sgt_status sgti_config_compare(const sgt_model_config *model, const sgt_model_config *file,
                               const char *path)
{
    char list[400] = "";
    size_t used = 0;
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS && used < sizeof list; i++) {
        const sgti_config_field *field = &sgti_config_fields[i];
        char here[SGTI_NUMBER_TEXT], there[SGTI_NUMBER_TEXT];
        print_field(here, model, field);
        print_field(there, file, field);
        if (strcmp(here, there) == 0)
            continue;
        print_plainly(here, model, field);
        print_plainly(there, file, field);
        int length = sgti_format(list + used, sizeof list - used, "%s%s %s in the file, %s here",
                                 used > 0 ? "; " : "", field->name, there, here);
        used += length > 0 ? (size_t)length : 0;
    }
    if (used == 0)
        return SGT_OK;
    return sgti_fail(SGT_E_INVALID_ARGUMENT, "%.80s does not fit the model: %s", path, list);
}
