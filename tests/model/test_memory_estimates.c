/* SPDX-License-Identifier: BSD-3-Clause */
/* What a host is told beforehand: the estimate is what is taken, to the byte. */
#include <sgt/optimizer.h>

#include "fixtures.h"

typedef struct need {
    const char *name;
    int32_t batch, seq, training, optimizer, logits, recompute, depth, heads, runs;
    int32_t max_seq; /* 0: as short as can be */
    int32_t tied;
    int kind; /* of the model */
} need;

static const need needs[] = {
    {"a step", 4, 64, 1, 1, 0, 0, 0, 0, 0, 0, 0, SGTT_KIND_DENSE},
    {"a step without optimizer", 1, 90, 1, 0, 0, 0, 0, 0, 0, 0, 0, SGTT_KIND_DENSE},
    {"a step with logits", 4, 64, 1, 1, 1, 0, 0, 0, 0, 0, 0, SGTT_KIND_DENSE},
    {"a step with recomputation", 4, 64, 1, 1, 0, 1, 0, 0, 0, 0, 0, SGTT_KIND_DENSE},
    {"an evaluation", 4, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, SGTT_KIND_DENSE},
    {"a step with sparse loops", 2, 90, 1, 1, 0, 0, 3, 2, 0, 0, 0, SGTT_KIND_DENSE},
    {"a step with dense loops", 4, 64, 1, 1, 0, 0, 2, 4, 0, 0, 0, SGTT_KIND_DENSE},
    {"a step with block loops", 4, 64, 1, 1, 0, 0, 0, 0, 3, 0, 0, SGTT_KIND_DENSE},
    {"a step with all", 3, 50, 1, 1, 1, 1, 2, 3, 2, 0, 0, SGTT_KIND_DENSE},
    {"an evaluation with loops", 3, 50, 0, 0, 0, 0, 2, 2, 2, 0, 0, SGTT_KIND_DENSE},
    {"a short step", 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, SGTT_KIND_DENSE},
    {"a short evaluation of a model for long texts", 1, 1, 0, 0, 0, 0, 0, 0, 0, 9000, 0,
     SGTT_KIND_DENSE},
    {"a step of a tied model", 2, 64, 1, 1, 0, 0, 1, 2, 0, 0, 1, SGTT_KIND_DENSE},
    {"a step with patterns", 3, 50, 1, 1, 0, 0, 2, 3, 2, 0, 0, SGTT_KIND_PATTERNS},
    {"an evaluation with patterns", 3, 50, 0, 0, 0, 0, 2, 1, 0, 0, 0, SGTT_KIND_PATTERNS},
    {"a step with streams", 3, 50, 1, 1, 0, 0, 2, 3, 2, 0, 0, SGTT_KIND_STREAMS},
    {"a step with streams and logits", 4, 64, 1, 1, 1, 0, 0, 0, 0, 0, 1, SGTT_KIND_STREAMS},
    {"a step with streams and recomputation", 2, 90, 1, 1, 0, 1, 2, 3, 2, 0, 1, SGTT_KIND_STREAMS},
    {"a short step with streams", 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, SGTT_KIND_STREAMS},
    {"an evaluation with streams", 3, 50, 0, 0, 0, 0, 2, 1, 1, 0, 0, SGTT_KIND_STREAMS},
    {"a step with wide streams", 3, 50, 1, 1, 0, 0, 2, 3, 2, 0, 0, SGTT_KIND_WIDE_STREAMS},
    {"a step of a tied model with wide streams", 3, 50, 1, 1, 0, 0, 0, 0, 0, 0, 1,
     SGTT_KIND_WIDE_STREAMS},
    {"a step with wide streams and all", 3, 50, 1, 1, 1, 1, 2, 3, 2, 0, 0,
     SGTT_KIND_WIDE_STREAMS},
    {"a step with units", 3, 50, 1, 1, 0, 0, 2, 3, 2, 0, 0, SGTT_KIND_UNITS},
    {"a short step with units and logits", 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, SGTT_KIND_UNITS},
    {"an evaluation with units", 4, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, SGTT_KIND_UNITS},
    {"a step with units of a ReLU", 2, 90, 1, 1, 0, 1, 2, 3, 2, 0, 0, SGTT_KIND_RELU_UNITS},
    {"an evaluation with units of a ReLU", 3, 50, 0, 0, 0, 0, 2, 1, 1, 0, 0,
     SGTT_KIND_RELU_UNITS},
    {"a step with head modules", 3, 50, 1, 1, 0, 0, 2, 3, 2, 0, 0, SGTT_KIND_HEAD_MODULES},
    {"a step with head modules and logits", 4, 64, 1, 1, 1, 0, 0, 0, 0, 0, 0,
     SGTT_KIND_HEAD_MODULES},
    {"an evaluation with head modules", 3, 50, 0, 0, 0, 0, 2, 2, 2, 0, 0,
     SGTT_KIND_HEAD_MODULES},
    {"an evaluation with wide streams", 4, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, SGTT_KIND_WIDE_STREAMS},
    {"a step with modules", 3, 50, 1, 1, 0, 0, 2, 3, 2, 0, 0, SGTT_KIND_MODULES},
    {"a step with modules and recomputation", 2, 90, 1, 1, 0, 1, 2, 2, 2, 0, 0, SGTT_KIND_MODULES},
    {"a short step with modules", 1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 0, SGTT_KIND_MODULES},
    {"a step with modules and all", 3, 50, 1, 1, 0, 0, 2, 1, 2, 0, 0, SGTT_KIND_MODULES_AND_ALL},
    {"an evaluation with modules", 3, 50, 0, 0, 0, 0, 2, 1, 0, 0, 0, SGTT_KIND_MODULES},
};

