/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Made release_0_1.safetensors and release_0_1.h. It is not built here, for it speaks the interface
 * of libsgt 0.1.0: with that release's tree (commit fab5d76) installed at PREFIX,
 *
 *     export PKG_CONFIG_PATH=PREFIX/lib/pkgconfig LD_LIBRARY_PATH=PREFIX/lib
 *     cc -std=c11 make_0_1.c -o make_0_1 $(pkg-config --cflags --libs sgt)
 *     ./make_0_1 release_0_1.safetensors > release_0_1.h
 *
 * A training of three layers on the portable kernels for any processor. Growth took a layer at
 * step 3 and deepened it at step 7; step 5 was skipped, its gradients were not finite. The file is
 * of step 9: heads fade in the middle of a ramp, and growth has not seen the entropies of the step
 * yet. What is printed is what 0.1.0 gets when it resumes from that file.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>

#include "release_data.h"

enum { WIDTH = 12, SKIPPED = 5, MOST = RELEASE_VOCAB * WIDTH };

typedef struct training {
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth_policy *policy;
    sgt_growth *growth;
} training;

static void ok(sgt_status status)
{
    if (status) {
        fprintf(stderr, "%s: %s\n", sgt_status_name(status), sgt_error_message());
        exit(1);
    }
}

static void make_context_and_policy(training *t)
{
    sgt_context_options options;
    sgt_growth_sgt_options rule;
    ok(sgt_context_options_init(&options, sizeof options));
    options.threads = 1;
    options.backend = "portable";
    options.isa = "baseline";
    ok(sgt_context_create(&t->context, &options));
    ok(sgt_growth_sgt_options_init(&rule, sizeof rule));
    rule.first_step = 3;
    rule.window = 4;
    rule.top_k_layers = 2;
    rule.max_layers = 2;
    rule.max_depth = 2;
    rule.fade = SGT_FADE_COSINE;
    ok(sgt_growth_policy_sgt(&t->policy, t->context, 3, 4, &rule));
}

static void start(training *t)
{
    sgt_model_config config;
    sgt_init_options init;
    sgt_optimizer_options options;
    make_context_and_policy(t);
    ok(sgt_model_config_init(&config, sizeof config));
    config.vocab_size = RELEASE_VOCAB;
    config.d_model = WIDTH;
    config.n_layers = 3;
    config.n_heads = 4;
    config.n_kv_heads = 2;
    config.head_dim = 4;
    config.d_ff = 10;
    config.max_seq_len = 16;
    config.rope_theta = 12345.678;
    ok(sgt_model_create(&t->model, t->context, &config));
    ok(sgt_init_options_init(&init, sizeof init));
    init.seed = 2026;
    init.std = 0.3;
    ok(sgt_model_init_weights(t->model, &init));
    ok(sgt_optimizer_options_init(&options, sizeof options));
    options.schedule = SGT_SCHEDULE_WARMUP_STABLE_DECAY;
    options.lr = 1.1e-2;
    options.warmup_steps = 3;
    options.total_steps = RELEASE_LAST;
    options.decay_steps = 6;
    options.decay_scope = SGT_DECAY_MATRICES;
    ok(sgt_optimizer_create(&t->optimizer, t->model, &options));
    ok(sgt_optimizer_set_factors(t->optimizer, 1, 0.7, 0.3));
    ok(sgt_growth_create(&t->growth, t->model, t->policy, NULL));
}

static void resume(training *t, const char *path)
{
    sgt_checkpoint *checkpoint;
    make_context_and_policy(t);
    ok(sgt_checkpoint_open(&checkpoint, t->context, path));
    ok(sgt_checkpoint_create(&t->model, &t->optimizer, &t->growth, checkpoint, t->policy, NULL));
    sgt_checkpoint_free(checkpoint);
}

static void finish(training *t)
{
    sgt_growth_free(t->growth);
    sgt_growth_policy_free(t->policy);
    sgt_optimizer_free(t->optimizer);
    sgt_model_free(t->model);
    sgt_context_free(t->context);
}

static uint64_t bits(double value)
{
    uint64_t pattern;
    memcpy(&pattern, &value, sizeof pattern);
    return pattern;
}

static void grow(release_event *taken, training *t, const sgt_step_report *report)
{
    sgt_growth_input input = {.size = sizeof input, .step = report->step, .loss = 1.0};
    sgt_growth_event event = {.size = sizeof event};
    input.skipped = report->skipped;
    ok(sgt_growth_step(&event, t->growth, &input));
    *taken = (release_event){event.action, event.layer, event.depth, event.n_heads};
}

static void update(release_step *taken, sgt_step_report *report, training *t, int64_t step)
{
    const float infinite[WIDTH] = {INFINITY};
    for (int micro = 0; micro < RELEASE_MICRO; micro++) {
        int32_t tokens[RELEASE_TOKENS], targets[RELEASE_TOKENS];
        sgt_metrics metrics = {.size = sizeof metrics};
        release_batch(tokens, targets, step, micro);
        const sgt_batch batch = {.size = sizeof batch, .batch = RELEASE_ROWS, .seq = RELEASE_SEQ,
                                 .tokens = tokens, .targets = targets};
        ok(sgt_model_forward(&metrics, t->model, &batch));
        ok(sgt_model_backward(t->model, 1.0 / (double)metrics.count));
        taken->losses[micro] = bits(metrics.loss);
    }
    if (step == SKIPPED)
        ok(sgt_model_write_parameter(t->model, 1, SGT_GRADIENT, infinite, WIDTH));
    *report = (sgt_step_report){.size = sizeof *report};
    ok(sgt_optimizer_step(report, t->optimizer));
    taken->grad_norm = bits(report->grad_norm);
    taken->rate = bits(report->lr);
}

