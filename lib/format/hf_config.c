/* SPDX-License-Identifier: BSD-3-Clause */
#include "hf_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/error.h"
#include "../core/config_fields.h"

/* Levels of nesting in what is read: the object itself, and in it rope_scaling or a list of
 * tokens. */
#define CONFIG_DEPTH 2

const sgti_hf_notes sgti_hf_default_notes = {.initializer_range = 0.02};

enum { MOST_NAME = 255 }; /* bytes of a file's name, where there are files */

/* What model_type says. A Mistral is a LLaMA with a window; a key that it lacks means other values
 * there. */
enum family { LLAMA, SGT, MISTRAL, MINISTRAL };
enum { MISTRAL_KV_HEADS = 8, MISTRAL_POSITIONS = 131072, MISTRAL_WINDOW = 4096 };

static const sgti_json_wanted rope_members[] = {
    {.key = "rope_type"},
    {.key = "type"},
    {.key = "partial_rotary_factor"},
    {.key = "rope_theta"},
    {.key = NULL},
};

/* What is read beside the fields of the model and its blocks. All else in config.json is other
 * programs' own. */
static const sgti_json_wanted wanted_beside[] = {
    {.key = "model_type"},
    {.key = "hidden_act"},
    {.key = "attention_bias"},
    {.key = "mlp_bias"},
    {.key = "partial_rotary_factor"},
    {.key = "rope_scaling", .members = rope_members},
    {.key = "rope_parameters", .members = rope_members},
    {.key = "sliding_window"},
    {.key = "use_sliding_window"},
    {.key = "layer_types"},
    {.key = "quantization_config", .presence = 1},
    {.key = "bos_token_id"},
    {.key = "eos_token_id"},
    {.key = "pad_token_id"},
    {.key = "initializer_range", .optional = 1},
    {.key = "attention_dropout", .optional = 1},
    {.key = "sgt_plan"},
    {.key = SGTI_PATTERNS_HF_NAME},
    {.key = "sgt_*", .presence = 1},
    {.key = NULL},
};

enum {
    N_BESIDE = sizeof wanted_beside / sizeof wanted_beside[0],
    N_WANTED = SGTI_CONFIG_FIELDS + SGTI_BLOCK_FIELDS + N_BESIDE
};

static const sgti_json_wanted wanted_of_generation[] = {
    {.key = "bos_token_id"},
    {.key = "eos_token_id"},
    {.key = "pad_token_id"},
    {.key = NULL},
};

typedef struct scan {
    const json_t *tree;
    const char *path;
    sgt_status status; /* the first failure stays */
} scan;

/* The value of a key; NULL when the key is missing or its value is null. */
static const json_t *get(const json_t *tree, const char *key)
{
    const json_t *value = json_object_get(tree, key);
    return json_is_null(value) ? NULL : value;
}

static void malformed(scan *s, const char *key, const char *what)
{
    if (s->status == SGT_OK)
        s->status = sgti_fail(SGT_E_FORMAT, "%s: %s %s", s->path, key, what);
}

/* Reads an integer. Without the key it is the fallback; when that is below 0, the key must be
 * there. */
static int32_t whole(scan *s, const char *key, int32_t fallback)
{
    int64_t number = 0;
    const json_t *value = get(s->tree, key);
    if (!value && fallback >= 0)
        return fallback;
    if (!value)
        malformed(s, key, "is missing");
    else if (!sgti_json_integer(&number, value, 1, INT32_MAX))
        malformed(s, key, "is not a whole number above 0");
    return (int32_t)number;
}

static double real(scan *s, const json_t *tree, const char *key, sgti_float32_range range,
                   double fallback)
{
    const json_t *value = get(tree, key);
    double number = json_number_value(value);
    if (!value)
        return fallback;
    if (!json_is_number(value) || !(range == SGTI_ABOVE_0 ? number > 0.0 : number >= 0.0))
        malformed(s, key, range == SGTI_ABOVE_0 ? "is not a number above 0"
                                                : "is not a number of at least 0");
    return number;
}

static int truth(scan *s, const char *key, int fallback)
{
    const json_t *value = get(s->tree, key);
    if (!value)
        return fallback;
    if (!json_is_boolean(value))
        malformed(s, key, "is neither true nor false");
    return json_is_true(value);
}

static void unsupported(scan *s, const char *key, const char *what)
{
    if (s->status == SGT_OK)
        s->status = sgti_fail(SGT_E_UNSUPPORTED, "%s: %s %.80s is not supported", s->path, key,
                              what);
}

