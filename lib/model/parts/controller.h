/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The controller of a sparse feed-forward part (Scaling Transformers, arXiv 2111.12763): from h it
 * makes logits for all f units, z = Cup (Cdown h) + bias, and chooses one of each group of `units`.
 *
 *     m      = softmax of z within each group
 *     choice = argmax of z in each group; in a hard step of z + temperature g, g Gumbel noise
 *
 * Whether a part is hard is drawn once for each run and forward.
 */
#ifndef SGTI_CONTROLLER_H
#define SGTI_CONTROLLER_H

#include "../work.h"

/* The numbers of its parameters and matrices, from the first of the controller on. */
enum sgti_controller_parameter { SGTI_CONTROLLER_DOWN, SGTI_CONTROLLER_UP, SGTI_CONTROLLER_BIAS };

typedef struct sgti_controller {
    int32_t parameter; /* index of its first one */
    int32_t matrix;    /* likewise */
    sgt_tensor h;      /* [N,d] */
    sgt_tensor low;    /* [N,r] Cdown h */
    sgt_tensor logits; /* [N,f] z, which m may take the place of */
    sgt_tensor choice; /* int32 [N, f/units] */
    int32_t units;
} sgti_controller;

/* Refuses units that do not divide d_ff, and a rank of 0. */
sgt_status sgti_controller_check(const sgt_model_config *config, const sgt_block_config *block);

void sgti_controller_declare(sgti_placer *placer, const sgt_model_config *config,
                             const sgt_block_config *block);

/* 1 when this run of the part is hard in the training forward work->draw. */
int sgti_controller_is_hard(const sgti_work *work, const sgti_part *part,
                            const sgt_block_config *block);

/* Makes low, z, and of it m in place of z where it is wanted, and the choice, unless a remade
 * forward has it already. */
sgt_status sgti_controller_forward(const sgti_work *work, const sgti_part *part,
                                   const sgti_controller *controller, float temperature,
                                   int with_mask);

typedef struct sgti_controller_backward_args {
    sgt_tensor dmask; /* the gradient of m [N,f], */
    int chosen;       /* or 1: [N, f/units], that of the chosen units alone */
    sgt_tensor dh;    /* [N,d] */
    sgt_tensor room;  /* [N,r] scratch */
    sgt_tensor ones;  /* [1,f] scratch */
} sgti_controller_backward_args;

/* Adds to the gradients of the controller and to dh. m becomes the gradient of z. */
sgt_status sgti_controller_backward(const sgti_work *work, const sgti_controller *controller,
                                    const sgti_controller_backward_args *args);

/* Its weights. */
double sgti_controller_weights(const sgt_model_config *config, const sgt_block_config *block);

#endif
