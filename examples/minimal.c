/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The shortest complete training: a small Sparse Growing Transformer learns to repeat a sentence.
 * After 60 steps its deepest layer starts to run some of its attention heads a second time.
 */
#include <stdio.h>
#include <string.h>

#include <sgt/sgt.h>

enum { BATCH = 4, SEQ = 32, STEPS = 200 };

static const char sentence[] = "the quick brown fox jumps over the lazy dog and ";

static int train(sgt_model *model, sgt_optimizer *optimizer, sgt_growth *growth)
{
    static int32_t tokens[BATCH * SEQ], targets[BATCH * SEQ];
    sgt_batch batch = {.size = sizeof batch,
                       .batch = BATCH,
                       .seq = SEQ,
                       .tokens = tokens,
                       .targets = targets};
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_step_report report = {.size = sizeof report};
    sgt_growth_event event = {.size = sizeof event};
    for (int64_t step = 1; step <= STEPS; step++) {
        for (int i = 0; i < BATCH * SEQ; i++) {
            size_t at = (size_t)(i % SEQ + i / SEQ * 11) + (size_t)step;
            tokens[i] = sentence[at % strlen(sentence)];
            targets[i] = sentence[(at + 1) % strlen(sentence)];
        }
        if (sgt_model_forward(&metrics, model, &batch) != SGT_OK ||
            sgt_model_backward(model, 1.0 / (double)metrics.count, NULL) != SGT_OK ||
            sgt_optimizer_step(&report, optimizer, NULL) != SGT_OK)
            return 0;
        sgt_growth_input input = {sizeof input, report.skipped, step, metrics.loss,
                                  report.grad_norm};
        if (sgt_growth_step(&event, growth, &input) != SGT_OK)
            return 0;
        if (event.action == SGT_GROWTH_SELECT)
            printf("step %3d: layer %d loops\n", (int)step, event.layer);
        if (step % 50 == 0)
            printf("step %3d: loss %.4f\n", (int)step, metrics.loss);
    }
    return 1;
}

int main(void)
{
    sgt_context *context = NULL;
    sgt_model *model = NULL;
    sgt_optimizer *optimizer = NULL;
    sgt_growth_policy *policy = NULL;
    sgt_growth *growth = NULL;
    sgt_model_config config;
    sgt_optimizer_options rates;
    sgt_growth_sparse_options rule;

    int ok = sgt_model_config_init(&config, sizeof config) == SGT_OK &&
             sgt_optimizer_options_init(&rates, sizeof rates) == SGT_OK &&
             sgt_growth_sparse_options_init(&rule, sizeof rule) == SGT_OK;
    config.vocab_size = 256, config.d_model = 64, config.n_layers = 3, config.n_heads = 4;
    config.d_ff = 128, config.max_seq_len = SEQ;
    rates.lr = 3e-3;
    rule.first_step = 60, rule.window = 40;
    ok = ok && sgt_context_create(&context, NULL) == SGT_OK &&
         sgt_model_create(&model, context, &config, NULL) == SGT_OK &&
         sgt_model_init_weights(model, NULL) == SGT_OK &&
         sgt_optimizer_create(&optimizer, model, &rates) == SGT_OK &&
         sgt_growth_policy_sparse(&policy, context, 3, 4, &rule) == SGT_OK &&
         sgt_growth_create(&growth, model, policy, NULL) == SGT_OK &&
         train(model, optimizer, growth);
    if (!ok)
        fprintf(stderr, "minimal: %s\n", sgt_error_message());
    sgt_growth_free(growth);
    sgt_growth_policy_free(policy);
    sgt_optimizer_free(optimizer);
    sgt_model_free(model);
    sgt_context_free(context);
    return ok ? 0 : 1;
}
