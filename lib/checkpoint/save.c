/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Saves a training as one safetensors file. First everything that it is made of is collected:
 * numbers, the bytes of plan and policy, and a list of the tensors. Then the file is written, and
 * the writer asks for the tensors one after the other (put).
 */
#include "checkpoint.h"

#include <string.h>

#include "../base/bytes.h"
#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "../base/text.h"

#define SAVE_MINIMUM SGTI_SIZE_THROUGH(sgt_checkpoint_save_options, reserved)

/* What an output of the file is. */
enum source {
    FROM_WEIGHT,
    FROM_MOMENT1,
    FROM_MOMENT2,
    FROM_FACTORS,
    FROM_ENTROPY_LAST,
    FROM_ENTROPY_MEAN,
    FROM_PLAN,
    FROM_POLICY
};

enum { OTHER_OUTPUTS = 5 }; /* all sources but weights and moments: one tensor each */

typedef struct save {
    const sgt_model *model;
    sgt_checkpoint_save_options options;
    sgti_numbers numbers;
    sgti_entropy_record entropies; /* what growth has not seen; the values are the model's */
    sgti_memory *memory;
    sgti_st_output *outputs;
    uint64_t count;
    uint64_t room;
    int64_t written;     /* how many tensors, for the progress callback */
    json_t *metadata;
    void *block;         /* SGTI_BLOCK_BYTES */
    uint8_t *plan;
    size_t plan_bytes;
    uint8_t *policy;
    size_t policy_bytes;
} save;

sgt_status sgt_checkpoint_save_options_init(sgt_checkpoint_save_options *options, size_t size)
{
    sgt_checkpoint_save_options defaults = {.size = sizeof defaults,
                                            .checksums = sgti_checksums_exist()};
    return sgti_struct_init(options, size, &defaults, sizeof defaults, SAVE_MINIMUM,
                            "sgt_checkpoint_save_options");
}

/* ---- checks ---- */

static sgt_status check_values(const sgt_checkpoint_save_options *options)
{
    if (options->n_values < 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "n_values is %d", (int)options->n_values);
    if (options->n_values > 0 && (!options->keys || !options->values))
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", !options->keys ? "keys" : "values");
    for (int32_t i = 0; i < options->n_values; i++) {
        const char *key = options->keys[i], *value = options->values[i];
        if (!key || key[0] == '\0' || !value)
            return sgti_fail(SGT_E_INVALID_ARGUMENT, "keys[%d] is empty or has no value",
                             (int)i);
        if (!sgti_json_is_utf8(key) || !sgti_json_is_utf8(value))
            return sgti_fail(SGT_E_INVALID_ARGUMENT, "keys[%d] or its value is not UTF-8",
                             (int)i);
    }
    return SGT_OK;
}

static sgt_status check(const save *s)
{
    const sgt_checkpoint_save_options *options = &s->options;
    sgt_status status = sgti_check_reserved(options->reserved, "sgt_checkpoint_save_options");
    if (status)
        return status;
    if (options->checksums != 0 && options->checksums != 1)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "checksums is %d, not 0 or 1",
                         (int)options->checksums);
    if (options->optimizer && options->optimizer->model != s->model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "optimizer is of another model");
    if (options->growth && options->growth->model != s->model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "growth is of another model");
    if (sgti_model_step_is_open(s->model))
        return sgti_fail(SGT_E_STATE, "a step is under way: save after sgt_optimizer_step, or call "
                                      "sgt_model_zero_gradients");
    return check_values(options);
}

/* ---- what goes into the file ---- */

/* Collects all single numbers. Notes are only told where they differ from the default, so that most
 * files have none. */
static void collect_numbers(save *s)
{
    const sgt_model *model = s->model;
    const sgt_optimizer *optimizer = s->options.optimizer;
    sgti_numbers *n = &s->numbers;
    n->config = model->config;
    n->tokens = model->tokens;
    n->notes = model->notes;
    n->has_notes = model->notes.initializer_range != sgti_hf_default_notes.initializer_range ||
                   model->notes.attention_dropout != sgti_hf_default_notes.attention_dropout;
    n->draws = model->draws;
    n->executed_flops = model->executed_flops;
    n->vanilla_flops = model->vanilla_flops;
    if (optimizer) {
        n->has_optimizer = 1;
        n->options = optimizer->options;
        n->steps = optimizer->steps;
        n->updates = optimizer->updates;
    }
    if (s->options.growth) {
        n->has_growth = 1;
        n->last_step = s->options.growth->last_step;
    }
    if (sgti_entropies_unseen(&s->entropies, model)) {
        n->entropy_unseen = 1;
        n->entropy_kinds = s->entropies.kinds;
        n->entropy_batches = s->entropies.batches;
        n->entropy_passes = s->entropies.max_passes;
    }
}

/* Collects the metadata: the numbers, and the host's strings behind a prefix that keeps their keys
 * apart from ours. */
