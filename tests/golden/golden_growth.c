/* SPDX-License-Identifier: BSD-3-Clause */
/* Growth policies from a case, and comparing what they do: actions, depths and gains. */
#include "golden.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int32_t read_fade(golden_case *c, const json_t *growth)
{
    static const struct {
        const char *name;
        int32_t fade;
    } fades[] = {{"linear", SGT_FADE_LINEAR},
                 {"cosine", SGT_FADE_COSINE},
                 {"exponential", SGT_FADE_EXPONENTIAL}};
    const char *name = json_string_value(json_object_get(growth, "decay"));
    for (size_t i = 0; name != NULL && i < sizeof fades / sizeof fades[0]; i++)
        if (strcmp(fades[i].name, name) == 0)
            return fades[i].fade;
    if (!c->broken)
        golden_fail(c->run, "\"decay\" is no known way to fade");
    c->broken = 1;
    return 0;
}

/* The array lives as long as the caller wants; NULL for the default. */
static int32_t *read_exclude(sgt_growth_sparse_options *options, golden_case *c,
                             const json_t *growth)
{
    const json_t *layers = golden_array(c, growth, "exclude", -1);
    int32_t *exclude = golden_allocate(json_array_size(layers), sizeof *exclude);
    for (size_t i = 0; i < json_array_size(layers); i++)
        exclude[i] = golden_integer_at(c, layers, i);
    options->exclude = exclude;
    options->n_exclude = (int32_t)json_array_size(layers);
    return exclude;
}

sgt_growth_policy *golden_policy(golden_case *c, const json_t *growth, int32_t n_layers,
                                 int32_t n_heads)
{
    sgt_growth_policy *policy = NULL;
    sgt_growth_sparse_options options;
    int32_t *exclude = NULL;
    golden_only(c, growth,
                "first_step window top_k_layers max_layers max_depth keep_heads ema decay exclude");
    sgt_growth_sparse_options_init(&options, sizeof options);
    options.first_step = golden_integer(c, growth, "first_step", INT32_MIN);
    options.window = golden_integer(c, growth, "window", INT32_MIN);
    options.top_k_layers = golden_integer(c, growth, "top_k_layers", INT32_MIN);
    options.max_layers = golden_integer(c, growth, "max_layers", INT32_MIN);
    options.max_depth = golden_integer(c, growth, "max_depth", INT32_MIN);
    options.keep_heads = golden_integer(c, growth, "keep_heads", INT32_MIN);
    if (golden_has(growth, "ema"))
        options.average = golden_number(c, growth, "ema");
    if (golden_has(growth, "decay"))
        options.fade = read_fade(c, growth);
    if (golden_has(growth, "exclude"))
        exclude = read_exclude(&options, c, growth);
    if (!c->broken &&
        !golden_called(
            c->run, sgt_growth_policy_sparse(&policy, c->run->context, n_layers, n_heads, &options),
            "sgt_growth_policy_sparse"))
        c->broken = 1;
    free(exclude);
    return policy;
}

/* ---- comparing ---- */

static int same_integers(const json_t *expected, const int32_t *values, int32_t count)
{
    int same = json_is_array(expected) && json_array_size(expected) == (size_t)count;
    for (int32_t i = 0; same && i < count; i++)
        same = json_integer_value(json_array_get(expected, (size_t)i)) == values[i];
    return same;
}

/* null, ["select", layer, heads], ["deepen", layer, depth] or ["fix", layers, null] */
static int same_action(const json_t *action, const sgt_growth_event *event)
{
    const char *name = json_string_value(json_array_get(action, 0));
    const json_t *second = json_array_get(action, 1);
    const json_t *third = json_array_get(action, 2);
    if (json_is_null(action))
        return event->action == SGT_GROWTH_NONE;
    if (name == NULL)
        return 0;
    if (strcmp(name, "fix") == 0)
        return event->action == SGT_GROWTH_FIX &&
               same_integers(second, event->layers, event->n_layers);
    if (!json_is_integer(second) || json_integer_value(second) != event->layer)
        return 0;
    if (strcmp(name, "select") == 0)
        return event->action == SGT_GROWTH_SELECT && event->depth == 1 &&
               same_integers(third, event->heads, event->n_heads);
    return strcmp(name, "deepen") == 0 && event->action == SGT_GROWTH_DEEPEN &&
           json_is_integer(third) && json_integer_value(third) == event->depth;
}

/* The largest difference over all passes of a layer; before its first loop the case says 1. */
static double layer_difference(golden_case *c, const json_t *scale, const sgt_plan *plan,
                               int32_t layer)
{
    int32_t n_heads = sgt_plan_n_heads(plan);
    const json_t *expected = golden_array_at(c, scale, (size_t)layer, n_heads);
    double worst = 0.0;
    for (int32_t head = 0; head < n_heads && !c->broken; head++) {
        double gain = golden_number_at(c, expected, (size_t)head);
        if (sgt_plan_depth(plan, layer) == 0)
            worst = golden_worse(worst, fabs(gain - 1.0));
        for (int32_t pass = 1; pass <= sgt_plan_depth(plan, layer); pass++)
            worst = golden_worse(worst, fabs(gain - sgt_plan_gains(plan, layer, pass)[head]));
    }
    return worst;
}

golden_growth_kinds golden_growth_kinds_make(void)
{
    return (golden_growth_kinds){
        .actions = {.name = "actions"},
        .depths = {.name = "depths"},
        .gains = {.name = "gains", .bound = 1e-6},
    };
}

void golden_compare_growth(golden_case *c, golden_growth_kinds *kinds,
                           const golden_growth_step *expected, const sgt_growth_event *event,
                           const sgt_plan *plan)
{
    int32_t n_layers = sgt_plan_n_layers(plan);
    const json_t *depths = expected->depth;
    double gains = 0.0;
    int wrong = 0;
    if (json_array_size(depths) != (size_t)n_layers ||
        json_array_size(expected->scale) != (size_t)n_layers) {
        golden_fail(c->run, "%s has no depth or scale of each layer", expected->where);
        c->broken = 1;
        return;
    }
    for (int32_t layer = 0; layer < n_layers; layer++) {
        wrong += golden_integer_at(c, depths, (size_t)layer) != sgt_plan_depth(plan, layer);
        gains = golden_worse(gains, layer_difference(c, expected->scale, plan, layer));
    }
    golden_compare(&kinds->actions, same_action(expected->action, event) ? 0 : 1, "%s",
                   expected->where);
    golden_compare(&kinds->depths, wrong, "%s", expected->where);
    golden_compare(&kinds->gains, gains, "%s", expected->where);
}

void golden_growth_lines(golden_run *run, const golden_growth_kinds *kinds)
{
    golden_line(run, &kinds->actions);
    golden_line(run, &kinds->depths);
    golden_line(run, &kinds->gains);
}