/* Reads a string that must be one of two; NULL where the key is missing. */
static const char *word(scan *s, const json_t *tree, const char *key, const char *one,
                        const char *other)
{
    const json_t *value = get(tree, key);
    const char *text = json_string_value(value);
    if (!value)
        return NULL;
    if (!text)
        malformed(s, key, "is not a string");
    else if (strcmp(text, one) != 0 && strcmp(text, other) != 0)
        unsupported(s, key, text);
    return text;
}

/* Says that this key, or its value, is one that only a newer libsgt can have written. */
static void newer(scan *s, const char *key, const char *value)
{
    if (s->status == SGT_OK)
        s->status = sgti_fail(SGT_E_VERSION,
                              "%s: %.80s%s%.40s is not known to this libsgt %s: a newer one wrote "
                              "it",
                              s->path, key, *value ? " " : "", value, sgt_version());
}

static void check_rotary_part(scan *s, const json_t *tree)
{
    static const char key[] = "partial_rotary_factor";
    if (real(s, tree, key, SGTI_ABOVE_0, 1.0) != 1.0)
        unsupported(s, key, "other than 1");
}

/* Checks the kind of rotary positions, and takes rope_theta from where newer files have it: older
 * ones have rope_theta and rope_scaling, newer ones have both in rope_parameters. */
static void read_rotation(scan *s, sgt_model_config *model)
{
    static const char *const blocks[] = {"rope_scaling", "rope_parameters"};
    for (int i = 0; i < 2; i++) {
        const json_t *block = get(s->tree, blocks[i]);
        if (!block)
            continue;
        if (!json_is_object(block)) {
            malformed(s, blocks[i], "is not an object");
            continue;
        }
        word(s, block, "rope_type", "default", "default");
        word(s, block, "type", "default", "default");
        check_rotary_part(s, block);
        model->rope_theta = real(s, block, "rope_theta", SGTI_ABOVE_0, model->rope_theta);
    }
    check_rotary_part(s, s->tree);
}

static void refuse_what_is_not_done(scan *s)
{
    static const char *const biases[] = {"attention_bias", "mlp_bias"};
    for (int i = 0; i < 2; i++) {
        if (truth(s, biases[i], 0))
            unsupported(s, biases[i], "true");
    }
    if (get(s->tree, "quantization_config"))
        unsupported(s, "quantization_config", "(anything but null)");
    word(s, s->tree, "hidden_act", "silu", "swish");
}

/* ---- special tokens: any number, since folders have -1 and vocab_size for pad ---- */

static int is_token(int32_t *token, const json_t *value)
{
    int64_t number;
    if (!sgti_json_integer(&number, value, INT32_MIN, INT32_MAX))
        return 0;
    *token = (int32_t)number;
    return 1;
}

/* Reads a token, or a list of one. A token that is known already stays as it is. */
static void read_token(scan *s, const char *key, int32_t *has, int32_t *token)
{
    const json_t *value = get(s->tree, key);
    if (!value || *has)
        return;
    if (json_is_array(value) && json_array_size(value) == 1)
        value = json_array_get(value, 0);
    if (is_token(token, value))
        *has = 1;
    else
        malformed(s, key, "is no token id");
}

static void read_eos(scan *s, sgt_special_tokens *tokens)
{
    static const char key[] = "eos_token_id";
    const json_t *value = get(s->tree, key);
    if (!value || tokens->n_eos > 0 || tokens->eos_is_list)
        return;
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    int done = count <= SGT_MAX_EOS_TOKENS;
    for (size_t i = 0; i < count && done; i++)
        done = is_token(&tokens->eos[i], json_is_array(value) ? json_array_get(value, i) : value);
    if (!done)
        malformed(s, key, "is neither a token id nor a list of at most 64");
    tokens->n_eos = (int32_t)count;
    tokens->eos_is_list = json_is_array(value);
}

static void read_tokens(scan *s, sgt_special_tokens *tokens)
{
    read_token(s, "bos_token_id", &tokens->has_bos, &tokens->bos);
    read_eos(s, tokens);
    read_token(s, "pad_token_id", &tokens->has_pad, &tokens->pad);
}

