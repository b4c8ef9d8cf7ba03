/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loading, in two halves. `prepare` does all that can fail: it reads every tensor into memory of its
 * own, checks, and takes what memory the new state needs. `commit` then changes the handles. Handles
 * that were made for this load are read into directly, since a failure frees them.
 */
#include "checkpoint.h"

#include <math.h>
#include <string.h>

#include "../base/bytes.h"
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../base/text.h"
#include "../core/tensors.h"

#define LOAD_MINIMUM SGTI_SIZE_THROUGH(sgt_checkpoint_load_options, recompute)

/* A plan of the most layers, heads and passes stays below this. */
#define MOST_STATE_BYTES (UINT64_C(1) << 32)

typedef struct load {
    const sgt_checkpoint *checkpoint;
    const sgti_numbers *numbers;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth *growth;
    sgt_checkpoint_load_options options;
    sgti_memory *memory;
    int fresh; /* the handles were made for this load */

    sgti_tensor_reader reader;
    sgti_storage weights; /* staged; empty when fresh */
    sgti_storage moments;
    sgti_factors *factors;
    sgt_plan *plan;
    double *entropies; /* last, then mean */
    uint64_t entropy_count; /* of one kind */
    uint8_t *policy;
    uint64_t policy_bytes;
} load;

static const sgt_checkpoint_load_options default_options = {.size = sizeof default_options,
                                                            .verify = 1};

sgt_status sgt_checkpoint_load_options_init(sgt_checkpoint_load_options *options, size_t size)
{
    return sgti_struct_init(options, size, &default_options, sizeof default_options, LOAD_MINIMUM,
                            "sgt_checkpoint_load_options");
}

static sgt_status read_options(sgt_checkpoint_load_options *own,
                               const sgt_checkpoint_load_options *caller)
{
    *own = default_options;
    if (!caller)
        return SGT_OK;
    sgt_status status =
        sgti_struct_read(own, sizeof *own, caller, LOAD_MINIMUM, "sgt_checkpoint_load_options");
    if (status == SGT_OK && (own->own_schedule >> 1 || own->verify >> 1 || own->recompute >> 1))
        return sgti_fail(SGT_E_INVALID_ARGUMENT,
                         "own_schedule is %d, verify is %d, recompute is %d: not all 0 or 1",
                         (int)own->own_schedule, (int)own->verify, (int)own->recompute);
    return status;
}

/* ---- checks ---- */

static sgt_status check(const load *l)
{
    const char *path = l->checkpoint->file.path;
    sgt_model_config file = l->numbers->config;
    if (l->optimizer && l->optimizer->model != l->model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "optimizer is of another model");
    if (l->growth && l->growth->model != l->model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "growth is of another model");
    if (l->optimizer && !l->numbers->has_optimizer)
        return sgti_fail(SGT_E_NOT_FOUND, "%s: no optimizer was saved", path);
    if (l->growth && !l->numbers->has_growth)
        return sgti_fail(SGT_E_NOT_FOUND, "%s: no growth was saved", path);
    return sgti_config_compare(&l->model->config, &file, path);
}

/* ---- reading ---- */

/* The tensor that a stored one is read into: staged, or the handle's own. */
static sgt_tensor staged(const sgti_storage *block, sgt_tensor own)
{
    if (block->buffer)
        own.buffer = block->buffer;
    return own;
}

/* One tensor of each parameter: its weight (moment 0) or one of its moments. */
static sgt_status read_parameters(load *l, int32_t moment)
{
    static const char *const prefixes[] = {"", SGTI_MOMENT1, SGTI_MOMENT2};
    const sgti_parameters *parameters = &l->model->parameters;
    int32_t kinds = l->optimizer ? 3 : 1;
    sgt_status status = SGT_OK;
    for (int32_t i = 0; i < parameters->count && status == SGT_OK; i++) {
        char name[SGTI_PARAMETER_NAME + sizeof SGTI_MOMENT1];
        sgt_tensor to = moment == 0 ? staged(&l->weights, sgti_weight(l->model, i))
                                    : staged(&l->moments, sgti_moment(l->optimizer, i, moment));
        sgti_format(name, sizeof name, "%s%s", prefixes[moment], parameters->list[i].name);
        status = sgti_progress(l->model->context, SGT_PHASE_LOAD,
                               (int64_t)moment * parameters->count + i,
                               (int64_t)kinds * parameters->count);
        if (status == SGT_OK)
            status = sgti_get_tensor(&l->reader, name, &to);
    }
    return status;
}

