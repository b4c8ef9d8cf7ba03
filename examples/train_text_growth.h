/* SPDX-License-Identifier: BSD-3-Clause */
/* What decides on the depth of the model: the policy that the settings name. */
#ifndef TRAIN_TEXT_GROWTH_H
#define TRAIN_TEXT_GROWTH_H

#include <sgt/sgt.h>

#include "train_text_options.h"
#include "train_text_schedule.h"

/* Makes the policy and its growth of `model`. Returns EXIT_DONE, or another exit status after a
 * message. */
int growth_open(sgt_growth_policy **policy, sgt_growth **growth, sgt_context *context,
                sgt_model *model, const settings *o, const schedule *plan);

#endif
