/* SPDX-License-Identifier: BSD-3-Clause */
#include "growth_setting.h"

#include <string.h>

sgt_model *setting_model(sgt_context *context)
{
    sgt_model_config config;
    sgt_model *model = NULL;

    sgtt_ok(sgt_model_config_init(&config, sizeof config));
    config.vocab_size = VOCABULARY;
    config.d_model = 8;
    config.n_layers = LAYERS;
    config.n_heads = HEADS;
    config.d_ff = 16;
    config.max_seq_len = 8;
    sgtt_ok(sgt_model_create(&model, context, &config, NULL));
    sgtt_ok(sgt_model_init_weights(model, NULL));
    return model;
}

sgt_growth_policy *setting_policy(sgt_context *context, int64_t window)
{
    sgt_growth_sparse_options options;

    sgtt_ok(sgt_growth_sparse_options_init(&options, sizeof options));
    options.first_step = 2;
    options.window = window;
    options.max_layers = 1;
    options.keep_heads = 1;
    return sgtt_policy_sparse(context, LAYERS, HEADS, &options);
}

void setting_open(setting *s, sgtt_faulty_memory *memory)
{
    memset(s, 0, sizeof *s);
    s->context = sgtt_portable_context(memory);
    s->model = setting_model(s->context);
    s->event.size = sizeof s->event;
}

void setting_attach(setting *s, sgt_growth_policy *policy, const sgt_growth_options *options)
{
    s->policy = policy;
    sgtt_ok(sgt_growth_create(&s->growth, s->model, policy, options));
}

void setting_close(setting *s)
{
    sgt_growth_free(s->growth);
    sgt_growth_policy_free(s->policy);
    sgt_model_free(s->model);
    sgt_context_free(s->context);
}

void setting_forward_on(setting *s, int32_t text)
{
    int32_t tokens[BATCH * SEQ];
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_batch batch = {.size = sizeof batch, .batch = BATCH, .seq = SEQ, .tokens = tokens,
                       .targets = tokens};

    for (int i = 0; i < BATCH * SEQ; i++)
        tokens[i] = (i * i + 3 + text * i) % VOCABULARY;
    sgtt_ok(sgt_model_forward(&metrics, s->model, &batch));
}

void setting_forward(setting *s)
{
    setting_forward_on(s, 0);
    sgtt_ok(sgt_model_zero_gradients(s->model));
}

sgt_status setting_grow(setting *s, int64_t step, int32_t skipped)
{
    sgt_growth_input input = {.size = sizeof input, .skipped = skipped, .step = step,
                              .loss = 2.5, .grad_norm = 0.5};
    return sgt_growth_step(&s->event, s->growth, &input);
}

int32_t setting_step(setting *s, int64_t step)
{
    setting_forward(s);
    sgtt_ok(setting_grow(s, step, 0));
    return s->event.action;
}

int32_t setting_collects(const setting *s)
{
    double entropies[HEADS];
    return sgt_model_get_entropies(entropies, s->model, 0, 0, SGT_ENTROPY_LAST) == SGT_OK;
}

static int32_t watch_create(void **state, void *user, int32_t n_layers, int32_t n_heads)
{
    (void)state, (void)user, (void)n_layers, (void)n_heads;
    return 0;
}

static int32_t watch_start(void *state, void *user, sgt_plan *plan)
{
    watcher *w = user;
    (void)state;
    sgtt_ok(sgt_plan_set_depth(plan, 1, 1));
    return w->start_status;
}

static int32_t watch_decide(void *state, void *user, const sgt_growth_observation *observation,
                            sgt_plan *plan, sgt_growth_event *event)
{
    watcher *w = user;
    (void)state;
    w->decided++;
    w->seen = *observation;
    if (observation->last_entropy != NULL && observation->max_passes == 1)
        memcpy(w->last, observation->last_entropy, sizeof w->last);
    if (observation->mean_entropy != NULL && observation->max_passes == 1)
        memcpy(w->mean, observation->mean_entropy, sizeof w->mean);
    if (w->decide_status != 0)
        sgtt_ok(sgt_plan_set_depth(plan, 0, 3));
    if (w->deepen_and_fix) {
        event->action = SGT_GROWTH_FIX;
        return sgt_plan_set_depth(plan, 2, 2);
    }
    return w->decide_status;
}

sgt_growth_policy *make_watcher(sgt_context *context, watcher *user, int32_t entropy,
                                int with_start)
{
    sgt_growth_policy_vtable vtable = {.size = sizeof vtable, .entropy = entropy,
                                       .create = watch_create, .decide = watch_decide,
                                       .start = with_start ? watch_start : NULL};
    sgt_growth_policy *policy = NULL;
    sgtt_ok(sgt_growth_policy_custom(&policy, context, LAYERS, HEADS, &vtable, user));
    return policy;
}
