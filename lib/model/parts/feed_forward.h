/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What feed-forward parts share: their weights in the order of their numbers, and the elementwise
 * middle between their products. It has two inputs side by side, gate | up, for SwiGLU, and one,
 * up, for ReLU.
 */
#ifndef SGTI_FEED_FORWARD_H
#define SGTI_FEED_FORWARD_H

#include "../work.h"

enum sgti_feed_forward_matrix {
    SGTI_MATRIX_IN,  /* [inputs f, d] */
    SGTI_MATRIX_DOWN /* [d, f] */
};

/* How many inputs the middle has. */
int32_t sgti_feed_forward_inputs(const sgt_block_config *block);

/* Declares the norm and the matrix of the inputs. What follows is the kind's. */
void sgti_feed_forward_declare(sgti_placer *placer, const sgt_model_config *config);

/* Which units count, and how much: a mask, a choice, or neither (all). */
typedef struct sgti_selection {
    const sgt_tensor *mask;   /* [N,f] */
    const sgt_tensor *choice; /* int32 [N, f/units] */
    int32_t units;            /* of a choice */
} sgti_selection;

/* out [N,f] = the middle of in [N, inputs f]. out may be the first columns of in. */
sgt_status sgti_activate(const sgti_work *work, int32_t inputs, const sgt_tensor *in,
                         const sgti_selection *selection, const sgt_tensor *out);

/* Turns in into its gradient, out from the gradient of the middle's output into that output, and
 * makes the gradient of the mask unless dmask is NULL. */
sgt_status sgti_activate_backward(const sgti_work *work, int32_t inputs, const sgt_tensor *in,
                                  const sgti_selection *selection, const sgt_tensor *out,
                                  const sgt_tensor *dmask);

#endif
