/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers as strings of the metadata. One table says for writing and reading what there is. */
#include "checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/bytes.h"
#include "../base/error.h"
#include "../base/text.h"
#include "../model/config.h"
#include "../model/parts/blocks.h"

#define VERSION_KEY "sgt.checkpoint"

#define AT(field)      offsetof(sgti_numbers, field)
#define OPTIONS(field) offsetof(sgti_numbers, options.field)

/* Only of models in which some part draws. */
static const sgti_field draw_fields[] = {
    {"model.draws", SGTI_FIELD_I64, AT(draws)},
};

static const sgti_field common_fields[] = {
    {"flops.executed", SGTI_FIELD_F64, AT(executed_flops)},
    {"flops.vanilla", SGTI_FIELD_F64, AT(vanilla_flops)},
    {"optimizer.saved", SGTI_FIELD_I32, AT(has_optimizer)},
    {"growth.saved", SGTI_FIELD_I32, AT(has_growth)},
    {"entropy.unseen", SGTI_FIELD_I32, AT(entropy_unseen)},
};

static const sgti_field optimizer_fields[] = {
    {"optimizer.schedule", SGTI_FIELD_I32, OPTIONS(schedule)},
    {"optimizer.lr", SGTI_FIELD_F64, OPTIONS(lr)},
    {"optimizer.beta1", SGTI_FIELD_F64, OPTIONS(beta1)},
    {"optimizer.beta2", SGTI_FIELD_F64, OPTIONS(beta2)},
    {"optimizer.eps", SGTI_FIELD_F64, OPTIONS(eps)},
    {"optimizer.weight_decay", SGTI_FIELD_F64, OPTIONS(weight_decay)},
    {"optimizer.clip", SGTI_FIELD_F64, OPTIONS(clip)},
    {"optimizer.decay_scope", SGTI_FIELD_I32, OPTIONS(decay_scope)},
    {"optimizer.warmup_steps", SGTI_FIELD_I64, OPTIONS(warmup_steps)},
    {"optimizer.total_steps", SGTI_FIELD_I64, OPTIONS(total_steps)},
    {"optimizer.decay_steps", SGTI_FIELD_I64, OPTIONS(decay_steps)},
    {"optimizer.final_factor", SGTI_FIELD_F64, OPTIONS(final_factor)},
    {"optimizer.steps", SGTI_FIELD_I64, AT(steps)},
    {"optimizer.updates", SGTI_FIELD_I64, AT(updates)},
};

static const sgti_field growth_fields[] = {
    {"growth.last_step", SGTI_FIELD_I64, AT(last_step)},
};

static const sgti_field entropy_fields[] = {
    {"entropy.batches", SGTI_FIELD_I32, AT(entropy_batches)},
    {"entropy.passes", SGTI_FIELD_I32, AT(entropy_passes)},
    {"entropy.kinds", SGTI_FIELD_I32, AT(entropy_kinds)},
};

static const sgti_field note_fields[] = {
    {"hf.initializer_range", SGTI_FIELD_F64, AT(notes.initializer_range)},
    {"hf.attention_dropout", SGTI_FIELD_F64, AT(notes.attention_dropout)},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* ---- one number ---- */

void sgti_number_print(char text[SGTI_NUMBER_TEXT], sgti_field_kind kind, const void *number)
{
    int32_t small;
    int64_t large;
    double real;
    switch (kind) {
    case SGTI_FIELD_I32:
        memcpy(&small, number, sizeof small);
        sgti_format(text, SGTI_NUMBER_TEXT, "%" PRId32, small);
        break;
    case SGTI_FIELD_I64:
        memcpy(&large, number, sizeof large);
        sgti_format(text, SGTI_NUMBER_TEXT, "%" PRId64, large);
        break;
    case SGTI_FIELD_F64:
        memcpy(&real, number, sizeof real);
        sgti_format(text, SGTI_NUMBER_TEXT, "0x%016" PRIx64, sgti_bits_of_f64(real));
        break;
    }
}

static int scan_number(void *number, sgti_field_kind kind, const char *text)
{
    int64_t whole;
    if (kind == SGTI_FIELD_F64) {
        if (strlen(text) != 18 || strncmp(text, "0x", 2) != 0 ||
            strspn(text + 2, "0123456789abcdef") != 16)
            return 0;
        uint64_t bits = strtoull(text, NULL, 16);
        memcpy(number, &bits, sizeof bits);
        return 1;
    }
    if (kind == SGTI_FIELD_I64) {
        if (!sgti_text_to_whole(&whole, text, INT64_MIN + 1, INT64_MAX - 1))
            return 0;
        memcpy(number, &whole, sizeof whole);
        return 1;
    }
    if (!sgti_text_to_whole(&whole, text, INT32_MIN, INT32_MAX))
        return 0;
    int32_t small = (int32_t)whole;
    memcpy(number, &small, sizeof small);
    return 1;
}

sgt_status sgti_number_read(void *number, sgti_field_kind kind, const sgti_safetensors *file,
                            const char *key)
{
    const char *text = sgti_safetensors_metadata(file, key);
    if (!text)
        return sgti_fail(SGT_E_FORMAT, "%s: metadata: '%s' is missing", file->path, key);
    if (!scan_number(number, kind, text))
        return sgti_fail(SGT_E_FORMAT, "%s: metadata: %s is '%.40s'", file->path, key, text);
    return SGT_OK;
}

/* ---- tables ---- */

static int write_table(json_t *metadata, const sgti_numbers *numbers, const sgti_field *table,
                       size_t count)
{
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
        char text[SGTI_NUMBER_TEXT];
        sgti_number_print(text, table[i].kind, (const char *)numbers + table[i].offset);
        failed |= json_object_set_new(metadata, table[i].key, json_string(text));
    }
    return failed;
}

