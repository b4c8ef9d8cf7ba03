/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trains a byte-level Sparse Growing Transformer on a text file:
 *
 *     train_text novel.txt --steps 3000
 *     train_text novel.txt --minutes 4 --held-out other.txt --log run.jsonl
 *     train_text novel.txt --checkpoint run --every 500 --resume
 *
 * The loop of a host program is in train_step: forward and backward for each micro-batch,
 * optimizer step, growth step. Everything goes through the public headers.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>

#include "clock.h"
#include "open_context.h"
#include "train_text_checkpoint.h"
#include "train_text_data.h"
#include "train_text_growth.h"
#include "train_text_model.h"
#include "train_text_options.h"
#include "train_text_report.h"
#include "train_text_sample.h"
#include "train_text_schedule.h"

enum {
    EVALUATION_WINDOWS = 64,   /* of evaluations during the training */
    FINAL_BYTES = 1 << 21,     /* of the last one, at most */
    EVALUATIONS = 10,          /* a run, unless --evaluate-every says otherwise */
    MAX_TRIALS = 20            /* steps that measure the speed */
};

/* What the last evaluation may take beyond a time limit, as a part of it. */
static const double FINAL_SHARE = 0.1;

typedef struct run {
    settings o;
    corpus text;
    reporter report;
    schedule plan;
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth_policy *policy;
    sgt_growth *growth;
    int32_t *tokens;  /* (batch / micro_batches, seq) */
    int32_t *targets; /* likewise */
    sgt_checkpoint *checkpoint; /* to resume from; NULL: none */
    int64_t steps;    /* done */
    int64_t saved;    /* the step of the last checkpoint */
    double seconds;   /* they took, with the evaluations between them */
    int heard;        /* signals that were acted on */
    int stopped;
} run;

/* ---- stopping, failing ---- */

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
    (void)number;
    signals++;
}

static void listen_to_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* The context asks between layers, so that a long step ends soon after Ctrl-C. */
static int32_t on_progress(void *user, const sgt_progress *progress)
{
    const run *r = user;
    (void)progress;
    return signals > r->heard;
}

/* ---- setting up ---- */

static int open_optimizer(run *r)
{
    sgt_optimizer_options options;
    sgt_optimizer_options_init(&options, sizeof options);
    options.schedule = SGT_SCHEDULE_COSINE;
    options.lr = r->o.lr;
    options.weight_decay = r->o.weight_decay;
    options.clip = r->o.clip;
    options.warmup_steps = r->plan.warmup;
    options.total_steps = r->plan.steps;
    options.final_factor = FINAL_RATE;
    if (r->plan.seconds > 0) {
        options.rate = schedule_rate;
        options.rate_user = &r->plan;
    }
    sgt_status status = sgt_optimizer_create(&r->optimizer, r->model, &options);
    return status == SGT_OK ? EXIT_DONE : call_failed("making the optimizer", status);
}

/* ---- training ---- */

