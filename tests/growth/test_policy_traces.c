/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policy of the paper against recorded runs of a reference that agrees with its authors' code:
 * every action, depth and gain of every step; and the same when the policy is saved and loaded
 * into a fresh one between any two steps.
 *
 *     test_policy_traces CASE.json
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "growth_testing.h"

static const char *path;

static int32_t integer(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    ck_assert_msg(json_is_integer(value), "%s is missing", key);
    return (int32_t)json_integer_value(value);
}

static int32_t fade_of(const char *name)
{
    if (strcmp(name, "cosine") == 0)
        return SGT_FADE_COSINE;
    if (strcmp(name, "exponential") == 0)
        return SGT_FADE_EXPONENTIAL;
    ck_assert_str_eq(name, "linear");
    return SGT_FADE_LINEAR;
}

static sgt_growth_policy *make_policy(sgt_context *context, const json_t *run)
{
    const json_t *growth = json_object_get(run, "growth");
    const json_t *exclude = json_object_get(growth, "exclude");
    int32_t excluded[16];
    sgt_growth_sparse_options options;

    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    options.first_step = integer(growth, "first_step");
    options.window = integer(growth, "window");
    options.top_k_layers = integer(growth, "top_k_layers");
    options.max_layers = integer(growth, "max_layers");
    options.max_depth = integer(growth, "max_depth");
    options.keep_heads = integer(growth, "keep_heads");
    options.average = json_number_value(json_object_get(growth, "ema"));
    options.fade = fade_of(json_string_value(json_object_get(growth, "decay")));
    options.n_exclude = (int32_t)json_array_size(exclude);
    ck_assert_int_le(options.n_exclude, 16);
    for (int32_t i = 0; i < options.n_exclude; i++)
        excluded[i] = (int32_t)json_integer_value(json_array_get(exclude, (size_t)i));
    options.exclude = excluded;
    return sgtt_policy_sparse(context, integer(run, "n_layers"), integer(run, "n_heads"), &options);
}

static void open_run(sgtt_replay *replay, const json_t *run)
{
    const json_t *first = json_array_get(json_object_get(run, "steps"), 0);
    const json_t *passes = json_array_get(json_object_get(first, "entropy"), 0);
    sgt_context *context = sgtt_portable_context(NULL);

    sgtt_replay_open(replay, context, make_policy(context, run), integer(run, "n_layers"),
                     integer(run, "n_heads"), (int32_t)json_array_size(passes));
}

static void show(sgtt_replay *replay, const json_t *step)
{
    const sgt_growth_observation *o = &replay->observation;
    const json_t *entropy = json_object_get(step, "entropy");

    for (int32_t i = 0; i < o->n_layers; i++) {
        for (int32_t k = 0; k < o->max_passes; k++) {
            const json_t *row =
                json_array_get(json_array_get(entropy, (size_t)i), (size_t)k);
            ck_assert_uint_eq(json_array_size(row), (size_t)o->n_heads);
            for (int32_t h = 0; h < o->n_heads; h++)
                sgtt_replay_entropies(replay, i, k)[h] =
                    json_number_value(json_array_get(row, (size_t)h));
        }
    }
}

static int same_list(const json_t *expected, const int32_t *list, int32_t count)
{
    if (json_array_size(expected) != (size_t)count)
        return 0;
    for (int32_t i = 0; i < count; i++) {
        if (json_integer_value(json_array_get(expected, (size_t)i)) != list[i])
            return 0;
    }
    return 1;
}

