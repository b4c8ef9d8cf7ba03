/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which parameter tensors a model has, in which order, and where they lie in the buffer of weights.
 * Gradients and moments lie at the same offsets in theirs. Each part of a block declares its own
 * parameters. Those that one product reads lie on top of each other without gaps and are one
 * matrix:
 *
 *     | embedding | layer 0: norm | q k v | o | norm | gate up | down | layer 1 .. | norm | head |
 *       table                       matrix  matrix     matrix    matrix                     matrix
 */
#ifndef SGTI_PARAMETERS_H
#define SGTI_PARAMETERS_H

#include <sgt/model.h>

#include "../base/memory.h"

#define SGTI_PARAMETER_NAME 72
#define SGTI_PARAMETER_RANK 4

/* How a parameter starts. */
typedef enum sgti_initial {
    SGTI_INITIAL_NORMAL, /* truncated normal */
    SGTI_INITIAL_ZEROS,
    SGTI_INITIAL_ONES,
    SGTI_INITIAL_IDENTITY
} sgti_initial;

typedef struct sgti_parameter {
    uint64_t offset; /* elements */
    uint64_t count;
    /* The stream of its random numbers is a hash of the name, so that a model with more parameters
     * draws the same values for those that it shares with another. */
    uint64_t stream;
    int32_t rank;
    int32_t decays; /* 1: SGT_DECAY_MATRICES includes it */
    int32_t residual; /* 1: its product is added to the residual stream */
    sgti_initial initial;
    double spread; /* of a normal start: so many times the standard deviation of the options, */
    double std;    /* or, where it is above 0, this one whatever they say */
    int32_t units; /* the units of each of which its product reads one; 0: it reads all columns */
    int64_t shape[SGTI_PARAMETER_RANK];
    char name[SGTI_PARAMETER_NAME];
} sgti_parameter;

/* What one product y = x W^T reads: one parameter, or several on top of each other. */
typedef struct sgti_matrix {
    int64_t rows;    /* outputs */
    int64_t columns; /* inputs */
    uint64_t offset; /* elements */
    int32_t decoded; /* 1: sessions read it as it is; 0: only batches do */
} sgti_matrix;

/* The parts of a block, in their order. */
enum sgti_block_part { SGTI_ATTENTION, SGTI_FEED_FORWARD, SGTI_BLOCK_PARTS };

/* The indices of the first parameter and of the first matrix of each part of a layer. */
typedef struct sgti_layer_index {
    int32_t parameter[SGTI_BLOCK_PARTS];
    int32_t matrix[SGTI_BLOCK_PARTS];
    int32_t predict; /* how streams are mixed (streams.h), where there are several; correct is the
                        next one */
} sgti_layer_index;

typedef struct sgti_parameters {
    void *memory;  /* one allocation of `bytes` for the lists */
    uint64_t bytes;
    sgti_parameter *list;     /* [count] */
    const sgti_parameter **by_name; /* the same, sorted by name */
    sgti_matrix *matrices;    /* [n_matrices] */
    sgti_layer_index *layers; /* [n_layers] */
    int32_t count;
    int32_t n_matrices;
    int32_t embedding;   /* index of a parameter */
    int32_t final_norm;  /* likewise */
    int32_t head;        /* the head's first one; there is none when it is tied */
    int32_t head_matrix; /* the matrix of the logits; it is the embedding's memory when tied */
    uint64_t elements;   /* of the whole buffer, with the gaps of alignment */
} sgti_parameters;

/* Only counts: *parameters gets its numbers and `bytes`, but no lists. `config` was checked.
 * Errors: SGT_E_OVERFLOW. */
sgt_status sgti_parameters_measure(sgti_parameters *parameters, const sgt_model_config *config);

sgt_status sgti_parameters_create(sgti_parameters *parameters, sgti_memory *memory,
                                  const sgt_model_config *config);
void sgti_parameters_destroy(sgti_parameters *parameters, sgti_memory *memory);

/* The index of the parameter with this name; -1 when there is none. */
int32_t sgti_parameters_find(const sgti_parameters *parameters, const char *name);

#endif
