/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole steps of whole models on the backend, compared with the same on the portable one. */
#include "suite.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "training.h"
#include "watched_memory.h"

/* The subject and the portable backend, with equal weights. */
typedef struct pair {
    sgtt_training subject;
    sgtt_training portable;
} pair;

static void open_pair(pair *p, const sgtt_subject *subject, int shape)
{
    sgt_context_options options = sgtt_subject_options(subject);
    const sgt_model_config config = sgtt_training_config(shape);
    sgtt_training_open(&p->subject, &options, &config, subject->seed);
    options.backend = "portable";
    sgtt_training_open(&p->portable, &options, &config, subject->seed);
}

static void close_pair(pair *p)
{
    sgtt_training_close(&p->subject);
    sgtt_training_close(&p->portable);
}

/* ---- one forward and backward, then steps ---- */

static void forward_backward(sgt_metrics *metrics, float *logits, sgtt_training *t)
{
    int32_t tokens[SGTT_BATCH * SGTT_SEQ], targets[SGTT_BATCH * SGTT_SEQ];
    const sgt_batch batch = sgtt_training_batch(tokens, targets, t, 1);
    sgt_evaluate_options wanted;
    sgtt_ok(sgt_evaluate_options_init(&wanted, sizeof wanted));
    wanted.logits = logits;
    metrics->size = sizeof *metrics;
    sgtt_ok(sgt_model_evaluate(metrics, t->model, &batch, &wanted));
    sgtt_ok(sgt_model_forward(metrics, t->model, &batch));
    sgtt_ok(sgt_model_backward(t->model, 1.0 / (double)metrics->count));
}

static void compare_one_step(pair *p)
{
    const int count = SGTT_BATCH * SGTT_SEQ * sgtt_training_config(0).vocab_size;
    float *got = malloc((size_t)count * sizeof *got);
    float *expected = malloc((size_t)count * sizeof *expected);
    sgt_metrics ours = {0}, theirs = {0};
    sgtt_require(got != NULL && expected != NULL, "out of memory");
    forward_backward(&ours, expected, &p->portable);
    forward_backward(&theirs, got, &p->subject);
    sgtt_compare_floats(got, expected, (uint64_t)count, SGTT_TENSOR_BOUND, 0.0, "logits");
    sgtt_compare_number(theirs.loss, ours.loss, SGTT_LOSS_BOUND * ours.loss, "the loss");
    sgtt_compare_tensors(&p->subject, &p->portable, SGT_GRADIENT, SGTT_TENSOR_BOUND, "gradient");
    sgtt_compare_entropies(&p->subject, &p->portable);
    free(got);
    free(expected);
}

void sgtt_check_training(const void *subject)
{
    for (int shape = 0; shape < 2; shape++) {
        for (int looped = 0; looped < 2; looped++) {
            pair p;
            open_pair(&p, subject, shape);
            if (looped) {
                sgtt_training_loop(&p.subject);
                sgtt_training_loop(&p.portable);
            }
            sgtt_compare_tensors(&p.subject, &p.portable, SGT_WEIGHT, 1e-12, "first weights");
            compare_one_step(&p);
            sgtt_ok(sgt_model_zero_gradients(p.subject.model));
            sgtt_ok(sgt_model_zero_gradients(p.portable.model));
            for (int64_t step = 1; step <= 10; step++) {
                const sgtt_step got = sgtt_training_step(&p.subject, step);
                const sgtt_step expected = sgtt_training_step(&p.portable, step);
                sgtt_compare_number(got.loss, expected.loss, SGTT_RUN_BOUND, "a loss of the run");
            }
            sgtt_compare_tensors(&p.subject, &p.portable, SGT_WEIGHT, SGTT_WEIGHT_BOUND,
                                 "last weights");
            close_pair(&p);
        }
    }
}

/* ---- growth ---- */

