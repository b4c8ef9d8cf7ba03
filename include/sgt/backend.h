/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Choosing and inspecting tensor backends. Authors of backends include <sgt/sys/backend.h>.
 */
#ifndef SGT_BACKEND_H
#define SGT_BACKEND_H

#include <sgt/context.h>

SGT_BEGIN_DECLS

/*
 * Loads a backend plug-in (a shared object with the entry of <sgt/sys/backend.h>) from a path
 * that contains a '/', checks its table and registers it under its own name for every context of
 * the process. Loading the same file again is fine. A plug-in is never unloaded. Any thread.
 * *name (may be NULL) becomes the name for sgt_context_options.backend; static storage.
 * Errors: SGT_E_INVALID_ARGUMENT (no '/'), SGT_E_PLUGIN_LOAD, SGT_E_PLUGIN_ABI,
 * SGT_E_PLUGIN_INCOMPLETE (the message names the missing slot), SGT_E_STATE (another backend of
 * that name), SGT_E_OUT_OF_RANGE (too many plug-ins). Since 0.1.
 */
SGT_API sgt_status sgt_backend_load(const char **name, const char *path);

/* Which kernels a context runs. */
typedef struct sgt_backend_info {
    uint32_t size;
    int32_t threads;      /* threads of the context, the calling one included */
    const char *name;     /* "blis" */
    const char *kernels;  /* what runs, e.g. "blis 0.9.0 skx; portable avx512" */
    const char *isa;      /* the instruction set chosen for the portable kernels: "avx512" */
    int32_t generic;      /* 1: it has no kernels tuned for this processor; expect slow products */
    int32_t host_visible; /* 1: tensor memory can be read through pointers */
} sgt_backend_info;

/*
 * Says which kernels a context runs. The strings live as long as the context. Any thread.
 * Errors: SGT_E_INVALID_ARGUMENT, SGT_E_STRUCT_SIZE. Since 0.2.
 */
SGT_API sgt_status sgt_context_get_backend(sgt_backend_info *info, const sgt_context *context);

SGT_END_DECLS

#endif
