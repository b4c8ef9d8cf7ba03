/* SPDX-License-Identifier: BSD-3-Clause */
/* Loads into handles that have a past: what of it stays, and all of it when the load fails. */
#include <math.h>
#include <stdlib.h>

#include "fixtures.h"
#include "scratch.h"
#include "test_allocator.h"
#include "training.h"

static char path[SCRATCH_PATH];
static small_training saved; /* what is in the file: six steps */

static void setup(void)
{
    scratch_path(path, "checkpoint");
    saved = training_start(1, 5);
    training_run(&saved, 1, 6);
    sgtt_ok(training_save(&saved, path));
}

static void teardown(void)
{
    sgtt_small_free(&saved);
    scratch_remove();
}

static sgt_status load_into(const small_training *t)
{
    sgt_checkpoint *checkpoint = NULL;
    sgt_status status = sgt_checkpoint_open(&checkpoint, t->context, path);
    if (status == SGT_OK)
        status = sgt_checkpoint_load(t->model, t->optimizer, t->growth, checkpoint, NULL);
    sgt_checkpoint_free(checkpoint);
    return status;
}

/* Weights, moments, plan, policy, counters: whatever a save tells. */
START_TEST(a_load_without_memory_changes_nothing)
{
    static test_allocator allocator;
    char before[SCRATCH_PATH], after[SCRATCH_PATH];
    sgt_context_options options = sgtt_model_options();
    sgt_context *context;
    sgt_status status = SGT_E_OUT_OF_MEMORY;
    test_allocator_init(&allocator);
    options.allocator = &allocator.interface;
    options.threads = 1;
    sgtt_ok(sgt_context_create(&context, &options));
    small_training t = training_in(context, SGTT_KIND_DENSE, 99);
    training_run(&t, 1, 2); /* no loops yet: the plan of the file takes more memory */
    scratch_path(before, "before");
    scratch_path(after, "after");
    sgtt_ok(training_save(&t, before));
    int32_t failures = 0;
    for (; status != SGT_OK; failures++) {
        ck_assert_int_lt(failures, 200);
        allocator.fail_at = allocator.calls + failures;
        allocator.fail_count = 1;
        status = load_into(&t);
        allocator.fail_at = -1;
        sgtt_ok(training_save(&t, after));
        ck_assert_msg(status == SGT_OK || scratch_equal(before, after),
                      "a load that failed at allocation %d changed something", failures);
    }
    ck_assert_int_gt(failures, 10);
    training_compare(&saved, &t);
    sgtt_small_free(&t);
}
END_TEST

START_TEST(gradients_of_the_past_are_gone)
{
    small_training t = training_start(1, 99);
    training_run(&t, 1, 2);
    training_accumulate(&t, 3);
    sgtt_ok(load_into(&t));
    float *gradients = sgtt_read_all(t.model, SGT_PART_GRADIENT);
    for (uint64_t i = 0; i < sgtt_elements(t.model); i++)
        ck_assert(gradients[i] == 0.0f);
    free(gradients);
    sgtt_fails(sgt_optimizer_step(NULL, t.optimizer, NULL), SGT_E_STATE, "no backward");
    sgtt_small_free(&t);
}
END_TEST

static double rate(void *user, int64_t step, double scheduled)
{
    (void)step;
    *(double *)user = scheduled;
    return 0.125;
}

/* A file holds numbers; functions are the host's. */
START_TEST(the_rate_callback_of_the_host_stays)
{
    double scheduled = 0, expected;
    small_training t = training_start(1, 99);
    sgt_optimizer *own = NULL;
    sgt_optimizer_options options = training_optimizer();
    sgt_step_report report = {.size = sizeof report};
    options.rate = rate;
    options.rate_user = &scheduled;
    options.lr = 0.5;
    sgtt_ok(sgt_optimizer_create(&own, t.model, &options));
    sgt_optimizer_free(t.optimizer);
    t.optimizer = own;
    sgtt_ok(load_into(&t));
    training_accumulate(&t, 7);
    sgtt_ok(sgt_optimizer_step(&report, t.optimizer, NULL));
    sgtt_ok(sgt_optimizer_get_scheduled_rate(&expected, saved.optimizer, 7));
    ck_assert_double_eq(report.lr, 0.125);
    ck_assert_double_eq(scheduled, expected);
    sgtt_small_free(&t);
}
END_TEST

/* A file of another program may leave to the library what a host's configuration may. */
START_TEST(what_a_file_leaves_open_is_as_in_a_model)
{
    sgt_checkpoint_save_options options;
    sgt_checkpoint *checkpoint = NULL;
    sgt_model_config config = sgtt_config(), read = {.size = sizeof read};
    config.n_kv_heads = config.n_heads;
    sgt_model *model = sgtt_model(saved.context, &config, 1);
    sgtt_ok(sgt_checkpoint_save_options_init(&options, sizeof options));
    options.checksums = 0; /* it is edited */
    sgtt_ok(sgt_checkpoint_save(model, path, &options));
    ck_assert_int_eq(scratch_replace(path, "\"model.n_kv_heads\":\"4\"",
                                     "\"model.n_kv_heads\":\"0\""), 1);
    sgtt_ok(sgt_checkpoint_open(&checkpoint, saved.context, path));
    sgtt_ok(sgt_checkpoint_get_config(&read, checkpoint));
    ck_assert_int_eq(read.n_kv_heads, 4);
    sgtt_ok(sgt_checkpoint_load(model, NULL, NULL, checkpoint, NULL));
    sgt_checkpoint_free(checkpoint);
    sgt_model_free(model);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loads into handles");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_load_without_memory_changes_nothing);
    tcase_add_test(tests, gradients_of_the_past_are_gone);
    tcase_add_test(tests, the_rate_callback_of_the_host_stays);
    tcase_add_test(tests, what_a_file_leaves_open_is_as_in_a_model);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
