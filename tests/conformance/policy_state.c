/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of a policy as bytes: keeping it, going on from it, refusing what is damaged. */
#include "policy_replay.h"

#include <stdlib.h>
#include <string.h>

static int keeps_state(const sgtt_policy_subject *subject)
{
    return subject->vtable->save != NULL;
}

/* ---- a state of the policy's own functions, without the library ---- */

typedef struct own_state {
    sgtt_replay shown; /* observations, and the plan */
    void *state;
} own_state;

static void open_own(own_state *o, const sgtt_policy_subject *subject)
{
    memset(o, 0, sizeof *o);
    sgtt_replay_open(&o->shown, subject, NULL);
    const int32_t status = subject->vtable->create(&o->state, subject->user, subject->n_layers,
                                                   subject->n_heads);
    sgtt_require(status == 0, "create returned %d", (int)status);
}

static void close_own(own_state *o)
{
    const sgtt_policy_subject *subject = o->shown.subject;
    if (subject->vtable->destroy)
        subject->vtable->destroy(o->state, subject->user);
    sgtt_replay_close(&o->shown);
}

static int32_t ask_own(own_state *o, int64_t step)
{
    const sgtt_policy_subject *subject = o->shown.subject;
    sgt_growth_event event = {.size = sizeof event, .layer = -1};
    sgtt_replay_observe(&o->shown, step);
    sgt_plan *candidate;
    sgtt_ok(sgt_plan_clone(&candidate, o->shown.plan));
    const int32_t status = subject->vtable->decide(o->state, subject->user, &o->shown.observation,
                                                   candidate, &event);
    if (status == 0) {
        sgt_plan_free(o->shown.plan);
        o->shown.plan = candidate;
        o->shown.over = o->shown.over || event.action == SGT_GROWTH_FIX;
    } else {
        sgt_plan_free(candidate);
    }
    return status;
}

static void *save_own(size_t *bytes, const own_state *o)
{
    const sgtt_policy_subject *subject = o->shown.subject;
    *bytes = 0;
    int32_t status = subject->vtable->save(o->state, subject->user, NULL, bytes);
    sgtt_require(status == 0, "save returned %d", (int)status);
    unsigned char *data = malloc(*bytes + 1);
    sgtt_require(data != NULL, "out of memory");
    const size_t said = *bytes;
    data[said] = 0x5a;
    status = subject->vtable->save(o->state, subject->user, data, bytes);
    sgtt_require(status == 0, "save returned %d", (int)status);
    sgtt_require(*bytes == said, "save says %zu bytes, then writes %zu", said, *bytes);
    sgtt_require(data[said] == 0x5a, "save writes past the length that it says");
    return data;
}

/* ---- saving ---- */

void sgtt_check_save(const void *argument)
{
    const sgtt_policy_subject *subject = argument;
    own_state o;
    if (!keeps_state(subject))
        sgtt_skip("the policy keeps no state");
    open_own(&o, subject);
    size_t longest = 0;
    for (int64_t step = 1; step <= subject->steps; step = sgtt_replay_next(subject, step)) {
        size_t bytes, again;
        const int32_t status = ask_own(&o, step);
        sgtt_require(status == 0, "decide returned %d at step %lld", (int)status,
                     (long long)step);
        void *data = save_own(&bytes, &o);
        void *twice = save_own(&again, &o);
        sgtt_require(bytes == again && memcmp(data, twice, bytes) == 0,
                     "two saves of one state differ at step %lld", (long long)step);
        longest = bytes > longest ? bytes : longest;
        if (bytes > 0) {
            size_t room = bytes - 1;
            memset(twice, 0x77, bytes);
            const int32_t refused = subject->vtable->save(o.state, subject->user, twice, &room);
            sgtt_require(refused != 0, "save with a byte too little succeeds");
            sgtt_require(((unsigned char *)twice)[bytes - 1] == 0x77,
                         "save writes past the room that it gets");
        }
        free(data);
        free(twice);
        sgtt_count(0.0);
    }
    close_own(&o);
    sgtt_note("%zu bytes", longest);
}

/* ---- going on ---- */

/* r becomes a policy made anew that was given the bytes; the plan stays. */
static void remake(sgtt_replay *r, const void *data, size_t bytes)
{
    sgt_growth_policy_free(r->policy);
    r->policy = sgtt_make_policy(r->context, r->subject);
    sgtt_ok(sgt_growth_policy_load(r->policy, data, bytes));
}

/* A run that is broken off after each step and resumed with a new policy decides as one that is
 * not: what a decision depends on is in the state. */
void sgtt_check_resume(const void *argument)
{
    const sgtt_policy_subject *subject = argument;
    sgtt_replay unbroken, resumed;
    sgtt_replay_open(&unbroken, subject, NULL);
    sgtt_replay_open(&resumed, subject, NULL);
    for (int64_t step = 1; step <= subject->steps; step = sgtt_replay_next(subject, step)) {
        size_t bytes, again;
        sgtt_replay_ask(&unbroken, step);
        sgtt_replay_ask(&resumed, step);
        const sgtt_transcript expected = sgtt_replay_transcript(&unbroken, step);
        const sgtt_transcript got = sgtt_replay_transcript(&resumed, step);
        sgtt_compare_transcripts(&expected, &got, "resumed from saved state");
        void *data = sgtt_replay_state(&bytes, &resumed);
        remake(&resumed, data, bytes);
        void *back = sgtt_replay_state(&again, &resumed);
        sgtt_require(bytes == again && memcmp(data, back, bytes) == 0,
                     "what was loaded after step %lld is saved as other bytes", (long long)step);
        free(data);
        free(back);
    }
    sgtt_replay_close(&unbroken);
    sgtt_replay_close(&resumed);
}

