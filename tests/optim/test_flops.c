/* SPDX-License-Identifier: BSD-3-Clause */
/* FLOPs of configs and plans, against numbers worked out by hand and those of the paper's shape. */
#include <math.h>

#include <sgt/sgt.h>

#include "testing.h"

static sgt_context *open_context(void)
{
    sgt_context *context = NULL;
    sgt_context_options options;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.threads = 1;
    sgtt_ok(sgt_context_create(&context, &options));
    return context;
}

static sgt_model_config paper_config(void)
{
    sgt_model_config config;
    sgtt_ok(sgt_model_config_init(&config, sizeof config));
    config.vocab_size = 50304;
    config.d_model = 1024;
    config.n_layers = 16;
    config.n_heads = 16;
    config.d_ff = 4096;
    config.max_seq_len = 1024;
    return config;
}

static sgt_flops count(const sgt_model_config *config, const sgt_plan *plan, int32_t depth,
                       int32_t full_square)
{
    sgt_flops flops = {.size = sizeof flops};
    sgt_flops_options options;
    sgtt_ok(sgt_flops_options_init(&options, sizeof options));
    options.depth = depth;
    options.full_square = full_square;
    sgtt_ok(sgt_flops_count(&flops, config, plan, &options));
    return flops;
}

static double overhead(const sgt_model_config *config, const sgt_plan *plan)
{
    double vanilla = count(config, plan, SGT_FLOPS_VANILLA, 0).forward;
    return count(config, plan, SGT_FLOPS_NOW, 0).forward / vanilla - 1.0;
}

/* Layers 13, 14, 15 with one extra pass of the first n heads. */
static sgt_plan *three_layers(sgt_context *context, int32_t n)
{
    sgt_plan *plan = NULL;
    float gains[16] = {0};
    for (int32_t h = 0; h < n; h++)
        gains[h] = 0.5f;
    sgtt_ok(sgt_plan_create(&plan, context, 16, 16));
    for (int32_t layer = 13; layer < 16; layer++) {
        sgtt_ok(sgt_plan_set_depth(plan, layer, 1));
        sgtt_ok(sgt_plan_set_gains(plan, layer, 1, gains));
    }
    return plan;
}

START_TEST(the_paper_s_shape)
{
    sgt_context *context = open_context();
    sgt_model_config config = paper_config();
    sgt_plan *two = three_layers(context, 2);
    sgt_plan *all = three_layers(context, 16);
    sgt_plan *blocks = NULL;
    sgtt_ok(sgt_plan_create(&blocks, context, 16, 16));
    for (int32_t layer = 13; layer < 16; layer++)
        sgtt_ok(sgt_plan_set_extra_runs(blocks, layer, 1));
    ck_assert_double_eq_tol(count(&config, NULL, SGT_FLOPS_NOW, 0).forward, 673.4e6, 0.05e6);
    ck_assert_double_eq_tol(100 * overhead(&config, two), 0.58, 0.005);
    ck_assert_double_eq_tol(100 * overhead(&config, all), 4.67, 0.005);
    ck_assert_double_eq_tol(100 * overhead(&config, blocks), 15.88, 0.005);
    sgt_plan_free(two);
    sgt_plan_free(all);
    sgt_plan_free(blocks);
    sgt_context_free(context);
}
END_TEST

START_TEST(components_add_up)
{
    sgt_model_config config = paper_config();
    sgt_flops causal = count(&config, NULL, SGT_FLOPS_NOW, 0);
    sgt_flops full = count(&config, NULL, SGT_FLOPS_NOW, 1);
    ck_assert_double_eq(causal.projections, 16.0 * 2 * 1024 * 64 * (2 * 16 + 2 * 16));
    ck_assert_double_eq(causal.attention, 16.0 * 2 * 1024 * 16 * 64);
    ck_assert_double_eq(causal.feed_forward, 16.0 * 6 * 1024 * 4096);
    ck_assert_double_eq(causal.head, 2.0 * 1024 * 50304);
    ck_assert_double_eq(causal.forward, causal.projections + causal.attention +
                                            causal.feed_forward + causal.head);
    ck_assert_double_eq(causal.training, 3 * causal.forward);
    ck_assert_double_eq(full.attention, 2 * causal.attention);
    ck_assert_double_eq(full.projections, causal.projections);
}
END_TEST