int sgti_numbers_write(json_t *metadata, const sgti_numbers *numbers)
{
    const int plain = sgti_config_is_plain(&numbers->config);
    int failed = json_object_set_new(metadata, VERSION_KEY, json_string(plain ? "1" : "2"));
    failed |= sgti_config_write(metadata, &numbers->config);
    if (sgti_blocks_draw(&numbers->config))
        failed |= write_table(metadata, numbers, draw_fields, COUNT(draw_fields));
    failed |= write_table(metadata, numbers, common_fields, COUNT(common_fields));
    if (numbers->has_optimizer)
        failed |= write_table(metadata, numbers, optimizer_fields, COUNT(optimizer_fields));
    if (numbers->has_growth)
        failed |= write_table(metadata, numbers, growth_fields, COUNT(growth_fields));
    if (numbers->entropy_unseen)
        failed |= write_table(metadata, numbers, entropy_fields, COUNT(entropy_fields));
    if (numbers->has_notes)
        failed |= write_table(metadata, numbers, note_fields, COUNT(note_fields));
    return failed | sgti_tokens_write(metadata, &numbers->tokens);
}

static sgt_status read_table(sgti_numbers *numbers, const sgti_safetensors *file,
                             const sgti_field *table, size_t count)
{
    sgt_status status = SGT_OK;
    for (size_t i = 0; i < count && status == SGT_OK; i++)
        status = sgti_number_read((char *)numbers + table[i].offset, table[i].kind, file,
                                  table[i].key);
    return status;
}

static sgt_status read_version(int32_t *found, const sgti_safetensors *file)
{
    int64_t version;
    const char *text = sgti_safetensors_metadata(file, VERSION_KEY);
    if (!text)
        return sgti_fail(SGT_E_FORMAT, "%s: is a safetensors file, but no checkpoint of libsgt",
                         file->path);
    if (!sgti_text_to_whole(&version, text, 1, INT64_MAX - 1))
        return sgti_fail(SGT_E_FORMAT, "%s: metadata: " VERSION_KEY " is '%.40s'", file->path,
                         text);
    if (version > SGTI_CHECKPOINT_VERSION)
        return sgti_fail(SGT_E_VERSION,
                         "%s: is a checkpoint of version %" PRId64
                         ", this libsgt %s knows versions up to %d",
                         file->path, version, sgt_version(), SGTI_CHECKPOINT_VERSION);
    *found = (int32_t)version;
    return SGT_OK;
}

static sgt_status read_notes(sgti_numbers *numbers, const sgti_safetensors *file)
{
    for (size_t i = 0; i < COUNT(note_fields); i++)
        numbers->has_notes |= sgti_safetensors_metadata(file, note_fields[i].key) != NULL;
    return numbers->has_notes ? read_table(numbers, file, note_fields, COUNT(note_fields)) : SGT_OK;
}

static sgt_status refuse(const sgti_safetensors *file, const char *key)
{
    return sgti_fail(SGT_E_FORMAT, "%s: metadata: %s is not possible", file->path, key);
}

static sgt_status check_notes(const sgti_numbers *numbers, const sgti_safetensors *file)
{
    for (size_t i = 0; i < COUNT(note_fields); i++) {
        double value;
        memcpy(&value, (const char *)numbers + note_fields[i].offset, sizeof value);
        if (!(value >= 0.0) || isinf(value))
            return refuse(file, note_fields[i].key);
    }
    return SGT_OK;
}

static sgt_status check_entropies(const sgti_numbers *numbers, const sgti_safetensors *file)
{
    if (!numbers->entropy_unseen)
        return SGT_OK;
    if (numbers->entropy_kinds < SGT_ENTROPY_NONE || numbers->entropy_kinds > SGT_ENTROPY_BOTH)
        return refuse(file, "entropy.kinds");
    if (numbers->entropy_batches < 1)
        return refuse(file, "entropy.batches");
    if (numbers->entropy_passes < 1 ||
        numbers->entropy_passes > (SGT_PLAN_MAX_DEPTH + 1) * (SGT_PLAN_MAX_RUNS + 1))
        return refuse(file, "entropy.passes");
    return SGT_OK;
}

