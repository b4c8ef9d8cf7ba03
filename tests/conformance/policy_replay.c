/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy_replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers that depend on their arguments only ---- */

/* SplitMix64 (Steele, Lea, Flood, 2014). */
static uint64_t mixed(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t drawn(uint64_t seed, uint64_t what, int64_t a, int64_t b)
{
    return mixed(mixed(mixed(seed + what) + (uint64_t)a) + (uint64_t)b);
}

/* In [0,1). */
static double fraction(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

int64_t sgtt_replay_next(const sgtt_policy_subject *subject, int64_t step)
{
    return step + (drawn(subject->seed, 1, step, 0) % 29 == 0 ? 2 : 1);
}

/* ---- opening ---- */

sgt_growth_policy *sgtt_make_policy(sgt_context *context, const sgtt_policy_subject *subject)
{
    sgt_growth_policy *policy = NULL;
    const sgt_status status =
        sgt_growth_policy_custom(&policy, context, subject->n_layers, subject->n_heads,
                                 subject->vtable, subject->user);
    sgtt_require(status == SGT_OK, "a policy for %d layers of %d heads: %s: %s",
                 (int)subject->n_layers, (int)subject->n_heads, sgt_status_name(status),
                 sgt_error_message());
    return policy;
}

void sgtt_replay_open(sgtt_replay *r, const sgtt_policy_subject *subject,
                      const sgt_allocator *allocator)
{
    sgt_context_options options;
    memset(r, 0, sizeof *r);
    r->subject = subject;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = "portable";
    options.threads = 1;
    options.allocator = allocator;
    sgtt_ok(sgt_context_create(&r->context, &options));
    sgtt_ok(sgt_plan_create(&r->plan, r->context, subject->n_layers, subject->n_heads));
    r->policy = sgtt_make_policy(r->context, subject);
    /* A state of its own: start must not need the one that decides. */
    if (subject->vtable->start) {
        void *state = NULL;
        int32_t status = subject->vtable->create(&state, subject->user, subject->n_layers,
                                                 subject->n_heads);
        if (status == 0)
            status = subject->vtable->start(state, subject->user, r->plan);
        sgtt_require(status == 0, "start returned %d", (int)status);
        if (subject->vtable->destroy)
            subject->vtable->destroy(state, subject->user);
    }
}

void sgtt_replay_close(sgtt_replay *r)
{
    sgt_growth_policy_free(r->policy);
    sgt_plan_free(r->plan);
    sgt_context_free(r->context);
    free(r->last);
    free(r->mean);
    memset(r, 0, sizeof *r);
}

/* ---- observing ---- */

static int32_t passes_of(const sgt_plan *plan, int32_t layer)
{
    return (1 + sgt_plan_extra_runs(plan, layer)) * (1 + sgt_plan_depth(plan, layer));
}

/* Whether a head runs in a pass, counted over all runs of the block. */
static int runs(const sgt_plan *plan, int32_t layer, int32_t pass, int32_t head)
{
    if (pass >= passes_of(plan, layer))
        return 0;
    const int32_t own = pass % (1 + sgt_plan_depth(plan, layer));
    return own == 0 || sgt_plan_gains(plan, layer, own)[head] > 0.0f;
}

/* Every head has a level of its own, drifts and trembles; now and then weights are not finite. */
static double entropy_of(const sgtt_replay *r, int64_t step, int32_t layer, int32_t pass,
                         int32_t head, int kind)
{
    const uint64_t seed = r->subject->seed + (uint64_t)kind * 77;
    const int64_t place = (int64_t)layer * 1000003 + head * 1009 + pass;
    if (r->showing == SGTT_SHOW_NAN || drawn(seed, 2, step, -1) % 53 == 0)
        return NAN;
    if (!runs(r->plan, layer, pass, head) || drawn(seed, 3, step, place) % 211 == 0)
        return NAN;
    const double level = 0.15 + 0.7 * fraction(drawn(seed, 4, layer, head));
    const double drift = 0.1 * sin((double)step * 0.01 + (double)(layer + head));
    const double noise = 0.04 * (fraction(drawn(seed, 5, step, place)) - 0.5);
    const double value = (level + drift + noise) * pow(0.97, pass);
    return value < 0.0 ? 0.0 : value > 1.0 ? 1.0 : value;
}

static void fill_entropies(double **entropies, const sgtt_replay *r, int64_t step,
                           int32_t max_passes, int kind)
{
    const int32_t layers = r->subject->n_layers, heads = r->subject->n_heads;
    /* Exactly the room that the contract gives: reading past it is seen by a sanitizer. */
    free(*entropies);
    *entropies = malloc((size_t)layers * (size_t)max_passes * (size_t)heads * sizeof(double));
    sgtt_require(*entropies != NULL, "out of memory");
    for (int32_t layer = 0; layer < layers; layer++) {
        for (int32_t pass = 0; pass < max_passes; pass++) {
            for (int32_t head = 0; head < heads; head++)
                (*entropies)[(layer * max_passes + pass) * heads + head] =
                    entropy_of(r, step, layer, pass, head, kind);
        }
    }
}

double sgtt_plan_overhead(const sgt_plan *plan)
{
    const int32_t layers = sgt_plan_n_layers(plan), heads = sgt_plan_n_heads(plan);
    double extra = 0.0;
    for (int32_t layer = 0; layer < layers; layer++) {
        const int32_t runs_of_block = 1 + sgt_plan_extra_runs(plan, layer);
        extra += (double)(runs_of_block - 1);
        for (int32_t pass = 1; pass <= sgt_plan_depth(plan, layer); pass++) {
            const float *gains = sgt_plan_gains(plan, layer, pass);
            for (int32_t head = 0; head < heads; head++)
                extra += gains[head] > 0.0f ? (double)runs_of_block / heads : 0.0;
        }
    }
    return extra / layers;
}

void sgtt_replay_observe(sgtt_replay *r, int64_t step)
{
    const sgtt_policy_subject *subject = r->subject;
    const int shown = r->showing != SGTT_SHOW_USUAL || !r->over;
    const double before = r->observation.executed_flops;
    const int64_t taken = step - r->observation.step;
    int32_t max_passes = 1;
    for (int32_t layer = 0; layer < subject->n_layers; layer++)
        max_passes = passes_of(r->plan, layer) > max_passes ? passes_of(r->plan, layer)
                                                             : max_passes;
    fill_entropies(&r->last, r, step, max_passes, SGT_ENTROPY_LAST);
    fill_entropies(&r->mean, r, step, max_passes, SGT_ENTROPY_MEAN);
    r->observation = (sgt_growth_observation){
        .size = sizeof r->observation,
        .n_layers = subject->n_layers,
        .n_heads = subject->n_heads,
        .max_passes = max_passes,
        .step = step,
        .loss = step % 17 == 0 ? NAN : 4.0 / (1.0 + 0.01 * (double)step),
        .grad_norm = step % 19 == 0 ? NAN : 1.0,
        .plan = r->plan,
        .last_entropy = shown && subject->vtable->entropy & SGT_ENTROPY_LAST ? r->last : NULL,
        .mean_entropy = shown && subject->vtable->entropy & SGT_ENTROPY_MEAN ? r->mean : NULL,
        .executed_flops = before + 1e9 * (double)taken * (1.0 + 0.3 * sgtt_plan_overhead(r->plan)),
        .vanilla_flops = 1e9 * (double)step,
    };
}

void sgtt_replay_ask(sgtt_replay *r, int64_t step)
{
    sgtt_replay_observe(r, step);
    r->event = (sgt_growth_event){.size = sizeof r->event};
    const sgt_status status =
        sgt_growth_policy_decide(&r->event, r->policy, &r->observation, r->plan);
    sgtt_require(status == SGT_OK, "step %lld: %s: %s", (long long)step, sgt_status_name(status),
                 sgt_error_message());
    r->over = r->over || r->event.action == SGT_GROWTH_FIX;
}

/* ---- what it led to ---- */

void *sgtt_plan_bytes(size_t *bytes, const sgt_plan *plan)
{
    *bytes = 0;
    sgtt_ok(sgt_plan_save(NULL, bytes, plan));
    void *data = malloc(*bytes);
    sgtt_require(data != NULL, "out of memory");
    sgtt_ok(sgt_plan_save(data, bytes, plan));
    return data;
}

void *sgtt_replay_state(size_t *bytes, const sgtt_replay *r)
{
    *bytes = 0;
    sgtt_ok(sgt_growth_policy_save(NULL, bytes, r->policy));
    void *data = malloc(*bytes);
    sgtt_require(data != NULL, "out of memory");
    sgtt_ok(sgt_growth_policy_save(data, bytes, r->policy));
    return data;
}

static uint64_t hash_of(const void *data, size_t bytes)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ ((const unsigned char *)data)[i]) * 1099511628211u;
    return hash;
}

