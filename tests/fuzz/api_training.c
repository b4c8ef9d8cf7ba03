/* SPDX-License-Identifier: BSD-3-Clause */
/* The calls about optimizers and growth. */
#include "api_calls.h"

#include <math.h>
#include <stdlib.h>

/* ---- optimizers ---- */

static void free_optimizer(optimizer_facts *o)
{
    sgt_optimizer_free(o->handle);
    drop_model(o->model);
    *o = (optimizer_facts){0};
}

void api_optimizer(world *w)
{
    optimizer_facts *o = &w->optimizers[choose(&w->in, SLOTS)];
    model_facts *m = choose_model(w);
    sgt_optimizer *made = NULL;
    sgt_optimizer_options options;
    sgt_status expected = m ? SGT_OK : SGT_E_INVALID_ARGUMENT;
    if (o->handle != NULL) {
        free_optimizer(o);
        return;
    }
    if (sgt_optimizer_options_init(&options, sizeof options) != SGT_OK)
        abort();
    options.lr = 0.01;
    switch (choose(&w->in, 12)) {
    case 0:
        options.lr = NAN;
        expected = m ? SGT_E_OUT_OF_RANGE : expected;
        break;
    case 1:
        options.schedule = 9;
        expected = m ? SGT_E_OUT_OF_RANGE : expected;
        break;
    case 2:
        options.size = 0;
        expected = m ? SGT_E_STRUCT_SIZE : expected;
        break;
    default:
        break;
    }
    if (!told(w, "sgt_optimizer_create",
              sgt_optimizer_create(&made, m ? m->handle : NULL, &options), expected)) {
        if (made != NULL)
            abort();
        return;
    }
    m->references++;
    *o = (optimizer_facts){.handle = made, .model = m};
}

void api_optimizer_step(world *w)
{
    const optimizer_facts *o = &w->optimizers[choose(&w->in, SLOTS)];
    sgt_step_report report = {.size = sizeof report, .step = -1};
    model_facts *m = o->model;
    int64_t steps = sgt_optimizer_steps(o->handle);
    sgt_status expected = m == NULL                              ? SGT_E_INVALID_ARGUMENT
                          : m->gradients == GRADIENTS_INVALID ? SGT_E_GRADIENTS_INVALID
                          : m->gradients == GRADIENTS_ZERO    ? SGT_E_STATE
                                                              : SGT_OK;
    int done =
        told(w, "sgt_optimizer_step", sgt_optimizer_step(&report, o->handle, NULL), expected);
    if (sgt_optimizer_steps(o->handle) != steps + done || (done && report.step != steps + 1))
        abort();
    if (!done)
        return;
    m->gradients = GRADIENTS_ZERO;
    m->open = 0;
    if (!report.skipped)
        m->ready = NOTHING_READY;
}

/* ---- policies ---- */

static sgt_status make_policy(sgt_growth_policy **made, world *w, policy_facts *facts)
{
    static const int32_t layers[] = {0, 1}, runs[] = {1, 2};
    sgt_growth_sparse_options options;
    int32_t n_layers = layers_of(facts->shape);
    const plan_facts *plan = &w->plans[0];
    switch (choose(&w->in, 4)) {
    case 0:
        return sgt_growth_policy_none(made, w->context, n_layers, HEADS);
    case 1:
        return sgt_growth_policy_static_blocks(made, w->context, n_layers, HEADS, layers, runs,
                                               1 + choose(&w->in, 2));
    case 2:
        facts->shape = plan->handle ? plan->shape : facts->shape;
        if (plan->handle != NULL)
            return sgt_growth_policy_static_heads(made, w->context, plan->handle);
        return sgt_growth_policy_none(made, w->context, n_layers, HEADS);
    default:
        if (sgt_growth_sparse_options_init(&options, sizeof options) != SGT_OK)
            abort();
        options.first_step = 1 + choose(&w->in, 3);
        options.window = 1 + choose(&w->in, 3);
        options.top_k_layers = 1 + choose(&w->in, 3);
        options.max_layers = 1 + choose(&w->in, 2);
        options.max_depth = 1 + choose(&w->in, 3);
        options.keep_heads = 1 + choose(&w->in, 2);
        options.ramp = choose(&w->in, 3);
        options.entropy = 1 + choose(&w->in, 2);
        options.n_exclude = choose(&w->in, 2);
        options.groups = layers;
        options.n_groups = options.n_exclude + 1;
        facts->needs = options.entropy;
        return sgt_growth_policy_sparse(made, w->context, n_layers, HEADS, &options);
    }
}