/* Forward and backward of all micro-batches of a 1-based step; *loss is their mean. */
static sgt_status accumulate(run *r, double *loss, int64_t step)
{
    const settings *o = &r->o;
    int32_t rows = (int32_t)(o->batch / o->micro_batches);
    sgt_batch batch = {.size = sizeof batch,
                       .batch = rows,
                       .seq = (int32_t)o->seq,
                       .tokens = r->tokens,
                       .targets = r->targets};
    double bytes = (double)(o->batch * o->seq);
    double loss_sum = 0;
    sgt_status status = SGT_OK;
    for (int64_t m = 0; m < o->micro_batches && status == SGT_OK; m++) {
        sgt_metrics metrics = {.size = sizeof metrics};
        uint64_t first = (uint64_t)((step - 1) * o->batch + m * rows);
        fill_batch(r->tokens, r->targets, r->text.train, r->text.train_bytes, rows,
                   (int32_t)o->seq, (uint64_t)o->seed, first);
        status = sgt_model_forward(&metrics, r->model, &batch);
        if (status == SGT_OK)
            status = sgt_model_backward(r->model, 1 / bytes, NULL);
        loss_sum += metrics.loss_sum;
    }
    *loss = loss_sum / bytes;
    return status;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median time of a few steps that change nothing; the first, which allocates, is left out. */
static sgt_status measure_speed(run *r, double *seconds_per_step)
{
    double times[MAX_TRIALS], loss, start = now();
    double enough = 0.02 * 60 * r->o.minutes; /* a fiftieth of the time, but three steps */
    sgt_status status = accumulate(r, &loss, 1);
    int n = 0;
    while (n < MAX_TRIALS && (n < 3 || now() - start < enough) && status == SGT_OK) {
        double before = now();
        status = accumulate(r, &loss, 1);
        times[n++] = now() - before;
    }
    if (status == SGT_OK)
        status = sgt_model_zero_gradients(r->model);
    if (status == SGT_OK) {
        qsort(times, (size_t)n, sizeof times[0], ascending);
        *seconds_per_step = times[n / 2];
        printf("speed: %.3f s a step in %d trial steps\n", *seconds_per_step, n);
    }
    return status;
}

/* One optimizer step, the 1-based `step`. */
static sgt_status train_step(run *r, int64_t step)
{
    double start = now(), loss = 0;
    sgt_status status = accumulate(r, &loss, step);
    if (status != SGT_OK)
        return status;
    sgt_step_report report = {.size = sizeof report};
    status = sgt_optimizer_step(&report, r->optimizer, NULL);
    if (status != SGT_OK)
        return status;
    r->steps = step;
    report_entropies(&r->report, step, r->model);
    sgt_growth_input input = {sizeof input, report.skipped, step, loss, report.grad_norm};
    sgt_growth_event event = {.size = sizeof event};
    status = sgt_growth_step(&event, r->growth, &input);
    if (status != SGT_OK)
        return status;
    report_step(&r->report, loss, &report, r->model, now() - start);
    report_growth(&r->report, step, &event, r->model);
    return SGT_OK;
}

/* After the last finished step; a step that was stopped half-way is dropped. */
static sgt_status save(run *r)
{
    if (r->saved == r->steps)
        return SGT_OK;
    sgt_status status = sgt_model_zero_gradients(r->model);
    if (status == SGT_OK)
        status = checkpoint_save(&r->o, &r->text, &r->plan, r->model, r->optimizer, r->growth);
    if (status == SGT_OK)
        r->saved = r->steps;
    return status;
}

/* Evaluates on a part of the held-out text; *seconds is what it took. */
static sgt_status evaluate(run *r, double *seconds)
{
    double start = now();
    evaluation e;
    sgt_status status = evaluate_text(&e, r->model, &r->o, r->text.held_out,
                                      r->text.held_out_bytes, EVALUATION_WINDOWS);
    if (status == SGT_OK)
        report_evaluation(&r->report, r->steps, &e);
    *seconds = now() - start;
    return status;
}

static int train(run *r)
{
    const settings *o = &r->o;
    int64_t every = o->evaluate_every ? o->evaluate_every
                                      : (r->plan.steps + EVALUATIONS - 1) / EVALUATIONS;
    int64_t last = o->stop_at && o->stop_at < r->plan.steps ? o->stop_at : r->plan.steps;
    double step_seconds = 0, evaluation_seconds = 0;
    sgt_status status = SGT_OK;
    while (r->steps < last && status == SGT_OK && !schedule_time_is_up(&r->plan, step_seconds)) {
        double start = now();
        status = train_step(r, r->steps + 1);
        step_seconds = now() - start;
        if (status == SGT_OK && o->checkpoint && o->every && r->steps % o->every == 0)
            status = save(r);
        if (status == SGT_OK && r->steps % every == 0 && r->steps < last &&
            !schedule_time_is_up(&r->plan, 2 * evaluation_seconds))
            status = evaluate(r, &evaluation_seconds);
        report_aside(&r->report, now() - start - step_seconds);
    }
    r->seconds = now() - r->plan.start;
    if (status < 0)
        return call_failed("training", status);
    if (r->o.checkpoint) {
        r->heard = signals;
        sgt_status saved = save(r);
        if (saved != SGT_OK)
            return call_failed("saving", saved);
    }
    if (status > 0) {
        r->heard = signals;
        r->stopped = 1;
        printf("stopped by a signal after %lld steps\n", (long long)r->steps);
    } else if (r->steps == r->o.stop_at && r->steps < r->plan.steps) {
        printf("stopped as told after %lld of %lld steps\n", (long long)r->steps,
               (long long)r->plan.steps);
    } else if (r->steps < r->plan.steps) {
        printf("time is up after %lld of %lld steps\n", (long long)r->steps,
               (long long)r->plan.steps);
    }
    return EXIT_DONE;
}

/* ---- resuming ---- */

/* The plan of a run that goes on is the one it began with. */
static int plan_run(run *r)
{
    double seconds_per_step = 0, start = now();
    if (r->checkpoint) {
        schedule_plan(&r->plan, &r->o, start, 1);
        return checkpoint_read_plan(&r->plan, r->checkpoint, &r->o);
    }
    sgt_status measured = r->o.minutes > 0 ? measure_speed(r, &seconds_per_step) : SGT_OK;
    if (measured != SGT_OK)
        return call_failed("measuring the speed", measured);
    schedule_plan(&r->plan, &r->o, start, seconds_per_step);
    return EXIT_DONE;
}

static int load(run *r)
{
    if (!r->checkpoint)
        return EXIT_DONE;
    sgt_status status =
        sgt_checkpoint_load(r->model, r->optimizer, r->growth, r->checkpoint, NULL);
    if (status != SGT_OK)
        return call_failed("--resume", status);
    r->steps = r->saved = sgt_optimizer_steps(r->optimizer);
    return EXIT_DONE;
}

/* ---- the whole ---- */

static int set_up(run *r)
{
    size_t window_bytes = (size_t)(r->o.batch / r->o.micro_batches * r->o.seq) * sizeof(int32_t);
    int status = corpus_read(&r->text, &r->o);
    if (!status)
        status = report_open(&r->report, &r->o);
    if (!status && (!(r->tokens = malloc(window_bytes)) || !(r->targets = malloc(window_bytes))))
        status = complain(EXIT_FAILED, "out of memory");
    if (!status)
        status = open_context(&r->context, r->o.threads, r->o.backend, on_progress, r);
    if (!status && r->o.checkpoint)
        status = checkpoint_find(&r->checkpoint, r->context, &r->o, &r->text);
    if (!status)
        status = model_open(&r->model, r->context, &r->o);
    if (!status)
        status = plan_run(r);
    if (!status)
        status = open_optimizer(r);
    if (!status)
        status = growth_open(&r->policy, &r->growth, r->context, r->model, &r->o, &r->plan);
    if (!status)
        status = load(r);
    if (!status)
        report_start(&r->report, &r->o, &r->plan, r->context, r->model, r->steps);
    return status;
}

/* On all of the held-out text, up to FINAL_BYTES, or as much of it as a few windows promise to be
 * done within the share of a time limit. */
static sgt_status evaluate_last(evaluation *e, run *r)
{
    const corpus *t = &r->text;
    int64_t all = held_out_windows(&r->o, t->held_out_bytes), most = FINAL_BYTES / r->o.seq;
    int64_t trial = all < EVALUATION_WINDOWS ? all : EVALUATION_WINDOWS;
    int64_t windows = all < most ? all : most;
    double start = now();
    sgt_status status =
        evaluate_text(e, r->model, &r->o, t->held_out, t->held_out_bytes, trial);
    double per_window = (now() - start) / (double)trial;
    double fitting = FINAL_SHARE * r->plan.seconds / per_window;
    if (r->plan.seconds > 0 && fitting < (double)windows)
        windows = fitting > (double)trial ? (int64_t)fitting : trial;
    if (status != SGT_OK || windows <= trial)
        return status;
    report_last_evaluation(windows < all ? windows * r->o.seq : e->of,
                           per_window * (double)windows);
    return evaluate_text(e, r->model, &r->o, t->held_out, t->held_out_bytes, windows);
}

static int finish(run *r)
{
    evaluation e = {0};
    if (r->steps == r->o.stop_at && r->steps < r->plan.steps)
        return EXIT_DONE; /* more is to come */
    sgt_status status = print_samples(r->context, r->model, &r->o);
    if (status == SGT_OK)
        status = evaluate_last(&e, r);
    if (status != SGT_OK)
        return call_failed("the final evaluation", status);
    report_end(&r->report, r->steps, r->seconds, &e, r->model);
    return EXIT_DONE;
}

static void clean_up(run *r)
{
    sgt_checkpoint_free(r->checkpoint);
    sgt_growth_free(r->growth);
    sgt_growth_policy_free(r->policy);
    sgt_optimizer_free(r->optimizer);
    sgt_model_free(r->model);
    sgt_context_free(r->context);
    free(r->tokens);
    free(r->targets);
    corpus_free(&r->text);
}

int main(int argc, char **argv)
{
    run r = {0};
    int status = settings_read(&r.o, argc, argv);
    if (status != EXIT_DONE)
        return status == EXIT_HELP ? EXIT_DONE : status;
    listen_to_signals();
    status = set_up(&r);
    if (!status)
        status = train(&r);
    if (!status)
        status = finish(&r);
    clean_up(&r);
    int closed = report_close(&r.report);
    return status ? status : closed;
}