static sgt_status collect_metadata(save *s)
{
    s->metadata = json_object();
    if (!s->metadata || sgti_numbers_write(s->metadata, &s->numbers))
        return sgti_fail(SGT_E_OUT_OF_MEMORY, "no memory for the metadata of a checkpoint");
    for (int32_t i = 0; i < s->options.n_values; i++) {
        void *memory = NULL;
        uint64_t room = sizeof SGTI_HOST_PREFIX + strlen(s->options.keys[i]);
        sgt_status status = sgti_allocate_zeroed(&memory, s->memory, room, 1, "a key");
        if (status)
            return status;
        sgti_format(memory, room, SGTI_HOST_PREFIX "%s", s->options.keys[i]);
        if (json_object_get(s->metadata, memory))
            status = sgti_fail(SGT_E_INVALID_ARGUMENT, "keys has '%.120s' twice",
                               s->options.keys[i]);
        else if (json_object_set_new(s->metadata, memory, json_string(s->options.values[i])))
            status = sgti_fail(SGT_E_OUT_OF_MEMORY, "no memory for the metadata of a checkpoint");
        sgti_release(s->memory, memory, room);
        if (status)
            return status;
    }
    return SGT_OK;
}

static sgti_st_output *add(save *s, enum source source, sgti_st_dtype dtype, int32_t rank,
                           const char *prefix, const char *name)
{
    sgti_st_output *output = &s->outputs[s->count++];
    *output = (sgti_st_output){.dtype = dtype, .rank = rank, .source = (int32_t)source};
    sgti_format(output->name, sizeof output->name, "%s%s", prefix, name);
    return output;
}

static void add_parameters(save *s, enum source source, const char *prefix)
{
    const sgti_parameters *parameters = &s->model->parameters;
    for (int32_t i = 0; i < parameters->count; i++) {
        const sgti_parameter *p = &parameters->list[i];
        sgti_st_output *output = add(s, source, SGTI_ST_F32, p->rank, prefix, p->name);
        output->index = i;
        for (int32_t j = 0; j < p->rank; j++)
            output->shape[j] = (uint64_t)p->shape[j];
    }
}

static void add_entropies(save *s, enum source source, const char *name)
{
    sgti_st_output *output = add(s, source, SGTI_ST_F64, 3, "", name);
    output->shape[0] = (uint64_t)s->model->config.n_layers;
    output->shape[1] = (uint64_t)s->numbers.entropy_passes;
    output->shape[2] = (uint64_t)s->model->config.n_heads;
}

/* Lists the tensors; their bytes are asked for when the file is written. */
static sgt_status collect_outputs(save *s)
{
    void *memory = NULL;
    uint64_t parameters = (uint64_t)s->model->parameters.count;
    s->room = 3 * parameters + OTHER_OUTPUTS;
    sgt_status status = sgti_allocate_zeroed(&memory, s->memory, s->room, sizeof *s->outputs,
                                             "the table of a checkpoint");
    if (status)
        return status;
    s->outputs = memory;
    add_parameters(s, FROM_WEIGHT, "");
    if (s->numbers.has_optimizer) {
        add_parameters(s, FROM_MOMENT1, SGTI_MOMENT1);
        add_parameters(s, FROM_MOMENT2, SGTI_MOMENT2);
        sgti_st_output *factors = add(s, FROM_FACTORS, SGTI_ST_F64, 2, "", "optimizer.factors");
        factors->shape[0] = parameters;
        factors->shape[1] = 2;
    }
    if (s->numbers.entropy_kinds & SGT_ENTROPY_LAST)
        add_entropies(s, FROM_ENTROPY_LAST, "entropy.last");
    if (s->numbers.entropy_kinds & SGT_ENTROPY_MEAN)
        add_entropies(s, FROM_ENTROPY_MEAN, "entropy.mean");
    add(s, FROM_PLAN, SGTI_ST_U8, 1, "", "plan")->shape[0] = s->plan_bytes;
    if (s->numbers.has_growth)
        add(s, FROM_POLICY, SGTI_ST_U8, 1, "", "growth.policy")->shape[0] = s->policy_bytes;
    return SGT_OK;
}

/* Collects the bytes of plan and policy: first their lengths, then the bytes. */
static sgt_status collect_bytes(save *s)
{
    void *memory = NULL;
    const sgt_growth *growth = s->options.growth;
    sgt_status status = sgt_plan_save(NULL, &s->plan_bytes, s->model->plan);
    if (status == SGT_OK)
        status = sgti_allocate_zeroed(&memory, s->memory, s->plan_bytes, 1, "the bytes of a plan");
    if (status)
        return status;
    s->plan = memory;
    status = sgt_plan_save(s->plan, &s->plan_bytes, s->model->plan);
    if (status || !growth)
        return status;
    status = sgt_growth_policy_save(NULL, &s->policy_bytes, growth->policy);
    if (status == SGT_OK)
        status = sgti_allocate_zeroed(&memory, s->memory, s->policy_bytes, 1,
                                      "the bytes of a growth policy");
    if (status)
        return status;
    s->policy = memory;
    size_t room = s->policy_bytes;
    status = sgt_growth_policy_save(s->policy, &room, growth->policy);
    if (status == SGT_OK && room != s->policy_bytes)
        status = sgti_fail(SGT_E_INTERNAL, "the state of the policy changed its length");
    return status;
}

