/* SPDX-License-Identifier: BSD-3-Clause */
#include "parameters.h"

#include <stdlib.h>
#include <string.h>

#include "../base/carver.h"
#include "../base/error.h"
#include "config.h"
#include "logits.h"
#include "parts/blocks.h"
#include "placer.h"

static void place_layer(sgti_placer *placer, const sgt_model_config *config, int32_t layer)
{
    const sgti_block block = sgti_block_of(config, layer);
    sgti_parameters *into = placer->into;
    placer->layer = layer;
    for (int i = 0; i < SGTI_BLOCK_PARTS; i++) {
        if (into->layers) {
            into->layers[layer].parameter[i] = into->count;
            into->layers[layer].matrix[i] = into->n_matrices;
        }
        block.parts[i]->parameters(placer, config);
    }
    if (config->altup_streams > 1) {
        if (into->layers)
            into->layers[layer].predict = into->count;
        sgti_place_identity(placer, "altup.predict", config->altup_streams);
        sgti_place_vector(placer, "altup.correct", config->altup_streams, SGTI_INITIAL_ONES);
    }
    placer->layer = -1;
}

/* Declares everything, in the order of the buffer: embedding, layers, final norm, head. */
static void place_all(sgti_placer *placer, const sgt_model_config *config)
{
    sgti_parameters *into = placer->into;
    int64_t v = config->vocab_size, d = sgti_table_width(config);
    into->count = 0;
    into->n_matrices = 0;
    into->embedding = into->count;
    uint64_t table = sgti_place_table(placer, "model.embed_tokens.weight", v, d);
    for (int32_t layer = 0; layer < config->n_layers; layer++)
        place_layer(placer, config, layer);
    into->final_norm = into->count;
    sgti_place_vector(placer, "model.norm.weight", d, SGTI_INITIAL_ONES);
    into->head_matrix = into->n_matrices;
    if (config->tied)
        sgti_place_shared_matrix(placer, table, v, d);
    else
        sgti_logits_declare(placer, config);
    into->elements = placer->arena.used / sizeof(float);
}

/* Cuts the lists out of one block of memory and returns its bytes; `memory` NULL: only counts. */
static uint64_t cut_lists(sgti_parameters *parameters, void *memory, int32_t n_layers)
{
    sgti_carver c = {.memory = memory};
    parameters->list = sgti_carve(&c, parameters->count, sizeof *parameters->list);
    parameters->by_name = sgti_carve(&c, parameters->count, sizeof *parameters->by_name);
    parameters->matrices = sgti_carve(&c, parameters->n_matrices, sizeof *parameters->matrices);
    parameters->layers = sgti_carve(&c, n_layers, sizeof *parameters->layers);
    return c.bytes;
}

sgt_status sgti_parameters_measure(sgti_parameters *parameters, const sgt_model_config *config)
{
    sgti_parameters counted = {0};
    sgti_placer placer = {.into = &counted, .layer = -1};
    place_all(&placer, config);
    if (placer.arena.overflow)
        return sgti_fail(SGT_E_OVERFLOW, "the weights of this configuration do not fit in memory");
    counted.bytes = cut_lists(&counted, NULL, config->n_layers);
    *parameters = counted;
    return SGT_OK;
}

static int by_name(const void *a, const void *b)
{
    const sgti_parameter *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int against_name(const void *name, const void *entry)
{
    const sgti_parameter *const *parameter = entry;
    return strcmp(name, (*parameter)->name);
}

sgt_status sgti_parameters_create(sgti_parameters *parameters, sgti_memory *memory,
                                  const sgt_model_config *config)
{
    sgti_parameters made;
    sgt_status status = sgti_parameters_measure(&made, config);
    if (status)
        return status;
    status = sgti_allocate_zeroed(&made.memory, memory, made.bytes, 1, "the list of parameters");
    if (status)
        return status;
    sgti_placer placer = {.into = &made, .layer = -1};
    cut_lists(&made, made.memory, config->n_layers);
    place_all(&placer, config);
    for (int32_t i = 0; i < made.count; i++)
        made.by_name[i] = &made.list[i];
    qsort(made.by_name, (size_t)made.count, sizeof *made.by_name, by_name);
    *parameters = made;
    return SGT_OK;
}

void sgti_parameters_destroy(sgti_parameters *parameters, sgti_memory *memory)
{
    sgti_release(memory, parameters->memory, parameters->bytes);
    *parameters = (sgti_parameters){0};
}

int32_t sgti_parameters_find(const sgti_parameters *parameters, const char *name)
{
    const sgti_parameter *const *found =
        bsearch(name, parameters->by_name, (size_t)parameters->count,
                sizeof *parameters->by_name, against_name);
    return found ? (int32_t)(*found - parameters->list) : -1;
}
