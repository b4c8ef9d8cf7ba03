/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of a text that is generated: their defaults and checks. Every message names the
 * field. */
#include "generate.h"

#include <string.h>

#include "../base/error.h"
#include "../base/structs.h"
#include "../model/model.h"

#define OPTIONS_MINIMUM SGTI_SIZE_THROUGH(sgt_session_generate_options, user)

static const sgt_session_generate_options default_options = {.size = sizeof default_options};

sgt_status sgt_session_generate_options_init(sgt_session_generate_options *options, size_t size)
{
    return sgti_struct_init(options, size, &default_options, sizeof default_options,
                            OPTIONS_MINIMUM, "sgt_session_generate_options");
}

/* ---- checks ---- */

static sgt_status check_count(int32_t count, const char *field)
{
    if (count >= 0)
        return SGT_OK;
    return sgti_fail(SGT_E_OUT_OF_RANGE, "sgt_session_generate_options.%s is %d, below 0", field,
                     (int)count);
}

static sgt_status check_tokens(const int32_t *tokens, int64_t count, const char *field,
                               int32_t vocab_size)
{
    for (int64_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= vocab_size)
            return sgti_fail(SGT_E_OUT_OF_RANGE,
                             "sgt_session_generate_options.%s[%lld] is %d, not in 0 .. %d", field,
                             (long long)i, (int)tokens[i], (int)vocab_size - 1);
    return SGT_OK;
}

static sgt_status check_stop_sequences(const sgt_session_generate_options *o, int32_t vocab_size)
{
    int64_t tokens = 0;
    if (o->n_stop_sequences == 0)
        return SGT_OK;
    if (!o->stop_sequences || !o->stop_lengths)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "sgt_session_generate_options.%s is NULL, n_stop_sequences is %d",
                         !o->stop_sequences ? "stop_sequences" : "stop_lengths",
                         (int)o->n_stop_sequences);
    if (!o->tokens)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "sgt_session_generate_options.tokens is NULL: it is where "
                         "stop_sequences are looked for");
    for (int32_t i = 0; i < o->n_stop_sequences; i++) {
        if (o->stop_lengths[i] < 1)
            return sgti_fail(SGT_E_OUT_OF_RANGE,
                             "sgt_session_generate_options.stop_lengths[%d] is %d, not at least 1",
                             (int)i, (int)o->stop_lengths[i]);
        tokens += o->stop_lengths[i];
    }
    return check_tokens(o->stop_sequences, tokens, "stop_sequences", vocab_size);
}

static sgt_status check_options(const sgt_session_generate_options *o, int32_t vocab_size)
{
    sgt_status status = check_count(o->max_tokens, "max_tokens");
    if (status == SGT_OK)
        status = check_count(o->n_stop_tokens, "n_stop_tokens");
    if (status == SGT_OK)
        status = check_count(o->n_stop_sequences, "n_stop_sequences");
    if (status)
        return status;
    if (o->tokens && o->max_tokens == 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "sgt_session_generate_options.max_tokens is 0: how many has the array "
                         "`tokens`?");
    if (!o->stop_tokens && o->n_stop_tokens > 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "sgt_session_generate_options.stop_tokens is NULL, n_stop_tokens is %d",
                         (int)o->n_stop_tokens);
    if (o->ignore_eos >> 1)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "sgt_session_generate_options.ignore_eos is %d, not 0 or 1",
                         (int)o->ignore_eos);
    status = sgti_check_reserved(o->reserved, "sgt_session_generate_options");
    if (status == SGT_OK)
        status = check_tokens(o->stop_tokens, o->n_stop_tokens, "stop_tokens", vocab_size);
    return status ? status : check_stop_sequences(o, vocab_size);
}

sgt_status sgti_generate_options_read(sgt_session_generate_options *own,
                                      const sgt_session_generate_options *caller,
                                      const sgt_model *model)
{
    sgt_status status = SGT_OK;
    *own = default_options;
    if (caller)
        status = sgti_struct_read(own, sizeof *own, caller, OPTIONS_MINIMUM,
                                  "sgt_session_generate_options");
    if (status == SGT_OK)
        status = check_options(own, model->config.vocab_size);
    if (status == SGT_OK && !own->stop_tokens && !own->ignore_eos) {
        own->stop_tokens = model->tokens.eos; /* an id beyond the vocabulary is never picked */
        own->n_stop_tokens = model->tokens.n_eos;
    }
    return status;
}

/* ---- ends ---- */

int sgti_is_stop_token(const sgt_session_generate_options *o, int32_t token)
{
    for (int32_t i = 0; i < o->n_stop_tokens; i++)
        if (o->stop_tokens[i] == token)
            return 1;
    return 0;
}

int sgti_ends_with_stop_sequence(const sgt_session_generate_options *o, int32_t count)
{
    const int32_t *sequence = o->stop_sequences;
    for (int32_t i = 0; i < o->n_stop_sequences; i++) {
        int32_t length = o->stop_lengths[i];
        if (length <= count &&
            !memcmp(o->tokens + count - length, sequence, (size_t)length * sizeof *sequence))
            return 1;
        sequence += length;
    }
    return 0;
}
