/* SPDX-License-Identifier: BSD-3-Clause */
/* A policy on a model: what it is shown, what reaches the model, what a failure leaves. */
#include <stdlib.h>
#include <string.h>

#include "growth_testing.h"

enum { LAYERS = 3, HEADS = 2, VOCABULARY = 11, BATCH = 2, SEQ = 5, STOP = 42 };

/* ---- a model and its policy ---- */

typedef struct setting {
    sgt_context *context;
    sgt_model *model;
    sgt_growth_policy *policy;
    sgt_growth *growth;
    sgt_growth_event event;
} setting;

static sgt_model *make_model(sgt_context *context)
{
    sgt_model_config config;
    sgt_model *model = NULL;

    sgtt_ok(sgt_model_config_init(&config, sizeof config));
    config.vocab_size = VOCABULARY;
    config.d_model = 8;
    config.n_layers = LAYERS;
    config.n_heads = HEADS;
    config.d_ff = 16;
    config.max_seq_len = 8;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    sgtt_ok(sgt_model_init_weights(model, NULL));
    return model;
}

/* Selects layer 2 at step 2 and fixes a window later; in between heads fade out. */
static sgt_growth_policy *make_policy(sgt_context *context, int64_t window)
{
    sgt_growth_sparse_options options;

    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    options.first_step = 2;
    options.window = window;
    options.max_layers = 1;
    options.keep_heads = 1;
    return sgtt_policy_sparse(context, LAYERS, HEADS, &options);
}

static void open_setting(setting *s, sgtt_faulty_memory *memory)
{
    memset(s, 0, sizeof *s);
    s->context = sgtt_portable_context(memory);
    s->model = make_model(s->context);
    s->event.size = sizeof s->event;
}

/* Takes over the policy. */
static void attach(setting *s, sgt_growth_policy *policy, const sgt_growth_options *options)
{
    s->policy = policy;
    sgtt_ok(sgt_growth_create(&s->growth, s->model, policy, options));
}

static void close_setting(setting *s)
{
    sgt_growth_free(s->growth);
    sgt_growth_policy_free(s->policy);
    sgt_model_free(s->model);
    sgt_context_free(s->context);
}

/* A training forward on one of several texts. */
static void forward_on(setting *s, int32_t text)
{
    int32_t tokens[BATCH * SEQ];
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_batch batch = {.size = sizeof batch, .batch = BATCH, .seq = SEQ, .tokens = tokens,
                       .targets = tokens};

    for (int i = 0; i < BATCH * SEQ; i++)
        tokens[i] = (i * i + 3 + text * i) % VOCABULARY;
    sgtt_ok(sgt_model_forward(&metrics, s->model, &batch));
}

/* One training forward; the step is closed as the optimizer does it. */
static void forward(setting *s)
{
    forward_on(s, 0);
    sgtt_ok(sgt_model_zero_gradients(s->model));
}

static sgt_status grow(setting *s, int64_t step, int32_t skipped)
{
    sgt_growth_input input = {.size = sizeof input, .skipped = skipped, .step = step,
                              .loss = 2.5, .grad_norm = 0.5};
    return sgt_growth_step(&s->event, s->growth, &input);
}

static int32_t train_step(setting *s, int64_t step)
{
    forward(s);
    sgtt_ok(grow(s, step, 0));
    return s->event.action;
}

static int32_t collects(const setting *s)
{
    double entropies[HEADS];
    return sgt_model_get_entropies(entropies, s->model, 0, 0, SGT_ENTROPY_LAST) == SGT_OK;
}

/* ---- a policy that only looks ---- */

typedef struct watcher {
    int decided;
    int32_t decide_status;
    int32_t start_status;
    int deepen_and_fix;
    sgt_growth_observation seen;
    double last[LAYERS * HEADS];
    double mean[LAYERS * HEADS];
} watcher;

static int32_t watch_create(void **state, void *user, int32_t n_layers, int32_t n_heads)
{
    (void)state, (void)user, (void)n_layers, (void)n_heads;
    return 0;
}

static int32_t watch_start(void *state, void *user, sgt_plan *plan)
{
    watcher *w = user;
    (void)state;
    sgtt_ok(sgt_plan_set_depth(plan, 1, 1));
    return w->start_status;
}

