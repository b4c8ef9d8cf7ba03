/* SPDX-License-Identifier: BSD-3-Clause */
/* Structs of older and newer callers in the calls of context.h, backend.h, model.h, optimizer.h
 * and flops.h. */
#include <stdlib.h>

#include <sgt/backend.h>
#include <sgt/flops.h>
#include <sgt/optimizer.h>

#include "fixtures.h"
#include "struct_versions.h"

static sgt_context *context;
static sgt_model *model;
static sgt_optimizer *optimizer;
static sgt_batch batch;
static double loss;

static sgt_context_options a_context;
static sgt_model_config a_config;
static const sgt_block_config a_block = {.size = sizeof a_block};
static const sgt_model_options a_model = {.size = sizeof a_model, .recompute = 1};
static const sgt_model_backward_options a_backward = {.size = sizeof a_backward};
static const sgt_optimizer_step_options a_step = {.size = sizeof a_step, .scale = 0.5};
static sgt_model_init_options an_init;
static sgt_model_evaluate_options an_evaluate;
static sgt_model_memory_options a_memory;
static sgt_optimizer_options an_optimizer;
static sgt_flops_options a_flops;

static void setup(void)
{
    sgt_model_config config = sgtt_config();
    context = sgtt_model_context();
    model = sgtt_model(context, &config, 1);
    sgtt_ok(sgt_optimizer_create(&optimizer, model, NULL));
    batch = sgtt_batch(2, 5, config.vocab_size, 2, 0);
    loss = sgtt_step(model, &batch).loss_sum;

    a_context = sgtt_model_options();
    a_config = sgtt_config();
    sgtt_ok(sgt_model_init_options_init(&an_init, sizeof an_init));
    sgtt_ok(sgt_model_evaluate_options_init(&an_evaluate, sizeof an_evaluate));
    sgtt_ok(sgt_model_memory_options_init(&a_memory, sizeof a_memory));
    sgtt_ok(sgt_optimizer_options_init(&an_optimizer, sizeof an_optimizer));
    an_optimizer.lr = 0.25;
    sgtt_ok(sgt_flops_options_init(&a_flops, sizeof a_flops));
    a_flops.seq = 7;
}

static void teardown(void)
{
    sgtt_batch_free(&batch);
    sgt_optimizer_free(optimizer);
    sgt_model_free(model);
    sgt_context_free(context);
}

/* ---- structs that a call reads ---- */

static sgt_status with_context_options(void *input)
{
    sgt_context *made = NULL;
    sgt_status status = sgt_context_create(&made, input);
    sgt_context_free(made);
    return status;
}

/* The allocator is a struct inside of the options. */
static int allocations;

static void *counted_allocate(void *user, size_t alignment, size_t bytes)
{
    (void)user;
    allocations++;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void counted_release(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

static const sgt_allocator an_allocator = {.size = sizeof an_allocator,
                                           .allocate = counted_allocate,
                                           .release = counted_release};

static sgt_status with_allocator(void *input)
{
    sgt_context_options options = a_context;
    options.allocator = input;
    allocations = 0;
    sgt_status status = with_context_options(&options);
    ck_assert_int_eq(allocations > 0, status == SGT_OK);
    return status;
}

static sgt_status with_config(void *input)
{
    sgt_model *made;
    sgt_status status = sgt_model_create(&made, context, input, NULL);
    if (status)
        return status;
    sgt_model_config resolved = {.size = sizeof resolved};
    sgtt_ok(sgt_model_get_config(&resolved, made));
    ck_assert_int_eq(resolved.d_ff, a_config.d_ff);
    sgt_model_free(made);
    return SGT_OK;
}

/* The configuration with a list of one block. */
static sgt_model_config config_of(const void *block)
{
    sgt_model_config config = a_config;
    config.n_blocks = 1;
    config.blocks = block;
    return config;
}

static sgt_status with_block(void *input)
{
    sgt_model_config config = config_of(input);
    return with_config(&config);
}

/* A block with a list of one pattern. */
static sgt_block_config block_of(const void *pattern)
{
    return (sgt_block_config){
        .size = sizeof(sgt_block_config), .n_patterns = 1, .patterns = pattern};
}

static sgt_status with_pattern_of_block(void *input)
{
    sgt_block_config block = block_of(input);
    return with_block(&block);
}

static sgt_status with_model_options(void *input)
{
    sgt_model *made;
    sgt_status status = sgt_model_create(&made, context, &a_config, input);
    if (status)
        return status;
    sgt_model_options kept = {.size = sizeof kept};
    sgtt_ok(sgt_model_get_options(&kept, made));
    ck_assert_int_eq(kept.recompute, 1);
    sgt_model_free(made);
    return SGT_OK;
}

static sgt_status with_backward_options(void *input)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_model_forward(&metrics, model, &batch));
    return sgt_model_backward(model, 1.0, input);
}

