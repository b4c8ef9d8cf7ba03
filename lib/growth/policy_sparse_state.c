/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The policy of the paper as bytes: the options that it was made with, then all that it remembers.
 * Their length depends on options and shape only. A load refuses the bytes of a policy with other
 * options, and checks everything before it changes anything.
 *
 *     u32 version
 *     options: i64 each, in the order of struct sgt_growth_sparse_options, the average as f64;
 *              i64 excluded [n_layers]; in version 2 also f64 max_gain and i64 groups [n_layers],
 *              which are 1 and one group in version 1
 *     i32 fixed, n_selected; i64 window_start
 *     i32 selected [n_layers], depths [n_layers], kept [n_layers, keep_heads]
 *     i64 starts [n_layers, max_depth]; f64 averages [n_layers, n_heads]
 */
#include "policy_sparse.h"

#include <math.h>

#include "../base/bytes.h"
#include "../base/error.h"

#define NEWEST_VERSION UINT32_C(2)

static int are_zero(const int32_t *list, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        if (list[i] != 0)
            return 0;
    }
    return 1;
}

static int has_one_group(const sgti_sparse_policy *policy)
{
    return are_zero(policy->groups, policy->n_layers);
}

/* The lowest version that can say these options, so that older releases can read all that they
 * could have written themselves. */
static uint32_t version_of(const sgti_sparse_policy *policy)
{
    return policy->options.max_gain == 1.0 && has_one_group(policy) ? 1 : 2;
}

/* ---- options: the same walk writes them and compares them ---- */

typedef struct options_walk {
    sgti_writer *writer; /* one of these two is there */
    sgti_reader *reader;
    uint32_t version;
    const char *differs; /* reading: the first field that is not as in our own options */
} options_walk;

static void walk_i64(options_walk *walk, const char *field, int64_t own)
{
    if (walk->writer)
        sgti_put_i64(walk->writer, own);
    else if (sgti_get_i64(walk->reader) != own && !walk->differs)
        walk->differs = field;
}

/* What version 1 has no room for must be as it was when there was only version 1. */
static void check_newer_options(options_walk *walk, const sgti_sparse_policy *policy)
{
    if (policy->options.max_gain != 1.0 && !walk->differs)
        walk->differs = "max_gain";
    if (!has_one_group(policy) && !walk->differs)
        walk->differs = "groups";
}

/* Doubles are written and compared by their bits. */
static void walk_options(options_walk *walk, const sgti_sparse_policy *policy)
{
    const sgt_growth_sparse_options *o = &policy->options;
    walk_i64(walk, "top_k_layers", o->top_k_layers);
    walk_i64(walk, "first_step", o->first_step);
    walk_i64(walk, "window", o->window);
    walk_i64(walk, "max_layers", o->max_layers);
    walk_i64(walk, "max_depth", o->max_depth);
    walk_i64(walk, "keep_heads", o->keep_heads);
    walk_i64(walk, "ramp", o->ramp);
    walk_i64(walk, "fade", o->fade);
    walk_i64(walk, "entropy", o->entropy);
    walk_i64(walk, "average", (int64_t)sgti_bits_of_f64(o->average));
    walk_i64(walk, "direction", o->direction);
    walk_i64(walk, "head_choice", o->head_choice);
    walk_i64(walk, "seed", (int64_t)o->seed);
    for (int32_t i = 0; i < policy->n_layers; i++)
        walk_i64(walk, "exclude", policy->excluded[i]);
    if (walk->version == 1) {
        check_newer_options(walk, policy);
        return;
    }
    walk_i64(walk, "max_gain", (int64_t)sgti_bits_of_f64(o->max_gain));
    for (int32_t i = 0; i < policy->n_layers; i++)
        walk_i64(walk, "groups", policy->groups[i]);
}

/* ---- save ---- */

static void write_state(sgti_writer *writer, const sgti_sparse_policy *policy)
{
    const sgti_sparse_state *now = &policy->now;
    int64_t n_layers = policy->n_layers;
    sgti_put_i32(writer, now->fixed);
    sgti_put_i32(writer, now->n_selected);
    sgti_put_i64(writer, now->window_start);
    for (int64_t i = 0; i < n_layers; i++)
        sgti_put_i32(writer, now->selected[i]);
    for (int64_t i = 0; i < n_layers; i++)
        sgti_put_i32(writer, now->depths[i]);
    for (int64_t i = 0; i < n_layers * policy->options.keep_heads; i++)
        sgti_put_i32(writer, now->kept[i]);
    for (int64_t i = 0; i < n_layers * policy->options.max_depth; i++)
        sgti_put_i64(writer, now->starts[i]);
    for (int64_t i = 0; i < n_layers * policy->n_heads; i++)
        sgti_put_f64(writer, now->averages[i]);
}

int32_t sgti_sparse_save(const void *state, void *user, void *data, size_t *bytes)
{
    const sgti_sparse_policy *policy = state;
    sgti_writer writer = {.data = data, .used = 0};
    const uint32_t version = version_of(policy);
    (void)user;
    sgti_put_u32(&writer, version);
    walk_options(&(options_walk){.writer = &writer, .version = version}, policy);
    write_state(&writer, policy);
    *bytes = (size_t)writer.used;
    return SGT_OK;
}

/* ---- load ---- */

static void read_state(sgti_sparse_state *state, sgti_reader *reader,
                       const sgti_sparse_policy *policy)
{
    int64_t n_layers = policy->n_layers;
    state->fixed = sgti_get_i32(reader);
    state->n_selected = sgti_get_i32(reader);
    state->window_start = sgti_get_i64(reader);
    for (int64_t i = 0; i < n_layers; i++)
        state->selected[i] = sgti_get_i32(reader);
    for (int64_t i = 0; i < n_layers; i++)
        state->depths[i] = sgti_get_i32(reader);
    for (int64_t i = 0; i < n_layers * policy->options.keep_heads; i++)
        state->kept[i] = sgti_get_i32(reader);
    for (int64_t i = 0; i < n_layers * policy->options.max_depth; i++)
        state->starts[i] = sgti_get_i64(reader);
    for (int64_t i = 0; i < n_layers * policy->n_heads; i++)
        state->averages[i] = sgti_get_f64(reader);
}

