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

static sgt_flops count(const sgt_model_config *config, const sgt_plan *plan, int32_t loops,
                       int32_t full_square)
{
    sgt_flops flops = {.size = sizeof flops};
    sgt_flops_options options;
    sgtt_ok(sgt_flops_options_init(&options, sizeof options));
    options.loops = loops;
    options.full_square = full_square;
    sgtt_ok(sgt_flops_count(&flops, config, plan, &options));
    return flops;
}

static double overhead(const sgt_model_config *config, const sgt_plan *plan)
{
    double vanilla = count(config, plan, SGT_FLOPS_LOOPS_VANILLA, 0).forward;
    return count(config, plan, SGT_FLOPS_LOOPS_NOW, 0).forward / vanilla - 1.0;
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
    ck_assert_double_eq_tol(count(&config, NULL, SGT_FLOPS_LOOPS_NOW, 0).forward, 673.4e6, 0.05e6);
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
    sgt_flops causal = count(&config, NULL, SGT_FLOPS_LOOPS_NOW, 0);
    sgt_flops full = count(&config, NULL, SGT_FLOPS_LOOPS_NOW, 1);
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
    sgt_flops vanilla = count(&config, NULL, SGT_FLOPS_LOOPS_NOW, 0);
    ck_assert_double_eq(vanilla.projections, 2 * 2.0 * 10 * 6 * (2 * 8 + 2 * 2));
    ck_assert_double_eq(vanilla.attention, 2 * 2.0 * 5 * 8 * 6);
    ck_assert_double_eq(vanilla.feed_forward, 2 * 6.0 * 10 * 7);
    sgtt_ok(sgt_plan_create(&plan, context, 2, 8));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 2));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 1, (float[]){0, 1, 0, 0.25f, 0, 0, 0, 0}));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 2, (float[]){0, 0, 0, 0.25f, 1, 0, 0, 0}));
    sgt_flops looped = count(&config, plan, SGT_FLOPS_LOOPS_NOW, 0);
    ck_assert_double_eq(looped.projections - vanilla.projections,
                        2.0 * 10 * 6 * (2 * 2 + 2 * 1) + 2.0 * 10 * 6 * (2 * 2 + 2 * 2));
    ck_assert_double_eq(looped.attention - vanilla.attention, 2.0 * 5 * 6 * 4);
    ck_assert_double_eq(looped.feed_forward, vanilla.feed_forward);
    sgtt_ok(sgt_plan_set_extra_runs(plan, 1, 2));
    sgt_flops repeated = count(&config, plan, SGT_FLOPS_LOOPS_NOW, 0);
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
    double now = count(&config, fading, SGT_FLOPS_LOOPS_NOW, 0).forward;
    double grown = count(&config, fading, SGT_FLOPS_LOOPS_GROWN, 0).forward;
    double vanilla = count(&config, fading, SGT_FLOPS_LOOPS_VANILLA, 0).forward;
    ck_assert_double_eq(grown, count(&config, kept, SGT_FLOPS_LOOPS_NOW, 0).forward);
    ck_assert_double_eq(vanilla, count(&config, NULL, SGT_FLOPS_LOOPS_NOW, 0).forward);
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

static sgt_flops count_phase(const sgt_model_config *config, const sgt_plan *plan, int32_t seq,
                             int32_t phase, int32_t full_square)
{
    sgt_flops flops = {.size = sizeof flops};
    sgt_flops_options options;
    sgtt_ok(sgt_flops_options_init(&options, sizeof options));
    ck_assert_int_eq(options.phase, SGT_PHASE_FORWARD);
    options.seq = seq;
    options.phase = phase;
    options.full_square = full_square;
    sgtt_ok(sgt_flops_count(&flops, config, plan, &options));
    return flops;
}

