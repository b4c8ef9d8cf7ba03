/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forks: the child goes on with what it inherited, alone, whatever the parent's other threads were
 * doing, or is told clearly that it cannot. It never hangs: an alarm would kill it.
 */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sgt/sgt.h>

#ifdef SGTI_HAVE_BLIS
#include "backend/blis/blis_private.h"
#endif

#include "scratch.h"
#include "whole_life.h"

enum { STEPS = 4, FORKS = 60, PATIENCE = 60, WRONG = 3, VOCAB = 190 };

/* ---- a small training ---- */

typedef struct training {
    small_training t;
    sgt_batch batch;
} training;

static training start(const sgt_context_options *options)
{
    training made = {0};
    sgtt_small_recipe recipe = {.context = options, .config = sgtt_config()};
    recipe.config.d_model = 96; /* products for BLIS to pack, parts for threads to share */
    recipe.config.d_ff = 200;
    recipe.config.vocab_size = VOCAB;
    sgtt_ok(sgtt_small_make(&made.t, &recipe));
    sgtt_randomize(made.t.model, 3);
    made.batch = sgtt_batch(3, 16, VOCAB, 5, 0);
    return made;
}

static void finish(training *t)
{
    sgtt_small_free(&t->t);
    sgtt_batch_free(&t->batch);
}

/* Losses of some steps, 0 when a call fails. */
static int train(training *t, double losses[STEPS])
{
    for (int i = 0; i < STEPS; i++) {
        sgtt_small_taken taken;
        if (sgtt_small_step(&taken, &t->t, &t->batch, i) != SGT_OK)
            return 0;
        losses[i] = taken.loss;
    }
    return 1;
}

static int evaluate(const training *t, double *loss)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    if (sgt_model_evaluate(&metrics, t->t.model, &t->batch, NULL) != SGT_OK)
        return 0;
    *loss = metrics.loss;
    return 1;
}

