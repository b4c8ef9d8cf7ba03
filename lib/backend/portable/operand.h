/* SPDX-License-Identifier: BSD-3-Clause */
/* Matrices of rows as kernels take them: the address of a row, and NULL for what is not there. */
#ifndef SGTI_OPERAND_H
#define SGTI_OPERAND_H

#include "portable.h"

typedef struct sgti_operand {
    float *data; /* (N,f); NULL: there is none */
    int64_t stride;
} sgti_operand;

/* A choice [N, groups] is dense. */
typedef struct sgti_choice {
    const int32_t *data; /* NULL: there is none */
    int64_t groups;
    int64_t units;
} sgti_choice;

static inline sgti_operand sgti_operand_of(const sgt_tensor *tensor)
{
    return tensor ? (sgti_operand){sgti_data(tensor), tensor->strides[0]} : (sgti_operand){0};
}

static inline float *sgti_row_of(const sgti_operand *operand, int64_t row)
{
    return operand->data ? operand->data + row * operand->stride : NULL;
}

static inline sgti_choice sgti_choice_of(const sgt_tensor *choice, int32_t units)
{
    return choice ? (sgti_choice){sgti_integers(choice), choice->shape[1], units}
                  : (sgti_choice){0};
}

static inline const int32_t *sgti_choice_row(const sgti_choice *choice, int64_t row)
{
    return choice->data + row * choice->groups;
}

#endif