/* A decoded token sees all keys before it; only a training step has a backward. */
START_TEST(phases_differ_in_keys_and_backward)
{
    sgt_context *context = open_context();
    sgt_model_config config = paper_config();
    sgt_plan *plan = three_layers(context, 2);
    sgt_flops training = count_phase(&config, plan, 300, SGT_PHASE_FORWARD, 0);
    sgt_flops zero = count_phase(&config, plan, 300, 0, 0);
    sgt_flops evaluated = count_phase(&config, plan, 300, SGT_PHASE_EVALUATE, 0);
    sgt_flops decoded = count_phase(&config, plan, 300, SGT_PHASE_DECODE, 0);
    sgt_flops full = count_phase(&config, plan, 300, SGT_PHASE_DECODE, 1);
    ck_assert_double_eq(training.training, 3 * training.forward);
    ck_assert_mem_eq(&zero, &training, sizeof zero);
    ck_assert_double_eq(evaluated.forward, training.forward);
    ck_assert_double_eq(evaluated.training, 0);
    ck_assert_double_eq(decoded.training, 0);
    ck_assert_double_eq(decoded.attention, 4.0 * 300 * 64 * (16 * 16 + 3 * 2));
    ck_assert_double_eq(decoded.attention, 2 * training.attention);
    ck_assert_double_eq(decoded.projections, training.projections);
    ck_assert_double_eq(decoded.feed_forward, training.feed_forward);
    ck_assert_double_eq(decoded.forward - decoded.attention, training.forward - training.attention);
    ck_assert_mem_eq(&full, &decoded, sizeof full);
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

/* The mean of the tokens of a decoded sequence, but for half a key, is that of a forward. */
START_TEST(decoded_tokens_add_up_to_a_forward)
{
    enum { LENGTH = 64 };
    sgt_model_config config = paper_config();
    double decoded = 0;
    for (int32_t i = 1; i <= LENGTH; i++)
        decoded += count_phase(&config, NULL, i, SGT_PHASE_DECODE, 0).forward;
    double whole = LENGTH * count_phase(&config, NULL, LENGTH, SGT_PHASE_EVALUATE, 0).forward;
    double half_a_key = 16.0 * 2 * 16 * 64;
    ck_assert_double_eq(decoded, whole + LENGTH * half_a_key);
}
END_TEST

/* 16 heads in 4 groups of 4; layer 1 of 2 loops with heads 0 and 5, of groups 0 and 1. */
START_TEST(patterns_count_their_pairs)
{
    enum { SEQ = 100, L = 8 };
    const sgt_attention_pattern patterns[2] = {
        {.size = sizeof *patterns, .sets = SGT_KEYS_LOCAL, .stride = L},
        {.size = sizeof *patterns}};
    const sgt_block_config blocks[2] = {
        {.size = sizeof *blocks},
        {.size = sizeof *blocks, .n_patterns = 2, .patterns = patterns}};
    const double local = L * (L + 1) / 2 + (SEQ - L) * L;
    sgt_context *context = open_context();
    sgt_model_config config = paper_config();
    sgt_plan *plan = NULL;
    float gains[16] = {[0] = 1.0f, [5] = 1.0f};
    config.n_layers = 2;
    config.n_kv_heads = 4;
    config.n_blocks = 2;
    config.blocks = blocks;
    sgtt_ok(sgt_plan_create(&plan, context, 2, 16));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 1));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 1, gains));
    sgt_flops mean = count_phase(&config, plan, SEQ, SGT_PHASE_FORWARD, 0);
    sgt_flops full = count_phase(&config, plan, SEQ, SGT_PHASE_FORWARD, 1);
    sgt_flops decoded = count_phase(&config, plan, SEQ, SGT_PHASE_DECODE, 1);
    ck_assert_double_eq_tol(mean.attention, 4.0 * 64 * (25 * SEQ / 2.0 + 9 * local / SEQ), 1e-6);
    ck_assert_double_eq(full.attention, 4.0 * 64 * 34 * SEQ);
    ck_assert_double_eq(decoded.attention, 4.0 * 64 * (25 * SEQ + 9 * L));
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

/* ---- the running total of a model ---- */

enum { D = 16, DH = 6, H = 4, HKV = 2, FF = 20, V = 17, LAYERS = 2, B = 2, T = 5 };

/* The closed formula, in integers: attention passes of the whole model by the heads and groups that
 * they run, and runs of the feed-forward part. */
static double forward_of(int64_t heads, int64_t groups, int64_t feed_forwards)
{
    int64_t per_token = 2 * D * DH * (2 * heads + 2 * groups) + 2 * T * heads * DH +
                        feed_forwards * 6 * D * FF + 2 * D * V;
    return (double)(B * T * per_token);
}

static double vanilla_forward(void)
{
    return forward_of(LAYERS * H, LAYERS * HKV, LAYERS);
}

/* Layer 1 has two more passes, of heads {1} and {1,2}: one group, then two. */
static double looped_forward(void)
{
    return forward_of(LAYERS * H + 3, LAYERS * HKV + 3, LAYERS);
}

/* The same block run once more. */
static double repeated_forward(void)
{
    return forward_of(LAYERS * H + H + 6, LAYERS * HKV + HKV + 6, LAYERS + 1);
}

static sgt_model *small_model(sgt_context *context)
{
    sgt_model *model = NULL;
    sgt_model_config config = paper_config();
    config.vocab_size = V;
    config.d_model = D;
    config.n_layers = LAYERS;
    config.n_heads = H;
    config.n_kv_heads = HKV;
    config.head_dim = DH;
    config.d_ff = FF;
    config.max_seq_len = 2 * T;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    sgtt_ok(sgt_model_init_weights(model, NULL));
    return model;
}

static void loop_layer_1(sgt_model *model, int32_t extra_runs)
{
    sgt_plan *plan = NULL;
    sgtt_ok(sgt_plan_clone(&plan, sgt_model_plan(model)));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 2));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 1, (float[]){0, 1, 0, 0}));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 2, (float[]){0, 0.5f, 0.5f, 0}));
    sgtt_ok(sgt_plan_set_extra_runs(plan, 1, extra_runs));
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgt_plan_free(plan);
}

static sgt_batch batch_of(const int32_t tokens[B * T])
{
    return (sgt_batch){
        .size = sizeof(sgt_batch), .batch = B, .seq = T, .tokens = tokens, .targets = tokens};
}

