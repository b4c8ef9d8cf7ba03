/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A checkpoint that a release wrote is read by this library as the release read it, and the
 * training goes on as it would have there, bit for bit. The folder `releases` has a file and a
 * record for each. A training that the release could have made is also saved in its bytes.
 *
 * The bits are those of the portable kernels for any x86-64 processor. Others fuse products and
 * sums where the processor can (AVX2, AVX-512, 64-bit ARM), which rounds otherwise: there what was
 * loaded must have the bits of the record, and what follows come near it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fixtures.h"
#include "releases/release_0_1.h"
#include "scratch.h"

static const release_record *const releases[] = {&release_0_1};

/* How a file is read. */
enum { INTO_NEW, INTO_EXISTING, BY_THE_BEST_KERNELS, WAYS };

/* The largest error, relative to the value, where rounding differs. */
#define NEAR 1e-5

static const char *path_of(const release_record *release)
{
    static char path[SCRATCH_PATH];
    const char *folder = getenv("SGT_TEST_RELEASES");
    ck_assert_msg(folder != NULL, "SGT_TEST_RELEASES is the folder of the files");
    snprintf(path, sizeof path, "%s/%s", folder, release->file);
    return path;
}

/* 1 where the kernels round as those of the record do. */
static int rounds_alike(int way)
{
#if defined(__x86_64__)
    return way != BY_THE_BEST_KERNELS;
#else
    (void)way;
    return 0;
#endif
}

/* ---- a training of the file's shape ---- */

static small_training empty_training(int way)
{
    const sgt_growth_sparse_options rule = sgtt_small_rule(3, 4);
    sgt_context_options options;
    small_training t = {0};
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.threads = way == INTO_NEW ? 1 : 3;
    options.backend = "portable";
    options.isa = way == BY_THE_BEST_KERNELS ? NULL : "baseline";
    sgtt_ok(sgt_context_create(&t.context, &options));
    sgtt_ok(sgt_growth_policy_sparse(&t.policy, t.context, 3, 4, &rule));
    return t;
}

/* Handles of another past, for the file to be loaded into. */
static void make_handles(small_training *t, const char *path)
{
    sgt_checkpoint *checkpoint = NULL;
    sgtt_small_recipe recipe = {.config.size = sizeof recipe.config};
    sgtt_ok(sgt_checkpoint_open(&checkpoint, t->context, path));
    sgtt_ok(sgt_checkpoint_get_config(&recipe.config, checkpoint));
    sgt_checkpoint_free(checkpoint);
    sgtt_ok(sgtt_small_make(t, &recipe));
    sgtt_randomize(t->model, 1);
}

static small_training resume(const release_record *release, int way)
{
    const char *path = path_of(release);
    small_training t = empty_training(way);
    if (way == INTO_EXISTING)
        make_handles(&t, path);
    sgtt_ok(sgtt_small_resume(&t, path));
    return t;
}

/* ---- comparing with the record ---- */

