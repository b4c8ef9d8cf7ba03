/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases of kind `train`: a whole training with growth, step by step. */
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct train_case {
    golden_case *c;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth_policy *policy;
    sgt_growth *growth;
    int32_t batch;
    int32_t seq;
    int32_t steps;
    int32_t *rows;    /* [steps,B,T+1] */
    int32_t *tokens;  /* [B,T] */
    int32_t *targets; /* [B,T] */
    double *rates;    /* [steps] */
    const json_t *loss;
    const json_t *grad_norm;
    const json_t *action;
    const json_t *depth;
    const json_t *scale;
} train_case;

/* ---- what the case says ---- */

static void read_series(train_case *t)
{
    golden_case *c = t->c;
    t->batch = golden_integer(c, c->json, "batch", 1);
    t->seq = golden_integer(c, c->json, "seq", 1);
    t->steps = golden_integer(c, c->json, "steps", 1);
    t->loss = golden_array(c, c->json, "loss", t->steps);
    t->grad_norm = golden_array(c, c->json, "grad_norm", t->steps);
    t->action = golden_array(c, c->json, "action", t->steps);
    t->depth = golden_array(c, c->json, "depth", t->steps);
    t->scale = golden_array(c, c->json, "scale", t->steps);
    const json_t *rates = golden_array(c, c->json, "lr", t->steps);
    size_t count = (size_t)t->batch * (size_t)t->seq;
    t->rows = golden_integers(c, (uint64_t)t->steps * (uint64_t)t->batch * ((uint64_t)t->seq + 1),
                              "in/batches");
    if (c->broken)
        return;
    t->tokens = golden_allocate(count, sizeof *t->tokens);
    t->targets = golden_allocate(count, sizeof *t->targets);
    t->rates = golden_allocate((size_t)t->steps, sizeof *t->rates);
    for (int32_t i = 0; i < t->steps; i++)
        t->rates[i] = golden_number_at(c, rates, (size_t)i);
}

static double rate_of_case(void *user, int64_t step, double scheduled)
{
    const train_case *t = user;
    return step >= 1 && step <= t->steps ? t->rates[step - 1] : scheduled;
}

static void make_optimizer(train_case *t)
{
    golden_case *c = t->c;
    sgt_optimizer_options options;
    const json_t *adamw = golden_object(c, c->json, "adamw");
    const json_t *betas = golden_array(c, adamw, "betas", 2);
    golden_only(c, adamw, "betas eps weight_decay");
    sgt_optimizer_options_init(&options, sizeof options);
    options.beta1 = golden_number_at(c, betas, 0);
    options.beta2 = golden_number_at(c, betas, 1);
    options.eps = golden_number(c, adamw, "eps");
    options.weight_decay = golden_number(c, adamw, "weight_decay");
    options.clip = golden_has(c->json, "grad_clip") ? golden_number(c, c->json, "grad_clip") : 0.0;
    options.rate = rate_of_case;
    options.rate_user = t;
    if (!c->broken && !golden_called(c->run,
                                     sgt_optimizer_create(&t->optimizer, t->model, &options),
                                     "sgt_optimizer_create"))
        c->broken = 1;
}

static void make_growth(train_case *t)
{
    golden_case *c = t->c;
    sgt_model_config config = golden_config(t->model);
    t->policy = golden_policy(c, golden_object(c, c->json, "growth"), config.n_layers,
                              config.n_heads);
    if (!c->broken && !golden_called(c->run,
                                     sgt_growth_create(&t->growth, t->model, t->policy, NULL),
                                     "sgt_growth_create"))
        c->broken = 1;
}

/* ---- training ---- */

static sgt_batch batch_of_step(train_case *t, int32_t step)
{
    size_t seq = (size_t)t->seq;
    for (size_t b = 0; b < (size_t)t->batch; b++) {
        const int32_t *row = t->rows + ((size_t)(step - 1) * (size_t)t->batch + b) * (seq + 1);
        for (size_t i = 0; i < seq; i++) {
            t->tokens[b * seq + i] = row[i];
            t->targets[b * seq + i] = row[i + 1];
        }
    }
    return (sgt_batch){.size = sizeof(sgt_batch), .batch = t->batch, .seq = t->seq,
                       .tokens = t->tokens, .targets = t->targets};
}

