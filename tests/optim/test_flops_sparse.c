/* SPDX-License-Identifier: BSD-3-Clause */
/* FLOPs of sparse parts by phase, and the weights that are read, against closed forms; and the
 * weights of a forward against those that a model has. */
#include <sgt/sgt.h>

#include "testing.h"

enum { V = 12, D = 10, LAYERS = 3, H = 4, HKV = 2, DH = 4, FF = 48, T = 6, RANK = 5 };

static const int32_t phases[] = {SGT_PHASE_FORWARD, SGT_PHASE_EVALUATE, SGT_PHASE_DECODE};

static sgt_block_config block_of(int32_t feed_forward, int32_t units)
{
    sgt_block_config block;
    sgtt_ok(sgt_block_config_init(&block, sizeof block));
    block.feed_forward = feed_forward;
    block.units = units;
    block.controller_rank = RANK;
    block.hard_fraction = 0.25;
    return block;
}

static sgt_model_config config_of(const sgt_block_config *block)
{
    sgt_model_config config;
    sgtt_ok(sgt_model_config_init(&config, sizeof config));
    config.vocab_size = V;
    config.d_model = D;
    config.n_layers = LAYERS;
    config.n_heads = H;
    config.n_kv_heads = HKV;
    config.head_dim = DH;
    config.d_ff = FF;
    config.max_seq_len = T;
    config.n_blocks = block ? 1 : 0;
    config.blocks = block;
    return config;
}

static sgt_flops count(const sgt_model_config *config, const sgt_plan *plan, int32_t phase)
{
    sgt_flops flops = {.size = sizeof flops};
    sgt_flops_options options;
    sgtt_ok(sgt_flops_options_init(&options, sizeof options));
    options.phase = phase;
    sgtt_ok(sgt_flops_count(&flops, config, plan, &options));
    ck_assert_double_eq(flops.forward, flops.projections + flops.attention + flops.feed_forward +
                                           flops.head + flops.mixing);
    ck_assert_double_eq(flops.training, phase == SGT_PHASE_FORWARD ? 3 * flops.forward : 0);
    return flops;
}

/* Bytes beside those of feed-forward matrices and the head's: two norms and q, k, v, o of each
 * layer, and the final norm. */
static double bytes_beside(void)
{
    return 4.0 * (LAYERS * (2 * D + D * DH * (2 * H + 2 * HKV)) + D);
}

/* The feed-forward FLOPs and the bytes that a config has, in one phase; both of one layer, in
 * multiply-adds and in weights. */
static void check(const sgt_model_config *config, int32_t phase, double products, double weights)
{
    const sgt_flops flops = count(config, NULL, phase);
    ck_assert_double_eq(flops.feed_forward, LAYERS * 2.0 * products);
    ck_assert_double_eq(flops.weight_bytes, bytes_beside() + 4.0 * (LAYERS * weights + D * V));
}

START_TEST(a_dense_part_reads_all_in_every_phase)
{
    const sgt_block_config relu = block_of(SGT_FEED_FORWARD_RELU, 0);
    const sgt_model_config two = config_of(&relu), three = config_of(NULL);
    for (int i = 0; i < 3; i++) {
        check(&three, phases[i], 3 * D * FF, 3 * D * FF);
        check(&two, phases[i], 2 * D * FF, 2 * D * FF);
    }
}
END_TEST

/* Multiply-adds of a controller; its bias is a weight, but no product. */
enum { CONTROLLER = RANK * (D + FF) };

START_TEST(swiglu_computes_all_units_in_training)
{
    enum { UNITS = 16 };
    const sgt_block_config block = block_of(SGT_FEED_FORWARD_SWIGLU, UNITS);
    const sgt_model_config config = config_of(&block);
    const int32_t all = 3 * D * FF, chosen = 3 * D * FF / UNITS;
    check(&config, SGT_PHASE_FORWARD, CONTROLLER + all, CONTROLLER + FF + all);
    check(&config, SGT_PHASE_EVALUATE, CONTROLLER + chosen, CONTROLLER + FF + all);
    check(&config, SGT_PHASE_DECODE, CONTROLLER + chosen, CONTROLLER + FF + chosen);
}
END_TEST

