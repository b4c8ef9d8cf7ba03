/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The growth rule of arXiv 2603.23998. A step updates averages, then takes at most one decision,
 * then sets gains. With E the entropy of a head in this step and a the option `average`:
 *
 *     e     <- a e + (1-a) E           for each head
 *     score =  mean over heads of e    for each layer
 *
 * The first decision is taken from first_step on, each later one when `window` steps have passed
 * since the one before. The candidates of a decision are the top_k_layers layers of highest score
 * of each group that are not excluded: entropies of one group say who is spread wider, those of
 * different groups may mean different things. All that follows is about depth in the model and
 * knows no groups. A decision takes the first of these that is possible:
 *
 *     deepen   a selected layer that is a candidate, if it has not max_depth passes yet
 *     select   the next candidate in the direction of growth, if there are not max_layers yet
 *     fix      growth is over
 *
 * All arithmetic is double and in a fixed order; of equal values the lower index comes first.
 */
#include "policy_sparse.h"

#include <math.h>

#include "../base/random.h"

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

#define EXPONENTIAL_FLOOR 1e-8 /* what SGT_FADE_EXPONENTIAL has come down to at its end */

static int32_t *kept_heads(const sgti_sparse_policy *policy, int32_t layer)
{
    return policy->now.kept + (int64_t)layer * policy->options.keep_heads;
}

static int is_kept(const sgti_sparse_policy *policy, int32_t layer, int32_t head)
{
    const int32_t *kept = kept_heads(policy, layer);
    if (policy->now.depths[layer] == 0)
        return 0;
    for (int32_t i = 0; i < policy->options.keep_heads; i++) {
        if (kept[i] == head)
            return 1;
    }
    return 0;
}

/* ---- averages ---- */

/* The pass whose entropy counts for a head. For a kept head it is the last pass, of the block's
 * first run, in which the head took part; for all others it is pass 0. */
static int32_t observed_pass(const sgti_sparse_policy *policy, int32_t layer, int32_t head,
                             int32_t max_passes, const sgt_plan *plan)
{
    int32_t pass = policy->now.depths[layer];
    if (!is_kept(policy, layer, head))
        return 0;
    if (pass > max_passes - 1)
        pass = max_passes - 1;
    for (; pass > 0; pass--) {
        const float *gains = sgt_plan_gains(plan, layer, pass);
        if (gains && gains[head] > 0.0f)
            break;
    }
    return pass;
}

void sgti_sparse_observe(sgti_sparse_policy *policy, const double *entropies, int32_t max_passes,
                         const sgt_plan *plan)
{
    double a = policy->options.average;
    int64_t n_heads = policy->n_heads;
    if (policy->now.fixed)
        return;
    for (int32_t layer = 0; layer < policy->n_layers; layer++) {
        double *averages = policy->now.averages + layer * n_heads;
        for (int32_t h = 0; h < n_heads; h++) {
            int32_t pass = observed_pass(policy, layer, h, max_passes, plan);
            double entropy = entropies[((int64_t)layer * max_passes + pass) * n_heads + h];
            if (isfinite(entropy))
                averages[h] = a * averages[h] + (1.0 - a) * entropy;
        }
    }
}

/* ---- which layers, which heads ---- */

/* Fills `ranking` with the indices of `values`, the highest value first. */
static void rank_descending(int32_t *ranking, const double *values, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        int32_t at = i;
        for (; at > 0 && values[ranking[at - 1]] < values[i]; at--)
            ranking[at] = ranking[at - 1];
        ranking[at] = i;
    }
}

/* How many of the first `found` layers of policy->ranking are in the group of `layer`. */
static int32_t count_group(const sgti_sparse_policy *policy, int32_t found, int32_t layer)
{
    int32_t count = 0;
    for (int32_t i = 0; i < found; i++)
        count += policy->groups[policy->ranking[i]] == policy->groups[layer];
    return count;
}

/* Finds the candidates of a decision: the first *count of policy->ranking, highest score first. The
 * list is thinned out in place, which works because `found` never overtakes `i`. */
