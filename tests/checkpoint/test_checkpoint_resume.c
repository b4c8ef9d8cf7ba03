/* SPDX-License-Identifier: BSD-3-Clause */
/* A training that is saved, forgotten and loaded goes on as if nothing had been: bit for bit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/sys/growth.h>

#include "fixtures.h"
#include "scratch.h"
#include "training.h"

static char path[SCRATCH_PATH];

static void setup(void)
{
    scratch_path(path, "checkpoint");
}

static sgt_checkpoint *open_saved(sgt_context *context)
{
    sgt_checkpoint *checkpoint = NULL;
    sgtt_ok(sgt_checkpoint_open(&checkpoint, context, path));
    return checkpoint;
}

/* All handles new, made by the library. */
static small_training make_from_file(int kind, int32_t threads)
{
    small_training t = {.context = training_context(threads)};
    t.policy = training_policy(t.context, kind);
    sgtt_ok(sgtt_small_resume(&t, path));
    return t;
}

static void check_resumed(int kind, int step)
{
    small_training whole = training_start_kind(kind, 1, 5);
    small_training first = training_start_kind(kind, 1, 5);
    training_run(&whole, 1, TRAINING_STEPS);
    training_run(&first, 1, step);
    sgtt_ok(training_save(&first, path));
    sgtt_small_free(&first);

    small_training made = make_from_file(kind, 3);
    training_run(&made, step + 1, TRAINING_STEPS);
    training_compare(&whole, &made);
    sgtt_small_free(&made);

    /* Into handles of another past: other weights, other growth. */
    small_training other = training_start_kind(kind, 2, 99);
    training_run(&other, 1, 9);
    sgtt_ok(sgtt_small_resume(&other, path));
    ck_assert_int_eq(sgt_optimizer_steps(other.optimizer), step);
    training_run(&other, step + 1, TRAINING_STEPS);
    training_compare(&whole, &other);
    sgtt_small_free(&other);
    sgtt_small_free(&whole);
}

/* Step 0: before any; 5: in the middle of a window; 14: at the end. */
START_TEST(a_resumed_run_is_the_same_run)
{
    check_resumed(SGTT_KIND_DENSE, _i);
}
END_TEST

START_TEST(every_kind_is_resumed)
{
    check_resumed(_i, 6);
}
END_TEST

START_TEST(between_update_and_growth_nothing_is_lost)
{
    small_training whole = training_start(1, 5), first = training_start(1, 5);
    training_run(&whole, 1, TRAINING_STEPS);
    training_run(&first, 1, _i - 1);
    training_accumulate(&first, _i);
    training_update(&first);
    sgtt_ok(training_save(&first, path));
    sgtt_small_free(&first);

    small_training made = make_from_file(SGTT_KIND_DENSE, 2), other = training_start(1, 99);
    sgtt_ok(sgtt_small_resume(&other, path));
    small_training *both[] = {&made, &other};
    for (int i = 0; i < 2; i++) {
        training_grow(both[i], _i);
        training_run(both[i], _i + 1, TRAINING_STEPS);
        training_compare(&whole, both[i]);
        sgtt_small_free(both[i]);
    }
    sgtt_small_free(&whole);
}
END_TEST

/* How a step is computed is not in the file: a run that needs little memory asks for it again. */
START_TEST(a_resumed_run_may_recompute)
{
    small_training whole = training_start(1, 5), first = training_start(1, 5);
    small_training made = {.context = training_context(2)};
    sgt_model_options options = {.size = sizeof options, .recompute = 1};
    training_run(&whole, 1, TRAINING_STEPS);
    training_run(&first, 1, 6);
    sgtt_ok(training_save(&first, path));
    sgt_checkpoint *checkpoint = open_saved(made.context);
    made.policy = training_policy(made.context, SGTT_KIND_DENSE);
    sgtt_ok(sgt_checkpoint_create(&made.model, &made.optimizer, &made.growth, checkpoint,
                                  made.policy, &options, NULL));
    options.recompute = 0;
    sgtt_ok(sgt_model_get_options(&options, made.model));
    ck_assert_int_eq(options.recompute, 1);
    training_run(&made, 7, TRAINING_STEPS);
    training_compare(&whole, &made);
    sgt_checkpoint_free(checkpoint);
    sgtt_small_free(&made);
    sgtt_small_free(&first);
    sgtt_small_free(&whole);
}
END_TEST

