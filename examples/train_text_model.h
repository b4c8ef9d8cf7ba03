/* SPDX-License-Identifier: BSD-3-Clause */
/* The model that the settings ask for. */
#ifndef TRAIN_TEXT_MODEL_H
#define TRAIN_TEXT_MODEL_H

#include <sgt/sgt.h>

#include "train_text_options.h"

/* Makes it with its first weights. Returns EXIT_DONE, or another exit status after a message. */
int model_open(sgt_model **model, sgt_context *context, const settings *o);

#endif
