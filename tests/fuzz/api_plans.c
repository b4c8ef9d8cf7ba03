/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls about plans, and what goes to bytes and files and comes back. */
#include "api_calls.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api_parts.h"

/* ---- plans ---- */

static plan_facts *choose_plan(world *w)
{
    return &w->plans[choose(&w->in, SLOTS)];
}

void api_plan(world *w)
{
    plan_facts *plan = choose_plan(w), *other = choose_plan(w);
    int32_t shape = choose(&w->in, 2), bad = choose(&w->in, 8) == 0, clone = choose(&w->in, 2);
    sgt_plan *made = NULL;
    if (plan->handle != NULL) {
        sgt_plan_free(plan->handle);
        *plan = (plan_facts){0};
        return;
    }
    sgt_status got, expected;
    if (clone) {
        shape = other->shape;
        got = sgt_plan_clone(&made, other->handle);
        expected = other->handle ? SGT_OK : SGT_E_INVALID_ARGUMENT;
    } else {
        got = sgt_plan_create(&made, w->context, bad ? 0 : layers_of(shape), HEADS);
        expected = bad ? SGT_E_OUT_OF_RANGE : SGT_OK;
    }
    if (!told(w, "a plan", got, expected)) {
        if (made != NULL)
            abort();
        return;
    }
    *plan = (plan_facts){.handle = made, .shape = shape};
}

/* Whether a gain may be; 0 for a good one. */
static sgt_status judge_gain(float gain)
{
    return isnan(gain) ? SGT_E_INVALID_ARGUMENT : gain < 0.0f || gain > 1.0f ? SGT_E_OUT_OF_RANGE
                                                                             : SGT_OK;
}

static void edit_gains(world *w, const plan_facts *plan, int32_t layer)
{
    static const float samples[] = {0.0f, 1.0f, 0.5f, 0.25f, 1.5f, -0.5f, NAN, 0.75f};
    float gains[HEADS];
    int32_t pass = choose(&w->in, 5) - 1, what = choose(&w->in, 3),
            head = choose(&w->in, HEADS + 1);
    for (int i = 0; i < HEADS; i++)
        gains[i] = samples[choose(&w->in, 8)];
    sgt_status expected = plan->handle ? SGT_OK : SGT_E_INVALID_ARGUMENT;
    if (plan->handle && (layer < 0 || layer >= sgt_plan_n_layers(plan->handle) || pass < 1 ||
                         pass > sgt_plan_depth(plan->handle, layer)))
        expected = SGT_E_OUT_OF_RANGE;
    if (what == 2 && expected == SGT_OK && head == HEADS)
        expected = SGT_E_OUT_OF_RANGE;
    for (int i = 0; i < (what == 2 ? 1 : HEADS) && expected == SGT_OK; i++)
        expected = judge_gain(gains[i]);
    sgt_status got = what == 0   ? sgt_plan_set_gains(plan->handle, layer, pass, gains)
                     : what == 1 ? sgt_plan_set_targets(plan->handle, layer, pass, gains)
                                 : sgt_plan_set_gain(plan->handle, layer, pass, head, gains[0]);
    told(w, "gains", got, expected);
}

void api_plan_edit(world *w)
{
    const plan_facts *plan = choose_plan(w);
    int32_t layer = choose(&w->in, LAYERS + 3) - 1, n = choose(&w->in, 5) - 1;
    int there = layer >= 0 && layer < sgt_plan_n_layers(plan->handle);
    sgt_status expected = plan->handle == NULL   ? SGT_E_INVALID_ARGUMENT
                          : !there || n < 0 ? SGT_E_OUT_OF_RANGE
                                                 : SGT_OK;
    switch (choose(&w->in, 3)) {
    case 0:
        if (told(w, "sgt_plan_set_depth", sgt_plan_set_depth(plan->handle, layer, n), expected) &&
            sgt_plan_depth(plan->handle, layer) != n)
            abort();
        return;
    case 1:
        told(w, "sgt_plan_set_extra_runs", sgt_plan_set_extra_runs(plan->handle, layer, n),
             expected);
        return;
    default:
        edit_gains(w, plan, layer);
        return;
    }
}

void api_set_plan(world *w)
{
    model_facts *m = choose_model(w);
    const plan_facts *plan = choose_plan(w);
    sgt_status expected = m == NULL || plan->handle == NULL || m->shape != plan->shape
                              ? SGT_E_INVALID_ARGUMENT
                              : SGT_OK;
    sgt_plan *before = copy_plan(w, m);
    int done = told(w, "sgt_model_set_plan",
                    sgt_model_set_plan(m ? m->handle : NULL, plan->handle), expected);
    if (expected == SGT_OK)
        note_plan(m, before, done);
    else
        sgt_plan_free(before);
    if (done && !sgt_plan_equal(sgt_model_plan(m->handle), plan->handle))
        abort();
}

