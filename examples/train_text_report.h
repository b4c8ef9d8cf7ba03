/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a run tells: lines for people on standard output and, on demand, one JSON object per line
 * in a file:
 *
 *     {"type":"run", ...}     the model, the plan of the run
 *     {"type":"step", ...}    every optimizer step
 *     {"type":"growth", ...}  what the policy did
 *     {"type":"eval", ...}    bits per byte of held-out text
 *     {"type":"end", ...}     totals
 *
 * Numbers that are not finite are null.
 */
#ifndef TRAIN_TEXT_REPORT_H
#define TRAIN_TEXT_REPORT_H

#include <stdio.h>

#include <sgt/sgt.h>

#include "train_text_options.h"
#include "train_text_schedule.h"

typedef struct reporter {
    FILE *log; /* NULL: no JSON */
    const char *log_path;
    const schedule *plan;
    double last_line;   /* when the last progress line was printed */
    double loss_sum;    /* since then */
    double flops_then;  /* executed until then */
    int64_t steps_since;
    int64_t bytes_per_step;
} reporter;

typedef struct evaluation {
    double bits_per_byte;
    int64_t bytes;  /* predicted */
    int64_t of;     /* bytes that could be */
} evaluation;

/* Opens the log. Returns an exit status. */
int report_open(reporter *r, const settings *o);

/* Flushes and closes the log; EXIT_FAILED when something could not be written. */
int report_close(reporter *r);

void report_start(reporter *r, const settings *o, const schedule *plan, const sgt_context *context,
                  const sgt_model *model);
void report_step(reporter *r, double loss, const sgt_step_report *step, const sgt_model *model,
                 double seconds);
void report_growth(reporter *r, int64_t step, const sgt_growth_event *event);
void report_evaluation(reporter *r, int64_t step, const evaluation *e);

/* Totals, and what the depth costs against the same model without loops; `seconds` of training. */
void report_end(reporter *r, int64_t steps, double seconds, const evaluation *e,
                const sgt_model *model);

#endif