/* A question that is taken back: the state before it is loaded, and it is asked again. */
void sgtt_check_restore(const void *argument)
{
    const sgtt_policy_subject *subject = argument;
    sgtt_replay r;
    sgtt_replay_open(&r, subject, NULL);
    for (int64_t step = 1; step <= subject->steps; step = sgtt_replay_next(subject, step)) {
        size_t bytes;
        sgt_plan *before;
        const int32_t over = r.over;
        void *data = sgtt_replay_state(&bytes, &r);
        sgtt_ok(sgt_plan_clone(&before, r.plan));
        const sgt_growth_observation seen = r.observation;
        sgtt_replay_ask(&r, step);
        const sgtt_transcript first = sgtt_replay_transcript(&r, step);
        sgtt_ok(sgt_growth_policy_load(r.policy, data, bytes));
        sgt_plan_free(r.plan);
        r.plan = before;
        r.over = over;
        r.observation = seen;
        sgtt_replay_ask(&r, step);
        const sgtt_transcript second = sgtt_replay_transcript(&r, step);
        sgtt_compare_transcripts(&first, &second, "taken back and asked again");
        free(data);
    }
    sgtt_replay_close(&r);
}

/* ---- damaged bytes ---- */

/* Loads bytes that nobody saved. Refused: the state is as before. Taken: the policy can go on. */
static int load_damaged(own_state *o, const void *data, size_t bytes, const void *good,
                        size_t good_bytes, const char *what)
{
    const sgtt_policy_subject *subject = o->shown.subject;
    /* In a block of just that size: reading past it is seen by a sanitizer. */
    void *copy = malloc(bytes > 0 ? bytes : 1);
    sgtt_require(copy != NULL, "out of memory");
    memcpy(copy, data, bytes);
    const int32_t status = subject->vtable->load(o->state, subject->user, copy, bytes);
    free(copy);
    if (status != 0) {
        size_t now;
        void *kept = save_own(&now, o);
        sgtt_require(now == good_bytes && memcmp(kept, good, now) == 0,
                     "%s: load refuses them and changes the state", what);
        free(kept);
        return 1;
    }
    const int64_t step = o->shown.observation.step;
    for (int64_t next = step + 1; next <= step + 3; next++) {
        if (ask_own(o, next) != 0) /* it may find out here */
            break;
    }
    return 0;
}

/* A state from the middle of a run, ready for another set of bytes. */
static void open_grown(own_state *o, const sgtt_policy_subject *subject, int64_t steps)
{
    open_own(o, subject);
    for (int64_t step = 1; step <= steps; step = sgtt_replay_next(subject, step)) {
        const int32_t status = ask_own(o, step);
        sgtt_require(status == 0, "decide returned %d at step %lld", (int)status,
                     (long long)step);
    }
}

static void check_cuts(const sgtt_policy_subject *subject, const void *good, size_t bytes,
                       int64_t steps)
{
    own_state o;
    open_grown(&o, subject, steps);
    const size_t stride = bytes / 400 + 1;
    for (size_t length = 0; length < bytes; length += stride) {
        sgtt_require(load_damaged(&o, good, length, good, bytes, "cut bytes"),
                     "load takes %zu of %zu bytes", length, bytes);
        sgtt_count(0.0);
    }
    close_own(&o);
}

/* Each byte (of a long state: every few) in several ways; returns how many loads refused. */
static int64_t check_changes(const sgtt_policy_subject *subject, const unsigned char *good,
                             size_t bytes, int64_t steps)
{
    static const unsigned char changes[] = {0x01, 0x80, 0xff};
    unsigned char *data = malloc(bytes);
    int64_t refused = 0;
    sgtt_require(data != NULL, "out of memory");
    const size_t stride = bytes / 400 + 1;
    for (size_t at = 0; at < bytes; at += stride) {
        for (size_t k = 0; k < sizeof changes; k++) {
            own_state o;
            open_grown(&o, subject, steps);
            memcpy(data, good, bytes);
            data[at] ^= changes[k];
            refused += load_damaged(&o, data, bytes, good, bytes, "changed bytes");
            close_own(&o);
            sgtt_count(0.0);
        }
    }
    free(data);
    return refused;
}

void sgtt_check_damage(const void *argument)
{
    const sgtt_policy_subject *subject = argument;
    const int64_t steps = subject->steps < 60 ? subject->steps : 60;
    own_state o;
    size_t bytes;
    if (!keeps_state(subject))
        sgtt_skip("the policy keeps no state");
    open_grown(&o, subject, steps);
    void *good = save_own(&bytes, &o);
    close_own(&o);
    check_cuts(subject, good, bytes, steps);
    const int64_t refused = check_changes(subject, good, bytes, steps);
    sgtt_note("every cut refused, %lld changes noticed by load", (long long)refused);
    free(good);
}
