/* SPDX-License-Identifier: BSD-3-Clause */
/* Which layers and heads the policy of the paper takes: direction, order, ties, exclusion. */
#include <string.h>

#include "growth_testing.h"

enum { LAYERS = 6, HEADS = 4 };

static sgt_growth_sparse_options options;
static sgtt_replay replay;

/* A decision at every step from the first on; averages are the entropies themselves. */
static void setup(void)
{
    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    options.first_step = 1;
    options.window = 1;
    options.average = 0;
}

static void open_choice(void)
{
    sgt_context *context = sgtt_portable_context(NULL);
    sgtt_replay_open(&replay, context, sgtt_policy_sparse(context, LAYERS, HEADS, &options), LAYERS,
                     HEADS, 3);
}

static void close_choice(void)
{
    sgtt_replay_close(&replay);
}

/* All heads of all passes of a layer. */
static void set_score(int32_t layer, double score)
{
    for (int32_t pass = 0; pass < 3; pass++) {
        for (int32_t h = 0; h < HEADS; h++)
            sgtt_replay_entropies(&replay, layer, pass)[h] = score;
    }
}

static const double scores[LAYERS] = {0.99, 0.9, 0.5, 0.8, 0.7, 0.1};

static void set_scores(void)
{
    for (int32_t i = 0; i < LAYERS; i++)
        set_score(i, scores[i]);
}

static void expect(int64_t step, int32_t action, int32_t layer)
{
    sgtt_replay_step(&replay, step);
    ck_assert_msg(replay.event.action == action && replay.event.layer == layer,
                  "step %d: action %d of layer %d, not %d of layer %d", (int)step,
                  (int)replay.event.action, (int)replay.event.layer, (int)action, (int)layer);
}

static void expect_fix(int64_t step, const int32_t *layers, int32_t count)
{
    expect(step, SGT_GROWTH_FIX, -1);
    ck_assert_int_eq(replay.event.n_layers, count);
    ck_assert_int_eq(replay.event.n_heads, 0);
    for (int32_t i = 0; i < count; i++)
        ck_assert_int_eq(replay.event.layers[i], layers[i]);
}

START_TEST(deepest_of_the_top_first)
{
    open_choice();
    set_scores(); /* the top 3 are 1, 3 and 4: layer 0 is excluded */
    expect(1, SGT_GROWTH_SELECT, 4);
    expect(2, SGT_GROWTH_SELECT, 3);
    expect(3, SGT_GROWTH_SELECT, 1);
    expect_fix(4, (int32_t[]){1, 3, 4}, 3);
    expect(5, SGT_GROWTH_NONE, -1);
}
END_TEST

START_TEST(then_none_deeper_than_the_shallowest)
{
    open_choice();
    set_scores();
    expect(1, SGT_GROWTH_SELECT, 4);
    set_score(5, 0.95); /* the top 3 are 5, 1 and 3 now */
    expect(2, SGT_GROWTH_SELECT, 3);
    set_score(1, 0); /* 5, 3 and 4: nothing above layer 3 */
    expect_fix(3, (int32_t[]){3, 4}, 2);
}
END_TEST

START_TEST(shallow_to_deep)
{
    options.direction = SGT_DIRECTION_SHALLOW_TO_DEEP;
    open_choice();
    set_scores();
    expect(1, SGT_GROWTH_SELECT, 1);
    expect(2, SGT_GROWTH_SELECT, 3);
    set_score(2, 0.95); /* 2, 1 and 3: none below layer 3 */
    expect_fix(3, (int32_t[]){1, 3}, 2);
}
END_TEST

START_TEST(deepening_comes_first_in_order_of_selection)
{
    options.max_depth = 2;
    options.max_layers = 2;
    open_choice();
    set_scores();
    expect(1, SGT_GROWTH_SELECT, 4);
    set_score(2, 0.75); /* 1, 3 and 2: layer 4 is not among the top */
    expect(2, SGT_GROWTH_SELECT, 3);
    set_score(2, 0.5); /* 1, 3 and 4 again */
    expect(3, SGT_GROWTH_DEEPEN, 4);
    ck_assert_int_eq(replay.event.depth, 2);
    expect(4, SGT_GROWTH_DEEPEN, 3);
    expect_fix(5, (int32_t[]){3, 4}, 2);
    ck_assert_int_eq(sgt_plan_depth(replay.plan, 3), 2);
    ck_assert_int_eq(sgt_plan_depth(replay.plan, 4), 2);
}
END_TEST

START_TEST(waits_for_the_first_step_and_the_window)
{
    options.first_step = 4;
    options.window = 3;
    open_choice();
    set_scores();
    for (int64_t step = 1; step < 4; step++)
        expect(step, SGT_GROWTH_NONE, -1);
    expect(5, SGT_GROWTH_SELECT, 4); /* step 4 was skipped */
    expect(6, SGT_GROWTH_NONE, -1);
    expect(7, SGT_GROWTH_NONE, -1);
    expect(8, SGT_GROWTH_SELECT, 3);
    expect(100, SGT_GROWTH_SELECT, 1);
    expect(102, SGT_GROWTH_NONE, -1);
    expect_fix(103, (int32_t[]){1, 3, 4}, 3);
}
END_TEST