void api_policy(world *w)
{
    int32_t slot = choose(&w->in, SLOTS);
    policy_facts *p = w->policies[slot];
    sgt_growth_policy *made = NULL;
    if (p != NULL) {
        sgt_growth_policy_free(p->handle);
        drop_policy(p);
        w->policies[slot] = NULL;
        return;
    }
    p = calloc(1, sizeof *p);
    *p = (policy_facts){.references = 1, .shape = choose(&w->in, 2)};
    sgt_status got = make_policy(&made, w, p);
    if (!told(w, "a growth policy", got, SGT_OK)) {
        if (made != NULL)
            abort();
        free(p);
        return;
    }
    p->handle = made;
    w->policies[slot] = p;
}

/* ---- growth ---- */

static void free_growth(growth_facts *g)
{
    sgt_growth_free(g->handle);
    g->model->attached = 0;
    g->model->needed = 0;
    g->policy->attached = 0;
    drop_model(g->model);
    drop_policy(g->policy);
    *g = (growth_facts){0};
}

void api_growth(world *w)
{
    growth_facts *g = &w->growths[choose(&w->in, SLOTS)];
    model_facts *m = choose_model(w);
    policy_facts *p = choose_policy(w);
    sgt_growth *made = NULL;
    if (g->handle != NULL) {
        free_growth(g);
        return;
    }
    sgt_status expected = m == NULL || p == NULL || m->shape != p->shape ? SGT_E_INVALID_ARGUMENT
                          : m->attached || p->attached                   ? SGT_E_STATE
                                                                         : SGT_OK;
    sgt_plan *before = copy_plan(w, m);
    int done = told(w, "sgt_growth_create",
                    sgt_growth_create(&made, m ? m->handle : NULL, p ? p->handle : NULL, NULL),
                    expected);
    if (expected == SGT_OK)
        note_plan(m, before, done);
    else
        sgt_plan_free(before);
    if (!done) {
        if (made != NULL)
            abort();
        return;
    }
    m->references++;
    p->references++;
    m->attached = 1;
    m->needed = p->fixed ? 0 : p->needs;
    p->attached = 1;
    *g = (growth_facts){.handle = made, .model = m, .policy = p};
}

static sgt_status foretell_growth(const growth_facts *g, const sgt_growth_input *input,
                                  sgt_status got)
{
    const model_facts *m = g->model;
    int32_t needs = g->handle == NULL || g->policy->fixed ? 0 : g->policy->needs;
    if (g->handle == NULL || input->step < 1)
        return SGT_E_INVALID_ARGUMENT;
    if (input->step <= g->last_step)
        return SGT_E_STATE;
    if (input->skipped)
        return SGT_OK;
    if (!m->unseen || (m->collected & needs) != needs)
        return SGT_E_STATE;
    return m->entropies_unsure && got == SGT_E_STATE ? got : SGT_OK;
}

void api_growth_step(world *w)
{
    growth_facts *g = &w->growths[choose(&w->in, SLOTS)];
    model_facts *m = g->model;
    sgt_growth_event event = {.size = sizeof event, .action = -1};
    sgt_growth_input input = {.size = sizeof input, .loss = 1.0};
    input.step = g->last_step + choose(&w->in, 5) - 1;
    input.skipped = choose(&w->in, 6) == 0;
    sgt_plan *before = copy_plan(w, m);
    sgt_status got = sgt_growth_step(&event, g->handle, &input);
    sgt_status expected = foretell_growth(g, &input, got);
    int done = told(w, "sgt_growth_step", got, expected);
    if (!done && event.action != -1)
        abort();
    if (expected == SGT_OK)
        note_plan(m, before, done);
    else
        sgt_plan_free(before);
    if (!done)
        return;
    g->last_step = input.step;
    m->unseen = 0;
    if (event.action == SGT_GROWTH_FIX) {
        g->policy->fixed = 1;
        m->needed = 0;
    }
}
