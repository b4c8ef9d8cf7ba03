/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gradients of the operations against finite differences of the double-precision forward: with a
 * loss sum_i c_i f(x)_i, each component of the gradient is a central difference. Nothing here uses
 * a gradient that was derived by hand.
 */
#ifndef SGTT_OP_GRADIENTS_H
#define SGTT_OP_GRADIENTS_H

#include "op_harness.h"

/* The forward of a case on its own arrays; returns sum_i c_i f_i. */
typedef double (*sgtt_loss_fn)(void *context);

/* The gradient with respect to x [n], an array of the case. */
double *sgtt_differences(sgtt_machine *m, double *x, int64_t n, sgtt_loss_fn loss, void *context);

double sgtt_weighted_sum(const double *c, const double *f, int64_t n);

sgtt_tensor *sgtt_zero_matrix(sgtt_machine *m, int64_t rows, int64_t columns);

/* A test of swiglu_backward with a mask. */
void sgtt_masked_swiglu_gradient(sgtt_machine *m);

#endif
