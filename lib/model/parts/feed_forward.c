/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Feed-forward parts in which every unit counts, and their gradients, with h = RMSNorm2(x):
 *
 *     swiglu   y = x + Wdown (silu(Wgate h) * (Wup h))     the standard one
 *     relu     y = x + Wdown max(0, Wup h)
 *
 * in [N, inputs f] holds the products of h side by side.
 */
#include "feed_forward.h"

#include "../../core/tensors.h"
#include "blocks.h"

enum parameter { NORM };
enum region {
    IN,  /* [N, inputs f] */
    H,   /* [N,d] output of the norm; this and all below are scratch */
    ACT, /* [N,f] output of the middle, or its gradient; training */
    DH,  /* [N,d] */
    NORM_SCRATCH
};

/* ---- what feed-forward parts share ---- */

int32_t sgti_feed_forward_inputs(const sgt_block_config *block)
{
    return block->feed_forward == SGT_FEED_FORWARD_SWIGLU ? 2 : 1;
}

static int32_t inputs_of(const sgt_model_config *config, int32_t layer)
{
    const sgt_block_config block = sgti_block_config_of(config, layer);
    return sgti_feed_forward_inputs(&block);
}

void sgti_feed_forward_declare(sgti_placer *placer, const sgt_model_config *config)
{
    static const char *const names[] = {"mlp.gate_proj.weight", "mlp.up_proj.weight"};
    const int64_t d = config->d_model, ff = config->d_ff, rows[] = {ff, ff};
    const int32_t inputs = inputs_of(config, placer->layer);
    sgti_place_vector(placer, "post_attention_layernorm.weight", d, SGTI_INITIAL_ONES);
    sgti_place_matrices(placer, names + 2 - inputs, rows, inputs, d);
}

/* Input number i [N,f] of all of them [N, inputs f]. */
static sgt_tensor input_of(const sgt_tensor *in, int32_t inputs, int32_t i)
{
    const int64_t f = in->shape[1] / inputs;
    return sgti_columns(*in, i * f, f);
}

sgt_status sgti_activate(const sgti_work *work, int32_t inputs, const sgt_tensor *in,
                         const sgti_selection *selection, const sgt_tensor *out)
{
    const sgt_tensor first = input_of(in, inputs, 0), last = input_of(in, inputs, inputs - 1);
    if (inputs == 2) {
        sgt_swiglu_args args = {.gate = &first,
                                .up = &last,
                                .out = out,
                                .mask = selection->mask,
                                .choice = selection->choice,
                                .units = selection->choice ? selection->units : 0};
        return sgti_swiglu(work->dispatch, &args);
    }
    sgt_relu_args args = {.units = selection->choice ? selection->units : 0,
                          .x = &first,
                          .out = out,
                          .mask = selection->mask,
                          .choice = selection->choice};
    return sgti_relu(work->dispatch, &args);
}

sgt_status sgti_activate_backward(const sgti_work *work, int32_t inputs, const sgt_tensor *in,
                                  const sgti_selection *selection, const sgt_tensor *out,
                                  const sgt_tensor *dmask)
{
    const sgt_tensor first = input_of(in, inputs, 0), last = input_of(in, inputs, inputs - 1);
    if (inputs == 2) {
        sgt_swiglu_backward_args args = {.gate = &first,
                                         .up = &last,
                                         .dout = out,
                                         .dgate = &first,
                                         .dup = &last,
                                         .out = out,
                                         .mask = selection->mask,
                                         .choice = selection->choice,
                                         .dmask = dmask,
                                         .units = selection->choice ? selection->units : 0};
        return sgti_swiglu_backward(work->dispatch, &args);
    }
    sgt_relu_backward_args args = {.units = selection->choice ? selection->units : 0,
                                   .x = &first,
                                   .dout = out,
                                   .dx = &first,
                                   .out = out,
                                   .mask = selection->mask,
                                   .choice = selection->choice,
                                   .dmask = dmask};
    return sgti_relu_backward(work->dispatch, &args);
}

/* ---- the parts ---- */

static const sgti_selection everything = {0};

static void declare(sgti_placer *placer, const sgt_model_config *config)
{
    sgti_feed_forward_declare(placer, config);
    sgti_place_residual(placer, "mlp.down_proj.weight", config->d_model, config->d_ff);
}

static void place(sgti_part *part, sgti_regions *regions)
{
    const sgt_model_config *config = regions->shape->config;
    const int64_t d = config->d_model, ff = config->d_ff;
    part->own[IN] = sgti_take_activation(regions, inputs_of(config, part->layer) * ff);
    part->own[H] = sgti_take_scratch(regions, 0, d);
    if (!sgti_is_training(regions->shape))
        return;
    part->own[ACT] = sgti_take_scratch(regions, 0, ff);
    part->own[DH] = sgti_take_scratch(regions, 0, d);
    part->own[NORM_SCRATCH] = sgti_take_scratch(regions, SGT_RMSNORM_PARTS, d);
}