static int32_t watch_decide(void *state, void *user, const sgt_growth_observation *observation,
                            sgt_plan *plan, sgt_growth_event *event)
{
    watcher *w = user;
    (void)state;
    w->decided++;
    w->seen = *observation;
    if (observation->last_entropy != NULL && observation->max_passes == 1)
        memcpy(w->last, observation->last_entropy, sizeof w->last);
    if (observation->mean_entropy != NULL && observation->max_passes == 1)
        memcpy(w->mean, observation->mean_entropy, sizeof w->mean);
    if (w->decide_status != 0)
        sgtt_ok(sgt_plan_set_depth(plan, 0, 3));
    if (w->deepen_and_fix) {
        event->action = SGT_GROWTH_FIX;
        return sgt_plan_set_depth(plan, 2, 2);
    }
    return w->decide_status;
}

static sgt_growth_policy *make_watcher(sgt_context *context, watcher *user, int32_t entropy,
                                       int with_start)
{
    sgt_growth_policy_vtable vtable = {.size = sizeof vtable, .entropy = entropy,
                                       .create = watch_create, .decide = watch_decide,
                                       .start = with_start ? watch_start : NULL};
    sgt_growth_policy *policy = NULL;
    sgtt_ok(sgt_growth_policy_custom(&policy, context, LAYERS, HEADS, &vtable, user));
    return policy;
}

/* ---- tests ---- */

START_TEST(the_plan_reaches_the_model)
{
    setting s;
    const sgt_plan *plan;
    int32_t kept;

    open_setting(&s, NULL);
    attach(&s, make_policy(s.context, 2), NULL);
    ck_assert_int_eq(train_step(&s, 1), SGT_GROWTH_NONE);
    ck_assert_int_eq(s.event.layer, -1);
    ck_assert_int_eq(sgt_plan_depth(sgt_model_plan(s.model), 2), 0);
    ck_assert_int_eq(train_step(&s, 2), SGT_GROWTH_SELECT);
    ck_assert_int_eq(s.event.layer, 2);
    ck_assert_int_eq(s.event.n_heads, 1);
    kept = s.event.heads[0];
    plan = sgt_model_plan(s.model);
    sgtt_check_gains(plan, 2, 1, (double[]){1, 1});
    ck_assert_int_eq(sgt_model_n_passes(s.model, 2), 2);
    ck_assert_int_eq(train_step(&s, 3), SGT_GROWTH_NONE);
    plan = sgt_model_plan(s.model);
    ck_assert_float_eq(sgt_plan_gains(plan, 2, 1)[kept], 1.0f);
    ck_assert_float_eq(sgt_plan_gains(plan, 2, 1)[1 - kept], 0.5f);
    ck_assert_int_eq(train_step(&s, 4), SGT_GROWTH_FIX);
    ck_assert_float_eq(sgt_plan_gains(sgt_model_plan(s.model), 2, 1)[1 - kept], 0.0f);
    ck_assert_int_eq(s.event.n_layers, 1);
    ck_assert_int_eq(s.event.layers[0], 2);
    close_setting(&s);
}
END_TEST

/* What a policy was shown of one kind is what the model tells the host. */
static void check_seen(const setting *s, const double *seen, int32_t kind)
{
    for (int32_t i = 0; i < LAYERS; i++) {
        double entropies[HEADS];
        sgtt_ok(sgt_model_get_entropies(entropies, s->model, i, 0, kind));
        ck_assert_mem_eq(entropies, seen + i * HEADS, sizeof entropies);
        ck_assert_double_gt(entropies[0], 0.5);
    }
}

