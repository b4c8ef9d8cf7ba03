/* SPDX-License-Identifier: BSD-3-Clause */
/* What the library does for a backend: messages, memory, threads. `host` is the context. */
#include "registry.h"

#include "../base/error.h"
#include "../core/context.h"

static int32_t service_fail(void *host, int32_t status, const char *message)
{
    (void)host;
    return sgti_fail(status < 0 ? status : SGT_E_BACKEND, "%s", message ? message : "");
}

static void service_log(void *host, int32_t level, const char *message)
{
    sgti_log(host, level, "%s", message ? message : "");
}

static void *service_allocate(void *host, size_t alignment, size_t bytes)
{
    sgt_context *context = host;
    void *memory = NULL;
    sgti_allocate_aligned(&memory, &context->memory, alignment, bytes, "the backend");
    return memory;
}

static void service_release(void *host, void *memory, size_t bytes)
{
    sgt_context *context = host;
    sgti_release(&context->memory, memory, bytes);
}

static int32_t service_reserve(void *host, uint64_t bytes)
{
    sgt_context *context = host;
    return sgti_memory_reserve(&context->memory, bytes, "the backend");
}

static void service_unreserve(void *host, uint64_t bytes)
{
    sgt_context *context = host;
    sgti_memory_unreserve(&context->memory, bytes);
}

static void service_parallel_for(void *host, int64_t parts, sgt_part_fn part, void *argument)
{
    sgt_context *context = host;
    sgti_parallel_for(context->pool, parts, part, argument);
}

const sgt_backend_host sgti_backend_services = {
    .size = sizeof sgti_backend_services,
    .abi = SGT_BACKEND_ABI,
    .fail = service_fail,
    .log = service_log,
    .allocate = service_allocate,
    .release = service_release,
    .parallel_for = service_parallel_for,
    .portable = &sgti_portable_backend,
    .reserve = service_reserve,
    .unreserve = service_unreserve,
};
