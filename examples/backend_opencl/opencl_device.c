/* SPDX-License-Identifier: BSD-3-Clause */
/* The device, its kernels, and starting one. */
#include "opencl_backend.h"

#include <stdio.h>

#define GROUP 64 /* items that run together */

/* ---- failures ---- */

int32_t opencl_fail(const opencl_backend *self, const char *what, cl_int code)
{
    char message[200];
    const int memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE ||
                       code == CL_OUT_OF_HOST_MEMORY || code == CL_OUT_OF_RESOURCES ||
                       code == CL_INVALID_BUFFER_SIZE;
    snprintf(message, sizeof message, "opencl: %s gave %d", what, (int)code);
    return self->services->fail(self->host, memory ? SGT_E_OUT_OF_MEMORY : SGT_E_BACKEND, message);
}

/* ---- finding a device ---- */

#define MOST_PLATFORMS 8
#define MOST_DEVICES   8

static int has_doubles(cl_device_id device)
{
    cl_device_fp_config doubles = 0;
    return clGetDeviceInfo(device, CL_DEVICE_DOUBLE_FP_CONFIG, sizeof doubles, &doubles, NULL) ==
               CL_SUCCESS &&
           doubles != 0;
}

/* The device of this number, of all that compute in double precision. */
static int32_t find_device(opencl_backend *self, int number)
{
    cl_platform_id platforms[MOST_PLATFORMS];
    cl_uint platform_count = 0;
    if (clGetPlatformIDs(MOST_PLATFORMS, platforms, &platform_count) != CL_SUCCESS)
        platform_count = 0;
    for (cl_uint p = 0; p < platform_count && p < MOST_PLATFORMS; p++) {
        cl_device_id devices[MOST_DEVICES];
        cl_uint count = 0;
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MOST_DEVICES, devices, &count) !=
            CL_SUCCESS)
            continue;
        for (cl_uint d = 0; d < count && d < MOST_DEVICES; d++) {
            if (has_doubles(devices[d]) && number-- == 0) {
                self->device = devices[d];
                return SGT_OK;
            }
        }
    }
    return self->services->fail(self->host, SGT_E_UNSUPPORTED,
                                "opencl: no such device with double precision was found");
}

static void describe_device(opencl_backend *self)
{
    char name[120] = "";
    clGetDeviceInfo(self->device, CL_DEVICE_NAME, sizeof name - 1, name, NULL);
    snprintf(self->description, sizeof self->description, "opencl on %s", name);
}

/* ---- building the kernels ---- */

static void log_build(const opencl_backend *self)
{
    char text[2000] = "";
    clGetProgramBuildInfo(self->program, self->device, CL_PROGRAM_BUILD_LOG, sizeof text - 1, text,
                          NULL);
    self->services->log(self->host, SGT_LOG_ERROR, text);
}

static int32_t build(opencl_backend *self)
{
    static const char *const names[OPENCL_KERNEL_COUNT] = {
#define OPENCL_NAME(name) #name,
        OPENCL_KERNELS(OPENCL_NAME)
#undef OPENCL_NAME
    };
    const char *source = opencl_source;
    cl_int code;
    self->program = clCreateProgramWithSource(self->context, 1, &source, NULL, &code);
    if (code != CL_SUCCESS)
        return opencl_fail(self, "clCreateProgramWithSource", code);
    code = clBuildProgram(self->program, 1, &self->device, "-cl-std=CL1.2", NULL, NULL);
    if (code != CL_SUCCESS) {
        log_build(self);
        return opencl_fail(self, "clBuildProgram", code);
    }
    for (int i = 0; i < OPENCL_KERNEL_COUNT; i++) {
        self->kernels[i] = clCreateKernel(self->program, names[i], &code);
        if (code != CL_SUCCESS)
            return opencl_fail(self, "clCreateKernel", code);
    }
    return SGT_OK;
}

/* "" or "device=N". */
static int32_t read_options(int *number, const opencl_backend *self, const char *options)
{
    char behind;
    *number = 0;
    if (options[0] == '\0')
        return SGT_OK;
    if (sscanf(options, "device=%2d%c", number, &behind) == 1 && *number >= 0)
        return SGT_OK;
    return self->services->fail(self->host, SGT_E_INVALID_ARGUMENT,
                                "opencl: the only option is device=N, N from 0 to 99");
}

