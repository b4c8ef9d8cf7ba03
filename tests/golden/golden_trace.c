/* SPDX-License-Identifier: BSD-3-Clause */
/* Cases of kind `trace`: recorded entropies shown to a policy without any model. */
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <sgt/sys/growth.h>

/* [layer][pass][head] of one step as [n_layers, passes, n_heads]; what is not there is NaN. */
static double *read_entropies(int32_t *passes, golden_case *c, const json_t *step,
                              int32_t n_layers, int32_t n_heads)
{
    const json_t *layers = golden_array(c, step, "entropy", n_layers);
    size_t most = 1;
    for (size_t l = 0; l < json_array_size(layers); l++) {
        size_t count = json_array_size(json_array_get(layers, l));
        most = count > most ? count : most;
    }
    size_t heads = (size_t)n_heads;
    size_t total = (size_t)n_layers * most * heads;
    double *values = golden_allocate(total, sizeof *values);
    for (size_t i = 0; i < total; i++)
        values[i] = NAN;
    for (size_t l = 0; l < json_array_size(layers) && !c->broken; l++) {
        const json_t *of_layer = golden_array_at(c, layers, l, -1);
        for (size_t p = 0; p < json_array_size(of_layer); p++) {
            const json_t *of_pass = golden_array_at(c, of_layer, p, n_heads);
            for (size_t h = 0; h < heads && !c->broken; h++)
                if (!json_is_null(json_array_get(of_pass, h)))
                    values[(l * most + p) * heads + h] = golden_number_at(c, of_pass, h);
        }
    }
    *passes = (int32_t)most;
    return values;
}

static void replay_step(golden_case *c, golden_growth_kinds *kinds, sgt_growth_policy *policy,
                        sgt_plan *plan, const json_t *step, const char *where, int64_t number)
{
    sgt_growth_event event = {.size = sizeof event};
    sgt_growth_observation observation = {
        .size = sizeof observation,
        .n_layers = sgt_plan_n_layers(plan),
        .n_heads = sgt_plan_n_heads(plan),
        .step = number,
        .loss = NAN,
        .grad_norm = NAN,
        .plan = plan,
    };
    golden_only(c, step, "entropy action depth scale");
    double *entropies = read_entropies(&observation.max_passes, c, step, observation.n_layers,
                                       observation.n_heads);
    observation.last_entropy = entropies;
    if (!c->broken &&
        !golden_called(c->run, sgt_growth_policy_decide(&event, policy, &observation, plan),
                       "sgt_growth_policy_decide"))
        c->broken = 1;
    if (!c->broken) {
        golden_growth_step expected = {.where = where,
                                       .action = json_object_get(step, "action"),
                                       .depth = golden_array(c, step, "depth", -1),
                                       .scale = golden_array(c, step, "scale", -1)};
        golden_compare_growth(c, kinds, &expected, &event, plan);
    }
    free(entropies);
}

static void replay(golden_case *c, golden_growth_kinds *kinds, const json_t *run, size_t number)
{
    golden_only(c, run, "n_layers n_heads growth steps");
    int32_t n_layers = golden_integer(c, run, "n_layers", 1);
    int32_t n_heads = golden_integer(c, run, "n_heads", 1);
    const json_t *steps = golden_array(c, run, "steps", -1);
    sgt_growth_policy *policy =
        golden_policy(c, golden_object(c, run, "growth"), n_layers, n_heads);
    sgt_plan *plan = NULL;
    if (!c->broken &&
        !golden_called(c->run, sgt_plan_create(&plan, c->run->context, n_layers, n_heads),
                       "sgt_plan_create"))
        c->broken = 1;
    for (size_t i = 0; i < json_array_size(steps) && !c->broken; i++) {
        char where[64];
        snprintf(where, sizeof where, "run %zu step %zu", number, i + 1);
        replay_step(c, kinds, policy, plan, json_array_get(steps, i), where, (int64_t)i + 1);
    }
    sgt_plan_free(plan);
    sgt_growth_policy_free(policy);
}

void golden_trace(golden_case *c)
{
    golden_growth_kinds kinds = golden_growth_kinds_make();
    const json_t *runs = golden_array(c, c->json, "runs", -1);
    golden_only(c, c->json, "kind runs");
    for (size_t i = 0; i < json_array_size(runs) && !c->broken; i++)
        replay(c, &kinds, json_array_get(runs, i), i);
    if (!c->broken)
        golden_growth_lines(c->run, &kinds);
}