START_TEST(equal_scores_go_to_the_lower_index)
{
    options.top_k_layers = 2;
    open_choice();
    for (int32_t i = 0; i < LAYERS; i++)
        set_score(i, 0.5);
    expect(1, SGT_GROWTH_SELECT, 2); /* the top 2 are 1 and 2 */
    ck_assert_int_eq(replay.event.heads[0], 0);
    ck_assert_int_eq(replay.event.heads[1], 1);
    expect(2, SGT_GROWTH_SELECT, 1);
    expect_fix(3, (int32_t[]){1, 2}, 2);
}
END_TEST

START_TEST(exclusion)
{
    static const int32_t most[] = {0, 1, 3, 4, 5, 3}; /* one of them twice */
    options.exclude = most;
    options.n_exclude = 6;
    open_choice();
    set_scores();
    expect(1, SGT_GROWTH_SELECT, 2);
    expect_fix(2, (int32_t[]){2}, 1);
}
END_TEST

START_TEST(no_exclusion)
{
    options.exclude = NULL;
    options.n_exclude = 0;
    options.top_k_layers = 1;
    open_choice();
    set_scores();
    expect(1, SGT_GROWTH_SELECT, 0);
}
END_TEST

START_TEST(no_candidate_ends_growth)
{
    static const int32_t all[] = {0, 1, 2, 3, 4, 5};
    options.first_step = 2;
    options.exclude = all;
    options.n_exclude = LAYERS;
    open_choice();
    set_scores();
    expect(1, SGT_GROWTH_NONE, -1);
    expect_fix(2, NULL, 0);
    expect(3, SGT_GROWTH_NONE, -1);
    for (int32_t i = 0; i < LAYERS; i++)
        ck_assert_int_eq(sgt_plan_depth(replay.plan, i), 0);
}
END_TEST

/* ---- groups ---- */

static void set_groups(const int32_t *groups, int32_t n_groups)
{
    options.groups = groups;
    options.n_groups = n_groups;
}

/* The best of all layers is 1; with the layers of even and of odd index apart it is 4 and 1. */
START_TEST(layers_are_compared_within_their_group)
{
    static const int32_t by_blocks[] = {0, 1};
    set_groups(by_blocks, 2);
    options.top_k_layers = 1;
    options.exclude = NULL;
    options.n_exclude = 0;
    open_choice();
    set_scores();
    set_score(0, 0.6);
    set_score(5, 0.85); /* layer 4 has less than 1, 3 and 5, which are of the other group */
    expect(1, SGT_GROWTH_SELECT, 4);
    expect(2, SGT_GROWTH_SELECT, 1);
    expect_fix(3, (int32_t[]){1, 4}, 2);
}
END_TEST

/* Candidates of all groups take turns by their depth in the model, and max_layers counts all. */
START_TEST(groups_share_direction_and_limits)
{
    static const int32_t halves[] = {3, 3, 3, 8, 8, 8};
    set_groups(halves, LAYERS);
    options.top_k_layers = 1;
    options.max_depth = 2;
    options.max_layers = 2;
    open_choice();
    set_scores(); /* of 0 (excluded), 1, 2 it is 1; of 3, 4, 5 it is 3 */
    expect(1, SGT_GROWTH_SELECT, 3);
    set_score(5, 0.95); /* 3 is no candidate: it is not deepened */
    expect(2, SGT_GROWTH_SELECT, 1);
    expect(3, SGT_GROWTH_DEEPEN, 1);
    set_score(5, 0.1);
    expect(4, SGT_GROWTH_DEEPEN, 3);
    expect_fix(5, (int32_t[]){1, 3}, 2);
}
END_TEST

/* A group whose layers are all excluded or few has fewer candidates. */
START_TEST(a_small_group)
{
    static const int32_t alone[] = {0, 1, 1, 1, 1, 2};
    set_groups(alone, LAYERS);
    options.top_k_layers = 2;
    open_choice();
    set_scores(); /* 5, of the lowest score; 1 and 3; nothing of group 0 */
    expect(1, SGT_GROWTH_SELECT, 5);
    expect(2, SGT_GROWTH_SELECT, 3);
    expect(3, SGT_GROWTH_SELECT, 1);
    expect_fix(4, (int32_t[]){1, 3, 5}, 3);
}
END_TEST

START_TEST(one_group_is_as_none)
{
    static const int32_t one[] = {5, 5};
    set_groups(one, 2);
    open_choice();
    set_scores();
    expect(1, SGT_GROWTH_SELECT, 4);
    expect(2, SGT_GROWTH_SELECT, 3);
    expect(3, SGT_GROWTH_SELECT, 1);
    expect_fix(4, (int32_t[]){1, 3, 4}, 3);
}
END_TEST

