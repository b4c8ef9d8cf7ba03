/* SPDX-License-Identifier: BSD-3-Clause */
#include "faulty.h"

#include <string.h>

int32_t faulty_allocate(void *made, sgt_buffer **buffer, uint64_t bytes)
{
    const instance *self = made;
    if (CASE == MUTE && bytes > UINT64_C(1) << 50)
        return SGT_E_OUT_OF_MEMORY;
    if (CASE != UNALIGNED)
        return self->services->portable->allocate(self->portable, buffer, bytes);
    char *memory = self->services->allocate(self->host, 64, (size_t)bytes + 16);
    if (memory == NULL)
        return SGT_E_OUT_OF_MEMORY;
    *buffer = (sgt_buffer *)(void *)(memory + 16);
    return SGT_OK;
}

void faulty_free(void *made, sgt_buffer *buffer, uint64_t bytes)
{
    const instance *self = made;
    if (CASE == FORGETS_BUFFER)
        return;
    if (CASE == UNALIGNED)
        self->services->release(self->host, (char *)(void *)buffer - 16, (size_t)bytes + 16);
    else
        self->services->portable->free(self->portable, buffer,
                                       CASE == WRONG_SIZE && bytes > 4096 ? bytes - 1 : bytes);
}

void *faulty_host_pointer(void *made, sgt_buffer *buffer)
{
    static _Alignas(64) char elsewhere[2][1 << 16];
    static int next;
    (void)made;
    return CASE == OTHER_POINTER ? (void *)elsewhere[next++ % 2] : (void *)buffer;
}

int32_t faulty_write(void *made, const sgt_tensor *tensor, const void *data)
{
    instance *self = made;
    if (CASE != LATE_WRITE)
        return self->services->portable->write(self->portable, tensor, data);
    size_t count = tensor->dtype == SGT_F64 ? 8 : tensor->dtype == SGT_F32 ? 4 : 2;
    self->late_target = (char *)(void *)tensor->buffer + tensor->offset * count;
    for (int32_t i = 0; i < tensor->rank; i++)
        count *= (size_t)tensor->shape[i];
    self->late_source = data;
    self->late_bytes = count;
    return SGT_OK;
}

int32_t faulty_read(void *made, void *data, const sgt_tensor *tensor)
{
    instance *self = made;
    if (self->late_bytes > 0)
        memcpy(self->late_target, self->late_source, self->late_bytes);
    self->late_bytes = 0;
    return self->services->portable->read(self->portable, data, tensor);
}

int32_t faulty_sync(void *made)
{
    const instance *self = made;
    return self->services->portable->sync(self->portable);
}