static sgt_tensor weight(const sgti_work *work, const sgti_part *part, int32_t matrix)
{
    return work->providers->matrix(work, sgti_part_matrix(work, part, matrix));
}

/* Makes h and the inputs from x. */
static sgt_status expand(const sgti_work *work, const sgti_part *part)
{
    sgt_tensor x = sgti_at(work, &part->x), h = sgti_at(work, &part->own[H]);
    sgt_tensor in = sgti_at(work, &part->own[IN]);
    sgt_tensor w = weight(work, part, SGTI_MATRIX_IN);
    sgt_status status =
        sgti_norm_forward(work, &h, &x, sgti_part_parameter(work, part, NORM));
    return status ? status : sgti_multiply(work, &in, &h, &w, NULL);
}

static sgt_status forward(const sgti_work *work, const sgti_part *part)
{
    sgt_status status = expand(work, part);
    if (status || work->remake)
        return status;
    const int32_t inputs = inputs_of(work->config, part->layer);
    const sgt_tensor in = sgti_at(work, &part->own[IN]);
    /* Backward needs the inputs as they are; where none follows, the result may lie over them. */
    const sgt_tensor act = sgti_is_training(&work->layout->shape)
                               ? sgti_at(work, &part->own[ACT]) : input_of(&in, inputs, 0);
    status = sgti_activate(work, inputs, &in, &everything, &act);
    if (status)
        return status;
    sgt_tensor x = sgti_at(work, &part->x), y = sgti_at(work, &part->y);
    sgt_tensor w = weight(work, part, SGTI_MATRIX_DOWN);
    return sgti_multiply(work, &y, &act, &w, &x);
}

/* Turns the inputs into their gradient and adds the gradient of Wdown. act is first the gradient of
 * the middle's output; the kernel then puts that output there, which the gradient of Wdown
 * needs. */
static sgt_status down_backward(const sgti_work *work, const sgti_part *part)
{
    sgt_tensor dy = sgti_at(work, &work->layout->dx);
    sgt_tensor act = sgti_at(work, &part->own[ACT]), in = sgti_at(work, &part->own[IN]);
    sgt_tensor w = weight(work, part, SGTI_MATRIX_DOWN);
    sgt_tensor dw = sgti_matrix_gradient(work, sgti_part_matrix(work, part, SGTI_MATRIX_DOWN));
    sgt_status status = sgti_input_gradient(work, &act, &dy, &w);
    if (status)
        return status;
    status = sgti_activate_backward(work, inputs_of(work->config, part->layer), &in, &everything,
                                    &act, NULL);
    return status ? status : sgti_weight_gradient(work, &dw, 1.0f, &dy, &act);
}

static sgt_status backward(const sgti_work *work, const sgti_part *part)
{
    int32_t norm = sgti_part_parameter(work, part, NORM);
    sgt_status status = down_backward(work, part);
    if (status)
        return status;
    sgt_tensor x = sgti_at(work, &part->x), dx = sgti_at(work, &work->layout->dx);
    sgt_tensor h = sgti_at(work, &part->own[H]), dh = sgti_at(work, &part->own[DH]);
    status = sgti_norm_forward(work, &h, &x, norm);
    if (status)
        return status;
    sgt_tensor d_in = sgti_at(work, &part->own[IN]);
    sgt_tensor w = weight(work, part, SGTI_MATRIX_IN);
    sgt_tensor dw = sgti_matrix_gradient(work, sgti_part_matrix(work, part, SGTI_MATRIX_IN));
    status = sgti_weight_gradient(work, &dw, 1.0f, &d_in, &h);
    if (status)
        return status;
    status = sgti_input_gradient(work, &dh, &d_in, &w);
    return status ? status
                  : sgti_norm_backward(work, &dx, &dh, &x, norm, &part->own[NORM_SCRATCH]);
}

static void count_flops(sgt_flops *flops, const sgti_flops_query *query)
{
    const double inputs = inputs_of(query->config, query->layer);
    const double weights = (inputs + 1.0) * query->config->d_model * query->config->d_ff;
    flops->feed_forward += 2.0 * weights;
    flops->weight_bytes += 4.0 * (weights + query->config->d_model);
}

#define FEED_FORWARD(called, units)                                                                \
    {                                                                                              \
        .name = called,                                                                            \
        .slot = SGTI_FEED_FORWARD,                                                                 \
        .with_units = &units,                                                                      \
        .parameters = declare,                                                                     \
        .place = place,                                                                            \
        .forward = forward,                                                                        \
        .backward = backward,                                                                      \
        .flops = count_flops,                                                                      \
    }

const sgti_part_kind sgti_swiglu_feed_forward = FEED_FORWARD("swiglu", sgti_swiglu_of_units);
const sgti_part_kind sgti_relu_feed_forward = FEED_FORWARD("relu", sgti_relu_of_units);
