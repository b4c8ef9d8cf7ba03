/* SPDX-License-Identifier: BSD-3-Clause */
#include "training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- making one ---- */

int sgtt_features_of(int kind)
{
    const sgtt_small_kind *k = &sgtt_small_kinds[kind];
    int features = k->head_modules > 0 || k->modules ? SGTT_MODULES : 0;
    for (int32_t i = 0; i < k->n_blocks; i++) {
        features |= k->blocks[i].n_patterns > 0 ? SGTT_PATTERNS : 0;
        features |= k->blocks[i].units > 0 ? SGTT_CHOOSES : 0;
    }
    return features;
}

void sgtt_training_open(small_training *t, const sgt_context_options *options,
                        const sgt_model_config *config, const sgt_model_options *model,
                        uint64_t seed)
{
    sgt_model_init_options init;
    sgt_optimizer_options rates;
    sgtt_ok(sgt_model_init_options_init(&init, sizeof init));
    init.seed = seed;
    init.std = 0.2; /* wide enough for attention that is not uniform */
    sgtt_ok(sgt_optimizer_options_init(&rates, sizeof rates));
    rates.lr = 3e-3;
    const sgtt_small_recipe recipe = {.context = options,
                                      .config = *config,
                                      .options = model,
                                      .init = &init,
                                      .optimizer = &rates};
    *t = (small_training){.seed = seed};
    sgtt_ok(sgtt_small_make(t, &recipe));
    sgtt_ok(sgt_model_collect_entropy(t->model, SGT_ENTROPY_BOTH));
}

void sgtt_training_open_kind(small_training *t, const sgt_context_options *options, int kind,
                             uint64_t seed)
{
    const sgt_model_config config = sgtt_small_config(kind, SGTT_SIZE_EVEN);
    const sgt_model_options model = sgtt_small_options(kind);
    sgtt_training_open(t, options, &config, &model, seed);
    sgtt_ok(sgtt_small_loop(t->model, kind));
}

void sgtt_training_grow(small_training *t)
{
    sgt_growth_sparse_options rule = sgtt_small_rule(2, 3);
    sgtt_small_recipe recipe = {.config = {.size = sizeof recipe.config}, .rule = &rule};
    rule.keep_heads = 2;
    rule.fade = SGT_FADE_LINEAR;
    sgtt_ok(sgt_model_get_config(&recipe.config, t->model));
    sgtt_ok(sgtt_small_make(t, &recipe));
}

/* ---- a step ---- */

sgt_batch sgtt_training_batch(int32_t *tokens, int32_t *targets, const small_training *t,
                              int64_t step)
{
    return sgtt_small_batch(tokens, targets, t, step, SGTT_BATCH, SGTT_SEQ);
}

sgtt_small_taken sgtt_training_step(const small_training *t, int64_t step)
{
    int32_t tokens[SGTT_BATCH * SGTT_SEQ], targets[SGTT_BATCH * SGTT_SEQ];
    const sgt_batch batch = sgtt_training_batch(tokens, targets, t, step);
    sgtt_small_taken taken;
    sgtt_ok(sgtt_small_step(&taken, t, &batch, step));
    sgtt_require(!taken.skipped, "step %lld was skipped: the gradients are not finite",
                 (long long)step);
    return taken;
}

/* ---- files ---- */

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
static float *read_tensor(sgt_tensor_view *view, const small_training *t, int32_t index,
                          int32_t part)
{
    *view = (sgt_tensor_view){.size = sizeof *view};
    sgtt_ok(sgt_model_parameter(view, t->model, index, part));
    float *values = malloc(view->count * sizeof *values);
    sgtt_require(values != NULL, "out of memory");
    sgtt_ok(sgt_model_read_parameter(values, view->count, t->model, index, part));
    return values;
}

void sgtt_compare_tensors(const small_training *got, const small_training *expected, int32_t part,
                          double bound, const char *what)
{
    const int32_t count = sgt_model_n_parameters(expected->model);
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

void sgtt_compare_entropies(const small_training *got, const small_training *expected)
{
    sgt_model_config config = {.size = sizeof config};
    double ours[16], theirs[16];
    sgtt_ok(sgt_model_get_config(&config, expected->model));
    for (int32_t layer = 0; layer < config.n_layers; layer++) {
        for (int32_t pass = 0; pass < sgt_model_n_passes(expected->model, layer); pass++) {
            for (int32_t kind = SGT_ENTROPY_LAST; kind <= SGT_ENTROPY_MEAN; kind++) {
                sgtt_ok(sgt_model_get_entropies(ours, expected->model, layer, pass, kind));
                sgtt_ok(sgt_model_get_entropies(theirs, got->model, layer, pass, kind));
                for (int32_t h = 0; h < config.n_heads; h++) {
                    if (isnan(ours[h]) && isnan(theirs[h]))
                        continue;
                    sgtt_compare_number(theirs[h], ours[h], SGTT_ENTROPY_BOUND, "an entropy");
                }
            }
        }
    }
}

uint64_t sgtt_training_hash(const small_training *t)
{
    uint64_t hash = 14695981039346656037u;
    for (int32_t i = 0; i < sgt_model_n_parameters(t->model); i++) {
        sgt_tensor_view view;
        float *values = read_tensor(&view, t, i, SGT_PART_WEIGHT);
        const unsigned char *bytes = (const unsigned char *)values;
        for (uint64_t k = 0; k < view.count * sizeof *values; k++)
            hash = (hash ^ bytes[k]) * 1099511628211u;
        free(values);
    }
    return hash;
}
