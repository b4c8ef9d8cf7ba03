/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Structs of callers that were compiled against another version: a shorter one than ever existed
 * is refused, a longer one works as long as the unknown part is zero, and no byte behind `size`
 * is read or written.
 */
#include <stdlib.h>
#include <string.h>

#include <sgt/flops.h>

#include "fixtures.h"

#define NEWER 24 /* bytes of fields this version does not know */
#define GUARD 16
#define ROOM  (4096 + NEWER + GUARD)

static sgt_context *context;
static sgt_model *model;
static sgt_batch batch;
static double loss;

static void setup(void)
{
    sgt_model_config config = sgtt_config();
    context = sgtt_model_context();
    model = sgtt_model(context, &config, 1);
    batch = sgtt_batch(2, 5, config.vocab_size, 2, 0);
    loss = sgtt_step(model, &batch).loss_sum;
}

static void teardown(void)
{
    ck_assert_double_eq(sgtt_step(model, &batch).loss_sum, loss);
    sgtt_batch_free(&batch);
    sgt_model_free(model);
    sgt_context_free(context);
}

/* ---- structs that a call reads ---- */

static sgt_status with_config(const void *input)
{
    sgt_model *made;
    sgt_status status = sgt_model_create(&made, context, input);
    if (status)
        return status;
    sgt_model_config resolved = {.size = sizeof resolved};
    sgtt_ok(sgt_model_get_config(&resolved, made));
    ck_assert_int_eq(resolved.d_ff, 27);
    ck_assert_int_eq(resolved.recompute, 1);
    sgt_model_free(made);
    return SGT_OK;
}

static sgt_status with_init_options(const void *input)
{
    sgt_model *other;
    sgt_model_config config = sgtt_config();
    sgtt_ok(sgt_model_create(&other, context, &config));
    sgt_status status = sgt_model_init_weights(other, input);
    sgt_model_free(other);
    return status;
}

static sgt_status with_batch(const void *input)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_status status = sgt_model_forward(&metrics, model, input);
    if (status == SGT_OK)
        ck_assert_double_eq(metrics.loss_sum, loss);
    return status;
}

static sgt_status with_evaluate_options(const void *input)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    return sgt_model_evaluate(&metrics, model, &batch, input);
}

static sgt_status with_memory_options(const void *input)
{
    sgt_memory_estimate estimate = {.size = sizeof estimate};
    sgt_model_config config = sgtt_config();
    return sgt_model_estimate_memory(&estimate, context, &config, NULL, input);
}

static sgt_model_config a_config;
static sgt_init_options an_init;
static sgt_evaluate_options an_evaluate;
static sgt_memory_options a_memory;

static const struct {
    const char *name;
    sgt_status (*call)(const void *input);
    const void *right;
    size_t size;
    size_t first; /* size of the struct in its first version */
} inputs[] = {
    {"sgt_model_config", with_config, &a_config, sizeof a_config, sizeof a_config},
    {"sgt_init_options", with_init_options, &an_init, sizeof an_init, sizeof an_init},
    {"sgt_batch", with_batch, &batch, sizeof batch, sizeof batch},
    {"sgt_evaluate_options", with_evaluate_options, &an_evaluate, sizeof an_evaluate,
     sizeof an_evaluate},
    {"sgt_memory_options", with_memory_options, &a_memory, sizeof a_memory, sizeof a_memory},
};

#define N_INPUTS (int)(sizeof inputs / sizeof inputs[0])

static void fill_inputs(void)
{
    a_config = sgtt_config();
    a_config.recompute = 1;
    sgtt_ok(sgt_init_options_init(&an_init, sizeof an_init));
    sgtt_ok(sgt_evaluate_options_init(&an_evaluate, sizeof an_evaluate));
    sgtt_ok(sgt_memory_options_init(&a_memory, sizeof a_memory));
    a_memory.seq = 5;
}

static void set_size(void *caller, size_t size)
{
    uint32_t value = (uint32_t)size;
    memcpy(caller, &value, sizeof value);
}

START_TEST(reads_structs_of_other_versions)
{
    fill_inputs();
    size_t size = inputs[_i].size, first = inputs[_i].first;
    const size_t wrong[] = {0, 4, first - 1, 4097, UINT32_MAX};
    char *caller = calloc(1, ROOM);
    memcpy(caller, inputs[_i].right, size);
    for (int i = 0; i < 5; i++) {
        set_size(caller, wrong[i]);
        sgtt_fails(inputs[_i].call(caller), SGT_E_STRUCT_SIZE, inputs[_i].name);
    }
    set_size(caller, size + NEWER);
    sgtt_ok(inputs[_i].call(caller));
    for (size_t byte = size; byte < size + NEWER; byte++) {
        caller[byte] = 1;
        sgtt_fails(inputs[_i].call(caller), SGT_E_STRUCT_SIZE, inputs[_i].name);
        caller[byte] = 0;
    }
    /* Behind `size` anything may lie; nor is it the struct's: exactly so much memory. */
    caller[size + NEWER] = 1;
    sgtt_ok(inputs[_i].call(caller));
    char *exact = malloc(first);
    memcpy(exact, inputs[_i].right, first);
    set_size(exact, first);
    sgtt_ok(inputs[_i].call(exact));
    free(exact);
    free(caller);
}
END_TEST

/* ---- structs that a call fills ---- */

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

static sgt_status fill_view(void *output)
{
    return sgt_model_parameter(output, model, 0, SGT_WEIGHT);
}

