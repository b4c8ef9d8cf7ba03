/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The product between the normalised stream and the logits, and its gradients. The head is a matrix
 * [V,D], or S modules that share one (sparse loss layer of Scaling Transformers, arXiv 2111.12763):
 *
 *     logits[n, s V/S + m] = sum_i h[n,i] scale[s,i] weight[m,i] + bias[s V/S + m]
 *
 * Each row of h makes S rows h * scale[s], and one product takes all of them:
 *
 *     h [R,D]  ->  modules [R S, D]  ->  logits [R S, V/S], which are the logits [R,V] as they lie
 */
#ifndef SGTI_LOGITS_H
#define SGTI_LOGITS_H

#include "work.h"

/* Where the gradients of the head are collected. */
typedef struct sgti_head_gradients {
    sgt_tensor weight; /* [V/S, D], or [V,D] */
    sgt_tensor scale;  /* [S,D]; of modules, like the next */
    sgt_tensor bias;   /* [V] */
} sgti_head_gradients;

/* Declares the head's parameters. */
void sgti_logits_declare(sgti_placer *placer, const sgt_model_config *config);

/* Takes head->modules and, in a training step, the unscaled gradients head->d_weight .. d_bias.
 * head->chunk_rows is known. */
void sgti_logits_place(sgti_head_place *head, sgti_regions *regions);

/* logits [R,V] from h [R,D]. */
sgt_status sgti_logits_make(const sgti_work *work, const sgt_tensor *logits, const sgt_tensor *h);

/* dh [R,D] becomes the gradient of h. Those of the head are added to what there is; with beta 0
 * there is nothing yet. `logits` are dlogits, made of this h as it still is in head->modules. */
sgt_status sgti_logits_backward(const sgti_work *work, const sgti_head_gradients *gradients,
                                float beta, const sgt_tensor *dh, const sgt_tensor *dlogits,
                                const sgt_tensor *h);

/* The gradients that belong to the parameters, and those that a training step collects first. */
sgti_head_gradients sgti_logits_gradients(const sgti_work *work);
sgti_head_gradients sgti_logits_unscaled(const sgti_work *work);

/* How many weights the head has. */
double sgti_logits_weights(const sgt_model_config *config);

#endif
