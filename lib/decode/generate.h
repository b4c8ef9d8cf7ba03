/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of generating share: generate.c is the loop, generate_options.c its options. */
#ifndef SGTI_GENERATE_H
#define SGTI_GENERATE_H

#include <sgt/session.h>

/* The caller's options, checked for a model, with its eos where no stop tokens are given; NULL: the
 * defaults. */
sgt_status sgti_generate_options_read(sgt_session_generate_options *own,
                                      const sgt_session_generate_options *caller, const sgt_model *model);

/* Whether a text ends with this token, or, of `count` tokens in options->tokens, with a list. */
int sgti_is_stop_token(const sgt_session_generate_options *options, int32_t token);
int sgti_ends_with_stop_sequence(const sgt_session_generate_options *options, int32_t count);

#endif