static int wait_for(pid_t child)
{
    int status = 0;
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(!WIFSIGNALED(status), "the child ended with signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

/* The child: 0 when it did everything well. */
static pid_t fork_child(void)
{
    pid_t child = fork();
    if (child == 0)
        alarm(PATIENCE);
    return child;
}

/* ---- the parent is at rest ---- */

START_TEST(the_child_trains_on_like_the_parent)
{
    char path[SCRATCH_PATH];
    double losses[STEPS], expected[STEPS];
    sgt_context_options options = sgtt_model_options();
    training t = start(&options);
    scratch_path(path, "of the child");
    ck_assert(train(&t, losses)); /* threads are there now */
    pid_t child = fork_child();
    if (child == 0) {
        FILE *told = NULL;
        if (train(&t, losses) && sgt_checkpoint_save(t.t.model, path, NULL) == SGT_OK) {
            strcat(path, ".losses");
            told = fopen(path, "wb");
        }
        if (told == NULL || fwrite(losses, sizeof losses, 1, told) != 1 || fclose(told) != 0)
            _exit(WRONG);
        finish(&t);
        _exit(0);
    }
    ck_assert_int_eq(wait_for(child), 0);
    ck_assert(train(&t, expected));
    strcat(path, ".losses");
    unsigned long bytes;
    unsigned char *told = scratch_read(path, &bytes);
    ck_assert_uint_eq(bytes, sizeof expected);
    ck_assert_mem_eq(told, expected, sizeof expected);
    free(told);
    finish(&t);
}
END_TEST

/* ---- another thread is inside an allocation ---- */

static atomic_int hold_next, holding;

static void *hold_or_allocate(void *user, size_t alignment, size_t bytes)
{
    void *memory = NULL;
    (void)user;
    if (atomic_exchange(&hold_next, 0)) {
        holding = 1;
        while (holding)
            sched_yield();
    }
    return posix_memalign(&memory, alignment < 16 ? 16 : alignment, bytes) == 0 ? memory : NULL;
}

static void release(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

static void *make_a_plan(void *context)
{
    sgt_plan *plan = NULL;
    sgt_status status = sgt_plan_create(&plan, context, 2, 2);
    sgt_plan_free(plan);
    return status == SGT_OK ? NULL : context;
}

START_TEST(a_fork_during_an_allocation)
{
    const sgt_allocator allocator = {.size = sizeof allocator,
                                     .allocate = hold_or_allocate,
                                     .release = release};
    sgt_context_options options = sgtt_model_options();
    double before, after, losses[STEPS];
    pthread_t other;
    void *failed;
    options.allocator = &allocator;
    training t = start(&options);
    ck_assert(evaluate(&t, &before));
    hold_next = 1;
    ck_assert_int_eq(pthread_create(&other, NULL, make_a_plan, t.t.context), 0);
    while (!holding)
        sched_yield();
    pid_t child = fork_child();
    if (child == 0) {
        holding = 0;
        sgt_context_memory usage = {.size = sizeof usage};
        if (sgt_context_get_memory(&usage, t.t.context) != SGT_OK || !evaluate(&t, &after) ||
            after != before || !train(&t, losses))
            _exit(WRONG);
        finish(&t);
        _exit(0);
    }
    holding = 0;
    pthread_join(other, &failed);
    ck_assert_ptr_null(failed);
    ck_assert_int_eq(wait_for(child), 0);
    finish(&t);
}
END_TEST

/* ---- other threads are anywhere ---- */

/* The allocator of AddressSanitizer leaves its own locks taken in a child. */
#if !defined(__SANITIZE_ADDRESS__)
static atomic_int stop_working;
static training shared; /* what the threads below work on */

static void *evaluate_for_ever(void *argument)
{
    double loss;
    (void)argument;
    while (!stop_working)
        if (!evaluate(&shared, &loss))
            return &shared;
    return NULL;
}

static void *make_for_ever(void *argument)
{
    (void)argument;
    while (!stop_working) {
        sgt_context *context = NULL;
        sgt_context_options options;
        sgt_context_options_init(&options, sizeof options);
        options.threads = 1;
        if (make_a_plan(shared.t.context) != NULL ||
            sgt_context_create(&context, &options) != SGT_OK)
            return &shared;
        sgt_context_free(context);
    }
    return NULL;
}

/* The child's own context, where it can have one. */
static int make_another(void)
{
    sgt_context *context = NULL;
    sgt_context_options options;
    sgt_context_options_init(&options, sizeof options);
    options.threads = 1;
    sgt_status status = sgt_context_create(&context, &options);
    if (status == SGT_E_BACKEND && strstr(sgt_error_message(), "forked") != NULL) {
        options.backend = "portable";
        status = sgt_context_create(&context, &options);
    }
    sgt_context_free(context);
    return status == SGT_OK;
}

START_TEST(forks_at_any_moment)
{
    sgt_context_options options = sgtt_model_options();
    pthread_t threads[3];
    void *(*const jobs[])(void *) = {evaluate_for_ever, evaluate_for_ever, make_for_ever};
    double expected, loss, losses[STEPS];
    options.threads = 2;
    shared = start(&options);
    ck_assert(evaluate(&shared, &expected));
    stop_working = 0;
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, jobs[i], NULL), 0);
    for (int i = 0; i < FORKS; i++) {
        struct timespec pause = {0, i % 7 * 100000};
        nanosleep(&pause, NULL);
        pid_t child = fork_child();
        if (child == 0) {
            /* Products without BLIS round otherwise. */
            int well = evaluate(&shared, &loss) && fabs(loss - expected) < 1e-5 * expected &&
                       train(&shared, losses) && losses[STEPS - 1] < losses[0] && make_another();
            _exit(well ? 0 : WRONG);
        }
        ck_assert_int_eq(wait_for(child), 0);
    }
    stop_working = 1;
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    finish(&shared);
}
END_TEST
#endif

/* ---- another thread is inside BLIS ---- */

#ifdef SGTI_HAVE_BLIS
enum { LOGITS = 3 * VOCAB };

/* The logits after each sequence. */
static int look(const training *t, float logits[LOGITS])
{
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_model_evaluate_options options;
    sgt_model_evaluate_options_init(&options, sizeof options);
    options.last_logits = logits;
    return sgt_model_evaluate(&metrics, t->t.model, &t->batch, &options) == SGT_OK;
}

static int are_near(const float a[LOGITS], const float b[LOGITS])
{
    for (int i = 0; i < LOGITS; i++)
        if (!(fabsf(a[i] - b[i]) < 1e-3f))
            return 0;
    return 1;
}

START_TEST(a_fork_inside_blis)
{
    sgt_context *context = NULL;
    sgt_context_options options = sgtt_model_options();
    float before[LOGITS], after[LOGITS];
    options.backend = "blis";
    training t = start(&options);
    ck_assert(look(&t, before));
    sgti_blis_enter(); /* as another thread that will be in there */
    pid_t child = fork_child();
    if (child == 0) {
        /* Other products: 570 logits do not round alike. */
        if (!look(&t, after) || !are_near(before, after) ||
            memcmp(before, after, sizeof after) == 0)
            _exit(WRONG);
        sgt_status status = sgt_context_create(&context, &options);
        int clear = status == SGT_E_BACKEND && strstr(sgt_error_message(), "forked") != NULL;
        finish(&t);
        _exit(clear ? 0 : WRONG + 1);
    }
    sgti_blis_leave();
    ck_assert_int_eq(wait_for(child), 0);
    child = fork_child();
    if (child == 0) { /* nobody is inside now: the child has BLIS, and its bits */
        int well = look(&t, after) && memcmp(before, after, sizeof after) == 0 &&
                   sgt_context_create(&context, &options) == SGT_OK;
        sgt_context_free(context);
        finish(&t);
        _exit(well ? 0 : WRONG);
    }
    ck_assert_int_eq(wait_for(child), 0);
    finish(&t);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("forks");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, NULL, scratch_remove);
    tcase_add_test(cases, the_child_trains_on_like_the_parent);
    tcase_add_test(cases, a_fork_during_an_allocation);
#if !defined(__SANITIZE_ADDRESS__)
    tcase_add_test(cases, forks_at_any_moment);
#endif
#ifdef SGTI_HAVE_BLIS
    tcase_add_test(cases, a_fork_inside_blis);
#endif
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