START_TEST(the_policy_sees_what_the_model_saw)
{
    watcher w = {0};
    sgt_flops_total flops = {.size = sizeof flops};
    setting s;

    open_setting(&s, NULL);
    attach(&s, make_watcher(s.context, &w, SGT_ENTROPY_LAST, 0), NULL);
    train_step(&s, 3);
    ck_assert_int_eq(w.decided, 1);
    ck_assert_int_eq(w.seen.n_layers, LAYERS);
    ck_assert_int_eq(w.seen.n_heads, HEADS);
    ck_assert_int_eq(w.seen.max_passes, 1);
    ck_assert_int_eq(w.seen.step, 3);
    ck_assert_double_eq(w.seen.loss, 2.5);
    ck_assert_double_eq(w.seen.grad_norm, 0.5);
    ck_assert_ptr_eq(w.seen.plan, sgt_model_plan(s.model));
    ck_assert_ptr_null(w.seen.mean_entropy);
    sgtt_ok(sgt_model_get_flops(&flops, s.model));
    ck_assert_double_gt(flops.executed, 0);
    ck_assert_double_eq(w.seen.executed_flops, flops.executed);
    ck_assert_double_eq(w.seen.vanilla_flops, flops.vanilla);
    check_seen(&s, w.last, SGT_ENTROPY_LAST);
    sgtt_ok(sgt_model_collect_entropy(s.model, SGT_ENTROPY_MEAN)); /* the host's own wish */
    train_step(&s, 4);
    ck_assert_ptr_nonnull(w.seen.mean_entropy);
    check_seen(&s, w.last, SGT_ENTROPY_LAST);
    check_seen(&s, w.mean, SGT_ENTROPY_MEAN);
    ck_assert_mem_ne(w.last, w.mean, sizeof w.last);
    close_setting(&s);
}
END_TEST

/* All forwards of a step weigh the same, for the policy and for the host. */
START_TEST(micro_batches_are_averaged)
{
    watcher w = {0};
    setting s;
    double alone[2][LAYERS * HEADS];
    open_setting(&s, NULL);
    attach(&s, make_watcher(s.context, &w, SGT_ENTROPY_LAST, 0), NULL);
    for (int32_t text = 0; text < 2; text++) {
        forward_on(&s, text);
        sgtt_ok(sgt_model_zero_gradients(s.model));
        sgtt_ok(grow(&s, 1 + text, 0));
        memcpy(alone[text], w.last, sizeof alone[text]);
    }
    ck_assert_mem_ne(alone[0], alone[1], sizeof alone[0]);
    for (int32_t text = 0; text < 2; text++)
        forward_on(&s, text);
    sgtt_ok(sgt_model_zero_gradients(s.model));
    sgtt_ok(grow(&s, 3, 0));
    for (int32_t i = 0; i < LAYERS * HEADS; i++)
        ck_assert_double_eq(w.last[i], (alone[0][i] + alone[1][i]) / 2);
    check_seen(&s, w.last, SGT_ENTROPY_LAST);
    close_setting(&s);
}
END_TEST

START_TEST(a_policy_without_entropies)
{
    watcher w = {0};
    setting s;

    open_setting(&s, NULL);
    attach(&s, make_watcher(s.context, &w, SGT_ENTROPY_NONE, 0), NULL);
    sgtt_fails(grow(&s, 1, 0), SGT_E_STATE, "no training forward");
    train_step(&s, 1);
    ck_assert_ptr_null(w.seen.last_entropy);
    ck_assert_ptr_null(w.seen.mean_entropy);
    ck_assert_int_eq(collects(&s), 0);
    sgtt_fails(grow(&s, 2, 0), SGT_E_STATE, "no training forward");
    ck_assert_int_eq(w.decided, 1);
    close_setting(&s);
}
END_TEST

START_TEST(steps_must_grow_and_follow_a_forward)
{
    setting s;

    open_setting(&s, NULL);
    attach(&s, make_policy(s.context, 2), NULL);
    s.event.action = 77;
    sgtt_fails(grow(&s, 1, 0), SGT_E_STATE, "no training forward");
    forward(&s);
    sgtt_fails(grow(&s, 0, 0), SGT_E_INVALID_ARGUMENT, "step");
    ck_assert_int_eq(s.event.action, 77);
    sgtt_ok(grow(&s, 5, 0));
    ck_assert_int_eq(s.event.action, SGT_GROWTH_SELECT);
    sgtt_fails(grow(&s, 6, 0), SGT_E_STATE, "no training forward");
    forward(&s);
    sgtt_fails(grow(&s, 5, 0), SGT_E_STATE, "the last call had step 5");
    sgtt_fails(grow(&s, 5, 1), SGT_E_STATE, "the last call had step 5");
    sgtt_ok(grow(&s, 6, 0));
    sgtt_fails(sgt_growth_step(NULL, NULL, NULL), SGT_E_INVALID_ARGUMENT, "growth");
    sgtt_fails(sgt_growth_step(NULL, s.growth, NULL), SGT_E_INVALID_ARGUMENT, "input");
    close_setting(&s);
}
END_TEST

