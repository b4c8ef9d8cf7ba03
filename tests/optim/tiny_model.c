/* SPDX-License-Identifier: BSD-3-Clause */
#include "tiny_model.h"

#include <stdlib.h>

#include "plugins.h"
#include "testing.h"

static small_training make_in(sgt_context *context)
{
    small_training tiny = {.context = context};
    const sgt_model_config config = sgtt_small_config(SGTT_KIND_DENSE, SGTT_SIZE_TINY);
    sgt_model_init_options init;
    sgtt_ok(sgt_model_create(&tiny.model, tiny.context, &config, NULL));
    sgtt_ok(sgt_model_init_options_init(&init, sizeof init));
    init.std = 0.5;
    sgtt_ok(sgt_model_init_weights(tiny.model, &init));
    tiny_model_backward(&tiny);
    sgtt_ok(sgt_model_zero_gradients(tiny.model));
    return tiny;
}

small_training tiny_model_make(void)
{
    const char *backend = getenv("SGT_TEST_BACKEND");
    return make_in(sgtt_context_on(backend ? backend : "portable", 1));
}

small_training tiny_model_make_on(const char *backend)
{
    return make_in(sgtt_context_on(backend, 1));
}

void tiny_model_backward(const small_training *tiny)
{
    int32_t tokens[8], targets[8];
    sgt_metrics metrics;
    const sgt_batch batch = sgtt_small_batch(tokens, targets, tiny, 0, 2, 4);
    sgtt_ok(sgtt_small_accumulate(&metrics, tiny->model, &batch));
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

void tiny_model_write_gradients(const small_training *tiny, int step, double scale)
{
    for (int32_t p = 0; p < sgt_model_n_parameters(tiny->model); p++) {
        size_t count = tiny_model_count(tiny, p);
        float *values = malloc(count * sizeof *values);
        ck_assert_ptr_nonnull(values);
        for (size_t i = 0; i < count; i++)
            values[i] = (float)(scale * tiny_model_gradient(step, p, i));
        sgtt_ok(sgt_model_write_parameter(tiny->model, p, SGT_PART_GRADIENT, values, count));
        free(values);
    }
}

int32_t tiny_model_find(const small_training *tiny, const char *name)
{
    int32_t index = -1;
    sgtt_ok(sgt_model_find_parameter(&index, tiny->model, name));
    return index;
}

size_t tiny_model_count(const small_training *tiny, int32_t parameter)
{
    sgt_tensor_view view = {.size = sizeof view};
    sgtt_ok(sgt_model_parameter(&view, tiny->model, parameter, SGT_PART_WEIGHT));
    return (size_t)view.count;
}

static float *fresh(const small_training *tiny, int32_t parameter, size_t *count)
{
    *count = tiny_model_count(tiny, parameter);
    float *values = malloc(*count * sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

float *tiny_model_read(const small_training *tiny, int32_t parameter, int32_t part)
{
    size_t count;
    float *values = fresh(tiny, parameter, &count);
    sgtt_ok(sgt_model_read_parameter(values, count, tiny->model, parameter, part));
    return values;
}

float *tiny_model_read_moment(const small_training *tiny, const sgt_optimizer *optimizer,
                              int32_t parameter, int32_t moment)
{
    size_t count;
    float *values = fresh(tiny, parameter, &count);
    sgtt_ok(sgt_optimizer_read_moment(values, count, optimizer, parameter, moment));
    return values;
}

float *tiny_model_snapshot(const small_training *tiny, const sgt_optimizer *optimizer,
                           size_t *count)
{
    float *all = NULL;
    *count = 0;
    for (int32_t p = 0; p < sgt_model_n_parameters(tiny->model); p++) {
        size_t n = tiny_model_count(tiny, p);
        float *parts[3] = {tiny_model_read(tiny, p, SGT_PART_WEIGHT),
                           tiny_model_read_moment(tiny, optimizer, p, SGT_MOMENT_FIRST),
                           tiny_model_read_moment(tiny, optimizer, p, SGT_MOMENT_SECOND)};
        all = realloc(all, (*count + 3 * n) * sizeof *all);
        for (int i = 0; i < 3; i++) {
            memcpy(all + *count, parts[i], n * sizeof *all);
            *count += n;
            free(parts[i]);
        }
    }
    return all;
}
