/* SPDX-License-Identifier: BSD-3-Clause */
/* The table, the plan and the events of a policy, and whether it decides alike twice. */
#include "policy_replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "watched_memory.h"

/* ---- the table ---- */

/* Shapes that a policy may refuse, but not trip over. */
void sgtt_check_table(const void *argument)
{
    const sgtt_policy_subject *subject = argument;
    const int32_t shapes[][2] = {{subject->n_layers, subject->n_heads}, {1, 1}, {1, 16}, {40, 1},
                                 {3, 7}};
    sgt_context *context;
    int accepted = 0;
    sgtt_ok(sgt_context_create(&context, NULL));
    for (int k = 0; k < 50; k++) {
        sgt_growth_policy *policy = NULL;
        const int32_t *shape = shapes[k % 5];
        sgt_status status = sgt_growth_policy_custom(&policy, context, shape[0], shape[1],
                                                     subject->vtable, subject->user);
        sgtt_require(status == SGT_OK || k % 5 != 0,
                     "a policy for %d layers of %d heads: %s: %s", (int)shape[0], (int)shape[1],
                     sgt_status_name(status), sgt_error_message());
        accepted += status == SGT_OK;
        sgt_growth_policy_free(policy);
        sgtt_count(0.0);
    }
    sgt_context_free(context);
    sgtt_note("%d of %d shapes accepted", accepted / 10, 5);
}

/* Attaching a policy again must not change the plan again. */
void sgtt_check_start(const void *argument)
{
    const sgtt_policy_subject *subject = argument;
    const sgt_growth_policy_vtable *vtable = subject->vtable;
    sgtt_replay r;
    sgt_plan *before;
    void *state = NULL;
    if (!vtable->start)
        sgtt_skip("the policy has no start");
    sgtt_replay_open(&r, subject, NULL); /* starts once */
    sgtt_ok(sgt_plan_clone(&before, r.plan));
    sgtt_require(vtable->create(&state, subject->user, subject->n_layers, subject->n_heads) == 0,
                 "create failed");
    for (int i = 0; i < 3; i++) {
        int32_t status = vtable->start(state, subject->user, r.plan);
        sgtt_require(status == 0, "start returned %d", (int)status);
        sgtt_require(sgt_plan_equal(before, r.plan), "start changes the plan when repeated");
        sgtt_count(0.0);
    }
    if (vtable->destroy)
        vtable->destroy(state, subject->user);
    sgt_plan_free(before);
    sgtt_replay_close(&r);
}

/* ---- plan and event ---- */

static void check_indices(const int32_t *list, int32_t count, int32_t below, const char *what)
{
    for (int32_t i = 0; i < count; i++) {
        sgtt_require(list[i] >= 0 && list[i] < below, "the event names %s %d of %d", what,
                     (int)list[i], (int)below);
        for (int32_t j = 0; j < i; j++)
            sgtt_require(list[i] != list[j], "the event names %s %d twice", what, (int)list[i]);
    }
}

/* What the event says is what happened to the plan. */
static void check_event(const sgtt_replay *r, const sgt_plan *before, int32_t was_over,
                        int64_t step)
{
    const sgt_growth_event *e = &r->event;
    const int grows = e->action == SGT_GROWTH_SELECT || e->action == SGT_GROWTH_DEEPEN;
    check_indices(e->heads, e->n_heads, r->subject->n_heads, "head");
    check_indices(e->layers, e->n_layers, r->subject->n_layers, "layer");
    sgtt_require(!grows || !was_over, "step %lld: the policy grows after it said it was over",
                 (long long)step);
    for (int32_t layer = 0; layer < r->subject->n_layers; layer++) {
        const int32_t depth = sgt_plan_depth(r->plan, layer);
        const int32_t old = sgt_plan_depth(before, layer);
        if (grows && layer == e->layer) {
            sgtt_require(depth > old && depth == e->depth,
                         "step %lld: the event says that layer %d now has depth %d, the plan went "
                         "from %d to %d",
                         (long long)step, (int)layer, (int)e->depth, (int)old, (int)depth);
            sgtt_require(e->action != SGT_GROWTH_SELECT || old == 0,
                         "step %lld: layer %d is selected, but had loops before",
                         (long long)step, (int)layer);
        } else {
            sgtt_require(depth <= old,
                         "step %lld: layer %d went from depth %d to %d, of which the event says "
                         "nothing",
                         (long long)step, (int)layer, (int)old, (int)depth);
        }
    }
    sgtt_require(sgtt_plan_overhead(r->plan) <= r->subject->most_overhead,
                 "step %lld: the loops cost %.0f %% of the model, more than %.0f %%",
                 (long long)step, 100.0 * sgtt_plan_overhead(r->plan),
                 100.0 * r->subject->most_overhead);
    sgtt_count(0.0);
}

static void run_checked(const sgtt_policy_subject *subject, enum sgtt_showing showing)
{
    sgtt_replay r;
    int grown = 0;
    sgtt_replay_open(&r, subject, NULL);
    r.showing = showing;
    for (int64_t step = 1; step <= subject->steps; step = sgtt_replay_next(subject, step)) {
        sgt_plan *before;
        const int32_t was_over = r.over;
        sgtt_ok(sgt_plan_clone(&before, r.plan));
        sgtt_replay_ask(&r, step);
        check_event(&r, before, was_over, step);
        grown += r.event.action == SGT_GROWTH_SELECT || r.event.action == SGT_GROWTH_DEEPEN;
        sgt_plan_free(before);
    }
    sgtt_note("%d times grown in %lld steps, loops cost %.1f %% at the end", grown,
              (long long)subject->steps, 100.0 * sgtt_plan_overhead(r.plan));
    sgtt_replay_close(&r);
}

