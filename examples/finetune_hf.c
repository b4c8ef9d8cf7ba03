/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fine-tunes a LLaMA from a Hugging Face folder with growth switched on, and writes the grown model
 * to another folder:
 *
 *     finetune_hf FOLDER OUT TOKENS --steps 200 --lr 3e-5
 *
 * TOKENS is a file of token ids (the tokenizer is not ours). The loss on text that the model is not
 * trained on is printed before and after: only that tells whether the rate was right. A new pass
 * fades in to a small gain, so that the model that was loaded is never thrown off
 * (doc/fine-tuning.md).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sgt/sgt.h>

#include "finetune_data.h"
#include "finetune_options.h"
#include "open_context.h"

typedef struct tuning {
    settings o;
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth_policy *policy;
    sgt_growth *growth;
    token_list text;
    token_list held;
    int32_t *inputs; /* [batch,seq] */
    int32_t *targets;
} tuning;

/* ---- setting up ---- */

/* The last tenth is held out, unless there is a file for that. */
static int read_texts(tuning *t, int32_t vocab_size)
{
    const settings *o = &t->o;
    int status = tokens_read(&t->text, o->tokens, o->id_bytes, vocab_size);
    if (!status && o->held) {
        status = tokens_read(&t->held, o->held, o->id_bytes, vocab_size);
    } else if (!status) {
        t->held.count = t->text.count / 10;
        t->text.count -= t->held.count;
        t->held.tokens = malloc((size_t)t->held.count * sizeof *t->held.tokens + 1);
        if (!t->held.tokens)
            return complain(EXIT_FAILED, "out of memory");
        memcpy(t->held.tokens, t->text.tokens + t->text.count,
               (size_t)t->held.count * sizeof *t->held.tokens);
    }
    if (!status && (t->text.count <= o->seq || t->held.count <= o->seq))
        status = complain(EXIT_FAILED, "%s: %lld tokens to train on and %lld held out are not both "
                          "more than --seq %d", o->tokens, (long long)t->text.count,
                          (long long)t->held.count, (int)o->seq);
    t->inputs = malloc((size_t)(o->batch * o->seq) * sizeof *t->inputs);
    t->targets = malloc((size_t)(o->batch * o->seq) * sizeof *t->targets);
    if (!status && (!t->inputs || !t->targets))
        status = complain(EXIT_FAILED, "out of memory");
    return status;
}

static sgt_status make_optimizer(tuning *t)
{
    sgt_optimizer_options options;
    sgt_status status = sgt_optimizer_options_init(&options, sizeof options);
    options.schedule = SGT_SCHEDULE_COSINE;
    options.lr = t->o.lr;
    options.weight_decay = 0.01;
    options.total_steps = t->o.steps;
    options.warmup_steps = t->o.warmup;
    return status == SGT_OK ? sgt_optimizer_create(&t->optimizer, t->model, &options) : status;
}

/* Two layers are picked in the first half of the run. */
static sgt_status make_growth(tuning *t, const sgt_model_config *config)
{
    sgt_growth_sparse_options options;
    sgt_status status = sgt_growth_sparse_options_init(&options, sizeof options);
    options.first_step = 1 + t->o.steps / 10;
    options.window = 1 + t->o.steps / 5;
    options.max_layers = config->n_layers > 2 ? 2 : 1;
    options.keep_heads = config->n_heads > 2 ? 2 : 1;
    options.ramp = SGT_RAMP_WARM;
    options.max_gain = t->o.gain;
    if (status == SGT_OK)
        status = sgt_growth_policy_sparse(&t->policy, t->context, config->n_layers, config->n_heads,
                                          &options);
    return status == SGT_OK ? sgt_growth_create(&t->growth, t->model, t->policy, NULL) : status;
}

/* Now, not after the training. */
static int make_folder(const char *path)
{
    struct stat about;
    if (mkdir(path, 0777) && (errno != EEXIST || stat(path, &about) || !S_ISDIR(about.st_mode)))
        return complain(EXIT_FAILED, "%s: %s", path, strerror(errno));
    return EXIT_DONE;
}

static int set_up(tuning *t)
{
    sgt_model_config config = {.size = sizeof config};
    int failed = open_context(&t->context, t->o.threads, t->o.backend, NULL, NULL);
    if (failed)
        return failed;
    sgt_status status = sgt_hf_load(&t->model, t->context, t->o.folder, NULL, NULL);
    if (status == SGT_OK)
        status = sgt_model_get_config(&config, t->model);
    if (status != SGT_OK)
        return call_failed("loading", status);
    failed = read_texts(t, config.vocab_size);
    if (!failed)
        failed = make_folder(t->o.out);
    if (failed)
        return failed;
    status = make_optimizer(t);
    if (status == SGT_OK && t->o.gain > 0)
        status = make_growth(t, &config);
    return status == SGT_OK ? EXIT_DONE : call_failed("setting up", status);
}

