/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of a backend whose products come from OpenBLAS. Everything else is the portable
 * backend's: memory through an instance of it, the other operations by leaving their slots empty,
 * which is allowed because memory has host addresses.
 */
#include "openblas_backend.h"

#include <stdio.h>

#include <cblas.h>

/* ---- opening ---- */

static int32_t open_backend(void **instance, const sgt_backend_open_args *args)
{
    const sgt_backend_host *services = args->services;
    openblas_backend *made = services->allocate(args->host, 16, sizeof *made);
    if (made == NULL)
        return SGT_E_OUT_OF_MEMORY; /* the service has recorded the message */
    *made = (openblas_backend){.services = services, .host = args->host};
    int32_t status = services->portable->open(&made->portable, args);
    if (status != SGT_OK) {
        services->release(args->host, made, sizeof *made);
        return status;
    }
    /* The context's threads call OpenBLAS; it must not start some of its own for each of them. */
    openblas_set_num_threads(1);
    made->one_at_a_time = openblas_get_parallel() == OPENBLAS_SEQUENTIAL;
    snprintf(made->kernels, sizeof made->kernels, "openblas %s", openblas_get_corename());
    *instance = made;
    return SGT_OK;
}

static void close_backend(void *instance)
{
    openblas_backend *self = instance;
    self->services->portable->close(self->portable);
    self->services->release(self->host, self, sizeof *self);
}

static int32_t describe(void *instance, sgt_backend_description *description)
{
    const openblas_backend *self = instance;
    description->generic = 0;
    description->kernels = self->kernels;
    return SGT_OK;
}

/* ---- what the portable backend does ---- */

static int32_t allocate(void *instance, sgt_buffer **buffer, uint64_t bytes)
{
    const openblas_backend *self = instance;
    return self->services->portable->allocate(self->portable, buffer, bytes);
}

static void free_buffer(void *instance, sgt_buffer *buffer, uint64_t bytes)
{
    const openblas_backend *self = instance;
    self->services->portable->free(self->portable, buffer, bytes);
}

static void *host_pointer(void *instance, sgt_buffer *buffer)
{
    const openblas_backend *self = instance;
    return self->services->portable->host_pointer(self->portable, buffer);
}

static int32_t read_tensor(void *instance, void *data, const sgt_tensor *tensor)
{
    const openblas_backend *self = instance;
    return self->services->portable->read(self->portable, data, tensor);
}

static int32_t write_tensor(void *instance, const sgt_tensor *tensor, const void *data)
{
    const openblas_backend *self = instance;
    return self->services->portable->write(self->portable, tensor, data);
}

static int32_t copy(void *instance, const sgt_elementwise_args *args)
{
    const openblas_backend *self = instance;
    return self->services->portable->copy(self->portable, args);
}

static int32_t fill(void *instance, const sgt_tensor *tensor, double value)
{
    const openblas_backend *self = instance;
    return self->services->portable->fill(self->portable, tensor, value);
}

static int32_t synchronise(void *instance)
{
    const openblas_backend *self = instance;
    return self->services->portable->sync(self->portable);
}

/* ---- the entry ---- */

static const sgt_backend table = {
    .size = sizeof table,
    .abi = SGT_BACKEND_ABI,
    .name = "openblas",
    .open = open_backend,
    .close = close_backend,
    .describe = describe,
    .allocate = allocate,
    .free = free_buffer,
    .host_pointer = host_pointer,
    .read = read_tensor,
    .write = write_tensor,
    .copy = copy,
    .fill = fill,
    .sync = synchronise,
    .gemm = openblas_gemm,
};

__attribute__((visibility("default"))) const sgt_backend *
sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services);

const sgt_backend *sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services)
{
    (void)services;
    return host_abi == SGT_BACKEND_ABI ? &table : NULL;
}
