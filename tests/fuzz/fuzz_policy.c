/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * States of growth policies: the bytes of a real one with some changed, or any bytes. What is
 * accepted must be what is saved again, and the policy must be able to go on from it, at any step.
 *
 *     options (8) | how (1) | any bytes, or (place (2), byte (1))...
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>
#include <sgt/sys/growth.h>

#include "fuzz.h"

enum { LAYERS = 4, HEADS = 3, PASSES = 8, HEAD = 9, MOST = 4096, DECISIONS = 6 };

static sgt_context *context;

static void need(int condition)
{
    if (!condition)
        abort();
}

static void open_context(void)
{
    sgt_context_options options;
    sgt_context_options_init(&options, sizeof options);
    options.threads = 1;
    options.backend = "portable";
    need(context != NULL || sgt_context_create(&context, &options) == SGT_OK);
}

static sgt_growth_policy *make_policy(const uint8_t *choices)
{
    static const int32_t groups[LAYERS] = {0, 1, 1, 2};
    sgt_growth_policy *policy = NULL;
    sgt_growth_sparse_options options;
    need(sgt_growth_sparse_options_init(&options, sizeof options) == SGT_OK);
    options.top_k_layers = 1 + choices[0] % LAYERS;
    options.first_step = 1 + choices[1] % 4;
    options.window = 1 + choices[2] % 4;
    options.max_layers = 1 + choices[3] % LAYERS;
    options.max_depth = 1 + choices[4] % 3;
    options.keep_heads = 1 + choices[5] % HEADS;
    options.ramp = choices[6] % 3;
    options.fade = choices[6] / 3 % 3;
    options.direction = choices[6] / 9 % 2;
    options.head_choice = choices[7] % 3;
    options.n_exclude = choices[7] / 3 % 2;
    options.n_groups = choices[7] / 6 % (LAYERS + 1);
    options.groups = groups;
    need(sgt_growth_policy_sparse(&policy, context, LAYERS, HEADS, &options) == SGT_OK);
    return policy;
}

/* Entropies that depend on the step; the policy may refuse nothing. */
static void decide(sgt_growth_policy *policy, sgt_plan *plan, int64_t step)
{
    static double entropies[LAYERS * PASSES * HEADS];
    sgt_growth_event event = {.size = sizeof event};
    for (int i = 0; i < LAYERS * PASSES * HEADS; i++)
        entropies[i] = fmod((double)(step % 1000) * 0.37 + i * 0.61, 1.0);
    sgt_growth_observation observation = {.size = sizeof observation,
                                          .n_layers = LAYERS,
                                          .n_heads = HEADS,
                                          .max_passes = PASSES,
                                          .step = step,
                                          .last_entropy = entropies,
                                          .mean_entropy = entropies};
    need(sgt_growth_policy_decide(&event, policy, &observation, plan) == SGT_OK);
    need(event.action >= SGT_GROWTH_NONE && event.action <= SGT_GROWTH_FIX);
    for (int32_t i = 0; i < event.n_heads; i++)
        need(event.heads[i] >= 0 && event.heads[i] < HEADS);
}

/* The bytes of a policy after some steps. */
static size_t grown_state(uint8_t *state, sgt_growth_policy *policy, int32_t steps)
{
    size_t bytes = MOST;
    sgt_plan *plan = NULL;
    need(sgt_plan_create(&plan, context, LAYERS, HEADS) == SGT_OK);
    for (int32_t step = 1; step <= steps; step++)
        decide(policy, plan, step);
    need(sgt_growth_policy_save(state, &bytes, policy) == SGT_OK);
    sgt_plan_free(plan);
    return bytes;
}

static void go_on(sgt_growth_policy *policy, int64_t step)
{
    sgt_plan *plan = NULL;
    uint8_t state[MOST];
    size_t bytes = sizeof state;
    need(sgt_plan_create(&plan, context, LAYERS, HEADS) == SGT_OK);
    for (int i = 0; i < DECISIONS && step < INT64_MAX; i++, step++)
        decide(policy, plan, step);
    need(sgt_growth_policy_save(state, &bytes, policy) == SGT_OK);
    need(sgt_growth_policy_load(policy, state, bytes) == SGT_OK);
    sgt_plan_free(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t state[MOST], again[MOST], before[MOST];
    size_t bytes = 0, bytes_again = MOST, bytes_before = MOST;
    if (size < HEAD || size > MOST)
        return 0;
    open_context();
    sgt_growth_policy *policy = make_policy(data);
    uint8_t how = data[HEAD - 1];
    if (how % 4 == 0) {
        bytes = size - HEAD;
        memcpy(state, data + HEAD, bytes);
    } else {
        bytes = grown_state(state, policy, how % 32);
        for (size_t i = HEAD; i + 2 < size; i += 3)
            state[(size_t)(data[i] + 256 * data[i + 1]) % bytes] = data[i + 2];
    }
    need(sgt_growth_policy_save(before, &bytes_before, policy) == SGT_OK);
    sgt_status status = sgt_growth_policy_load(policy, state, bytes);
    need(sgt_growth_policy_save(again, &bytes_again, policy) == SGT_OK);
    if (status == SGT_OK) {
        need(bytes_again == bytes && memcmp(again, state, bytes) == 0);
        go_on(policy, how < 128 ? 1 + how : INT64_MAX - 3);
    } else {
        need(sgt_error_message()[0] != '\0');
        need(bytes_again == bytes_before && memcmp(again, before, bytes_again) == 0);
    }
    sgt_growth_policy_free(policy);
    return 0;
}
