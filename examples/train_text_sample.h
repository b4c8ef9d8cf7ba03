/* SPDX-License-Identifier: BSD-3-Clause */
/* What the model knows so far: its loss on text it has not seen, by sgt_model_evaluate, and text of
 * its own, by a session. Both only read the model. */
#ifndef TRAIN_TEXT_SAMPLE_H
#define TRAIN_TEXT_SAMPLE_H

#include <sgt/sgt.h>

#include "train_text_options.h"
#include "train_text_report.h"

/* Windows of o->seq bytes in a text of at least 2; the last may be short. */
int64_t held_out_windows(const settings *o, size_t n_bytes);

/*
 * Bits per byte over consecutive windows of o->seq bytes (each byte predicted from those before it
 * in its window); of more than max_windows windows, that many evenly spread ones.
 */
sgt_status evaluate_text(evaluation *e, const sgt_model *model, const settings *o,
                         const unsigned char *bytes, size_t n_bytes, int64_t max_windows);

/* Prints o->samples texts of o->sample_bytes bytes after the prompt, as they are generated. */
sgt_status print_samples(sgt_context *context, const sgt_model *model, const settings *o);

#endif
