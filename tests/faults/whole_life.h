/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A life with everything in it: a training that grows, a checkpoint that it goes on from in new
 * handles and in old ones, evaluations, decoding in a session, a Hugging Face folder there and
 * back, a folder of checkpoints kept short.
 */
#ifndef SGTT_WHOLE_LIFE_H
#define SGTT_WHOLE_LIFE_H

#include "training_life.h"

/* Lives it in the scratch folder, which is emptied first. */
void whole_life_run(training_life *life);

#endif