static void find_candidates(sgti_sparse_policy *policy, int32_t *count)
{
    int32_t found = 0;
    for (int32_t layer = 0; layer < policy->n_layers; layer++) {
        const double *averages = policy->now.averages + (int64_t)layer * policy->n_heads;
        double sum = 0.0;
        for (int32_t h = 0; h < policy->n_heads; h++)
            sum += averages[h];
        policy->scores[layer] = sum / policy->n_heads;
    }
    rank_descending(policy->ranking, policy->scores, policy->n_layers);
    for (int32_t i = 0; i < policy->n_layers; i++) {
        int32_t layer = policy->ranking[i];
        if (policy->excluded[layer])
            continue;
        if (count_group(policy, found, layer) < policy->options.top_k_layers)
            policy->ranking[found++] = layer;
    }
    *count = found;
}

static int is_candidate(const sgti_sparse_policy *policy, int32_t count, int32_t layer)
{
    for (int32_t i = 0; i < count; i++) {
        if (policy->ranking[i] == layer)
            return 1;
    }
    return 0;
}

/* 1 when `layer` comes before `other` in the direction of growth. */
static int comes_before(const sgti_sparse_policy *policy, int32_t layer, int32_t other)
{
    return policy->options.direction == SGT_DIRECTION_DEEP_TO_SHALLOW ? layer > other
                                                                      : layer < other;
}

/* The first candidate, in the direction of growth, that comes behind every selected layer; -1 when
 * there is none. */
static int32_t next_layer(const sgti_sparse_policy *policy, int32_t count)
{
    const sgti_sparse_state *now = &policy->now;
    int32_t best = -1;
    for (int32_t i = 0; i < count; i++) {
        int32_t layer = policy->ranking[i];
        int allowed = now->depths[layer] == 0;
        for (int32_t j = 0; allowed && j < now->n_selected; j++)
            allowed = !comes_before(policy, layer, now->selected[j]);
        if (allowed && (best < 0 || comes_before(policy, layer, best)))
            best = layer;
    }
    return best;
}

/* Fills policy->ranking with the heads of a layer, those to keep first. */
static void rank_heads(sgti_sparse_policy *policy, int32_t layer)
{
    const double *averages = policy->now.averages + (int64_t)layer * policy->n_heads;
    for (int32_t h = 0; h < policy->n_heads; h++) {
        uint32_t bits[4];
        switch (policy->options.head_choice) {
        case SGT_HEADS_LOWEST:
            policy->keys[h] = -averages[h];
            break;
        case SGT_HEADS_RANDOM:
            sgti_random_bits(bits, policy->options.seed, SGTI_STREAM_HEADS | (uint32_t)layer,
                             (uint64_t)h);
            policy->keys[h] = (double)bits[0];
            break;
        default:
            policy->keys[h] = averages[h];
            break;
        }
    }
    rank_descending(policy->ranking, policy->keys, policy->n_heads);
}

/* Chooses keep_heads heads of a layer. Whatever they were chosen by, they are listed with the
 * highest average first. */
static void keep_heads(sgti_sparse_policy *policy, int32_t layer)
{
    const double *averages = policy->now.averages + (int64_t)layer * policy->n_heads;
    int32_t *kept = kept_heads(policy, layer);
    rank_heads(policy, layer);
    for (int32_t i = 0; i < policy->options.keep_heads; i++) {
        int32_t head = policy->ranking[i];
        int32_t at = i;
        for (; at > 0; at--) {
            int32_t other = kept[at - 1];
            if (averages[other] > averages[head] ||
                (averages[other] == averages[head] && other < head))
                break;
            kept[at] = other;
        }
        kept[at] = head;
    }
}

/* ---- decisions ---- */

static void select_layer(sgti_sparse_policy *policy, int32_t layer, int64_t step,
                         sgt_growth_event *event)
{
    sgti_sparse_state *now = &policy->now;
    keep_heads(policy, layer);
    now->depths[layer] = 1;
    now->starts[(int64_t)layer * policy->options.max_depth] = step;
    now->selected[now->n_selected++] = layer;
    now->window_start = step;
    event->action = SGT_GROWTH_SELECT;
    event->layer = layer;
    event->depth = 1;
    event->n_heads = policy->options.keep_heads;
    event->heads = kept_heads(policy, layer);
}

static void deepen_layer(sgti_sparse_policy *policy, int32_t layer, int64_t step,
                         sgt_growth_event *event)
{
    sgti_sparse_state *now = &policy->now;
    int32_t pass = now->depths[layer]++;
    now->starts[(int64_t)layer * policy->options.max_depth + pass] = step;
    now->window_start = step;
    event->action = SGT_GROWTH_DEEPEN;
    event->layer = layer;
    event->depth = now->depths[layer];
}

