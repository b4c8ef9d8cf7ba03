/* SPDX-License-Identifier: BSD-3-Clause */
#include "protected.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT 64u

int32_t protected_fail(const backend *self, const char *what)
{
    char message[160];
    snprintf(message, sizeof message, "protected backend: %s", what);
    return self->services->fail(self->host, SGT_E_BACKEND, message);
}

int protected_enter(sgt_buffer *buffer)
{
    pthread_mutex_lock(&buffer->lock);
    int failed = buffer->users == 0 &&
                 mprotect(buffer->pages, buffer->open_bytes, PROT_READ | PROT_WRITE) != 0;
    buffer->users += !failed;
    pthread_mutex_unlock(&buffer->lock);
    return failed;
}

int protected_leave(sgt_buffer *buffer)
{
    pthread_mutex_lock(&buffer->lock);
    buffer->users--;
    int failed =
        buffer->users == 0 && mprotect(buffer->pages, buffer->open_bytes, PROT_NONE) != 0;
    pthread_mutex_unlock(&buffer->lock);
    return failed;
}

static size_t rounded_up(uint64_t bytes, size_t unit)
{
    return (size_t)((bytes + unit - 1) / unit * unit);
}

/* Lays the pages of a buffer out in its allocation, fills them with NaN and closes them. */
static int close_pages(const backend *self, sgt_buffer *buffer)
{
    size_t page = self->page;
    char *first = buffer->allocation;
    first += rounded_up((uintptr_t)first, page) - (uintptr_t)first;
    buffer->pages = first;
    buffer->open_bytes = rounded_up(buffer->bytes, page);
    buffer->data = first + buffer->open_bytes - rounded_up(buffer->bytes, ALIGNMENT);
    memset(first, 0xff, buffer->open_bytes);
    return mprotect(first, buffer->open_bytes + page, PROT_NONE) != 0;
}

static void release(const backend *self, sgt_buffer *buffer)
{
    const sgt_backend_host *services = self->services;
    if (buffer->pages)
        mprotect(buffer->pages, buffer->open_bytes + self->page, PROT_READ | PROT_WRITE);
    if (buffer->allocation)
        services->release(self->host, buffer->allocation, buffer->allocated);
    pthread_mutex_destroy(&buffer->lock);
    services->release(self->host, buffer, sizeof *buffer);
}

int32_t protected_allocate(void *instance, sgt_buffer **buffer, uint64_t bytes)
{
    const backend *self = instance;
    const sgt_backend_host *services = self->services;
    size_t alignment = self->page < 4096 ? self->page : 4096;
    if (self->graph)
        return protected_fail(self, "memory is asked for under capture");
    if (bytes > PTRDIFF_MAX / 2)
        return services->fail(self->host, SGT_E_OVERFLOW, "protected backend: a buffer too large");
    sgt_buffer *made = services->allocate(self->host, 16, sizeof *made);
    if (!made)
        return SGT_E_OUT_OF_MEMORY;
    *made = (sgt_buffer){.bytes = bytes};
    pthread_mutex_init(&made->lock, NULL);
    made->allocated = rounded_up(bytes, self->page) + 2 * self->page - alignment;
    made->allocation = services->allocate(self->host, alignment, made->allocated);
    if (!made->allocation) {
        release(self, made);
        return SGT_E_OUT_OF_MEMORY;
    }
    if (close_pages(self, made)) {
        release(self, made);
        return protected_fail(self, "mprotect failed");
    }
    *buffer = made;
    return SGT_OK;
}

void protected_free(void *instance, sgt_buffer *buffer, uint64_t bytes)
{
    (void)bytes;
    release(instance, buffer);
}

int32_t protected_native(void *instance, sgt_native *native, sgt_buffer *buffer)
{
    (void)instance;
    native->device = 0;
    native->kind = "protected";
    native->memory = buffer->data;
    native->stream = NULL;
    return SGT_OK;
}
