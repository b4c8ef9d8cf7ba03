/* SPDX-License-Identifier: BSD-3-Clause */
/* Hosts reach parameters by index or name: through views of their memory, or by copies. */
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../core/tensors.h"
#include "model.h"

int32_t sgt_model_n_parameters(const sgt_model *model)
{
    return model ? model->parameters.count : 0;
}

uint64_t sgt_model_n_weights(const sgt_model *model)
{
    uint64_t count = 0;
    for (int32_t i = 0; model && i < model->parameters.count; i++)
        count += model->parameters.list[i].count;
    return count;
}

sgt_status sgt_model_find_parameter(int32_t *index, const sgt_model *model, const char *name)
{
    SGTI_DEFAULT_FLOATS;
    if (!index || !model || !name)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL",
                         !index ? "index" : !model ? "model" : "name");
    int32_t found = sgti_parameters_find(&model->parameters, name);
    if (found < 0)
        return sgti_fail(SGT_E_NOT_FOUND, "the model has no parameter '%s'", name);
    *index = found;
    return SGT_OK;
}

/* Finds the weight or the gradient (`part`) of a parameter, after checking what the host asked
 * for. */
static sgt_status find_tensor(sgt_tensor *tensor, const sgt_model *model, int32_t index,
                              int32_t part)
{
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    if (index < 0 || index >= model->parameters.count)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "parameter %d of a model that has %d", (int)index,
                         (int)model->parameters.count);
    if (part != SGT_PART_WEIGHT && part != SGT_PART_GRADIENT)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "part %d is neither weight (1) nor gradient (2)",
                         (int)part);
    if (part == SGT_PART_GRADIENT && !model->gradients.buffer)
        return sgti_fail(SGT_E_STATE, "there are no gradients before the first training forward");
    *tensor = part == SGT_PART_WEIGHT ? sgti_weight(model, index) : sgti_gradient(model, index);
    return SGT_OK;
}

void sgti_parameter_view(sgt_tensor_view *view, const sgt_model *model, int32_t index,
                         const sgt_tensor *tensor)
{
    const sgti_parameter *parameter = &model->parameters.list[index];
    sgt_tensor_view own = {.size = sizeof own, .dtype = SGT_F32};
    own.name = parameter->name;
    own.rank = parameter->rank;
    for (int32_t i = 0; i < parameter->rank; i++)
        own.shape[i] = parameter->shape[i];
    own.count = parameter->count;
    own.data = sgti_host_address(model->dispatch, tensor);
    sgti_struct_write(view, &own, sizeof own);
}

sgt_status sgt_model_parameter(sgt_tensor_view *view, const sgt_model *model, int32_t index,
                               int32_t part)
{
    SGTI_DEFAULT_FLOATS;
    sgt_tensor tensor;
    sgt_status status = sgti_struct_check(view, SGTI_VIEW_MINIMUM, "sgt_tensor_view");
    if (status)
        return status;
    status = find_tensor(&tensor, model, index, part);
    if (status)
        return status;
    sgti_parameter_view(view, model, index, &tensor);
    return SGT_OK;
}

sgt_status sgti_check_count(const sgt_model *model, int32_t index, const void *values,
                            size_t count)
{
    const sgti_parameter *parameter = &model->parameters.list[index];
    if (!values)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "values is NULL");
    if (count != parameter->count)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "count is %zu, %s has %llu elements", count,
                         parameter->name, (unsigned long long)parameter->count);
    return SGT_OK;
}

sgt_status sgt_model_read_parameter(float *values, size_t count, const sgt_model *model,
                                    int32_t index, int32_t part)
{
    SGTI_DEFAULT_FLOATS;
    sgt_tensor tensor;
    sgt_status status = find_tensor(&tensor, model, index, part);
    if (status)
        return status;
    status = sgti_check_count(model, index, values, count);
    return status ? status : sgti_read(model->dispatch, values, &tensor);
}

sgt_status sgt_model_write_parameter(sgt_model *model, int32_t index, int32_t part,
                                     const float *values, size_t count)
{
    SGTI_DEFAULT_FLOATS;
    sgt_tensor tensor;
    sgt_status status = find_tensor(&tensor, model, index, part);
    if (status)
        return status;
    status = sgti_check_count(model, index, values, count);
    if (status)
        return status;
    if (part == SGT_PART_WEIGHT)
        sgti_model_touch_weights(model);
    else if (model->gradient_state == SGTI_GRADIENTS_ZERO)
        model->gradient_state = SGTI_GRADIENTS_VALID;
    return sgti_write(model->dispatch, &tensor, values);
}