static sgt_status fill_logits(void *output)
{
    return sgt_model_forward_logits(output, model, &batch);
}

static sgt_status fill_estimate(void *output)
{
    sgt_model_config config = sgtt_config();
    sgt_memory_options options;
    sgtt_ok(sgt_memory_options_init(&options, sizeof options));
    options.seq = 5;
    return sgt_model_estimate_memory(output, context, &config, NULL, &options);
}

static sgt_status fill_flops(void *output)
{
    return sgt_model_flops(output, model);
}

static const struct {
    const char *name;
    sgt_status (*call)(void *output);
    size_t size;
    size_t first;
} outputs[] = {
    {"sgt_metrics", fill_metrics, sizeof(sgt_metrics), sizeof(sgt_metrics)},
    {"sgt_metrics", fill_evaluated, sizeof(sgt_metrics), sizeof(sgt_metrics)},
    {"sgt_model_config", fill_config, sizeof(sgt_model_config), sizeof(sgt_model_config)},
    {"sgt_tensor_view", fill_view, sizeof(sgt_tensor_view), sizeof(sgt_tensor_view)},
    {"sgt_tensor_view", fill_logits, sizeof(sgt_tensor_view), sizeof(sgt_tensor_view)},
    {"sgt_memory_estimate", fill_estimate, sizeof(sgt_memory_estimate),
     sizeof(sgt_memory_estimate)},
    {"sgt_flops_total", fill_flops, sizeof(sgt_flops_total), sizeof(sgt_flops_total)},
};

#define N_OUTPUTS (int)(sizeof outputs / sizeof outputs[0])

static void all_bytes_are(const char *bytes, size_t from, size_t to, int value)
{
    for (size_t i = from; i < to; i++)
        if (bytes[i] != value)
            ck_abort_msg("byte %zu is %d, not %d", i, bytes[i], value);
}

START_TEST(fills_structs_of_other_versions)
{
    size_t size = outputs[_i].size, first = outputs[_i].first;
    const size_t wrong[] = {0, 4, first - 1, 4097, UINT32_MAX};
    char *caller = malloc(ROOM);
    memset(caller, 0x5a, ROOM);
    for (int i = 0; i < 5; i++) {
        set_size(caller, wrong[i]);
        sgtt_fails(outputs[_i].call(caller), SGT_E_STRUCT_SIZE, outputs[_i].name);
        all_bytes_are(caller, 4, ROOM, 0x5a);
    }
    set_size(caller, size + NEWER); /* what this version does not know is zero afterwards */
    sgtt_ok(outputs[_i].call(caller));
    all_bytes_are(caller, size, size + NEWER, 0);
    all_bytes_are(caller, size + NEWER, ROOM, 0x5a);

    char *older = malloc(ROOM);
    memset(older, 0x5a, ROOM);
    set_size(older, first);
    sgtt_ok(outputs[_i].call(older));
    all_bytes_are(older, first, ROOM, 0x5a);
    if (outputs[_i].call != fill_flops && outputs[_i].call != fill_estimate)
        ck_assert_mem_eq(older + 4, caller + 4, first - 4);
    uint32_t kept;
    memcpy(&kept, older, sizeof kept);
    ck_assert_uint_eq(kept, first);
    free(older);
    free(caller);
}
END_TEST

/* ---- the functions that fill in defaults ---- */

typedef sgt_status (*init_fn)(void *options, size_t size);

#define INIT(type)                                                                                 \
    static sgt_status init_##type(void *options, size_t size)                                      \
    {                                                                                              \
        return sgt_##type##_init(options, size);                                                   \
    }

INIT(model_config)
INIT(init_options)
INIT(evaluate_options)
INIT(memory_options)

static const struct {
    init_fn call;
    size_t size;
} inits[] = {
    {init_model_config, sizeof(sgt_model_config)},
    {init_init_options, sizeof(sgt_init_options)},
    {init_evaluate_options, sizeof(sgt_evaluate_options)},
    {init_memory_options, sizeof(sgt_memory_options)},
};

START_TEST(defaults_for_other_versions)
{
    size_t size = inits[_i].size;
    char now[ROOM], newer[ROOM];
    memset(now, 0x5a, ROOM);
    memset(newer, 0x5a, ROOM);
    sgtt_fails(inits[_i].call(now, 0), SGT_E_STRUCT_SIZE, "size is 0");
    sgtt_fails(inits[_i].call(now, size / 2), SGT_E_STRUCT_SIZE, "size");
    sgtt_fails(inits[_i].call(now, 100000), SGT_E_STRUCT_SIZE, "100000");
    all_bytes_are(now, 0, ROOM, 0x5a);
    sgtt_ok(inits[_i].call(now, size));
    sgtt_ok(inits[_i].call(newer, size + NEWER));
    all_bytes_are(now, size, ROOM, 0x5a);
    all_bytes_are(newer, size, size + NEWER, 0);
    all_bytes_are(newer, size + NEWER, ROOM, 0x5a);
    ck_assert_mem_eq(now + 4, newer + 4, size - 4);
    uint32_t kept;
    memcpy(&kept, newer, sizeof kept);
    ck_assert_uint_eq(kept, size + NEWER);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("structs of other versions");
    TCase *cases = tcase_create("all");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, reads_structs_of_other_versions, 0, N_INPUTS);
    tcase_add_loop_test(cases, fills_structs_of_other_versions, 0, N_OUTPUTS);
    tcase_add_loop_test(cases, defaults_for_other_versions, 0, 4);
    suite_add_tcase(suite, cases);
    return sgtt_main(suite);
}
