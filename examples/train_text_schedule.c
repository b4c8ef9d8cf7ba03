/* SPDX-License-Identifier: BSD-3-Clause */
#include "train_text_schedule.h"

#include <math.h>

#include "clock.h"

/* What is set aside of a time limit for evaluations, loops and slower moments. */
static const double RESERVE = 0.1;

/* Growth is over at this part of the planned steps, so that the grown model trains on for longer,
 * also when fewer steps fit than were planned. */
static const double GROWN_AT = 0.4;

void schedule_plan(schedule *s, const settings *o, double start, double seconds_per_step)
{
    *s = (schedule){.lr = o->lr, .start = start, .seconds = 60 * o->minutes, .steps = o->steps};
    if (s->seconds > 0) {
        double room = s->seconds * (1 - RESERVE) - (now() - start);
        int64_t fitting = (int64_t)(room / seconds_per_step);
        if (fitting < 1)
            fitting = 1;
        if (!s->steps || s->steps > fitting)
            s->steps = fitting;
    }
    s->warmup = o->warmup >= 0 ? o->warmup : s->steps / 20;
    if (s->warmup >= s->steps)
        s->warmup = s->steps - 1;

    /* The first selection, then a window for each layer and pass, all equally long. */
    int64_t windows = o->growth_layers * o->growth_depth;
    int64_t grown = (int64_t)(GROWN_AT * (double)s->steps);
    s->growth_first = o->growth_first;
    s->growth_window = o->growth_window;
    if (!s->growth_first)
        s->growth_first = s->growth_window ? grown - windows * s->growth_window
                                           : grown / (windows + 1);
    if (s->growth_first < 1)
        s->growth_first = 1;
    if (!s->growth_window && windows)
        s->growth_window = (grown - s->growth_first) / windows;
    if (s->growth_window < 1)
        s->growth_window = 1;
}

/* The step that the clock has come to, never less than `step`. */
static double position(const schedule *s, int64_t step)
{
    double by_clock = s->seconds > 0 ? (now() - s->start) / s->seconds * (double)s->steps : 0;
    if (by_clock > (double)s->steps)
        by_clock = (double)s->steps;
    return by_clock > (double)step ? by_clock : (double)step;
}

double schedule_rate(void *user, int64_t step, double scheduled)
{
    static const double pi = 3.14159265358979323846;
    schedule *s = user;
    double at = position(s, step);
    if (step <= s->warmup || at <= (double)step)
        return scheduled;
    s->behind = 1;
    double part = (at - (double)s->warmup) / (double)(s->steps - s->warmup);
    return s->lr * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + cos(pi * part)));
}

int schedule_time_is_up(const schedule *s, double seconds)
{
    return s->seconds > 0 && now() - s->start + seconds > s->seconds;
}

double schedule_left(const schedule *s, int64_t step)
{
    double elapsed = now() - s->start;
    double left = step > 0 ? elapsed / (double)step * (double)(s->steps - step) : 0;
    if (s->seconds > 0 && left > s->seconds - elapsed)
        left = s->seconds - elapsed;
    return left > 0 ? left : 0;
}