void sgtt_check_decisions(const void *subject)
{
    run_checked(subject, SGTT_SHOW_USUAL);
}

/* Weights that are not finite from the first step on. */
void sgtt_check_missing(const void *subject)
{
    run_checked(subject, SGTT_SHOW_NAN);
}

/* Growth that is over: the same decisions whether entropies are still shown or not. */
void sgtt_check_over(const void *argument)
{
    const sgtt_policy_subject *subject = argument;
    sgtt_replay r;
    int32_t over = 0;
    run_checked(subject, SGTT_SHOW_ALWAYS);
    sgtt_replay_open(&r, subject, NULL);
    for (int64_t step = 1; step <= subject->steps; step = sgtt_replay_next(subject, step)) {
        sgtt_replay_ask(&r, step);
        over = r.over;
    }
    sgtt_replay_close(&r);
    sgtt_note("%s", over ? "growth ends" : "growth does not end within these steps");
}

/* ---- determinism ---- */

static sgtt_transcript *run_recorded(int64_t *count, const sgtt_policy_subject *subject)
{
    sgtt_replay r;
    sgtt_transcript *made = malloc((size_t)subject->steps * sizeof *made);
    sgtt_require(made != NULL, "out of memory");
    *count = 0;
    sgtt_replay_open(&r, subject, NULL);
    for (int64_t step = 1; step <= subject->steps; step = sgtt_replay_next(subject, step)) {
        sgtt_replay_ask(&r, step);
        made[(*count)++] = sgtt_replay_transcript(&r, step);
    }
    sgtt_replay_close(&r);
    return made;
}

/* Two policies that are asked in turn, then one more a second later with its memory elsewhere:
 * neither another policy, nor the clock, nor addresses may count. */
void sgtt_check_determinism(const void *argument)
{
    const sgtt_policy_subject *subject = argument;
    int64_t count = 0;
    sgtt_transcript *first = run_recorded(&count, subject);
    sgtt_replay a, b;
    sgtt_replay_open(&a, subject, NULL);
    sgtt_replay_open(&b, subject, NULL);
    for (int64_t i = 0; i < count; i++) {
        sgtt_replay_ask(&a, first[i].step);
        const sgtt_transcript from_a = sgtt_replay_transcript(&a, first[i].step);
        sgtt_replay_ask(&b, first[i].step);
        const sgtt_transcript from_b = sgtt_replay_transcript(&b, first[i].step);
        sgtt_compare_transcripts(&first[i], &from_a, "asked again");
        sgtt_compare_transcripts(&from_a, &from_b, "two policies at a time");
    }
    sgtt_replay_close(&a);
    const struct timespec pause = {1, 100000000};
    nanosleep(&pause, NULL);
    void *elsewhere = malloc(123457);
    int64_t later_count = 0;
    sgtt_transcript *later = run_recorded(&later_count, subject);
    for (int64_t i = 0; i < count; i++)
        sgtt_compare_transcripts(&first[i], &later[i], "a second later");
    free(elsewhere);
    free(later);
    free(first);
    sgtt_replay_close(&b);
}

/* ---- refused memory ---- */

/* At each step that changes the plan every request is refused once: the question must fail, leave
 * plan and state, and give the usual answer when it is repeated. */
void sgtt_check_refused_memory(const void *argument)
{
    const sgtt_policy_subject *subject = argument;
    int64_t count = 0;
    int refused = 0;
    sgtt_transcript *expected = run_recorded(&count, subject);
    sgtt_watched_memory memory = SGTT_WATCHED_MEMORY;
    const sgt_allocator allocator = sgtt_watched_allocator(&memory);
    sgtt_replay r;
    sgtt_replay_open(&r, subject, &allocator);
    for (int64_t i = 0; i < count; i++) {
        size_t bytes;
        void *before = sgtt_plan_bytes(&bytes, r.plan);
        sgtt_replay_observe(&r, expected[i].step);
        for (int64_t left = 0;; left++) {
            r.event = (sgt_growth_event){.size = sizeof r.event};
            memory.left = left;
            const sgt_status status =
                sgt_growth_policy_decide(&r.event, r.policy, &r.observation, r.plan);
            const int used_up = memory.left == 0 && status != SGT_OK;
            memory.left = -1;
            if (status == SGT_OK)
                break;
            /* An event that was refused: the policy did not hear that its edit failed. */
            sgtt_require(used_up && status != SGT_E_INVALID_ARGUMENT, "step %lld: %s: %s",
                         (long long)expected[i].step, sgt_status_name(status), sgt_error_message());
            size_t now;
            void *after = sgtt_plan_bytes(&now, r.plan);
            sgtt_require(now == bytes && memcmp(before, after, bytes) == 0,
                         "step %lld: a question that fails changes the plan",
                         (long long)expected[i].step);
            free(after);
            refused++;
        }
        r.over = r.over || r.event.action == SGT_GROWTH_FIX;
        free(before);
        const sgtt_transcript got = sgtt_replay_transcript(&r, expected[i].step);
        sgtt_compare_transcripts(&expected[i], &got, "after a refusal");
    }
    sgtt_replay_close(&r);
    sgtt_expect_released(&memory, "the replay");
    free(expected);
    sgtt_note("%d requests refused", refused);
}
