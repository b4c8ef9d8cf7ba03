/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plug-in of some host that uses libsgt: the host of test_side_effects.c loads it, lets it train,
 * save, load and generate, and unloads it with the library. Only failures are printed.
 */
#include <stdio.h>

#include "embedded_training.h"
#include "small_training.h"

enum { ROWS = 4, SEQ = 32 };

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

static sgt_status make(small_training *t, watch *w)
{
    const sgt_growth_sparse_options rule = sgtt_small_rule(1, 3);
    const sgtt_small_recipe recipe = {
        .config = sgtt_small_config(SGTT_KIND_DENSE, SGTT_SIZE_LARGE), .rule = &rule};
    sgt_context_options options;
    sgt_status status = sgt_context_options_init(&options, sizeof options);
    options.threads = 4;
    options.progress = look;
    options.progress_user = w;
    if (status == SGT_OK)
        status = sgt_context_create(&t->context, &options);
    return status ? status : sgtt_small_make(t, &recipe);
}

static sgt_status train(const small_training *t)
{
    int32_t tokens[ROWS * SEQ], targets[ROWS * SEQ];
    const sgt_batch batch = sgtt_small_batch(tokens, targets, t, 0, ROWS, SEQ);
    sgt_status status = SGT_OK;
    for (int step = 1; step <= 3 && status == SGT_OK; step++) {
        sgtt_small_taken taken;
        sgt_metrics metrics = {.size = sizeof metrics};
        status = sgtt_small_step(&taken, t, &batch, step);
        if (status == SGT_OK)
            status = sgt_model_evaluate(&metrics, t->model, &batch, NULL);
    }
    return status;
}

static sgt_status generate(const small_training *t)
{
    const int32_t prompt[] = {1, 4, 9};
    sgt_session *session = NULL;
    sgt_sampler *sampler = NULL;
    sgt_generation generation = {.size = sizeof generation};
    const int32_t vocabulary = sgtt_small_config(SGTT_KIND_DENSE, SGTT_SIZE_LARGE).vocab_size;
    sgt_status status = sgt_session_create(&session, t->model, NULL);
    if (status == SGT_OK)
        status = sgt_sampler_create(&sampler, t->context, vocabulary, NULL);
    if (status == SGT_OK)
        status = sgt_session_generate(&generation, session, 0, sampler, prompt, 3, NULL);
    sgt_sampler_free(sampler);
    sgt_session_free(session);
    return status;
}

static int has_grown(const small_training *t)
{
    int32_t passes = 0;
    for (int32_t layer = 0; layer < sgt_plan_n_layers(sgt_model_plan(t->model)); layer++)
        passes += sgt_plan_depth(sgt_model_plan(t->model), layer);
    return passes > 0;
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
    small_training t = {0};
    sgt_status status = make(&t, &w);
    if (status == SGT_OK)
        status = train(&t);
    if (status == SGT_OK)
        status = sgtt_small_save(&t, path, NULL, NULL, 0);
    if (status == SGT_OK)
        status = sgtt_small_resume(&t, path);
    if (status == SGT_OK)
        status = generate(&t);
    if (status == SGT_OK && !has_grown(&t))
        status = SGT_E_INTERNAL;
    if (status)
        fprintf(stderr, "%s: %s\n", sgt_status_name(status), sgt_error_message());
    sgtt_small_free(&t);
    return status ? -1 : w.most;
}