/* Refuses numbers that no training can have left. */
static sgt_status check_numbers(const sgti_numbers *numbers, const sgti_safetensors *file)
{
    sgt_optimizer_options options;
    if (!(numbers->executed_flops >= 0.0) || isinf(numbers->executed_flops))
        return refuse(file, "flops.executed");
    if (!(numbers->vanilla_flops >= 0.0) || isinf(numbers->vanilla_flops))
        return refuse(file, "flops.vanilla");
    if (numbers->has_optimizer && sgti_optimizer_options_read(&options, &numbers->options))
        return sgti_fail(SGT_E_FORMAT, "%s: metadata: optimizer: %s", file->path,
                         sgt_error_message());
    if (numbers->draws < 0 || numbers->draws > SGTI_MOST_STEPS)
        return refuse(file, "model.draws");
    if (numbers->steps < 0 || numbers->steps > SGTI_MOST_STEPS)
        return refuse(file, "optimizer.steps");
    if (numbers->updates < 0 || numbers->updates > numbers->steps)
        return refuse(file, "optimizer.updates");
    if (numbers->last_step < 0 || numbers->last_step > SGTI_MOST_STEPS)
        return refuse(file, "growth.last_step");
    sgt_status status = check_notes(numbers, file);
    return status ? status : check_entropies(numbers, file);
}

static int is_field(const char *key, const sgt_model_config *config, int draws)
{
    const struct {
        const sgti_field *fields;
        size_t count;
    } tables[] = {{draw_fields, draws ? COUNT(draw_fields) : 0},
                  {common_fields, COUNT(common_fields)},
                  {optimizer_fields, COUNT(optimizer_fields)},
                  {growth_fields, COUNT(growth_fields)},
                  {entropy_fields, COUNT(entropy_fields)},
                  {note_fields, COUNT(note_fields)}};
    for (size_t i = 0; i < COUNT(tables); i++) {
        for (size_t j = 0; j < tables[i].count; j++) {
            if (strcmp(tables[i].fields[j].key, key) == 0)
                return 1;
        }
    }
    return strcmp(key, VERSION_KEY) == 0 || sgti_is_config_key(key, config) ||
           sgti_is_tokens_key(key);
}

/* Refuses a file with a key that is not known here. A newer libsgt wrote it because without it
 * the training would be another one. */
static sgt_status refuse_unknown_keys(const sgti_safetensors *file, const sgt_model_config *config,
                                      int draws)
{
    static const char *const stems[] = {SGTI_HOST_PREFIX, SGTI_ST_CHECKSUM};
    const char *key;
    json_t *value;
    json_object_foreach(file->metadata, key, value) {
        int known = is_field(key, config, draws);
        for (size_t i = 0; i < COUNT(stems); i++)
            known |= strncmp(key, stems[i], strlen(stems[i])) == 0;
        if (!known)
            return sgti_fail(SGT_E_VERSION,
                             "%s: metadata: '%.80s' is not known to this libsgt %s: a newer one "
                             "wrote it",
                             file->path, key, sgt_version());
    }
    return SGT_OK;
}

sgt_status sgti_numbers_read(sgti_numbers *numbers, const sgti_safetensors *file)
{
    sgti_numbers own = {.config.size = sizeof own.config, .options.size = sizeof own.options};
    sgt_status status = read_version(&own.version, file);
    if (status == SGT_OK)
        status = sgti_config_read(&own.config, &own.blocks, file);
    const int draws = status == SGT_OK && sgti_blocks_draw(&own.config);
    if (draws)
        status = read_table(&own, file, draw_fields, COUNT(draw_fields));
    if (status == SGT_OK)
        status = read_table(&own, file, common_fields, COUNT(common_fields));
    if (status == SGT_OK && own.has_optimizer != 0 && own.has_optimizer != 1)
        status = refuse(file, "optimizer.saved");
    if (status == SGT_OK && own.has_growth != 0 && own.has_growth != 1)
        status = refuse(file, "growth.saved");
    if (status == SGT_OK && own.entropy_unseen != 0 && own.entropy_unseen != 1)
        status = refuse(file, "entropy.unseen");
    if (status == SGT_OK && own.has_optimizer)
        status = read_table(&own, file, optimizer_fields, COUNT(optimizer_fields));
    if (status == SGT_OK && own.has_growth)
        status = read_table(&own, file, growth_fields, COUNT(growth_fields));
    if (status == SGT_OK && own.entropy_unseen)
        status = read_table(&own, file, entropy_fields, COUNT(entropy_fields));
    if (status == SGT_OK)
        status = read_notes(&own, file);
    if (status == SGT_OK)
        status = sgti_tokens_read(&own.tokens, file);
    if (status == SGT_OK)
        status = refuse_unknown_keys(file, &own.config, draws);
    if (status == SGT_OK)
        status = check_numbers(&own, file);
    if (status)
        sgti_numbers_release(&own, file->memory);
    else
        *numbers = own;
    return status;
}

void sgti_numbers_release(sgti_numbers *numbers, sgti_memory *memory)
{
    sgti_blocks_free(&numbers->blocks, memory);
}
