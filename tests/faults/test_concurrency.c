/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What may happen at the same time, happening at the same time: evaluations, saves and readers of
 * one model, trainings of their own in one context and in contexts of their own, contexts that come
 * and go. Every number is that of a quiet life. ThreadSanitizer runs this with CK_FORK=no.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>

#include "fixtures.h"
#include "scratch.h"

enum { ROUNDS = 12, STEPS = 3 };

static sgt_context *context;
static sgt_model *model; /* nobody changes it */
static double expected_loss;
static double expected_steps[STEPS];
static char expected_file[SCRATCH_PATH];

/* ---- what threads do; NULL, or what went wrong ---- */

typedef const char *outcome;

static outcome evaluate(int thread)
{
    (void)thread;
    sgt_batch batch = sgtt_batch(2, 9, 19, 5, 4);
    outcome wrong = NULL;
    for (int i = 0; i < ROUNDS && wrong == NULL; i++) {
        sgt_metrics metrics = {.size = sizeof metrics};
        if (sgt_model_evaluate(&metrics, model, &batch, NULL) != SGT_OK)
            wrong = "an evaluation failed";
        else if (metrics.loss_sum != expected_loss)
            wrong = "an evaluation gave another loss";
    }
    sgtt_batch_free(&batch);
    return wrong;
}

static outcome save(int thread)
{
    char path[SCRATCH_PATH + 16];
    snprintf(path, sizeof path, "%s-%d", expected_file, thread);
    for (int i = 0; i < ROUNDS / 3; i++)
        if (sgt_checkpoint_save(model, path, NULL) != SGT_OK)
            return "a save failed";
    return NULL;
}

static outcome read_parameters(int thread)
{
    (void)thread;
    for (int i = 0; i < ROUNDS; i++) {
        sgt_tensor_view view = {.size = sizeof view};
        sgt_context_memory usage = {.size = sizeof usage};
        float values[19 * 20];
        if (sgt_model_read_parameter(values, 19 * 20, model, 0, SGT_PART_WEIGHT) != SGT_OK ||
            sgt_model_parameter(&view, model, 1, SGT_PART_WEIGHT) != SGT_OK ||
            sgt_context_get_memory(&usage, context) != SGT_OK ||
            sgt_plan_depth(sgt_model_plan(model), 1) != 1)
            return "reading failed";
    }
    return NULL;
}

/* Some steps of a model of its own. */
static outcome train_in(sgt_context *in, double losses[STEPS])
{
    sgt_model_config config = sgtt_config();
    sgt_model *own = NULL;
    sgt_optimizer *optimizer = NULL;
    sgt_batch batch = sgtt_batch(2, 9, 19, 6, 4);
    sgt_status status = sgt_model_create(&own, in, &config, NULL);
    if (status == SGT_OK)
        status = sgt_model_init_weights(own, NULL);
    if (status == SGT_OK)
        status = sgt_optimizer_create(&optimizer, own, NULL);
    for (int i = 0; i < STEPS && status == SGT_OK; i++) {
        sgt_metrics metrics = {.size = sizeof metrics};
        status = sgt_model_forward(&metrics, own, &batch);
        if (status == SGT_OK)
            status = sgt_model_backward(own, 1.0, NULL);
        if (status == SGT_OK)
            status = sgt_optimizer_step(NULL, optimizer, NULL);
        losses[i] = metrics.loss_sum;
    }
    sgt_optimizer_free(optimizer);
    sgt_model_free(own);
    sgtt_batch_free(&batch);
    return status == SGT_OK ? NULL : "a training failed";
}

static outcome compare_steps(outcome wrong, const double losses[STEPS])
{
    if (wrong != NULL)
        return wrong;
    return memcmp(losses, expected_steps, sizeof expected_steps) == 0 ? NULL
                                                                      : "a training went otherwise";
}

static outcome train(int thread)
{
    double losses[STEPS];
    (void)thread;
    return compare_steps(train_in(context, losses), losses);
}

static outcome train_alone(int thread)
{
    double losses[STEPS];
    sgt_context *own = NULL;
    sgt_context_options options = sgtt_model_options();
    options.threads = 1 + thread % 3;
    if (sgt_context_create(&own, &options) != SGT_OK)
        return "a context could not be made";
    outcome wrong = train_in(own, losses);
    sgt_context_free(own);
    return compare_steps(wrong, losses);
}

/* Messages belong to threads. */
static outcome be_refused(int thread)
{
    char mine[64];
    snprintf(mine, sizeof mine, "there is no backend 'backend-%d'", thread);
    for (int i = 0; i < ROUNDS; i++) {
        sgt_context *own = NULL;
        char name[32];
        sgt_context_options options = sgtt_model_options();
        snprintf(name, sizeof name, "backend-%d", thread);
        options.backend = name;
        if (sgt_context_create(&own, &options) != SGT_E_NOT_FOUND)
            return "a context was made";
        if (strstr(sgt_error_message(), mine) == NULL)
            return "another thread's message";
    }
    return NULL;
}