static sgt_status with_backward_options_for_logits(void *input)
{
    sgt_tensor_view view = {.size = sizeof view};
    sgtt_ok(sgt_model_forward_logits(&view, model, &batch));
    float *dlogits = calloc(view.count, sizeof *dlogits);
    sgt_status status = sgt_model_backward_logits(model, dlogits, input);
    free(dlogits);
    return status;
}

/* Half the gradient has half the norm. */
static sgt_status with_step_options(void *input)
{
    sgt_optimizer *own;
    sgt_step_report whole = {.size = sizeof whole}, half = {.size = sizeof half};
    sgt_model *other = sgtt_model(context, &a_config, 1);
    sgtt_ok(sgt_optimizer_create(&own, other, NULL));
    sgtt_ok(sgt_optimizer_set_lr(own, 0.0));
    sgtt_step(other, &batch);
    sgtt_ok(sgt_optimizer_step(&whole, own, NULL));
    sgtt_step(other, &batch);
    sgt_status status = sgt_optimizer_step(&half, own, input);
    if (status == SGT_OK)
        ck_assert_double_eq(half.grad_norm, 0.5 * whole.grad_norm);
    sgt_optimizer_free(own);
    sgt_model_free(other);
    return status;
}

static const sgt_special_tokens the_tokens = {
    .size = sizeof the_tokens, .has_bos = 1, .bos = 3, .n_eos = 2, .eos = {5, 7}};

static sgt_status with_tokens(void *input)
{
    sgt_special_tokens got = {.size = sizeof got};
    sgt_status status = sgt_model_set_special_tokens(model, input);
    sgtt_ok(sgt_model_get_special_tokens(&got, model));
    ck_assert_int_eq(got.n_eos, status == SGT_OK ? 2 : 0);
    ck_assert_int_eq(got.eos[1], status == SGT_OK ? 7 : 0);
    sgtt_ok(sgt_model_set_special_tokens(model, NULL));
    return status;
}

static sgt_status with_init_options(void *input)
{
    sgt_model *other;
    sgtt_ok(sgt_model_create(&other, context, &a_config, NULL));
    sgt_status status = sgt_model_init_weights(other, input);
    sgt_model_free(other);
    return status;
}

static sgt_status with_batch(void *input)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_status status = sgt_model_forward(&metrics, model, input);
    if (status == SGT_OK)
        ck_assert_double_eq(metrics.loss_sum, loss);
    return status;
}

static sgt_status with_batch_for_logits(void *input)
{
    sgt_tensor_view view = {.size = sizeof view};
    sgt_status status = sgt_model_forward_logits(&view, model, input);
    if (status == SGT_OK)
        ck_assert_int_eq(view.shape[1], batch.seq);
    return status;
}

static sgt_status with_evaluated_batch(void *input)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    return sgt_model_evaluate(&metrics, model, input, NULL);
}

static sgt_status with_evaluate_options(void *input)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    return sgt_model_evaluate(&metrics, model, &batch, input);
}

static sgt_status with_memory_options(void *input)
{
    sgt_model_memory estimate = {.size = sizeof estimate};
    return sgt_model_estimate_memory(&estimate, context, &a_config, NULL, 2, 5, input);
}

static sgt_status with_estimated_options(void *input)
{
    sgt_model_memory estimate = {.size = sizeof estimate};
    sgt_model_memory_options options = a_memory;
    options.model = input;
    return sgt_model_estimate_memory(&estimate, context, &a_config, NULL, 2, 5, &options);
}

static sgt_status with_estimated_config(void *input)
{
    sgt_model_memory estimate = {.size = sizeof estimate};
    return sgt_model_estimate_memory(&estimate, context, input, NULL, 2, 5, &a_memory);
}

static sgt_status with_optimizer_options(void *input)
{
    sgt_optimizer *made;
    sgt_status status = sgt_optimizer_create(&made, model, input);
    if (status)
        return status;
    double rate;
    sgtt_ok(sgt_optimizer_get_scheduled_rate(&rate, made, 1));
    ck_assert_double_eq(rate, 0.25);
    sgt_optimizer_free(made);
    return SGT_OK;
}

static sgt_status with_flops_options(void *input)
{
    sgt_flops flops = {.size = sizeof flops};
    return sgt_flops_count(&flops, &a_config, NULL, input);
}

