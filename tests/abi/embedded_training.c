/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plug-in of some host that uses libsgt: the host of test_side_effects.c loads it, lets it train,
 * save, load and generate, and unloads it with the library. Only failures are printed.
 */
#include <stdio.h>

#include <sgt/sgt.h>

#include "embedded_training.h"

#define BATCH 4
#define SEQ   32
#define VOCAB 61

typedef struct watch {
    int (*threads)(void);
    int most;
} watch;

static int32_t look(void *user, const sgt_progress *progress)
{
    watch *w = user;
    int now = w->threads();
    (void)progress;
    w->most = now > w->most ? now : w->most;
    return 0;
}

static sgt_status make(sgt_context **context, sgt_model **model, sgt_optimizer **optimizer,
                       sgt_growth_policy **policy, sgt_growth **growth, watch *w)
{
    sgt_context_options options;
    sgt_model_config config;
    sgt_growth_sgt_options rule;
    sgt_status status = sgt_context_options_init(&options, sizeof options);
    options.threads = 4;
    options.progress = look;
    options.progress_user = w;
    if (status == SGT_OK)
        status = sgt_context_create(context, &options);
    if (status == SGT_OK)
        status = sgt_model_config_init(&config, sizeof config);
    if (status)
        return status;
    config.vocab_size = VOCAB;
    config.d_model = 64;
    config.n_layers = 3;
    config.n_heads = 4;
    config.d_ff = 192;
    config.max_seq_len = SEQ;
    status = sgt_model_create(model, *context, &config);
    if (status == SGT_OK)
        status = sgt_model_init_weights(*model, NULL);
    if (status == SGT_OK)
        status = sgt_optimizer_create(optimizer, *model, NULL);
    if (status == SGT_OK)
        status = sgt_growth_sgt_options_init(&rule, sizeof rule);
    rule.first_step = 1;
    if (status == SGT_OK)
        status = sgt_growth_policy_sgt(policy, *context, 3, 4, &rule);
    if (status == SGT_OK)
        status = sgt_growth_create(growth, *model, *policy, NULL);
    return status;
}

static sgt_status train(sgt_model *model, sgt_optimizer *optimizer, sgt_growth *growth)
{
    int32_t tokens[BATCH * SEQ];
    for (int i = 0; i < BATCH * SEQ; i++)
        tokens[i] = i * i % VOCAB;
    sgt_batch batch = {sizeof batch, BATCH, SEQ, tokens, tokens};
    sgt_status status = SGT_OK;
    for (int step = 1; step <= 3 && status == SGT_OK; step++) {
        sgt_metrics metrics = {.size = sizeof metrics};
        sgt_growth_input input = {.size = sizeof input, .step = step};
        status = sgt_model_forward(&metrics, model, &batch);
        if (status == SGT_OK)
            status = sgt_model_backward(model, 1.0 / (double)metrics.count);
        if (status == SGT_OK)
            status = sgt_optimizer_step(NULL, optimizer);
        if (status == SGT_OK)
            status = sgt_growth_step(NULL, growth, &input);
        if (status == SGT_OK)
            status = sgt_model_evaluate(&metrics, model, &batch, NULL);
    }
    return status;
}

static sgt_status save_and_load(const char *path, sgt_context *context, sgt_model *model,
                                sgt_optimizer *optimizer, sgt_growth *growth)
{
    sgt_checkpoint *checkpoint = NULL;
    sgt_checkpoint_save_options options;
    sgt_status status = sgt_checkpoint_save_options_init(&options, sizeof options);
    options.optimizer = optimizer;
    options.growth = growth;
    if (status == SGT_OK)
        status = sgt_checkpoint_save(path, model, &options);
    if (status == SGT_OK)
        status = sgt_checkpoint_open(&checkpoint, context, path);
    if (status == SGT_OK)
        status = sgt_checkpoint_load(model, optimizer, growth, checkpoint, NULL);
    sgt_checkpoint_free(checkpoint);
    return status;
}

static sgt_status generate(sgt_context *context, const sgt_model *model)
{
    const int32_t prompt[] = {1, 4, 9};
    sgt_session *session = NULL;
    sgt_sampler *sampler = NULL;
    sgt_generation generation = {.size = sizeof generation};
    sgt_status status = sgt_session_create(&session, model, NULL);
    if (status == SGT_OK)
        status = sgt_sampler_create(&sampler, context, VOCAB, NULL);
    if (status == SGT_OK)
        status = sgt_session_generate(&generation, session, 0, sampler, prompt, 3, NULL);
    sgt_sampler_free(sampler);
    sgt_session_free(session);
    return status;
}

/* A call that fails, so that its thread has a message. */
int embedded_failure(void)
{
    return sgt_context_create(NULL, NULL) == SGT_E_INVALID_ARGUMENT &&
           sgt_error_message()[0] != '\0';
}

int embedded_training(const char *path, int (*threads)(void))
{
    watch w = {threads, 0};
    sgt_context *context = NULL;
    sgt_model *model = NULL;
    sgt_optimizer *optimizer = NULL;
    sgt_growth_policy *policy = NULL;
    sgt_growth *growth = NULL;
    sgt_status status = make(&context, &model, &optimizer, &policy, &growth, &w);
    if (status == SGT_OK)
        status = train(model, optimizer, growth);
    if (status == SGT_OK)
        status = save_and_load(path, context, model, optimizer, growth);
    if (status == SGT_OK)
        status = generate(context, model);
    if (status == SGT_OK && sgt_model_plan(model) && sgt_plan_depth(sgt_model_plan(model), 2) != 1)
        status = SGT_E_INTERNAL; /* it should have grown */
    if (status)
        fprintf(stderr, "%s: %s\n", sgt_status_name(status), sgt_error_message());
    sgt_growth_free(growth);
    sgt_growth_policy_free(policy);
    sgt_optimizer_free(optimizer);
    sgt_model_free(model);
    sgt_context_free(context);
    return status ? -1 : w.most;
}
