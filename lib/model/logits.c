/* SPDX-License-Identifier: BSD-3-Clause */
#include "logits.h"

#include <math.h>

#include "../core/tensors.h"
#include "config.h"

/* ---- what it is made of ---- */

static void declare_modules(sgti_placer *placer, const sgt_model_config *config)
{
    const int64_t v = config->vocab_size, d = sgti_table_width(config), s = config->head_modules;
    sgti_place_table(placer, "lm_head.scale", s, d);
    sgti_place_std(placer, 0.5);
    sgti_place_undecayed(placer);
    sgti_place_matrix(placer, "lm_head.weight", v / s, d);
    sgti_place_spread(placer, 2.0);
    sgti_place_vector(placer, "lm_head.bias", v, SGTI_INITIAL_ZEROS);
}

void sgti_logits_declare(sgti_placer *placer, const sgt_model_config *config)
{
    const int64_t v = config->vocab_size, d = sgti_table_width(config);
    placer->into->head = placer->into->count;
    if (config->head_modules > 0) {
        declare_modules(placer, config);
        return;
    }
    /* Where it reads several streams it starts smaller, so that logits start as with one. */
    sgti_place_matrix(placer, "lm_head.weight", v, d);
    sgti_place_spread(placer, 1.0 / sqrt((double)(d / config->d_model)));
}

void sgti_logits_place(sgti_head_place *head, sgti_regions *regions)
{
    const sgt_model_config *config = regions->shape->config;
    const int64_t v = config->vocab_size, d = sgti_table_width(config), s = config->head_modules;
    const int collects = regions->shape->mode == SGTI_TRAIN_LOSS;
    if (s > 0)
        head->modules = sgti_take_scratch(regions, head->chunk_rows * s, d);
    if (s > 0 && sgti_is_training(regions->shape))
        head->ones = sgti_take_scratch(regions, 1, v);
    if (collects)
        head->d_weight = sgti_take(regions, SGTI_KEPT, s > 0 ? v / s : v, d, SGT_F32);
    if (collects && s > 0) {
        head->d_scale = sgti_take(regions, SGTI_KEPT, s, d, SGT_F32);
        head->d_bias = sgti_take(regions, SGTI_KEPT, 1, v, SGT_F32);
    }
}

double sgti_logits_weights(const sgt_model_config *config)
{
    const double v = config->vocab_size, d = (double)sgti_table_width(config);
    const double s = config->head_modules;
    return s > 0.0 ? v / s * d + s * d + v : v * d;
}

/* ---- tensors ---- */

enum { SCALE, WEIGHT, BIAS };

static int64_t modules_of(const sgti_work *work)
{
    return work->config->head_modules;
}

static sgt_tensor parameter(const sgti_work *work, int32_t which)
{
    return sgti_weight(work->model, work->model->parameters.head + which);
}

static sgt_tensor matrix(const sgti_work *work)
{
    return work->providers->matrix(work, work->model->parameters.head_matrix);
}

/* The rows of all modules of h [R,D], as a matrix [R S, D]. */
static sgt_tensor module_rows(const sgti_work *work, const sgt_tensor *h)
{
    return sgti_rows(sgti_at(work, &work->layout->head.modules), 0,
                     h->shape[0] * modules_of(work));
}

/* The same as [R,S,D], and logits [R,V] as [R S, V/S]. */
static sgt_tensor by_module(const sgt_tensor *dense, int64_t rows, int64_t columns)
{
    return sgti_tensor_3d(dense->buffer, dense->offset, rows, dense->shape[0] / rows, columns);
}

static sgt_tensor by_rows(const sgti_work *work, const sgt_tensor *logits)
{
    const int64_t s = modules_of(work);
    return sgti_tensor_2d(logits->buffer, logits->offset, logits->shape[0] * s,
                          logits->shape[1] / s);
}

