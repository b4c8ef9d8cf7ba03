/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing config.json: its keys sorted, each on a line, numbers as short as they can be. */
#include "hf_config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../base/text.h"
#include "../core/config_fields.h"

enum { MOST_MEMBERS = SGTI_CONFIG_FIELDS + SGTI_BLOCK_FIELDS + 19 };

/* A text that grows; members of an object are written in any order, with a zero behind each. */
typedef struct page {
    char *text;
    size_t used;
    size_t room;
    size_t first[MOST_MEMBERS]; /* where each member begins */
    size_t n_members;
    int failed; /* out of memory, for good */
} page;

static void put(page *to, const char *text)
{
    size_t bytes = strlen(text);
    if (!to->failed && to->room - to->used <= bytes) { /* one more for the zero */
        size_t room = 2 * to->room + bytes + 1;
        char *grown = realloc(to->text, room);
        to->failed = grown == NULL;
        if (grown) {
            to->text = grown;
            to->room = room;
        }
    }
    if (to->failed)
        return;
    memcpy(to->text + to->used, text, bytes + 1);
    to->used += bytes;
}

static void put_key(page *to, const char *key)
{
    to->used += to->n_members > 0; /* behind the zero of the last member */
    to->first[to->n_members++] = to->used;
    put(to, "\"");
    put(to, key);
    put(to, "\": ");
}

static void put_integer(page *to, int32_t number)
{
    char text[16];
    sgti_format(text, sizeof text, "%" PRId32, number);
    put(to, text);
}

static void put_double(page *to, double number)
{
    char text[SGTI_DOUBLE_TEXT];
    sgti_print_double(text, number);
    put(to, text);
}

/* Texts are the library's own words and digits: nothing in them needs an escape. */
static void put_text(page *to, const char *text)
{
    put(to, "\"");
    put(to, text);
    put(to, "\"");
}

static void integer(page *to, const char *key, int32_t number)
{
    put_key(to, key);
    put_integer(to, number);
}

static void real(page *to, const char *key, double number)
{
    put_key(to, key);
    put_double(to, number);
}

static void text(page *to, const char *key, const char *value)
{
    put_key(to, key);
    put_text(to, value);
}

static void truth(page *to, const char *key, int value)
{
    put_key(to, key);
    put(to, value ? "true" : "false");
}

/* ---- what has a form of its own ---- */

/* Names the model such that a program which knows the name computes the same. */
static void names(page *to, const sgti_hf_description *of)
{
    static const char *const all[][2] = {{"llama", "LlamaForCausalLM"},
                                         {"sgt", "SgtForCausalLM"},
                                         {"mistral", "MistralForCausalLM"},
                                         {"ministral", "MinistralForCausalLM"}};
    const int own = of->plan || of->blocks || sgti_config_tells_more(of->model);
    const int i = own ? 1 : of->layer_types ? 3 : of->window > 0 ? 2 : 0;
    text(to, "model_type", all[i][0]);
    put_key(to, "architectures");
    put(to, "[\n    ");
    put_text(to, all[i][1]);
    put(to, "\n  ]");
}

/* Writes null where there is no token, since a reader that finds no key takes LLaMA's token. */
static void token(page *to, const char *key, int has, int32_t number)
{
    put_key(to, key);
    if (has)
        put_integer(to, number);
    else
        put(to, "null");
}

static void eos(page *to, const sgt_special_tokens *tokens)
{
    if (!tokens->eos_is_list && tokens->n_eos < 2) {
        token(to, "eos_token_id", tokens->n_eos, tokens->eos[0]);
        return;
    }
    put_key(to, "eos_token_id");
    put(to, "[");
    for (int32_t i = 0; i < tokens->n_eos; i++) {
        put(to, i > 0 ? ",\n    " : "\n    ");
        put_integer(to, tokens->eos[i]);
    }
    put(to, tokens->n_eos > 0 ? "\n  ]" : "]");
}

static void rope_parameters(page *to, double theta)
{
    put_key(to, "rope_parameters");
    put(to, "{\n    \"rope_theta\": ");
    put_double(to, theta);
    put(to, ",\n    \"rope_type\": \"default\"\n  }");
}

static void field(page *to, const sgti_config_field *field, const sgt_model_config *model)
{
    double value = sgti_config_get(model, field);
    if (field->kind == SGTI_CONFIG_REAL)
        real(to, field->hf_name, value);
    else if (field->kind == SGTI_CONFIG_FLAG)
        truth(to, field->hf_name, value != 0.0);
    else if (field->kind == SGTI_CONFIG_CHOICE)
        text(to, field->hf_name, field->words[(int32_t)value]);
    else
        integer(to, field->hf_name, (int32_t)value);
}

/* A list of words or of numbers. */
static void entries(page *to, const char *key, const json_t *list)
{
    put_key(to, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        put(to, i > 0 ? ",\n    " : "[\n    ");
        if (json_is_string(entry))
            put_text(to, json_string_value(entry));
        else if (json_is_integer(entry))
            put_integer(to, (int32_t)json_integer_value(entry));
        else
            put_double(to, json_real_value(entry));
    }
    put(to, "\n  ]");
}

static void entries_of_blocks(page *to, const char *key, const sgti_hf_description *of)
{
    const json_t *list = json_object_get(of->blocks, key);
    if (list)
        entries(to, key, list);
}

static void put_members(page *to, const sgti_hf_description *of)
{
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++) {
        if (sgti_config_is_told(of->model, &sgti_config_fields[i]))
            field(to, &sgti_config_fields[i], of->model);
    }
    names(to, of);
    text(to, "hidden_act", "silu");
    truth(to, "attention_bias", 0);
    truth(to, "mlp_bias", 0);
    rope_parameters(to, of->model->rope_theta);
    token(to, "bos_token_id", of->tokens->has_bos, of->tokens->bos);
    token(to, "pad_token_id", of->tokens->has_pad, of->tokens->pad);
    eos(to, of->tokens);
    real(to, "attention_dropout", of->notes->attention_dropout);
    real(to, "initializer_range", of->notes->initializer_range);
    text(to, "torch_dtype", of->dtype);
    if (of->window > 0)
        integer(to, "sliding_window", of->window);
    if (of->layer_types)
        entries(to, "layer_types", of->layer_types);
    if (of->plan)
        text(to, "sgt_plan", of->plan);
    for (size_t i = 0; i < SGTI_BLOCK_FIELDS; i++)
        entries_of_blocks(to, sgti_block_fields[i].hf_name, of);
    entries_of_blocks(to, SGTI_PATTERNS_HF_NAME, of);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Writes the members as an object, sorted: the quote that ends a key is less than what keys are
 * made of. */
static void put_sorted(page *to, const page *members)
{
    const char *list[MOST_MEMBERS];
    for (size_t i = 0; i < members->n_members; i++)
        list[i] = members->text + members->first[i];
    qsort(list, members->n_members, sizeof list[0], by_key);
    for (size_t i = 0; i < members->n_members; i++) {
        put(to, i > 0 ? ",\n  " : "{\n  ");
        put(to, list[i]);
    }
    put(to, "\n}");
}

char *sgti_hf_config_text(const sgti_hf_description *of)
{
    page members = {0}, whole = {0};
    put_members(&members, of);
    if (!members.failed)
        put_sorted(&whole, &members);
    free(members.text);
    if (!members.failed && !whole.failed)
        return whole.text;
    free(whole.text);
    return NULL;
}
