/* SPDX-License-Identifier: BSD-3-Clause */
#include "cache_layout.h"

#include "../base/arena.h"
#include "../core/patterns.h"

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The rows of a pass. One without heads has none, whatever they are. */
static sgti_cache_place place_of(const sgti_pass *pass, const sgt_session_options *options)
{
    const int64_t length = options->max_length;
    const int32_t groups = pass->patterns ? pass->n_groups : 0;
    int64_t near = groups > 0 ? 0 : length, cells = 0;
    for (int32_t g = 0; g < groups; g++) {
        near = larger(near, sgti_pattern_near_most(&pass->patterns[g]));
        cells = larger(cells, sgti_pattern_cells(&pass->patterns[g], length));
    }
    if (near >= length || near + options->chunk + cells >= length)
        return (sgti_cache_place){.rows = length};
    return (sgti_cache_place){.ring = near + options->chunk,
                              .rows = near + options->chunk + cells};
}

void sgti_cache_layout_plan(sgti_cache_layout *layout, const sgt_model_config *config,
                            const sgti_passes *passes, const sgt_session_options *options)
{
    sgti_arena arena = {0};
    int32_t index = 0;
    layout->smallest_ring = 0;
    for (int32_t layer = 0; layer < passes->n_layers; layer++) {
        const sgti_layer_passes *of_layer = &passes->layers[layer];
        for (int32_t i = 0; i < of_layer->n_runs * of_layer->n_passes; i++) {
            const sgti_pass *pass = &of_layer->passes[i % of_layer->n_passes];
            sgti_cache_place place = place_of(pass, options);
            uint64_t heads = 2 * (uint64_t)options->sequences * (uint64_t)pass->n_groups;
            uint64_t per_head = (uint64_t)place.rows * (uint64_t)config->head_dim;
            place.first = sgti_arena_take(&arena, heads, per_head, sizeof(float)) / sizeof(float);
            if (place.ring > 0 && (layout->smallest_ring == 0 ||
                                   place.ring < layout->smallest_ring))
                layout->smallest_ring = place.ring;
            if (layout->places)
                layout->places[index] = place;
            index++;
            if (pass->number + 1 == of_layer->n_passes)
                index++; /* a run ends with its feed-forward part, which has an index too */
        }
    }
    layout->bytes = arena.peak;
    layout->overflow = arena.overflow;
}
