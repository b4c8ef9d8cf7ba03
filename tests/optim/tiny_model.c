/* SPDX-License-Identifier: BSD-3-Clause */
#include "tiny_model.h"

#include <stdlib.h>

#include "plugins.h"
#include "testing.h"

static tiny_model make_in(sgt_context *context)
{
    tiny_model tiny = {context, NULL};
    sgt_model_config config;
    sgt_init_options init;
    sgtt_ok(sgt_model_config_init(&config, sizeof config));
    config.vocab_size = 11;
    config.d_model = 8;
    config.n_layers = 2;
    config.n_heads = 2;
    config.d_ff = 12;
    config.max_seq_len = 8;
    sgtt_ok(sgt_model_create(&tiny.model, tiny.context, &config));
    sgtt_ok(sgt_init_options_init(&init, sizeof init));
    init.std = 0.5;
    sgtt_ok(sgt_model_init_weights(tiny.model, &init));
    tiny_model_backward(&tiny);
    sgtt_ok(sgt_model_zero_gradients(tiny.model));
    return tiny;
}

tiny_model tiny_model_make(void)
{
    const char *backend = getenv("SGT_TEST_BACKEND");
    return make_in(sgtt_context_on(backend ? backend : "portable", 1));
}

tiny_model tiny_model_make_on(const char *backend)
{
    return make_in(sgtt_context_on(backend, 1));
}

void tiny_model_free(tiny_model *tiny)
{
    sgt_model_free(tiny->model);
    sgt_context_free(tiny->context);
}

void tiny_model_backward(const tiny_model *tiny)
{
    static const int32_t tokens[8] = {1, 5, 9, 2, 0, 10, 3, 7};
    static const int32_t targets[8] = {5, 9, 2, 4, 10, 3, 7, 6};
    sgt_batch batch = {
        .size = sizeof batch, .batch = 2, .seq = 4, .tokens = tokens, .targets = targets};
    sgt_metrics metrics = {.size = sizeof metrics};
    sgtt_ok(sgt_model_forward(&metrics, tiny->model, &batch));
    sgtt_ok(sgt_model_backward(tiny->model, 1.0 / (double)metrics.count));
}

double tiny_model_gradient(int step, int32_t parameter, size_t element)
{
    uint64_t x = (uint64_t)step * 0x9e3779b97f4a7c15u + (uint64_t)parameter * 0xbf58476d1ce4e5b9u +
                 (uint64_t)element * 0x94d049bb133111ebu;
    x ^= x >> 31;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    double value = (double)(x >> 11) / 4503599627370496.0 - 1.0; /* 53 bits to [-1,1) */
    return (float)(element % 5 == 3 ? 1e-8 * value : value);
}

void tiny_model_write_gradients(const tiny_model *tiny, int step, double scale)
{
    for (int32_t p = 0; p < sgt_model_parameter_count(tiny->model); p++) {
        size_t count = tiny_model_count(tiny, p);
        float *values = malloc(count * sizeof *values);
        ck_assert_ptr_nonnull(values);
        for (size_t i = 0; i < count; i++)
            values[i] = (float)(scale * tiny_model_gradient(step, p, i));
        sgtt_ok(sgt_model_write_parameter(tiny->model, p, SGT_GRADIENT, values, count));
        free(values);
    }
}

int32_t tiny_model_find(const tiny_model *tiny, const char *name)
{
    int32_t index = -1;
    sgtt_ok(sgt_model_find_parameter(&index, tiny->model, name));
    return index;
}

size_t tiny_model_count(const tiny_model *tiny, int32_t parameter)
{
    sgt_tensor_view view = {.size = sizeof view};
    sgtt_ok(sgt_model_parameter(&view, tiny->model, parameter, SGT_WEIGHT));
    return (size_t)view.count;
}

static float *fresh(const tiny_model *tiny, int32_t parameter, size_t *count)
{
    *count = tiny_model_count(tiny, parameter);
    float *values = malloc(*count * sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

float *tiny_model_read(const tiny_model *tiny, int32_t parameter, int32_t part)
{
    size_t count;
    float *values = fresh(tiny, parameter, &count);
    sgtt_ok(sgt_model_read_parameter(values, count, tiny->model, parameter, part));
    return values;
}

float *tiny_model_read_moment(const tiny_model *tiny, const sgt_optimizer *optimizer,
                              int32_t parameter, int32_t moment)
{
    size_t count;
    float *values = fresh(tiny, parameter, &count);
    sgtt_ok(sgt_optimizer_read_moment(values, count, optimizer, parameter, moment));
    return values;
}
