/* SPDX-License-Identifier: BSD-3-Clause */
/* The ids of special tokens that go with a model. */
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "model.h"

#define TOKENS_MINIMUM SGTI_SIZE_THROUGH(sgt_special_tokens, eos)

sgt_status sgti_special_tokens_check(const sgt_special_tokens *tokens, const char *where)
{
    const struct {
        const char *name;
        int32_t value;
        int32_t most;
    } fields[] = {{"has_bos", tokens->has_bos, 1},
                  {"has_pad", tokens->has_pad, 1},
                  {"eos_is_list", tokens->eos_is_list, 1},
                  {"n_eos", tokens->n_eos, SGT_MAX_EOS_TOKENS}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (fields[i].value < 0 || fields[i].value > fields[i].most)
            return sgti_fail(SGT_E_OUT_OF_RANGE, "%s%s is %d, must be 0 to %d", where,
                             fields[i].name, (int)fields[i].value, (int)fields[i].most);
    }
    return SGT_OK;
}

sgt_status sgt_model_get_special_tokens(sgt_special_tokens *tokens, const sgt_model *model)
{
    SGTI_DEFAULT_FLOATS;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = sgti_struct_check(tokens, TOKENS_MINIMUM, "sgt_special_tokens");
    if (status)
        return status;
    sgti_struct_write(tokens, &model->tokens, sizeof model->tokens);
    return SGT_OK;
}

/* Sets ids that are not there to 0, so that equal tokens are equal bytes. */
static void clear_rest(sgt_special_tokens *tokens)
{
    if (!tokens->has_bos)
        tokens->bos = 0;
    if (!tokens->has_pad)
        tokens->pad = 0;
    memset(tokens->eos + tokens->n_eos, 0,
           (size_t)(SGT_MAX_EOS_TOKENS - tokens->n_eos) * sizeof *tokens->eos);
}

sgt_status sgt_model_set_special_tokens(sgt_model *model, const sgt_special_tokens *tokens)
{
    SGTI_DEFAULT_FLOATS;
    sgt_special_tokens own = {.size = sizeof own};
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgt_status status = SGT_OK;
    if (tokens)
        status = sgti_struct_read(&own, sizeof own, tokens, TOKENS_MINIMUM, "sgt_special_tokens");
    if (status == SGT_OK)
        status = sgti_special_tokens_check(&own, "sgt_special_tokens.");
    if (status)
        return status;
    clear_rest(&own);
    model->tokens = own;
    return SGT_OK;
}