sgti_head_gradients sgti_logits_gradients(const sgti_work *work)
{
    const int32_t head = work->model->parameters.head;
    sgti_head_gradients gradients = {
        .weight = sgti_matrix_gradient(work, work->model->parameters.head_matrix)};
    if (modules_of(work) > 0) {
        gradients.scale = sgti_gradient(work->model, head + SCALE);
        gradients.bias = sgti_gradient(work->model, head + BIAS);
    }
    return gradients;
}

sgti_head_gradients sgti_logits_unscaled(const sgti_work *work)
{
    const sgti_head_place *head = &work->layout->head;
    sgti_head_gradients gradients = {.weight = sgti_at(work, &head->d_weight)};
    if (modules_of(work) > 0) {
        gradients.scale = sgti_at(work, &head->d_scale);
        gradients.bias = sgti_tensor_flat(sgti_at(work, &head->d_bias));
    }
    return gradients;
}

/* ---- products ---- */

sgt_status sgti_logits_make(const sgti_work *work, const sgt_tensor *logits, const sgt_tensor *h)
{
    const sgt_tensor w = matrix(work);
    if (modules_of(work) == 0)
        return sgti_multiply(work, logits, h, &w, NULL);
    const sgt_tensor scale = parameter(work, SCALE), rows = module_rows(work, h);
    const sgt_tensor bias = sgti_repeated(parameter(work, BIAS), logits->shape[0]);
    const sgt_tensor products = by_module(&rows, h->shape[0], h->shape[1]);
    const sgt_tensor by_rows_of = by_rows(work, logits);
    sgt_row_products_args args = {.x = h, .y = &scale, .out = &products};
    sgt_status status = sgti_row_products(work->dispatch, &args);
    if (status == SGT_OK)
        status = sgti_copy(work->dispatch, logits, &bias);
    return status ? status : sgti_multiply(work, &by_rows_of, &rows, &w, &by_rows_of);
}

static sgt_status modules_backward(const sgti_work *work, const sgti_head_gradients *gradients,
                                   float beta, const sgt_tensor *dh, const sgt_tensor *dlogits,
                                   const sgt_tensor *h)
{
    const sgt_tensor w = matrix(work), scale = parameter(work, SCALE);
    const sgt_tensor rows = module_rows(work, h), dl = by_rows(work, dlogits);
    const sgt_tensor products = by_module(&rows, h->shape[0], h->shape[1]);
    const sgt_tensor ones = sgti_at(work, &work->layout->head.ones);
    sgt_row_products_backward_args args = {
        .x = h, .y = &scale, .dout = &products, .dx = dh, .dy = &gradients->scale};
    sgt_status status = beta == 0.0f ? sgti_fill(work->dispatch, &gradients->scale, 0.0) : SGT_OK;
    if (status == SGT_OK && beta == 0.0f)
        status = sgti_fill(work->dispatch, &gradients->bias, 0.0);
    if (status == SGT_OK)
        status = sgti_add_column_sums(work, &gradients->bias, dlogits, &ones);
    if (status == SGT_OK)
        status = sgti_weight_gradient(work, &gradients->weight, beta, &dl, &rows);
    if (status == SGT_OK) /* the rows are not needed any more: their gradient takes their place */
        status = sgti_input_gradient(work, &rows, &dl, &w);
    if (status == SGT_OK)
        status = sgti_fill(work->dispatch, dh, 0.0);
    return status ? status : sgti_row_products_backward(work->dispatch, &args);
}

sgt_status sgti_logits_backward(const sgti_work *work, const sgti_head_gradients *gradients,
                                float beta, const sgt_tensor *dh, const sgt_tensor *dlogits,
                                const sgt_tensor *h)
{
    const sgt_tensor w = matrix(work);
    if (modules_of(work) > 0)
        return modules_backward(work, gradients, beta, dh, dlogits, h);
    sgt_status status = sgti_input_gradient(work, dh, dlogits, &w);
    return status ? status
                  : sgti_weight_gradient(work, &gradients->weight, beta, dlogits, h);
}