int32_t opencl_start(opencl_backend *self, const char *options)
{
    cl_int code;
    int number;
    int32_t status = read_options(&number, self, options);
    if (status == SGT_OK)
        status = find_device(self, number);
    if (status != SGT_OK)
        return status;
    describe_device(self);
    self->context = clCreateContext(NULL, 1, &self->device, NULL, NULL, &code);
    if (code != CL_SUCCESS)
        return opencl_fail(self, "clCreateContext", code);
    self->queue = clCreateCommandQueue(self->context, self->device, 0, &code);
    if (code != CL_SUCCESS)
        return opencl_fail(self, "clCreateCommandQueue", code);
    return build(self);
}

void opencl_stop(opencl_backend *self)
{
    if (self->queue)
        clFinish(self->queue);
    for (int i = 0; i < OPENCL_KERNEL_COUNT; i++) {
        if (self->kernels[i])
            clReleaseKernel(self->kernels[i]);
    }
    if (self->scratch) {
        clReleaseMemObject(self->scratch);
        self->services->unreserve(self->host, self->scratch_bytes);
    }
    if (self->program)
        clReleaseProgram(self->program);
    if (self->queue)
        clReleaseCommandQueue(self->queue);
    if (self->context)
        clReleaseContext(self->context);
}

/* ---- starting a kernel ---- */

int32_t opencl_launch(opencl_backend *self, opencl_kernel which, cl_long items, int count,
                      const opencl_argument *arguments)
{
    const size_t local = GROUP;
    const size_t global = ((size_t)items + GROUP - 1) / GROUP * GROUP;
    cl_int code = clSetKernelArg(self->kernels[which], 0, sizeof items, &items);
    for (int i = 0; code == CL_SUCCESS && i < count; i++)
        code = clSetKernelArg(self->kernels[which], (cl_uint)(i + 1), arguments[i].bytes,
                              arguments[i].value);
    if (code != CL_SUCCESS)
        return opencl_fail(self, "clSetKernelArg", code);
    code = clEnqueueNDRangeKernel(self->queue, self->kernels[which], 1, NULL, &global, &local, 0,
                                  NULL, NULL);
    return code == CL_SUCCESS ? SGT_OK : opencl_fail(self, "clEnqueueNDRangeKernel", code);
}

int32_t opencl_run(opencl_backend *self, opencl_kernel which, cl_long items, int count,
                   const opencl_argument *arguments)
{
    pthread_mutex_lock(&self->lock);
    int32_t status = opencl_launch(self, which, items, count, arguments);
    pthread_mutex_unlock(&self->lock);
    return status;
}

/* What the queue still has to do with the old one keeps it alive. */
int32_t opencl_reserve(opencl_backend *self, size_t bytes)
{
    cl_int code;
    if (bytes <= self->scratch_bytes)
        return SGT_OK;
    int32_t status = self->services->reserve(self->host, bytes);
    if (status != SGT_OK)
        return status;
    cl_mem made = clCreateBuffer(self->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (code != CL_SUCCESS) {
        self->services->unreserve(self->host, bytes);
        return opencl_fail(self, "clCreateBuffer", code);
    }
    if (self->scratch) {
        clReleaseMemObject(self->scratch);
        self->services->unreserve(self->host, self->scratch_bytes);
    }
    self->scratch = made;
    self->scratch_bytes = bytes;
    return SGT_OK;
}

/* ---- tensors for kernels ---- */

opencl_view opencl_view_of(const sgt_tensor *tensor)
{
    opencl_view made = {.offset = (cl_long)tensor->offset, .shape = {1, 1, 1, 1, 1, 1}};
    for (int32_t i = 0; i < tensor->rank; i++) {
        made.shape[SGT_MAX_RANK - tensor->rank + i] = tensor->shape[i];
        made.strides[SGT_MAX_RANK - tensor->rank + i] = tensor->strides[i];
    }
    return made;
}

cl_long opencl_offset(const sgt_tensor *tensor)
{
    return tensor ? (cl_long)tensor->offset : -1;
}

cl_long opencl_count(const sgt_tensor *tensor)
{
    cl_long count = 1;
    for (int32_t i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

size_t opencl_element_bytes(int32_t dtype)
{
    return dtype == SGT_F64 ? 8 : dtype == SGT_BF16 || dtype == SGT_F16 ? 2 : 4;
}
