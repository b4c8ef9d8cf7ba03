/* SPDX-License-Identifier: BSD-3-Clause */
#include "plugins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing.h"

sgt_status sgtt_load_plugin(const char **name, const char *file)
{
    char path[1024];
    const char *folder = getenv("SGT_TEST_PLUGINS");
    ck_assert_msg(folder != NULL, "SGT_TEST_PLUGINS is not set: run the tests through meson");
    snprintf(path, sizeof path, "%s/%s", folder, file);
    return sgt_backend_load(name, path);
}

sgt_context *sgtt_context_on(const char *backend, int32_t threads)
{
    sgt_context *context = NULL;
    sgt_context_options options;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.threads = threads;
    options.backend = backend;
    if (strcmp(backend, "portable") && strcmp(backend, "blis")) {
        char file[128];
        snprintf(file, sizeof file, "%s_backend.so", backend);
        sgtt_ok(sgtt_load_plugin(NULL, file));
    }
    sgtt_ok(sgt_context_create(&context, &options));
    return context;
}
