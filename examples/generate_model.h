/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding a model: a checkpoint, a folder of checkpoints, or a Hugging Face folder. */
#ifndef GENERATE_MODEL_H
#define GENERATE_MODEL_H

#include <sgt/sgt.h>

/* Loads from `path`. In a folder of checkpoints that of `step`, or the latest for 0. Returns an
 * exit status, after a message where it is not EXIT_DONE. */
int model_load(sgt_model **model, sgt_context *context, const char *path, int64_t step);

#endif
