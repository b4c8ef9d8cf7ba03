/* SPDX-License-Identifier: BSD-3-Clause */
#include "parameters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/arena.h"
#include "../base/error.h"
#include "config.h"

/* Where one tensor starts: behind `previous` without a gap, or aligned. */
typedef struct placer {
    sgti_arena arena;
    sgti_parameter *list; /* NULL: only measure */
    int32_t count;
} placer;

static void describe(sgti_parameter *parameter, uint64_t offset, int64_t rows, int64_t columns)
{
    parameter->offset = offset;
    parameter->rank = columns == 0 ? 1 : 2;
    parameter->shape[0] = rows;
    parameter->shape[1] = columns;
    parameter->count = (uint64_t)rows * (uint64_t)(columns == 0 ? 1 : columns);
}

/* A group of matrices [rows[i], columns] that lie next to each other. columns 0: vectors. */
static void place(placer *p, const char *const *names, const int64_t *rows, int n,
                  int64_t columns, int32_t layer)
{
    uint64_t total = 0;
    for (int i = 0; i < n; i++)
        total += (uint64_t)rows[i];
    uint64_t width = (uint64_t)(columns == 0 ? 1 : columns);
    uint64_t offset = sgti_arena_take(&p->arena, total, width);
    for (int i = 0; i < n; i++) {
        if (p->list) {
            sgti_parameter *parameter = &p->list[p->count];
            describe(parameter, offset, rows[i], columns);
            if (layer < 0)
                snprintf(parameter->name, sizeof parameter->name, "%s.weight", names[i]);
            else
                snprintf(parameter->name, sizeof parameter->name, "model.layers.%d.%s.weight",
                         (int)layer, names[i]);
        }
        offset += (uint64_t)rows[i] * width;
        p->count++;
    }
}

static void place_one(placer *p, const char *name, int64_t rows, int64_t columns, int32_t layer)
{
    place(p, &name, &rows, 1, columns, layer);
}

static void place_layer(placer *p, const sgt_model_config *config, int32_t layer)
{
    static const char *const qkv_names[] = {"self_attn.q_proj", "self_attn.k_proj",
                                            "self_attn.v_proj"};
    static const char *const gate_up_names[] = {"mlp.gate_proj", "mlp.up_proj"};
    int64_t d = config->d_model, ff = config->d_ff;
    int64_t hq = sgti_query_width(config), hkv = sgti_key_width(config);
    const int64_t qkv_rows[] = {hq, hkv, hkv}, gate_up_rows[] = {ff, ff};

    place_one(p, "input_layernorm", d, 0, layer);
    place(p, qkv_names, qkv_rows, 3, d, layer);
    place_one(p, "self_attn.o_proj", d, hq, layer);
    place_one(p, "post_attention_layernorm", d, 0, layer);
    place(p, gate_up_names, gate_up_rows, 2, d, layer);
    place_one(p, "mlp.down_proj", d, ff, layer);
}

static void place_all(placer *p, const sgt_model_config *config)
{
    place_one(p, "model.embed_tokens", config->vocab_size, config->d_model, -1);
    for (int32_t layer = 0; layer < config->n_layers; layer++)
        place_layer(p, config, layer);
    place_one(p, "model.norm", config->d_model, 0, -1);
    if (!config->tied)
        place_one(p, "lm_head", config->vocab_size, config->d_model, -1);
}

sgt_status sgti_parameters_measure(int32_t *count, uint64_t *elements,
                                   const sgt_model_config *config)
{
    placer p = {{0, 0, 0}, NULL, 0};
    place_all(&p, config);
    if (p.arena.overflow)
        return sgti_fail(SGT_E_OVERFLOW, "the weights of this configuration do not fit in memory");
    *count = p.count;
    *elements = p.arena.used;
    return SGT_OK;
}

static int by_name(const void *a, const void *b)
{
    const sgti_parameter *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int against_name(const void *name, const void *entry)
{
    const sgti_parameter *const *parameter = entry;
    return strcmp(name, (*parameter)->name);
}

static sgt_status allocate_lists(sgti_parameters *parameters, sgti_memory *memory, int32_t count)
{
    void *list = NULL, *sorted = NULL;
    sgt_status status = sgti_allocate_zeroed(&list, memory, (uint64_t)count,
                                             sizeof *parameters->list, "the list of parameters");
    if (status)
        return status;
    status = sgti_allocate_zeroed(&sorted, memory, (uint64_t)count, sizeof *parameters->by_name,
                                  "the list of parameters");
    if (status) {
        sgti_release(memory, list, (uint64_t)count * sizeof *parameters->list);
        return status;
    }
    parameters->list = list;
    parameters->by_name = sorted;
    parameters->count = count;
    return SGT_OK;
}

sgt_status sgti_parameters_create(sgti_parameters *parameters, sgti_memory *memory,
                                  const sgt_model_config *config)
{
    placer p = {{0, 0, 0}, NULL, 0};
    int32_t count = 0;
    uint64_t elements = 0;
    sgt_status status = sgti_parameters_measure(&count, &elements, config);
    if (status)
        return status;
    status = allocate_lists(parameters, memory, count);
    if (status)
        return status;
    p.list = parameters->list;
    place_all(&p, config);
    for (int32_t i = 0; i < count; i++)
        parameters->by_name[i] = &parameters->list[i];
    qsort(parameters->by_name, (size_t)count, sizeof *parameters->by_name, by_name);
    parameters->elements = elements;
    parameters->embedding = 0;
    parameters->final_norm = 1 + config->n_layers * SGTI_PER_LAYER;
    parameters->head = config->tied ? 0 : parameters->final_norm + 1;
    return SGT_OK;
}

void sgti_parameters_destroy(sgti_parameters *parameters, sgti_memory *memory)
{
    uint64_t count = (uint64_t)parameters->count;
    sgti_release(memory, parameters->list, count * sizeof *parameters->list);
    sgti_release(memory, parameters->by_name, count * sizeof *parameters->by_name);
    parameters->list = NULL;
    parameters->by_name = NULL;
    parameters->count = 0;
}

uint64_t sgti_parameters_bytes(int32_t count)
{
    return (uint64_t)count * (sizeof(sgti_parameter) + sizeof(sgti_parameter *));
}

int32_t sgti_parameters_find(const sgti_parameters *parameters, const char *name)
{
    const sgti_parameter *const *found =
        bsearch(name, parameters->by_name, (size_t)parameters->count,
                sizeof *parameters->by_name, against_name);
    return found ? (int32_t)(*found - parameters->list) : -1;
}