/* ---- at the same time ---- */

typedef struct job {
    outcome (*run)(int thread);
    int thread;
    outcome wrong;
} job;

static void *run_job(void *argument)
{
    job *self = argument;
    self->wrong = self->run(self->thread);
    return NULL;
}

static void run_together(outcome (*const *jobs)(int thread), int count)
{
    job list[16];
    pthread_t threads[16];
    for (int i = 0; i < count; i++) {
        list[i] = (job){.run = jobs[i], .thread = i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_job, &list[i]), 0);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_msg(list[i].wrong == NULL, "%s", list[i].wrong);
    }
}

static void setup(void)
{
    const float gains[] = {0.0f, 1.0f, 0.5f, 0.0f};
    sgt_context_options options = sgtt_model_options();
    sgt_model_config config = sgtt_config();
    sgt_metrics metrics = {.size = sizeof metrics};
    options.threads = 3;
    sgtt_ok(sgt_context_create(&context, &options));
    model = sgtt_model(context, &config, 3);
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_loop(plan, 1, 1, gains);
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgt_plan_free(plan);
    sgt_batch batch = sgtt_batch(2, 9, 19, 5, 4);
    sgtt_ok(sgt_model_evaluate(&metrics, model, &batch, NULL));
    expected_loss = metrics.loss_sum;
    sgtt_batch_free(&batch);
    ck_assert_ptr_null(train_in(context, expected_steps));
    scratch_path(expected_file, "saved");
    sgtt_ok(sgt_checkpoint_save(model, expected_file, NULL));
}

static void teardown(void)
{
    sgt_model_free(model);
    sgt_context_free(context);
    scratch_remove();
}

START_TEST(one_model_is_read_by_many)
{
    outcome (*const jobs[])(int) = {evaluate, save, read_parameters, evaluate, save, evaluate};
    char path[SCRATCH_PATH + 16];
    run_together(jobs, 6);
    snprintf(path, sizeof path, "%s-1", expected_file);
    ck_assert(scratch_equal(expected_file, path));
}
END_TEST

START_TEST(trainings_do_not_meet)
{
    outcome (*const jobs[])(int) = {train, train_alone, train, train_alone, evaluate,
                                    be_refused, be_refused};
    run_together(jobs, 7);
}
END_TEST

/* Two savers of one file: one or both succeed, and what lies there is whole. */
static outcome save_the_same(int thread)
{
    (void)thread;
    for (int i = 0; i < ROUNDS; i++) {
        sgt_status status = sgt_checkpoint_save(model, expected_file, NULL);
        if (status != SGT_OK &&
            (status != SGT_E_IO || strstr(sgt_error_message(), "somebody else") == NULL))
            return "a save failed otherwise";
    }
    return NULL;
}

START_TEST(one_file_is_saved_by_two)
{
    outcome (*const jobs[])(int) = {save_the_same, save_the_same, save_the_same};
    char before[SCRATCH_PATH];
    scratch_path(before, "before");
    sgtt_ok(sgt_checkpoint_save(model, before, NULL));
    run_together(jobs, 3);
    ck_assert(scratch_equal(before, expected_file));
}
END_TEST

/* Handles that share a model and a context, freed by whoever comes: somebody is the last. */
static sgt_context *shared_context;
static sgt_model *shared_model;
static sgt_optimizer *optimizers[2];

static outcome drop(int thread)
{
    if (thread < 2)
        sgt_optimizer_free(optimizers[thread]);
    else if (thread == 2)
        sgt_model_free(shared_model);
    else
        sgt_context_free(shared_context);
    return NULL;
}

START_TEST(references_are_dropped_anywhere)
{
    outcome (*const jobs[])(int) = {drop, drop, drop, drop};
    sgt_context_options options = sgtt_model_options();
    sgt_model_config config = sgtt_config();
    for (int i = 0; i < ROUNDS; i++) {
        sgtt_ok(sgt_context_create(&shared_context, &options));
        sgtt_ok(sgt_model_create(&shared_model, shared_context, &config, NULL));
        for (int j = 0; j < 2; j++)
            sgtt_ok(sgt_optimizer_create(&optimizers[j], shared_model, NULL));
        run_together(jobs, 4);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("at the same time");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, one_model_is_read_by_many);
    tcase_add_test(cases, trainings_do_not_meet);
    tcase_add_test(cases, one_file_is_saved_by_two);
    tcase_add_test(cases, references_are_dropped_anywhere);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