sgt_status sgti_hf_generation_parse(sgt_special_tokens *tokens, const char *text, uint64_t bytes,
                                    const char *path)
{
    sgt_special_tokens own = *tokens;
    json_t *tree = NULL;
    sgt_status status =
        sgti_json_parse(&tree, text, bytes, wanted_of_generation, CONFIG_DEPTH, path);
    if (status)
        return status;
    scan s = {.tree = tree, .path = path};
    read_tokens(&s, &own);
    json_decref(tree);
    if (s.status == SGT_OK)
        *tokens = own;
    return s.status;
}

/* ---- what is kept for others ---- */

static double note(const json_t *tree, const char *key, double fallback)
{
    const json_t *value = json_object_get(tree, key);
    double number = json_number_value(value);
    return json_is_number(value) && number >= 0.0 ? number : fallback;
}

static sgti_hf_notes read_notes(const json_t *tree)
{
    const sgti_hf_notes *or = &sgti_hf_default_notes;
    return (sgti_hf_notes){
        .initializer_range = note(tree, "initializer_range", or->initializer_range),
        .attention_dropout = note(tree, "attention_dropout", or->attention_dropout)};
}

static int is_own_key(const char *key)
{
    int known = strcmp(key, "sgt_plan") == 0 || strcmp(key, SGTI_PATTERNS_HF_NAME) == 0;
    for (size_t i = 0; i < SGTI_BLOCK_FIELDS; i++)
        known |= strcmp(key, sgti_block_fields[i].hf_name) == 0;
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++)
        known |= strcmp(key, sgti_config_fields[i].hf_name) == 0;
    return known;
}

/* Keys that only a newer libsgt can have written. Without them its model would be another one. */
static void refuse_unknown_keys(scan *s, json_t *tree)
{
    const char *key;
    json_t *value;
    json_object_foreach(tree, key, value) {
        if (strncmp(key, "sgt_", 4) == 0 && !is_own_key(key))
            newer(s, key, "");
    }
}

static enum family read_family(scan *s, json_t *tree)
{
    static const char *const types[] = {"llama", "sgt", "mistral", "ministral"};
    static const char key[] = "model_type";
    const json_t *value = get(s->tree, key);
    const char *type = json_string_value(value);
    if (!type) {
        malformed(s, key, value ? "is not a string" : "is missing");
        return LLAMA;
    }
    for (int i = LLAMA; i <= MINISTRAL; i++) {
        if (strcmp(type, types[i]) == 0) {
            if (i == SGT)
                refuse_unknown_keys(s, tree);
            return (enum family)i;
        }
    }
    unsupported(s, key, type);
    return LLAMA;
}

static int32_t choice(scan *s, const sgti_config_field *field)
{
    const json_t *value = get(s->tree, field->hf_name);
    const char *text = json_string_value(value);
    const int32_t number = text ? sgti_config_find_word(field, text) : (int32_t)field->hf_initial;
    if (value && !text)
        malformed(s, field->hf_name, "is not a string");
    else if (number < 0)
        newer(s, field->hf_name, text);
    return number;
}

static double read_field(scan *s, const sgti_config_field *field)
{
    switch (field->kind) {
    case SGTI_CONFIG_FLAG:
        return truth(s, field->hf_name, (int)field->hf_initial);
    case SGTI_CONFIG_REAL:
        return real(s, s->tree, field->hf_name, field->range, field->hf_initial);
    case SGTI_CONFIG_CHOICE:
        return choice(s, field);
    default:
        return whole(s, field->hf_name, (int32_t)field->hf_initial);
    }
}

static int is_missing(const scan *s, const char *key)
{
    return !json_object_get(s->tree, key);
}

static void read_model(scan *s, sgt_model_config *model, enum family family)
{
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++)
        sgti_config_set(model, &sgti_config_fields[i], read_field(s, &sgti_config_fields[i]));
    read_rotation(s, model);
    if (family < MISTRAL)
        return;
    if (is_missing(s, "num_key_value_heads"))
        model->n_kv_heads = MISTRAL_KV_HEADS;
    if (is_missing(s, "max_position_embeddings"))
        model->max_seq_len = MISTRAL_POSITIONS;
}

/* ---- sliding windows ---- */

/* Checks that there is a word for each layer, and that those which slide have a window. Returns
 * how many slide. */