#define N_NEEDS (int)(sizeof needs / sizeof needs[0])

static sgt_model_config shape_needed(const need *n)
{
    sgt_model_config config = sgtt_small_config(n->kind, SGTT_SIZE_LARGE);
    config.tied = n->tied;
    if (n->max_seq > 0)
        config.max_seq_len = n->max_seq;
    return config;
}

static void loop_as_needed(sgt_plan *plan, const need *n)
{
    float gains[4];
    for (int h = 0; h < 4; h++)
        gains[h] = h < n->heads ? 1.0f : 0.0f;
    for (int32_t layer = 1; layer < 3; layer++) {
        sgtt_loop(plan, layer, n->depth, gains);
        sgtt_ok(sgt_plan_set_extra_runs(plan, layer, n->runs));
    }
}

/* Does what the estimate was asked for. The first that does not fit ends it. */
static sgt_status satisfy(sgt_context *context, const sgt_model_config *config,
                          const sgt_plan *plan, const need *n)
{
    sgt_model *model = NULL;
    sgt_optimizer *optimizer = NULL;
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_tensor_view view = {.size = sizeof view};
    sgt_batch batch = sgtt_batch(n->batch, n->seq, config->vocab_size, 3, 0);
    const sgt_model_options options = {.size = sizeof options, .recompute = n->recompute};
    sgt_status status = sgt_model_create(&model, context, config, &options);
    if (status == SGT_OK)
        status = sgt_model_init_weights(model, NULL);
    if (status == SGT_OK)
        status = sgt_model_set_plan(model, plan);
    if (status == SGT_OK && n->optimizer)
        status = sgt_optimizer_create(&optimizer, model, NULL);
    if (status == SGT_OK)
        status = !n->training ? sgt_model_evaluate(&metrics, model, &batch, NULL)
                 : n->logits  ? sgt_model_forward_logits(&view, model, &batch)
                              : sgt_model_forward(&metrics, model, &batch);
    if (status == SGT_OK && n->training && !n->logits)
        status = sgt_model_backward(model, 1.0, NULL);
    if (status == SGT_OK && n->optimizer && !n->logits)
        status = sgt_optimizer_step(NULL, optimizer, NULL);
    sgt_optimizer_free(optimizer);
    sgt_model_free(model);
    sgtt_batch_free(&batch);
    return status;
}

static sgt_model_memory estimate_of(const sgt_context *context, const sgt_model_config *config,
                                    const sgt_plan *plan, const need *n)
{
    sgt_model_memory estimate = {.size = sizeof estimate};
    const sgt_model_options model = {.size = sizeof model, .recompute = n->recompute};
    const sgt_model_memory_options options = {.size = sizeof options,
                                              .training = n->training,
                                              .optimizer = n->optimizer,
                                              .logits = n->logits,
                                              .model = &model};
    sgtt_ok(
        sgt_model_estimate_memory(&estimate, context, config, plan, n->batch, n->seq, &options));
    return estimate;
}

