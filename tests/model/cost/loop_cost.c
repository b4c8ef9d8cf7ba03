/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop_cost HEADS: one training step of a model of one layer of 16 heads, HEADS of which run once
 * more (0: no loop). Its weights are zero, which no kernel looks at. Its instructions are what
 * loop_cost.sh compares; kernels are those of the baseline, since valgrind emulates FMA slowly.
 */
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>

#define SEQ     96
#define N_HEADS 16

static int fill_shape(sgt_model_config *config)
{
    if (sgt_model_config_init(config, sizeof *config))
        return 0;
    config->vocab_size = 16;
    config->d_model = 256;
    config->n_layers = 1;
    config->n_heads = N_HEADS;
    config->d_ff = 16;
    config->max_seq_len = SEQ;
    return 1;
}

static int set_loop(sgt_model *model, int heads)
{
    float gains[N_HEADS] = {0};
    sgt_plan *plan = NULL;
    if (heads == 0)
        return 1;
    for (int i = 0; i < heads; i++)
        gains[i * (N_HEADS / heads)] = 1.0f;
    int done = sgt_plan_clone(&plan, sgt_model_plan(model)) == SGT_OK &&
               sgt_plan_set_depth(plan, 0, 1) == SGT_OK &&
               sgt_plan_set_gains(plan, 0, 1, gains) == SGT_OK &&
               sgt_model_set_plan(model, plan) == SGT_OK;
    sgt_plan_free(plan);
    return done;
}

static int train(sgt_model *model)
{
    int32_t tokens[SEQ];
    sgt_metrics metrics = {.size = sizeof metrics};
    for (int i = 0; i < SEQ; i++)
        tokens[i] = i * i % 16;
    sgt_batch batch = {
        .size = sizeof batch, .batch = 1, .seq = SEQ, .tokens = tokens, .targets = tokens};
    return sgt_model_forward(&metrics, model, &batch) == SGT_OK && metrics.finite &&
           sgt_model_backward(model, 1.0, NULL) == SGT_OK;
}

int main(int argc, char **argv)
{
    sgt_context_options options;
    sgt_context *context = NULL;
    sgt_model *model = NULL;
    sgt_model_config config;
    if (argc != 2 || sgt_context_options_init(&options, sizeof options) || !fill_shape(&config))
        return 2;
    options.backend = "portable";
    options.isa = "baseline";
    options.threads = 1;
    int done = sgt_context_create(&context, &options) == SGT_OK &&
               sgt_model_create(&model, context, &config, NULL) == SGT_OK &&
               set_loop(model, atoi(argv[1])) && train(model);
    sgt_model_free(model);
    sgt_context_free(context);
    return done ? 0 : 1;
}
