/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens a checkpoint, checks that it is complete, and tells what is in it. */
#include "checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../base/text.h"
#include "../model/config.h"

#define INFO_MINIMUM SGTI_SIZE_THROUGH(sgt_checkpoint_info, reserved)

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Lists the host's keys, sorted. */
static sgt_status list_keys(sgt_checkpoint *checkpoint)
{
    size_t prefix = strlen(SGTI_HOST_PREFIX);
    const char *key;
    json_t *value;
    void *keys = NULL;
    json_object_foreach(checkpoint->file.metadata, key, value)
        checkpoint->n_values += strncmp(key, SGTI_HOST_PREFIX, prefix) == 0;
    sgt_status status = sgti_allocate_zeroed(&keys, &checkpoint->context->memory,
                                             checkpoint->n_values, sizeof *checkpoint->keys,
                                             "the keys of a checkpoint");
    if (status)
        return status;
    checkpoint->keys = keys;
    uint64_t i = 0;
    json_object_foreach(checkpoint->file.metadata, key, value) {
        if (strncmp(key, SGTI_HOST_PREFIX, prefix) == 0)
            checkpoint->keys[i++] = key + prefix;
    }
    if (i > 1)
        qsort(checkpoint->keys, (size_t)i, sizeof *checkpoint->keys, by_name);
    return SGT_OK;
}

/* Checks that the file has a tensor for every parameter, named like it with a prefix. */
static sgt_status check_tensors(const sgti_safetensors *file, const sgti_parameters *parameters,
                                const char *prefix)
{
    for (int32_t i = 0; i < parameters->count; i++) {
        char name[SGTI_PARAMETER_NAME + sizeof SGTI_MOMENT1];
        const sgti_parameter *parameter = &parameters->list[i];
        const sgti_st_tensor *tensor;
        sgti_format(name, sizeof name, "%s%s", prefix, parameter->name);
        sgt_status status = sgti_require_tensor(&tensor, file, name);
        if (status == SGT_OK)
            status = sgti_check_shape(file, tensor, parameter->rank, parameter->shape);
        if (status)
            return status;
    }
    return SGT_OK;
}

static int is_known(const sgti_parameters *parameters, const char *name)
{
    static const char *const stems[] = {"", SGTI_MOMENT1, SGTI_MOMENT2};
    static const char *const others[] = {"optimizer.factors", "entropy.last", "entropy.mean",
                                         "plan", "growth.policy"};
    for (size_t i = 0; i < sizeof stems / sizeof stems[0]; i++) {
        size_t length = strlen(stems[i]);
        if (strncmp(name, stems[i], length) == 0 &&
            sgti_parameters_find(parameters, name + length) >= 0)
            return 1;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(name, others[i]) == 0)
            return 1;
    }
    return 0;
}

/* Refuses tensors that are not known here. They belong to a model of a newer libsgt, which without
 * them would be another model. */
static sgt_status refuse_strangers(const sgti_safetensors *file, const sgti_parameters *parameters)
{
    for (uint64_t i = 0; i < file->count; i++) {
        if (!is_known(parameters, file->tensors[i].name))
            return sgti_fail(SGT_E_VERSION,
                             "%s: tensor '%.120s' is not known to this libsgt %s: a newer one "
                             "wrote it",
                             file->path, file->tensors[i].name, sgt_version());
    }
    return SGT_OK;
}

/* Checks that the file has the tensors that its configuration asks for, and no others: so a model
 * is only made of a file that is complete. */
static sgt_status check_table(const sgt_checkpoint *checkpoint)
{
    sgti_memory *memory = &checkpoint->context->memory;
    sgti_parameters parameters = {0};
    sgt_status status = sgti_parameters_create(&parameters, memory, &checkpoint->numbers.config);
    if (status)
        return status;
    status = check_tensors(&checkpoint->file, &parameters, "");
    if (status == SGT_OK && checkpoint->numbers.has_optimizer)
        status = check_tensors(&checkpoint->file, &parameters, SGTI_MOMENT1);
    if (status == SGT_OK && checkpoint->numbers.has_optimizer)
        status = check_tensors(&checkpoint->file, &parameters, SGTI_MOMENT2);
    if (status == SGT_OK)
        status = refuse_strangers(&checkpoint->file, &parameters);
    sgti_parameters_destroy(&parameters, memory);
    return status;
}

