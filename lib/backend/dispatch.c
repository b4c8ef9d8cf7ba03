/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opens a backend for a context, and reaches its memory. Where that memory is host-visible, an
 * instance of the portable backend is opened beside it. It runs the operations that the backend
 * leaves out or declines, and gives the memory where the backend brings none.
 */
#include "dispatch_data.h"

#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/text.h"
#include "../core/tensors.h"
#include "isa_choice.h"
#include "profile.h"
#include "registry.h"

sgt_status sgti_slot_status(const sgti_dispatch *dispatch, int32_t result, uint64_t failures,
                            const char *slot)
{
    sgti_floats_renew(); /* a driver may have loaded code that was built with -ffast-math */
    if (result == 0)
        return SGT_OK;
    sgt_status status = result < 0 ? result : SGT_E_BACKEND;
    if (sgti_failures() == failures)
        return sgti_fail(status, "backend '%s' failed in %s", dispatch->table->name, slot);
    /* The limit was hit inside the allocation service, which tells the backend no more than NULL,
     * so it reports lack of memory; the host shall learn the true reason. */
    if (status == SGT_E_OUT_OF_MEMORY && sgti_last_failure() == SGT_E_MEMORY_LIMIT)
        return SGT_E_MEMORY_LIMIT;
    return status;
}

static int32_t open_instance(void **instance, const sgti_dispatch *dispatch,
                             const sgt_backend *table, const char *options)
{
    sgt_context *context = dispatch->context;
    const sgt_backend_open_args args = {.size = sizeof args,
                                        .threads = sgti_pool_threads(context->pool),
                                        .services = &sgti_backend_services,
                                        .host = context,
                                        .isa = dispatch->isa,
                                        .options = options};
    return table->open(instance, &args);
}

/* Asks an instance to describe itself; where it says nothing, its name is the description. */
static sgt_backend_description describe(const sgt_backend *table, void *instance)
{
    sgt_backend_description said = {.size = sizeof said, .kernels = table->name};
    if (!table->describe || table->describe(instance, &said) || !said.kernels)
        return (sgt_backend_description){.size = sizeof said, .kernels = table->name};
    return said;
}

static void describe_kernels(sgti_dispatch *dispatch)
{
    sgt_backend_description own = describe(dispatch->table, dispatch->instance);
    sgt_backend_description portable = {0};
    if (dispatch->portable)
        portable = describe(&sgti_portable_backend, dispatch->portable);
    dispatch->generic = own.generic;
    dispatch->logits_bytes = own.logits_bytes;
    sgti_format(dispatch->kernels, sizeof dispatch->kernels, "%s%s%s", own.kernels,
                portable.kernels ? "; " : "", portable.kernels ? portable.kernels : "");
}

/* Opens the portable instance where it is needed and decides whose memory slots are used. */
static sgt_status open_stand_in(sgti_dispatch *dispatch)
{
    const sgt_backend *table = dispatch->table;
    int has_memory = table->allocate != NULL;
    uint64_t failures = sgti_failures();
    dispatch->memory = table;
    dispatch->memory_instance = dispatch->instance;
    if (table == &sgti_portable_backend || (has_memory && !table->host_pointer))
        return SGT_OK;
    int32_t result = open_instance(&dispatch->portable, dispatch, &sgti_portable_backend, "");
    if (result)
        return sgti_slot_status(dispatch, result, failures, "opening the portable kernels");
    if (!has_memory) {
        dispatch->memory = &sgti_portable_backend;
        dispatch->memory_instance = dispatch->portable;
    }
    return SGT_OK;
}

/* Opens the backend, and the portable one beside it; closes the first if the second fails. */
static sgt_status open_instances(sgti_dispatch *dispatch, const char *options)
{
    uint64_t failures = sgti_failures();
    int32_t result = open_instance(&dispatch->instance, dispatch, dispatch->table, options);
    if (result)
        return sgti_slot_status(dispatch, result, failures, "open");
    sgt_status status = open_stand_in(dispatch);
    if (status)
        dispatch->table->close(dispatch->instance);
    return status;
}

static void close_dispatch(sgt_context *context)
{
    sgti_dispatch *dispatch = context->dispatch;
    dispatch->table->close(dispatch->instance);
    if (dispatch->portable)
        sgti_portable_backend.close(dispatch->portable);
    sgti_release(&context->memory, dispatch, sizeof *dispatch);
}

