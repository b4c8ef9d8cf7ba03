/* SPDX-License-Identifier: BSD-3-Clause */
#include "cache_layout.h"

#include "../base/arena.h"
#include "../core/patterns.h"
#include "../model/parts/blocks.h"

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

/* Adds where a pass has its history. */
static void add_history(sgti_cache_place *place, const sgt_model_config *config, int32_t layer,
                        const sgti_pass *pass, const sgt_session_options *options)
{
    const sgti_part_kind *kind = sgti_block_of(config, layer).parts[SGTI_ATTENTION];
    if (!kind->history)
        return;
    const sgti_history history = kind->history(config, layer, pass);
    const int64_t ring = history.steps + options->chunk;
    place->history_rows = ring < options->max_length ? ring : options->max_length;
    place->history_values = history.steps > 0 ? history.values : 0;
}

static void note_ring(sgti_cache_layout *layout, int64_t rows)
{
    if (rows > 0 && (layout->smallest_ring == 0 || rows < layout->smallest_ring))
        layout->smallest_ring = rows;
}

/* Takes the room of a place. */
static void take(sgti_cache_layout *layout, sgti_cache_place *place, sgti_arena *arena,
                 const sgt_session_options *options, int64_t per_row)
{
    const uint64_t sequences = (uint64_t)options->sequences;
    const int is_ring = place->history_values > 0 && place->history_rows < options->max_length;
    place->first = sgti_arena_take(arena, sequences * (uint64_t)per_row, (uint64_t)place->rows,
                                   sizeof(float)) /
                   sizeof(float);
    place->history = sgti_arena_take(arena, sequences * (uint64_t)place->history_values,
                                     (uint64_t)place->history_rows, sizeof(float)) /
                     sizeof(float);
    note_ring(layout, place->ring);
    note_ring(layout, is_ring ? place->history_rows : 0);
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
            add_history(&place, config, layer, pass, options);
            take(layout, &place, &arena, options, 2 * (int64_t)pass->n_groups * config->head_dim);
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
