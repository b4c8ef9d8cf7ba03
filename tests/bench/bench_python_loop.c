/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The C side of bench_python.py: a training of its own, step by step, as in examples/minimal.c.
 * A module that Python loads, so that both loops run in one process, in turn.
 */
#include <stdlib.h>

#include <sgt/sgt.h>

typedef struct bench_loop {
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth_policy *policy;
    sgt_growth *growth;
} bench_loop;

typedef struct bench_shape {
    int32_t vocab_size;
    int32_t d_model;
    int32_t n_layers;
    int32_t n_heads;
    int32_t d_ff;
    int32_t seq;
    int32_t threads;
    int32_t first_step; /* of growth; windows are as long */
} bench_shape;

sgt_status bench_loop_open(bench_loop **loop, const bench_shape *shape);
sgt_status bench_loop_step(double *loss, bench_loop *loop, const int32_t *tokens,
                           const int32_t *targets, int32_t batch, int32_t seq, int64_t step);
void bench_loop_close(bench_loop *loop);

static sgt_status open_model(bench_loop *loop, const bench_shape *shape)
{
    sgt_context_options options;
    sgt_model_config config;
    sgt_context_options_init(&options, sizeof options);
    sgt_model_config_init(&config, sizeof config);
    options.threads = shape->threads;
    config.vocab_size = shape->vocab_size;
    config.d_model = shape->d_model;
    config.n_layers = shape->n_layers;
    config.n_heads = shape->n_heads;
    config.d_ff = shape->d_ff;
    config.max_seq_len = shape->seq;
    sgt_status status = sgt_context_create(&loop->context, &options);
    if (status == SGT_OK)
        status = sgt_model_create(&loop->model, loop->context, &config, NULL);
    if (status == SGT_OK)
        status = sgt_model_init_weights(loop->model, NULL);
    return status;
}

static sgt_status open_growth(bench_loop *loop, const bench_shape *shape)
{
    sgt_growth_sparse_options rule;
    sgt_growth_sparse_options_init(&rule, sizeof rule);
    rule.first_step = rule.window = shape->first_step;
    sgt_status status = sgt_growth_policy_sparse(&loop->policy, loop->context, shape->n_layers,
                                                 shape->n_heads, &rule);
    if (status == SGT_OK)
        status = sgt_growth_create(&loop->growth, loop->model, loop->policy, NULL);
    return status;
}

sgt_status bench_loop_open(bench_loop **loop, const bench_shape *shape)
{
    bench_loop *made = calloc(1, sizeof *made);
    if (!made)
        return SGT_E_OUT_OF_MEMORY;
    sgt_status status = open_model(made, shape);
    if (status == SGT_OK)
        status = sgt_optimizer_create(&made->optimizer, made->model, NULL);
    if (status == SGT_OK)
        status = open_growth(made, shape);
    if (status == SGT_OK)
        *loop = made;
    else
        bench_loop_close(made);
    return status;
}

sgt_status bench_loop_step(double *loss, bench_loop *loop, const int32_t *tokens,
                           const int32_t *targets, int32_t batch, int32_t seq, int64_t step)
{
    sgt_batch data = {
        .size = sizeof data, .batch = batch, .seq = seq, .tokens = tokens, .targets = targets};
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_step_report report = {.size = sizeof report};
    sgt_growth_event event = {.size = sizeof event};
    sgt_status status = sgt_model_forward(&metrics, loop->model, &data);
    if (status == SGT_OK)
        status = sgt_model_backward(loop->model, 1.0 / (double)metrics.count, NULL);
    if (status == SGT_OK)
        status = sgt_optimizer_step(&report, loop->optimizer, NULL);
    sgt_growth_input input = {sizeof input, report.skipped, step, metrics.loss, report.grad_norm};
    if (status == SGT_OK)
        status = sgt_growth_step(&event, loop->growth, &input);
    *loss = metrics.loss;
    return status;
}

void bench_loop_close(bench_loop *loop)
{
    sgt_growth_free(loop->growth);
    sgt_growth_policy_free(loop->policy);
    sgt_optimizer_free(loop->optimizer);
    sgt_model_free(loop->model);
    sgt_context_free(loop->context);
    free(loop);
}
