/* SPDX-License-Identifier: BSD-3-Clause */
#include "plugins.h"

#include <stdio.h>
#include <stdlib.h>

#include "testing.h"

sgt_status sgtt_load_plugin(const char **name, const char *file)
{
    char path[1024];
    const char *folder = getenv("SGT_TEST_PLUGINS");
    ck_assert_msg(folder != NULL, "SGT_TEST_PLUGINS is not set: run the tests through meson");
    snprintf(path, sizeof path, "%s/%s", folder, file);
    return sgt_backend_load(name, path);
}

sgt_context *sgtt_context_on(const char *name, int32_t threads)
{
    char file[128];
    sgt_context *context = NULL;
    sgt_context_options options;
    sgtt_ok(sgt_context_options_init(&options, sizeof options));
    options.threads = threads;
    snprintf(file, sizeof file, "%s_backend.so", name);
    sgtt_ok(sgtt_load_plugin(&options.backend, file));
    ck_assert_str_eq(options.backend, name);
    sgtt_ok(sgt_context_create(&context, &options));
    return context;
}