static sgt_status with_counted_config(void *input)
{
    sgt_flops flops = {.size = sizeof flops};
    return sgt_flops_count(&flops, input, NULL, &a_flops);
}

static const sgt_attention_pattern a_pattern = {
    .size = sizeof a_pattern, .sets = SGT_KEYS_LOCAL, .stride = 3};

static sgt_status with_pattern(void *input)
{
    uint64_t pairs = 0;
    sgt_status status = sgt_attention_pattern_count_pairs(&pairs, input, 4);
    ck_assert_uint_eq(pairs, status == SGT_OK ? 9 : 0);
    return status;
}

static sgt_status with_estimated_block(void *input)
{
    sgt_model_config config = config_of(input);
    return with_estimated_config(&config);
}

static sgt_status with_counted_block(void *input)
{
    sgt_model_config config = config_of(input);
    return with_counted_config(&config);
}

static sgt_status with_estimated_pattern(void *input)
{
    sgt_block_config block = block_of(input);
    return with_estimated_block(&block);
}

static sgt_status with_counted_pattern(void *input)
{
    sgt_block_config block = block_of(input);
    return with_counted_block(&block);
}

static const struct_input inputs[] = {
    INPUT(sgt_attention_pattern_count_pairs, sgt_attention_pattern, with_pattern, &a_pattern),
    INPUT(sgt_context_create, sgt_context_options, with_context_options, &a_context),
    INPUT(sgt_context_create, sgt_allocator, with_allocator, &an_allocator),
    INPUT(sgt_model_create, sgt_model_config, with_config, &a_config),
    INPUT(sgt_model_create, sgt_block_config, with_block, &a_block),
    INPUT(sgt_model_create, sgt_attention_pattern, with_pattern_of_block, &a_pattern),
    INPUT(sgt_model_create, sgt_model_options, with_model_options, &a_model),
    INPUT(sgt_model_backward, sgt_model_backward_options, with_backward_options, &a_backward),
    INPUT(sgt_model_backward_logits, sgt_model_backward_options, with_backward_options_for_logits,
          &a_backward),
    INPUT(sgt_optimizer_step, sgt_optimizer_step_options, with_step_options, &a_step),
    INPUT(sgt_model_set_special_tokens, sgt_special_tokens, with_tokens, &the_tokens),
    INPUT(sgt_model_init_weights, sgt_model_init_options, with_init_options, &an_init),
    INPUT(sgt_model_forward, sgt_batch, with_batch, &batch),
    INPUT(sgt_model_forward_logits, sgt_batch, with_batch_for_logits, &batch),
    INPUT(sgt_model_evaluate, sgt_batch, with_evaluated_batch, &batch),
    INPUT(sgt_model_evaluate, sgt_model_evaluate_options, with_evaluate_options, &an_evaluate),
    INPUT(sgt_model_estimate_memory, sgt_model_memory_options, with_memory_options, &a_memory),
    INPUT(sgt_model_estimate_memory, sgt_model_config, with_estimated_config, &a_config),
    INPUT(sgt_model_estimate_memory, sgt_block_config, with_estimated_block, &a_block),
    INPUT(sgt_model_estimate_memory, sgt_attention_pattern, with_estimated_pattern, &a_pattern),
    INPUT(sgt_model_estimate_memory, sgt_model_options, with_estimated_options, &a_model),
    INPUT(sgt_optimizer_create, sgt_optimizer_options, with_optimizer_options, &an_optimizer),
    INPUT(sgt_flops_count, sgt_flops_options, with_flops_options, &a_flops),
    INPUT(sgt_flops_count, sgt_model_config, with_counted_config, &a_config),
    INPUT(sgt_flops_count, sgt_block_config, with_counted_block, &a_block),
    INPUT(sgt_flops_count, sgt_attention_pattern, with_counted_pattern, &a_pattern),
};

/* ---- structs that a call fills ---- */

static sgt_status fill_usage(void *output)
{
    return sgt_context_get_memory(output, context);
}

static sgt_status fill_report(void *output)
{
    return sgt_context_get_backend(output, context);
}

static sgt_status fill_metrics(void *output)
{
    return sgt_model_forward(output, model, &batch);
}

static sgt_status fill_evaluated(void *output)
{
    return sgt_model_evaluate(output, model, &batch, NULL);
}

static sgt_status fill_config(void *output)
{
    return sgt_model_get_config(output, model);
}

static sgt_status fill_options(void *output)
{
    return sgt_model_get_options(output, model);
}

static sgt_status fill_tokens(void *output)
{
    return sgt_model_get_special_tokens(output, model);
}

static sgt_status fill_view(void *output)
{
    return sgt_model_parameter(output, model, 0, SGT_PART_WEIGHT);
}

