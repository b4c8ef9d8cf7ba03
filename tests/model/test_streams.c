/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What AltUp promises of widened tokens: that a recycled model starts as the plain one, and stays
 * it and grows as it while its mixing is frozen, that decoding sees the same model as evaluation,
 * and what the streams cost. The gradients are tried by test_gradients, whose cases have streams
 * too.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/growth.h>

#include "fixtures.h"

enum { STEPS = 20, BATCH = 3, SEQ = 11, LAYERS = 5, MIXING = 2 * 2 + 2 };

static sgt_model_config widened(int32_t streams, int32_t order, int32_t table)
{
    sgt_model_config config = sgtt_config();
    config.n_layers = LAYERS;
    config.altup_streams = streams;
    config.altup_order = order;
    config.altup_table = table;
    return config;
}

/* A model as training starts with it. */
static sgt_model *drawn(sgt_context *context, const sgt_model_config *config)
{
    sgt_model *model;
    sgt_model_init_options init;
    sgtt_ok(sgt_model_init_options_init(&init, sizeof init));
    init.std = 0.2;
    sgtt_ok(sgt_model_create(&model, context, config, NULL));
    sgtt_ok(sgt_model_init_weights(model, &init));
    return model;
}

/* Freezes what mixes streams. */
static void freeze_mixing(sgt_optimizer *optimizer, const sgt_model *model)
{
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, model, i, SGT_PART_WEIGHT));
        if (strstr(view.name, "altup"))
            sgtt_ok(sgt_optimizer_set_factors(optimizer, i, 0.0, 0.0));
    }
}

/* Losses of a short training of what t has, with its optimizer frozen where streams are mixed. */
static void train(double losses[STEPS], small_training *t)
{
    int32_t tokens[BATCH * SEQ], targets[BATCH * SEQ];
    sgtt_ok(sgt_optimizer_create(&t->optimizer, t->model, NULL));
    freeze_mixing(t->optimizer, t->model);
    for (int step = 0; step < STEPS; step++) {
        sgtt_small_taken taken;
        sgt_batch batch = sgtt_small_batch(tokens, targets, t, step, BATCH, SEQ);
        sgtt_ok(sgtt_small_step(&taken, t, &batch, step + 1));
        losses[step] = taken.loss;
    }
}

static small_training begin(int32_t streams, int32_t order)
{
    small_training t = {.context = sgtt_model_context()};
    const sgt_model_config config = widened(streams, order, SGT_ALTUP_RECYCLED);
    t.model = drawn(t.context, &config);
    return t;
}

/* A training with loops of both kinds. */
static void train_looped(double losses[STEPS], int32_t streams, int32_t order)
{
    small_training t = begin(streams, order);
    sgt_plan *plan = sgtt_plan_of(t.model);
    sgtt_loop(plan, 2, 1, (const float[]){1.0f, 0.0f, 0.5f, 0.0f});
    sgtt_ok(sgt_plan_set_extra_runs(plan, 1, 1));
    sgtt_ok(sgt_model_set_plan(t.model, plan));
    train(losses, &t);
    sgt_plan_free(plan);
    sgtt_small_free(&t);
}

/* A training that grows, and the plan that comes of it. */
static sgt_plan *train_growing(double losses[STEPS], int32_t streams, int32_t order)
{
    const sgt_growth_sparse_options rule = sgtt_small_rule(2, 3);
    small_training t = begin(streams, order);
    sgtt_ok(sgt_growth_policy_sparse(&t.policy, t.context, LAYERS, 4, &rule));
    sgtt_ok(sgt_growth_create(&t.growth, t.model, t.policy, NULL));
    train(losses, &t);
    sgt_plan *plan = sgtt_plan_of(t.model);
    sgtt_small_free(&t);
    return plan;
}

static void check_losses(const double found[STEPS], const double plain[STEPS], int32_t streams)
{
    ck_assert(plain[STEPS - 1] < plain[0]);
    for (int step = 0; step < STEPS; step++)
        ck_assert_msg(fabs(found[step] - plain[step]) <= 1e-6 * plain[step],
                      "%d streams: loss %d is %.9g, of the plain model %.9g", (int)streams, step,
                      found[step], plain[step]);
}

START_TEST(frozen_streams_are_the_plain_model)
{
    static const int32_t streams[] = {2, 3, 4, 16};
    double plain[STEPS], found[STEPS];
    const int32_t k = streams[_i % 4];
    train_looped(plain, 1, SGT_ALTUP_ALTERNATE);
    train_looped(found, k, _i < 4 ? SGT_ALTUP_ALTERNATE : SGT_ALTUP_SAME);
    /* The mean of 2 or 4 equal numbers is exact. */
    if (k == 2 || k == 4)
        ck_assert_msg(found[0] == plain[0], "%d streams start at %.9g, plain at %.9g", (int)k,
                      found[0], plain[0]);
    check_losses(found, plain, k);
}
END_TEST

