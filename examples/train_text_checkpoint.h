/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saving a run and going on with it. A file has all that libsgt knows, and as strings what this
 * program must know: the settings that make the data of a step, and the plan of the run. Both are
 * the same for a run that was stopped and one that was not, whatever its threads.
 */
#ifndef TRAIN_TEXT_CHECKPOINT_H
#define TRAIN_TEXT_CHECKPOINT_H

#include <sgt/sgt.h>

#include "train_text_data.h"
#include "train_text_options.h"
#include "train_text_schedule.h"

/* Makes the folder of --checkpoint and, with --resume, opens its latest file; *checkpoint stays
 * NULL when there is none. Refuses a file of other data. Returns an exit status. */
int checkpoint_find(sgt_checkpoint **checkpoint, sgt_context *context, const settings *o,
                    const corpus *text);

/* The plan that the run was started with. Returns an exit status. */
int checkpoint_read_plan(schedule *plan, const sgt_checkpoint *checkpoint, const settings *o);

/* Saves what follows the last finished step, and removes what --keep does not keep. */
sgt_status checkpoint_save(const settings *o, const corpus *text, const schedule *plan,
                           const sgt_model *model, const sgt_optimizer *optimizer,
                           const sgt_growth *growth);

#endif
