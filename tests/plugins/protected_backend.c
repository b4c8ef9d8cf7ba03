/* SPDX-License-Identifier: BSD-3-Clause */
#include "protected.h"

#include <unistd.h>

static int32_t open_backend(void **instance, const sgt_backend_open_args *args)
{
    const sgt_backend_host *services = args->services;
    if (args->options[0])
        return services->fail(args->host, SGT_E_INVALID_ARGUMENT,
                              "the protected backend has no options");
    backend *self = services->allocate(args->host, 16, sizeof *self);
    if (!self)
        return SGT_E_OUT_OF_MEMORY;
    *self = (backend){
        .services = services, .host = args->host, .page = (size_t)sysconf(_SC_PAGESIZE)};
    int32_t status = services->portable->open(&self->portable, args);
    if (status) {
        services->release(args->host, self, sizeof *self);
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

static int32_t describe(void *instance, sgt_backend_description *description)
{
    const backend *self = instance;
    int32_t status = self->services->portable->describe(self->portable, description);
    description->kernels = "protected";
    return status;
}

#ifdef WHOLE_UNITS
#define NAME "protected-whole"
#else
#define NAME "protected"
#endif

static const sgt_backend table = {
    .size = sizeof table,
    .abi = SGT_BACKEND_ABI,
    .name = NAME,
    .open = open_backend,
    .close = close_backend,
    .describe = describe,
    .allocate = protected_allocate,
    .free = protected_free,
    .read = protected_read,
    .write = protected_write,
    .copy = protected_copy,
    .fill = protected_fill,
    .sync = protected_sync,
    .gemm = protected_gemm,
    .embedding = protected_embedding,
    .embedding_backward = protected_embedding_backward,
    .rmsnorm = protected_rmsnorm,
    .rmsnorm_backward = protected_rmsnorm_backward,
    .rope = protected_rope,
    .attention = protected_attention,
    .attention_backward = protected_attention_backward,
    .swiglu = protected_swiglu,
    .swiglu_backward = protected_swiglu_backward,
    .cross_entropy = protected_cross_entropy,
    .add = protected_add,
    .axpy = protected_axpy,
    .scale = protected_scale,
    .norm = protected_norm,
    .convert = protected_convert,
    .adamw = protected_adamw,
    .gather_rows = protected_gather_rows,
    .scatter_add_rows = protected_scatter_add_rows,
    .prepare_weight = protected_prepare_weight,
    .capture_begin = protected_capture_begin,
    .capture_end = protected_capture_end,
    .replay = protected_replay,
    .free_graph = protected_free_graph,
    .native = protected_native,
    .relu = protected_relu,
    .relu_backward = protected_relu_backward,
    .choose = protected_choose,
    .choose_backward = protected_choose_backward,
    .row_products = protected_row_products,
    .row_products_backward = protected_row_products_backward,
#ifndef WHOLE_UNITS
    .unit_inputs = protected_unit_inputs,
    .unit_outputs = protected_unit_outputs,
    .unit_gradients = protected_unit_gradients,
#endif
};

__attribute__((visibility("default"))) const sgt_backend *
sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services);

const sgt_backend *sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services)
{
    (void)services;
    return host_abi == SGT_BACKEND_ABI ? &table : NULL;
}
