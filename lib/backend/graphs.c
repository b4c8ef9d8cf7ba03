/* SPDX-License-Identifier: BSD-3-Clause */
/* Records the calls of a step and replays them, and shows buffers to other libraries. */
#include "dispatch_data.h"

#include "../base/error.h"

int sgti_can_capture(const sgti_dispatch *dispatch)
{
    return dispatch->table->capture_begin != NULL;
}

sgt_status sgti_capture_begin(sgti_dispatch *dispatch)
{
    uint64_t failures = sgti_failures();
    if (!sgti_can_capture(dispatch))
        return sgti_fail(SGT_E_UNSUPPORTED, "backend '%s' captures no graphs",
                         dispatch->table->name);
    int32_t result = dispatch->table->capture_begin(dispatch->instance);
    dispatch->capturing = result == SGT_OK;
    return sgti_slot_status(dispatch, result, failures, "capture_begin");
}

sgt_status sgti_capture_end(sgt_graph **graph, sgti_dispatch *dispatch)
{
    uint64_t failures = sgti_failures();
    sgt_graph *made = NULL;
    if (!dispatch->capturing)
        return sgti_fail(SGT_E_STATE, "no capture was begun");
    int32_t result = dispatch->table->capture_end(dispatch->instance, &made);
    dispatch->capturing = 0;
    if (result == SGT_OK)
        *graph = made;
    return sgti_slot_status(dispatch, result, failures, "capture_end");
}

sgt_status sgti_replay(sgti_dispatch *dispatch, sgt_graph *graph)
{
    uint64_t failures = sgti_failures();
    int32_t result = dispatch->table->replay(dispatch->instance, graph);
    return sgti_slot_status(dispatch, result, failures, "replay");
}

void sgti_graph_free(sgti_dispatch *dispatch, sgt_graph *graph)
{
    if (graph)
        dispatch->table->free_graph(dispatch->instance, graph);
}

sgt_status sgti_native(sgt_native *native, sgti_dispatch *dispatch, sgt_buffer *buffer)
{
    uint64_t failures = sgti_failures();
    sgt_native own = {.size = sizeof own};
    if (!dispatch->table->native)
        return sgti_fail(SGT_E_UNSUPPORTED, "backend '%s' does not tell what its buffers are",
                         dispatch->table->name);
    int32_t result = dispatch->table->native(dispatch->instance, &own, buffer);
    if (result == SGT_OK)
        *native = own;
    return sgti_slot_status(dispatch, result, failures, "native");
}
