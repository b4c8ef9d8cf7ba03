/* SPDX-License-Identifier: BSD-3-Clause */
/* A policy on a real model: twice alike, and alike when the training is saved and resumed. */
#include <stdio.h>
#include <unistd.h>

#include "policy_replay.h"
#include "training.h"

enum { STEPS = 24 };

static sgt_context_options one_thread(void)
{
    sgt_context_options options;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.threads = 1;
    return options;
}

static void open_training(small_training *t, const sgtt_policy_subject *subject)
{
    const sgt_context_options options = one_thread();
    sgt_model_config config = sgtt_small_config(SGTT_KIND_DENSE, SGTT_SIZE_EVEN);
    config.n_layers = subject->n_layers;
    config.n_heads = subject->n_heads;
    config.n_kv_heads = subject->n_heads;
    sgtt_training_open(t, &options, &config, NULL, subject->seed);
    t->policy = sgtt_make_policy(t->context, subject);
    sgtt_ok(sgt_growth_create(&t->growth, t->model, t->policy, NULL));
}

/* t becomes a training of new handles, from a file. */
static void reopen(small_training *t, const sgtt_policy_subject *subject, const char *path)
{
    const sgt_context_options options = one_thread();
    const uint64_t seed = t->seed;
    sgtt_ok(sgtt_small_save(t, path, NULL, NULL, 0));
    sgtt_small_free(t);
    t->seed = seed;
    sgtt_ok(sgt_context_create(&t->context, &options));
    t->policy = sgtt_make_policy(t->context, subject);
    sgtt_ok(sgtt_small_resume(t, path));
}

/* All the steps that a replay has are run through in STEPS of training. */
static void train(small_training *t, const sgtt_policy_subject *subject, int64_t first,
                  int64_t last)
{
    const int64_t stride = subject->steps / STEPS + 1;
    for (int64_t step = first; step <= last; step++)
        sgtt_training_step(t, step * stride);
}

void sgtt_check_policy_training(const void *argument)
{
    const sgtt_policy_subject *subject = argument;
    char folder[512], path[600];
    small_training unbroken, again, resumed;
    sgtt_make_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", folder);
    open_training(&unbroken, subject);
    train(&unbroken, subject, 1, STEPS);
    open_training(&again, subject);
    train(&again, subject, 1, STEPS);
    open_training(&resumed, subject);
    for (int64_t step = 1; step <= STEPS; step++) {
        train(&resumed, subject, step, step);
        if (step % 5 == 0)
            reopen(&resumed, subject, path);
    }
    unlink(path);
    rmdir(folder);
    const small_training *others[] = {&again, &resumed};
    static const char *const names[] = {"a second training", "a resumed training"};
    for (int i = 0; i < 2; i++) {
        sgtt_require(sgt_plan_equal(sgt_model_plan(unbroken.model),
                                    sgt_model_plan(others[i]->model)),
                     "%s has another plan", names[i]);
        sgtt_require(sgtt_training_hash(&unbroken) == sgtt_training_hash(others[i]),
                     "%s has other weights", names[i]);
        sgtt_count(0.0);
    }
    sgtt_small_free(&unbroken);
    sgtt_small_free(&again);
    sgtt_small_free(&resumed);
}
