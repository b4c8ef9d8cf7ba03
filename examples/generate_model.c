/* SPDX-License-Identifier: BSD-3-Clause */
#include "generate_model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "command_line.h"

enum { PATH_BYTES = 4096 };

static int load_checkpoint(sgt_model **model, sgt_context *context, const char *path)
{
    sgt_checkpoint *checkpoint = NULL;
    sgt_status status = sgt_checkpoint_open(&checkpoint, context, path);
    if (status == SGT_OK)
        status = sgt_checkpoint_create(model, NULL, NULL, checkpoint, NULL, NULL, NULL);
    sgt_checkpoint_free(checkpoint);
    return status == SGT_OK ? EXIT_DONE : call_failed("loading", status);
}

static int load_step(sgt_model **model, sgt_context *context, const char *folder, int64_t step)
{
    char path[PATH_BYTES];
    size_t room = sizeof path;
    sgt_status status = step > 0 ? SGT_OK : sgt_checkpoint_get_latest(&step, folder);
    if (status == SGT_E_NOT_FOUND)
        return complain(EXIT_BAD_INPUT,
                        "%s: has neither a config.json nor checkpoints (step-*.safetensors)",
                        folder);
    if (status == SGT_OK)
        status = sgt_checkpoint_get_path(path, &room, folder, step);
    return status == SGT_OK ? load_checkpoint(model, context, path)
                            : call_failed("looking for checkpoints", status);
}

int model_load(sgt_model **model, sgt_context *context, const char *path, int64_t step)
{
    char config[PATH_BYTES];
    struct stat about;
    if (stat(path, &about))
        return complain(EXIT_BAD_INPUT, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(about.st_mode))
        return load_checkpoint(model, context, path);
    int length = snprintf(config, sizeof config, "%s/config.json", path);
    if (length >= (int)sizeof config)
        return complain(EXIT_BAD_INPUT, "%s: is too long a path", path);
    if (stat(config, &about))
        return load_step(model, context, path, step);
    sgt_status status = sgt_hf_load(model, context, path, NULL, NULL);
    return status == SGT_OK ? EXIT_DONE : call_failed("loading", status);
}
