/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The first half of a load reads and checks the tensors of a checkpoint. Small things come first,
 * so that a damaged plan is found before gigabytes are read. All that can fail is done here, but
 * for policy and plan, which the host's handles may refuse.
 */
#include "load_data.h"

#include <math.h>

#include "../base/bytes.h"
#include "../base/error.h"
#include "../base/text.h"

/* No plan and no state of a policy comes near this; a larger tensor is damaged. */
#define MOST_STATE_BYTES (UINT64_C(1) << 32)

/* Reads one tensor of each parameter: its weight (moment 0) or one of its moments. */
static sgt_status read_parameters(sgti_load *load, int32_t moment)
{
    static const char *const prefixes[] = {"", SGTI_MOMENT1, SGTI_MOMENT2};
    const sgti_parameters *parameters = &load->model->parameters;
    int32_t kinds = load->optimizer ? 3 : 1;
    sgt_status status = SGT_OK;
    for (int32_t i = 0; i < parameters->count && status == SGT_OK; i++) {
        char name[SGTI_PARAMETER_NAME + sizeof SGTI_MOMENT1];
        sgt_tensor to = moment == 0
                            ? sgti_staged(&load->weights, sgti_weight(load->model, i))
                            : sgti_staged(&load->moments, sgti_moment(load->optimizer, i, moment));
        sgti_format(name, sizeof name, "%s%s", prefixes[moment], parameters->list[i].name);
        status = sgti_progress(load->model->context, SGT_PHASE_LOAD,
                               (int64_t)moment * parameters->count + i,
                               (int64_t)kinds * parameters->count);
        if (status == SGT_OK)
            status = sgti_get_tensor(&load->reader, name, &to);
    }
    return status;
}

/* Takes memory for weights and moments where handles must stay as they are until all is read. */
static sgt_status stage(sgti_load *load)
{
    sgti_dispatch *dispatch = load->model->dispatch;
    if (load->fresh)
        return SGT_OK;
    sgt_status status = sgti_storage_allocate(&load->weights, dispatch, load->model->weights.bytes,
                                              "the weights of a checkpoint");
    if (status == SGT_OK && load->optimizer)
        status = sgti_storage_allocate(&load->moments, dispatch, load->optimizer->moments.bytes,
                                       "the moments of a checkpoint");
    return status;
}

/* Reads doubles and turns them from the file's little-endian order into the host's. */
static sgt_status read_doubles(sgti_load *load, double *values, const char *name, uint64_t count)
{
    sgt_status status =
        sgti_get_bytes(&load->reader, values, name, SGTI_ST_F64, count * sizeof *values);
    for (uint64_t i = 0; i < count && status == SGT_OK; i++) {
        sgti_reader reader = {.data = (const uint8_t *)&values[i], .left = sizeof *values};
        values[i] = sgti_get_f64(&reader);
    }
    return status;
}

/* Reads the factors of all parameters, which are pairs of doubles like sgti_factors. */
static sgt_status read_factors(sgti_load *load)
{
    void *memory = NULL;
    uint64_t count = (uint64_t)load->model->parameters.count;
    if (!load->optimizer)
        return SGT_OK;
    sgt_status status = sgti_allocate_zeroed(&memory, load->memory, count, sizeof *load->factors,
                                             "the factors of an optimizer");
    if (status)
        return status;
    load->factors = memory;
    status = read_doubles(load, memory, "optimizer.factors", 2 * count);
    for (uint64_t i = 0; i < count && status == SGT_OK; i++) {
        const sgti_factors *f = &load->factors[i];
        if (!(f->rate >= 0.0 && isfinite(f->rate) && f->decay >= 0.0 && isfinite(f->decay)))
            status = sgti_fail(SGT_E_FORMAT, "%s: tensor 'optimizer.factors' is not possible",
                               load->checkpoint->file.path);
    }
    return status;
}

/* Reads a tensor of bytes into new memory, which the caller releases. */
static sgt_status read_state(sgti_load *load, uint8_t **data, uint64_t *bytes, const char *name)
{
    const sgti_st_tensor *stored;
    void *memory = NULL;
    sgt_status status = sgti_require_tensor(&stored, &load->checkpoint->file, name);
    if (status)
        return status;
    uint64_t count = stored->end - stored->begin;
    if (count > MOST_STATE_BYTES)
        return sgti_fail(SGT_E_FORMAT, "%s: tensor '%s' is too large", load->checkpoint->file.path,
                         name);
    status = sgti_allocate_zeroed(&memory, load->memory, count, 1, name);
    if (status == SGT_OK)
        status = sgti_get_bytes(&load->reader, memory, name, SGTI_ST_U8, count);
    if (status) {
        sgti_release(load->memory, memory, count);
        return status;
    }
    *data = memory;
    *bytes = count;
    return SGT_OK;
}

