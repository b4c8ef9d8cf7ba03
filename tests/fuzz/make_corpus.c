/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes the inputs that the corpora of files, plans, policies and calls begin with:
 *
 *     make_corpus FOLDER      FOLDER/files and the others are there */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sgt/sgt.h>

enum { ROOM = 1 << 16, NAME = 512 };

static void need(int condition)
{
    if (condition)
        return;
    fprintf(stderr, "make_corpus: %s\n", sgt_error_message());
    exit(1);
}

static size_t get(uint8_t *data, const char *folder, const char *name)
{
    char path[NAME];
    snprintf(path, sizeof path, "%.400s/%.100s", folder, name);
    FILE *file = fopen(path, "rb");
    need(file != NULL);
    size_t bytes = fread(data, 1, ROOM, file);
    fclose(file);
    remove(path);
    return bytes;
}

static void put(const char *folder, const char *name, const uint8_t *data, size_t bytes)
{
    char path[NAME];
    snprintf(path, sizeof path, "%.400s/%.100s", folder, name);
    FILE *file = fopen(path, "wb");
    need(file != NULL && fwrite(data, 1, bytes, file) == bytes && fclose(file) == 0);
}

enum parts { PLAIN, PATTERNS, STREAMS, SPARSE };

/* With patterns: one key/value head more, so that they are two. */
static sgt_model *make_model(sgt_context *context, enum parts parts)
{
    static const sgt_attention_pattern patterns[] = {
        {.size = sizeof *patterns, .sets = SGT_KEYS_LOCAL | SGT_KEYS_STRIDED, .stride = 3},
        {.size = sizeof *patterns, .sets = SGT_KEYS_SUMMARY, .stride = 4, .summary = 2,
         .phase = 1}};
    static const sgt_block_config block = {
        .size = sizeof block, .n_patterns = 2, .patterns = patterns};
    static const sgt_block_config sparse = {.size = sizeof sparse,
                                            .feed_forward = SGT_FEED_FORWARD_RELU,
                                            .units = 2,
                                            .controller_rank = 1,
                                            .temperature = 0.5,
                                            .hard_fraction = 1.0};
    sgt_model *model = NULL;
    sgt_plan *plan = NULL;
    sgt_model_config config;
    need(sgt_model_config_init(&config, sizeof config) == SGT_OK);
    config.vocab_size = 3;
    config.d_model = 2;
    config.n_layers = 1;
    config.n_heads = 1;
    config.head_dim = 2;
    config.d_ff = 1;
    config.max_seq_len = 2;
    if (parts == STREAMS) {
        config.altup_streams = 2;
        config.altup_table = SGT_ALTUP_WIDE;
    } else if (parts == PATTERNS) {
        config.n_heads = 2;
        config.n_blocks = 1;
        config.blocks = &block;
    } else if (parts == SPARSE) {
        config.d_ff = 2;
        config.head_modules = 3;
        config.n_blocks = 1;
        config.blocks = &sparse;
    }
    need(sgt_model_create(&model, context, &config, NULL) == SGT_OK);
    need(sgt_model_init_weights(model, NULL) == SGT_OK);
    need(sgt_plan_clone(&plan, sgt_model_plan(model)) == SGT_OK);
    need(sgt_plan_set_depth(plan, 0, 1) == SGT_OK);
    need(sgt_model_set_plan(model, plan) == SGT_OK);
    sgt_plan_free(plan);
    return model;
}

static void write_files(const char *folder, const sgt_model *model, const char *const names[3])
{
    static uint8_t data[3 * ROOM], tensors[ROOM];
    char path[NAME], into[NAME];
    sgt_optimizer *optimizer = NULL;
    sgt_checkpoint_save_options options;
    snprintf(into, sizeof into, "%.400s/files", folder);
    snprintf(path, sizeof path, "%.400s/checkpoint", into);
    need(sgt_checkpoint_save_options_init(&options, sizeof options) == SGT_OK);
    options.checksums = 0; /* what is changed would be refused for its checksum alone */
    need(sgt_optimizer_create(&optimizer, (sgt_model *)model, NULL) == SGT_OK);
    for (int i = 0; i < 2; i++) {
        need(sgt_checkpoint_save(model, path, &options) == SGT_OK);
        data[0] = 0;
        put(into, names[i], data, 1 + get(data + 1, into, "checkpoint"));
        options.optimizer = optimizer;
    }
    sgt_optimizer_free(optimizer);
    need(sgt_hf_save(model, into, NULL) == SGT_OK);
    size_t config = get(data + 3, into, "config.json");
    size_t bytes = get(tensors, into, "model.safetensors");
    data[0] = 1;
    data[1] = (uint8_t)(config & 255);
    data[2] = (uint8_t)(config >> 8);
    memcpy(data + 3 + config, tensors, bytes);
    put(into, names[2], data, 3 + config + bytes);
}

static void write_plan(const char *folder, const sgt_model *model)
{
    uint8_t data[ROOM];
    char into[NAME];
    size_t bytes = sizeof data;
    snprintf(into, sizeof into, "%.400s/plan", folder);
    need(sgt_plan_save(data, &bytes, sgt_model_plan(model)) == SGT_OK);
    put(into, "looped", data, bytes);
}

/* Options of policies that select, deepen and fix soon, after so many steps. */
static void write_policies(const char *folder)
{
    char into[NAME], name[32];
    snprintf(into, sizeof into, "%.400s/policy", folder);
    for (uint8_t steps = 1; steps < 32; steps = (uint8_t)(2 * steps + 1)) {
        const uint8_t input[] = {3, 0, 1, 2, 1, 1, steps, 0, steps, 40, 0, 1};
        snprintf(name, sizeof name, "after-%d-steps", steps % 32);
        put(into, name, input, sizeof input);
    }
    const uint8_t grouped[] = {0, 0, 1, 2, 1, 1, 0, 24, 7, 40, 0, 1}; /* a group per layer, 1 and 2
                                                                           share one */
    put(into, "grouped", grouped, sizeof grouped);
}

int main(int argc, char **argv)
{
    static const char *const files[][3] = {
        [PLAIN] = {"model", "optimizer", "folder"},
        [PATTERNS] = {"patterned_model", "patterned_optimizer", "patterned_folder"},
        [STREAMS] = {"streams_model", "streams_optimizer", "streams_folder"},
        [SPARSE] = {"sparse_model", "sparse_optimizer", "sparse_folder"}};
    sgt_context *context = NULL;
    if (argc != 2)
        return 2;
    need(sgt_context_create(&context, NULL) == SGT_OK);
    for (int parts = PLAIN; parts <= SPARSE; parts++) {
        sgt_model *model = make_model(context, (enum parts)parts);
        write_files(argv[1], model, files[parts]);
        if (parts == PLAIN)
            write_plan(argv[1], model);
        sgt_model_free(model);
    }
    write_policies(argv[1]);
    sgt_context_free(context);
    return 0;
}
