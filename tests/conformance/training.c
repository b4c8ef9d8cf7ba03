/* SPDX-License-Identifier: BSD-3-Clause */
#include "training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- making one ---- */

sgt_model_config sgtt_training_config(int shape)
{
    sgt_model_config config;
    sgtt_ok(sgt_model_config_init(&config, sizeof config));
    config.vocab_size = 37;
    config.d_model = 24;
    config.n_layers = 3;
    config.n_heads = 4;
    config.n_kv_heads = 2;
    config.head_dim = 6;
    config.d_ff = 40;
    config.max_seq_len = SGTT_SEQ + 2;
    if (shape == 1) {
        config.n_heads = 3;
        config.n_kv_heads = 3;
        config.head_dim = 8;
        config.tied = 1;
        config.recompute = 1;
    }
    return config;
}

void sgtt_training_open(sgtt_training *t, const sgt_context_options *options,
                        const sgt_model_config *config, uint64_t seed)
{
    sgt_init_options init;
    sgt_optimizer_options rates;
    memset(t, 0, sizeof *t);
    t->seed = seed;
    sgtt_ok(sgt_context_create(&t->context, options));
    sgtt_ok(sgt_model_create(&t->model, t->context, config));
    sgtt_ok(sgt_init_options_init(&init, sizeof init));
    init.seed = seed;
    init.std = 0.2; /* wide enough for attention that is not uniform */
    sgtt_ok(sgt_model_init_weights(t->model, &init));
    sgtt_ok(sgt_model_collect_entropy(t->model, SGT_ENTROPY_BOTH));
    sgtt_ok(sgt_optimizer_options_init(&rates, sizeof rates));
    rates.lr = 3e-3;
    sgtt_ok(sgt_optimizer_create(&t->optimizer, t->model, &rates));
}

void sgtt_training_grow(sgtt_training *t)
{
    sgt_model_config config = {.size = sizeof config};
    sgt_growth_sgt_options options;
    sgtt_ok(sgt_model_get_config(&config, t->model));
    sgtt_ok(sgt_growth_sgt_options_init(&options, sizeof options));
    options.first_step = 2;
    options.window = 3;
    options.top_k_layers = 2;
    options.max_layers = 2;
    options.max_depth = 2;
    options.keep_heads = 2;
    sgtt_ok(sgt_growth_policy_sgt(&t->policy, t->context, config.n_layers, config.n_heads,
                                  &options));
    sgtt_ok(sgt_growth_create(&t->growth, t->model, t->policy, NULL));
}

void sgtt_training_close(sgtt_training *t)
{
    sgt_growth_free(t->growth);
    sgt_growth_policy_free(t->policy);
    sgt_optimizer_free(t->optimizer);
    sgt_model_free(t->model);
    sgt_context_free(t->context);
    memset(t, 0, sizeof *t);
}

void sgtt_training_loop(sgtt_training *t)
{
    sgt_plan *plan;
    sgtt_ok(sgt_plan_clone(&plan, sgt_model_plan(t->model)));
    float gains[8] = {0.5f, 0.0f, 1.0f, 0.25f};
    sgtt_ok(sgt_plan_set_depth(plan, 1, 2));
    sgtt_ok(sgt_plan_set_gains(plan, 1, 1, gains));
    sgtt_ok(sgt_plan_set_depth(plan, 2, 1));
    sgtt_ok(sgt_plan_set_extra_runs(plan, 0, 1));
    sgtt_ok(sgt_model_set_plan(t->model, plan));
    sgt_plan_free(plan);
}

/* ---- a step ---- */

/* SplitMix64 (Steele, Lea, Flood, 2014) of a counter. */
static uint64_t mixed(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

sgt_batch sgtt_training_batch(int32_t *tokens, int32_t *targets, const sgtt_training *t,
                              int64_t step)
{
    sgt_model_config config = {.size = sizeof config};
    sgtt_ok(sgt_model_get_config(&config, t->model));
    for (int i = 0; i < SGTT_BATCH * SGTT_SEQ; i++) {
        const uint64_t random = mixed(t->seed * 1000003u + (uint64_t)step * 4096u + (uint64_t)i);
        tokens[i] = (int32_t)(random % (uint64_t)config.vocab_size);
        targets[i] = random >> 60 == 0 ? -1 : (tokens[i] * 5 + 3) % config.vocab_size;
    }
    return (sgt_batch){.size = sizeof(sgt_batch),
                       .batch = SGTT_BATCH,
                       .seq = SGTT_SEQ,
                       .tokens = tokens,
                       .targets = targets};
}

sgtt_step sgtt_training_step(sgtt_training *t, int64_t step)
{
    int32_t tokens[SGTT_BATCH * SGTT_SEQ], targets[SGTT_BATCH * SGTT_SEQ];
    const sgt_batch batch = sgtt_training_batch(tokens, targets, t, step);
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_step_report report = {.size = sizeof report};
    sgtt_step made = {.event = {.size = sizeof made.event}};
    sgtt_ok(sgt_model_forward(&metrics, t->model, &batch));
    sgtt_ok(sgt_model_backward(t->model, 1.0 / (double)metrics.count));
    sgtt_ok(sgt_optimizer_step(&report, t->optimizer));
    sgtt_require(!report.skipped, "step %lld was skipped: the gradients are not finite",
                 (long long)step);
    if (t->growth != NULL) {
        const sgt_growth_input input = {.size = sizeof input, .step = step, .loss = metrics.loss,
                                        .grad_norm = report.grad_norm};
        sgtt_ok(sgt_growth_step(&made.event, t->growth, &input));
    }
    made.loss = metrics.loss;
    made.grad_norm = report.grad_norm;
    return made;
}

/* ---- files ---- */

void sgtt_training_save(const char *path, const sgtt_training *t)
{
    sgt_checkpoint_save_options options;
    sgtt_ok(sgt_checkpoint_save_options_init(&options, sizeof options));
    options.optimizer = t->optimizer;
    options.growth = t->growth;
    sgtt_ok(sgt_checkpoint_save(path, t->model, &options));
}

void sgtt_make_folder(char *folder, size_t bytes)
{
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, bytes, "%s/sgt-test-XXXXXX", temporary != NULL ? temporary : "/tmp");
    sgtt_require(mkdtemp(folder) != NULL, "%s cannot be made", folder);
}