static void fix_growth(sgti_sparse_policy *policy, sgt_growth_event *event)
{
    int32_t count = 0;
    policy->now.fixed = 1;
    for (int32_t layer = 0; layer < policy->n_layers; layer++) {
        if (policy->now.depths[layer] > 0)
            policy->fixed_layers[count++] = layer;
    }
    event->action = SGT_GROWTH_FIX;
    event->n_layers = count;
    event->layers = policy->fixed_layers;
}

void sgti_sparse_act(sgti_sparse_policy *policy, int64_t step, sgt_growth_event *event)
{
    const sgt_growth_sparse_options *options = &policy->options;
    sgti_sparse_state *now = &policy->now;
    int32_t count = 0;
    if (now->fixed || step < options->first_step)
        return;
    if (now->n_selected > 0 && step - now->window_start < options->window)
        return;
    find_candidates(policy, &count);
    for (int32_t i = 0; i < now->n_selected; i++) {
        int32_t layer = now->selected[i];
        if (now->depths[layer] < options->max_depth && is_candidate(policy, count, layer)) {
            deepen_layer(policy, layer, step, event);
            return;
        }
    }
    /* When nothing is left to do at a decision, growth is over for good. */
    int32_t next = now->n_selected < options->max_layers ? next_layer(policy, count) : -1;
    if (next >= 0)
        select_layer(policy, next, step, event);
    else
        fix_growth(policy, event);
}

/* ---- gains ---- */

/* How much of their gain heads still have that fade out; p, from 0 to 1, is the part of the window
 * that has passed. */
static double fade(int32_t kind, double p)
{
    const double pi = 3.14159265358979323846;
    switch (kind) {
    case SGT_FADE_COSINE:
        return 0.5 * (1.0 + cos(pi * p));
    case SGT_FADE_EXPONENTIAL:
        return exp(p * log(EXPONENTIAL_FLOOR));
    default:
        return 1.0 - p;
    }
}

/* The gains of an extra pass, counted from 0, for the heads that are kept and for the others. They
 * depend on how long ago the layer got the pass:
 *
 *     SGT_RAMP_REFERENCE   kept heads loop at once, the others fade out over a window
 *     SGT_RAMP_WARM        kept heads come in over a window, the others never loop
 *     otherwise            kept heads loop at once, the others never
 */
static void gains_of_pass(double *kept, double *others, const sgti_sparse_policy *policy,
                          int32_t layer, int32_t pass, int64_t step)
{
    const sgt_growth_sparse_options *options = &policy->options;
    const int64_t *starts = policy->now.starts + (int64_t)layer * options->max_depth;
    int64_t since;
    *kept = 1.0;
    *others = 0.0;
    switch (options->ramp) {
    case SGT_RAMP_WARM:
        since = step - starts[pass];
        if (since < options->window - 1)
            *kept = ((double)since + 1.0) / (double)options->window;
        break;
    case SGT_RAMP_REFERENCE: /* one ramp for the layer: a later pass does not start it again */
        since = step - starts[0];
        if (since < options->window)
            *others = fade(options->fade, (double)since / (double)options->window);
        break;
    default:
        break;
    }
    *kept = options->max_gain * fmax(0.0, *kept);
    *others = options->max_gain * fmax(0.0, fmin(1.0, *others));
}

sgt_status sgti_sparse_write_plan(sgti_sparse_policy *policy, int64_t step, sgt_plan *plan)
{
    sgt_status status = SGT_OK;
    for (int32_t i = 0; status == SGT_OK && i < policy->now.n_selected; i++) {
        int32_t layer = policy->now.selected[i];
        int32_t depth = policy->now.depths[layer];
        status = sgt_plan_set_depth(plan, layer, depth);
        for (int32_t pass = 0; status == SGT_OK && pass < depth; pass++) {
            double kept, others;
            gains_of_pass(&kept, &others, policy, layer, pass, step);
            for (int32_t h = 0; h < policy->n_heads; h++) {
                int keep = is_kept(policy, layer, h);
                policy->gains[h] = (float)(keep ? kept : others);
                policy->targets[h] = keep ? (float)policy->options.max_gain : 0.0f;
            }
            status = sgt_plan_set_gains(plan, layer, pass + 1, policy->gains);
            if (status == SGT_OK)
                status = sgt_plan_set_targets(plan, layer, pass + 1, policy->targets);
        }
    }
    return status;
}