static release_state state_of(const small_training *t)
{
    release_state state = {RELEASE_HASH, RELEASE_HASH, RELEASE_HASH};
    unsigned char plan[4096];
    size_t bytes = sizeof plan;
    for (int32_t i = 0; i < sgt_model_n_parameters(t->model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        float values[1024];
        sgtt_ok(sgt_model_parameter(&view, t->model, i, SGT_PART_WEIGHT));
        ck_assert_uint_le(view.count, sizeof values / sizeof *values);
        sgtt_ok(sgt_model_read_parameter(values, view.count, t->model, i, SGT_PART_WEIGHT));
        state.weights = release_hash(state.weights, values, view.count * sizeof *values);
        for (int32_t m = SGT_MOMENT_FIRST; m <= SGT_MOMENT_SECOND; m++) {
            sgtt_ok(sgt_optimizer_read_moment(values, view.count, t->optimizer, i, m));
            state.moments = release_hash(state.moments, values, view.count * sizeof *values);
        }
    }
    sgtt_ok(sgt_plan_save(plan, &bytes, sgt_model_plan(t->model)));
    state.plan = release_hash(state.plan, plan, bytes);
    return state;
}

static void check_state(const small_training *t, const release_state *expected, int exact)
{
    const release_state state = state_of(t);
    ck_assert_uint_eq(state.plan, expected->plan);
    if (!exact)
        return;
    ck_assert_uint_eq(state.weights, expected->weights);
    ck_assert_uint_eq(state.moments, expected->moments);
}

static void check_policy(const small_training *t, uint64_t expected)
{
    unsigned char state[4096];
    size_t bytes = sizeof state;
    sgtt_ok(sgt_growth_policy_save(state, &bytes, t->policy));
    ck_assert_uint_eq(release_hash(RELEASE_HASH, state, bytes), expected);
}

/* Asks growth about a step. */
static void check_growth(const small_training *t, int64_t step, const release_event *expected)
{
    const sgt_growth_input input = {.size = sizeof input, .step = step, .loss = 1.0};
    sgt_growth_event event = {.size = sizeof event};
    sgtt_ok(sgt_growth_step(&event, t->growth, &input));
    ck_assert_int_eq(event.action, expected->action);
    ck_assert_int_eq(event.layer, expected->layer);
    ck_assert_int_eq(event.depth, expected->depth);
    ck_assert_int_eq(event.n_heads, expected->n_heads);
}

static sgt_batch batch_of(int32_t *tokens, int32_t *targets, int64_t step, int micro)
{
    release_batch(tokens, targets, step, micro);
    return (sgt_batch){.size = sizeof(sgt_batch), .batch = RELEASE_ROWS, .seq = RELEASE_SEQ,
                       .tokens = tokens, .targets = targets};
}

/* Against the bits of the record. */
static void check_number(const char *what, double value, uint64_t expected, int exact)
{
    double recorded;
    memcpy(&recorded, &expected, sizeof recorded);
    ck_assert_msg(fabs(value - recorded) <= (exact ? 0.0 : NEAR * fabs(recorded)),
                  "%s: %.17g, not %.17g", what, value, recorded);
}

static void check_step(const small_training *t, int64_t step, const release_step *expected,
                       int exact)
{
    sgt_step_report report = {.size = sizeof report};
    for (int micro = 0; micro < RELEASE_MICRO; micro++) {
        int32_t tokens[RELEASE_TOKENS], targets[RELEASE_TOKENS];
        sgt_metrics metrics = {.size = sizeof metrics};
        const sgt_batch batch = batch_of(tokens, targets, step, micro);
        sgtt_ok(sgtt_small_accumulate(&metrics, t->model, &batch));
        check_number("loss", metrics.loss, expected->losses[micro], exact);
    }
    sgtt_ok(sgt_optimizer_step(&report, t->optimizer, NULL));
    ck_assert_int_eq(report.step, step);
    check_number("norm of the gradients", report.grad_norm, expected->grad_norm, exact);
    check_number("rate", report.lr, expected->rate, 1);
    check_growth(t, step, &expected->event);
}

static void check_uses(const small_training *t, const release_record *release, int exact)
{
    int32_t tokens[RELEASE_TOKENS], targets[RELEASE_TOKENS];
    float logits[RELEASE_VOCAB];
    sgt_session *session = NULL;
    sgt_metrics metrics = {.size = sizeof metrics};
    const sgt_batch batch = batch_of(tokens, targets, RELEASE_LAST + 1, 0);
    sgtt_ok(sgt_model_evaluate(&metrics, t->model, &batch, NULL));
    check_number("loss of an evaluation", metrics.loss, release->evaluation, exact);
    sgtt_ok(sgt_session_create(&session, t->model, NULL));
    sgtt_ok(sgt_session_feed(logits, session, 0, tokens, RELEASE_SEQ));
    if (exact)
        ck_assert_uint_eq(release_hash(RELEASE_HASH, logits, sizeof logits), release->logits);
    sgt_session_free(session);
}

/* ---- tests ---- */

START_TEST(a_training_of_a_release_goes_on)
{
    const release_record *release = releases[_i / WAYS];
    const int exact = rounds_alike(_i % WAYS);
    small_training t = resume(release, _i % WAYS);
    check_state(&t, &release->loaded, 1);
    check_policy(&t, release->policy);
    check_growth(&t, RELEASE_SAVED, &release->first);
    for (int i = 0; i < RELEASE_GOES_ON; i++)
        check_step(&t, RELEASE_SAVED + 1 + i, &release->steps[i], exact);
    check_state(&t, &release->ended, exact);
    check_uses(&t, release, exact);
    sgtt_small_free(&t);
}
END_TEST

START_TEST(the_strings_and_counters_of_a_release_are_there)
{
    small_training t = empty_training(INTO_NEW);
    sgt_checkpoint *checkpoint = NULL;
    sgt_checkpoint_info info = {.size = sizeof info};
    sgtt_ok(sgt_checkpoint_open(&checkpoint, t.context, path_of(releases[_i])));
    sgtt_ok(sgt_checkpoint_get_info(&info, checkpoint));
    ck_assert_int_eq(info.version, 1);
    ck_assert(info.has_optimizer && info.has_growth);
    ck_assert_int_eq(info.steps, RELEASE_SAVED);
    ck_assert_uint_eq(info.n_values, 2);
    ck_assert_str_eq(sgt_checkpoint_key(checkpoint, 0), "data.position");
    ck_assert_str_eq(sgt_checkpoint_value(checkpoint, "data.position"), "file 3, byte 17 \xc3\xa9");
    ck_assert_str_eq(sgt_checkpoint_value(checkpoint, "run"), "release 0.1");
    sgt_checkpoint_free(checkpoint);
    sgtt_small_free(&t);
}
END_TEST

static int checksums_are_written(void)
{
    sgt_checkpoint_save_options options = {.size = sizeof options};
    return sgt_checkpoint_save_options_init(&options, sizeof options) == SGT_OK &&
           options.checksums;
}

/* So a release reads what this library saves of a training that it could have made itself. */
START_TEST(what_was_loaded_is_saved_in_the_same_bytes)
{
    static const char *const keys[] = {"data.position", "run"};
    static const char *const values[] = {"file 3, byte 17 \xc3\xa9", "release 0.1"};
    char again[SCRATCH_PATH];
    small_training t = resume(releases[_i], INTO_NEW);
    scratch_path(again, "again");
    sgtt_ok(sgtt_small_save(&t, again, keys, values, 2));
    ck_assert(scratch_equal(again, path_of(releases[_i])));
    sgtt_small_free(&t);
}
END_TEST

int main(void)
{
    enum { RELEASES = sizeof releases / sizeof *releases };
    Suite *suite = suite_create("checkpoints of releases");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, NULL, scratch_remove);
    tcase_add_loop_test(tests, a_training_of_a_release_goes_on, 0, RELEASES * WAYS);
    tcase_add_loop_test(tests, the_strings_and_counters_of_a_release_are_there, 0, RELEASES);
    if (checksums_are_written()) /* as those files have them */
        tcase_add_loop_test(tests, what_was_loaded_is_saved_in_the_same_bytes, 0, RELEASES);
    suite_add_tcase(suite, tests);
    return sgtt_main(suite);
}
