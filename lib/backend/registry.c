/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backends of the process. Plug-ins stay loaded: their code may run in any context until the
 * process ends, so an entry of the table is written once and never moves.
 */
#include "registry.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "../base/error.h"
#include "../base/float_mode.h"
#include "../base/locks.h"
#include "../base/structs.h"
#include "slots.h"

#define MOST_PLUGINS 16
#define LONGEST_NAME 64

typedef struct plugin {
    void *handle;
    sgt_backend table; /* a copy in this version's size; what an older plug-in lacks is NULL */
} plugin;

static sgti_lock lock = SGTI_LOCK_INITIALIZER;
static plugin plugins[MOST_PLUGINS]; /* they and their number are guarded by the lock */
static int plugin_count;

static const sgt_backend *const built_in[] = {
    &sgti_portable_backend,
#ifdef SGTI_HAVE_BLIS
    &sgti_blis_backend,
#endif
};

#define BUILT_IN_COUNT (sizeof built_in / sizeof *built_in)

static sgt_status check_name(const char *name, const char *origin)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    if (!name || !*name)
        return sgti_fail(SGT_E_PLUGIN_INCOMPLETE, "%s: the backend has no name", origin);
    if (strlen(name) > LONGEST_NAME || name[strspn(name, allowed)])
        return sgti_fail(SGT_E_PLUGIN_INCOMPLETE,
                         "%s: the backend's name is not 1 to %d of a-z, 0-9, _ and -", origin,
                         LONGEST_NAME);
    return SGT_OK;
}

static sgt_status lacks(const sgt_backend *table, const char *origin, const char *slot,
                        const char *why)
{
    return sgti_fail(SGT_E_PLUGIN_INCOMPLETE, "%s: backend '%s' lacks the slot %s%s", origin,
                     table->name, slot, why);
}

#define FIND_MISSING(slot)                                                                         \
    if (!missing && !table->slot)                                                                  \
        missing = #slot;
#define FIND_PRESENT(slot) present = present || table->slot;

/* The memory slots must be all there or all missing. */
static sgt_status check_memory_slots(const sgt_backend *table, const char *origin)
{
    const char *missing = NULL;
    int present = table->host_pointer != NULL;
    SGTI_MEMORY_SLOTS(FIND_PRESENT)
    SGTI_MEMORY_SLOTS(FIND_MISSING)
    if (!present || !missing)
        return SGT_OK;
    return lacks(table, origin, missing, ", while it has other slots for memory");
}

static sgt_status check_graph_slots(const sgt_backend *table, const char *origin)
{
    const char *missing = NULL;
    int present = 0;
    SGTI_GRAPH_SLOTS(FIND_PRESENT)
    SGTI_GRAPH_SLOTS(FIND_MISSING)
    if (present && missing)
        return lacks(table, origin, missing, ", while it has other slots for graphs");
    if (present && !table->allocate)
        return lacks(table, origin, "allocate", ": graphs need memory of its own");
    return SGT_OK;
}

static sgt_status check_unit_slots(const sgt_backend *table, const char *origin)
{
    const char *missing = NULL;
    int present = 0;
#define FIND_PRESENT_OPERATION(slot, args) FIND_PRESENT(slot)
#define FIND_MISSING_OPERATION(slot, args) FIND_MISSING(slot)
    SGTI_UNIT_SLOTS(FIND_PRESENT_OPERATION)
    SGTI_UNIT_SLOTS(FIND_MISSING_OPERATION)
#undef FIND_PRESENT_OPERATION
#undef FIND_MISSING_OPERATION
    if (!present || !missing)
        return SGT_OK;
    return lacks(table, origin, missing, ", while it has other slots for units");
}

static sgt_status check_slots(const sgt_backend *table, const char *origin)
{
    const char *missing = NULL;
    SGTI_REQUIRED_SLOTS(FIND_MISSING)
    if (missing)
        return lacks(table, origin, missing, "");
    sgt_status status = check_memory_slots(table, origin);
    if (status)
        return status;
#define FIND_MISSING_OPERATION(slot, args) FIND_MISSING(slot)
    if (table->allocate && !table->host_pointer) {
        SGTI_OPTIONAL_SLOTS(FIND_MISSING_OPERATION)
    }
#undef FIND_MISSING_OPERATION
    if (missing)
        return lacks(table, origin, missing, ", which it needs as it has no host_pointer");
    status = check_unit_slots(table, origin);
    return status ? status : check_graph_slots(table, origin);
}

#undef FIND_MISSING
#undef FIND_PRESENT