/* The default is what multiplies faster: the portable kernels with AVX-512, elsewhere BLIS
 * (measured in doc/performance.md). */
static const char *default_backend(const char *isa)
{
#ifdef SGTI_HAVE_BLIS
    if (strcmp(isa, "avx512") != 0)
        return "blis";
#endif
    (void)isa;
    return "portable";
}

sgt_status sgti_dispatch_open(sgt_context *context, const char *backend, const char *isa,
                              const char *options)
{
    const sgt_backend *table;
    const char *chosen;
    void *made;
    sgt_status status = sgti_isa_choose(&chosen, isa);
    if (status)
        return status;
    status = sgti_backend_find(&table, backend ? backend : default_backend(chosen));
    if (status)
        return status;
    status = sgti_allocate_zeroed(&made, &context->memory, 1, sizeof(sgti_dispatch),
                                  "the backend of a context");
    if (status)
        return status;
    sgti_dispatch *dispatch = made;
    dispatch->context = context;
    dispatch->table = table;
    dispatch->isa = chosen;
    status = open_instances(dispatch, options ? options : "");
    if (status) {
        sgti_release(&context->memory, dispatch, sizeof *dispatch);
        return status;
    }
    describe_kernels(dispatch);
    context->dispatch = dispatch;
    context->close_dispatch = close_dispatch;
    return SGT_OK;
}

int sgti_host_visible(const sgti_dispatch *dispatch)
{
    return dispatch->memory->host_pointer != NULL;
}

void *sgti_host_address(const sgti_dispatch *dispatch, const sgt_tensor *tensor)
{
    if (!dispatch->memory->host_pointer)
        return NULL;
    char *start = dispatch->memory->host_pointer(dispatch->memory_instance, tensor->buffer);
    return start + tensor->offset * sgti_dtype_bytes(tensor->dtype);
}

sgt_status sgti_buffer_allocate(sgt_buffer **buffer, sgti_dispatch *dispatch, uint64_t bytes)
{
    uint64_t failures = sgti_failures();
    sgt_buffer *made = NULL;
    int32_t result = dispatch->memory->allocate(dispatch->memory_instance, &made, bytes);
    if (result)
        return sgti_slot_status(dispatch, result, failures, "allocate");
    *buffer = made;
    return SGT_OK;
}

void sgti_buffer_free(sgti_dispatch *dispatch, sgt_buffer *buffer, uint64_t bytes)
{
    if (buffer)
        dispatch->memory->free(dispatch->memory_instance, buffer, bytes);
}

sgt_status sgti_read(sgti_dispatch *dispatch, void *data, const sgt_tensor *tensor)
{
    uint64_t failures = sgti_failures();
    double begun = sgti_profile_begin(dispatch);
    int32_t result = dispatch->memory->read(dispatch->memory_instance, data, tensor);
    sgti_profile_end(dispatch, SGTI_PROFILE_read, begun);
    return sgti_slot_status(dispatch, result, failures, "read");
}

sgt_status sgti_write(sgti_dispatch *dispatch, const sgt_tensor *tensor, const void *data)
{
    uint64_t failures = sgti_failures();
    double begun = sgti_profile_begin(dispatch);
    int32_t result = dispatch->memory->write(dispatch->memory_instance, tensor, data);
    sgti_profile_end(dispatch, SGTI_PROFILE_write, begun);
    return sgti_slot_status(dispatch, result, failures, "write");
}

sgt_status sgti_fill(sgti_dispatch *dispatch, const sgt_tensor *tensor, double value)
{
    uint64_t failures = sgti_failures();
    double begun = sgti_profile_begin(dispatch);
    int32_t result = dispatch->memory->fill(dispatch->memory_instance, tensor, value);
    sgti_profile_end(dispatch, SGTI_PROFILE_fill, begun);
    return sgti_slot_status(dispatch, result, failures, "fill");
}

uint64_t sgti_logits_bytes(const sgti_dispatch *dispatch)
{
    return dispatch->logits_bytes;
}

sgt_status sgti_sync(sgti_dispatch *dispatch)
{
    uint64_t failures = sgti_failures();
    int32_t result = dispatch->memory->sync(dispatch->memory_instance);
    return sgti_slot_status(dispatch, result, failures, "sync");
}