static uint64_t hash_event(const sgt_growth_event *e)
{
    const int32_t numbers[] = {e->action, e->layer, e->depth, e->n_heads, e->n_layers};
    uint64_t hash = hash_of(numbers, sizeof numbers);
    if (e->n_heads > 0)
        hash ^= hash_of(e->heads, (size_t)e->n_heads * sizeof *e->heads) << 1;
    if (e->n_layers > 0)
        hash ^= hash_of(e->layers, (size_t)e->n_layers * sizeof *e->layers) << 2;
    return hash;
}

sgtt_transcript sgtt_replay_transcript(const sgtt_replay *r, int64_t step)
{
    sgtt_transcript made = {.step = step,
                            .event = hash_event(&r->event),
                            .action = r->event.action,
                            .layer = r->event.layer};
    size_t bytes;
    void *data = sgtt_plan_bytes(&bytes, r->plan);
    made.plan = hash_of(data, bytes);
    free(data);
    data = sgtt_replay_state(&bytes, r);
    made.state = hash_of(data, bytes);
    free(data);
    return made;
}

void sgtt_compare_transcripts(const sgtt_transcript *a, const sgtt_transcript *b, const char *what)
{
    sgtt_require(a->event == b->event,
                 "%s: step %lld gives another event (action %d, layer %d; then action %d, layer "
                 "%d)",
                 what, (long long)a->step, (int)a->action, (int)a->layer, (int)b->action,
                 (int)b->layer);
    sgtt_require(a->plan == b->plan, "%s: step %lld gives another plan", what,
                 (long long)a->step);
    sgtt_require(a->state == b->state, "%s: step %lld leaves other state bytes", what,
                 (long long)a->step);
    sgtt_count(0.0);
}
