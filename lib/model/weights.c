/* SPDX-License-Identifier: BSD-3-Clause */
/* Weights and gradients as tensors; and how it becomes known that weights have changed: by a new
 * generation, which is compared wherever something was made from weights. */
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../core/tensors.h"
#include "model.h"

static sgt_tensor tensor_of(const sgti_storage *storage, const sgti_parameter *parameter)
{
    return sgti_tensor_dense(storage->buffer, parameter->offset, parameter->rank,
                             parameter->shape);
}

sgt_tensor sgti_weight(const sgt_model *model, int32_t index)
{
    return tensor_of(&model->weights, &model->parameters.list[index]);
}

sgt_tensor sgti_gradient(const sgt_model *model, int32_t index)
{
    return tensor_of(&model->gradients, &model->parameters.list[index]);
}

sgt_tensor sgti_matrix_weight(const sgt_model *model, int32_t number)
{
    const sgti_matrix *matrix = &model->parameters.matrices[number];
    return sgti_tensor_2d(model->weights.buffer, matrix->offset, matrix->rows, matrix->columns);
}

void sgti_model_touch_weights(sgt_model *model)
{
    atomic_fetch_add(&model->shared->generation, 1);
    model->state = SGTI_IDLE;
}

sgt_status sgt_model_weights_changed(sgt_model *model)
{
    SGTI_DEFAULT_FLOATS;
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    sgti_model_touch_weights(model);
    return SGT_OK;
}

uint64_t sgt_model_generation(const sgt_model *model)
{
    return model ? atomic_load(&model->shared->generation) : 0;
}

/* Evaluations may come in several threads: the first of them prepares under the lock, the others
 * wait until that is done. */
sgt_status sgti_model_prepare_weights(const sgt_model *model)
{
    sgti_model_shared *shared = model->shared;
    sgt_status status = SGT_OK;
    sgti_lock_take(&shared->lock);
    uint64_t generation = atomic_load(&shared->generation);
    if (shared->prepared_generation != generation) {
        for (int32_t i = 0; i < model->parameters.n_matrices && status == SGT_OK; i++) {
            sgt_tensor weight = sgti_matrix_weight(model, i);
            status = sgti_prepare_weight(model->dispatch, &weight);
        }
        if (status == SGT_OK)
            shared->prepared_generation = generation;
    }
    sgti_lock_give(&shared->lock);
    return status;
}
