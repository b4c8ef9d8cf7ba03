/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole model once more, in double, one number after another, as the formulas read: every
 * head of every pass is computed and multiplied by its gain. Shares no code with the library but
 * the functions that read weights and plans, and the definition of patterns; so it says what the
 * numbers are.
 */
#ifndef SGTT_NAIVE_MODEL_H
#define SGTT_NAIVE_MODEL_H

#include <sgt/model.h>

typedef struct naive_layer {
    double *norm1, *q, *k, *v, *o, *norm2, *gate, *up, *down;
    double *scale, *weight, *bias; /* of modules, like the next two, instead of q, k and v; o is
                                      NULL where heads add by themselves */
    double *kernels[3], *biases[3];
    double *predict, *correct; /* NULL with one stream. All point into naive_model.weights */
} naive_layer;

typedef struct naive_model {
    sgt_model_config config;
    sgt_plan *plan;
    int32_t count;    /* parameter tensors, in the library's order */
    double **weights; /* [count] */
    uint64_t *sizes;  /* [count] elements */
    double *embedding, *final_norm, *head;
    naive_layer *layers;
} naive_model;

typedef struct naive_result {
    double loss_sum;
    int64_t count;
    double *losses;     /* [N] */
    double *logits;     /* [N,V] */
    int32_t max_passes;
    double *entropy[2]; /* last, mean: [n_layers, max_passes, n_heads], NaN where gain is 0 */
} naive_result;

/* A copy of a model's weights and plan as they are now. */
naive_model *naive_create(const sgt_model *model);
void naive_free(naive_model *naive);

/* Allocates what *result holds. */
void naive_forward(naive_result *result, const naive_model *naive, const sgt_batch *batch);
void naive_result_free(naive_result *result);

/* Only the sum of losses. */
double naive_loss(const naive_model *naive, const sgt_batch *batch);

#endif
