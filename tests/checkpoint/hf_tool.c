/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What hf_interop.py runs, on the public interface:
 *
 *     hf_tool write FOLDER KIND           a model with grouped heads and a head_dim of its own;
 *                                         KIND is tied, untied, mistral (local:5) or ministral
 *                                         (dense and local:5 in turn)
 *     hf_tool logits FOLDER               of the tokens 1, 8, 15, ... modulo 19, one line per value
 */
#include <stdio.h>
#include <string.h>

#include <sgt/sgt.h>

enum { V = 19, T = 16 };

static int complain(void)
{
    fprintf(stderr, "hf_tool: %s\n", sgt_error_message());
    return 1;
}

static int write_folder(sgt_context *context, const char *folder, const char *kind)
{
    static const sgt_attention_pattern local = {
        .size = sizeof local, .sets = SGT_KEYS_LOCAL, .stride = 5};
    static const sgt_block_config blocks[] = {
        {.size = sizeof *blocks},
        {.size = sizeof *blocks, .n_patterns = 1, .patterns = &local}};
    sgt_model *model = NULL;
    sgt_model_config config;
    sgt_model_init_options init;
    sgt_model_config_init(&config, sizeof config);
    config.vocab_size = V;
    config.d_model = 20;
    config.n_layers = 3;
    config.n_heads = 4;
    config.n_kv_heads = 2;
    config.head_dim = 6;
    config.d_ff = 27;
    config.max_seq_len = T;
    config.tied = strcmp(kind, "tied") == 0;
    config.n_blocks = !strcmp(kind, "mistral") ? 1 : !strcmp(kind, "ministral") ? 2 : 0;
    config.blocks = config.n_blocks == 1 ? &blocks[1] : blocks;
    config.rope_theta = 54321.0;
    config.norm_eps = 1e-5;
    sgt_model_init_options_init(&init, sizeof init);
    init.std = 0.4;
    sgt_status status = sgt_model_create(&model, context, &config, NULL);
    if (status == SGT_OK)
        status = sgt_model_init_weights(model, &init);
    if (status == SGT_OK)
        status = sgt_hf_save(model, folder, NULL);
    sgt_model_free(model);
    return status == SGT_OK ? 0 : complain();
}

static int print_logits(sgt_context *context, const char *folder)
{
    int32_t tokens[T];
    float logits[T * V];
    sgt_model *model = NULL;
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_model_evaluate_options options;
    for (int32_t i = 0; i < T; i++)
        tokens[i] = (1 + 7 * i) % V;
    sgt_batch batch = {.size = sizeof batch, .batch = 1, .seq = T, .tokens = tokens};
    sgt_model_evaluate_options_init(&options, sizeof options);
    options.logits = logits;
    sgt_status status = sgt_hf_load(&model, context, folder, NULL, NULL);
    if (status == SGT_OK)
        status = sgt_model_evaluate(&metrics, model, &batch, &options);
    sgt_model_free(model);
    if (status != SGT_OK)
        return complain();
    for (int i = 0; i < T * V; i++)
        printf("%.9g\n", (double)logits[i]);
    return 0;
}

int main(int argc, char **argv)
{
    sgt_context *context = NULL;
    if (argc < 3)
        return 2;
    if (sgt_context_create(&context, NULL) != SGT_OK)
        return complain();
    int status = strcmp(argv[1], "write") == 0 && argc == 4
                     ? write_folder(context, argv[2], argv[3])
                     : print_logits(context, argv[2]);
    sgt_context_free(context);
    return status;
}
