/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of the BLIS backend, which has products only. It has no memory slots: memory is the
 * portable backend's, and buffers are host addresses. */
#include "blis_private.h"

#include "../registry.h"

static int32_t blis_open(void **instance, const sgt_backend_open_args *args)
{
    const sgt_backend_host *services = args->services;
    if (args->options[0])
        return services->fail(args->host, SGT_E_INVALID_ARGUMENT,
                              "the BLIS backend has no options");
    sgti_blis *blis = services->allocate(args->host, 64, sizeof *blis);
    if (blis == NULL)
        return SGT_E_OUT_OF_MEMORY;
    *blis = (sgti_blis){.services = services, .host = args->host, .threads = args->threads};
    int32_t status = sgti_blis_choose(blis, args->isa);
    if (status == 0)
        status = sgti_blis_reserve(blis);
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
    blis->services->release(blis->host, blis, sizeof *blis);
}

static int32_t blis_describe(void *instance, sgt_backend_description *description)
{
    const sgti_blis *blis = instance;
    description->generic = blis->generic;
    description->kernels = blis->kernels;
    return 0;
}

const sgt_backend sgti_blis_backend = {
    .size = sizeof(sgt_backend),
    .abi = SGT_BACKEND_ABI,
    .name = "blis",
    .open = blis_open,
    .close = blis_close,
    .describe = blis_describe,
    .gemm = sgti_blis_gemm,
};
