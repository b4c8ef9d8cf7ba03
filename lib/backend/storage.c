/* SPDX-License-Identifier: BSD-3-Clause */
/* A failed allocation keeps the backend's message and puts the purpose before it. */
#include "storage.h"

#include "../base/error.h"

sgt_status sgti_storage_allocate(sgti_storage *storage, sgti_dispatch *dispatch, uint64_t bytes,
                                 const char *what)
{
    sgt_buffer *buffer;
    sgt_status status = sgti_buffer_allocate(&buffer, dispatch, bytes);
    if (status)
        return sgti_fail(status, "%s: %s", what, sgt_error_message());
    storage->buffer = buffer;
    storage->bytes = bytes;
    return SGT_OK;
}

void sgti_storage_free(sgti_storage *storage, sgti_dispatch *dispatch)
{
    if (storage->buffer)
        sgti_buffer_free(dispatch, storage->buffer, storage->bytes);
    storage->buffer = NULL;
    storage->bytes = 0;
}
