/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of the portable backend, and its slots that are no operations: opening, memory and
 * transfers. A buffer is the address of its memory, so a plug-in can run these slots on memory of
 * its own.
 */
#include "portable.h"

#include <string.h>

#include "../../core/tensors.h"
#include "../registry.h"
#include "activation_kernels.h"
#include "isa_name.h"
#include "matrix_kernels.h"
#include "row_kernels.h"

/* The kernels of an instruction set. */
typedef struct variant {
    const char *isa;
    const char *kernels; /* for describe */
    const sgti_row_kernels *row;
    const sgti_activation_kernels *activation;
    const sgti_matrix_kernels *matrix;
} variant;

static const variant variants[] = {
    {"baseline", "portable baseline", &sgti_row_kernels_baseline, &sgti_activation_kernels_baseline,
     &sgti_matrix_kernels_baseline},
#ifdef SGTI_HAVE_WIDE_ISA
    {"avx2", "portable avx2", &sgti_row_kernels_avx2, &sgti_activation_kernels_avx2,
     &sgti_matrix_kernels_avx2},
    {"avx512", "portable avx512", &sgti_row_kernels_avx512, &sgti_activation_kernels_avx512,
     &sgti_matrix_kernels_avx512},
#endif
};

/* NULL for a name that this build does not have. */
static const variant *find_variant(const char *isa)
{
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        if (isa != NULL && strcmp(variants[i].isa, isa) == 0)
            return &variants[i];
    }
    return NULL;
}

static void release_instance(sgti_portable *portable)
{
    const sgt_backend_host *services = portable->services;
    void *host = portable->host;
    if (portable->scratch != NULL)
        services->release(host, portable->scratch,
                          (size_t)portable->threads * portable->scratch_bytes);
    services->release(host, portable, sizeof *portable);
}

/* Takes all scratch that operations will need, so that none of them can fail for lack of memory. */
static int32_t portable_open(void **instance, const sgt_backend_open_args *args)
{
    const sgt_backend_host *services = args->services;
    const variant *chosen = find_variant(args->isa);
    if (chosen == NULL)
        return services->fail(args->host, SGT_E_UNSUPPORTED,
                              "the portable backend has no kernels for this instruction set");
    if (args->options && args->options[0])
        return services->fail(args->host, SGT_E_INVALID_ARGUMENT,
                              "the portable backend has no options");
    if (args->threads < 1)
        return services->fail(args->host, SGT_E_INVALID_ARGUMENT,
                              "a backend needs at least one thread");

    sgti_portable *portable = services->allocate(args->host, 64, sizeof *portable);
    if (portable == NULL)
        return SGT_E_OUT_OF_MEMORY;
    *portable = (sgti_portable){
        .services = services,
        .host = args->host,
        .threads = args->threads,
        .isa = chosen->isa,
        .row = chosen->row,
        .activation = chosen->activation,
        .matrix = chosen->matrix,
        .scratch_bytes = SGTI_MATRIX_SCRATCH_BYTES,
    };
    portable->scratch = services->allocate(
        args->host, 64, (size_t)portable->threads * portable->scratch_bytes);
    if (portable->scratch == NULL) {
        release_instance(portable);
        return SGT_E_OUT_OF_MEMORY;
    }
    *instance = portable;
    return SGT_OK;
}

static void portable_close(void *instance)
{
    if (instance != NULL)
        release_instance(instance);
}

static int32_t portable_describe(void *instance, sgt_backend_description *description)
{
    const sgti_portable *portable = instance;
    description->generic = 0;
    description->kernels = find_variant(portable->isa)->kernels;
    return SGT_OK;
}

static int32_t portable_allocate(void *instance, sgt_buffer **buffer, uint64_t bytes)
{
    const sgti_portable *portable = instance;
    if (bytes > SIZE_MAX)
        return portable->services->fail(portable->host, SGT_E_OVERFLOW,
                                        "a buffer is larger than the address space");
    void *memory = portable->services->allocate(portable->host, 64, (size_t)bytes);
    if (memory == NULL)
        return SGT_E_OUT_OF_MEMORY;
    *buffer = memory;
    return SGT_OK;
}

static void portable_free(void *instance, sgt_buffer *buffer, uint64_t bytes)
{
    const sgti_portable *portable = instance;
    if (buffer != NULL)
        portable->services->release(portable->host, buffer, (size_t)bytes);
}

static void *portable_host_pointer(void *instance, sgt_buffer *buffer)
{
    (void)instance;
    return buffer;
}

static char *first_byte(const sgt_tensor *tensor)
{
    return (char *)(void *)tensor->buffer + tensor->offset * sgti_dtype_bytes(tensor->dtype);
}

static size_t bytes_of(const sgt_tensor *tensor)
{
    return (size_t)sgti_tensor_count(tensor) * sgti_dtype_bytes(tensor->dtype);
}

static int32_t portable_read(void *instance, void *data, const sgt_tensor *tensor)
{
    (void)instance;
    memcpy(data, first_byte(tensor), bytes_of(tensor));
    return SGT_OK;
}

static int32_t portable_write(void *instance, const sgt_tensor *tensor, const void *data)
{
    (void)instance;
    memcpy(first_byte(tensor), data, bytes_of(tensor));
    return SGT_OK;
}

static int32_t portable_sync(void *instance)
{
    (void)instance;
    return SGT_OK;
}

const sgt_backend sgti_portable_backend = {
    .size = sizeof(sgt_backend),
    .abi = SGT_BACKEND_ABI,
    .name = "portable",
    .open = portable_open,
    .close = portable_close,
    .describe = portable_describe,
    .allocate = portable_allocate,
    .free = portable_free,
    .host_pointer = portable_host_pointer,
    .read = portable_read,
    .write = portable_write,
    .copy = sgti_portable_copy,
    .fill = sgti_portable_fill,
    .sync = portable_sync,
    .gemm = sgti_portable_gemm,
    .embedding = sgti_portable_embedding,
    .embedding_backward = sgti_portable_embedding_backward,
    .rmsnorm = sgti_portable_rmsnorm,
    .rmsnorm_backward = sgti_portable_rmsnorm_backward,
    .rope = sgti_portable_rope,
    .attention = sgti_portable_attention,
    .attention_backward = sgti_portable_attention_backward,
    .swiglu = sgti_portable_swiglu,
    .swiglu_backward = sgti_portable_swiglu_backward,
    .cross_entropy = sgti_portable_cross_entropy,
    .add = sgti_portable_add,
    .axpy = sgti_portable_axpy,
    .scale = sgti_portable_scale,
    .norm = sgti_portable_norm,
    .convert = sgti_portable_convert,
    .adamw = sgti_portable_adamw,
    .gather_rows = sgti_portable_gather_rows,
    .scatter_add_rows = sgti_portable_scatter_add_rows,
    .linear = sgti_portable_linear,
    .relu = sgti_portable_relu,
    .relu_backward = sgti_portable_relu_backward,
    .choose = sgti_portable_choose,
    .choose_backward = sgti_portable_choose_backward,
    .row_products = sgti_portable_row_products,
    .row_products_backward = sgti_portable_row_products_backward,
    .unit_inputs = sgti_portable_unit_inputs,
    .unit_outputs = sgti_portable_unit_outputs,
    .unit_gradients = sgti_portable_unit_gradients,
};