/* null, ["select", layer, heads], ["deepen", layer, depth] or ["fix", layers, null] */
static int same_action(const json_t *action, const sgt_growth_event *event)
{
    const char *name = json_string_value(json_array_get(action, 0));
    json_int_t layer = json_integer_value(json_array_get(action, 1));

    if (name == NULL)
        return json_is_null(action) && event->action == SGT_GROWTH_NONE && event->layer == -1;
    if (strcmp(name, "select") == 0)
        return event->action == SGT_GROWTH_SELECT && event->layer == layer && event->depth == 1 &&
               same_list(json_array_get(action, 2), event->heads, event->n_heads);
    if (strcmp(name, "deepen") == 0)
        return event->action == SGT_GROWTH_DEEPEN && event->layer == layer &&
               event->depth == json_integer_value(json_array_get(action, 2));
    return strcmp(name, "fix") == 0 && event->action == SGT_GROWTH_FIX &&
           same_list(json_array_get(action, 1), event->layers, event->n_layers);
}

static void check_plan(const sgt_plan *plan, const json_t *step)
{
    for (int32_t i = 0; i < sgt_plan_n_layers(plan); i++) {
        const json_t *scale = json_array_get(json_object_get(step, "scale"), (size_t)i);
        double expected[64];
        ck_assert_int_eq(
            sgt_plan_depth(plan, i),
            json_integer_value(json_array_get(json_object_get(step, "depth"), (size_t)i)));
        ck_assert_int_le(sgt_plan_n_heads(plan), 64);
        for (int32_t h = 0; h < sgt_plan_n_heads(plan); h++)
            expected[h] = json_number_value(json_array_get(scale, (size_t)h));
        for (int32_t k = 1; k <= sgt_plan_depth(plan, i); k++)
            sgtt_check_gains(plan, i, k, expected);
    }
}

/* Returns how many actions there were. */
static int replay_run(const json_t *run, int reload)
{
    const json_t *steps = json_object_get(run, "steps");
    sgtt_replay replay;
    int actions = 0;

    open_run(&replay, run);
    for (size_t t = 0; t < json_array_size(steps); t++) {
        const json_t *step = json_array_get(steps, t);
        show(&replay, step);
        actions += sgtt_replay_step(&replay, (int64_t)t + 1) != SGT_GROWTH_NONE;
        ck_assert_msg(same_action(json_object_get(step, "action"), &replay.event),
                      "step %zu: action %d of layer %d", t + 1, (int)replay.event.action,
                      (int)replay.event.layer);
        check_plan(replay.plan, step);
        if (reload) {
            size_t bytes, again;
            void *data = sgtt_policy_bytes(&bytes, replay.policy);
            void *copy;
            sgt_growth_policy_free(replay.policy);
            replay.policy = make_policy(replay.context, run);
            sgtt_ok(sgt_growth_policy_load(replay.policy, data, bytes));
            copy = sgtt_policy_bytes(&again, replay.policy);
            ck_assert_uint_eq(bytes, again);
            ck_assert_mem_eq(data, copy, bytes);
            free(copy);
            free(data);
        }
    }
    sgtt_replay_close(&replay);
    return actions;
}

static void replay_all(int reload)
{
    json_error_t error;
    json_t *json = json_load_file(path, 0, &error);
    const json_t *runs = json_object_get(json, "runs");
    int actions = 0;

    ck_assert_msg(json != NULL, "%s: %s", path, error.text);
    ck_assert_uint_gt(json_array_size(runs), 0);
    for (size_t i = 0; i < json_array_size(runs); i++)
        actions += replay_run(json_array_get(runs, i), reload);
    ck_assert_int_gt(actions, (int)json_array_size(runs));
    json_decref(json);
}

START_TEST(actions_depths_and_gains)
{
    replay_all(0);
}
END_TEST

START_TEST(the_same_when_resumed_at_every_step)
{
    replay_all(1);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *suite = suite_create("recorded runs of the sparse policy");
    TCase *tests = tcase_create("traces");

    if (argc != 2) {
        fprintf(stderr, "usage: test_policy_traces CASE.json\n");
        return 2;
    }
    path = argv[1];
    tcase_add_test(tests, actions_depths_and_gains);
    tcase_add_test(tests, the_same_when_resumed_at_every_step);
    suite_add_tcase(suite, tests);
    return sgtt_run(suite);
}