static int32_t check_layer_types(scan *s, const json_t *list, const sgti_hf_config *config)
{
    static const char key[] = "layer_types";
    int32_t sliding = 0;
    const json_t *value;
    size_t i;
    if (!json_is_array(list) || (int64_t)json_array_size(list) != config->model.n_layers)
        malformed(s, key, "is not a list with a word for each layer");
    json_array_foreach(list, i, value) {
        const char *name = json_string_value(value);
        if (!name)
            malformed(s, key, "holds something else than words");
        else if (strcmp(name, SGTI_HF_SLIDING) == 0)
            sliding++;
        else if (strcmp(name, SGTI_HF_FULL) != 0)
            unsupported(s, key, name);
    }
    if (sliding > 0 && config->window == 0)
        malformed(s, key, "has " SGTI_HF_SLIDING ", but sliding_window is null");
    return sliding;
}

/*
 * Reads which layers see a window of keys, as transformers does it: all of a Mistral where
 * sliding_window is not null, of a Ministral those that layer_types names. No other folder slides,
 * whatever these keys say: transformers passes over them, but whoever wrote a window meant one.
 */
static void read_windows(scan *s, sgti_hf_config *config, enum family family)
{
    static const char key[] = "sliding_window";
    const json_t *list = get(s->tree, "layer_types");
    const int in_use = truth(s, "use_sliding_window", 1);
    if (family < MISTRAL) {
        if (get(s->tree, key) && in_use)
            unsupported(s, key, "of another model_type than mistral and ministral");
        return;
    }
    config->window = is_missing(s, key) ? MISTRAL_WINDOW : whole(s, key, 0);
    if (config->window > 0 && !in_use)
        unsupported(s, "use_sliding_window", "false, which transformers passes over here,");
    if (!list)
        return;
    const int32_t sliding = check_layer_types(s, list, config);
    /* AutoModel takes the words then, MistralForCausalLM does not. */
    if (family == MISTRAL && sliding != (config->window > 0 ? config->model.n_layers : 0))
        unsupported(s, "layer_types", "other than sliding_window says of a mistral");
    if (sliding == 0)
        config->window = 0;
    else if (sliding < config->model.n_layers)
        config->layer_types = list;
}

/* The plan as text, which the tree owns; NULL where there is none. */
static const char *read_plan(scan *s)
{
    const json_t *plan = get(s->tree, "sgt_plan");
    if (plan && !json_is_string(plan))
        malformed(s, "sgt_plan", "is not a string");
    return json_string_value(plan);
}

static void list_wanted(sgti_json_wanted wanted[N_WANTED])
{
    for (size_t i = 0; i < SGTI_CONFIG_FIELDS; i++)
        *wanted++ = (sgti_json_wanted){.key = sgti_config_fields[i].hf_name};
    for (size_t i = 0; i < SGTI_BLOCK_FIELDS; i++)
        *wanted++ = (sgti_json_wanted){.key = sgti_block_fields[i].hf_name};
    memcpy(wanted, wanted_beside, sizeof wanted_beside);
}

sgt_status sgti_hf_config_parse(sgti_hf_config *config, const char *text, uint64_t bytes,
                                const char *path)
{
    sgti_json_wanted wanted[N_WANTED];
    sgti_hf_config own = {.model.size = sizeof own.model, .tokens.size = sizeof own.tokens};
    list_wanted(wanted);
    sgt_status status = sgti_json_parse(&own.tree, text, bytes, wanted, CONFIG_DEPTH, path);
    if (status)
        return status;
    scan s = {.tree = own.tree, .path = path};
    const enum family family = read_family(&s, own.tree);
    refuse_what_is_not_done(&s);
    read_model(&s, &own.model, family);
    read_windows(&s, &own, family);
    read_tokens(&s, &own.tokens);
    own.notes = read_notes(own.tree);
    own.plan = read_plan(&s);
    if (s.status) {
        sgti_hf_config_close(&own);
        return s.status;
    }
    *config = own;
    return SGT_OK;
}

void sgti_hf_config_close(sgti_hf_config *config)
{
    json_decref(config->tree);
    *config = (sgti_hf_config){0};
}

sgt_status sgti_hf_check_shard(const char *shard, const char *path)
{
    if (!shard)
        return sgti_fail(SGT_E_FORMAT, "%s: weight_map holds something else than names", path);
    if (strlen(shard) > MOST_NAME || shard[0] == '\0' || shard[0] == '.' || strchr(shard, '/') ||
        strchr(shard, '\\'))
        return sgti_fail(SGT_E_FORMAT, "%s: weight_map: '%.80s' is no file of this folder", path,
                         shard);
    return SGT_OK;
}
