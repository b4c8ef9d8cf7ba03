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
    small_training subject;
    small_training portable;
} pair;

static void open_pair(pair *p, const sgtt_subject *subject, int kind)
{
    sgt_context_options options = sgtt_subject_options(subject);
    sgtt_training_open_kind(&p->subject, &options, kind, subject->seed);
    options.backend = "portable";
    sgtt_training_open_kind(&p->portable, &options, kind, subject->seed);
}

static void close_pair(pair *p)
{
    sgtt_small_free(&p->subject);
    sgtt_small_free(&p->portable);
}

/* ---- one forward and backward, then steps ---- */

static void forward_backward(sgt_metrics *metrics, float *logits, small_training *t)
{
    int32_t tokens[SGTT_BATCH * SGTT_SEQ], targets[SGTT_BATCH * SGTT_SEQ];
    const sgt_batch batch = sgtt_training_batch(tokens, targets, t, 1);
    sgt_model_evaluate_options wanted;
    sgtt_ok(sgt_model_evaluate_options_init(&wanted, sizeof wanted));
    wanted.logits = logits;
    metrics->size = sizeof *metrics;
    sgtt_ok(sgt_model_evaluate(metrics, t->model, &batch, &wanted));
    sgtt_ok(sgt_model_forward(metrics, t->model, &batch));
    sgtt_ok(sgt_model_backward(t->model, 1.0 / (double)metrics->count, NULL));
}

static void compare_one_step(pair *p)
{
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_model_get_config(&config, p->portable.model));
    const int count = SGTT_BATCH * SGTT_SEQ * config.vocab_size;
    float *got = malloc((size_t)count * sizeof *got);
    float *expected = malloc((size_t)count * sizeof *expected);
    sgt_metrics ours = {0}, theirs = {0};
    sgtt_require(got != NULL && expected != NULL, "out of memory");
    forward_backward(&ours, expected, &p->portable);
    forward_backward(&theirs, got, &p->subject);
    sgtt_compare_floats(got, expected, (uint64_t)count, SGTT_TENSOR_BOUND, 0.0, "logits");
    sgtt_compare_number(theirs.loss, ours.loss, SGTT_LOSS_BOUND * ours.loss, "the loss");
    sgtt_compare_tensors(&p->subject, &p->portable, SGT_PART_GRADIENT, SGTT_TENSOR_BOUND,
                         "gradient");
    sgtt_compare_entropies(&p->subject, &p->portable);
    free(got);
    free(expected);
}

/* Choices differ where two units are all but equal; the longer two trainings go on, the sooner. */
static int64_t steps_of(int kind)
{
    return sgtt_features_of(kind) & SGTT_CHOOSES ? 3 : 10;
}

static void check_kind(const sgtt_subject *subject, int kind)
{
    const int64_t steps = steps_of(kind);
    pair p;
    open_pair(&p, subject, kind);
    sgtt_compare_tensors(&p.subject, &p.portable, SGT_PART_WEIGHT, 1e-12, "first weights");
    compare_one_step(&p);
    sgtt_ok(sgt_model_zero_gradients(p.subject.model));
    sgtt_ok(sgt_model_zero_gradients(p.portable.model));
    for (int64_t step = 1; step <= steps; step++) {
        const sgtt_small_taken got = sgtt_training_step(&p.subject, step);
        const sgtt_small_taken expected = sgtt_training_step(&p.portable, step);
        sgtt_compare_number(got.loss, expected.loss, SGTT_RUN_BOUND, "a loss of the run");
    }
    sgtt_compare_tensors(&p.subject, &p.portable, SGT_PART_WEIGHT, SGTT_WEIGHT_BOUND,
                         "last weights");
    close_pair(&p);
}

void sgtt_check_training(const void *subject)
{
    for (int kind = 0; kind < SGTT_KINDS; kind++)
        if (sgtt_features_of(kind) == 0)
            check_kind(subject, kind);
}

/* Whether the backend declines what a kind needs, and has memory that no other kernels reach. */
static int declines(const sgtt_subject *subject, int kind)
{
    int32_t tokens[SGTT_BATCH * SGTT_SEQ], targets[SGTT_BATCH * SGTT_SEQ];
    const sgt_context_options options = sgtt_subject_options(subject);
    sgt_metrics metrics = {.size = sizeof metrics};
    small_training t;
    sgtt_training_open_kind(&t, &options, kind, subject->seed);
    const sgt_batch batch = sgtt_training_batch(tokens, targets, &t, 1);
    const sgt_status status = sgt_model_evaluate(&metrics, t.model, &batch, NULL);
    sgtt_small_free(&t);
    return status == SGT_E_UNSUPPORTED;
}

/* Trains and decodes the kinds that have one of these features, and beside them no others than
 * `more`. */
