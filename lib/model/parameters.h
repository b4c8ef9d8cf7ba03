/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which parameter tensors a model has, in which order, and where they lie in the weight buffer
 * (gradients and moments use the same offsets). Per layer: norm1, q, k, v, o, norm2, gate, up,
 * down. q|k|v and gate|up lie next to each other without gaps, so that one product serves them.
 */
#ifndef SGTI_PARAMETERS_H
#define SGTI_PARAMETERS_H

#include <sgt/model.h>

#include "../base/memory.h"

#define SGTI_PARAMETER_NAME 72

enum sgti_layer_parameter {
    SGTI_NORM1,
    SGTI_Q,
    SGTI_K,
    SGTI_V,
    SGTI_O,
    SGTI_NORM2,
    SGTI_GATE,
    SGTI_UP,
    SGTI_DOWN,
    SGTI_PER_LAYER
};

typedef struct sgti_parameter {
    uint64_t offset; /* elements */
    uint64_t count;
    int32_t rank;
    int64_t shape[2];
    char name[SGTI_PARAMETER_NAME];
} sgti_parameter;

typedef struct sgti_parameters {
    sgti_parameter *list;
    const sgti_parameter **by_name; /* the same, sorted */
    int32_t count;
    int32_t embedding;
    int32_t final_norm;
    int32_t head; /* the embedding's index when tied */
    uint64_t elements; /* of the whole buffer, with the gaps of alignment */
} sgti_parameters;

/* The index of a layer's parameter. */
static inline int32_t sgti_layer_parameter(int32_t layer, enum sgti_layer_parameter which)
{
    return 1 + layer * SGTI_PER_LAYER + (int32_t)which;
}

/* How many tensors a config has, and the elements of the buffer; config is checked. Errors:
 * SGT_E_OVERFLOW. */
sgt_status sgti_parameters_measure(int32_t *count, uint64_t *elements,
                                   const sgt_model_config *config);

sgt_status sgti_parameters_create(sgti_parameters *parameters, sgti_memory *memory,
                                  const sgt_model_config *config);
void sgti_parameters_destroy(sgti_parameters *parameters, sgti_memory *memory);

/* What `count` of them take in lists. */
uint64_t sgti_parameters_bytes(int32_t count);

/* The index of the one with this name, -1 when there is none. */
int32_t sgti_parameters_find(const sgti_parameters *parameters, const char *name);

#endif