/* Growth decides by entropies, which are those of the stream that a layer works on. */
START_TEST(frozen_streams_grow_as_the_plain_model)
{
    double plain[STEPS], found[STEPS];
    sgt_plan *of_plain = train_growing(plain, 1, SGT_ALTUP_ALTERNATE);
    sgt_plan *of_streams = train_growing(found, 3, _i);
    int32_t depth = 0;
    check_losses(found, plain, 3);
    for (int32_t layer = 0; layer < LAYERS; layer++)
        depth += sgt_plan_depth(of_plain, layer);
    ck_assert_int_ge(depth, 2);
    ck_assert(sgt_plan_equal(of_plain, of_streams));
    sgt_plan_free(of_streams);
    sgt_plan_free(of_plain);
}
END_TEST

/* The mixing of layer 1 after one step, predict and then correct. */
static void step_with(float mixing[MIXING], double weight_decay, int32_t scope)
{
    small_training t = begin(2, SGT_ALTUP_ALTERNATE);
    int32_t tokens[BATCH * SEQ], targets[BATCH * SEQ];
    sgt_optimizer_options options;
    sgtt_small_taken taken;
    sgt_batch batch = sgtt_small_batch(tokens, targets, &t, 1, BATCH, SEQ);
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.weight_decay = weight_decay;
    options.decay_scope = scope;
    sgtt_ok(sgt_optimizer_create(&t.optimizer, t.model, &options));
    sgtt_ok(sgtt_small_step(&taken, &t, &batch, 1));
    for (int32_t i = 0; i < sgt_model_n_parameters(t.model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, t.model, i, SGT_PART_WEIGHT));
        if (strncmp(view.name, "model.layers.1.altup.", 21) == 0)
            sgtt_ok(sgt_model_read_parameter(mixing + (view.rank == 1 ? 4 : 0), view.count,
                                             t.model, i, SGT_PART_WEIGHT));
    }
    sgtt_small_free(&t);
}

/* Pulled to 0 they would no longer carry the streams that their layer does not work on. */
START_TEST(mixing_does_not_decay)
{
    float without[MIXING], with[MIXING], all[MIXING];
    step_with(without, 0.0, SGT_DECAY_MATRICES);
    step_with(with, 0.5, SGT_DECAY_MATRICES);
    step_with(all, 0.5, SGT_DECAY_ALL);
    ck_assert_mem_eq(without, with, sizeof with);
    ck_assert(all[0] != with[0] && all[MIXING - 1] != with[MIXING - 1]);
}
END_TEST

/* All gradients of a batch of one loss, taken `count` sequences at a time. */
static float *gradients_by(sgt_model *model, const sgt_batch *batch, int32_t count)
{
    sgtt_ok(sgt_model_zero_gradients(model));
    for (int32_t b = 0; b < batch->batch; b += count) {
        sgt_metrics metrics = {.size = sizeof metrics};
        sgt_batch some = *batch;
        some.batch = count;
        some.tokens += b * batch->seq;
        some.targets += b * batch->seq;
        sgtt_ok(sgt_model_forward(&metrics, model, &some));
        sgtt_ok(sgt_model_backward(model, 1.0 / (batch->batch * batch->seq), NULL));
    }
    return sgtt_read_all(model, SGT_PART_GRADIENT);
}

/* Sums over tokens are taken 64 at a time, and their sums again: so many that a third time is
 * needed, with a rest each time. */
