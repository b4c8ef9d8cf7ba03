/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of the BLIS backend. Memory is that of the portable backend: host addresses. */
#include "blis_private.h"

#include "../registry.h"

static int32_t blis_open(void **instance, const sgt_backend_open_args *args)
{
    const sgt_backend_host *services = args->services;
    sgti_blis *blis = services->allocate(args->host, 64, sizeof *blis);
    if (blis == NULL)
        return SGT_E_OUT_OF_MEMORY;
    *blis = (sgti_blis){.services = services, .host = args->host, .threads = args->threads};
    int32_t status = sgti_blis_choose(blis, args->isa);
    if (status == 0)
        status = sgti_blis_reserve(blis);
    if (status == 0)
        status = services->portable->open(&blis->portable, args);
    if (status != 0) {
        services->release(args->host, blis, sizeof *blis);
        return status;
    }
    *instance = blis;
    return 0;
}

static void blis_close(void *instance)
{
    sgti_blis *blis = instance;
    blis->services->portable->close(blis->portable);
    blis->services->release(blis->host, blis, sizeof *blis);
}

static int32_t blis_describe(void *instance, sgt_backend_description *description)
{
    const sgti_blis *blis = instance;
    description->generic = blis->generic;
    description->kernels = blis->kernels;
    return 0;
}

static int32_t blis_allocate(void *instance, sgt_buffer **buffer, uint64_t bytes)
{
    const sgti_blis *blis = instance;
    return blis->services->portable->allocate(blis->portable, buffer, bytes);
}

static void blis_free(void *instance, sgt_buffer *buffer, uint64_t bytes)
{
    const sgti_blis *blis = instance;
    blis->services->portable->free(blis->portable, buffer, bytes);
}

static void *blis_host_pointer(void *instance, sgt_buffer *buffer)
{
    const sgti_blis *blis = instance;
    return blis->services->portable->host_pointer(blis->portable, buffer);
}

static int32_t blis_read(void *instance, void *data, const sgt_tensor *tensor)
{
    const sgti_blis *blis = instance;
    return blis->services->portable->read(blis->portable, data, tensor);
}

static int32_t blis_write(void *instance, const sgt_tensor *tensor, const void *data)
{
    const sgti_blis *blis = instance;
    return blis->services->portable->write(blis->portable, tensor, data);
}

static int32_t blis_copy(void *instance, const sgt_elementwise_args *args)
{
    const sgti_blis *blis = instance;
    return blis->services->portable->copy(blis->portable, args);
}

static int32_t blis_fill(void *instance, const sgt_tensor *tensor, double value)
{
    const sgti_blis *blis = instance;
    return blis->services->portable->fill(blis->portable, tensor, value);
}

static int32_t blis_sync(void *instance)
{
    const sgti_blis *blis = instance;
    return blis->services->portable->sync(blis->portable);
}

const sgt_backend sgti_blis_backend = {
    .size = sizeof(sgt_backend),
    .abi = SGT_BACKEND_ABI,
    .name = "blis",
    .open = blis_open,
    .close = blis_close,
    .describe = blis_describe,
    .allocate = blis_allocate,
    .free = blis_free,
    .host_pointer = blis_host_pointer,
    .read = blis_read,
    .write = blis_write,
    .copy = blis_copy,
    .fill = blis_fill,
    .sync = blis_sync,
    .gemm = sgti_blis_gemm,
};
