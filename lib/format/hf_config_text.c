/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing config.json: its keys sorted, each on a line, numbers as short as they can be. */
#include "hf_config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../base/text.h"

typedef struct page {
    char *text;
    size_t used;
    size_t room;
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
    put(to, to->used > 0 ? ",\n  \"" : "{\n  \"");
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

static void architectures(page *to, int has_plan)
{
    put_key(to, "architectures");
    put(to, "[\n    ");
    put_text(to, has_plan ? "SgtForCausalLM" : "LlamaForCausalLM");
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

char *sgti_hf_config_text(const sgti_hf_description *of)
{
    const sgt_model_config *model = of->model;
    page to = {0};
    architectures(&to, of->plan != NULL);
    truth(&to, "attention_bias", 0);
    real(&to, "attention_dropout", of->notes->attention_dropout);
    token(&to, "bos_token_id", of->tokens->has_bos, of->tokens->bos);
    eos(&to, of->tokens);
    integer(&to, "head_dim", model->head_dim);
    text(&to, "hidden_act", "silu");
    integer(&to, "hidden_size", model->d_model);
    real(&to, "initializer_range", of->notes->initializer_range);
    integer(&to, "intermediate_size", model->d_ff);
    integer(&to, "max_position_embeddings", model->max_seq_len);
    truth(&to, "mlp_bias", 0);
    text(&to, "model_type", of->plan ? "sgt" : "llama");
    integer(&to, "num_attention_heads", model->n_heads);
    integer(&to, "num_hidden_layers", model->n_layers);
    integer(&to, "num_key_value_heads", model->n_kv_heads);
    token(&to, "pad_token_id", of->tokens->has_pad, of->tokens->pad);
    real(&to, "rms_norm_eps", model->norm_eps);
    rope_parameters(&to, model->rope_theta);
    real(&to, "rope_theta", model->rope_theta);
    if (of->plan)
        text(&to, "sgt_plan", of->plan);
    truth(&to, "tie_word_embeddings", model->tied);
    text(&to, "torch_dtype", of->dtype);
    integer(&to, "vocab_size", model->vocab_size);
    put(&to, "\n}");
    if (!to.failed)
        return to.text;
    free(to.text);
    return NULL;
}
