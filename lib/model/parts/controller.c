/* SPDX-License-Identifier: BSD-3-Clause */
#include "controller.h"

#include <math.h>

#include "../../base/error.h"
#include "../../base/random.h"
#include "../../core/tensors.h"

sgt_status sgti_controller_check(const sgt_model_config *config, const sgt_block_config *block)
{
    if (block->units > config->d_ff || config->d_ff % block->units != 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "units %d do not divide d_ff %d",
                         (int)block->units, (int)config->d_ff);
    if (block->controller_rank < 1)
        return sgti_fail(SGT_E_OUT_OF_RANGE,
                         "controller_rank is %d, must be at least 1 where there are units",
                         (int)block->controller_rank);
    return SGT_OK;
}

/* Its matrices start larger than others: with 0.02 the noise of choices would drown the logits. */
void sgti_controller_declare(sgti_placer *placer, const sgt_model_config *config,
                             const sgt_block_config *block)
{
    const int64_t d = config->d_model, f = config->d_ff, r = block->controller_rank;
    sgti_place_matrix(placer, "mlp.controller.down.weight", r, d);
    sgti_place_std(placer, sqrt(2.0 / (double)(d + r)));
    sgti_place_matrix(placer, "mlp.controller.up.weight", f, r);
    sgti_place_std(placer, sqrt(2.0 / (double)(r + f)));
    sgti_place_vector(placer, "mlp.controller.bias", f, SGTI_INITIAL_ZEROS);
}

/* ---- draws ---- */

/* The seed of everything that this forward draws. */
static uint64_t seed_of(const sgti_work *work)
{
    return sgti_random_seed(work->model->options.seed, SGTI_STREAM_FORWARD, (uint64_t)work->draw);
}

/* A number for each run of each layer. */
static uint64_t number_of(const sgti_part *part)
{
    return (uint64_t)part->layer << 16 | (uint64_t)(part->run & 0xffff);
}

int sgti_controller_is_hard(const sgti_work *work, const sgti_part *part,
                            const sgt_block_config *block)
{
    uint32_t bits[4];
    sgti_random_bits(bits, seed_of(work), SGTI_STREAM_HARD + number_of(part), 0);
    return (bits[0] + 0.5) * 0x1p-32 < block->hard_fraction;
}

/* ---- forward ---- */

static sgt_tensor weight(const sgti_work *work, const sgti_controller *controller,
                         enum sgti_controller_parameter which)
{
    return work->providers->matrix(work, controller->matrix + (int32_t)which);
}

sgt_status sgti_controller_forward(const sgti_work *work, const sgti_part *part,
                                   const sgti_controller *controller, float temperature,
                                   int with_mask)
{
    const sgt_tensor down = weight(work, controller, SGTI_CONTROLLER_DOWN);
    const sgt_tensor up = weight(work, controller, SGTI_CONTROLLER_UP);
    const sgt_tensor bias = sgti_repeated(
        sgti_weight(work->model, controller->parameter + SGTI_CONTROLLER_BIAS), work->rows);
    sgt_status status = sgti_multiply(work, &controller->low, &controller->h, &down, NULL);
    if (status == SGT_OK)
        status = sgti_multiply(work, &controller->logits, &controller->low, &up, &bias);
    if (status)
        return status;
    sgt_choose_args args = {
        .units = controller->units,
        .temperature = temperature,
        .seed = temperature > 0.0f ? seed_of(work) : 0,
        .stream = temperature > 0.0f ? SGTI_STREAM_CHOICES + number_of(part) : 0,
        .logits = &controller->logits,
        .choice = work->remake ? NULL : &controller->choice,
        .mask = with_mask ? &controller->logits : NULL,
    };
    return sgti_choose(work->dispatch, &args);
}

/* ---- backward ---- */

sgt_status sgti_controller_backward(const sgti_work *work, const sgti_controller *controller,
                                    const sgti_controller_backward_args *args)
{
    const sgt_tensor *dz = &controller->logits;
    const sgt_tensor down = weight(work, controller, SGTI_CONTROLLER_DOWN);
    const sgt_tensor up = weight(work, controller, SGTI_CONTROLLER_UP);
    const sgt_tensor d_down =
        sgti_matrix_gradient(work, controller->matrix + SGTI_CONTROLLER_DOWN);
    const sgt_tensor d_bias =
        sgti_gradient(work->model, controller->parameter + SGTI_CONTROLLER_BIAS);
    const sgt_tensor d_up = sgti_matrix_gradient(work, controller->matrix + SGTI_CONTROLLER_UP);
    sgt_choose_backward_args softmax = {.units = controller->units,
                                        .mask = &controller->logits,
                                        .dmask = &args->dmask,
                                        .choice = args->chosen ? &controller->choice : NULL,
                                        .dlogits = dz};
    sgt_status status = sgti_choose_backward(work->dispatch, &softmax);
    if (status == SGT_OK)
        status = sgti_add_column_sums(work, &d_bias, dz, &args->ones);
    if (status == SGT_OK)
        status = sgti_weight_gradient(work, &d_up, 1.0f, dz, &controller->low);
    if (status == SGT_OK)
        status = sgti_input_gradient(work, &args->room, dz, &up);
    if (status == SGT_OK)
        status = sgti_weight_gradient(work, &d_down, 1.0f, &args->room, &controller->h);
    return status ? status
                  : sgti_gemm(work->dispatch, &args->dh, 1.0f, &args->room, &down, 1.0f, NULL);
}

double sgti_controller_weights(const sgt_model_config *config, const sgt_block_config *block)
{
    return (double)block->controller_rank * ((double)config->d_model + config->d_ff);
}
