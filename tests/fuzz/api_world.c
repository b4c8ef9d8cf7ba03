/* SPDX-License-Identifier: BSD-3-Clause */
#include "api_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int32_t choose(choices *in, int32_t count)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->data++ % count;
}

/* ---- memory and stops ---- */

static void *allocate(void *user, size_t alignment, size_t bytes)
{
    world *w = user;
    void *memory = NULL;
    if (w->fail_in >= 0 && w->fail_in-- == 0) {
        w->failed = 1;
        return NULL;
    }
    if (posix_memalign(&memory, alignment < 16 ? 16 : alignment, bytes) != 0)
        return NULL;
    memset(memory, 0xff, bytes); /* NaN to whoever reads it unwritten */
    w->bytes += bytes;
    return memory;
}

static void release(void *user, void *memory, size_t bytes)
{
    world *w = user;
    w->bytes -= bytes;
    free(memory);
}

static int32_t progress(void *user, const sgt_progress *now)
{
    world *w = user;
    if (now->done < 0 || now->done > now->total)
        abort();
    if (w->stop_in < 0 || w->stop_in-- > 0)
        return 0;
    w->stopped = 1;
    return STOP_CODE;
}

/* ---- the verdict ---- */

static _Noreturn void complain(const char *call, sgt_status got, sgt_status expected,
                               const char *what)
{
    fprintf(stderr, "%s gave %s (%s), not %s: %s\n", call, sgt_status_name(got),
            sgt_error_message(), sgt_status_name(expected), what);
    abort();
}

int told(world *w, const char *call, sgt_status got, sgt_status expected)
{
    int failed = w->failed, stopped = w->stopped;
    w->failed = 0;
    w->stopped = 0;
    if (got != SGT_OK && sgt_error_message()[0] == '\0')
        complain(call, got, expected, "there is no message");
    if (failed && got != SGT_E_OUT_OF_MEMORY && (expected == SGT_OK || got != expected))
        complain(call, got, expected, "an allocation failed");
    if (stopped && got != STOP_CODE)
        complain(call, got, expected, "it was stopped");
    if (!failed && !stopped && got != expected)
        complain(call, got, expected, "nothing had failed");
    return got == SGT_OK;
}

/* ---- handles ---- */

model_facts *choose_model(world *w)
{
    return w->models[choose(&w->in, SLOTS)];
}

policy_facts *choose_policy(world *w)
{
    return w->policies[choose(&w->in, SLOTS)];
}

void drop_model(model_facts *m)
{
    if (m != NULL && --m->references == 0)
        free(m);
}

void drop_policy(policy_facts *p)
{
    if (p != NULL && --p->references == 0)
        free(p);
}

int32_t layers_of(int shape)
{
    return shape == 0 ? LAYERS : LAYERS + 1;
}

sgt_plan *copy_plan(const world *w, const model_facts *m)
{
    world *changed = (world *)w; /* the copy is not the host's: it never fails */
    sgt_plan *copy = NULL;
    int32_t fail_in = w->fail_in;
    changed->fail_in = -1;
    if (m != NULL && sgt_plan_clone(&copy, sgt_model_plan(m->handle)) != SGT_OK)
        abort();
    changed->fail_in = fail_in;
    return copy;
}

void note_plan(model_facts *m, sgt_plan *before, int succeeded)
{
    if (m == NULL)
        return;
    int same = sgt_plan_equal(before, sgt_model_plan(m->handle));
    sgt_plan_free(before);
    if (!same) {
        if (!succeeded)
            abort(); /* the old plan stays */
        m->ready = NOTHING_READY;
        m->unseen = 0;
        m->collected = 0;
        m->entropies_unsure = 0;
    } else if (!succeeded && m->ready != NOTHING_READY) {
        m->ready = READY_UNSURE; /* a forward that waits for its backward may be lost */
    }
}

/* ---- begin and end ---- */

void world_open(world *w, const uint8_t *data, size_t size)
{
    sgt_context_options options;
    sgt_allocator allocator = {.size = sizeof allocator,
                               .allocate = allocate,
                               .release = release,
                               .user = w};
    *w = (world){.in = {data, size}, .fail_in = -1, .stop_in = -1};
    if (sgt_context_options_init(&options, sizeof options) != SGT_OK)
        abort();
    options.threads = 1;
    options.backend = "portable";
    options.isa = choose(&w->in, 2) ? "baseline" : NULL;
    options.allocator = &allocator;
    options.progress = progress;
    options.progress_user = w;
    if (sgt_context_create(&w->context, &options) != SGT_OK)
        abort();
}

/* In an order that the input chooses. */
void world_close(world *w)
{
    w->fail_in = -1;
    int context_first = choose(&w->in, 2), models_first = choose(&w->in, 2);
    if (context_first)
        sgt_context_free(w->context);
    for (int i = 0; i < SLOTS; i++) {
        if (models_first && w->models[i] != NULL)
            sgt_model_free(w->models[i]->handle);
        sgt_growth_free(w->growths[i].handle);
        drop_model(w->growths[i].model);
        drop_policy(w->growths[i].policy);
        sgt_optimizer_free(w->optimizers[i].handle);
        drop_model(w->optimizers[i].model);
        sgt_plan_free(w->plans[i].handle);
        sgt_session_free(w->sessions[i].handle);
        sgt_sampler_free(w->samplers[i]);
        sgt_plan_free(w->sessions[i].plan);
        drop_model(w->sessions[i].model);
        if (w->policies[i] != NULL)
            sgt_growth_policy_free(w->policies[i]->handle);
        drop_policy(w->policies[i]);
        if (!models_first && w->models[i] != NULL)
            sgt_model_free(w->models[i]->handle);
        drop_model(w->models[i]);
    }
    if (!context_first)
        sgt_context_free(w->context);
    if (w->bytes != 0) {
        fprintf(stderr, "%llu bytes leaked\n", (unsigned long long)w->bytes);
        abort();
    }
}
