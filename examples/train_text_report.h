/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a run tells: lines for people on standard output and, on demand, one JSON object per line
 * in a file:
 *
 *     {"type":"run", ...}     the model, the plan of the run
 *     {"type":"step", ...}    every optimizer step
 *     {"type":"entropy", ...} of attention, [layer][pass][head] with null for what did not run
 *     {"type":"growth", ...}  what the policy did
 *     {"type":"depth", ...}   per layer: extra passes, extra runs, the heads that stay in a loop
 *     {"type":"eval", ...}    bits per byte of held-out text
 *     {"type":"end", ...}     totals, and what a byte costs in training, evaluation and decoding
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
    double aside;       /* seconds since then that were no training steps */
    double loss_sum;    /* since then */
    double flops_then;  /* executed until then */
    int64_t steps_since;
    int64_t bytes_per_step;
    int64_t entropy_every;
    double *entropies; /* of the heads of a pass */
} reporter;

typedef struct evaluation {
    double bits_per_byte;
    int64_t bytes;  /* predicted */
    int64_t of;     /* bytes that could be */
} evaluation;

/* Opens the log; with one, training forwards shall collect entropies. Returns an exit status. */
int report_open(reporter *r, const settings *o);

/* Flushes and closes the log; EXIT_FAILED when something could not be written. */
int report_close(reporter *r);

/* `done`: the steps that a resumed run has behind it. */
void report_start(reporter *r, const settings *o, const schedule *plan, const sgt_context *context,
                  const sgt_model *model, int64_t done);
void report_step(reporter *r, double loss, const sgt_step_report *step, const sgt_model *model,
                 double seconds);

/* What the forwards of the step collected: to be called before growth may change the plan. */
void report_entropies(reporter *r, int64_t step, const sgt_model *model);

void report_growth(reporter *r, int64_t step, const sgt_growth_event *event,
                   const sgt_model *model);
void report_evaluation(reporter *r, int64_t step, const evaluation *e);

/* Seconds between two steps that were spent on something else: no part of any speed. */
void report_aside(reporter *r, double seconds);

/* Before the last evaluation, which takes some time. */
void report_last_evaluation(int64_t bytes, double seconds);

/* Totals, and what the depth costs against the same model without loops; `seconds` of training. */
void report_end(reporter *r, int64_t steps, double seconds, const evaluation *e,
                const sgt_model *model);

#endif
