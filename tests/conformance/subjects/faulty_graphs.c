/* SPDX-License-Identifier: BSD-3-Clause */
/* Graphs of a few copies, fills and products. */
#include "faulty.h"

#include <stdlib.h>
#include <string.h>

#define MOST_RECORDED 8

/* A call of a graph: a fill when no arguments are there. */
typedef struct recorded {
    size_t slot;
    const void *late; /* the caller's arguments */
    sgt_gemm_args product;
    sgt_elementwise_args copy;
    sgt_tensor tensors[4];
    double value;
} recorded;

struct sgt_graph {
    int32_t count;
    recorded calls[MOST_RECORDED];
};

static recorded *record(instance *self, size_t slot, const void *args, size_t bytes, void *copy)
{
    recorded *call = &self->graph->calls[self->graph->count++];
    const sgt_args_tensor *field = sgt_backend_args_tensors(slot);
    const uint32_t size = (uint32_t)bytes;
    *call = (recorded){.slot = slot, .late = args};
    if (args) {
        memcpy(copy, args, bytes);
        memcpy(copy, &size, sizeof size);
    }
    for (int i = 0; args && field[i].offset; i++) {
        const sgt_tensor *tensor;
        memcpy(&tensor, (const char *)args + field[i].offset, sizeof tensor);
        if (!tensor)
            continue;
        call->tensors[i] = *tensor;
        tensor = &call->tensors[i];
        memcpy((char *)copy + field[i].offset, &tensor, sizeof tensor);
    }
    return call;
}

int faulty_is_recording(const instance *self)
{
    return self->graph && CASE != RUNS_AT_ONCE && self->graph->count < MOST_RECORDED;
}

int32_t faulty_copy(void *made, const sgt_elementwise_args *args)
{
    instance *self = made;
    if (!faulty_is_recording(self))
        return self->services->portable->copy(self->portable, args);
    record(self, SGT_SLOT(copy), args, sizeof *args,
           &self->graph->calls[self->graph->count].copy);
    return SGT_OK;
}

int32_t faulty_fill(void *made, const sgt_tensor *tensor, double value)
{
    instance *self = made;
    if (!faulty_is_recording(self))
        return self->services->portable->fill(self->portable, tensor, value);
    recorded *call = record(self, SGT_SLOT(fill), NULL, 0, NULL);
    call->tensors[0] = *tensor;
    call->value = value;
    return SGT_OK;
}

void faulty_record_gemm(instance *self, const sgt_gemm_args *args)
{
    record(self, SGT_SLOT(gemm), args, sizeof *args,
           &self->graph->calls[self->graph->count].product);
}

/* ---- capture and replay ---- */

int32_t faulty_capture_begin(void *made)
{
    instance *self = made;
    self->graph = calloc(1, sizeof *self->graph);
    return self->graph ? SGT_OK : SGT_E_OUT_OF_MEMORY;
}

int32_t faulty_capture_end(void *made, sgt_graph **graph)
{
    instance *self = made;
    sgt_graph *captured = self->graph;
    self->graph = NULL;
    if (CASE == LATE_ANSWER) {
        free(captured);
        return SGT_E_UNSUPPORTED;
    }
    *graph = captured;
    return SGT_OK;
}

int32_t faulty_replay(void *made, sgt_graph *graph)
{
    const instance *self = made;
    const sgt_backend *portable = self->services->portable;
    int32_t status = SGT_OK;
    for (int32_t i = 0; i < graph->count && status == SGT_OK; i++) {
        const recorded *call = &graph->calls[i];
        int late = CASE == LATE_ARGS;
        if (call->slot == SGT_SLOT(gemm))
            status = portable->gemm(self->portable, late ? call->late : &call->product);
        else if (call->slot == SGT_SLOT(copy))
            status = portable->copy(self->portable, late ? call->late : &call->copy);
        else
            status = portable->fill(self->portable, &call->tensors[0], call->value);
    }
    return status;
}

void faulty_free_graph(void *made, sgt_graph *graph)
{
    (void)made;
    free(graph);
}