START_TEST(a_skipped_step_is_not_shown)
{
    watcher w = {0};
    setting s;

    open_setting(&s, NULL);
    attach(&s, make_watcher(s.context, &w, SGT_ENTROPY_LAST, 0), NULL);
    forward(&s);
    s.event.action = 77;
    sgtt_ok(grow(&s, 1, 1));
    ck_assert_int_eq(s.event.action, SGT_GROWTH_NONE);
    ck_assert_int_eq(w.decided, 0);
    sgtt_fails(grow(&s, 2, 0), SGT_E_STATE, "no training forward"); /* it was dropped */
    train_step(&s, 2);
    ck_assert_int_eq(w.decided, 1);
    close_setting(&s);
}
END_TEST

START_TEST(entropies_that_were_not_collected)
{
    setting s;

    open_setting(&s, NULL);
    forward(&s); /* before the policy was there */
    attach(&s, make_policy(s.context, 2), NULL);
    sgtt_fails(grow(&s, 1, 0), SGT_E_STATE, "did not collect");
    ck_assert_int_eq(train_step(&s, 1), SGT_GROWTH_NONE);
    close_setting(&s);
}
END_TEST

START_TEST(collecting_ends_with_growth)
{
    sgt_growth_options options;
    setting s;

    sgtt_ok(sgt_growth_options_init(&options, sizeof options));
    ck_assert_int_eq(options.observe_after_fix, 0);
    options.observe_after_fix = _i;
    open_setting(&s, NULL);
    attach(&s, make_policy(s.context, 2), _i == 0 ? NULL : &options);
    for (int64_t step = 1; step <= 4; step++) {
        forward(&s);
        ck_assert_int_eq(collects(&s), 1);
        sgtt_ok(grow(&s, step, 0));
    }
    ck_assert_int_eq(s.event.action, SGT_GROWTH_FIX);
    forward(&s);
    ck_assert_int_eq(collects(&s), _i);
    sgtt_ok(grow(&s, 5, 0));
    ck_assert_int_eq(s.event.action, SGT_GROWTH_NONE);
    close_setting(&s);
}
END_TEST

START_TEST(a_loaded_state_starts_collecting_again)
{
    setting s;
    size_t bytes;
    void *young;

    open_setting(&s, NULL);
    attach(&s, make_policy(s.context, 2), NULL);
    train_step(&s, 1);
    young = sgtt_policy_bytes(&bytes, s.policy);
    for (int64_t step = 2; step <= 4; step++)
        train_step(&s, step);
    forward(&s);
    ck_assert_int_eq(collects(&s), 0);
    sgtt_ok(sgt_growth_policy_load(s.policy, young, bytes));
    ck_assert_int_eq(train_step(&s, 5), SGT_GROWTH_SELECT);
    free(young);
    close_setting(&s);
}
END_TEST