/* Before the save, and again by the host after it. */
START_TEST(a_rate_that_was_set_is_resumed)
{
    small_training whole = training_start(1, 5), other = training_start(1, 99);
    training_run(&whole, 1, 4);
    sgtt_ok(sgt_optimizer_set_lr(whole.optimizer, 0.003));
    training_run(&whole, 5, 7);
    sgtt_ok(training_save(&whole, path));
    small_training made = make_from_file(SGTT_KIND_DENSE, 2);
    sgtt_ok(sgtt_small_resume(&other, path));
    small_training *all[] = {&whole, &made, &other};
    for (int i = 0; i < 3; i++) {
        ck_assert_double_eq(sgt_optimizer_lr(all[i]->optimizer), 0.003);
        training_run(all[i], 8, 9);
        sgtt_ok(sgt_optimizer_set_lr(all[i]->optimizer, 0.02));
        training_run(all[i], 10, TRAINING_STEPS);
        training_compare(&whole, all[i]);
    }
    sgtt_small_free(&made);
    sgtt_small_free(&other);
    sgtt_small_free(&whole);
}
END_TEST

/* A step whose gradients are not finite: it counts for schedules, not for the moments. */
static void skip_step(small_training *t, int step)
{
    enum { NORM1 = 1, MOST = 64 };
    sgt_step_report report = {.size = sizeof report};
    sgt_growth_input input = {.size = sizeof input, .skipped = 1, .step = step};
    sgt_tensor_view norm = {.size = sizeof norm};
    float values[MOST] = {INFINITY};
    training_accumulate(t, step);
    sgtt_ok(sgt_model_parameter(&norm, t->model, NORM1, SGT_PART_GRADIENT));
    ck_assert_uint_le(norm.count, MOST);
    sgtt_ok(sgt_model_write_parameter(t->model, NORM1, SGT_PART_GRADIENT, values, norm.count));
    sgtt_ok(sgt_optimizer_step(&report, t->optimizer, NULL));
    ck_assert_int_eq(report.skipped, 1);
    sgtt_ok(sgt_growth_step(NULL, t->growth, &input));
}

/* Step _i is skipped, the next one saved: the file has one update less than steps, and the bias
 * correction of what follows must go by the updates. */
START_TEST(a_run_with_a_skipped_step_is_the_same_run)
{
    small_training whole = training_start(1, 5), first = training_start(1, 5), other;
    small_training *both[] = {&whole, &first};
    for (int i = 0; i < 2; i++) {
        training_run(both[i], 1, _i - 1);
        skip_step(both[i], _i);
    }
    training_run(&whole, _i + 1, TRAINING_STEPS);
    training_run(&first, _i + 1, _i + 1);
    sgtt_ok(training_save(&first, path));
    sgtt_small_free(&first);

    small_training made = make_from_file(SGTT_KIND_DENSE, 2);
    other = training_start(1, 99);
    sgtt_ok(sgtt_small_resume(&other, path));
    small_training *resumed[] = {&made, &other};
    for (int i = 0; i < 2; i++) {
        training_run(resumed[i], _i + 2, TRAINING_STEPS);
        training_compare(&whole, resumed[i]);
        sgtt_small_free(resumed[i]);
    }
    sgtt_small_free(&whole);
}
END_TEST