void sgtt_check_growth(const void *subject)
{
    pair p;
    int actions = 0;
    open_pair(&p, subject, 0);
    sgtt_training_grow(&p.subject);
    sgtt_training_grow(&p.portable);
    for (int64_t step = 1; step <= 20; step++) {
        const sgtt_step got = sgtt_training_step(&p.subject, step);
        const sgtt_step expected = sgtt_training_step(&p.portable, step);
        sgtt_compare_number(got.loss, expected.loss, SGTT_RUN_BOUND, "a loss of the run");
        sgtt_require(got.event.action == expected.event.action &&
                         got.event.layer == expected.event.layer &&
                         got.event.depth == expected.event.depth,
                     "growth differs at step %lld: action %d in layer %d, not %d in layer %d",
                     (long long)step, (int)got.event.action, (int)got.event.layer,
                     (int)expected.event.action, (int)expected.event.layer);
        actions += expected.event.action != SGT_GROWTH_NONE;
        sgtt_require(sgt_plan_equal(sgt_model_plan(p.subject.model),
                                    sgt_model_plan(p.portable.model)),
                     "the plans differ at step %lld", (long long)step);
    }
    sgtt_require(actions >= 3, "the model did not grow");
    sgtt_compare_tensors(&p.subject, &p.portable, SGT_WEIGHT, SGTT_WEIGHT_BOUND, "last weights");
    close_pair(&p);
}

/* ---- threads ---- */

void sgtt_check_training_threads(const void *argument)
{
    const sgtt_subject *subject = argument;
    const sgt_model_config config = sgtt_training_config(0);
    uint64_t expected = 0;
    for (int32_t threads = 1; threads <= 3; threads++) {
        sgtt_training t;
        sgt_context_options options = sgtt_subject_options(subject);
        options.threads = threads;
        sgtt_training_open(&t, &options, &config, subject->seed);
        sgtt_training_grow(&t);
        for (int64_t step = 1; step <= 6; step++)
            sgtt_training_step(&t, step);
        const uint64_t hash = sgtt_training_hash(&t);
        if (threads == 1)
            expected = hash;
        sgtt_require(hash == expected, "%d threads give other weights than one", (int)threads);
        sgtt_count(0.0);
        sgtt_training_close(&t);
    }
}

/* ---- memory ---- */

/* A step after the first ones takes no memory of the context. */
static void check_steady_steps(const sgtt_subject *subject)
{
    sgtt_watched_memory memory = SGTT_WATCHED_MEMORY;
    const sgt_allocator allocator = sgtt_watched_allocator(&memory);
    const sgt_model_config config = sgtt_training_config(0);
    sgt_context_options options = sgtt_subject_options(subject);
    sgtt_training t;
    options.allocator = &allocator;
    sgtt_training_open(&t, &options, &config, subject->seed);
    sgtt_training_loop(&t);
    for (int64_t step = 1; step <= 2; step++)
        sgtt_training_step(&t, step);
    const int64_t before = memory.requests;
    for (int64_t step = 3; step <= 5; step++)
        sgtt_training_step(&t, step);
    sgtt_require(memory.requests == before, "three steady steps ask %lld times for memory",
                 (long long)(memory.requests - before));
    sgtt_count(0.0);
    sgtt_training_close(&t);
    sgtt_expect_released(&memory, "a training");
}

/* 0 when a request was refused on the way. */
static int try_step(sgt_context *context, const sgtt_subject *subject)
{
    const sgt_model_config config = sgtt_training_config(0);
    sgtt_training t = {.context = context, .seed = subject->seed};
    int32_t tokens[SGTT_BATCH * SGTT_SEQ], targets[SGTT_BATCH * SGTT_SEQ];
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_status status = sgt_model_create(&t.model, context, &config);
    if (status == SGT_OK)
        status = sgt_model_init_weights(t.model, NULL);
    if (status == SGT_OK)
        status = sgt_optimizer_create(&t.optimizer, t.model, NULL);
    if (status == SGT_OK) {
        const sgt_batch batch = sgtt_training_batch(tokens, targets, &t, 1);
        status = sgt_model_forward(&metrics, t.model, &batch);
    }
    if (status == SGT_OK)
        status = sgt_model_backward(t.model, 1.0 / (double)metrics.count);
    if (status == SGT_OK)
        status = sgt_optimizer_step(NULL, t.optimizer);
    sgtt_require(status == SGT_OK || (status < 0 && sgt_error_message()[0] != '\0'),
                 "a refused request gives %d and no message", (int)status);
    sgt_optimizer_free(t.optimizer);
    sgt_model_free(t.model);
    return status == SGT_OK;
}

/* Requests of a whole first step refused, one more of them let through each time. */
void sgtt_check_training_memory(const void *argument)
{
    const sgtt_subject *subject = argument;
    sgtt_watched_memory memory = SGTT_WATCHED_MEMORY;
    const sgt_allocator allocator = sgtt_watched_allocator(&memory);
    sgt_context_options options = sgtt_subject_options(subject);
    sgt_context *context;
    check_steady_steps(subject);
    options.allocator = &allocator;
    sgtt_ok(sgt_context_create(&context, &options));
    const int64_t blocks = memory.blocks;
    for (int64_t left = 0;; left += 1 + left / 16) {
        memory.left = left;
        const int done = try_step(context, subject);
        sgtt_require(memory.blocks == blocks, "after a refused request %lld blocks are left",
                     (long long)(memory.blocks - blocks));
        sgtt_count(0.0);
        if (done)
            break;
        sgtt_require(memory.left == 0, "a step without a refused request fails: %s",
                     sgt_error_message());
    }
    sgt_context_free(context);
    sgtt_expect_released(&memory, "close");
}

