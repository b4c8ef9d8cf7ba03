/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fine-tunes a LLaMA from a Hugging Face folder with growth switched on, and writes the grown model
 * to another folder:
 *
 *     finetune_hf FOLDER OUT TOKENS [STEPS]
 *
 * TOKENS is a file of 16-bit little-endian token ids (the tokenizer is not ours). A new pass fades in
 * from a small gain, so that the model that was loaded is never thrown off.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <sgt/sgt.h>

enum { BATCH = 4, SEQ = 32, DEFAULT_STEPS = 40 };

typedef struct tuning {
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth_policy *policy;
    sgt_growth *growth;
    int32_t *tokens;
    long count;
} tuning;

static int complain(const char *what)
{
    fprintf(stderr, "finetune_hf: %s: %s\n", what, sgt_error_message());
    return 1;
}

static int read_tokens(tuning *t, const char *path)
{
    long bytes = 0;
    unsigned char pair[2];
    FILE *file = fopen(path, "rb");
    if (file && !fseek(file, 0, SEEK_END))
        bytes = ftell(file);
    if (bytes / 2 > SEQ)
        t->tokens = malloc((size_t)(bytes / 2) * sizeof *t->tokens);
    if (file)
        rewind(file);
    while (t->tokens && t->count < bytes / 2 && fread(pair, 2, 1, file) == 1)
        t->tokens[t->count++] = pair[0] | pair[1] << 8;
    if (file)
        fclose(file);
    if (t->count > SEQ)
        return 0;
    fprintf(stderr, "finetune_hf: %s: cannot be read, or has no more than %d tokens\n", path, SEQ);
    return 1;
}

/* The whole model is tuned, at a low rate; growth picks two layers in the first half of the run. */
static sgt_status set_up(tuning *t, const char *folder, int64_t steps)
{
    sgt_model_config config = {.size = sizeof config};
    sgt_optimizer_options options;
    sgt_growth_sgt_options growth;
    sgt_status status = sgt_context_create(&t->context, NULL);
    if (status == SGT_OK)
        status = sgt_model_load_hf(&t->model, t->context, folder, NULL);
    if (status == SGT_OK)
        status = sgt_model_get_config(&config, t->model);
    sgt_optimizer_options_init(&options, sizeof options);
    options.schedule = SGT_SCHEDULE_COSINE;
    options.lr = 1e-3;
    options.total_steps = steps;
    options.warmup_steps = steps / 10;
    if (status == SGT_OK)
        status = sgt_optimizer_create(&t->optimizer, t->model, &options);
    sgt_growth_sgt_options_init(&growth, sizeof growth);
    growth.first_step = 1 + steps / 10;
    growth.window = 1 + steps / 5;
    growth.max_layers = config.n_layers > 2 ? 2 : 1;
    growth.keep_heads = config.n_heads > 2 ? 2 : 1;
    growth.ramp = SGT_RAMP_WARM;
    if (status == SGT_OK)
        status = sgt_growth_policy_sgt(&t->policy, t->context, config.n_layers, config.n_heads,
                                       &growth);
    if (status == SGT_OK)
        status = sgt_growth_create(&t->growth, t->model, t->policy, NULL);
    return status;
}

/* Windows in a row, from where the last step ended. */
static void fill(int32_t *inputs, int32_t *targets, const tuning *t, int64_t step)
{
    for (int64_t i = 0; i < BATCH * SEQ; i++) {
        int64_t window = ((step - 1) * BATCH + i / SEQ) * SEQ % (t->count - SEQ);
        inputs[i] = t->tokens[window + i % SEQ];
        targets[i] = t->tokens[window + i % SEQ + 1];
    }
}

static sgt_status train(tuning *t, int64_t steps)
{
    int32_t inputs[BATCH * SEQ], targets[BATCH * SEQ];
    sgt_batch batch = {sizeof batch, BATCH, SEQ, inputs, targets};
    sgt_status status = SGT_OK;
    for (int64_t step = 1; step <= steps && status == SGT_OK; step++) {
        sgt_metrics metrics = {.size = sizeof metrics};
        sgt_step_report report = {.size = sizeof report};
        sgt_growth_event event = {.size = sizeof event};
        fill(inputs, targets, t, step);
        status = sgt_model_forward(&metrics, t->model, &batch);
        if (status == SGT_OK)
            status = sgt_model_backward(t->model, 1.0 / (double)metrics.count);
        if (status == SGT_OK)
            status = sgt_optimizer_step(&report, t->optimizer);
        sgt_growth_input input = {sizeof input, report.skipped, step, metrics.loss,
                                  report.grad_norm};
        if (status == SGT_OK)
            status = sgt_growth_step(&event, t->growth, &input);
        if (status == SGT_OK && event.action == SGT_GROWTH_SELECT)
            printf("step %lld: layer %d loops\n", (long long)step, (int)event.layer);
        if (status == SGT_OK && (step == 1 || step % 10 == 0))
            printf("step %lld: loss %.4f\n", (long long)step, metrics.loss);
    }
    return status;
}

int main(int argc, char **argv)
{
    tuning t = {0};
    int64_t steps = argc == 5 ? strtoll(argv[4], NULL, 10) : DEFAULT_STEPS;
    int failed = 0;
    if (argc < 4 || argc > 5 || steps < 1) {
        fprintf(stderr, "usage: finetune_hf FOLDER OUT TOKENS [STEPS]\n");
        return 2;
    }
    failed = read_tokens(&t, argv[3]);
    if (!failed && set_up(&t, argv[1], steps) != SGT_OK)
        failed = complain(argv[1]);
    if (!failed && train(&t, steps) != SGT_OK)
        failed = complain("training");
    mkdir(argv[2], 0777); /* there already: fine */
    if (!failed && sgt_model_save_hf(t.model, argv[2], NULL) != SGT_OK)
        failed = complain(argv[2]);
    sgt_growth_free(t.growth);
    sgt_growth_policy_free(t.policy);
    sgt_optimizer_free(t.optimizer);
    sgt_model_free(t.model);
    sgt_context_free(t.context);
    free(t.tokens);
    return failed;
}
