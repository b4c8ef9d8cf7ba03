/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of the OpenCL backend: instances, buffers, transfers. */
#include "opencl_backend.h"

/* ---- instances ---- */

static void close_backend(void *instance)
{
    opencl_backend *self = instance;
    opencl_stop(self);
    pthread_mutex_destroy(&self->lock);
    self->services->release(self->host, self, sizeof *self);
}

static int32_t open_backend(void **instance, const sgt_backend_open_args *args)
{
    const sgt_backend_host *services = args->services;
    opencl_backend *made = services->allocate(args->host, 16, sizeof *made);
    if (made == NULL)
        return SGT_E_OUT_OF_MEMORY; /* the service has recorded the message */
    *made = (opencl_backend){.services = services, .host = args->host};
    pthread_mutex_init(&made->lock, NULL);
    int32_t status = opencl_start(made, args->options);
    if (status != SGT_OK) {
        close_backend(made);
        return status;
    }
    *instance = made;
    return SGT_OK;
}

static int32_t describe(void *instance, sgt_backend_description *description)
{
    const opencl_backend *self = instance;
    description->generic = 0;
    description->kernels = self->description;
    return SGT_OK;
}

/* ---- buffers ---- */

static int32_t allocate(void *instance, sgt_buffer **buffer, uint64_t bytes)
{
    const opencl_backend *self = instance;
    cl_ulong most = 0;
    cl_int code;
    clGetDeviceInfo(self->device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof most, &most, NULL);
    if (bytes > most)
        return self->services->fail(self->host, SGT_E_OUT_OF_MEMORY,
                                    "opencl: a buffer is larger than the device allows");
    int32_t status = self->services->reserve(self->host, bytes); /* as memory of the context */
    if (status != SGT_OK)
        return status;
    sgt_buffer *made = self->services->allocate(self->host, 16, sizeof *made);
    if (made == NULL) {
        self->services->unreserve(self->host, bytes);
        return SGT_E_OUT_OF_MEMORY;
    }
    made->memory = clCreateBuffer(self->context, CL_MEM_READ_WRITE, (size_t)bytes, NULL, &code);
    if (code != CL_SUCCESS) {
        self->services->release(self->host, made, sizeof *made);
        self->services->unreserve(self->host, bytes);
        return opencl_fail(self, "clCreateBuffer", code);
    }
    *buffer = made;
    return SGT_OK;
}

/* What the queue still has to do with it keeps the memory alive. */
static void free_buffer(void *instance, sgt_buffer *buffer, uint64_t bytes)
{
    const opencl_backend *self = instance;
    if (buffer == NULL)
        return;
    clReleaseMemObject(buffer->memory);
    self->services->unreserve(self->host, bytes);
    self->services->release(self->host, buffer, sizeof *buffer);
}

/* ---- transfers: both wait ---- */

static int32_t read_tensor(void *instance, void *data, const sgt_tensor *tensor)
{
    const opencl_backend *self = instance;
    const size_t size = opencl_element_bytes(tensor->dtype);
    cl_int code = clEnqueueReadBuffer(self->queue, tensor->buffer->memory, CL_TRUE,
                                      tensor->offset * size, (size_t)opencl_count(tensor) * size,
                                      data, 0, NULL, NULL);
    return code == CL_SUCCESS ? SGT_OK : opencl_fail(self, "clEnqueueReadBuffer", code);
}

static int32_t write_tensor(void *instance, const sgt_tensor *tensor, const void *data)
{
    const opencl_backend *self = instance;
    const size_t size = opencl_element_bytes(tensor->dtype);
    cl_int code = clEnqueueWriteBuffer(self->queue, tensor->buffer->memory, CL_TRUE,
                                       tensor->offset * size, (size_t)opencl_count(tensor) * size,
                                       data, 0, NULL, NULL);
    return code == CL_SUCCESS ? SGT_OK : opencl_fail(self, "clEnqueueWriteBuffer", code);
}

static int32_t synchronise(void *instance)
{
    const opencl_backend *self = instance;
    cl_int code = clFinish(self->queue);
    return code == CL_SUCCESS ? SGT_OK : opencl_fail(self, "clFinish", code);
}

/* ---- the entry ---- */

static const sgt_backend table = {
    .size = sizeof table,
    .abi = SGT_BACKEND_ABI,
    .name = "opencl",
    .open = open_backend,
    .close = close_backend,
    .describe = describe,
    .allocate = allocate,
    .free = free_buffer,
    .read = read_tensor,
    .write = write_tensor,
    .copy = opencl_copy,
    .fill = opencl_fill,
    .sync = synchronise,
    .gemm = opencl_gemm,
    .embedding = opencl_embedding,
    .embedding_backward = opencl_embedding_backward,
    .rmsnorm = opencl_rmsnorm,
    .rmsnorm_backward = opencl_rmsnorm_backward,
    .rope = opencl_rope,
    .attention = opencl_attention,
    .attention_backward = opencl_attention_backward,
    .swiglu = opencl_swiglu,
    .swiglu_backward = opencl_swiglu_backward,
    .cross_entropy = opencl_cross_entropy,
    .add = opencl_add,
    .axpy = opencl_axpy,
    .scale = opencl_scale,
    .norm = opencl_norm,
    .convert = opencl_convert,
    .adamw = opencl_adamw,
    .gather_rows = opencl_gather_rows,
    .scatter_add_rows = opencl_scatter_add_rows,
    .linear = opencl_linear,
    .relu = opencl_relu,
    .relu_backward = opencl_relu_backward,
    .choose = opencl_choose,
    .choose_backward = opencl_choose_backward,
    .row_products = opencl_row_products,
    .row_products_backward = opencl_row_products_backward,
};

__attribute__((visibility("default"))) const sgt_backend *
sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services);

const sgt_backend *sgt_backend_entry(uint32_t host_abi, const sgt_backend_host *services)
{
    (void)services;
    return host_abi == SGT_BACKEND_ABI ? &table : NULL;
}
