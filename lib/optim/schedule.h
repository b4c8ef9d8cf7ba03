/* SPDX-License-Identifier: BSD-3-Clause */
/* Learning-rate schedules as pure functions of the options and the step. */
#ifndef SGTI_SCHEDULE_H
#define SGTI_SCHEDULE_H

#include <sgt/optimizer.h>

/* Checks schedule, warm-up, total and decay steps and final factor; the message names the field. */
sgt_status sgti_schedule_check(const sgt_optimizer_options *options);

/* The rate of a 1-based step; the options were checked. Formulas in <sgt/optimizer.h>. */
double sgti_schedule_rate(const sgt_optimizer_options *options, int64_t step);

#endif