START_TEST(equal_states_give_equal_bytes)
{
    char again[SCRATCH_PATH];
    small_training t = training_start(2, 5);
    training_run(&t, 1, 6);
    sgtt_ok(training_save(&t, path));
    small_training made = make_from_file(SGTT_KIND_DENSE, 1);
    scratch_path(again, "another-name");
    sgtt_ok(training_save(&made, again));
    ck_assert(scratch_equal(path, again));
    training_run(&made, 7, 7);
    sgtt_ok(training_save(&made, again));
    ck_assert(!scratch_equal(path, again));
    sgtt_small_free(&made);
    sgtt_small_free(&t);
}
END_TEST

START_TEST(the_file_tells_what_is_in_it)
{
    small_training t = training_start(1, 5);
    training_run(&t, 1, 4);
    sgtt_ok(training_save(&t, path));
    sgt_checkpoint *checkpoint = open_saved(t.context);
    sgt_checkpoint_info info = {.size = sizeof info};
    sgt_flops_total flops = {.size = sizeof flops};
    sgt_model_config config = {.size = sizeof config}, own = {.size = sizeof own};
    sgt_optimizer_options options = {.size = sizeof options};
    sgtt_ok(sgt_checkpoint_get_info(&info, checkpoint));
    sgtt_ok(sgt_model_get_flops(&flops, t.model));
    ck_assert_int_eq(info.version, 1);
    ck_assert(info.has_optimizer && info.has_growth && info.steps == 4 && info.n_values == 1);
    ck_assert(info.executed_flops == flops.executed && info.vanilla_flops == flops.vanilla);
    ck_assert(info.executed_flops > 0);
    sgtt_ok(sgt_checkpoint_get_config(&config, checkpoint));
    sgtt_ok(sgt_model_get_config(&own, t.model));
    ck_assert_mem_eq(&config, &own, sizeof own);
    sgtt_ok(sgt_checkpoint_get_optimizer_options(&options, checkpoint));
    ck_assert(options.lr == 1.1e-2 && options.total_steps == TRAINING_STEPS);
    ck_assert_str_eq(sgt_checkpoint_key(checkpoint, 0), "place");
    ck_assert_ptr_null(sgt_checkpoint_key(checkpoint, 1));
    ck_assert_str_eq(sgt_checkpoint_value(checkpoint, "place"), "file 3, byte 17 \xc3\xa9");
    ck_assert_ptr_null(sgt_checkpoint_value(checkpoint, "plac"));
    sgt_checkpoint_free(checkpoint);
    sgtt_small_free(&t);
}
END_TEST

START_TEST(the_stored_schedule_wins_unless_told)
{
    small_training t = training_start(1, 5), other = training_start(1, 6);
    sgt_optimizer_options options = training_optimizer();
    sgt_checkpoint_load_options load;
    double rate;
    training_run(&t, 1, 5);
    sgtt_ok(training_save(&t, path));
    options.lr = 0.5;
    options.schedule = SGT_SCHEDULE_CONSTANT;
    for (int32_t own = 0; own <= 1; own++) {
        sgt_optimizer *optimizer = NULL;
        sgt_checkpoint *checkpoint = open_saved(other.context);
        sgtt_ok(sgt_optimizer_create(&optimizer, other.model, &options));
        sgtt_ok(sgt_checkpoint_load_options_init(&load, sizeof load));
        load.own_schedule = own;
        sgtt_ok(sgt_checkpoint_load(other.model, optimizer, other.growth, checkpoint, &load));
        sgtt_ok(sgt_optimizer_get_scheduled_rate(&rate, optimizer, 3));
        ck_assert_double_eq(rate, own ? 0.5 : 1.1e-2);
        ck_assert_int_eq(sgt_optimizer_steps(optimizer), 5);
        sgt_checkpoint_free(checkpoint);
        sgt_optimizer_free(optimizer);
    }
    sgtt_small_free(&other);
    sgtt_small_free(&t);
}
END_TEST

