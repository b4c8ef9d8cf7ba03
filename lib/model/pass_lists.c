/* SPDX-License-Identifier: BSD-3-Clause */
/* The block of lists is written as int32; the gains in it are floats of the same width. */
#include "pass_lists.h"

#include "../core/tensors.h"

static sgt_tensor integers(sgt_buffer *lists, int64_t first, int64_t count)
{
    sgt_tensor tensor = sgti_tensor_1d(lists, (uint64_t)first, count);
    tensor.dtype = SGT_I32;
    return tensor;
}

sgt_status sgti_pass_lists_create(sgti_storage *lists, sgti_dispatch *dispatch,
                                  const sgti_passes *passes, int64_t more)
{
    uint64_t bytes = (uint64_t)(passes->n_entries + more) * sizeof(int32_t);
    sgt_status status =
        sgti_storage_allocate(lists, dispatch, bytes, "the lists of heads of a plan");
    if (status)
        return status;
    status = sgti_pass_lists_write(lists, dispatch, passes);
    if (status)
        sgti_storage_free(lists, dispatch);
    return status;
}

sgt_status sgti_pass_lists_write(const sgti_storage *lists, sgti_dispatch *dispatch,
                                 const sgti_passes *passes)
{
    sgt_tensor all = integers(lists->buffer, 0, passes->n_entries);
    return sgti_write(dispatch, &all, passes->lists);
}

sgt_tensor sgti_pass_list_of(sgt_buffer *lists, const sgt_model_config *config,
                             const sgti_pass *pass, sgti_pass_list which)
{
    int64_t rows = pass->index * sgti_list_entries(config);
    int64_t kv_heads = rows + config->n_heads + 2 * (int64_t)config->n_kv_heads;
    switch (which) {
    case SGTI_LIST_ROWS:
        return integers(lists, rows, pass->n_heads + 2 * (int64_t)pass->n_groups);
    case SGTI_LIST_HEADS:
        return integers(lists, rows, pass->n_heads);
    case SGTI_LIST_KV_HEADS:
        return integers(lists, kv_heads, pass->n_heads);
    case SGTI_LIST_GAINS:
    default:
        return sgti_tensor_1d(lists, (uint64_t)(kv_heads + config->n_heads), pass->n_heads);
    }
}

sgt_tensor sgti_pass_lists_more(sgt_buffer *lists, const sgti_passes *passes, int64_t first,
                                int64_t count)
{
    return integers(lists, passes->n_entries + first, count);
}