START_TEST(one_policy_one_model)
{
    sgt_growth_policy *other_policy;
    sgt_growth_policy *other_shape = NULL;
    sgt_growth *growth = NULL;
    sgt_model *other_model;
    setting s;

    open_setting(&s, NULL);
    other_model = make_model(s.context);
    other_policy = make_policy(s.context, 2);
    sgtt_ok(sgt_growth_policy_none(&other_shape, s.context, LAYERS, HEADS + 1));
    sgtt_fails(sgt_growth_create(&growth, s.model, other_shape, NULL), SGT_E_INVALID_ARGUMENT,
               "3 heads");
    attach(&s, make_policy(s.context, 2), NULL);
    sgtt_fails(sgt_growth_create(&growth, s.model, other_policy, NULL), SGT_E_STATE, "the model");
    sgtt_fails(sgt_growth_create(&growth, other_model, s.policy, NULL), SGT_E_STATE, "the policy");
    sgtt_fails(sgt_growth_create(NULL, other_model, other_policy, NULL), SGT_E_INVALID_ARGUMENT,
               "growth");
    sgtt_fails(sgt_growth_create(&growth, NULL, other_policy, NULL), SGT_E_INVALID_ARGUMENT,
               "model");
    sgtt_fails(sgt_growth_create(&growth, other_model, NULL, NULL), SGT_E_INVALID_ARGUMENT,
               "policy");
    ck_assert_ptr_null(growth);
    sgt_growth_free(s.growth);
    s.growth = NULL;
    forward(&s);
    ck_assert_int_eq(collects(&s), 0);
    sgtt_ok(sgt_growth_create(&growth, other_model, s.policy, NULL));
    sgtt_ok(sgt_growth_create(&s.growth, s.model, other_policy, NULL));
    sgt_growth_free(growth);
    sgt_growth_free(NULL);
    sgt_growth_policy_free(other_shape);
    sgt_growth_policy_free(other_policy);
    sgt_model_free(other_model);
    close_setting(&s);
}
END_TEST