/* ---- heads ---- */

/* Selects layer 5 of these entropies and compares the heads listed and those with gain 1. */
static void check_heads(const double *entropies, const int32_t *heads)
{
    double gains[HEADS] = {0};

    open_choice();
    sgtt_replay_set(&replay, 5, entropies);
    expect(1, SGT_GROWTH_SELECT, 5);
    ck_assert_int_eq(replay.event.n_heads, options.keep_heads);
    for (int32_t i = 0; i < options.keep_heads; i++) {
        ck_assert_int_eq(replay.event.heads[i], heads[i]);
        gains[heads[i]] = 1;
    }
    sgtt_check_gains(replay.plan, 5, 1, gains);
    close_choice();
}

START_TEST(head_choices)
{
    options.ramp = SGT_RAMP_HARD;
    check_heads((double[]){0.4, 0.1, 0.3, 0.2}, (int32_t[]){0, 2});
    check_heads((double[]){0.1, 0.4, 0.3, 0.4}, (int32_t[]){1, 3});
    options.head_choice = SGT_HEADS_LOWEST;
    check_heads((double[]){0.4, 0.1, 0.3, 0.2}, (int32_t[]){3, 1});
    check_heads((double[]){0.2, 0.2, 0.2, 0.1}, (int32_t[]){0, 3});
    options.keep_heads = HEADS;
    check_heads((double[]){0.2, 0.4, 0.1, 0.3}, (int32_t[]){1, 3, 0, 2});
    options.head_choice = SGT_HEADS_RANDOM; /* listed from the highest on all the same */
    for (options.seed = 0; options.seed < 4; options.seed++) {
        check_heads((double[]){0.2, 0.4, 0.1, 0.3}, (int32_t[]){1, 3, 0, 2});
        check_heads((double[]){0.2, 0.2, 0.2, 0.2}, (int32_t[]){0, 1, 2, 3});
    }
}
END_TEST

/* The only head that a seed takes in the layers 5 and 4. */
static void random_heads(int32_t heads[2], uint64_t seed)
{
    setup();
    options.head_choice = SGT_HEADS_RANDOM;
    options.seed = seed;
    options.keep_heads = 1;
    options.top_k_layers = LAYERS;
    open_choice();
    set_scores();
    for (int i = 0; i < 2; i++) {
        expect(1 + i, SGT_GROWTH_SELECT, 5 - i);
        heads[i] = replay.event.heads[0];
    }
    close_choice();
}

START_TEST(random_heads_by_seed_and_layer)
{
    enum { SEEDS = 200 };
    int counts[2][HEADS] = {{0}};
    int same_in_both = 0;

    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        int32_t heads[2], again[2];
        random_heads(heads, seed);
        random_heads(again, seed);
        ck_assert_mem_eq(heads, again, sizeof heads);
        counts[0][heads[0]]++;
        counts[1][heads[1]]++;
        same_in_both += heads[0] == heads[1];
    }
    for (int i = 0; i < 2; i++) { /* 50 of each to be expected, standard deviation 6 */
        for (int h = 0; h < HEADS; h++) {
            ck_assert_int_gt(counts[i][h], 25);
            ck_assert_int_lt(counts[i][h], 75);
        }
    }
    ck_assert_int_gt(same_in_both, 25);
    ck_assert_int_lt(same_in_both, 75);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("choices");
    TCase *layers = tcase_create("layers");
    TCase *groups = tcase_create("groups");
    TCase *heads = tcase_create("heads");

    tcase_add_checked_fixture(layers, setup, close_choice);
    tcase_add_test(layers, deepest_of_the_top_first);
    tcase_add_test(layers, then_none_deeper_than_the_shallowest);
    tcase_add_test(layers, shallow_to_deep);
    tcase_add_test(layers, deepening_comes_first_in_order_of_selection);
    tcase_add_test(layers, waits_for_the_first_step_and_the_window);
    tcase_add_test(layers, equal_scores_go_to_the_lower_index);
    tcase_add_test(layers, exclusion);
    tcase_add_test(layers, no_exclusion);
    tcase_add_test(layers, no_candidate_ends_growth);
    suite_add_tcase(suite, layers);
    tcase_add_checked_fixture(groups, setup, close_choice);
    tcase_add_test(groups, layers_are_compared_within_their_group);
    tcase_add_test(groups, groups_share_direction_and_limits);
    tcase_add_test(groups, a_small_group);
    tcase_add_test(groups, one_group_is_as_none);
    suite_add_tcase(suite, groups);
    tcase_add_checked_fixture(heads, setup, NULL);
    tcase_add_test(heads, head_choices);
    tcase_add_test(heads, random_heads_by_seed_and_layer);
    suite_add_tcase(suite, heads);
    return sgtt_run(suite);
}