/* 1 when the list has `count` different numbers, each in [0, limit). */
static int are_distinct(const int32_t *list, int32_t count, int32_t limit)
{
    for (int32_t i = 0; i < count; i++) {
        if (list[i] < 0 || list[i] >= limit)
            return 0;
        for (int32_t j = 0; j < i; j++) {
            if (list[j] == list[i])
                return 0;
        }
    }
    return 1;
}

/* 1 when decisions can have led to this state of a layer: the first was at first_step or later,
 * each added one pass, and there was at least a window between them. */
static int is_valid_layer(const sgti_sparse_state *state, const sgti_sparse_policy *policy,
                          int32_t layer)
{
    int32_t keep = policy->options.keep_heads;
    int32_t max_depth = policy->options.max_depth;
    int32_t depth = state->depths[layer];
    const int32_t *kept = state->kept + (int64_t)layer * keep;
    const int64_t *starts = state->starts + (int64_t)layer * max_depth;
    if (depth < 0 || depth > max_depth || (depth > 0 && policy->excluded[layer]))
        return 0;
    for (int32_t k = 0; k < max_depth; k++) {
        if (k >= depth && starts[k] != 0)
            return 0;
        if (k < depth && starts[k] < policy->options.first_step)
            return 0;
        /* Both are positive, so the difference does not overflow. */
        if (k > 0 && k < depth && starts[k] - starts[k - 1] < policy->options.window)
            return 0;
    }
    return depth == 0 ? are_zero(kept, keep) : are_distinct(kept, keep, policy->n_heads);
}

static int are_all_excluded(const sgti_sparse_policy *policy)
{
    for (int32_t layer = 0; layer < policy->n_layers; layer++) {
        if (!policy->excluded[layer])
            return 0;
    }
    return 1;
}

/* The step at which the last pass of any layer began; 0 when there is none. */
static int64_t last_start(const sgti_sparse_state *state, const sgti_sparse_policy *policy)
{
    int64_t last = 0;
    for (int32_t layer = 0; layer < policy->n_layers; layer++) {
        const int64_t *starts = state->starts + (int64_t)layer * policy->options.max_depth;
        if (state->depths[layer] > 0 && starts[state->depths[layer] - 1] > last)
            last = starts[state->depths[layer] - 1];
    }
    return last;
}

/* Names the first field that no policy with these options can have remembered; NULL: there is
 * none. */
static const char *find_fault(const sgti_sparse_state *state, const sgti_sparse_policy *policy)
{
    int32_t n_layers = policy->n_layers;
    int32_t n_looped = 0;
    if (state->fixed != 0 && state->fixed != 1)
        return "fixed";
    if (state->n_selected < 0 || state->n_selected > n_layers ||
        state->n_selected > policy->options.max_layers)
        return "n_selected";
    if (!are_distinct(state->selected, state->n_selected, n_layers) ||
        !are_zero(state->selected + state->n_selected, n_layers - state->n_selected))
        return "selected";
    for (int32_t layer = 0; layer < n_layers; layer++) {
        if (!is_valid_layer(state, policy, layer))
            return "a layer";
        n_looped += state->depths[layer] > 0;
    }
    for (int32_t i = 0; i < state->n_selected; i++) {
        if (state->depths[state->selected[i]] == 0)
            return "selected";
    }
    if (n_looped != state->n_selected)
        return "depths";
    /* Every decision that adds a pass begins a window; the one that ends growth leaves it. */
    if (state->window_start != last_start(state, policy))
        return "window_start";
    /* The first decision ends growth only where it may select nothing. */
    if (state->fixed && state->n_selected == 0 && !are_all_excluded(policy))
        return "fixed";
    for (int64_t i = 0; i < (int64_t)n_layers * policy->n_heads; i++) {
        if (!isfinite(state->averages[i]))
            return "averages";
    }
    return NULL;
}

int32_t sgti_sparse_load(void *state, void *user, const void *data, size_t bytes)
{
    sgti_sparse_policy *policy = state;
    sgti_sparse_state old = policy->now;
    sgti_reader reader = {.data = data, .left = bytes};
    uint32_t version = sgti_get_u32(&reader);
    options_walk walk = {.reader = &reader, .version = version};
    (void)user;
    if (reader.failed)
        return sgti_fail(SGT_E_FORMAT, "the state of a sparse policy is cut short");
    if (version < 1 || version > NEWEST_VERSION)
        return sgti_fail(SGT_E_VERSION, "the state of a sparse policy has the unknown version %lu",
                         (unsigned long)version);
    walk_options(&walk, policy);
    if (!reader.failed && walk.differs)
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "the state is of a sparse policy with another option %s", walk.differs);
    if (!reader.failed && version != version_of(policy))
        return sgti_fail(SGT_E_FORMAT, "the state of a sparse policy has version %lu without need",
                         (unsigned long)version);
    read_state(&policy->spare, &reader, policy);
    if (reader.failed || reader.left != 0)
        return sgti_fail(SGT_E_FORMAT, "the state of a sparse policy has a wrong length");
    const char *fault = find_fault(&policy->spare, policy);
    if (fault)
        return sgti_fail(SGT_E_FORMAT, "the state of a sparse policy is damaged: %s", fault);
    policy->now = policy->spare;
    policy->spare = old;
    return SGT_OK;
}
