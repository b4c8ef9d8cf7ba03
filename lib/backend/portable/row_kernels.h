/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inner loops over contiguous elements, compiled once per instruction set. Each runs on one thread
 * and sums in an order that depends on the length only. Arrays need no more alignment than their
 * elements, and do not overlap unless the comment says so.
 */
#ifndef SGTI_ROW_KERNELS_H
#define SGTI_ROW_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "../../base/strict_math.h"

/* The scalars of one AdamW update; the formulas are in <sgt/optimizer.h>. */
typedef struct sgti_adamw_step {
    float grad_scale;
    float beta1;
    float beta2;
    float eps;
    float decay;             /* 1 - lr weight_decay */
    float rate;              /* lr / correction1 */
    float inverse_correction2;
} sgti_adamw_step;

typedef struct sgti_row_kernels {
    const char *isa;

    void (*add)(float *y, const float *x, const float *z, size_t n); /* y = x + z */
    void (*axpy)(float *y, float alpha, const float *x, size_t n);   /* y += alpha x */
    void (*scale)(float *y, float alpha, size_t n);                  /* y *= alpha */
    /* y = x z, and y += x z; x may be z. */
    void (*multiply)(float *y, const float *x, const float *z, size_t n);
    void (*multiply_add)(float *y, const float *x, const float *z, size_t n);
    double (*sum_of_squares)(const float *x, size_t n);

    /* y = w x / sqrt(mean(x^2) + eps); y may be x. */
    void (*rmsnorm)(float *y, const float *x, const float *weight, float eps, size_t d);
    /* Adds the gradients that follow from dy to dx and to dweight. */
    void (*rmsnorm_backward)(float *dx, float *dweight, const float *dy, const float *x,
                             const float *weight, float eps, size_t d);

    /* Rotates the pairs (x[i], x[half + i]) by the angles; direction -1 turns back. */
    void (*rope)(float *x, const float *cosine, const float *sine, float direction, size_t half);

    /* Returns -ln softmax(logits)[target], and gives its gradient unless dlogits is NULL; dlogits
     * may be logits. */
    float (*cross_entropy)(float *dlogits, const float *logits, size_t target, size_t n);

    /* One pass over parameters, gradients (set to zero) and both moments. */
    void (*adamw)(const sgti_adamw_step *step, float *param, float *grad, float *moment1,
                  float *moment2, size_t n);

    /* To nearest even; NaN stays NaN. */
    void (*f32_to_bf16)(uint16_t *y, const float *x, size_t n);
    void (*f32_to_f16)(uint16_t *y, const float *x, size_t n);
    void (*bf16_to_f32)(float *y, const uint16_t *x, size_t n);
    void (*f16_to_f32)(float *y, const uint16_t *x, size_t n);
} sgti_row_kernels;

/* row_kernels.c gives the table of SGTI_ISA; only baseline exists for every processor. */
extern const sgti_row_kernels sgti_row_kernels_baseline;
extern const sgti_row_kernels sgti_row_kernels_avx2;
extern const sgti_row_kernels sgti_row_kernels_avx512;

#endif