static sgt_status stage(load *l)
{
    sgti_dispatch *dispatch = l->model->dispatch;
    if (l->fresh)
        return SGT_OK;
    sgt_status status = sgti_storage_allocate(&l->weights, dispatch, l->model->weights.bytes,
                                            "the weights of a checkpoint");
    if (status == SGT_OK && l->optimizer)
        status = sgti_storage_allocate(&l->moments, dispatch, l->optimizer->moments.bytes,
                                     "the moments of a checkpoint");
    return status;
}

/* Reads doubles in the order of the file. */
static sgt_status read_doubles(load *l, double *values, const char *name, uint64_t count)
{
    sgt_status status =
        sgti_get_bytes(&l->reader, values, name, SGTI_ST_F64, count * sizeof *values);
    for (uint64_t i = 0; i < count && status == SGT_OK; i++) {
        sgti_reader reader = {.data = (const uint8_t *)&values[i], .left = sizeof *values};
        values[i] = sgti_get_f64(&reader);
    }
    return status;
}

static sgt_status read_factors(load *l)
{
    void *memory = NULL;
    uint64_t count = (uint64_t)l->model->parameters.count;
    if (!l->optimizer)
        return SGT_OK;
    sgt_status status = sgti_allocate_zeroed(&memory, l->memory, count, sizeof *l->factors,
                                             "the factors of an optimizer");
    if (status)
        return status;
    l->factors = memory;
    status = read_doubles(l, memory, "optimizer.factors", 2 * count);
    for (uint64_t i = 0; i < count && status == SGT_OK; i++) {
        const sgti_factors *f = &l->factors[i];
        if (!(f->rate >= 0.0 && isfinite(f->rate) && f->decay >= 0.0 && isfinite(f->decay)))
            status = sgti_fail(SGT_E_FORMAT, "%s: tensor 'optimizer.factors' is not possible",
                               l->checkpoint->file.path);
    }
    return status;
}

/* A tensor of bytes in memory of its own. */
static sgt_status read_state(load *l, uint8_t **data, uint64_t *bytes, const char *name)
{
    const sgti_st_tensor *stored;
    void *memory = NULL;
    sgt_status status = sgti_require_tensor(&stored, &l->checkpoint->file, name);
    if (status)
        return status;
    uint64_t count = stored->end - stored->begin;
    if (count > MOST_STATE_BYTES)
        return sgti_fail(SGT_E_FORMAT, "%s: tensor '%s' is too large", l->checkpoint->file.path,
                         name);
    status = sgti_allocate_zeroed(&memory, l->memory, count, 1, name);
    if (status == SGT_OK)
        status = sgti_get_bytes(&l->reader, memory, name, SGTI_ST_U8, count);
    if (status) {
        sgti_release(l->memory, memory, count);
        return status;
    }
    *data = memory;
    *bytes = count;
    return SGT_OK;
}

static sgt_status read_plan(load *l)
{
    const sgt_model_config *config = &l->model->config;
    uint8_t *data = NULL;
    uint64_t bytes = 0;
    sgt_status status = read_state(l, &data, &bytes, "plan");
    if (status)
        return status;
    status = sgt_plan_load(&l->plan, l->model->context, data ? data : (uint8_t *)"", (size_t)bytes);
    if (status == SGT_OK)
        status = sgti_plan_check(l->plan, config->n_layers, config->n_heads);
    sgti_release(l->memory, data, bytes);
    if (status == SGT_E_OUT_OF_MEMORY || status == SGT_E_MEMORY_LIMIT || status == SGT_OK)
        return status;
    return sgti_fail(status == SGT_E_INVALID_ARGUMENT ? SGT_E_FORMAT : status, "%s: tensor 'plan': "
                     "%s", l->checkpoint->file.path, sgt_error_message());
}

static int32_t most_passes(const sgt_plan *plan)
{
    int32_t most = 1;
    for (int32_t i = 0; i < plan->n_layers; i++) {
        int32_t passes = (1 + plan->layers[i].extra_runs) * (1 + plan->layers[i].depth);
        most = passes > most ? passes : most;
    }
    return most;
}

static const struct {
    int32_t kind;
    const char *name;
} entropy_tensors[] = {{SGT_ENTROPY_LAST, "entropy.last"}, {SGT_ENTROPY_MEAN, "entropy.mean"}};

