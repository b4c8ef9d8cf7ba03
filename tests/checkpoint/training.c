/* SPDX-License-Identifier: BSD-3-Clause */
#include "training.h"

#include "fixtures.h"
#include "scratch.h"

sgt_model_config training_config(int kind)
{
    sgt_model_config config = sgtt_small_config(kind, SGTT_SIZE_ODD);
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

sgt_growth_policy *training_policy(sgt_context *context, int kind)
{
    static const int32_t groups[] = {0, 1};
    sgt_growth_sparse_options rule = sgtt_small_rule(3, 4);
    sgt_growth_policy *policy = NULL;
    rule.groups = groups; /* one for each kind of block */
    rule.n_groups = sgtt_small_kinds[kind].n_blocks;
    sgtt_ok(sgt_growth_policy_sparse(&policy, context, 3, sgtt_small_kinds[kind].n_heads, &rule));
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

small_training training_in(sgt_context *context, int kind, uint64_t seed)
{
    small_training t = {.context = context};
    const sgt_optimizer_options options = training_optimizer();
    const sgt_model_options model = sgtt_small_options(kind);
    const sgtt_small_recipe recipe = {
        .config = training_config(kind), .options = &model, .optimizer = &options};
    t.policy = training_policy(t.context, kind);
    sgtt_ok(sgtt_small_make(&t, &recipe));
    sgtt_ok(sgtt_small_loop(t.model, kind));
    sgtt_randomize(t.model, seed);
    sgtt_ok(sgt_optimizer_set_factors(t.optimizer, 1, 0.7, 0.3));
    return t;
}

small_training training_start_kind(int kind, int32_t threads, uint64_t seed)
{
    return training_in(training_context(threads), kind, seed);
}

small_training training_start(int32_t threads, uint64_t seed)
{
    return training_start_kind(SGTT_KIND_DENSE, threads, seed);
}

void training_accumulate(small_training *t, int step)
{
    for (int i = 0; i < 2; i++) {
        sgt_batch batch = sgtt_batch(2, 7 - 2 * i, 19, (uint64_t)(2 * step + i), 9);
        sgtt_step(t->model, &batch);
        sgtt_batch_free(&batch);
    }
}

void training_update(small_training *t)
{
    sgtt_ok(sgt_optimizer_step(NULL, t->optimizer, NULL));
}

void training_grow(small_training *t, int step)
{
    sgt_growth_input input = {.size = sizeof input, .step = step, .loss = 1.0, .grad_norm = 1.0};
    sgtt_ok(sgt_growth_step(NULL, t->growth, &input));
}

void training_run(small_training *t, int first, int last)
{
    for (int step = first; step <= last; step++) {
        training_accumulate(t, step);
        training_update(t);
        training_grow(t, step);
    }
}

sgt_status training_save(const small_training *t, const char *path)
{
    static const char *const keys[] = {"place"}, *const values[] = {"file 3, byte 17 \xc3\xa9"};
    return sgtt_small_save(t, path, keys, values, 1);
}

void training_compare(const small_training *a, const small_training *b)
{
    char x[SCRATCH_PATH], y[SCRATCH_PATH];
    scratch_path(x, "compare-a");
    scratch_path(y, "compare-b");
    sgtt_ok(training_save(a, x));
    sgtt_ok(training_save(b, y));
    ck_assert_msg(scratch_equal(x, y), "the trainings differ");
    for (int32_t i = 0; i < sgt_model_n_parameters(a->model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        float p[4096], q[4096];
        sgtt_ok(sgt_model_parameter(&view, a->model, i, SGT_PART_WEIGHT));
        ck_assert_uint_le(view.count, 4096);
        sgtt_ok(sgt_model_read_parameter(p, view.count, a->model, i, SGT_PART_WEIGHT));
        sgtt_ok(sgt_model_read_parameter(q, view.count, b->model, i, SGT_PART_WEIGHT));
        ck_assert_mem_eq(p, q, view.count * sizeof *p);
        for (int32_t m = SGT_MOMENT_FIRST; m <= SGT_MOMENT_SECOND; m++) {
            sgtt_ok(sgt_optimizer_read_moment(p, view.count, a->optimizer, i, m));
            sgtt_ok(sgt_optimizer_read_moment(q, view.count, b->optimizer, i, m));
            ck_assert_mem_eq(p, q, view.count * sizeof *p);
        }
    }
    ck_assert_int_eq(sgt_plan_equal(sgt_model_plan(a->model), sgt_model_plan(b->model)), 1);
}
