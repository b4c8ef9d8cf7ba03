/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any bytes as a checkpoint, or as a Hugging Face folder. What is accepted is a model that
 * computes.
 *
 *     kind (1): even: the checkpoint
 *               odd:  length of config.json (2) | config.json | model.safetensors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sgt/sgt.h>

#include "fuzz.h"

enum { NAME = 128 };

static sgt_context *context;
static char folder[NAME], checkpoint_file[NAME + 16], config_file[NAME + 16],
    tensor_file[NAME + 32];

static void need(int condition)
{
    if (!condition)
        abort();
}

static void clean_up(void)
{
    unlink(checkpoint_file);
    unlink(config_file);
    unlink(tensor_file);
    rmdir(folder);
}

/* A folder in memory, where the system has one. */
static void begin(void)
{
    sgt_context_options options;
    if (context != NULL)
        return;
    sgt_context_options_init(&options, sizeof options);
    options.threads = 1;
    options.backend = "portable";
    options.memory_limit = (uint64_t)1 << 24;
    need(sgt_context_create(&context, &options) == SGT_OK);
    snprintf(folder, sizeof folder, "%s/sgt-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    need(mkdtemp(folder) != NULL);
    snprintf(checkpoint_file, sizeof checkpoint_file, "%s/checkpoint", folder);
    snprintf(config_file, sizeof config_file, "%s/config.json", folder);
    snprintf(tensor_file, sizeof tensor_file, "%s/model.safetensors", folder);
    atexit(clean_up);
}

static void put(const char *path, const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    need(file != NULL && fwrite(data, 1, size, file) == size);
    fclose(file);
}

/* It runs, or says why not: the memory limit, a shape too long. */
static void use(const sgt_model *model)
{
    static const int32_t tokens[] = {0, 0};
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_batch batch = {
        .size = sizeof batch, .batch = 1, .seq = 1, .tokens = tokens, .targets = tokens};
    sgt_status status = sgt_model_evaluate(&metrics, model, &batch, NULL);
    need(status == SGT_OK || status == SGT_E_MEMORY_LIMIT);
}

static sgt_status try_checkpoint(void)
{
    sgt_checkpoint *checkpoint = NULL;
    sgt_model *model = NULL;
    sgt_optimizer *optimizer = NULL;
    sgt_status status = sgt_checkpoint_open(&checkpoint, context, checkpoint_file);
    if (status == SGT_OK)
        status = sgt_checkpoint_create(&model, &optimizer, NULL, checkpoint, NULL, NULL, NULL);
    if (status == SGT_E_NOT_FOUND)
        status = sgt_checkpoint_create(&model, NULL, NULL, checkpoint, NULL, NULL, NULL);
    if (status == SGT_OK)
        use(model);
    sgt_optimizer_free(optimizer);
    sgt_model_free(model);
    sgt_checkpoint_free(checkpoint);
    return status;
}

static sgt_status try_folder(void)
{
    sgt_model *model = NULL;
    sgt_status status = sgt_hf_load(&model, context, folder, NULL, NULL);
    if (status == SGT_OK)
        use(model);
    sgt_model_free(model);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sgt_context_memory before = {.size = sizeof before}, after = {.size = sizeof after};
    sgt_status status;
    if (size < 3)
        return 0;
    begin();
    sgt_context_get_memory(&before, context);
    if (data[0] % 2 == 0) {
        put(checkpoint_file, data + 1, size - 1);
        status = try_checkpoint();
    } else {
        size_t config = (size_t)(data[1] + 256 * data[2]), left = size - 3;
        config = config < left ? config : left;
        put(config_file, data + 3, config);
        put(tensor_file, data + 3 + config, left - config);
        status = try_folder();
    }
    need(status == SGT_OK || sgt_error_message()[0] != '\0');
    need(status != SGT_E_INTERNAL && status != SGT_E_BACKEND && status <= 0);
    sgt_context_get_memory(&after, context);
    need(before.current == after.current);
    return 0;
}