/* ---- bytes ---- */

static void damage(world *w, uint8_t *bytes, size_t count)
{
    size_t at = (size_t)choose(&w->in, 256) * (size_t)choose(&w->in, 256) % count;
    bytes[at] ^= (uint8_t)(1 << choose(&w->in, 8));
}

/* Whole bytes give an equal plan; damaged ones a plan or a refusal. */
static void plan_bytes(world *w)
{
    uint8_t bytes[4096];
    size_t count = sizeof bytes;
    const plan_facts *plan = choose_plan(w);
    sgt_plan *again = NULL;
    int32_t damaged = choose(&w->in, 2);
    if (!told(w, "sgt_plan_save", sgt_plan_save(bytes, &count, plan->handle),
              plan->handle ? SGT_OK : SGT_E_INVALID_ARGUMENT))
        return;
    if (damaged)
        damage(w, bytes, count);
    sgt_status got = sgt_plan_load(&again, w->context, bytes, count);
    int refused = got == SGT_E_FORMAT || got == SGT_E_VERSION || got == SGT_E_OUT_OF_RANGE ||
                  got == SGT_E_INVALID_ARGUMENT;
    if (told(w, "sgt_plan_load", got, damaged && refused ? got : SGT_OK) && !damaged &&
        !sgt_plan_equal(again, plan->handle))
        abort();
    sgt_plan_free(again);
}

/* Whole bytes are taken by the policy that gave them; damaged ones may be, and are then given
 * again. */
static void policy_bytes(world *w)
{
    uint8_t bytes[4096], again[4096];
    size_t count = sizeof bytes, count_again = sizeof again;
    policy_facts *p = choose_policy(w);
    int32_t damaged = choose(&w->in, 2);
    if (!told(w, "sgt_growth_policy_save",
              sgt_growth_policy_save(bytes, &count, p ? p->handle : NULL),
              p ? SGT_OK : SGT_E_INVALID_ARGUMENT))
        return;
    if (damaged && !p->attached) /* else the facts about growth would be guesses */
        damage(w, bytes, count);
    else
        damaged = 0;
    sgt_status got = sgt_growth_policy_load(p->handle, bytes, count);
    int refused = got == SGT_E_FORMAT || got == SGT_E_VERSION || got == SGT_E_INVALID_ARGUMENT;
    if (!told(w, "sgt_growth_policy_load", got, damaged && refused ? got : SGT_OK))
        return;
    if (sgt_growth_policy_save(again, &count_again, p->handle) != SGT_OK || count_again != count ||
        memcmp(bytes, again, count) != 0)
        abort();
    p->fixed = bytes[20]; /* of the header: magic, version, kind, layers, heads, fixed */
}

void api_bytes(world *w)
{
    if (choose(&w->in, 2))
        plan_bytes(w);
    else
        policy_bytes(w);
}

/* ---- files ---- */

/* A file in memory, where the system has such a folder. */
static const char *file_name(void)
{
    static char path[64];
    if (path[0] == '\0')
        snprintf(path, sizeof path, "%s/sgt-fuzz-api-%ld",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    return path;
}

static void note_load(model_facts *m)
{
    m->ready = NOTHING_READY;
    m->gradients = GRADIENTS_ZERO;
    m->open = 0;
    m->unseen = 1; /* or not: the file says */
    m->collected = SGT_ENTROPY_BOTH;
    m->entropies_unsure = 1;
}

void api_checkpoint(world *w)
{
    model_facts *from = choose_model(w), *to = choose_model(w);
    sgt_checkpoint *checkpoint = NULL;
    sgt_status expected = from == NULL                                     ? SGT_E_INVALID_ARGUMENT
                          : from->gradients != GRADIENTS_ZERO || from->open ? SGT_E_STATE
                                                                            : SGT_OK;
    const char *path = file_name();
    if (!told(w, "sgt_checkpoint_save", sgt_checkpoint_save(from ? from->handle : NULL, path, NULL),
              expected))
        return;
    if (told(w, "sgt_checkpoint_open", sgt_checkpoint_open(&checkpoint, w->context, path),
             SGT_OK)) {
        expected = to == NULL || to->shape != from->shape || !same_parts(to, from)
                       ? SGT_E_INVALID_ARGUMENT
                       : SGT_OK;
        int done = told(w, "sgt_checkpoint_load",
                        sgt_checkpoint_load(to ? to->handle : NULL, NULL, NULL, checkpoint, NULL),
                        expected);
        if (done)
            note_load(to);
        else if (expected == SGT_OK && to->ready != NOTHING_READY)
            to->ready = READY_UNSURE;
        if (done && !sgt_plan_equal(sgt_model_plan(to->handle), sgt_model_plan(from->handle)))
            abort();
    }
    sgt_checkpoint_free(checkpoint);
    unlink(path);
}
