/* SPDX-License-Identifier: BSD-3-Clause */
/* Graphs as the contract has them: lists of calls with copies of all that their arguments point to.
 * */
#include "protected.h"

#include <stddef.h>
#include <string.h>

typedef struct recorded_call {
    struct recorded_call *next;
    size_t slot;
    any_args args; /* whose tensors are those below; of a fill: none */
    sgt_tensor tensors[SGT_MAX_ARGS_TENSORS];
    double value; /* of a fill */
} recorded_call;

struct sgt_graph {
    recorded_call *first;
    recorded_call **end; /* where the next one goes */
};

static recorded_call *append(backend *self, size_t slot)
{
    recorded_call *call = self->services->allocate(self->host, 16, sizeof *call);
    if (!call)
        return NULL;
    memset(call, 0, sizeof *call);
    call->slot = slot;
    *self->graph->end = call;
    self->graph->end = &call->next;
    return call;
}

/* Operations with lists in host memory are not recorded: a step of an optimizer does not repeat. */
int32_t protected_record(backend *self, size_t slot, const void *args, size_t bytes)
{
    const sgt_args_tensor *field = sgt_backend_args_tensors(slot);
    if (slot == SGT_SLOT(norm) || slot == SGT_SLOT(adamw))
        return SGT_E_UNSUPPORTED;
    recorded_call *call = append(self, slot);
    if (!call)
        return SGT_E_OUT_OF_MEMORY;
    char *own = (char *)&call->args;
    const uint32_t size = (uint32_t)bytes;
    memcpy(own, args, bytes);
    memcpy(own, &size, sizeof size);
    for (int i = 0; field[i].offset; i++) {
        const sgt_tensor *tensor;
        memcpy(&tensor, own + field[i].offset, sizeof tensor);
        if (!tensor)
            continue;
        call->tensors[i] = *tensor;
        tensor = &call->tensors[i];
        memcpy(own + field[i].offset, &tensor, sizeof tensor);
    }
    return SGT_OK;
}

int32_t protected_record_fill(backend *self, const sgt_tensor *tensor, double value)
{
    recorded_call *call = append(self, SGT_SLOT(fill));
    if (!call)
        return SGT_E_OUT_OF_MEMORY;
    call->tensors[0] = *tensor;
    call->value = value;
    return SGT_OK;
}

void protected_free_graph(void *instance, sgt_graph *graph)
{
    const backend *self = instance;
    recorded_call *next;
    for (recorded_call *call = graph->first; call; call = next) {
        next = call->next;
        self->services->release(self->host, call, sizeof *call);
    }
    self->services->release(self->host, graph, sizeof *graph);
}

int32_t protected_capture_begin(void *instance)
{
    backend *self = instance;
    if (self->graph)
        return protected_fail(self, "a capture within a capture");
    sgt_graph *graph = self->services->allocate(self->host, 16, sizeof *graph);
    if (!graph)
        return SGT_E_OUT_OF_MEMORY;
    *graph = (sgt_graph){.end = &graph->first};
    self->graph = graph;
    return SGT_OK;
}

int32_t protected_capture_end(void *instance, sgt_graph **graph)
{
    backend *self = instance;
    if (!self->graph)
        return protected_fail(self, "the end of no capture");
    *graph = self->graph;
    self->graph = NULL;
    return SGT_OK;
}

int32_t protected_replay(void *instance, sgt_graph *graph)
{
    backend *self = instance;
    int32_t status = SGT_OK;
    for (const recorded_call *call = graph->first; call && !status; call = call->next)
        status = call->slot == SGT_SLOT(fill)
                     ? protected_run_fill(self, &call->tensors[0], call->value)
                     : protected_run(self, call->slot, &call->args);
    return status;
}
