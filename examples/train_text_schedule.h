/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How long a run is, and what follows from that: warm-up, the learning rate, when growth happens.
 *
 * With a fixed number of steps everything depends on the step alone. With a time limit the number
 * of steps is planned from the speed measured in a few trial steps; should the machine turn out
 * slower later on, the rate follows the clock, so that it has come down when time is up.
 */
#ifndef TRAIN_TEXT_SCHEDULE_H
#define TRAIN_TEXT_SCHEDULE_H

#include "train_text_options.h"

#define FINAL_RATE 0.1 /* the last learning rate, as a part of the peak */

typedef struct schedule {
    int64_t steps;  /* planned */
    int64_t warmup;
    int64_t growth_first;
    int64_t growth_window;
    double lr;
    double start;   /* of the training, on the monotonic clock */
    double seconds; /* limit; 0: none */
    int behind;     /* 1 once the clock was ahead of the steps */
} schedule;

/* Plans the run; seconds_per_step is only looked at under a time limit. */
void schedule_plan(schedule *s, const settings *o, double start, double seconds_per_step);

/* An sgt_rate_fn; user is the schedule. */
double schedule_rate(void *user, int64_t step, double scheduled);

/* 1 when `seconds` more would end after the time limit. */
int schedule_time_is_up(const schedule *s, double seconds);

/* Seconds that the steps after `step` will take. */
double schedule_left(const schedule *s, int64_t step);

#endif
