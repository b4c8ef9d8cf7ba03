/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes the declarations of parameters, one after the other: each gets a name, a shape and its
 * place in the buffer of weights. The same declarations are run twice, to count and to fill the
 * lists.
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

/* Declares a vector [n], such as the weight of a norm. In a layer the name gets the layer's prefix
 * before it. */
void sgti_place_vector(sgti_placer *placer, const char *name, int64_t n, sgti_initial initial);

/* Declares a square [n, n] that starts as the identity. */
void sgti_place_identity(sgti_placer *placer, const char *name, int64_t n);

/* Declares a table [rows, columns] whose rows are looked up; no product reads it. Returns its
 * place in the buffer, in elements. */
uint64_t sgti_place_table(sgti_placer *placer, const char *name, int64_t rows, int64_t columns);

/* Declares that a product reads a table as a matrix, too: the head, when it is tied. */
void sgti_place_shared_matrix(sgti_placer *placer, uint64_t offset, int64_t rows, int64_t columns);

/* Declares n parameters [rows[i], columns], on top of each other, that one product reads as one
 * matrix. */
void sgti_place_matrices(sgti_placer *placer, const char *const *names, const int64_t *rows, int n,
                         int64_t columns);
void sgti_place_matrix(sgti_placer *placer, const char *name, int64_t rows, int64_t columns);

/* Declares the matrix of a part of a block whose product is added to the residual stream. */
void sgti_place_residual(sgti_placer *placer, const char *name, int64_t rows, int64_t columns);

/* The same, of a part in which each token reads one column of every `units`: sessions read its
 * turned form alone. */
void sgti_place_unit_outputs(sgti_placer *placer, const char *name, int64_t rows, int64_t columns,
                             int32_t units);

/* Declares an array of any rank, which no product reads as it is. */
void sgti_place_array(sgti_placer *placer, const char *name, int32_t rank, const int64_t *shape);

/* Of the parameter that was declared last: its start has this standard deviation, or so many times
 * that of the options; weight decay leaves it alone. */
void sgti_place_std(sgti_placer *placer, double std);
void sgti_place_spread(sgti_placer *placer, double spread);
void sgti_place_undecayed(sgti_placer *placer);

#endif
