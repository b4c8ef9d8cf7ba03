/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The progress callback stops a whole life at every point where it is asked: the call returns that
 * very code, and when what it was doing is begun again the life ends with the same numbers.
 */
#include <string.h>

#include "sweep.h"
#include "whole_life.h"

#define USUAL_STEP   1
#define STREAMS_STEP 5

typedef struct stopper {
    int64_t calls;
    int64_t stop_at;
    int32_t code;
    int32_t phases; /* bits of those that were seen */
} stopper;

static int32_t stop(void *user, const sgt_progress *progress)
{
    stopper *self = user;
    self->phases |= 1 << progress->phase;
    return self->calls++ == self->stop_at ? self->code : 0;
}

static stopper live(training_life *life, int64_t at, int32_t streams)
{
    stopper self = {.stop_at = at, .code = (int32_t)at + 1};
    *life = (training_life){.options = sgtt_model_options(), .streams = streams, .stops = 1};
    life->options.progress = stop;
    life->options.progress_user = &self;
    whole_life_run(life);
    return self;
}

/* _i: streams of a token. With several, most points are left out. */
START_TEST(every_point_stops)
{
    static training_life quiet, life;
    stopper self = live(&quiet, -1, _i);
    int64_t calls = self.calls, stopped = 0;
    ck_assert_int_eq(self.phases >> SGT_PHASE_FORWARD, 63); /* all six */
    for (int64_t at = 0; at < calls; at = sweep_next(at, _i == 1 ? USUAL_STEP : STREAMS_STEP)) {
        live(&life, at, _i);
        ck_assert_int_eq(life.refused, 1);
        ck_assert_int_eq(life.status, at + 1);
        ck_assert_msg(strstr(life.refusal, "stopped by the progress callback") != NULL, "%s",
                      life.refusal);
        life_check_equal(&quiet, &life, "stopped");
        stopped += life.refused;
    }
    sweep_report("progress callback", calls, stopped);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stopped at every point");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 300);
    tcase_add_checked_fixture(cases, NULL, scratch_remove);
    tcase_add_loop_test(cases, every_point_stops, 1, 3);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
