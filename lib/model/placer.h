/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Declaring parameters, one after the other: each gets a name, a shape and its place in the weight
 * buffer. The same declarations are run twice, to count and to fill the lists.
 */
#ifndef SGTI_PLACER_H
#define SGTI_PLACER_H

#include "../base/arena.h"
#include "parameters.h"

typedef struct sgti_placer {
    sgti_parameters *into; /* its lists are NULL while sizes are counted */
    sgti_arena arena;
    int32_t layer; /* -1: outside of the blocks; its name needs no prefix */
} sgti_placer;

/* A vector [n], such as the weight of a norm. The name gets ".weight", and the layer's prefix. */
void sgti_place_vector(sgti_placer *placer, const char *name, int64_t n, sgti_initial initial);

/* A table [rows, columns] that rows are looked up in; no product reads it. Returns its place in the
 * buffer, in elements. */
uint64_t sgti_place_table(sgti_placer *placer, const char *name, int64_t rows, int64_t columns);

/* A matrix in the memory of a table. */
void sgti_place_shared_matrix(sgti_placer *placer, uint64_t offset, int64_t rows, int64_t columns);

/* n matrices [rows[i], columns] that one product reads, on top of each other. */
void sgti_place_matrices(sgti_placer *placer, const char *const *names, const int64_t *rows, int n,
                         int64_t columns);
void sgti_place_matrix(sgti_placer *placer, const char *name, int64_t rows, int64_t columns);

#endif
