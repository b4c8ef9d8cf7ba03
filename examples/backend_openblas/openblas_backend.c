/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of a backend whose products come from OpenBLAS. Everything else is the portable
 * backend's: its memory, whose buffers are host addresses, and its kernels, because the slots of
 * memory and of other operations are empty.
 */
#include "openblas_backend.h"

#include <stdio.h>

#include <cblas.h>

/* ---- opening ---- */

static int32_t open_backend(void **instance, const sgt_backend_open_args *args)
{
    const sgt_backend_host *services = args->services;
    if (args->options[0] != '\0')
        return services->fail(args->host, SGT_E_INVALID_ARGUMENT, "openblas: there are no options");
    openblas_backend *made = services->allocate(args->host, 16, sizeof *made);
    if (made == NULL)
        return SGT_E_OUT_OF_MEMORY; /* the service has recorded the message */
    *made = (openblas_backend){.services = services, .host = args->host};
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
    self->services->release(self->host, self, sizeof *self);
}

static int32_t describe(void *instance, sgt_backend_description *description)
{
    const openblas_backend *self = instance;
    description->generic = 0;
    description->kernels = self->kernels;
    return SGT_OK;
}

/* ---- the entry ---- */

static const sgt_backend table = {
    .size = sizeof table,
    .abi = SGT_BACKEND_ABI,
    .name = "openblas",
    .open = open_backend,
    .close = close_backend,
    .describe = describe,
    .gemm = openblas_gemm,
};

__attribute__((visibility("default"))) const sgt_backend *
sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services);

const sgt_backend *sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services)
{
    (void)services;
    return host_abi == SGT_BACKEND_ABI ? &table : NULL;
}