sgt_status sgt_checkpoint_open(sgt_checkpoint **checkpoint, sgt_context *context, const char *path)
{
    SGTI_DEFAULT_FLOATS;
    void *memory = NULL;
    if (!checkpoint || !context)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL",
                         !checkpoint ? "checkpoint" : "context");
    sgt_status status = sgti_check_path(path, "path");
    if (status)
        return status;
    status = sgti_allocate_zeroed(&memory, &context->memory, 1, sizeof **checkpoint,
                                             "a checkpoint");
    if (status)
        return status;
    sgt_checkpoint *made = memory;
    made->context = sgti_context_ref(context);
    status = sgti_safetensors_open(&made->file, &context->memory, path);
    if (status == SGT_OK)
        status = sgti_numbers_read(&made->numbers, &made->file);
    if (status == SGT_OK)
        status = check_table(made);
    if (status == SGT_OK)
        status = list_keys(made);
    if (status) {
        made->n_values = made->keys ? made->n_values : 0; /* counted, but perhaps not allocated */
        sgt_checkpoint_free(made);
        return status;
    }
    *checkpoint = made;
    return SGT_OK;
}

void sgt_checkpoint_free(sgt_checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    sgt_context *context = checkpoint->context;
    sgti_release(&context->memory, checkpoint->keys,
                 checkpoint->n_values * sizeof *checkpoint->keys);
    sgti_numbers_release(&checkpoint->numbers, &context->memory);
    sgti_safetensors_close(&checkpoint->file);
    sgti_release(&context->memory, checkpoint, sizeof *checkpoint);
    sgti_context_unref(context);
}

sgt_status sgt_checkpoint_get_info(sgt_checkpoint_info *info, const sgt_checkpoint *checkpoint)
{
    SGTI_DEFAULT_FLOATS;
    if (!checkpoint)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "checkpoint is NULL");
    sgt_status status = sgti_struct_check(info, INFO_MINIMUM, "sgt_checkpoint_info");
    if (status)
        return status;
    const sgti_numbers *numbers = &checkpoint->numbers;
    sgt_checkpoint_info own = {.size = sizeof own,
                               .version = numbers->version,
                               .has_optimizer = numbers->has_optimizer,
                               .has_growth = numbers->has_growth,
                               .steps = numbers->steps,
                               .executed_flops = numbers->executed_flops,
                               .vanilla_flops = numbers->vanilla_flops,
                               .n_values = (int32_t)checkpoint->n_values};
    sgti_struct_write(info, &own, sizeof own);
    return SGT_OK;
}

sgt_status sgt_checkpoint_get_config(sgt_model_config *config, const sgt_checkpoint *checkpoint)
{
    SGTI_DEFAULT_FLOATS;
    if (!checkpoint)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "checkpoint is NULL");
    sgt_status status = sgti_struct_check(config, SGTI_CONFIG_MINIMUM, "sgt_model_config");
    if (status == SGT_OK)
        sgti_struct_write(config, &checkpoint->numbers.config, sizeof checkpoint->numbers.config);
    return status;
}

sgt_status sgt_checkpoint_get_optimizer_options(sgt_optimizer_options *options,
                                                const sgt_checkpoint *checkpoint)
{
    SGTI_DEFAULT_FLOATS;
    if (!checkpoint)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "checkpoint is NULL");
    sgt_status status = sgti_struct_check(options, SGTI_OPTIMIZER_OPTIONS_MINIMUM,
                                          "sgt_optimizer_options");
    if (status)
        return status;
    if (!checkpoint->numbers.has_optimizer)
        return sgti_fail(SGT_E_NOT_FOUND, "%s: no optimizer was saved", checkpoint->file.path);
    sgti_struct_write(options, &checkpoint->numbers.options, sizeof checkpoint->numbers.options);
    return SGT_OK;
}

const char *sgt_checkpoint_key(const sgt_checkpoint *checkpoint, int32_t index)
{
    if (!checkpoint || index < 0 || (uint64_t)index >= checkpoint->n_values)
        return NULL;
    return checkpoint->keys[index];
}

const char *sgt_checkpoint_value(const sgt_checkpoint *checkpoint, const char *key)
{
    if (!checkpoint || !key || checkpoint->n_values == 0)
        return NULL;
    const char **found = bsearch(&key, checkpoint->keys, (size_t)checkpoint->n_values,
                                 sizeof *checkpoint->keys, by_name);
    /* The entries of the list point behind the prefix of the keys in the metadata. */
    return found ? sgti_safetensors_metadata(&checkpoint->file, *found - strlen(SGTI_HOST_PREFIX))
                 : NULL;
}