static sgt_status fill_logits(void *output)
{
    return sgt_model_forward_logits(output, model, &batch);
}

static sgt_status fill_estimate(void *output)
{
    return sgt_model_estimate_memory(output, context, &a_config, NULL, 2, 5, &a_memory);
}

static sgt_status fill_moment(void *output)
{
    return sgt_optimizer_moment(output, optimizer, 0, SGT_MOMENT_SECOND);
}

/* A step that is refused for its report must not have been taken. */
static sgt_status fill_step(void *output)
{
    int64_t before = sgt_optimizer_steps(optimizer);
    sgtt_step(model, &batch);
    sgt_status status = sgt_optimizer_step(output, optimizer, NULL);
    ck_assert_int_eq(sgt_optimizer_steps(optimizer), before + (status == SGT_OK));
    sgtt_ok(sgt_model_zero_gradients(model));
    return status;
}

static sgt_status fill_total(void *output)
{
    return sgt_model_get_flops(output, model);
}

static sgt_status fill_flops(void *output)
{
    return sgt_flops_count(output, &a_config, NULL, &a_flops);
}

static sgt_status fill_pattern(void *output)
{
    return sgt_attention_pattern_parse(output, "local:3");
}

static const struct_output outputs[] = {
    OUTPUT(sgt_attention_pattern_parse, sgt_attention_pattern, fill_pattern, 1),
    OUTPUT(sgt_context_get_memory, sgt_context_memory, fill_usage, 1),
    OUTPUT(sgt_context_get_backend, sgt_backend_info, fill_report, 1),
    OUTPUT(sgt_model_forward, sgt_metrics, fill_metrics, 1),
    OUTPUT(sgt_model_evaluate, sgt_metrics, fill_evaluated, 1),
    OUTPUT(sgt_model_get_config, sgt_model_config, fill_config, 1),
    OUTPUT(sgt_model_get_options, sgt_model_options, fill_options, 1),
    OUTPUT(sgt_model_get_special_tokens, sgt_special_tokens, fill_tokens, 1),
    OUTPUT(sgt_model_parameter, sgt_tensor_view, fill_view, 1),
    OUTPUT(sgt_model_forward_logits, sgt_tensor_view, fill_logits, 1),
    OUTPUT(sgt_model_estimate_memory, sgt_model_memory, fill_estimate, 1),
    OUTPUT(sgt_optimizer_moment, sgt_tensor_view, fill_moment, 1),
    OUTPUT(sgt_optimizer_step, sgt_step_report, fill_step, 0),
    OUTPUT(sgt_model_get_flops, sgt_flops_total, fill_total, 1),
    OUTPUT(sgt_flops_count, sgt_flops, fill_flops, 1),
};

/* ---- the functions that fill in defaults ---- */

INIT_CALL(sgt_context_options_init, sgt_context_options)
INIT_CALL(sgt_block_config_init, sgt_block_config)
INIT_CALL(sgt_model_config_init, sgt_model_config)
INIT_CALL(sgt_model_options_init, sgt_model_options)
INIT_CALL(sgt_model_backward_options_init, sgt_model_backward_options)
INIT_CALL(sgt_optimizer_step_options_init, sgt_optimizer_step_options)
INIT_CALL(sgt_model_init_options_init, sgt_model_init_options)
INIT_CALL(sgt_model_evaluate_options_init, sgt_model_evaluate_options)
INIT_CALL(sgt_model_memory_options_init, sgt_model_memory_options)
INIT_CALL(sgt_optimizer_options_init, sgt_optimizer_options)
INIT_CALL(sgt_flops_options_init, sgt_flops_options)

static const struct_init inits[] = {
    INIT(sgt_context_options_init, sgt_context_options),
    INIT(sgt_block_config_init, sgt_block_config),
    INIT(sgt_model_config_init, sgt_model_config),
    INIT(sgt_model_options_init, sgt_model_options),
    INIT(sgt_model_backward_options_init, sgt_model_backward_options),
    INIT(sgt_optimizer_step_options_init, sgt_optimizer_step_options),
    INIT(sgt_model_init_options_init, sgt_model_init_options),
    INIT(sgt_model_evaluate_options_init, sgt_model_evaluate_options),
    INIT(sgt_model_memory_options_init, sgt_model_memory_options),
    INIT(sgt_optimizer_options_init, sgt_optimizer_options),
    INIT(sgt_flops_options_init, sgt_flops_options),
};

int main(void)
{
    Suite *suite =
        struct_suite("structs of other versions: model", STRUCT_TABLES, setup, teardown);
    return sgtt_run(suite);
}
