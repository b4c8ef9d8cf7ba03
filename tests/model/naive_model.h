/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole model once more, in double, one number after another, as the formulas read: every
 * head of every pass is computed and multiplied by its gain, every unit by its mask. Shares no code
 * with the library but the functions that read weights and plans, and the definition of patterns;
 * so it says what the numbers are. It draws nothing: the hard_fraction of a block is 0 or 1, its
 * temperature 0.
 */
#ifndef SGTT_NAIVE_MODEL_H
#define SGTT_NAIVE_MODEL_H

#include <sgt/model.h>

typedef struct naive_layer {
    double *norm1, *q, *k, *v, *o, *norm2, *gate, *up, *down;
    double *scale, *weight, *bias; /* of modules, like the next two, instead of q, k and v; o is
                                      NULL where heads add by themselves */
    double *kernels[3], *biases[3];
    double *predict, *correct; /* NULL with one stream, as the next three without units, and gate
                                  of a ReLU. All point into naive_model.weights */
    double *controller_down, *controller_up, *controller_bias;
} naive_layer;

/* What hard steps chose, one group after the other: the unit, and the softmax of all. */
typedef struct naive_tape {
    double *numbers;
    int64_t room, count, at;
} naive_tape;

typedef struct naive_model {
    sgt_model_config config;
    sgt_plan *plan;
    int32_t count;    /* parameter tensors, in the library's order */
    double **weights; /* [count] */
    uint64_t *sizes;  /* [count] elements */
    double *embedding, *final_norm, *head;
    double *head_scale, *head_bias; /* NULL unless the head is made of modules */
    naive_layer *layers;
    int evaluates;   /* 1: forwards are evaluations, in which parts choose */
    naive_tape *tape; /* NULL, or what naive_hold recorded */
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

/*
 * From now on hard steps of this batch choose as they do with the weights as they are now, and
 * unit k weighs onehot_k + m_k - (m_k as it is now). So the slope of the loss is its gradient
 * straight through the choice. What a ReLU does not choose stays 0.
 */
void naive_hold(naive_model *naive, const sgt_batch *batch);

#endif