/* ---- comparing ---- */

void sgtt_compare_number(double got, double expected, double tolerance, const char *what)
{
    sgtt_require(fabs(got - expected) <= tolerance, "%s is %.9g, with the portable backend %.9g",
                 what, got, expected);
    sgtt_count(fabs(got - expected) / tolerance);
}

static double norm_of(const float *x, uint64_t n)
{
    double sum = 0.0;
    for (uint64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

void sgtt_compare_floats(const float *got, const float *expected, uint64_t n, double bound,
                         double least, const char *what)
{
    double sum = 0.0;
    for (uint64_t i = 0; i < n; i++) {
        double error = (double)got[i] - (double)expected[i];
        sum += error * error;
    }
    const double norm = norm_of(expected, n);
    const double allowed = bound * (norm > least ? norm : least);
    sgtt_require(sqrt(sum) <= allowed, "%s: relative error %.3g, more than %.3g", what,
                 sqrt(sum) / (allowed / bound), bound);
    if (allowed > 0.0)
        sgtt_count(sqrt(sum) / allowed);
}

/* One tensor; the caller frees it. */
static float *read_tensor(sgt_tensor_view *view, const sgtt_training *t, int32_t index,
                          int32_t part)
{
    *view = (sgt_tensor_view){.size = sizeof *view};
    sgtt_ok(sgt_model_parameter(view, t->model, index, part));
    float *values = malloc(view->count * sizeof *values);
    sgtt_require(values != NULL, "out of memory");
    sgtt_ok(sgt_model_read_parameter(values, view->count, t->model, index, part));
    return values;
}

void sgtt_compare_tensors(const sgtt_training *got, const sgtt_training *expected, int32_t part,
                          double bound, const char *what)
{
    const int32_t count = sgt_model_parameter_count(expected->model);
    double largest = 0.0;
    sgt_tensor_view view;
    for (int32_t i = 0; i < count; i++) {
        float *values = read_tensor(&view, expected, i, part);
        largest = fmax(largest, norm_of(values, view.count));
        free(values);
    }
    for (int32_t i = 0; i < count; i++) {
        char text[200];
        float *ours = read_tensor(&view, expected, i, part);
        float *theirs = read_tensor(&view, got, i, part);
        snprintf(text, sizeof text, "%s of %s", what, view.name);
        sgtt_compare_floats(theirs, ours, view.count, bound, 1e-6 * largest, text);
        free(ours);
        free(theirs);
    }
}

void sgtt_compare_entropies(const sgtt_training *got, const sgtt_training *expected)
{
    sgt_model_config config = {.size = sizeof config};
    double ours[16], theirs[16];
    sgtt_ok(sgt_model_get_config(&config, expected->model));
    for (int32_t layer = 0; layer < config.n_layers; layer++) {
        for (int32_t pass = 0; pass < sgt_model_n_passes(expected->model, layer); pass++) {
            for (int32_t kind = SGT_ENTROPY_LAST; kind <= SGT_ENTROPY_MEAN; kind++) {
                sgtt_ok(sgt_model_entropies(ours, expected->model, layer, pass, kind));
                sgtt_ok(sgt_model_entropies(theirs, got->model, layer, pass, kind));
                for (int32_t h = 0; h < config.n_heads; h++) {
                    if (isnan(ours[h]) && isnan(theirs[h]))
                        continue;
                    sgtt_compare_number(theirs[h], ours[h], SGTT_ENTROPY_BOUND, "an entropy");
                }
            }
        }
    }
}

uint64_t sgtt_training_hash(const sgtt_training *t)
{
    uint64_t hash = 14695981039346656037u;
    for (int32_t i = 0; i < sgt_model_parameter_count(t->model); i++) {
        sgt_tensor_view view;
        float *values = read_tensor(&view, t, i, SGT_WEIGHT);
        const unsigned char *bytes = (const unsigned char *)values;
        for (uint64_t k = 0; k < view.count * sizeof *values; k++)
            hash = (hash ^ bytes[k]) * 1099511628211u;
        free(values);
    }
    return hash;
}