START_TEST(any_order_of_frees)
{
    sgtt_faulty_memory memory = {.left = -1};
    setting s;

    open_setting(&s, &memory);
    attach(&s, make_policy(s.context, 2), NULL);
    train_step(&s, 1);
    if (_i & 1)
        sgt_growth_free(s.growth);
    sgt_context_free(s.context);
    if (_i & 2)
        sgt_model_free(s.model);
    sgt_growth_policy_free(s.policy);
    if (!(_i & 1)) {
        if (!(_i & 2))
            ck_assert_int_eq(train_step(&s, 2), SGT_GROWTH_SELECT);
        sgt_growth_free(s.growth);
    }
    if (!(_i & 2))
        sgt_model_free(s.model);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

START_TEST(static_plans_are_set_at_once)
{
    sgt_growth_policy *policy = NULL;
    setting s;

    open_setting(&s, NULL);
    sgtt_ok(sgt_growth_policy_static_blocks(&policy, s.context, LAYERS, HEADS, (int32_t[]){1},
                                            (int32_t[]){2}, 1));
    attach(&s, policy, NULL);
    ck_assert_int_eq(sgt_plan_extra_runs(sgt_model_plan(s.model), 1), 2);
    ck_assert_int_eq(sgt_model_n_passes(s.model, 1), 3);
    ck_assert_int_eq(train_step(&s, 1), SGT_GROWTH_NONE);
    sgt_growth_free(s.growth);
    s.growth = NULL;
    ck_assert_int_eq(sgt_plan_extra_runs(sgt_model_plan(s.model), 1), 2); /* the plan stays */
    close_setting(&s);
}
END_TEST

START_TEST(a_custom_start)
{
    watcher w = {.start_status = STOP};
    setting s;

    open_setting(&s, NULL);
    s.policy = make_watcher(s.context, &w, SGT_ENTROPY_NONE, 1);
    sgtt_fails(sgt_growth_create(&s.growth, s.model, s.policy, NULL), STOP,
               "start of the growth policy returned 42");
    ck_assert_ptr_null(s.growth);
    ck_assert_int_eq(sgt_plan_depth(sgt_model_plan(s.model), 1), 0);
    w.start_status = 0;
    sgtt_ok(sgt_growth_create(&s.growth, s.model, s.policy, NULL));
    ck_assert_int_eq(sgt_plan_depth(sgt_model_plan(s.model), 1), 1);
    close_setting(&s);
}
END_TEST

START_TEST(a_failing_decide_can_be_repeated)
{
    watcher w = {.decide_status = STOP};
    setting s;

    open_setting(&s, NULL);
    attach(&s, make_watcher(s.context, &w, SGT_ENTROPY_LAST, 0), NULL);
    forward(&s);
    s.event.action = 77;
    sgtt_fails(grow(&s, 1, 0), STOP, "decide");
    ck_assert_int_eq(s.event.action, 77);
    ck_assert_int_eq(sgt_plan_depth(sgt_model_plan(s.model), 0), 0);
    w.decide_status = 0;
    sgtt_ok(grow(&s, 1, 0));
    ck_assert_int_eq(w.decided, 2);
    close_setting(&s);
}
END_TEST

/* The step that selects, or that ends growth with deeper loops, needs memory, here and in the
 * model: at each allocation that fails, plan and policy are as before and the same call works
 * later. */
START_TEST(a_plan_that_does_not_fit)
{
    const int32_t action = _i == 0 ? SGT_GROWTH_SELECT : SGT_GROWTH_FIX;
    watcher w = {.deepen_and_fix = 1};
    sgtt_faulty_memory memory = {.left = -1};
    sgt_plan *before = NULL;
    setting s;
    size_t bytes;
    void *state;
    int failures = 0;

    open_setting(&s, &memory);
    if (_i == 0) {
        attach(&s, make_policy(s.context, 2), NULL);
        train_step(&s, 1);
    } else {
        attach(&s, make_watcher(s.context, &w, SGT_ENTROPY_LAST, 0), NULL);
    }
    forward(&s);
    state = sgtt_policy_bytes(&bytes, s.policy);
    sgtt_ok(sgt_plan_clone(&before, sgt_model_plan(s.model)));
    s.event.action = 77;
    for (;; failures++) {
        sgt_status status;
        size_t again;
        void *now;
        memory.left = failures;
        status = grow(&s, 2, 0);
        memory.left = -1;
        if (status == SGT_OK)
            break;
        ck_assert_int_eq(status, SGT_E_OUT_OF_MEMORY);
        ck_assert_int_eq(s.event.action, 77);
        ck_assert_int_eq(sgt_plan_equal(sgt_model_plan(s.model), before), 1);
        now = sgtt_policy_bytes(&again, s.policy);
        ck_assert_uint_eq(again, bytes);
        ck_assert_mem_eq(now, state, bytes);
        free(now);
    }
    ck_assert_int_gt(failures, 3);
    ck_assert_int_eq(s.event.action, action);
    ck_assert_int_eq(sgt_plan_equal(sgt_model_plan(s.model), before), 0);
    forward(&s);
    ck_assert_int_eq(collects(&s), action != SGT_GROWTH_FIX);
    sgtt_ok(grow(&s, 3, 0));
    sgt_plan_free(before);
    free(state);
    close_setting(&s);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

START_TEST(a_steady_step_allocates_nothing)
{
    sgtt_faulty_memory memory = {.left = -1};
    sgt_growth_options options;
    setting s;

    sgtt_ok(sgt_growth_options_init(&options, sizeof options));
    options.observe_after_fix = 1;
    open_setting(&s, &memory);
    attach(&s, make_policy(s.context, 4), &options);
    for (int64_t step = 1; step <= 9; step++) {
        int gains_change = step == 4 || step == 5;
        int nothing_changes = step > 6;
        forward(&s);
        memory.left = gains_change || nothing_changes ? 0 : -1;
        sgtt_ok(grow(&s, step, 0));
        memory.left = -1;
    }
    close_setting(&s);
    ck_assert_int_eq(memory.live, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("growth on a model");
    TCase *tests = tcase_create("driver");

    tcase_add_test(tests, the_plan_reaches_the_model);
    tcase_add_test(tests, the_policy_sees_what_the_model_saw);
    tcase_add_test(tests, micro_batches_are_averaged);
    tcase_add_test(tests, a_policy_without_entropies);
    tcase_add_test(tests, steps_must_grow_and_follow_a_forward);
    tcase_add_test(tests, a_skipped_step_is_not_shown);
    tcase_add_test(tests, entropies_that_were_not_collected);
    tcase_add_loop_test(tests, collecting_ends_with_growth, 0, 2);
    tcase_add_test(tests, a_loaded_state_starts_collecting_again);
    tcase_add_test(tests, one_policy_one_model);
    tcase_add_loop_test(tests, any_order_of_frees, 0, 4);
    tcase_add_test(tests, static_plans_are_set_at_once);
    tcase_add_test(tests, a_custom_start);
    tcase_add_test(tests, a_failing_decide_can_be_repeated);
    tcase_add_loop_test(tests, a_plan_that_does_not_fit, 0, 2);
    tcase_add_test(tests, a_steady_step_allocates_nothing);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