START_TEST(the_estimate_is_the_peak)
{
    const need *n = &needs[_i];
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = shape_needed(n);
    sgt_plan *plan;
    sgtt_ok(sgt_plan_create(&plan, context, 3, 4));
    loop_as_needed(plan, n);
    sgt_context_memory before = sgtt_memory(context);
    sgt_model_memory e = estimate_of(context, &config, plan, n);
    ck_assert_uint_eq(sgtt_memory(context).allocations, before.allocations);
    ck_assert_uint_eq(e.context, before.current);
    ck_assert_uint_eq(e.total, e.context + e.parameters + e.gradients + e.moments +
                                   e.activations + e.other);
    sgtt_ok(satisfy(context, &config, plan, n));
    sgt_context_memory after = sgtt_memory(context);
    ck_assert_uint_eq(after.current, before.current);
    ck_assert_msg(e.total == after.peak, "%s: estimated %llu bytes, taken %llu", n->name,
                  (unsigned long long)e.total, (unsigned long long)after.peak);
    sgt_plan_free(plan);
    sgt_context_free(context);
}
END_TEST

/* An evaluation beside training takes what an estimate of it calls activations; _i 1: with
 * streams. */
START_TEST(evaluations_beside_training_take_their_activations)
{
    sgt_context *context = sgtt_model_context();
    need step = needs[0], evaluation;
    step.kind = _i ? SGTT_KIND_STREAMS : SGTT_KIND_DENSE;
    evaluation = step;
    sgt_model_config config = shape_needed(&step);
    evaluation.training = 0;
    uint64_t expected = estimate_of(context, &config, NULL, &step).total +
                        estimate_of(context, &config, NULL, &evaluation).activations;
    sgt_batch batch = sgtt_batch(step.batch, step.seq, config.vocab_size, 3, 0);
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    sgtt_ok(sgt_optimizer_create(&optimizer, model, NULL));
    sgtt_step(model, &batch);
    sgtt_ok(sgt_model_evaluate(&metrics, model, &batch, NULL));
    ck_assert_uint_eq(sgtt_memory(context).peak, expected);
    sgtt_batch_free(&batch);
    sgt_optimizer_free(optimizer);
    sgt_model_free(model);
    sgt_context_free(context);
}
END_TEST

/* No loops: a plan is not needed, nor is memory. */
START_TEST(an_estimate_takes_nothing)
{
    sgt_context *context = sgtt_model_context();
    sgt_model_config config = sgtt_small_config(SGTT_KIND_DENSE, SGTT_SIZE_LARGE);
    sgt_context_memory before = sgtt_memory(context);
    sgt_plan *empty;
    sgt_model_memory without = estimate_of(context, &config, NULL, &needs[0]);
    sgt_context_memory after = sgtt_memory(context);
    ck_assert_uint_eq(after.allocations, before.allocations);
    ck_assert_uint_eq(after.peak, before.peak);
    sgtt_ok(sgt_plan_create(&empty, context, 3, 4));
    sgt_model_memory with = estimate_of(context, &config, empty, &needs[0]);
    ck_assert_uint_eq(with.total - with.context, without.total - without.context);
    sgt_plan_free(empty);
    sgt_context_free(context);
}
END_TEST

/* What was estimated is enough and one byte less is not. */
START_TEST(a_limit_is_kept_to_the_byte)
{
    const need *n = &needs[_i];
    sgt_model_config config = shape_needed(n);
    uint64_t total = 0;
    for (int round = 0; round < 3; round++) {
        sgt_context *context = sgtt_limited_context(round == 0 ? 0 : total - (uint64_t)(round - 1));
        sgt_plan *plan;
        sgtt_ok(sgt_plan_create(&plan, context, 3, 4));
        loop_as_needed(plan, n);
        uint64_t before = sgtt_memory(context).current;
        if (round == 0)
            total = estimate_of(context, &config, plan, n).total;
        else if (round == 1)
            sgtt_ok(satisfy(context, &config, plan, n));
        else
            sgtt_fails(satisfy(context, &config, plan, n), SGT_E_MEMORY_LIMIT, "bytes");
        ck_assert_uint_eq(sgtt_memory(context).current, before);
        sgt_plan_free(plan);
        sgt_context_free(context);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory estimates");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, the_estimate_is_the_peak, 0, N_NEEDS);
    tcase_add_loop_test(cases, evaluations_beside_training_take_their_activations, 0, 2);
    tcase_add_test(cases, an_estimate_takes_nothing);
    tcase_add_loop_test(cases, a_limit_is_kept_to_the_byte, 0, N_NEEDS);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