/* Copies a table of any size into one of this version and checks it. */
static sgt_status adopt(sgt_backend *own, const sgt_backend *given, const char *origin)
{
    if (given->abi != SGT_BACKEND_ABI)
        return sgti_fail(SGT_E_PLUGIN_ABI, "%s: made for backend ABI %u, this library has %u",
                         origin, (unsigned)given->abi, SGT_BACKEND_ABI);
    if (given->size < SGTI_SIZE_THROUGH(sgt_backend, name))
        return sgti_fail(SGT_E_PLUGIN_INCOMPLETE, "%s: its table has %u bytes only", origin,
                         (unsigned)given->size);
    *own = (sgt_backend){0};
    memcpy(own, given, given->size < sizeof *own ? given->size : sizeof *own);
    own->size = sizeof *own;
    sgt_status status = check_name(own->name, origin);
    return status ? status : check_slots(own, origin);
}

sgt_status sgti_backend_check(const sgt_backend *backend, const char *origin)
{
    sgt_backend own;
    return adopt(&own, backend, origin);
}

/* Called under the lock. Returns NULL when no backend has that name. */
static const sgt_backend *find(const char *name)
{
    for (size_t i = 0; i < BUILT_IN_COUNT; i++)
        if (!strcmp(built_in[i]->name, name))
            return built_in[i];
    for (int i = 0; i < plugin_count; i++)
        if (!strcmp(plugins[i].table.name, name))
            return &plugins[i].table;
    return NULL;
}

sgt_status sgti_backend_find(const sgt_backend **backend, const char *name)
{
    sgti_lock_take(&lock);
    const sgt_backend *found = find(name);
    sgti_lock_give(&lock);
    if (!found)
        return sgti_fail(SGT_E_NOT_FOUND, "there is no backend '%s'; was its plug-in loaded?",
                         name);
    *backend = found;
    return SGT_OK;
}

/* Calls the entry of an open plug-in and checks its table. */
static sgt_status enter_plugin(sgt_backend *table, void *handle, const char *path)
{
    union {
        void *address;
        sgt_backend_entry_fn function;
    } entry = {.address = dlsym(handle, "sgt_backend_entry")};
    if (!entry.address)
        return sgti_fail(SGT_E_PLUGIN_LOAD, "%s: it has no symbol sgt_backend_entry", path);
    const sgt_backend *given = entry.function(SGT_BACKEND_ABI, &sgti_backend_services);
    if (!given)
        return sgti_fail(SGT_E_PLUGIN_ABI, "%s: it cannot work with backend ABI %u", path,
                         SGT_BACKEND_ABI);
    return adopt(table, given, path);
}

/* Called under the lock. Enters a plug-in into the table, unless it is there already: dlopen gives
 * the same handle for the same file. *keep says whether the table holds the handle now. */
static sgt_status register_plugin(const char **name, int *keep, void *handle,
                                  const sgt_backend *table, const char *path)
{
    *keep = 0;
    for (int i = 0; i < plugin_count; i++)
        if (plugins[i].handle == handle) {
            *name = plugins[i].table.name;
            return SGT_OK;
        }
    if (find(table->name))
        return sgti_fail(SGT_E_STATE, "%s: another backend is named '%s'", path, table->name);
    if (plugin_count == MOST_PLUGINS)
        return sgti_fail(SGT_E_OUT_OF_RANGE, "%s: %d plug-ins are loaded already", path,
                         MOST_PLUGINS);
    plugins[plugin_count] = (plugin){.handle = handle, .table = *table};
    *name = plugins[plugin_count].table.name;
    plugin_count++;
    *keep = 1;
    return SGT_OK;
}

sgt_status sgt_backend_load(const char **name, const char *path)
{
    SGTI_DEFAULT_FLOATS;
    const char *registered = NULL;
    sgt_backend table;
    int keep = 0;
    if (!path || !strchr(path, '/'))
        return sgti_fail(SGT_E_INVALID_ARGUMENT, "path %s%s", path ? path : "is NULL",
                         path ? " has no '/'" : "");
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *reason = dlerror();
        return sgti_fail(SGT_E_PLUGIN_LOAD, "%s", reason ? reason : path);
    }
    /* The plug-in's code runs without the lock: it may take long, and may load others itself. */
    sgt_status status = enter_plugin(&table, handle, path);
    if (!status) {
        sgti_lock_take(&lock);
        status = register_plugin(&registered, &keep, handle, &table, path);
        sgti_lock_give(&lock);
    }
    /* Each dlopen counts: the table keeps one, and a second load of the same file gives its own
     * back. */
    if (!keep)
        dlclose(handle);
    if (!status && name)
        *name = registered;
    return status;
}