static sgt_status read_plan(sgti_load *load)
{
    const sgt_model_config *config = &load->model->config;
    uint8_t *data = NULL;
    uint64_t bytes = 0;
    sgt_status status = read_state(load, &data, &bytes, "plan");
    if (status)
        return status;
    status = sgt_plan_load(&load->plan, load->model->context, data ? data : (uint8_t *)"",
                           (size_t)bytes);
    if (status == SGT_OK)
        status = sgti_plan_check(load->plan, config->n_layers, config->n_heads);
    sgti_release(load->memory, data, bytes);
    if (status == SGT_E_OUT_OF_MEMORY || status == SGT_E_MEMORY_LIMIT || status == SGT_OK)
        return status;
    /* What is an invalid argument to the plan's functions is damage where it comes from a file. */
    return sgti_fail(status == SGT_E_INVALID_ARGUMENT ? SGT_E_FORMAT : status,
                     "%s: tensor 'plan': %s", load->checkpoint->file.path, sgt_error_message());
}

static const struct {
    int32_t kind;
    const char *name;
} entropy_tensors[] = {{SGT_ENTROPY_LAST, "entropy.last"}, {SGT_ENTROPY_MEAN, "entropy.mean"}};

/* Checks that the file has `count` doubles of each kind before anything is allocated for them. */
static sgt_status check_entropies(const sgti_load *load, uint64_t count)
{
    const sgti_safetensors *file = &load->checkpoint->file;
    for (int i = 0; i < 2; i++) {
        const sgti_st_tensor *stored;
        if (!(load->numbers->entropy_kinds & entropy_tensors[i].kind))
            continue;
        sgt_status status = sgti_require_tensor(&stored, file, entropy_tensors[i].name);
        if (status)
            return status;
        if (stored->dtype != SGTI_ST_F64 || stored->count != count)
            return sgti_fail(SGT_E_FORMAT, "%s: tensor '%s' has the wrong type or length",
                             file->path, entropy_tensors[i].name);
    }
    return SGT_OK;
}

/* Reads the sums that growth had not seen. A kind that was not collected becomes NaN, as if no head
 * had run. */
static sgt_status read_entropies(sgti_load *load)
{
    const sgti_numbers *numbers = load->numbers;
    void *memory = NULL;
    if (!numbers->entropy_unseen)
        return SGT_OK;
    if (numbers->entropy_passes != sgti_most_passes(&load->model->config, load->plan))
        return sgti_fail(SGT_E_FORMAT, "%s: metadata: entropy.passes is not that of the plan",
                         load->checkpoint->file.path);
    uint64_t count = (uint64_t)load->model->config.n_layers * (uint64_t)numbers->entropy_passes *
                     (uint64_t)load->model->config.n_heads;
    sgt_status status = check_entropies(load, count);
    if (status || numbers->entropy_kinds == SGT_ENTROPY_NONE)
        return status;
    status = sgti_allocate_zeroed(&memory, load->memory, 2 * count, sizeof(double),
                                  "the entropies of a step");
    if (status)
        return status;
    load->entropies = memory;
    load->entropy_count = count;
    for (uint64_t i = 0; i < 2 * count; i++)
        load->entropies[i] = NAN;
    for (uint64_t i = 0; i < 2 && status == SGT_OK; i++) {
        if (numbers->entropy_kinds & entropy_tensors[i].kind)
            status =
                read_doubles(load, load->entropies + i * count, entropy_tensors[i].name, count);
    }
    return status;
}

sgt_status sgti_load_read(sgti_load *load)
{
    sgt_status status = sgti_tensor_reader_open(&load->reader, &load->checkpoint->file,
                                                load->model->dispatch, load->options.verify);
    if (status == SGT_OK)
        status = read_plan(load);
    if (status == SGT_OK)
        status = read_entropies(load);
    if (status == SGT_OK && load->growth)
        status = read_state(load, &load->policy, &load->policy_bytes, "growth.policy");
    if (status == SGT_OK)
        status = read_factors(load);
    if (status == SGT_OK)
        status = stage(load);
    if (status == SGT_OK)
        status = read_parameters(load, 0);
    for (int32_t m = SGT_MOMENT_FIRST; m <= SGT_MOMENT_SECOND && load->optimizer; m++) {
        if (status == SGT_OK)
            status = read_parameters(load, m);
    }
    return status;
}