static int take_step(train_case *t, sgt_metrics *metrics, sgt_step_report *report,
                     sgt_growth_event *event, int32_t step)
{
    golden_run *run = t->c->run;
    sgt_batch batch = batch_of_step(t, step);
    sgt_growth_input input = {.size = sizeof input, .step = step};
    if (!golden_called(run, sgt_model_forward(metrics, t->model, &batch), "sgt_model_forward") ||
        !golden_called(run, sgt_model_backward(t->model, 1.0 / (double)metrics->count, NULL),
                       "sgt_model_backward") ||
        !golden_called(run, sgt_optimizer_step(report, t->optimizer, NULL), "sgt_optimizer_step"))
        return 0;
    input.skipped = report->skipped;
    input.loss = metrics->loss;
    input.grad_norm = report->grad_norm;
    return golden_called(run, sgt_growth_step(event, t->growth, &input), "sgt_growth_step");
}

static int run_steps(train_case *t, golden_kind *losses, golden_kind *norms,
                     golden_growth_kinds *growth)
{
    golden_case *c = t->c;
    for (int32_t step = 1; step <= t->steps; step++) {
        sgt_metrics metrics = {.size = sizeof metrics};
        sgt_step_report report = {.size = sizeof report};
        sgt_growth_event event = {.size = sizeof event};
        char where[32];
        size_t i = (size_t)step - 1;
        snprintf(where, sizeof where, "step %d", (int)step);
        if (!take_step(t, &metrics, &report, &event, step))
            return 0;
        double norm = golden_number_at(c, t->grad_norm, i);
        golden_compare(losses, fabs(metrics.loss - golden_number_at(c, t->loss, i)), "%s", where);
        golden_compare(norms, fabs(report.grad_norm - norm) / (norm == 0.0 ? 1.0 : fabs(norm)),
                       "%s", where);
        golden_growth_step expected = {.where = where,
                                       .action = json_array_get(t->action, i),
                                       .depth = golden_array_at(c, t->depth, i, -1),
                                       .scale = golden_array_at(c, t->scale, i, -1)};
        golden_compare_growth(c, growth, &expected, &event, sgt_model_plan(t->model));
        if (c->broken)
            return 0;
    }
    return 1;
}

static void train(train_case *t)
{
    golden_run *run = t->c->run;
    golden_kind losses = {.name = "losses", .bound = 5e-5};
    golden_kind norms = {.name = "grad_norms", .bound = 2e-5, .relative = 1};
    golden_kind weights = {.name = "final_weights", .bound = 1e-3, .relative = 1};
    golden_growth_kinds growth = golden_growth_kinds_make();
    if (run_steps(t, &losses, &norms, &growth))
        golden_compare_parameters(t->c, &weights, t->model, "final", SGT_PART_WEIGHT);
    golden_line(run, &losses);
    golden_line(run, &norms);
    golden_line(run, &weights);
    golden_growth_lines(run, &growth);
}

void golden_train(golden_case *c)
{
    train_case t = {.c = c};
    golden_only(c, c->json,
                "kind config parts mode batch seq steps growth adamw grad_clip lr loss grad_norm "
                "action depth scale");
    if (!golden_trains(c))
        c->broken = !golden_fail(c->run, "a training with \"mode\" infer");
    t.model = golden_model(c);
    if (t.model == NULL)
        return;
    read_series(&t);
    if (!c->broken)
        make_optimizer(&t);
    if (!c->broken)
        make_growth(&t);
    if (!c->broken)
        train(&t);
    sgt_growth_free(t.growth);
    sgt_growth_policy_free(t.policy);
    sgt_optimizer_free(t.optimizer);
    sgt_model_free(t.model);
    free(t.rows);
    free(t.tokens);
    free(t.targets);
    free(t.rates);
}
