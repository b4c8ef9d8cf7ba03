/* SPDX-License-Identifier: BSD-3-Clause */
#include "train_text_growth.h"

static int make_sparse_policy(sgt_growth_policy **policy, sgt_context *context, const settings *o,
                              const schedule *plan)
{
    static const char *const ramps[] = {"reference", "hard", "warm", NULL};
    static const char *const directions[] = {"deep", "shallow", NULL};
    static const char *const choices[] = {"highest", "lowest", "random", NULL};
    static const char *const groups[] = {"one", "patterns", NULL};
    const int32_t by_pattern = choose_word("growth-groups", o->growth_groups, groups);
    sgt_growth_sparse_options options;
    sgt_growth_sparse_options_init(&options, sizeof options);
    options.first_step = plan->growth_first;
    options.window = plan->growth_window;
    options.top_k_layers = (int32_t)o->growth_candidates;
    options.max_layers = (int32_t)o->growth_layers;
    options.keep_heads = (int32_t)o->growth_heads;
    options.max_depth = (int32_t)o->growth_depth;
    options.ramp = choose_word("ramp", o->ramp, ramps);
    options.direction = choose_word("direction", o->direction, directions);
    options.head_choice = choose_word("head-choice", o->head_choice, choices);
    options.seed = (uint64_t)o->seed;
    options.groups = o->groups;
    options.n_groups = by_pattern > 0 ? o->n_blocks : 0;
    if (options.ramp < 0 || options.direction < 0 || options.head_choice < 0 || by_pattern < 0)
        return EXIT_BAD_INPUT;
    sgt_status status = sgt_growth_policy_sparse(policy, context, (int32_t)o->layers,
                                                 (int32_t)o->heads, &options);
    return status == SGT_OK ? EXIT_DONE : call_failed("making the growth policy", status);
}

/* The plan "heads:..." names: one more pass for each layer in it, with the named heads. */
static sgt_status make_heads_policy(sgt_growth_policy **policy, sgt_context *context,
                                    const settings *o)
{
    const policy_spec *spec = &o->spec;
    int32_t n_heads = (int32_t)o->heads;
    sgt_plan *plan = NULL;
    sgt_status status = sgt_plan_create(&plan, context, (int32_t)o->layers, n_heads);
    for (int32_t i = 0; i < spec->count && status == SGT_OK; i++) {
        int32_t layer = spec->layers[i];
        int fresh = sgt_plan_depth(plan, layer) == 0;
        if (fresh)
            status = sgt_plan_set_depth(plan, layer, 1);
        for (int32_t h = 0; h < n_heads && fresh && status == SGT_OK; h++)
            status = sgt_plan_set_gain(plan, layer, 1, h, 0);
        if (status == SGT_OK)
            status = sgt_plan_set_gain(plan, layer, 1, spec->heads[i], 1);
    }
    if (status == SGT_OK)
        status = sgt_growth_policy_static_heads(policy, context, plan);
    sgt_plan_free(plan);
    return status;
}

int growth_open(sgt_growth_policy **policy, sgt_growth **growth, sgt_context *context,
                sgt_model *model, const settings *o, const schedule *plan)
{
    const policy_spec *spec = &o->spec;
    int32_t n_layers = (int32_t)o->layers, n_heads = (int32_t)o->heads;
    int32_t once[MAX_POLICY_ITEMS];
    sgt_status status = SGT_OK;
    for (int i = 0; i < MAX_POLICY_ITEMS; i++)
        once[i] = 1;
    if (spec->kind == POLICY_SPARSE && make_sparse_policy(policy, context, o, plan))
        return EXIT_BAD_INPUT;
    if (spec->kind == POLICY_NONE)
        status = sgt_growth_policy_none(policy, context, n_layers, n_heads);
    if (spec->kind == POLICY_BLOCKS)
        status = sgt_growth_policy_static_blocks(policy, context, n_layers, n_heads, spec->layers,
                                                 once, spec->count);
    if (spec->kind == POLICY_HEADS)
        status = make_heads_policy(policy, context, o);
    if (status == SGT_OK)
        status = sgt_growth_create(growth, model, *policy, NULL);
    return status == SGT_OK ? EXIT_DONE : call_failed("--policy", status);
}
