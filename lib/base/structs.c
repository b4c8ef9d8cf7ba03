/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sized structs. A caller's struct is only looked at through bytes: it may be shorter or longer
 * than ours, and its `size` is its first field.
 */
#include "structs.h"

#include <string.h>

#include "error.h"

/* No struct of any version comes near this size; a larger one is garbage that nobody set. */
#define LARGEST_STRUCT 4096

static uint32_t size_of(const void *caller)
{
    uint32_t size;
    memcpy(&size, caller, sizeof size);
    return size;
}

static sgt_status check_size(size_t size, size_t minimum, const char *name)
{
    if (size < minimum || size > LARGEST_STRUCT)
        return sgti_fail(SGT_E_STRUCT_SIZE,
                         "%s: size is %zu, at least %zu was expected: set .size to sizeof(%s)",
                         name, size, minimum, name);
    return SGT_OK;
}

sgt_status sgti_struct_read(void *own, size_t own_size, const void *caller, size_t minimum,
                            const char *name)
{
    const unsigned char *bytes = caller;
    size_t size = size_of(caller);
    sgt_status status = check_size(size, minimum, name);
    if (status)
        return status;
    for (size_t i = own_size; i < size; i++)
        if (bytes[i])
            return sgti_fail(SGT_E_STRUCT_SIZE,
                             "%s: a field at byte %zu is set that this version does not know", name,
                             i);
    memcpy(own, caller, size < own_size ? size : own_size);
    uint32_t read = (uint32_t)own_size;
    memcpy(own, &read, sizeof read);
    return SGT_OK;
}

sgt_status sgti_check_reserved(int32_t reserved, const char *name)
{
    if (reserved != 0)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s.reserved is %d, not 0", name, (int)reserved);
    return SGT_OK;
}

sgt_status sgti_struct_check(const void *caller, size_t minimum, const char *name)
{
    if (!caller)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", name);
    return check_size(size_of(caller), minimum, name);
}

void sgti_struct_write(void *caller, const void *own, size_t own_size)
{
    unsigned char *bytes = caller;
    uint32_t size = size_of(caller);
    size_t shared = size < own_size ? size : own_size;
    memcpy(bytes + sizeof size, (const unsigned char *)own + sizeof size, shared - sizeof size);
    memset(bytes + shared, 0, size - shared);
}

sgt_status sgti_struct_init(void *caller, size_t size, const void *defaults, size_t own_size,
                            size_t minimum, const char *name)
{
    if (!caller)
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "%s is NULL", name);
    sgt_status status = check_size(size, minimum, name);
    if (status)
        return status;
    uint32_t written = (uint32_t)size;
    memset(caller, 0, size);
    memcpy(caller, defaults, size < own_size ? size : own_size);
    memcpy(caller, &written, sizeof written);
    return SGT_OK;
}
