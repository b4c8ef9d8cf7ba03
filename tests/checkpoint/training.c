/* SPDX-License-Identifier: BSD-3-Clause */
#include "training.h"

#include "fixtures.h"
#include "scratch.h"

sgt_model_config training_config(void)
{
    sgt_model_config config = sgtt_config();
    config.rope_theta = 12345.678; /* no short decimal */
    return config;
}

sgt_optimizer_options training_optimizer(void)
{
    sgt_optimizer_options options;
    sgtt_ok(sgt_optimizer_options_init(&options, sizeof options));
    options.schedule = SGT_SCHEDULE_COSINE;
    options.lr = 1.1e-2;
    options.warmup_steps = 3;
    options.total_steps = TRAINING_STEPS;
    return options;
}

sgt_growth_policy *training_policy(sgt_context *context)
{
    sgt_growth_policy *policy = NULL;
    sgt_growth_sgt_options options;
    sgtt_ok(sgt_growth_sgt_options_init(&options, sizeof options));
    options.first_step = 3;
    options.window = 4;
    options.top_k_layers = 2;
    options.max_layers = 2;
    options.max_depth = 2;
    options.fade = SGT_FADE_COSINE;
    sgtt_ok(sgt_growth_policy_sgt(&policy, context, 3, 4, &options));
    return policy;
}

sgt_context *training_context(int32_t threads)
{
    sgt_context *context = NULL;
    sgt_context_options options = sgtt_model_options();
    options.threads = threads;
    sgtt_ok(sgt_context_create(&context, &options));
    return context;
}

training training_start(int32_t threads, uint64_t seed)
{
    training t = {.context = training_context(threads)};
    sgt_model_config config = training_config();
    sgt_optimizer_options options = training_optimizer();
    t.model = sgtt_model(t.context, &config, seed);
    sgtt_ok(sgt_optimizer_create(&t.optimizer, t.model, &options));
    sgtt_ok(sgt_optimizer_set_factors(t.optimizer, 1, 0.7, 0.3));
    t.policy = training_policy(t.context);
    sgtt_ok(sgt_growth_create(&t.growth, t.model, t.policy, NULL));
    return t;
}

void training_free(training *t)
{
    sgt_growth_free(t->growth);
    sgt_growth_policy_free(t->policy);
    sgt_optimizer_free(t->optimizer);
    sgt_model_free(t->model);
    sgt_context_free(t->context);
}

void training_accumulate(training *t, int step)
{
    for (int i = 0; i < 2; i++) {
        sgt_batch batch = sgtt_batch(2, 7 - 2 * i, 19, (uint64_t)(2 * step + i), 9);
        sgtt_step(t->model, &batch);
        sgtt_batch_free(&batch);
    }
}

void training_update(training *t)
{
    sgtt_ok(sgt_optimizer_step(NULL, t->optimizer));
}

void training_grow(training *t, int step)
{
    sgt_growth_input input = {.size = sizeof input, .step = step, .loss = 1.0, .grad_norm = 1.0};
    sgtt_ok(sgt_growth_step(NULL, t->growth, &input));
}

void training_run(training *t, int first, int last)
{
    for (int step = first; step <= last; step++) {
        training_accumulate(t, step);
        training_update(t);
        training_grow(t, step);
    }
}

sgt_status training_save(const training *t, const char *path)
{
    static const char *const keys[] = {"place"}, *const values[] = {"file 3, byte 17 \xc3\xa9"};
    sgt_checkpoint_save_options options;
    sgtt_ok(sgt_checkpoint_save_options_init(&options, sizeof options));
    options.optimizer = t->optimizer;
    options.growth = t->growth;
    options.keys = keys;
    options.values = values;
    options.n_values = 1;
    return sgt_checkpoint_save(path, t->model, &options);
}

void training_compare(const training *a, const training *b)
{
    char x[SCRATCH_PATH], y[SCRATCH_PATH];
    scratch_path(x, "compare-a");
    scratch_path(y, "compare-b");
    sgtt_ok(training_save(a, x));
    sgtt_ok(training_save(b, y));
    ck_assert_msg(scratch_equal(x, y), "the trainings differ");
    for (int32_t i = 0; i < sgt_model_parameter_count(a->model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        float p[4096], q[4096];
        sgtt_ok(sgt_model_parameter(&view, a->model, i, SGT_WEIGHT));
        ck_assert_uint_le(view.count, 4096);
        sgtt_ok(sgt_model_read_parameter(p, view.count, a->model, i, SGT_WEIGHT));
        sgtt_ok(sgt_model_read_parameter(q, view.count, b->model, i, SGT_WEIGHT));
        ck_assert_mem_eq(p, q, view.count * sizeof *p);
        for (int32_t m = SGT_MOMENT_FIRST; m <= SGT_MOMENT_SECOND; m++) {
            sgtt_ok(sgt_optimizer_read_moment(p, view.count, a->optimizer, i, m));
            sgtt_ok(sgt_optimizer_read_moment(q, view.count, b->optimizer, i, m));
            ck_assert_mem_eq(p, q, view.count * sizeof *p);
        }
    }
    ck_assert_int_eq(sgt_plan_equal(sgt_model_plan(a->model), sgt_model_plan(b->model)), 1);
}
