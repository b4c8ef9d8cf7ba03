/* SPDX-License-Identifier: BSD-3-Clause */
/* The masks and choices that activations get, for tests of them. */
#ifndef SGTT_OP_MASKS_H
#define SGTT_OP_MASKS_H

#include "op_harness.h"

enum sgtt_mask_kind { SGTT_NO_MASK, SGTT_MASK, SGTT_CHOICE, SGTT_MASK_KINDS };

typedef struct sgtt_mask {
    sgtt_tensor *mask;   /* NULL: the other, or neither */
    sgtt_tensor *choice;
    int32_t units;       /* 0: no choice */
    double *values;      /* [rows, columns] of ones where there is neither */
} sgtt_mask;

/* A divisor of columns: 1, all of them, the least that makes a choice, or any, each as often. */
int32_t sgtt_pick_units(sgtt_machine *m, int64_t columns);

/* A mask between -0.5 and 1 with some zeros, or a choice with any number of units. */
sgtt_mask sgtt_pick_mask(sgtt_machine *m, enum sgtt_mask_kind kind, enum sgtt_layout layout,
                         int64_t rows, int64_t columns);

/* A choice [rows, groups] of units below `units`. */
sgtt_tensor *sgtt_random_choice(sgtt_machine *m, int64_t rows, int64_t groups, int32_t units);

static inline const sgt_tensor *sgtt_given(const sgtt_tensor *tensor)
{
    return tensor ? &tensor->t : NULL;
}

/* The products of the elements of two arrays. */
double *sgtt_products(sgtt_machine *m, const double *a, const double *b, int64_t count);

/* 1 when swiglu declines masks and nothing can stand in, because memory is not visible: no model
 * has masks then. */
int sgtt_declines_masks(sgtt_machine *m);

#endif
