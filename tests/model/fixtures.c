/* SPDX-License-Identifier: BSD-3-Clause */
#include "fixtures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "plugins.h"

/* Asked in a child: a test program makes no context before Check forks. */
static int isa_is_missing(const char *isa)
{
    int result = 0;
    pid_t child = fork();
    if (child == 0) {
        sgt_context_options options;
        sgt_context *context;
        sgt_context_options_init(&options, sizeof options);
        options.backend = "portable";
        options.isa = isa;
        _exit(sgt_context_create(&context, &options) == SGT_E_UNSUPPORTED);
    }
    return child > 0 && waitpid(child, &result, 0) == child && WIFEXITED(result) &&
           WEXITSTATUS(result) == 1;
}

int sgtt_main(Suite *suite)
{
    const char *isa = getenv("SGT_TEST_ISA");
    if (isa && isa_is_missing(isa))
        return sgtt_skipped("this processor has no ", isa);
    return sgtt_run(suite);
}

sgt_context_options sgtt_model_options(void)
{
    sgt_context_options options;
    const char *backend = getenv("SGT_TEST_BACKEND"), *threads = getenv("SGT_TEST_THREADS");
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.backend = backend;
    options.isa = getenv("SGT_TEST_ISA");
    options.threads = threads ? atoi(threads) : 2;
    if (backend && strcmp(backend, "portable") && strcmp(backend, "blis")) {
        char file[128];
        snprintf(file, sizeof file, "%s_backend.so", backend);
        sgtt_ok(sgtt_load_plugin(NULL, file));
    }
    return options;
}

sgt_context *sgtt_model_context(void)
{
    return sgtt_limited_context(0);
}

sgt_context *sgtt_limited_context(uint64_t memory_limit)
{
    sgt_context_options options = sgtt_model_options();
    sgt_context *context;
    options.memory_limit = memory_limit;
    sgtt_ok(sgt_context_create(&context, &options));
    return context;
}

sgt_model_config sgtt_config(void)
{
    return sgtt_small_config(SGTT_KIND_DENSE, SGTT_SIZE_ODD);
}

double sgtt_uniform(uint64_t seed, uint64_t index)
{
    uint32_t bits[4];
    sgti_random_bits(bits, seed, 77, index);
    return bits[0] / 4294967296.0;
}

static void randomize(sgt_model *model, int32_t index, uint64_t seed)
{
    sgt_tensor_view view = {.size = sizeof view};
    sgtt_ok(sgt_model_parameter(&view, model, index, SGT_PART_WEIGHT));
    float *values = calloc(view.count, sizeof *values);
    for (uint64_t i = 0; i < view.count; i++) {
        double z = sgti_random_truncated_normal(seed, (uint64_t)index, i, 3.0);
        values[i] = (float)(view.rank == 1 ? 1.0 + 0.2 * z : 0.3 * z);
    }
    sgtt_ok(sgt_model_write_parameter(model, index, SGT_PART_WEIGHT, values, view.count));
    free(values);
}

void sgtt_randomize(sgt_model *model, uint64_t seed)
{
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++)
        randomize(model, i, seed);
}

sgt_model *sgtt_model(sgt_context *context, const sgt_model_config *config, uint64_t seed)
{
    return sgtt_recomputing_model(context, config, 0, seed);
}

sgt_model *sgtt_recomputing_model(sgt_context *context, const sgt_model_config *config,
                                  int32_t recompute, uint64_t seed)
{
    const sgt_model_options options = {.size = sizeof options, .recompute = recompute};
    sgt_model *model;
    sgtt_ok(sgt_model_create(&model, context, config, &options));
    sgtt_randomize(model, seed);
    return model;
}

sgt_batch sgtt_batch(int32_t batch, int32_t seq, int32_t vocab, uint64_t seed, int32_t ignore)
{
    size_t count = (size_t)batch * (size_t)seq;
    int32_t *tokens = calloc(count, sizeof *tokens), *targets = calloc(count, sizeof *targets);
    for (size_t i = 0; i < count; i++) {
        tokens[i] = (int32_t)(sgtt_uniform(seed, 3 * i) * vocab);
        targets[i] = (int32_t)(sgtt_uniform(seed, 3 * i + 1) * vocab);
        if (ignore && sgtt_uniform(seed, 3 * i + 2) * ignore < 1.0)
            targets[i] = -1;
    }
    sgt_batch made = {.size = sizeof made, .batch = batch, .seq = seq, .tokens = tokens,
                      .targets = targets};
    return made;
}

void sgtt_batch_free(sgt_batch *batch)
{
    free((void *)batch->tokens);
    free((void *)batch->targets);
}

uint64_t sgtt_elements(const sgt_model *model)
{
    uint64_t elements = 0;
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, model, i, SGT_PART_WEIGHT));
        elements += view.count;
    }
    return elements;
}

float *sgtt_read_all(const sgt_model *model, int32_t part)
{
    float *values = calloc(sgtt_elements(model), sizeof *values);
    uint64_t at = 0;
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, model, i, part));
        sgtt_ok(sgt_model_read_parameter(values + at, view.count, model, i, part));
        at += view.count;
    }
    return values;
}

sgt_metrics sgtt_step(sgt_model *model, const sgt_batch *batch)
{
    sgt_metrics metrics;
    sgtt_ok(sgtt_small_accumulate(&metrics, model, batch));
    return metrics;
}

void sgtt_loop(sgt_plan *plan, int32_t layer, int32_t depth, const float *gains)
{
    sgtt_ok(sgt_plan_set_depth(plan, layer, depth));
    for (int32_t pass = 1; pass <= depth; pass++)
        sgtt_ok(sgt_plan_set_gains(plan, layer, pass, gains));
}

sgt_plan *sgtt_plan_of(const sgt_model *model)
{
    sgt_plan *plan;
    sgtt_ok(sgt_plan_clone(&plan, sgt_model_plan(model)));
    return plan;
}

sgt_context_memory sgtt_memory(const sgt_context *context)
{
    sgt_context_memory usage = {.size = sizeof usage};
    sgtt_ok(sgt_context_get_memory(&usage, context));
    return usage;
}
