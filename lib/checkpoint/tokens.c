/* SPDX-License-Identifier: BSD-3-Clause */
/* Special tokens as metadata of a checkpoint: decimal numbers, with spaces between those of a list.
 * Only tokens that are there have a key, so that a model without any gives the same file as
 * releases that did not know them. */
#include "checkpoint.h"

#include <inttypes.h>
#include <string.h>

#include "../base/error.h"
#include "../base/text.h"

#define BOS      "tokens.bos"
#define PAD      "tokens.pad"
#define EOS      "tokens.eos"
#define EOS_LIST "tokens.eos_list" /* instead of EOS, where config.json has a list, even of one */

enum { TOKEN_TEXT = 12 };

static int write_ids(json_t *metadata, const char *key, const int32_t *ids, int32_t count)
{
    char text[SGT_MAX_EOS_TOKENS * TOKEN_TEXT + 1] = "";
    size_t used = 0;
    for (int32_t i = 0; i < count; i++)
        used += (size_t)sgti_format(text + used, sizeof text - used, "%s%" PRId32,
                                    i > 0 ? " " : "", ids[i]);
    return json_object_set_new(metadata, key, json_string(text));
}

int sgti_tokens_write(json_t *metadata, const sgt_special_tokens *tokens)
{
    int failed = 0;
    if (tokens->has_bos)
        failed |= write_ids(metadata, BOS, &tokens->bos, 1);
    if (tokens->has_pad)
        failed |= write_ids(metadata, PAD, &tokens->pad, 1);
    if (tokens->eos_is_list)
        failed |= write_ids(metadata, EOS_LIST, tokens->eos, tokens->n_eos);
    else if (tokens->n_eos > 0)
        failed |= write_ids(metadata, EOS, tokens->eos, tokens->n_eos);
    return failed;
}

static sgt_status refuse(const sgti_safetensors *file, const char *key)
{
    return sgti_fail(SGT_E_FORMAT, "%s: metadata: %s is '%.40s'", file->path, key,
                     sgti_safetensors_metadata(file, key));
}

/* Reads at most `most` ids; *count becomes 0 where the key is not there. */
static sgt_status read_ids(int32_t *ids, int32_t *count, int32_t most,
                           const sgti_safetensors *file, const char *key)
{
    const char *text = sgti_safetensors_metadata(file, key);
    *count = 0;
    while (text && text[0] != '\0') {
        char one[TOKEN_TEXT + 1];
        int64_t id;
        size_t length = strcspn(text, " ");
        if (*count == most || length >= sizeof one)
            return refuse(file, key);
        memcpy(one, text, length);
        one[length] = '\0';
        if (!sgti_text_to_whole(&id, one, INT32_MIN, INT32_MAX))
            return refuse(file, key);
        ids[(*count)++] = (int32_t)id;
        text += length + (text[length] == ' ');
    }
    return SGT_OK;
}

static sgt_status read_id(int32_t *id, int32_t *has, const sgti_safetensors *file, const char *key)
{
    sgt_status status = read_ids(id, has, 1, file, key);
    if (status == SGT_OK && *has == 0 && sgti_safetensors_metadata(file, key))
        return refuse(file, key);
    return status;
}

int sgti_is_tokens_key(const char *key)
{
    static const char *const keys[] = {BOS, PAD, EOS, EOS_LIST};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i], key) == 0)
            return 1;
    }
    return 0;
}

sgt_status sgti_tokens_read(sgt_special_tokens *tokens, const sgti_safetensors *file)
{
    sgt_special_tokens own = {.eos_is_list = sgti_safetensors_metadata(file, EOS_LIST) != NULL};
    if (own.eos_is_list && sgti_safetensors_metadata(file, EOS))
        return sgti_fail(SGT_E_FORMAT, "%s: metadata: both " EOS " and " EOS_LIST, file->path);
    sgt_status status = read_ids(own.eos, &own.n_eos, SGT_MAX_EOS_TOKENS, file,
                                 own.eos_is_list ? EOS_LIST : EOS);
    if (status == SGT_OK)
        status = read_id(&own.bos, &own.has_bos, file, BOS);
    if (status == SGT_OK)
        status = read_id(&own.pad, &own.has_pad, file, PAD);
    if (status)
        return status;
    if (own.has_bos || own.has_pad || own.n_eos > 0 || own.eos_is_list)
        own.size = sizeof own;
    *tokens = own;
    return SGT_OK;
}