/* Both totals, exactly: whole numbers far below 2^53. */
static void check_total(const sgt_model *model, double executed, double vanilla)
{
    sgt_flops_total total = {.size = sizeof total};
    sgtt_ok(sgt_model_get_flops(&total, model));
    ck_assert_double_eq(total.executed, executed);
    ck_assert_double_eq(total.vanilla, vanilla);
    ck_assert_double_eq(total.overhead, vanilla > 0 ? executed / vanilla - 1 : 0);
}

START_TEST(a_forward_counts_once_and_a_backward_twice)
{
    static const int32_t tokens[B * T] = {1, 5, 9, 2, 0, 10, 3, 7, 16, 4};
    sgt_context *context = open_context();
    sgt_model *model = small_model(context);
    sgt_batch batch = batch_of(tokens);
    sgt_metrics metrics = {.size = sizeof metrics};
    const double one = vanilla_forward(), looped = looped_forward(), repeated = repeated_forward();
    check_total(model, 0, 0);
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    check_total(model, one, one);
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    check_total(model, 3 * one, 3 * one);

    loop_layer_1(model, 0);
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    check_total(model, 3 * one + looped, 4 * one);
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    check_total(model, 3 * one + 3 * looped, 6 * one);

    loop_layer_1(model, 1);
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    check_total(model, 3 * (one + looped + repeated), 9 * one);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

START_TEST(a_loss_of_the_host_counts_alike)
{
    static const int32_t tokens[B * T] = {0};
    static float dlogits[B * T * V];
    sgt_context *context = open_context();
    sgt_model *model = small_model(context);
    sgt_batch batch = batch_of(tokens);
    sgt_tensor_view logits = {.size = sizeof logits};
    const double one = vanilla_forward(), looped = looped_forward();
    loop_layer_1(model, 0);
    sgtt_ok(sgt_model_forward_logits(&logits, model, &batch));
    check_total(model, looped, one);
    sgtt_ok(sgt_model_backward_logits(model, dlogits, NULL));
    check_total(model, 3 * looped, 3 * one);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* Without a counted target neither the head nor a backward is run. */
START_TEST(a_batch_without_targets_counts_its_blocks)
{
    static const int32_t tokens[B * T] = {0};
    int32_t targets[B * T];
    sgt_context *context = open_context();
    sgt_model *model = small_model(context);
    sgt_batch batch = batch_of(tokens);
    sgt_metrics metrics = {.size = sizeof metrics};
    const double head = B * T * 2.0 * D * V;
    const double one = vanilla_forward() - head, looped = looped_forward() - head;
    for (int i = 0; i < B * T; i++)
        targets[i] = -1;
    batch.targets = targets;
    loop_layer_1(model, 0);
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    check_total(model, looped, one);
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    check_total(model, looped, one);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* What is refused, and what is no training. */
START_TEST(nothing_else_counts)
{
    static const int32_t tokens[B * T] = {0}, wrong[B * T] = {0, 0, V};
    sgt_context *context = open_context();
    sgt_model *model = small_model(context);
    sgt_batch batch = batch_of(tokens), bad = batch_of(wrong);
    sgt_metrics metrics = {.size = sizeof metrics};
    const double one = vanilla_forward();
    sgtt_ok(sgt_model_evaluate(&metrics, model, &batch, NULL));
    sgtt_fails(sgt_model_forward(&metrics, model, &bad), SGT_E_OUT_OF_RANGE, "17");
    sgtt_fails(sgt_model_backward(model, 1.0, NULL), SGT_E_STATE, "sgt_model_forward");
    check_total(model, 0, 0);
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    sgtt_fails(sgt_model_backward(model, 1.0, NULL), SGT_E_STATE, "sgt_model_forward");
    check_total(model, 3 * one, 3 * one);
    sgt_model_free(model);
    sgt_context_free(context);
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
    options.loops = 3;
    sgtt_fails(sgt_flops_count(&flops, &config, NULL, &options), SGT_E_OUT_OF_RANGE, "loops");
    options.loops = 0;
    options.phase = SGT_PHASE_BACKWARD;
    sgtt_fails(sgt_flops_count(&flops, &config, NULL, &options), SGT_E_OUT_OF_RANGE,
               "sgt_flops_options.phase is 2, not SGT_PHASE_FORWARD (1)");
    options.phase = -1;
    sgtt_fails(sgt_flops_count(&flops, &config, NULL, &options), SGT_E_OUT_OF_RANGE, "phase is -1");
    options.phase = SGT_PHASE_DECODE;
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
    tcase_add_test(tcase, phases_differ_in_keys_and_backward);
    tcase_add_test(tcase, decoded_tokens_add_up_to_a_forward);
    tcase_add_test(tcase, patterns_count_their_pairs);
    tcase_add_test(tcase, a_forward_counts_once_and_a_backward_twice);
    tcase_add_test(tcase, a_loss_of_the_host_counts_alike);
    tcase_add_test(tcase, a_batch_without_targets_counts_its_blocks);
    tcase_add_test(tcase, nothing_else_counts);
    tcase_add_test(tcase, wrong_arguments_are_named);
    suite_add_tcase(suite, tcase);
    return sgtt_run(suite);
}