/* ---- writing ---- */

static sgt_status put_doubles(const save *s, sgti_st_writer *writer, const double *values,
                              uint64_t count)
{
    uint64_t most = SGTI_ST_BLOCK / sizeof(double);
    sgt_status status = SGT_OK;
    for (uint64_t done = 0; done < count && status == SGT_OK; done += most) {
        uint64_t n = count - done < most ? count - done : most;
        sgti_writer bytes = {.data = s->block};
        for (uint64_t i = 0; i < n; i++)
            sgti_put_f64(&bytes, values[done + i]);
        status = sgti_safetensors_put(writer, s->block, bytes.used);
    }
    return status;
}

static sgt_status put_factors(const save *s, sgti_st_writer *writer)
{
    sgt_status status = SGT_OK;
    for (int32_t i = 0; i < s->model->parameters.count && status == SGT_OK; i++) {
        const sgti_factors *factors = &s->options.optimizer->factors[i];
        status = put_doubles(s, writer, (const double[]){factors->rate, factors->decay}, 2);
    }
    return status;
}

/* The tensor behind an output that is a weight or a moment. */
static sgt_tensor tensor_of(const save *s, const sgti_st_output *output)
{
    switch ((enum source)output->source) {
    case FROM_MOMENT1:
        return sgti_moment(s->options.optimizer, output->index, SGT_MOMENT_FIRST);
    case FROM_MOMENT2:
        return sgti_moment(s->options.optimizer, output->index, SGT_MOMENT_SECOND);
    default:
        return sgti_weight(s->model, output->index);
    }
}

/* Writes one tensor, as the writer of the file asks for it. */
static sgt_status put(void *user, sgti_st_writer *writer, const sgti_st_output *output)
{
    save *s = user;
    sgt_tensor tensor;
    sgt_status status =
        sgti_progress(s->model->context, SGT_PHASE_SAVE, s->written++, (int64_t)s->count);
    if (status)
        return status;
    switch ((enum source)output->source) {
    case FROM_FACTORS:
        return put_factors(s, writer);
    case FROM_ENTROPY_LAST:
        return put_doubles(s, writer, s->entropies.last, s->entropies.count);
    case FROM_ENTROPY_MEAN:
        return put_doubles(s, writer, s->entropies.last + s->entropies.count,
                           s->entropies.count);
    case FROM_PLAN:
        return sgti_safetensors_put(writer, s->plan, s->plan_bytes);
    case FROM_POLICY:
        return sgti_safetensors_put(writer, s->policy, s->policy_bytes);
    default:
        tensor = tensor_of(s, output);
        return sgti_put_tensor(writer, s->model->dispatch, &tensor, output, s->block);
    }
}

static void clean_up(save *s)
{
    json_decref(s->metadata);
    sgti_release(s->memory, s->outputs, s->room * sizeof *s->outputs);
    sgti_release(s->memory, s->block, SGTI_BLOCK_BYTES);
    sgti_release(s->memory, s->plan, s->plan_bytes);
    sgti_release(s->memory, s->policy, s->policy_bytes);
}

sgt_status sgt_checkpoint_save(const sgt_model *model, const char *path,
                               const sgt_checkpoint_save_options *options)
{
    SGTI_DEFAULT_FLOATS;
    save s = {.model = model};
    if (!model)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "model is NULL");
    s.memory = &model->context->memory;
    sgt_status status = sgti_check_path(path, "path");
    if (status == SGT_OK)
        status = sgt_checkpoint_save_options_init(&s.options, sizeof s.options);
    if (status == SGT_OK && options)
        status = sgti_struct_read(&s.options, sizeof s.options, options, SAVE_MINIMUM,
                                  "sgt_checkpoint_save_options");
    if (status == SGT_OK)
        status = check(&s);
    if (status)
        return status;
    collect_numbers(&s);
    status = collect_metadata(&s);
    if (status == SGT_OK)
        status = collect_bytes(&s);
    if (status == SGT_OK)
        status = collect_outputs(&s);
    if (status == SGT_OK)
        status = sgti_allocate_aligned(&s.block, s.memory, 64, SGTI_BLOCK_BYTES,
                                       "a block of a file");
    if (status == SGT_OK)
        status = sgti_safetensors_write(path, s.memory, s.outputs, s.count, s.metadata,
                                        s.options.checksums, put, &s);
    clean_up(&s);
    return status;
}
