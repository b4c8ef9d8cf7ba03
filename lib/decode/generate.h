/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of generating share: generate.c is the loop, generate_options.c its options. */
#ifndef SGTI_GENERATE_H
#define SGTI_GENERATE_H

#include <sgt/session.h>

/* Fills *own with the caller's options (NULL: the defaults), checked for a model. Where they give
 * no stop tokens and do not ignore eos, the model's eos are the stop tokens. */
sgt_status sgti_generate_options_read(sgt_session_generate_options *own,
                                      const sgt_session_generate_options *caller,
                                      const sgt_model *model);

/* 1 when this token ends a text. */
int sgti_is_stop_token(const sgt_session_generate_options *options, int32_t token);

/* 1 when the first `count` tokens of options->tokens end with one of the stop sequences. */
int sgti_ends_with_stop_sequence(const sgt_session_generate_options *options, int32_t count);

#endif