/* ---- training ---- */

/* The mean loss of windows all over the held-out text; *count: the targets there were. */
static sgt_status evaluate(double *loss, int64_t *count, const tuning *t)
{
    const settings *o = &t->o;
    int64_t fit = (t->held.count - 1) / o->seq, wanted = (o->held_tokens + o->seq - 1) / o->seq;
    int64_t windows = wanted < fit ? wanted : fit, stride = (t->held.count - 1) / windows;
    double sum = 0;
    *count = 0;
    for (int64_t done = 0; done < windows; done += o->batch) {
        int64_t rows = windows - done < o->batch ? windows - done : o->batch;
        sgt_metrics metrics = {.size = sizeof metrics};
        sgt_batch batch = {.size = sizeof batch,
                           .batch = (int32_t)rows,
                           .seq = (int32_t)o->seq,
                           .tokens = t->inputs,
                           .targets = t->targets};
        windows_fill(t->inputs, t->targets, &t->held, done * stride, stride, rows, o->seq);
        sgt_status status = sgt_model_evaluate(&metrics, t->model, &batch, NULL);
        if (status != SGT_OK)
            return status;
        sum += metrics.loss * (double)metrics.count;
        *count += metrics.count;
    }
    *loss = sum / (double)*count;
    return SGT_OK;
}

static int print_held_out(const tuning *t, const char *when)
{
    double loss = 0;
    int64_t count = 0;
    sgt_status status = evaluate(&loss, &count, t);
    if (status != SGT_OK)
        return call_failed("evaluating", status);
    printf("held-out loss %s: %.4f (%lld tokens)\n", when, loss, (long long)count);
    fflush(stdout);
    return EXIT_DONE;
}

static sgt_status grow(const tuning *t, int64_t step, const sgt_metrics *metrics,
                       const sgt_step_report *report)
{
    sgt_growth_event event = {.size = sizeof event};
    sgt_growth_input input = {sizeof input, report->skipped, step, metrics->loss,
                              report->grad_norm};
    if (!t->growth)
        return SGT_OK;
    sgt_status status = sgt_growth_step(&event, t->growth, &input);
    if (status == SGT_OK && event.action == SGT_GROWTH_SELECT)
        printf("step %lld: layer %d loops\n", (long long)step, (int)event.layer);
    return status;
}

/* Windows in a row, from where the last step ended. */
static int train(const tuning *t)
{
    const settings *o = &t->o;
    sgt_batch batch = {.size = sizeof batch,
                       .batch = (int32_t)o->batch,
                       .seq = (int32_t)o->seq,
                       .tokens = t->inputs,
                       .targets = t->targets};
    sgt_status status = SGT_OK;
    for (int64_t step = 1; step <= o->steps && status == SGT_OK; step++) {
        sgt_metrics metrics = {.size = sizeof metrics};
        sgt_step_report report = {.size = sizeof report};
        windows_fill(t->inputs, t->targets, &t->text, (step - 1) * o->batch * o->seq, o->seq,
                     o->batch, o->seq);
        status = sgt_model_forward(&metrics, t->model, &batch);
        if (status == SGT_OK)
            status = sgt_model_backward(t->model, 1.0 / (double)metrics.count, NULL);
        if (status == SGT_OK)
            status = sgt_optimizer_step(&report, t->optimizer, NULL);
        if (status == SGT_OK)
            status = grow(t, step, &metrics, &report);
        if (status == SGT_OK && (step == 1 || step % 10 == 0 || step == o->steps))
            printf("step %lld: loss %.4f\n", (long long)step, metrics.loss);
        fflush(stdout);
    }
    return status == SGT_OK ? EXIT_DONE : call_failed("training", status);
}

/* With the tokenizer of the model that was loaded. */
static sgt_status save(const tuning *t)
{
    sgt_hf_save_options options;
    sgt_status status = sgt_hf_save_options_init(&options, sizeof options);
    options.copy_from = t->o.folder;
    return status == SGT_OK ? sgt_hf_save(t->model, t->o.out, &options) : status;
}

int main(int argc, char **argv)
{
    tuning t = {0};
    int failed = settings_read(&t.o, argc, argv);
    if (failed)
        return failed == EXIT_HELP ? EXIT_DONE : failed;
    failed = set_up(&t);
    if (!failed)
        failed = print_held_out(&t, "before");
    if (!failed)
        failed = train(&t);
    if (!failed)
        failed = print_held_out(&t, "after");
    if (!failed) {
        sgt_status status = save(&t);
        failed = status == SGT_OK ? EXIT_DONE : call_failed("saving", status);
    }
    sgt_growth_free(t.growth);
    sgt_growth_policy_free(t.policy);
    sgt_optimizer_free(t.optimizer);
    sgt_model_free(t.model);
    sgt_context_free(t.context);
    free(t.text.tokens);
    free(t.held.tokens);
    free(t.inputs);
    free(t.targets);
    return failed;
}
