/* SPDX-License-Identifier: BSD-3-Clause */
/* Makes a context with its backend, and tells hosts and plug-ins what the backend is. */
#include <sgt/sys/backend.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/structs.h"
#include "dispatch_data.h"
#include "registry.h"

#define INFO_MINIMUM    SGTI_SIZE_THROUGH(sgt_backend_info, host_visible)

static void log_choice(const sgt_context *context)
{
    const sgti_dispatch *dispatch = context->dispatch;
    sgti_log(context, SGT_LOG_INFO, "backend %s: %s", dispatch->table->name, dispatch->kernels);
    if (dispatch->generic)
        sgti_log(context, SGT_LOG_WARNING,
                 "backend %s has no kernels tuned for this processor (%s): expect slow products",
                 dispatch->table->name, dispatch->kernels);
}

sgt_status sgt_context_create(sgt_context **context, const sgt_context_options *options)
{
    SGTI_DEFAULT_FLOATS;
    sgt_context_options own;
    sgt_context *created;
    if (!context)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "context is NULL");
    sgt_status status = sgt_context_options_init(&own, sizeof own);
    if (!status && options)
        status = sgti_struct_read(&own, sizeof own, options, SGTI_CONTEXT_OPTIONS_MINIMUM,
                                  "sgt_context_options");
    if (!status)
        status = sgti_check_reserved(own.reserved, "sgt_context_options");
    if (status)
        return status;
    status = sgti_context_new(&created, &own);
    if (status)
        return status;
    status = sgti_dispatch_open(created, own.backend, own.isa, own.backend_options);
    if (status) {
        sgti_context_unref(created);
        return status;
    }
    log_choice(created);
    *context = created;
    return SGT_OK;
}

sgt_status sgt_context_get_backend(sgt_backend_info *info, const sgt_context *context)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = sgti_struct_check(info, INFO_MINIMUM, "sgt_backend_info");
    if (status)
        return status;
    if (!context)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "context is NULL");
    const sgti_dispatch *dispatch = context->dispatch;
    const sgt_backend_info own = {.size = sizeof own,
                                  .threads = sgti_pool_threads(context->pool),
                                  .name = dispatch->table->name,
                                  .kernels = dispatch->kernels,
                                  .isa = dispatch->isa,
                                  .generic = dispatch->generic,
                                  .host_visible = sgti_host_visible(dispatch)};
    sgti_struct_write(info, &own, sizeof own);
    return SGT_OK;
}

static sgt_status check_instance_arguments(const sgt_backend **table, void **instance,
                                           const sgt_context *context)
{
    if (table && instance && context)
        return SGT_OK;
    return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL",
                     !table      ? "table"
                     : !instance ? "instance"
                                 : "context");
}

sgt_status sgt_backend_instance(const sgt_backend **table, void **instance,
                                const sgt_context *context)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_instance_arguments(table, instance, context);
    if (status)
        return status;
    *table = context->dispatch->table;
    *instance = context->dispatch->instance;
    return SGT_OK;
}

sgt_status sgt_backend_stand_in(const sgt_backend **table, void **instance,
                                const sgt_context *context)
{
    SGTI_DEFAULT_FLOATS;
    sgt_status status = check_instance_arguments(table, instance, context);
    if (status)
        return status;
    const sgti_dispatch *dispatch = context->dispatch;
    int itself = dispatch->table == &sgti_portable_backend;
    if (!itself && !dispatch->portable)
        return sgti_fail(SGT_E_UNSUPPORTED, "nothing stands in for backend '%s': its memory is not "
                         "host-visible", dispatch->table->name);
    *table = &sgti_portable_backend;
    *instance = itself ? dispatch->instance : dispatch->portable;
    return SGT_OK;
}
