/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The least that a backend with host-visible memory has to be. Its buffers are handles, so what
 * the portable kernels get must be their host addresses. One slot fails without a message, one
 * breaks the rules by returning a positive number.
 */
#include <sgt/sys/backend.h>

typedef struct backend {
    const sgt_backend_host *services;
    void *host;
    void *portable;
} backend;

struct sgt_buffer {
    uint64_t owner; /* not the memory: using the handle as memory is noticed */
    void *memory;
};

static int32_t open_backend(void **instance, const sgt_backend_open_args *args)
{
    backend *self = args->services->allocate(args->host, 16, sizeof *self);
    if (!self)
        return SGT_E_OUT_OF_MEMORY;
    *self = (backend){.services = args->services, .host = args->host};
    int32_t status = args->services->portable->open(&self->portable, args);
    if (status) {
        args->services->release(args->host, self, sizeof *self);
        return status;
    }
    *instance = self;
    return SGT_OK;
}

static void close_backend(void *instance)
{
    backend *self = instance;
    self->services->portable->close(self->portable);
    self->services->release(self->host, self, sizeof *self);
}

static int32_t allocate(void *instance, sgt_buffer **buffer, uint64_t bytes)
{
    const backend *self = instance;
    sgt_buffer *made = self->services->allocate(self->host, 16, sizeof *made);
    if (!made)
        return SGT_E_OUT_OF_MEMORY;
    made->memory = self->services->allocate(self->host, 64, (size_t)bytes);
    if (!made->memory) {
        self->services->release(self->host, made, sizeof *made);
        return SGT_E_OUT_OF_MEMORY;
    }
    *buffer = made;
    return SGT_OK;
}

static void free_buffer(void *instance, sgt_buffer *buffer, uint64_t bytes)
{
    const backend *self = instance;
    self->services->release(self->host, buffer->memory, (size_t)bytes);
    self->services->release(self->host, buffer, sizeof *buffer);
}

static void *host_pointer(void *instance, sgt_buffer *buffer)
{
    (void)instance;
    return buffer->memory;
}

static sgt_tensor on_host(const sgt_tensor *tensor)
{
    sgt_tensor own = *tensor;
    own.buffer = tensor->buffer->memory;
    return own;
}

static int32_t read_tensor(void *instance, void *data, const sgt_tensor *tensor)
{
    const backend *self = instance;
    const sgt_tensor own = on_host(tensor);
    return self->services->portable->read(self->portable, data, &own);
}

static int32_t write_tensor(void *instance, const sgt_tensor *tensor, const void *data)
{
    const backend *self = instance;
    const sgt_tensor own = on_host(tensor);
    return self->services->portable->write(self->portable, &own, data);
}

static int32_t fill(void *instance, const sgt_tensor *tensor, double value)
{
    const backend *self = instance;
    const sgt_tensor own = on_host(tensor);
    return self->services->portable->fill(self->portable, &own, value);
}

static int32_t fails_silently(void *instance, const sgt_gemm_args *args)
{
    (void)instance;
    (void)args;
    return SGT_E_BACKEND;
}

static int32_t returns_nonsense(void *instance, const sgt_elementwise_args *args)
{
    (void)instance;
    (void)args;
    return 7;
}

static int32_t synchronise(void *instance)
{
    (void)instance;
    return SGT_OK;
}

static const sgt_backend table = {
    .size = sizeof table,
    .abi = SGT_BACKEND_ABI,
    .name = "partial",
    .open = open_backend,
    .close = close_backend,
    .allocate = allocate,
    .free = free_buffer,
    .host_pointer = host_pointer,
    .read = read_tensor,
    .write = write_tensor,
    .copy = returns_nonsense,
    .fill = fill,
    .sync = synchronise,
    .gemm = fails_silently,
};

__attribute__((visibility("default"))) const sgt_backend *
sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services);

const sgt_backend *sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services)
{
    (void)services;
    return host_abi == SGT_BACKEND_ABI ? &table : NULL;
}