static void save(const training *t, const char *path)
{
    static const char *const keys[] = {"data.position", "run"};
    static const char *const values[] = {"file 3, byte 17 \xc3\xa9", "release 0.1"};
    sgt_checkpoint_save_options options;
    ok(sgt_checkpoint_save_options_init(&options, sizeof options));
    options.checksums = 1;
    options.optimizer = t->optimizer;
    options.growth = t->growth;
    options.keys = keys;
    options.values = values;
    options.n_values = 2;
    ok(sgt_checkpoint_save(path, t->model, &options));
}

static void print_state(const char *field, const training *t)
{
    uint64_t weights = RELEASE_HASH, moments = RELEASE_HASH;
    unsigned char plan[4096];
    size_t bytes = sizeof plan;
    for (int32_t i = 0; i < sgt_model_parameter_count(t->model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        float values[MOST];
        ok(sgt_model_parameter(&view, t->model, i, SGT_WEIGHT));
        ok(sgt_model_read_parameter(values, view.count, t->model, i, SGT_WEIGHT));
        weights = release_hash(weights, values, view.count * sizeof *values);
        for (int32_t m = SGT_MOMENT_FIRST; m <= SGT_MOMENT_SECOND; m++) {
            ok(sgt_optimizer_read_moment(values, view.count, t->optimizer, i, m));
            moments = release_hash(moments, values, view.count * sizeof *values);
        }
    }
    ok(sgt_plan_save(plan, &bytes, sgt_model_plan(t->model)));
    printf("    .%s = {0x%016llx, 0x%016llx, 0x%016llx},\n", field, (unsigned long long)weights,
           (unsigned long long)moments,
           (unsigned long long)release_hash(RELEASE_HASH, plan, bytes));
}

static void print_policy(const training *t)
{
    unsigned char state[4096];
    size_t bytes = sizeof state;
    ok(sgt_growth_policy_save(state, &bytes, t->policy));
    printf("    .policy = 0x%016llx,\n",
           (unsigned long long)release_hash(RELEASE_HASH, state, bytes));
}

static void print_step(const release_step *s)
{
    const release_event *e = &s->event;
    printf("        {{0x%016llx, 0x%016llx},\n         0x%016llx, 0x%016llx, {%d, %d, %d, %d}},\n",
           (unsigned long long)s->losses[0], (unsigned long long)s->losses[1],
           (unsigned long long)s->grad_norm, (unsigned long long)s->rate, e->action, e->layer,
           e->depth, e->n_heads);
}

static void print_uses(const training *t)
{
    int32_t tokens[RELEASE_TOKENS], targets[RELEASE_TOKENS];
    float logits[RELEASE_VOCAB];
    sgt_session *session;
    sgt_metrics metrics = {.size = sizeof metrics};
    release_batch(tokens, targets, RELEASE_LAST + 1, 0);
    const sgt_batch batch = {.size = sizeof batch, .batch = RELEASE_ROWS, .seq = RELEASE_SEQ,
                             .tokens = tokens, .targets = targets};
    ok(sgt_model_evaluate(&metrics, t->model, &batch, NULL));
    ok(sgt_session_create(&session, t->model, NULL));
    ok(sgt_session_feed(logits, session, 0, tokens, RELEASE_SEQ));
    sgt_session_free(session);
    printf("    .evaluation = 0x%016llx,\n    .logits = 0x%016llx,\n",
           (unsigned long long)bits(metrics.loss),
           (unsigned long long)release_hash(RELEASE_HASH, logits, sizeof logits));
}

static void print_record(const char *path)
{
    training t = {0};
    release_step taken = {0};
    sgt_step_report report = {.size = sizeof report, .step = RELEASE_SAVED};
    resume(&t, path);
    printf("/* SPDX-License-Identifier: BSD-3-Clause */\n"
           "/* Printed by make_0_1.c: what libsgt %s gets from release_0_1.safetensors. */\n"
           "#include \"release_data.h\"\n\n"
           "static const release_record release_0_1 = {\n"
           "    .file = \"release_0_1.safetensors\",\n", sgt_version());
    print_state("loaded", &t);
    print_policy(&t);
    grow(&taken.event, &t, &report);
    printf("    .first = {%d, %d, %d, %d},\n    .steps = {\n", taken.event.action,
           taken.event.layer, taken.event.depth, taken.event.n_heads);
    for (int64_t step = RELEASE_SAVED + 1; step <= RELEASE_LAST; step++) {
        update(&taken, &report, &t, step);
        grow(&taken.event, &t, &report);
        print_step(&taken);
    }
    printf("    },\n");
    print_state("ended", &t);
    print_uses(&t);
    printf("};\n");
    finish(&t);
}

int main(int argc, char **argv)
{
    training t = {0};
    release_step taken;
    sgt_step_report report;
    if (argc != 2)
        return 2;
    start(&t);
    for (int64_t step = 1; step < RELEASE_SAVED; step++) {
        update(&taken, &report, &t, step);
        grow(&taken.event, &t, &report);
    }
    update(&taken, &report, &t, RELEASE_SAVED);
    save(&t, argv[1]);
    finish(&t);
    print_record(argv[1]);
    return 0;
}