/* ---- evaluation ---- */

enum { EVALUATIONS = 6, EVALUATORS = 3 };

typedef struct evaluator {
    const sgtt_training *t;
    const sgt_batch *batch;
    double loss;
    sgt_status status;
} evaluator;

static void *evaluate(void *argument)
{
    evaluator *e = argument;
    for (int i = 0; i < EVALUATIONS && e->status == SGT_OK; i++) {
        sgt_metrics metrics = {.size = sizeof metrics};
        e->status = sgt_model_evaluate(&metrics, e->t->model, e->batch, NULL);
        e->loss = metrics.loss;
    }
    return NULL;
}

/* Several threads at once get the loss that one alone gets, bit for bit. */
void sgtt_check_evaluation(const void *argument)
{
    const sgtt_subject *subject = argument;
    const sgt_context_options options = sgtt_subject_options(subject);
    const sgt_model_config config = sgtt_training_config(0);
    int32_t tokens[SGTT_BATCH * SGTT_SEQ], targets[SGTT_BATCH * SGTT_SEQ];
    evaluator evaluators[EVALUATORS];
    pthread_t threads[EVALUATORS];
    sgtt_training t;
    sgtt_training_open(&t, &options, &config, subject->seed);
    sgtt_training_loop(&t);
    const sgt_batch batch = sgtt_training_batch(tokens, targets, &t, 1);
    evaluator alone = {.t = &t, .batch = &batch};
    evaluate(&alone);
    sgtt_ok(alone.status);
    for (int i = 0; i < EVALUATORS; i++) {
        evaluators[i] = (evaluator){.t = &t, .batch = &batch};
        sgtt_require(pthread_create(&threads[i], NULL, evaluate, &evaluators[i]) == 0,
                     "no thread");
    }
    for (int i = 0; i < EVALUATORS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < EVALUATORS; i++) {
        sgtt_require(evaluators[i].status == SGT_OK, "evaluating in %d threads gives %s",
                     EVALUATORS, sgt_status_name(evaluators[i].status));
        sgtt_require(evaluators[i].loss == alone.loss,
                     "evaluating in %d threads gives the loss %.9g, alone %.9g", EVALUATORS,
                     evaluators[i].loss, alone.loss);
        sgtt_count(0.0);
    }
    sgtt_training_close(&t);
}

/* ---- checkpoints ---- */

static void save_and_load(const char *path, sgtt_training *to, sgtt_training *from)
{
    sgt_checkpoint *checkpoint = NULL;
    sgtt_training_save(path, from);
    sgtt_ok(sgt_checkpoint_open(&checkpoint, to->context, path));
    sgtt_ok(sgt_checkpoint_load(to->model, to->optimizer, to->growth, checkpoint, NULL));
    sgt_checkpoint_free(checkpoint);
    sgtt_require(sgtt_training_hash(to) == sgtt_training_hash(from),
                 "weights change on their way through a checkpoint");
    sgtt_count(0.0);
}

/* A training moves from one backend to the other and back, and goes on alike on both. */
static void move_trainings(pair *p, const char *path)
{
    for (int64_t step = 1; step <= 4; step++)
        sgtt_training_step(&p->subject, step);
    save_and_load(path, &p->portable, &p->subject);
    for (int64_t step = 5; step <= 8; step++) {
        const sgtt_step got = sgtt_training_step(&p->subject, step);
        const sgtt_step expected = sgtt_training_step(&p->portable, step);
        sgtt_compare_number(got.loss, expected.loss, SGTT_RUN_BOUND, "a loss after a checkpoint");
    }
    save_and_load(path, &p->subject, &p->portable);
}

void sgtt_check_checkpoint(const void *subject)
{
    char folder[512], path[600];
    pair p;
    sgtt_make_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", folder);
    open_pair(&p, subject, 0);
    sgtt_training_grow(&p.subject);
    sgtt_training_grow(&p.portable);
    move_trainings(&p, path);
    close_pair(&p);
    unlink(path);
    rmdir(folder);
}