START_TEST(relu_computes_chosen_units_in_hard_steps)
{
    enum { UNITS = 16 };
    const int32_t all = 2 * D * FF, chosen = 2 * D * FF / UNITS;
    sgt_block_config block = block_of(SGT_FEED_FORWARD_RELU, UNITS);
    const sgt_model_config config = config_of(&block);
    check(&config, SGT_PHASE_FORWARD, CONTROLLER + 0.25 * chosen + 0.75 * all,
          CONTROLLER + FF + all);
    check(&config, SGT_PHASE_EVALUATE, CONTROLLER + chosen, CONTROLLER + FF + all);
    check(&config, SGT_PHASE_DECODE, CONTROLLER + chosen, CONTROLLER + FF + chosen);
    block.hard_fraction = 1.0;
    check(&config, SGT_PHASE_FORWARD, CONTROLLER + chosen, CONTROLLER + FF + all);
    block.hard_fraction = 0.0;
    check(&config, SGT_PHASE_FORWARD, CONTROLLER + all, CONTROLLER + FF + all);
}
END_TEST

/* Whole products are as fast, and what is done, but for a token: what it leaves out is not read. */
START_TEST(small_groups_are_computed_whole_in_batches)
{
    sgt_block_config block = block_of(SGT_FEED_FORWARD_RELU, 4);
    const sgt_model_config config = config_of(&block);
    check(&config, SGT_PHASE_FORWARD, CONTROLLER + 2 * D * FF, CONTROLLER + FF + 2 * D * FF);
    check(&config, SGT_PHASE_EVALUATE, CONTROLLER + 2 * D * FF, CONTROLLER + FF + 2 * D * FF);
    check(&config, SGT_PHASE_DECODE, CONTROLLER + 2 * D * FF / 4,
          CONTROLLER + FF + 2 * D * FF / 4);
}
END_TEST

START_TEST(modules_compute_a_head_and_read_a_part)
{
    enum { S = 3 };
    sgt_model_config config = config_of(NULL);
    const sgt_flops plain = count(&config, NULL, SGT_PHASE_DECODE);
    config.head_modules = S;
    for (int i = 0; i < 3; i++) {
        const sgt_flops flops = count(&config, NULL, phases[i]);
        ck_assert_double_eq(flops.head, 2.0 * D * V);
        ck_assert_double_eq(plain.weight_bytes - flops.weight_bytes,
                            4.0 * (D * V - (S * D + V / S * D + V)));
    }
}
END_TEST

/* 4 modules of 4; the stream is as wide as they are together. */
START_TEST(modules_make_queries_keys_and_values)
{
    enum { M = 4, WIDE = H * M, F = 2, KERNELS = M * M * F * (3 + 3 + 1) };
    sgt_context *context = NULL;
    sgt_plan *plan = NULL;
    sgt_block_config block = block_of(SGT_FEED_FORWARD_SWIGLU, 0);
    sgt_model_config config = config_of(&block);
    block.attention = SGT_ATTENTION_MULTIPLICATIVE;
    block.mult_kernel = F;
    config.d_model = WIDE;
    config.n_kv_heads = H;
    config.n_layers = 1;
    const double beside = 4.0 * (2 * WIDE + 3 * WIDE * FF + WIDE * V);
    const double layer = WIDE + H * WIDE + M * WIDE + WIDE + KERNELS + 3 * M;
    const sgt_flops whole = count(&config, NULL, SGT_PHASE_DECODE);
    ck_assert_double_eq(whole.projections, 2.0 * (WIDE * WIDE + H * KERNELS + WIDE * WIDE));
    ck_assert_double_eq(whole.weight_bytes, beside + 4.0 * (layer + WIDE * WIDE));
    block.attention_output = SGT_ATTENTION_OUTPUT_NONE;
    const sgt_flops none = count(&config, NULL, SGT_PHASE_DECODE);
    ck_assert_double_eq(none.projections, 2.0 * (WIDE * WIDE + H * KERNELS));
    ck_assert_double_eq(none.weight_bytes, beside + 4.0 * layer);
    ck_assert_double_eq(none.attention, whole.attention);

    /* Head 0 needs its own module and the next one: scales and biases of two. */
    sgtt_ok(sgt_context_create(&context, NULL));
    sgtt_ok(sgt_plan_create(&plan, context, 1, H));
    sgtt_ok(sgt_plan_set_depth(plan, 0, 1));
    sgtt_ok(sgt_plan_set_gains(plan, 0, 1, (float[]){1, 0, 0, 0}));
    const sgt_flops looped = count(&config, plan, SGT_PHASE_DECODE);
    ck_assert_double_eq(looped.projections - none.projections, 2.0 * (2 * M * WIDE + KERNELS));
    ck_assert_double_eq(looped.weight_bytes - none.weight_bytes,
                        4.0 * (WIDE + 2 * WIDE + M * WIDE + 2 * M + KERNELS + 3 * M));
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

/* A loop reads its heads again: {1} and {1,2} of layer 1 are 3 heads of 3 groups. */
START_TEST(loops_and_runs_read_again)
{
    const sgt_block_config block = block_of(SGT_FEED_FORWARD_RELU, 16);
    const sgt_model_config config = config_of(&block);
    const double read = CONTROLLER + FF + 2 * D * FF / 16 + D;
    sgt_context *context = NULL;
    sgt_plan *plan = NULL;
    sgtt_ok(sgt_context_create(&context, NULL));
    sgtt_ok(sgt_plan_create(&plan, context, LAYERS, H));
    sgtt_ok(sgt_plan_set_depth(plan, 1, 2));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 1, (float[]){0, 1, 0, 0}));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 2, (float[]){0, 0.5f, 0.5f, 0}));
    const sgt_flops plain = count(&config, NULL, SGT_PHASE_DECODE);
    const sgt_flops looped = count(&config, plan, SGT_PHASE_DECODE);
    const double loops = D * DH * (2 * 3 + 2 * 3) + 2 * D;
    ck_assert_double_eq(looped.weight_bytes - plain.weight_bytes, 4.0 * loops);
    ck_assert_double_eq(looped.feed_forward, plain.feed_forward);
    sgtt_ok(sgt_plan_set_extra_runs(plan, 1, 1));
    const sgt_flops repeated = count(&config, plan, SGT_PHASE_DECODE);
    ck_assert_double_eq(repeated.weight_bytes - looped.weight_bytes,
                        4.0 * (loops + D + D * DH * (2 * H + 2 * HKV) + read));
    ck_assert_double_eq(repeated.feed_forward, plain.feed_forward / LAYERS * (LAYERS + 1));
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

