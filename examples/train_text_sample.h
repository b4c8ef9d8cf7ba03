/* SPDX-License-Identifier: BSD-3-Clause */
/* What the model knows so far: its loss on text it has not seen, and text of its own. Both only
 * read the model, through sgt_model_evaluate. */
#ifndef TRAIN_TEXT_SAMPLE_H
#define TRAIN_TEXT_SAMPLE_H

#include <sgt/sgt.h>

#include "train_text_options.h"
#include "train_text_report.h"

/*
 * Bits per byte over consecutive windows of o->seq bytes (each byte predicted from those before it
 * in its window); of more than max_windows windows, that many evenly spread ones.
 */
sgt_status evaluate_text(evaluation *e, const sgt_model *model, const settings *o,
                         const unsigned char *bytes, size_t n_bytes, int64_t max_windows);

/* Generates and prints o->samples texts of o->sample_bytes bytes after the prompt. */
sgt_status print_samples(const sgt_model *model, const settings *o);

#endif
