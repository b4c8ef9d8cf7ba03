/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Training with units that a controller chooses: how often a run is hard and on what that depends,
 * the noise of choices, what does not draw; that products with chosen units alone give the bits of
 * those with all; and how large a part's output is at the start.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/session.h>

#include "model/model.h"
#include "plugins.h"
#include "training_life.h"

enum { FORWARDS = 2000, BATCH = 2, SEQ = 6 };

/* ---- models ---- */

/* Every layer of its own block: `layers` of the shape, hard as often as it says. */
static sgt_model *model_of(sgt_context *context, const sgt_block_config *blocks, int32_t layers,
                           int32_t extra_runs, uint64_t seed)
{
    const sgt_model_options options = {.size = sizeof options, .seed = seed};
    sgt_model_config config = sgtt_config();
    sgt_model *model;
    config.n_layers = layers;
    config.n_blocks = layers;
    config.blocks = blocks;
    sgtt_ok(sgt_model_create(&model, context, &config, &options));
    sgtt_randomize(model, 11);
    sgt_plan *plan = sgtt_plan_of(model);
    sgtt_ok(sgt_plan_set_extra_runs(plan, 0, extra_runs));
    sgtt_ok(sgt_model_set_plan(model, plan));
    sgt_plan_free(plan);
    return model;
}

static sgt_block_config block_of(double hard_fraction, double temperature)
{
    return (sgt_block_config){.size = sizeof(sgt_block_config),
                              .units = 9,
                              .controller_rank = 4,
                              .temperature = temperature,
                              .hard_fraction = hard_fraction};
}

static double loss_of(sgt_model *model)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_batch batch = sgtt_batch(BATCH, SEQ, 19, 3, 0);
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    sgtt_batch_free(&batch);
    return metrics.loss_sum;
}

/* Of two layers, or of one that runs twice, with these fractions. */
static double loss_with(sgt_context *context, double first, double second, int32_t layers)
{
    const sgt_block_config blocks[] = {block_of(first, 0.0), block_of(second, 0.0)};
    sgt_model *model = model_of(context, blocks, layers, 2 - layers, 0);
    const double loss = loss_of(model);
    sgt_model_free(model);
    return loss;
}

/* ---- hard or soft ---- */

/* Within four standard deviations of the binomial distribution. */
static void check_count(int64_t count, int64_t of, double p, const char *what)
{
    const double z = ((double)count - (double)of * p) / sqrt((double)of * p * (1.0 - p));
    ck_assert_msg(fabs(z) <= 4.0, "%s: %d of %d at probability %g, z = %.2f", what, (int)count,
                  (int)of, p, z);
}

/* What two runs were, for each forward: bit 0 the first hard, bit 1 the second. Without noise the
 * loss tells. One that is neither of two runs' four is -1. */
static void observe(int found[FORWARDS], sgt_context *context, const double fractions[2],
                    int32_t layers, uint64_t seed)
{
    const sgt_block_config blocks[] = {block_of(fractions[0], 0.0), block_of(fractions[1], 0.0)};
    sgt_model *model = model_of(context, blocks, layers, 2 - layers, seed);
    double known[4] = {loss_with(context, 0.0, 0.0, layers), 0.0, 0.0,
                       loss_with(context, 1.0, 1.0, layers)};
    int n_known = 1; /* of the two mixtures, where one layer runs twice */
    if (layers == 2) {
        known[1] = loss_with(context, 1.0, 0.0, layers);
        known[2] = loss_with(context, 0.0, 1.0, layers);
        n_known = 3;
    }
    for (int i = 0; i < FORWARDS; i++) {
        const double loss = loss_of(model);
        int k = 0;
        while (k < 4 && known[k] != loss)
            k++;
        if (k == 4 && n_known < 3) {
            k = n_known++;
            known[k] = loss;
        }
        ck_assert_msg(k < 4, "forward %d has the loss %.17g of no mixture", i, loss);
        found[i] = k;
    }
    sgt_model_free(model);
}