START_TEST(a_model_alone_is_saved_and_loaded)
{
    small_training t = training_start(1, 5), made = {0};
    training_run(&t, 1, 4);
    sgtt_ok(sgt_checkpoint_save(t.model, path, NULL));
    made.context = training_context(1);
    sgt_checkpoint *checkpoint = open_saved(made.context);
    sgtt_fails(
        sgt_checkpoint_create(&made.model, &made.optimizer, NULL, checkpoint, NULL, NULL, NULL),
        SGT_E_NOT_FOUND, "no optimizer was saved");
    ck_assert_ptr_null(made.model);
    sgtt_ok(sgt_checkpoint_create(&made.model, NULL, NULL, checkpoint, NULL, NULL, NULL));
    sgt_checkpoint_free(checkpoint);
    sgt_batch batch = sgtt_batch(2, 7, 19, 3, 0);
    sgt_metrics a = {.size = sizeof a}, b = {.size = sizeof b};
    sgtt_ok(sgt_model_evaluate(&a, t.model, &batch, NULL));
    sgtt_ok(sgt_model_evaluate(&b, made.model, &batch, NULL));
    ck_assert_double_eq(a.loss, b.loss);
    sgtt_batch_free(&batch);
    sgtt_small_free(&made);
    sgtt_small_free(&t);
}
END_TEST

/* A file of kilobytes that says 2^28 positions loads, trains and decodes like any other. */
START_TEST(many_positions_take_no_memory)
{
    small_training made = {.context = training_context(2)};
    sgt_model_config config = training_config(SGTT_KIND_DENSE);
    sgt_model *few = sgtt_model(made.context, &config, 5), *many = NULL;
    float *expected, *found;
    sgt_batch batch = sgtt_batch(2, 7, 19, 3, 0);
    config.max_seq_len = 1 << 28;
    sgtt_ok(sgt_model_create(&many, made.context, &config, NULL));
    sgtt_randomize(many, 5);
    sgtt_ok(sgt_checkpoint_save(many, path, NULL));
    sgt_model_free(many);
    sgt_checkpoint *checkpoint = open_saved(made.context);
    sgtt_ok(sgt_checkpoint_create(&made.model, NULL, NULL, checkpoint, NULL, NULL, NULL));
    sgt_checkpoint_free(checkpoint);
    sgtt_step(few, &batch);
    sgtt_step(made.model, &batch);
    expected = sgtt_read_all(few, SGT_PART_GRADIENT);
    found = sgtt_read_all(made.model, SGT_PART_GRADIENT);
    ck_assert_mem_eq(expected, found, sgtt_elements(few) * sizeof *found);
    ck_assert_uint_lt(sgtt_memory(made.context).peak, 32u << 20);
    free(expected);
    free(found);
    sgtt_batch_free(&batch);
    sgt_model_free(few);
    sgtt_small_free(&made);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resuming");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, scratch_remove);
    tcase_add_loop_test(tests, a_resumed_run_is_the_same_run, 0, TRAINING_STEPS + 1);
    tcase_add_loop_test(tests, every_kind_is_resumed, SGTT_KIND_DENSE + 1, SGTT_KINDS);
    tcase_add_loop_test(tests, between_update_and_growth_nothing_is_lost, 1, 9);
    tcase_add_test(tests, a_resumed_run_may_recompute);
    tcase_add_test(tests, a_rate_that_was_set_is_resumed);
    tcase_add_loop_test(tests, a_run_with_a_skipped_step_is_the_same_run, 1, 5);
    tcase_add_test(tests, equal_states_give_equal_bytes);
    tcase_add_test(tests, the_file_tells_what_is_in_it);
    tcase_add_test(tests, the_stored_schedule_wins_unless_told);
    tcase_add_test(tests, a_model_alone_is_saved_and_loaded);
    tcase_add_test(tests, many_positions_take_no_memory);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