/* So that no more memory is asked for than the file makes good: `count` doubles of each kind. */
static sgt_status check_entropies(const load *l, uint64_t count)
{
    const sgti_safetensors *file = &l->checkpoint->file;
    for (int i = 0; i < 2; i++) {
        const sgti_st_tensor *stored;
        if (!(l->numbers->entropy_kinds & entropy_tensors[i].kind))
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

static sgt_status read_entropies(load *l)
{
    const sgti_numbers *numbers = l->numbers;
    void *memory = NULL;
    if (!numbers->entropy_unseen)
        return SGT_OK;
    if (numbers->entropy_passes != most_passes(l->plan))
        return sgti_fail(SGT_E_FORMAT, "%s: metadata: entropy.passes is not that of the plan",
                         l->checkpoint->file.path);
    uint64_t count = (uint64_t)l->model->config.n_layers * (uint64_t)numbers->entropy_passes *
                     (uint64_t)l->model->config.n_heads;
    sgt_status status = check_entropies(l, count);
    if (status || numbers->entropy_kinds == SGT_ENTROPY_NONE)
        return status;
    status = sgti_allocate_zeroed(&memory, l->memory, 2 * count, sizeof(double),
                                  "the entropies of a step");
    if (status)
        return status;
    l->entropies = memory;
    l->entropy_count = count;
    for (uint64_t i = 0; i < 2 * count; i++)
        l->entropies[i] = NAN;
    for (uint64_t i = 0; i < 2 && status == SGT_OK; i++) {
        if (numbers->entropy_kinds & entropy_tensors[i].kind)
            status = read_doubles(l, l->entropies + i * count, entropy_tensors[i].name, count);
    }
    return status;
}

/* ---- the policy: loaded at once, taken back when the plan is then refused ---- */

static sgt_status save_policy(load *l, uint8_t **data, size_t *bytes)
{
    void *memory = NULL;
    sgt_status status = sgt_growth_policy_save(NULL, bytes, l->growth->policy);
    if (status == SGT_OK)
        status = sgti_allocate_zeroed(&memory, l->memory, *bytes, 1, "the state of a policy");
    if (status)
        return status;
    size_t room = *bytes;
    *data = memory;
    return sgt_growth_policy_save(memory, &room, l->growth->policy);
}

/* Policy and plan: both or none. */
static sgt_status set_depth(load *l)
{
    uint8_t *before = NULL;
    size_t before_bytes = 0;
    sgt_status status = SGT_OK;
    if (!l->growth)
        return sgt_model_set_plan(l->model, l->plan);
    status = save_policy(l, &before, &before_bytes);
    if (status == SGT_OK) {
        status = sgt_growth_policy_load(l->growth->policy, l->policy, (size_t)l->policy_bytes);
        if (status < 0)
            status = sgti_fail(status, "%.200s: tensor 'growth.policy': %s",
                               l->checkpoint->file.path, sgt_error_message());
        else if (status == SGT_OK)
            status = sgt_model_set_plan(l->model, l->plan);
        if (status)
            sgt_growth_policy_load(l->growth->policy, before, before_bytes);
    }
    sgti_release(l->memory, before, before_bytes);
    return status;
}

static sgt_status prepare(load *l)
{
    sgt_status status = sgti_tensor_reader_open(&l->reader, &l->checkpoint->file,
                                                l->model->dispatch, l->options.verify);
    if (status == SGT_OK)
        status = read_plan(l);
    if (status == SGT_OK)
        status = read_entropies(l);
    if (status == SGT_OK && l->growth)
        status = read_state(l, &l->policy, &l->policy_bytes, "growth.policy");
    if (status == SGT_OK)
        status = read_factors(l);
    if (status == SGT_OK)
        status = stage(l);
    if (status == SGT_OK)
        status = read_parameters(l, 0);
    for (int32_t m = SGT_MOMENT_FIRST; m <= SGT_MOMENT_SECOND && l->optimizer; m++) {
        if (status == SGT_OK)
            status = read_parameters(l, m);
    }
    if (status == SGT_OK)
        status = set_depth(l);
    return status;
}

/* ---- taking over ---- */

static sgt_status copy_parameters(load *l)
{
    sgti_dispatch *dispatch = l->model->dispatch;
    sgt_status status = SGT_OK;
    for (int32_t i = 0; !l->fresh && i < l->model->parameters.count && status == SGT_OK; i++) {
        sgt_tensor to = sgti_weight(l->model, i), from = staged(&l->weights, to);
        status = sgti_copy(dispatch, &to, &from);
        for (int32_t m = SGT_MOMENT_FIRST; m <= SGT_MOMENT_SECOND && l->optimizer; m++) {
            to = sgti_moment(l->optimizer, i, m);
            from = staged(&l->moments, to);
            if (status == SGT_OK)
                status = sgti_copy(dispatch, &to, &from);
        }
    }
    return status;
}

static void take_optimizer(load *l)
{
    sgti_optimizer_record record = {.steps = l->numbers->steps, .updates = l->numbers->updates};
    if (!l->options.own_schedule) {
        record.options = &l->numbers->options;
        record.factors = l->factors;
    }
    sgti_optimizer_restore(l->optimizer, &record);
}

static void take_entropies(load *l)
{
    sgti_entropy_record record = {.kinds = l->numbers->entropy_kinds,
                                  .batches = l->numbers->entropy_batches,
                                  .max_passes = l->numbers->entropy_passes,
                                  .count = l->entropy_count,
                                  .last = l->entropies};
    if (!l->numbers->entropy_unseen) {
        sgti_entropies_clear(&l->model->entropies);
        return;
    }
    sgti_entropies_restore(l->model, &record);
    l->entropies = record.last;
}

static sgt_status commit(load *l)
{
    sgt_model *model = l->model;
    sgt_status status = copy_parameters(l);
    sgti_model_touch_weights(model);
    if (status == SGT_OK)
        status = sgt_model_zero_gradients(model);
    if (status)
        return status;
    sgti_model_restore_flops(model, l->numbers->executed_flops, l->numbers->vanilla_flops);
    if (l->numbers->tokens.size > 0)
        model->tokens = l->numbers->tokens;
    if (l->numbers->has_notes)
        model->notes = l->numbers->notes;
    if (l->optimizer)
        take_optimizer(l);
    if (l->growth)
        l->growth->last_step = l->numbers->last_step;
    take_entropies(l);
    return SGT_OK;
}

static sgt_status run(load *l)
{
    l->memory = &l->model->context->memory;
    l->numbers = &l->checkpoint->numbers;
    sgt_status status = check(l);
    if (status == SGT_OK)
        status = prepare(l);
    if (status == SGT_OK)
        status = commit(l);
    sgti_tensor_reader_close(&l->reader);
    sgti_storage_free(&l->weights, l->model->dispatch);
    sgti_storage_free(&l->moments, l->model->dispatch);
    sgti_release(l->memory, l->factors,
                 (uint64_t)l->model->parameters.count * sizeof *l->factors);
    sgti_release(l->memory, l->entropies, 2 * l->entropy_count * sizeof(double));
    sgti_release(l->memory, l->policy, l->policy_bytes);
    sgt_plan_free(l->plan);
    return status;
}

sgt_status sgt_checkpoint_load(sgt_model *model, sgt_optimizer *optimizer, sgt_growth *growth,
                               const sgt_checkpoint *checkpoint,
                               const sgt_checkpoint_load_options *options)
{
    SGTI_DEFAULT_FLOATS;
    load l = {.checkpoint = checkpoint, .model = model, .optimizer = optimizer, .growth = growth};
    if (!model || !checkpoint)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !model ? "model" : "checkpoint");
    sgt_status status = read_options(&l.options, options);
    if (status == SGT_OK && l.options.recompute)
        status = sgti_fail(SGT_E_INVALID_ARGUMENT,
                           "recompute is 1, but only sgt_checkpoint_create makes a model");
    return status == SGT_OK ? run(&l) : status;
}

/* ---- making ---- */

static sgt_status make_and_load(load *l, int with_optimizer, sgt_growth_policy *policy)
{
    const sgti_numbers *numbers = &l->checkpoint->numbers;
    sgt_model_config config = numbers->config;
    config.recompute = l->options.recompute;
    sgt_status status = sgt_model_create(&l->model, l->checkpoint->context, &config);
    if (status == SGT_OK && with_optimizer)
        status = sgt_optimizer_create(&l->optimizer, l->model,
                                      numbers->has_optimizer ? &numbers->options : NULL);
    if (status == SGT_OK && policy)
        status = sgt_growth_create(&l->growth, l->model, policy, NULL);
    if (status == SGT_OK)
        status = run(l);
    if (status) {
        sgt_growth_free(l->growth);
        sgt_optimizer_free(l->optimizer);
        sgt_model_free(l->model);
    }
    return status;
}

sgt_status sgt_checkpoint_create(sgt_model **model, sgt_optimizer **optimizer, sgt_growth **growth,
                                 const sgt_checkpoint *checkpoint, sgt_growth_policy *policy,
                                 const sgt_checkpoint_load_options *options)
{
    SGTI_DEFAULT_FLOATS;
    load l = {.checkpoint = checkpoint, .fresh = 1};
    if (!model || !checkpoint)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !model ? "model" : "checkpoint");
    if ((!growth) != (!policy))
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL, but not %s",
                         !growth ? "growth" : "policy", !growth ? "policy" : "growth");
    sgt_status status = read_options(&l.options, options);
    if (status == SGT_OK)
        status = make_and_load(&l, optimizer != NULL, policy);
    if (status)
        return status;
    *model = l.model;
    if (optimizer)
        *optimizer = l.optimizer;
    if (growth)
        *growth = l.growth;
    return SGT_OK;
}