/* _i 0: two layers; 1: two runs of one. */
START_TEST(each_run_is_hard_by_chance)
{
    static const double fractions[][2] = {{0.3, 0.3}, {0.5, 0.5}, {0.9, 0.05}};
    sgt_context *context = sgtt_model_context();
    const int32_t layers = 2 - _i;
    for (int f = 0; f < 3 - _i; f++) {
        int found[FORWARDS], counts[4] = {0}, repeated = 0;
        const double p = fractions[f][0], q = fractions[f][1];
        observe(found, context, fractions[f], layers, 7);
        for (int i = 0; i < FORWARDS; i++) {
            counts[found[i]]++;
            repeated += i > 0 && (found[i] & 1) == (found[i - 1] & 1);
        }
        check_count(counts[0], FORWARDS, (1 - p) * (1 - q), "both soft");
        check_count(counts[1], FORWARDS, p * (1 - q), "one hard");
        check_count(counts[2], FORWARDS, (1 - p) * q, "the other hard");
        check_count(counts[3], FORWARDS, p * q, "both hard");
        if (layers == 2) /* which of a layer's mixtures is which is not known */
            check_count(repeated, FORWARDS - 1, p * p + (1 - p) * (1 - p), "as the forward before");
    }
    sgt_context_free(context);
}
END_TEST

START_TEST(another_seed_draws_independently)
{
    static const double fractions[] = {0.5, 0.5};
    static int found[3][FORWARDS];
    sgt_context *context = sgtt_model_context();
    int same = 0;
    for (int i = 0; i < 3; i++)
        observe(found[i], context, fractions, 2, i == 1 ? UINT64_MAX : 7);
    for (int i = 0; i < FORWARDS; i++)
        same += (found[0][i] & 1) == (found[1][i] & 1);
    check_count(same, FORWARDS, 0.5, "as with the other seed");
    ck_assert_mem_eq(found[0], found[2], sizeof found[0]);
    sgt_context_free(context);
}
END_TEST

/* ---- the noise of choices ---- */

static sgt_model *noisy_model(sgt_context *context, uint64_t seed, double temperature)
{
    const sgt_block_config blocks[] = {block_of(1.0, temperature), block_of(1.0, temperature)};
    return model_of(context, blocks, 2, 1, seed);
}

START_TEST(seed_and_count_fix_every_choice)
{
    sgt_context *context = sgtt_model_context();
    sgt_model *models[] = {noisy_model(context, 5, 0.5), noisy_model(context, 5, 0.5),
                           noisy_model(context, 6, 0.5)};
    double losses[3][4];
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 4; k++)
            losses[i][k] = loss_of(models[i]);
    ck_assert_mem_eq(losses[0], losses[1], sizeof losses[0]);
    for (int k = 0; k < 4; k++) {
        ck_assert_double_ne(losses[2][k], losses[0][k]);
        for (int j = 0; j < k; j++) /* a micro-batch that comes again is drawn for anew */
            ck_assert_double_ne(losses[0][k], losses[0][j]);
    }
    for (int i = 0; i < 3; i++)
        sgt_model_free(models[i]);
    sgt_context_free(context);
}
END_TEST

/* ---- what does not draw ---- */

START_TEST(evaluation_and_decoding_draw_nothing)
{
    enum { VOCAB = 19 };
    static const int32_t tokens[] = {3, 1, 4, 1, 5};
    float logits[2][VOCAB];
    double losses[2], trained[2];
    sgt_context *context = sgtt_model_context();
    sgt_batch batch = sgtt_batch(BATCH, SEQ, VOCAB, 3, 0);
    for (int looks = 0; looks < 2; looks++) {
        sgt_model *model = noisy_model(context, 5, 0.5);
        sgt_session *session;
        sgt_metrics metrics = {.size = sizeof metrics};
        loss_of(model);
        ck_assert_int_eq(model->draws, 1);
        for (int i = 0; i < 2 * looks; i++) {
            sgtt_ok(sgt_model_evaluate(&metrics, model, &batch, NULL));
            losses[i] = metrics.loss_sum;
            sgtt_ok(sgt_session_create(&session, model, NULL));
            sgtt_ok(sgt_session_feed(logits[i], session, 0, tokens, 5));
            sgt_session_free(session);
        }
        ck_assert_int_eq(model->draws, 1);
        trained[looks] = loss_of(model);
        ck_assert_int_eq(model->draws, 2);
        sgt_model_free(model);
    }
    ck_assert_double_eq(losses[0], losses[1]);
    ck_assert_mem_eq(logits[0], logits[1], sizeof logits[0]);
    ck_assert_double_eq(trained[0], trained[1]);
    sgtt_batch_free(&batch);
    sgt_context_free(context);
}
END_TEST