static void check_featured(const sgtt_subject *subject, int features, int more, const char *what)
{
    int done = 0, left_out = 0;
    for (int kind = 0; kind < SGTT_KINDS; kind++) {
        const int has = sgtt_features_of(kind);
        if ((has & features) == 0 || (has & ~(features | more)) != 0)
            continue;
        if (declines(subject, kind)) {
            left_out++;
            continue;
        }
        done++;
        check_kind(subject, kind);
        sgtt_check_decoding_of(subject, kind);
    }
    if (done == 0)
        sgtt_skip("%s declined", what);
    if (left_out > 0)
        sgtt_note("%d of %d models are declined", left_out, done + left_out);
}

void sgtt_check_patterns(const void *subject)
{
    check_featured(subject, SGTT_PATTERNS, 0, "attention under patterns is");
}

void sgtt_check_parts(const void *subject)
{
    check_featured(subject, SGTT_CHOOSES | SGTT_MODULES, SGTT_PATTERNS, "units and modules are");
}

/* ---- growth ---- */

void sgtt_check_growth(const void *subject)
{
    pair p;
    int actions = 0;
    open_pair(&p, subject, SGTT_KIND_DENSE);
    sgtt_training_grow(&p.subject);
    sgtt_training_grow(&p.portable);
    for (int64_t step = 1; step <= 20; step++) {
        const sgtt_small_taken got = sgtt_training_step(&p.subject, step);
        const sgtt_small_taken expected = sgtt_training_step(&p.portable, step);
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
    sgtt_compare_tensors(&p.subject, &p.portable, SGT_PART_WEIGHT, SGTT_WEIGHT_BOUND,
                         "last weights");
    close_pair(&p);
}

/* ---- threads ---- */

void sgtt_check_training_threads(const void *argument)
{
    const sgtt_subject *subject = argument;
    uint64_t expected = 0;
    for (int32_t threads = 1; threads <= 3; threads++) {
        small_training t;
        sgt_context_options options = sgtt_subject_options(subject);
        options.threads = threads;
        sgtt_training_open_kind(&t, &options, SGTT_KIND_DENSE, subject->seed);
        sgtt_training_grow(&t);
        for (int64_t step = 1; step <= 6; step++)
            sgtt_training_step(&t, step);
        const uint64_t hash = sgtt_training_hash(&t);
        if (threads == 1)
            expected = hash;
        sgtt_require(hash == expected, "%d threads give other weights than one", (int)threads);
        sgtt_count(0.0);
        sgtt_small_free(&t);
    }
}

/* ---- memory ---- */

/* A step after the first ones takes no memory of the context. */
static void check_steady_steps(const sgtt_subject *subject)
{
    sgtt_watched_memory memory = SGTT_WATCHED_MEMORY;
    const sgt_allocator allocator = sgtt_watched_allocator(&memory);
    sgt_context_options options = sgtt_subject_options(subject);
    small_training t;
    options.allocator = &allocator;
    sgtt_training_open_kind(&t, &options, SGTT_KIND_BLOCK_LOOPS, subject->seed);
    for (int64_t step = 1; step <= 2; step++)
        sgtt_training_step(&t, step);
    const int64_t before = memory.requests;
    for (int64_t step = 3; step <= 5; step++)
        sgtt_training_step(&t, step);
    sgtt_require(memory.requests == before, "three steady steps ask %lld times for memory",
                 (long long)(memory.requests - before));
    sgtt_count(0.0);
    sgtt_small_free(&t);
    sgtt_expect_released(&memory, "a training");
}

/* 0 when a request was refused on the way. */
static int try_step(sgt_context *context, const sgtt_subject *subject)
{
    const sgtt_small_recipe recipe = {.config = sgtt_small_config(SGTT_KIND_DENSE, SGTT_SIZE_EVEN)};
    small_training t = {.context = context, .seed = subject->seed};
    int32_t tokens[SGTT_BATCH * SGTT_SEQ], targets[SGTT_BATCH * SGTT_SEQ];
    sgtt_small_taken taken;
    sgt_status status = sgtt_small_make(&t, &recipe);
    if (status == SGT_OK) {
        const sgt_batch batch = sgtt_training_batch(tokens, targets, &t, 1);
        status = sgtt_small_step(&taken, &t, &batch, 1);
    }
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
    const small_training *t;
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
    int32_t tokens[SGTT_BATCH * SGTT_SEQ], targets[SGTT_BATCH * SGTT_SEQ];
    evaluator evaluators[EVALUATORS];
    pthread_t threads[EVALUATORS];
    small_training t;
    sgtt_training_open_kind(&t, &options, SGTT_KIND_BLOCK_LOOPS, subject->seed);
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
    sgtt_small_free(&t);
}

/* ---- checkpoints ---- */

static void save_and_load(const char *path, small_training *to, small_training *from)
{
    sgtt_ok(sgtt_small_save(from, path, NULL, NULL, 0));
    sgtt_ok(sgtt_small_resume(to, path));
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
        const sgtt_small_taken got = sgtt_training_step(&p->subject, step);
        const sgtt_small_taken expected = sgtt_training_step(&p->portable, step);
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
    open_pair(&p, subject, SGTT_KIND_DENSE);
    sgtt_training_grow(&p.subject);
    sgtt_training_grow(&p.portable);
    move_trainings(&p, path);
    close_pair(&p);
    unlink(path);
    rmdir(folder);
}
