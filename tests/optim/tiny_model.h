/* SPDX-License-Identifier: BSD-3-Clause */
/* A model of a few hundred weights whose gradients the tests write themselves. */
#ifndef TINY_MODEL_H
#define TINY_MODEL_H

#include "small_training.h"

/* With drawn weights, and gradients that exist (zero, nothing to step on); on the backend of the
 * test run, or on a given one. */
small_training tiny_model_make(void);
small_training tiny_model_make_on(const char *backend);

/* One forward and backward. */
void tiny_model_backward(const small_training *tiny);

/* Sets every gradient: element i of parameter p in step s is scale times a number in [-1,1] that
 * depends on (s, p, i) only; a few are 1e-8 times that. */
void tiny_model_write_gradients(const small_training *tiny, int step, double scale);
double tiny_model_gradient(int step, int32_t parameter, size_t element);

/* The index of a parameter that must be there. */
int32_t tiny_model_find(const small_training *tiny, const char *name);

/* Elements of a parameter, and its weights, gradients or moments in fresh memory. */
size_t tiny_model_count(const small_training *tiny, int32_t parameter);
float *tiny_model_read(const small_training *tiny, int32_t parameter, int32_t part);
float *tiny_model_read_moment(const small_training *tiny, const sgt_optimizer *optimizer,
                              int32_t parameter, int32_t moment);

/* Weights, then both moments, of every parameter in fresh memory; *count: how many numbers. */
float *tiny_model_snapshot(const small_training *tiny, const sgt_optimizer *optimizer,
                           size_t *count);

#endif