/* Evaluation is that of a model without noise, and decoding too. */
START_TEST(noise_is_for_training)
{
    enum { VOCAB = 19 };
    static const int32_t tokens[] = {3, 1, 4, 1, 5};
    float logits[2][VOCAB];
    double losses[2], trained[2];
    sgt_context *context = sgtt_model_context();
    sgt_batch batch = sgtt_batch(BATCH, SEQ, VOCAB, 3, 0);
    for (int i = 0; i < 2; i++) {
        sgt_model *model = noisy_model(context, 5, i ? 2.0 : 0.0);
        sgt_session *session;
        sgt_metrics metrics = {.size = sizeof metrics};
        trained[i] = loss_of(model);
        sgtt_ok(sgt_model_evaluate(&metrics, model, &batch, NULL));
        losses[i] = metrics.loss_sum;
        sgtt_ok(sgt_session_create(&session, model, NULL));
        sgtt_ok(sgt_session_feed(logits[i], session, 0, tokens, 5));
        sgt_session_free(session);
        sgt_model_free(model);
    }
    ck_assert_double_ne(trained[0], trained[1]);
    ck_assert_double_eq(losses[0], losses[1]);
    ck_assert_mem_eq(logits[0], logits[1], sizeof logits[0]);
    sgtt_batch_free(&batch);
    sgt_context_free(context);
}
END_TEST

/* ---- ways to the same bits ---- */

static const int kinds[] = {SGTT_KIND_UNITS, SGTT_KIND_RELU_UNITS};

/* The weights behind some steps, with recompute or without. */
static float *trained(uint64_t *elements, double losses[4], int kind, int32_t recompute)
{
    const sgt_context_options context = sgtt_model_options();
    const sgt_model_options options = {
        .size = sizeof options, .recompute = recompute, .seed = 1234567890123};
    small_training t = {.seed = 5};
    const sgtt_small_recipe recipe = {.context = &context,
                                      .config = sgtt_small_config(kind, SGTT_SIZE_ODD),
                                      .options = &options};
    int32_t tokens[BATCH * SEQ], targets[BATCH * SEQ];
    sgtt_ok(sgtt_small_make(&t, &recipe));
    sgtt_randomize(t.model, 21);
    sgtt_ok(sgtt_small_loop(t.model, kind));
    for (int step = 0; step < 4; step++) {
        sgtt_small_taken taken;
        const sgt_batch batch = sgtt_small_batch(tokens, targets, &t, step, BATCH, SEQ);
        sgtt_ok(sgtt_small_step(&taken, &t, &batch, step + 1));
        losses[step] = taken.loss;
    }
    *elements = sgtt_elements(t.model);
    float *weights = sgtt_read_all(t.model, SGT_PART_WEIGHT);
    sgtt_small_free(&t);
    return weights;
}

START_TEST(recompute_replays_what_was_drawn)
{
    uint64_t elements;
    double losses[2][4];
    float *kept = trained(&elements, losses[0], kinds[_i], 0);
    float *remade = trained(&elements, losses[1], kinds[_i], 1);
    ck_assert_mem_eq(losses[0], losses[1], sizeof losses[0]);
    ck_assert_mem_eq(kept, remade, elements * sizeof *kept);
    free(kept);
    free(remade);
}
END_TEST

/* Whole lives on the portable kernels, on them behind memory that the host cannot see, and there
 * without the slots for chosen units: then all are computed. */
START_TEST(chosen_units_alone_give_the_bits_of_all)
{
    static const char *const backends[] = {"portable", "protected", "protected-whole"};
    static training_life lives[3];
    const int size = _i / 2 ? SGTT_SIZE_LARGE : SGTT_SIZE_ODD;
    for (int i = 0; i < 3; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s_backend.so", backends[i]);
        lives[i] = (training_life){.options = sgtt_model_options()};
        lives[i].options.backend = backends[i];
        if (i > 0)
            sgtt_ok(sgtt_load_plugin(NULL, file));
        training_life_run(&lives[i], kinds[_i % 2], size);
    }
    life_check_equal(&lives[0], &lives[1], "chosen units of hidden memory");
    life_check_equal(&lives[0], &lives[2], "all units");
}
END_TEST

/* ---- the start ---- */

enum { VOCAB = 61, UNITS = 16 };

/* Logits of a model at its start whose stream is large, so that what a part adds moves them in
 * proportion. */