START_TEST(sums_of_many_tokens_are_those_of_few)
{
    enum { MANY = 600, FEW = 60 };
    sgt_context *context = sgtt_model_context();
    const sgt_model_config config = sgtt_small_config(SGTT_KIND_STREAMS, SGTT_SIZE_TINY);
    sgt_model *model = sgtt_model(context, &config, 3);
    sgt_batch batch = sgtt_batch(MANY, config.max_seq_len, config.vocab_size, 4, 0);
    float *many = gradients_by(model, &batch, MANY), *few = gradients_by(model, &batch, FEW);
    double largest = 0.0;
    for (uint64_t i = 0; i < sgtt_elements(model); i++)
        largest = fmax(largest, fabs((double)few[i]));
    for (uint64_t i = 0; i < sgtt_elements(model); i++)
        ck_assert_float_eq_tol(many[i], few[i], 5e-6 * largest);
    free(few);
    free(many);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* Decodes what it evaluates, with streams that differ. */
START_TEST(decoding_sees_the_streams)
{
    static const struct {
        int32_t streams, order, table;
    } rows[] = {{2, SGT_ALTUP_ALTERNATE, SGT_ALTUP_RECYCLED},
                {4, SGT_ALTUP_SAME, SGT_ALTUP_RECYCLED},
                {3, SGT_ALTUP_ALTERNATE, SGT_ALTUP_WIDE}};
    const sgt_model_config config = widened(rows[_i].streams, rows[_i].order, rows[_i].table);
    sgt_context *context = sgtt_model_context();
    sgt_model *model = sgtt_model(context, &config, 3);
    sgt_batch batch = sgtt_batch(1, SEQ, config.vocab_size, 1, 0);
    sgt_metrics metrics = {.size = sizeof metrics};
    const size_t vocab = (size_t)config.vocab_size;
    float *all = calloc(SEQ * vocab, sizeof *all), *one = calloc(vocab, sizeof *one);
    const sgt_model_evaluate_options wanted = {.size = sizeof wanted, .logits = all};
    sgtt_ok(sgt_model_evaluate(&metrics, model, &batch, &wanted));
    sgt_session *session = NULL;
    sgtt_ok(sgt_session_create(&session, model, NULL));
    for (int32_t t = 0; t < SEQ; t++) {
        sgtt_ok(sgt_session_feed(one, session, 0, batch.tokens + t, 1));
        for (size_t i = 0; i < vocab; i++)
            ck_assert_float_eq_tol(one[i], all[(size_t)t * vocab + i], 1e-4f);
    }
    free(all);
    free(one);
    sgt_session_free(session);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* How a model is described, and what it costs. */
START_TEST(what_streams_cost)
{
    sgt_context *context = sgtt_model_context();
    const sgt_model_config plain = widened(1, 0, 0), wide = widened(4, 0, SGT_ALTUP_WIDE);
    const sgt_model_config recycled = widened(4, 0, SGT_ALTUP_RECYCLED);
    const int64_t d = plain.d_model, v = plain.vocab_size, layers = plain.n_layers, k = 4;
    sgt_model *models[3];
    models[0] = sgtt_model(context, &plain, 3);
    models[1] = sgtt_model(context, &recycled, 3);
    models[2] = sgtt_model(context, &wide, 3);
    const uint64_t of_plain = sgt_model_n_weights(models[0]), mixing = layers * (k * k + k);
    ck_assert_uint_eq(sgt_model_n_weights(models[1]), of_plain + mixing);
    ck_assert_uint_eq(sgt_model_n_weights(models[2]),
                      of_plain + mixing + (uint64_t)((k - 1) * d * (2 * v + 1)));
    sgt_flops flops[3];
    const sgt_model_config *configs[] = {&plain, &recycled, &wide};
    for (int i = 0; i < 3; i++) {
        flops[i].size = sizeof flops[i];
        sgtt_ok(sgt_flops_count(&flops[i], configs[i], NULL, NULL));
        sgt_model_free(models[i]);
    }
    ck_assert(flops[0].mixing == 0.0);
    ck_assert(flops[1].mixing == (double)(2 * k * (k + 1) * d * layers + 2 * k * d));
    ck_assert(flops[2].mixing == (double)(2 * k * (k + 1) * d * layers));
    ck_assert(flops[1].forward == flops[0].forward + flops[1].mixing);
    ck_assert(flops[2].head == (double)k * flops[0].head);
    sgt_context_free(context);
}
END_TEST

START_TEST(one_stream_says_nothing_of_streams)
{
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = widened(0, SGT_ALTUP_SAME, SGT_ALTUP_WIDE);
    sgt_model *model = sgtt_model(context, &config, 3);
    sgtt_ok(sgt_model_get_config(&config, model));
    ck_assert_int_eq(config.altup_streams, 1);
    ck_assert_int_eq(config.altup_order, SGT_ALTUP_ALTERNATE);
    ck_assert_int_eq(config.altup_table, SGT_ALTUP_RECYCLED);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("streams");
    TCase *cases = tcase_create("streams");
    tcase_set_timeout(cases, 60.0);
    tcase_add_loop_test(cases, frozen_streams_are_the_plain_model, 0, 8);
    tcase_add_loop_test(cases, frozen_streams_grow_as_the_plain_model, SGT_ALTUP_ALTERNATE,
                        SGT_ALTUP_SAME + 1);
    tcase_add_test(cases, mixing_does_not_decay);
    tcase_add_test(cases, sums_of_many_tokens_are_those_of_few);
    tcase_add_loop_test(cases, decoding_sees_the_streams, 0, 3);
    tcase_add_test(cases, what_streams_cost);
    tcase_add_test(cases, one_stream_says_nothing_of_streams);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