/* ---- the weights that there are ---- */

/* Those of a model, but for its embedding where that is no head. */
static double bytes_of_model(const sgt_model_config *config)
{
    sgt_context *context = NULL;
    sgt_model *model = NULL;
    double bytes = 0;
    sgtt_ok(sgt_context_create(&context, NULL));
    sgtt_ok(sgt_model_create(&model, context, config, NULL));
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, model, i, SGT_PART_WEIGHT));
        bytes += config->tied || i > 0 ? 4.0 * (double)view.count : 0;
    }
    sgt_model_free(model);
    sgt_context_free(context);
    return bytes;
}

/* A forward of a batch reads every weight once. */
START_TEST(a_forward_reads_what_a_model_has)
{
    const sgt_block_config blocks[] = {
        block_of(SGT_FEED_FORWARD_SWIGLU, 0), block_of(SGT_FEED_FORWARD_RELU, 0),
        block_of(SGT_FEED_FORWARD_SWIGLU, 4), block_of(SGT_FEED_FORWARD_RELU, 16)};
    for (int32_t kind = 0; kind < 4; kind++) {
        for (int32_t shape = 0; shape < 6; shape++) {
            sgt_model_config config = config_of(&blocks[kind]);
            config.tied = shape == 1;
            config.head_modules = shape == 2 || shape == 5 ? 4 : 0;
            config.altup_streams = shape >= 3 ? 2 : 1;
            config.altup_table = shape >= 4 ? SGT_ALTUP_WIDE : SGT_ALTUP_RECYCLED;
            ck_assert_double_eq(count(&config, NULL, SGT_PHASE_FORWARD).weight_bytes,
                                bytes_of_model(&config));
        }
    }
}
END_TEST

START_TEST(so_does_one_of_modules)
{
    sgt_block_config block = block_of(SGT_FEED_FORWARD_RELU, 16);
    sgt_model_config config = config_of(&block);
    block.attention = SGT_ATTENTION_MULTIPLICATIVE;
    config.d_model = H * DH;
    config.n_kv_heads = H;
    config.head_modules = 3;
    for (int32_t kernel = 1; kernel <= 4; kernel += 3) {
        for (int32_t output = 0; output < 2; output++) {
            block.mult_kernel = kernel;
            block.attention_output = output;
            ck_assert_double_eq(count(&config, NULL, SGT_PHASE_FORWARD).weight_bytes,
                                bytes_of_model(&config));
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flops_sparse");
    TCase *tcase = tcase_create("flops_sparse");
    tcase_add_test(tcase, a_dense_part_reads_all_in_every_phase);
    tcase_add_test(tcase, swiglu_computes_all_units_in_training);
    tcase_add_test(tcase, relu_computes_chosen_units_in_hard_steps);
    tcase_add_test(tcase, small_groups_are_computed_whole_in_batches);
    tcase_add_test(tcase, modules_compute_a_head_and_read_a_part);
    tcase_add_test(tcase, modules_make_queries_keys_and_values);
    tcase_add_test(tcase, loops_and_runs_read_again);
    tcase_add_test(tcase, a_forward_reads_what_a_model_has);
    tcase_add_test(tcase, so_does_one_of_modules);
    suite_add_tcase(suite, tcase);
    return sgtt_run(suite);
}
