/* SPDX-License-Identifier: BSD-3-Clause */
#include "parameters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/carver.h"
#include "../base/error.h"
#include "../base/random.h"
#include "parts/part.h"

static void name_parameter(sgti_parameter *parameter, const char *name, int32_t layer)
{
    if (layer < 0)
        snprintf(parameter->name, sizeof parameter->name, "%s.weight", name);
    else
        snprintf(parameter->name, sizeof parameter->name, "model.layers.%d.%s.weight", (int)layer,
                 name);
    parameter->stream = sgti_random_hash(parameter->name, strlen(parameter->name));
}

/* Adds one parameter that lies at `offset` elements; columns 0: a vector. */
static void add(sgti_placer *placer, const char *name, uint64_t offset, int64_t rows,
                int64_t columns, sgti_initial initial)
{
    sgti_parameters *into = placer->into;
    if (into->list) {
        sgti_parameter *parameter = &into->list[into->count];
        parameter->offset = offset;
        parameter->rank = columns == 0 ? 1 : 2;
        parameter->decays = columns != 0;
        parameter->initial = initial;
        parameter->shape[0] = rows;
        parameter->shape[1] = columns;
        parameter->count = (uint64_t)rows * (uint64_t)(columns == 0 ? 1 : columns);
        name_parameter(parameter, name, placer->layer);
    }
    into->count++;
}

/* Room for rows * columns weights; the offset is in elements. */
static uint64_t take(sgti_placer *placer, int64_t rows, int64_t columns)
{
    return sgti_arena_take(&placer->arena, (uint64_t)rows, (uint64_t)columns, sizeof(float)) /
           sizeof(float);
}

static int32_t add_matrix(sgti_placer *placer, uint64_t offset, int64_t rows, int64_t columns)
{
    sgti_parameters *into = placer->into;
    if (into->matrices)
        into->matrices[into->n_matrices] =
            (sgti_matrix){.rows = rows, .columns = columns, .offset = offset};
    return into->n_matrices++;
}

void sgti_place_vector(sgti_placer *placer, const char *name, int64_t n, sgti_initial initial)
{
    add(placer, name, take(placer, n, 1), n, 0, initial);
}

void sgti_place_matrices(sgti_placer *placer, const char *const *names, const int64_t *rows, int n,
                         int64_t columns)
{
    int64_t total = 0;
    for (int i = 0; i < n; i++)
        total += rows[i];
    uint64_t offset = take(placer, total, columns);
    add_matrix(placer, offset, total, columns);
    for (int i = 0; i < n; i++) {
        add(placer, names[i], offset, rows[i], columns, SGTI_INITIAL_NORMAL);
        offset += (uint64_t)rows[i] * (uint64_t)columns;
    }
}

void sgti_place_matrix(sgti_placer *placer, const char *name, int64_t rows, int64_t columns)
{
    sgti_place_matrices(placer, &name, &rows, 1, columns);
}

static void place_layer(sgti_placer *placer, const sgt_model_config *config, int32_t layer)
{
    const sgti_block *block = sgti_block_of(config, layer);
    sgti_parameters *into = placer->into;
    placer->layer = layer;
    for (int i = 0; i < SGTI_BLOCK_PARTS; i++) {
        if (into->layers) {
            into->layers[layer].parameter[i] = into->count;
            into->layers[layer].matrix[i] = into->n_matrices;
        }
        block->parts[i]->parameters(placer, config);
    }
    placer->layer = -1;
}

/* Everything, in the order of the buffer: embedding, layers, final norm, head. */
static void place_all(sgti_placer *placer, const sgt_model_config *config)
{
    sgti_parameters *into = placer->into;
    int64_t v = config->vocab_size, d = config->d_model;
    uint64_t table = take(placer, v, d);
    into->count = 0;
    into->n_matrices = 0;
    into->embedding = into->count;
    add(placer, "model.embed_tokens", table, v, d, SGTI_INITIAL_NORMAL);
    for (int32_t layer = 0; layer < config->n_layers; layer++)
        place_layer(placer, config, layer);
    into->final_norm = into->count;
    sgti_place_vector(placer, "model.norm", d, SGTI_INITIAL_ONES);
    into->head_matrix = into->n_matrices;
    if (config->tied)
        add_matrix(placer, table, v, d);
    else
        sgti_place_matrix(placer, "lm_head", v, d);
    into->elements = placer->arena.used / sizeof(float);
}

/* The lists in one block of memory; NULL: its bytes are counted. */
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