/* 8 heads in 2 groups of width 6, d 10: a pass of heads {1,3} uses one group, {3,4} both. */
START_TEST(grouped_heads_share_keys_and_values)
{
    sgt_context *context = open_context();
    sgt_plan *plan = NULL;
    sgt_model_config config = paper_config();
    config.d_model = 10;
    config.n_layers = 2;
    config.n_heads = 8;
    config.n_kv_heads = 2;
    config.head_dim = 6;
    config.d_ff = 7;
    config.vocab_size = 11;
    config.max_seq_len = 5;
    sgt_flops vanilla = count(&config, NULL, SGT_FLOPS_NOW, 0);
    ck_assert_double_eq(vanilla.projections, 2 * 2.0 * 10 * 6 * (2 * 8 + 2 * 2));
    ck_assert_double_eq(vanilla.attention, 2 * 2.0 * 5 * 8 * 6);
    ck_assert_double_eq(vanilla.feed_forward, 2 * 6.0 * 10 * 7);
    sgtt_ok(sgt_plan_create(&plan, context, 2, 8));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 2));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 1, (float[]){0, 1, 0, 0.25f, 0, 0, 0, 0}));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 2, (float[]){0, 0, 0, 0.25f, 1, 0, 0, 0}));
    sgt_flops looped = count(&config, plan, SGT_FLOPS_NOW, 0);
    ck_assert_double_eq(looped.projections - vanilla.projections,
                        2.0 * 10 * 6 * (2 * 2 + 2 * 1) + 2.0 * 10 * 6 * (2 * 2 + 2 * 2));
    ck_assert_double_eq(looped.attention - vanilla.attention, 2.0 * 5 * 6 * 4);
    ck_assert_double_eq(looped.feed_forward, vanilla.feed_forward);
    sgtt_ok(sgt_plan_set_extra_runs(plan, 1, 2));
    sgt_flops repeated = count(&config, plan, SGT_FLOPS_NOW, 0);
    ck_assert_double_eq(repeated.feed_forward, 2 * vanilla.feed_forward);
    ck_assert_double_eq(repeated.attention - looped.attention,
                        2 * (looped.attention - vanilla.attention / 2));
    ck_assert_double_eq(repeated.head, vanilla.head);
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

START_TEST(now_and_grown_look_at_gains_and_targets)
{
    sgt_context *context = open_context();
    sgt_model_config config = paper_config();
    sgt_plan *fading = three_layers(context, 16);
    sgt_plan *kept = three_layers(context, 2);
    float targets[16] = {1, 1};
    for (int32_t layer = 13; layer < 16; layer++)
        sgtt_ok(sgt_plan_set_targets(fading, layer, 1, targets));
    double now = count(&config, fading, SGT_FLOPS_NOW, 0).forward;
    double grown = count(&config, fading, SGT_FLOPS_GROWN, 0).forward;
    double vanilla = count(&config, fading, SGT_FLOPS_VANILLA, 0).forward;
    ck_assert_double_eq(grown, count(&config, kept, SGT_FLOPS_NOW, 0).forward);
    ck_assert_double_eq(vanilla, count(&config, NULL, SGT_FLOPS_NOW, 0).forward);
    ck_assert_double_lt(vanilla, grown);
    ck_assert_double_lt(grown, now);
    sgt_plan_free(fading);
    sgt_plan_free(kept);
    sgt_context_free(context);
}
END_TEST

START_TEST(the_length_of_sequences_counts)
{
    sgt_model_config config = paper_config();
    sgt_flops flops = {.size = sizeof flops};
    sgt_flops_options options;
    sgtt_ok(sgt_flops_options_init(&options, sizeof options));
    options.seq = 256;
    sgtt_ok(sgt_flops_count(&flops, &config, NULL, &options));
    ck_assert_double_eq(flops.attention, 16.0 * 2 * 256 * 16 * 64);
}
END_TEST

START_TEST(wrong_arguments_are_named)
{
    sgt_context *context = open_context();
    sgt_model_config config = paper_config();
    sgt_flops flops = {.size = sizeof flops, .forward = -5.0};
    sgt_flops_options options;
    sgt_plan *plan = NULL;
    sgtt_ok(sgt_flops_options_init(&options, sizeof options));
    sgtt_fails(sgt_flops_count(NULL, &config, NULL, NULL), SGT_E_INVALID_ARGUMENT, "sgt_flops");
    sgtt_fails(sgt_flops_count(&flops, NULL, NULL, NULL), SGT_E_INVALID_ARGUMENT, "config");
    options.seq = 1025;
    sgtt_fails(sgt_flops_count(&flops, &config, NULL, &options), SGT_E_OUT_OF_RANGE, "seq");
    options.seq = -1;
    sgtt_fails(sgt_flops_count(&flops, &config, NULL, &options), SGT_E_OUT_OF_RANGE, "seq");
    options.seq = 0;
    options.depth = 3;
    sgtt_fails(sgt_flops_count(&flops, &config, NULL, &options), SGT_E_OUT_OF_RANGE, "depth");
    options.depth = 0;
    options.full_square = 2;
    sgtt_fails(sgt_flops_count(&flops, &config, NULL, &options), SGT_E_OUT_OF_RANGE,
               "full_square");
    sgtt_ok(sgt_plan_create(&plan, context, 15, 16));
    sgtt_fails(sgt_flops_count(&flops, &config, plan, NULL), SGT_E_INVALID_ARGUMENT, "layers");
    config.n_heads = 3;
    sgtt_fails(sgt_flops_count(&flops, &config, NULL, NULL), SGT_E_INVALID_ARGUMENT, "head");
    ck_assert_double_eq(flops.forward, -5.0);
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flops");
    TCase *tcase = tcase_create("flops");
    tcase_add_test(tcase, the_paper_s_shape);
    tcase_add_test(tcase, components_add_up);
    tcase_add_test(tcase, grouped_heads_share_keys_and_values);
    tcase_add_test(tcase, now_and_grown_look_at_gains_and_targets);
    tcase_add_test(tcase, the_length_of_sequences_counts);
    tcase_add_test(tcase, wrong_arguments_are_named);
    suite_add_tcase(suite, tcase);
    return sgtt_run(suite);
}
