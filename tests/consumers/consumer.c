/* SPDX-License-Identifier: BSD-3-Clause */
/* A host that knows nothing but the installed headers: a few training steps of a tiny model. Exits
 * with 0 when the loss goes down and NaN is noticed. */
#include <stdio.h>
#include <string.h>

#include <sgt/sgt.h>

#if !SGT_VERSION_AT_LEAST(0, 2, 0) ||                                                              \
    SGT_VERSION_AT_LEAST(SGT_VERSION_MAJOR, SGT_VERSION_MINOR + 1, 0)
#error "the version of the headers compares wrongly"
#endif

#define BATCH 2
#define SEQ   8
#define STEPS 5

static int failed(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, sgt_error_message());
    return 1;
}

static int train(sgt_model *model, sgt_optimizer *optimizer)
{
    int32_t tokens[BATCH * SEQ], targets[BATCH * SEQ];
    for (int i = 0; i < BATCH * SEQ; i++) {
        tokens[i] = i % 5;
        targets[i] = (i + 1) % 5;
    }
    sgt_batch batch;
    memset(&batch, 0, sizeof batch);
    batch.size = sizeof batch;
    batch.batch = BATCH;
    batch.seq = SEQ;
    batch.tokens = tokens;
    batch.targets = targets;
    double first = 0, last = 0;
    for (int step = 0; step < STEPS; step++) {
        sgt_metrics metrics;
        memset(&metrics, 0, sizeof metrics);
        metrics.size = sizeof metrics;
        if (sgt_model_forward(&metrics, model, &batch) != SGT_OK)
            return failed("forward");
        if (sgt_model_backward(model, 1.0 / (double)metrics.count, NULL) != SGT_OK)
            return failed("backward");
        if (sgt_optimizer_step(NULL, optimizer, NULL) != SGT_OK)
            return failed("step");
        last = metrics.loss;
        if (step == 0)
            first = last;
    }
    if (!(last < first)) {
        fprintf(stderr, "loss %g, then %g\n", first, last);
        return 1;
    }
    return 0;
}

/* Whatever the host's compiler was told of NaN: the library knows it. */
static int notices_nan(sgt_model *model)
{
    const uint32_t bits = 0x7fc00000;
    float nan;
    memcpy(&nan, &bits, sizeof nan);
    int32_t token = 0;
    sgt_batch batch;
    memset(&batch, 0, sizeof batch);
    batch.size = sizeof batch;
    batch.batch = batch.seq = 1;
    batch.tokens = batch.targets = &token;
    sgt_metrics metrics;
    memset(&metrics, 0, sizeof metrics);
    metrics.size = sizeof metrics;
    float weights[5 * 16];
    for (int i = 0; i < 5 * 16; i++)
        weights[i] = nan;
    sgt_plan *plan = NULL;
    if (sgt_plan_clone(&plan, sgt_model_plan(model)) != SGT_OK ||
        sgt_plan_set_depth(plan, 0, 1) != SGT_OK)
        return failed("plan");
    int refused = sgt_plan_set_gain(plan, 0, 1, 0, nan) != SGT_OK;
    sgt_plan_free(plan);
    if (sgt_model_write_parameter(model, 0, SGT_PART_WEIGHT, weights, 5 * 16) != SGT_OK ||
        sgt_model_forward(&metrics, model, &batch) != SGT_OK)
        return failed("forward");
    if (!refused || metrics.finite) {
        fprintf(stderr, "a gain of NaN is %s, a loss of NaN is %s\n", refused ? "refused" : "taken",
                metrics.finite ? "finite" : "not finite");
        return 1;
    }
    return 0;
}

int main(void)
{
    if (strcmp(sgt_version(), EXPECTED_VERSION) != 0) {
        fprintf(stderr, "version %s, expected %s\n", sgt_version(), EXPECTED_VERSION);
        return 1;
    }
    sgt_context *context = NULL;
    sgt_model *model = NULL;
    sgt_optimizer *optimizer = NULL;
    sgt_model_config config;
    int status = 1;
    if (sgt_context_create(&context, NULL) != SGT_OK)
        return failed("context");
    if (sgt_model_config_init(&config, sizeof config) != SGT_OK) {
        failed("config");
        goto done;
    }
    config.vocab_size = 5;
    config.d_model = 16;
    config.n_layers = 2;
    config.n_heads = 2;
    config.d_ff = 32;
    config.max_seq_len = SEQ;
    if (sgt_model_create(&model, context, &config, NULL) != SGT_OK ||
        sgt_model_init_weights(model, NULL) != SGT_OK ||
        sgt_optimizer_create(&optimizer, model, NULL) != SGT_OK) {
        failed("create");
        goto done;
    }
    status = train(model, optimizer);
    if (!status)
        status = notices_nan(model);
done:
    sgt_optimizer_free(optimizer);
    sgt_model_free(model);
    sgt_context_free(context);
    return status;
}