static void start(float logits[BATCH * SEQ * VOCAB], double hard_fraction, int32_t units,
                  int32_t unit_scale, double down, int32_t kind)
{
    const sgt_block_config block = {.size = sizeof block, .feed_forward = kind, .units = units,
                                    .controller_rank = 4, .hard_fraction = hard_fraction};
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = sgtt_config();
    sgt_model_init_options init;
    sgt_batch batch = sgtt_batch(BATCH, SEQ, VOCAB, 3, 0);
    sgt_tensor_view view = {.size = sizeof view};
    sgt_model *model;
    config.vocab_size = VOCAB;
    config.d_model = 64;
    config.d_ff = 2048;
    config.n_layers = 1;
    config.n_blocks = 1;
    config.blocks = &block;
    sgtt_ok(sgt_model_init_options_init(&init, sizeof init));
    init.unit_scale = unit_scale;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    sgtt_ok(sgt_model_init_weights(model, &init));
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++) {
        sgtt_ok(sgt_model_parameter(&view, model, i, SGT_PART_WEIGHT));
        const double factor = strstr(view.name, "down_proj") ? down
                              : strstr(view.name, "embed")   ? 50.0
                                                             : 1.0;
        float *values = calloc(view.count, sizeof *values);
        sgtt_ok(sgt_model_read_parameter(values, view.count, model, i, SGT_PART_WEIGHT));
        for (uint64_t k = 0; k < view.count; k++)
            values[k] *= (float)factor;
        sgtt_ok(sgt_model_write_parameter(model, i, SGT_PART_WEIGHT, values, view.count));
        free(values);
    }
    sgtt_ok(sgt_model_forward_logits(&view, model, &batch));
    sgtt_ok(sgt_model_read_logits(logits, view.count, model));
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}

/* How much a feed-forward part moves the logits. */
static double moved(double hard_fraction, int32_t units, int32_t unit_scale, int32_t kind)
{
    static float with[BATCH * SEQ * VOCAB], without[BATCH * SEQ * VOCAB];
    double squares = 0.0;
    start(with, hard_fraction, units, unit_scale, 1.0, kind);
    start(without, hard_fraction, units, unit_scale, 0.0, kind);
    for (int i = 0; i < BATCH * SEQ * VOCAB; i++)
        squares += ((double)with[i] - without[i]) * ((double)with[i] - without[i]);
    return sqrt(squares);
}

static void check_ratio(double found, double expected, const char *what)
{
    ck_assert_msg(fabs(log(found / expected)) < 0.1, "%s: %g, not %g", what, found, expected);
}

/* doc/maths.md has these numbers. */
/* More than the operations on chosen units take: they are computed whole. */
START_TEST(a_group_may_be_huge)
{
    enum { MANY = 1 << 19, ROWS = 32 };
    const sgt_block_config block = {.size = sizeof block,
                                    .feed_forward = SGT_FEED_FORWARD_RELU,
                                    .units = MANY,
                                    .controller_rank = 1,
                                    .hard_fraction = 1.0};
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = sgtt_config();
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_model *model;
    config.n_layers = config.n_heads = config.n_kv_heads = config.n_blocks = 1;
    config.d_model = config.head_dim = 2;
    config.d_ff = MANY;
    config.max_seq_len = ROWS;
    config.blocks = &block;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    sgtt_ok(sgt_model_init_weights(model, NULL));
    sgt_batch batch = sgtt_batch(1, ROWS, 2, 3, 0);
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    sgtt_ok(sgt_model_backward(model, 1.0, NULL));
    ck_assert(metrics.finite);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

START_TEST(a_start_writes_the_less_the_more_units_there_are)
{
    const double dense = moved(0.0, 0, 0, _i);
    check_ratio(moved(1.0, UNITS, 0, _i) / dense, 1.0 / sqrt(UNITS), "hard");
    check_ratio(moved(0.0, UNITS, 0, _i) / dense, 1.0 / UNITS, "soft");
    check_ratio(moved(1.0, UNITS, 1, _i) / dense, 1.0, "hard with unit_scale");
    check_ratio(moved(0.0, UNITS, 1, _i) / dense, 1.0 / sqrt(UNITS), "soft with unit_scale");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("units");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 120);
    tcase_add_loop_test(cases, each_run_is_hard_by_chance, 0, 2);
    tcase_add_test(cases, another_seed_draws_independently);
    tcase_add_test(cases, seed_and_count_fix_every_choice);
    tcase_add_test(cases, evaluation_and_decoding_draw_nothing);
    tcase_add_test(cases, noise_is_for_training);
    tcase_add_loop_test(cases, recompute_replays_what_was_drawn, 0, 2);
    tcase_add_loop_test(cases, chosen_units_alone_give_the_bits_of_all, 0, 4);
    tcase_add_test(cases, a_group_may_be_huge);
    tcase_add_loop_test(cases, a_start_writes_the_less_the_more_units_there_are, 0, 2);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
