/* SPDX-License-Identifier: BSD-3-Clause */
/* While sizes are counted the lists are NULL: places are taken and counted, but nothing is
 * stored. */
#include "placer.h"

#include <stdio.h>
#include <string.h>

#include "../base/random.h"

static void name_parameter(sgti_parameter *parameter, const char *name, int32_t layer)
{
    if (layer < 0)
        snprintf(parameter->name, sizeof parameter->name, "%s", name);
    else
        snprintf(parameter->name, sizeof parameter->name, "model.layers.%d.%s", (int)layer, name);
    parameter->stream = sgti_random_hash(parameter->name, strlen(parameter->name));
}

/* Adds one parameter, which lies at `offset` elements; columns 0 means a vector. What starts as
 * noise is held small by weight decay; what starts as ones or as the identity is not. */
static void add(sgti_placer *placer, const char *name, uint64_t offset, int64_t rows,
                int64_t columns, sgti_initial initial)
{
    sgti_parameters *into = placer->into;
    if (into->list) {
        sgti_parameter *parameter = &into->list[into->count];
        parameter->offset = offset;
        parameter->rank = columns == 0 ? 1 : 2;
        parameter->decays = initial == SGTI_INITIAL_NORMAL;
        parameter->initial = initial;
        parameter->spread = 1.0;
        parameter->shape[0] = rows;
        parameter->shape[1] = columns;
        parameter->count = (uint64_t)rows * (uint64_t)(columns == 0 ? 1 : columns);
        name_parameter(parameter, name, placer->layer);
    }
    into->count++;
}

/* Takes room for rows * columns weights and returns its offset, in elements. */
static uint64_t take(sgti_placer *placer, int64_t rows, int64_t columns)
{
    return sgti_arena_take(&placer->arena, (uint64_t)rows, (uint64_t)columns, sizeof(float)) /
           sizeof(float);
}

void sgti_place_shared_matrix(sgti_placer *placer, uint64_t offset, int64_t rows, int64_t columns)
{
    sgti_parameters *into = placer->into;
    if (into->matrices)
        into->matrices[into->n_matrices] =
            (sgti_matrix){.rows = rows, .columns = columns, .offset = offset, .decoded = 1};
    into->n_matrices++;
}

uint64_t sgti_place_table(sgti_placer *placer, const char *name, int64_t rows, int64_t columns)
{
    uint64_t offset = take(placer, rows, columns);
    add(placer, name, offset, rows, columns, SGTI_INITIAL_NORMAL);
    return offset;
}

void sgti_place_vector(sgti_placer *placer, const char *name, int64_t n, sgti_initial initial)
{
    add(placer, name, take(placer, n, 1), n, 0, initial);
}

void sgti_place_identity(sgti_placer *placer, const char *name, int64_t n)
{
    add(placer, name, take(placer, n, n), n, n, SGTI_INITIAL_IDENTITY);
}

void sgti_place_matrices(sgti_placer *placer, const char *const *names, const int64_t *rows, int n,
                         int64_t columns)
{
    int64_t total = 0;
    for (int i = 0; i < n; i++)
        total += rows[i];
    uint64_t offset = take(placer, total, columns);
    sgti_place_shared_matrix(placer, offset, total, columns);
    for (int i = 0; i < n; i++) {
        add(placer, names[i], offset, rows[i], columns, SGTI_INITIAL_NORMAL);
        offset += (uint64_t)rows[i] * (uint64_t)columns;
    }
}

void sgti_place_matrix(sgti_placer *placer, const char *name, int64_t rows, int64_t columns)
{
    sgti_place_matrices(placer, &name, &rows, 1, columns);
}

/* NULL while sizes are counted. */
static sgti_parameter *last_of(const sgti_placer *placer)
{
    sgti_parameters *into = placer->into;
    return into->list ? &into->list[into->count - 1] : NULL;
}

void sgti_place_std(sgti_placer *placer, double std)
{
    sgti_parameter *last = last_of(placer);
    if (last)
        last->std = std;
}

void sgti_place_spread(sgti_placer *placer, double spread)
{
    sgti_parameter *last = last_of(placer);
    if (last)
        last->spread = spread;
}

void sgti_place_undecayed(sgti_placer *placer)
{
    sgti_parameter *last = last_of(placer);
    if (last)
        last->decays = 0;
}

void sgti_place_array(sgti_placer *placer, const char *name, int32_t rank, const int64_t *shape)
{
    int64_t rest = 1;
    for (int32_t i = 1; i < rank; i++)
        rest *= shape[i];
    sgti_place_table(placer, name, shape[0], rest);
    sgti_parameter *last = last_of(placer);
    if (!last)
        return;
    last->rank = rank;
    memcpy(last->shape, shape, (size_t)rank * sizeof *shape);
}

void sgti_place_unit_outputs(sgti_placer *placer, const char *name, int64_t rows, int64_t columns,
                             int32_t units)
{
    sgti_parameters *into = placer->into;
    sgti_place_residual(placer, name, rows, columns);
    if (into->list)
        last_of(placer)->units = units;
    if (into->matrices)
        into->matrices[into->n_matrices - 1].decoded = 0;
}

void sgti_place_residual(sgti_placer *placer, const char *name, int64_t rows, int64_t columns)
{
    sgti_place_matrix(placer, name, rows, columns);
    sgti_parameter *last = last_of(placer);
    if (last)
        last->residual = 1;
}
