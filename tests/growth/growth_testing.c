/* SPDX-License-Identifier: BSD-3-Clause */
#include "growth_testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *faulty_allocate(void *user, size_t alignment, size_t bytes)
{
    sgtt_faulty_memory *memory = user;
    size_t rounded = (bytes + alignment - 1) / alignment * alignment;

    if (memory->left == 0)
        return NULL;
    if (memory->left > 0)
        memory->left--;
    memory->live++;
    return aligned_alloc(alignment, rounded);
}

static void faulty_release(void *user, void *pointer, size_t bytes)
{
    sgtt_faulty_memory *memory = user;
    (void)bytes;
    memory->live--;
    free(pointer);
}

sgt_context *sgtt_portable_context(sgtt_faulty_memory *memory)
{
    sgt_context *context = NULL;
    sgt_context_options options;
    sgt_allocator allocator = {.size = sizeof allocator,
                               .allocate = faulty_allocate,
                               .release = faulty_release,
                               .user = memory};

    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.threads = 1;
    options.backend = "portable";
    options.allocator = memory == NULL ? NULL : &allocator;
    sgtt_ok(sgt_context_create(&context, &options));
    return context;
}

/* ---- replay ---- */

void sgtt_replay_open(sgtt_replay *replay, sgt_context *context, sgt_growth_policy *policy,
                      int32_t n_layers, int32_t n_heads, int32_t max_passes)
{
    size_t count = (size_t)n_layers * (size_t)max_passes * (size_t)n_heads;

    memset(replay, 0, sizeof *replay);
    replay->context = context;
    replay->policy = policy;
    replay->entropies = calloc(count, sizeof(double));
    ck_assert_ptr_nonnull(replay->entropies);
    sgtt_ok(sgt_plan_create(&replay->plan, context, n_layers, n_heads));
    replay->event.size = sizeof replay->event;
    replay->observation = (sgt_growth_observation){
        .size = sizeof replay->observation,
        .n_layers = n_layers,
        .n_heads = n_heads,
        .max_passes = max_passes,
        .loss = NAN,
        .grad_norm = NAN,
        .plan = replay->plan,
        .last_entropy = replay->entropies,
        .mean_entropy = replay->entropies,
    };
}

void sgtt_replay_close(sgtt_replay *replay)
{
    sgt_plan_free(replay->plan);
    sgt_growth_policy_free(replay->policy);
    sgt_context_free(replay->context);
    free(replay->entropies);
}

double *sgtt_replay_entropies(const sgtt_replay *replay, int32_t layer, int32_t pass)
{
    int64_t row = (int64_t)layer * replay->observation.max_passes + pass;
    return replay->entropies + row * replay->observation.n_heads;
}

void sgtt_replay_set(sgtt_replay *replay, int32_t layer, const double *entropies)
{
    memcpy(sgtt_replay_entropies(replay, layer, 0), entropies,
           (size_t)replay->observation.n_heads * sizeof(double));
}

int32_t sgtt_replay_step(sgtt_replay *replay, int64_t step)
{
    replay->observation.step = step;
    sgtt_ok(sgt_growth_policy_decide(&replay->event, replay->policy, &replay->observation,
                                     replay->plan));
    return replay->event.action;
}

/* ---- checks ---- */

static void check_row(const char *what, const float *row, int32_t n_heads, int32_t layer,
                      int32_t pass, const double *expected)
{
    ck_assert_msg(row != NULL, "layer %d has no pass %d", (int)layer, (int)pass);
    for (int32_t h = 0; h < n_heads; h++)
        ck_assert_msg(fabs((double)row[h] - expected[h]) <= 1e-6,
                      "%s of layer %d, pass %d, head %d is %.9g, not %.9g", what, (int)layer,
                      (int)pass, (int)h, (double)row[h], expected[h]);
}

void sgtt_check_gains(const sgt_plan *plan, int32_t layer, int32_t pass, const double *expected)
{
    check_row("the gain", sgt_plan_gains(plan, layer, pass), sgt_plan_n_heads(plan), layer, pass,
              expected);
}

void sgtt_check_targets(const sgt_plan *plan, int32_t layer, int32_t pass, const double *expected)
{
    check_row("the target", sgt_plan_targets(plan, layer, pass), sgt_plan_n_heads(plan), layer,
              pass, expected);
}

void *sgtt_policy_bytes(size_t *bytes, const sgt_growth_policy *policy)
{
    void *data;

    *bytes = 0;
    sgtt_ok(sgt_growth_policy_save(NULL, bytes, policy));
    data = malloc(*bytes);
    ck_assert_ptr_nonnull(data);
    sgtt_ok(sgt_growth_policy_save(data, bytes, policy));
    return data;
}

void *sgtt_plan_bytes(size_t *bytes, const sgt_plan *plan)
{
    void *data;

    *bytes = 0;
    sgtt_ok(sgt_plan_save(NULL, bytes, plan));
    data = malloc(*bytes);
    ck_assert_ptr_nonnull(data);
    sgtt_ok(sgt_plan_save(data, bytes, plan));
    return data;
}

sgt_growth_policy *sgtt_policy_sparse(sgt_context *context, int32_t n_layers, int32_t n_heads,
                                      const sgt_growth_sparse_options *options)
{
    sgt_growth_policy *policy = NULL;
    sgtt_ok(sgt_growth_policy_sparse(&policy, context, n_layers, n_heads, options));
    return policy;
}
