/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cases of kind `forward`: one batch under a plan, through all ways of the API: the loss and its
 * backward, the logits with a loss of the host's own (cross entropy in double, here), evaluation,
 * and a session that is fed piece by piece.
 */
#include "golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct forward_case {
    golden_case *c;
    sgt_model *model;
    sgt_model_config config;
    sgt_batch batch;
    int32_t *tokens;
    int32_t *targets;
    float *expected_logits; /* [B,R,V] */
    int32_t logits_rows;    /* R: of the end of each sequence */
    float *logits;          /* [B,T,V] */
    double expected_loss;
    int64_t count; /* targets that are not ignored */
} forward_case;

/* ---- what the case says ---- */

/* The number of a layer from a key, -1 if it is none. */
static int32_t layer_of(const char *key, int32_t n_layers)
{
    char *end;
    long layer = strtol(key, &end, 10);
    return end != key && *end == '\0' && layer >= 0 && layer < n_layers ? (int32_t)layer : -1;
}

static void set_layer_gains(forward_case *f, sgt_plan *plan, int32_t layer, const json_t *passes)
{
    golden_case *c = f->c;
    int32_t n_heads = f->config.n_heads;
    float *gains = golden_allocate((size_t)n_heads, sizeof *gains);
    size_t depth = json_array_size(passes);
    if (!golden_called(c->run, sgt_plan_set_depth(plan, layer, (int32_t)depth),
                       "sgt_plan_set_depth"))
        c->broken = 1;
    for (size_t pass = 0; pass < depth && !c->broken; pass++) {
        const json_t *values = golden_array_at(c, passes, pass, n_heads);
        for (int32_t head = 0; head < n_heads; head++)
            gains[head] = (float)golden_number_at(c, values, (size_t)head);
        if (!c->broken &&
            !golden_called(c->run, sgt_plan_set_gains(plan, layer, (int32_t)pass + 1, gains),
                           "sgt_plan_set_gains"))
            c->broken = 1;
    }
    free(gains);
}

static void fill_plan(forward_case *f, sgt_plan *plan)
{
    golden_case *c = f->c;
    const char *key;
    json_t *value;
    if (golden_has(c->json, "plan")) {
        json_object_foreach (json_object_get(c->json, "plan"), key, value) {
            int32_t layer = layer_of(key, f->config.n_layers);
            if (layer < 0)
                c->broken = !golden_fail(c->run, "\"plan\" has no layer \"%s\"", key);
            else
                set_layer_gains(f, plan, layer,
                                golden_array(c, json_object_get(c->json, "plan"), key, -1));
        }
    }
    if (golden_has(c->json, "block_loops")) {
        json_object_foreach (json_object_get(c->json, "block_loops"), key, value) {
            int32_t runs = golden_integer(c, json_object_get(c->json, "block_loops"), key, 0);
            int32_t layer = layer_of(key, f->config.n_layers);
            if (!golden_called(c->run, sgt_plan_set_extra_runs(plan, layer, runs),
                               "sgt_plan_set_extra_runs"))
                c->broken = 1;
        }
    }
}

static void set_plan(forward_case *f)
{
    golden_case *c = f->c;
    sgt_plan *plan = NULL;
    if (!golden_called(
            c->run,
            sgt_plan_create(&plan, c->run->context, f->config.n_layers, f->config.n_heads),
            "sgt_plan_create"))
        c->broken = 1;
    else
        fill_plan(f, plan);
    if (!c->broken && !golden_called(c->run, sgt_model_set_plan(f->model, plan),
                                     "sgt_model_set_plan"))
        c->broken = 1;
    sgt_plan_free(plan);
}

static void read_batch(forward_case *f)
{
    golden_case *c = f->c;
    int32_t batch = golden_integer(c, c->json, "batch", 1);
    int32_t seq = golden_integer(c, c->json, "seq", 1);
    int32_t ignore = -1;
    uint64_t count = (uint64_t)batch * (uint64_t)seq;
    if (golden_has(c->json, "ignore_index"))
        ignore = golden_integer(c, c->json, "ignore_index", INT32_MIN);
    f->tokens = golden_integers(c, count, "in/tokens");
    f->targets = golden_integers(c, count, "in/targets");
    f->logits_rows = seq;
    if (golden_has(c->json, "logits_rows"))
        f->logits_rows = golden_integer(c, c->json, "logits_rows", 1);
    if (f->logits_rows > seq)
        c->broken = !golden_fail(c->run, "\"logits_rows\" is larger than \"seq\"");
    f->expected_logits = golden_floats(
        c, (uint64_t)batch * (uint64_t)f->logits_rows * (uint64_t)f->config.vocab_size,
        "out/logits");
    const golden_tensor *loss = golden_need(c, 1, "out/loss");
    if (c->broken)
        return;
    f->expected_loss = golden_element(loss, 0);
    f->logits = golden_allocate(count * (uint64_t)f->config.vocab_size, sizeof *f->logits);
    for (uint64_t i = 0; i < count; i++) {
        if (f->targets[i] == ignore)
            f->targets[i] = -1;
        f->count += f->targets[i] != -1;
    }
    f->batch = (sgt_batch){.size = sizeof f->batch, .batch = batch, .seq = seq,
                           .tokens = f->tokens, .targets = f->targets};
}

/* ---- comparing ---- */

static void compare_loss(forward_case *f, const char *name, const sgt_metrics *metrics)
{
    golden_kind kind = {.name = name, .bound = 1e-6, .relative = 1};
    double error = fabs(metrics->loss - f->expected_loss);
    double scale = fabs(f->expected_loss);
    golden_compare(&kind, scale == 0.0 ? error : error / scale, "out/loss");
    if (metrics->count != f->count)
        golden_compare(&kind, INFINITY, "the count of targets");
    golden_line(f->c->run, &kind);
}

/* Cases draw weights of multiplicative attention with which scores are near 75, and what rounds
 * queries and keys reaches probabilities so many times enlarged: PyTorch in float32 is 2.6e-5 from
 * its own float64 there, and other orders of the same sums are 2e-5 to 4e-5. What mixes streams has
 * a gradient that is a sum over all of them, in which most cancels: 2e-4, and up to 7e-4. */
static double gradient_bound(const sgt_model_config *config)
{
    int modules = 0;
    for (int32_t i = 0; i < config->n_blocks; i++)
        modules |= config->blocks[i].attention == SGT_ATTENTION_MULTIPLICATIVE;
    if (!modules)
        return 2e-5;
    return config->altup_streams > 1 ? 1e-3 : 1e-4;
}

static void compare_gradients(forward_case *f, const char *name)
{
    golden_kind kind = {.name = name, .bound = gradient_bound(&f->config), .relative = 1};
    golden_compare_parameters(f->c, &kind, f->model, "grad", SGT_PART_GRADIENT);
    golden_line(f->c->run, &kind);
}

static void compare_logits(forward_case *f, const char *name)
{
    golden_kind kind = {.name = name, .bound = 2e-5, .relative = 1};
    size_t vocab = (size_t)f->config.vocab_size;
    size_t rows = (size_t)f->logits_rows, skipped = (size_t)f->batch.seq - rows;
    double squares = 0.0, expected = 0.0;
    for (size_t b = 0; b < (size_t)f->batch.batch; b++) {
        const float *made = f->logits + (b * (size_t)f->batch.seq + skipped) * vocab;
        const float *known = f->expected_logits + b * rows * vocab;
        squares += pow(golden_distance(made, known, rows * vocab), 2);
        expected += pow(golden_norm(known, rows * vocab), 2);
    }
    golden_compare(&kind, sqrt(expected > 0.0 ? squares / expected : squares), "out/logits");
    golden_line(f->c->run, &kind);
}

/* One pass of a layer: NaN where and only where the case has NaN. */
static void compare_pass(forward_case *f, golden_kind *kind, int32_t layer, int32_t pass,
                         int32_t which)
{
    golden_case *c = f->c;
    int32_t n_heads = f->config.n_heads;
    const char *suffix = which == SGT_ENTROPY_LAST ? "last" : "mean";
    double worst = 0.0;
    double *values = golden_allocate((size_t)n_heads, sizeof *values);
    const golden_tensor *expected =
        golden_need(c, (uint64_t)n_heads, "entropy/%d/%d/%s", layer, pass, suffix);
    if (!golden_called(c->run, sgt_model_get_entropies(values, f->model, layer, pass, which),
                       "sgt_model_get_entropies"))
        c->broken = 1;
    for (int32_t head = 0; head < n_heads && !c->broken; head++) {
        double e = golden_element(expected, (uint64_t)head);
        double error = fabs(values[head] - e);
        if (isnan(e) || isnan(values[head]))
            error = isnan(e) && isnan(values[head]) ? 0.0 : INFINITY;
        worst = golden_worse(worst, error);
    }
    if (!c->broken)
        golden_compare(kind, worst, "entropy/%d/%d/%s", layer, pass, suffix);
    free(values);
}

static void compare_entropies(forward_case *f)
{
    golden_kind last = {.name = "entropy_last", .bound = 1e-5};
    golden_kind mean = {.name = "entropy_mean", .bound = 1e-5};
    for (int32_t layer = 0; layer < f->config.n_layers; layer++)
        for (int32_t pass = 0; pass < sgt_model_n_passes(f->model, layer); pass++) {
            compare_pass(f, &last, layer, pass, SGT_ENTROPY_LAST);
            compare_pass(f, &mean, layer, pass, SGT_ENTROPY_MEAN);
        }
    golden_line(f->c->run, &last);
    golden_line(f->c->run, &mean);
    if (golden_tensors_count(&f->c->tensors, "entropy/") != (size_t)(last.count + mean.count))
        golden_fail(f->c->run, "there are entropies of passes that the model does not have");
}

/* ---- the ways ---- */

static int run_loss(forward_case *f)
{
    golden_run *run = f->c->run;
    sgt_metrics metrics = {.size = sizeof metrics};
    if (!golden_called(run, sgt_model_forward(&metrics, f->model, &f->batch),
                       "sgt_model_forward"))
        return 0;
    compare_loss(f, "loss", &metrics);
    compare_entropies(f);
    double scale = f->count == 0 ? 1.0 : 1.0 / (double)f->count;
    if (!golden_called(run, sgt_model_backward(f->model, scale, NULL), "sgt_model_backward"))
        return 0;
    compare_gradients(f, "gradients");
    return 1;
}

/* logits[r,:] -> gradient of the mean loss: (softmax - one-hot) / count, 0 for ignored rows. */
static void logits_to_gradient(forward_case *f)
{
    size_t rows = (size_t)f->batch.batch * (size_t)f->batch.seq;
    size_t vocab = (size_t)f->config.vocab_size;
    for (size_t r = 0; r < rows; r++) {
        float *row = f->logits + r * vocab;
        double maximum = -INFINITY;
        double sum = 0.0;
        for (size_t v = 0; v < vocab; v++)
            if (row[v] > maximum) /* not fmax: gcc 12 for ARM fails on its reduction */
                maximum = row[v];
        for (size_t v = 0; v < vocab; v++)
            sum += exp(row[v] - maximum);
        for (size_t v = 0; v < vocab; v++) {
            double p = exp(row[v] - maximum) / sum - (f->targets[r] == (int32_t)v);
            row[v] = f->targets[r] == -1 ? 0.0f : (float)(p / (double)f->count);
        }
    }
}

static int run_logits(forward_case *f)
{
    golden_run *run = f->c->run;
    sgt_tensor_view view = {.size = sizeof view};
    size_t count = (size_t)f->batch.batch * (size_t)f->batch.seq * (size_t)f->config.vocab_size;
    if (!golden_called(run, sgt_model_zero_gradients(f->model), "sgt_model_zero_gradients") ||
        !golden_called(run, sgt_model_forward_logits(&view, f->model, &f->batch),
                       "sgt_model_forward_logits"))
        return 0;
    if (view.count != count)
        return golden_fail(run, "sgt_model_forward_logits: the view has a wrong size");
    if (!golden_called(run, sgt_model_read_logits(f->logits, count, f->model),
                       "sgt_model_read_logits"))
        return 0;
    compare_logits(f, "logits");
    logits_to_gradient(f);
    if (!golden_called(run, sgt_model_backward_logits(f->model, f->logits, NULL),
                       "sgt_model_backward_logits"))
        return 0;
    compare_gradients(f, "gradients_from_logits");
    return 1;
}

static int run_evaluation(forward_case *f)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    sgt_model_evaluate_options options;
    sgt_model_evaluate_options_init(&options, sizeof options);
    options.logits = f->logits;
    if (!golden_called(f->c->run, sgt_model_evaluate(&metrics, f->model, &f->batch, &options),
                       "sgt_model_evaluate"))
        return 0;
    compare_loss(f, "evaluated_loss", &metrics);
    compare_logits(f, "evaluated_logits");
    return 1;
}

/* The next token of every sequence, with its logits. */
static int feed_tokens(forward_case *f, sgt_session *session, float *logits, int32_t position)
{
    int32_t batch = f->batch.batch, seq = f->batch.seq;
    size_t vocab = (size_t)f->config.vocab_size;
    int32_t *tokens = golden_allocate((size_t)batch, sizeof *tokens);
    const sgt_feed feed = {.size = sizeof feed, .count = batch, .tokens = tokens,
                           .logits = logits};
    for (int32_t b = 0; b < batch; b++)
        tokens[b] = f->tokens[b * seq + position];
    int fed = golden_called(f->c->run, sgt_session_feed_batch(session, &feed),
                            "sgt_session_feed_batch");
    for (int32_t b = 0; fed && b < batch; b++)
        memcpy(f->logits + ((size_t)b * (size_t)seq + (size_t)position) * vocab,
               logits + (size_t)b * vocab, vocab * sizeof *logits);
    free(tokens);
    return fed;
}

/* The first half of each sequence at once, the rest token by token, all side by side. */
static int run_session(forward_case *f)
{
    int32_t batch = f->batch.batch, seq = f->batch.seq, half = (seq + 1) / 2;
    size_t vocab = (size_t)f->config.vocab_size;
    sgt_session *session = NULL;
    sgt_session_options options;
    sgt_session_options_init(&options, sizeof options);
    options.sequences = batch;
    options.chunk = 7;
    if (!golden_called(f->c->run, sgt_session_create(&session, f->model, &options),
                       "sgt_session_create"))
        return 0;
    int fed = 1;
    for (int32_t b = 0; b < batch && fed; b++) {
        const sgt_feed feed = {.size = sizeof feed,
                               .count = 1,
                               .sequences = &b,
                               .lengths = &half,
                               .tokens = f->tokens + b * seq,
                               .all_logits = f->logits + (size_t)b * (size_t)seq * vocab};
        fed = golden_called(f->c->run, sgt_session_feed_batch(session, &feed),
                            "sgt_session_feed_batch");
    }
    float *logits = golden_allocate((size_t)batch * vocab, sizeof *logits);
    for (int32_t position = half; position < seq && fed; position++)
        fed = feed_tokens(f, session, logits, position);
    if (fed)
        compare_logits(f, "decoded_logits");
    free(logits);
    sgt_session_free(session);
    return fed;
}

void golden_forward(golden_case *c)
{
    forward_case f = {.c = c};
    golden_only(
        c, c->json,
        "kind config parts mode batch seq plan block_loops ignore_index logits_rows");
    const int trains = golden_trains(c);
    f.model = golden_model(c);
    if (f.model == NULL)
        return;
    f.config = golden_config(f.model);
    read_batch(&f);
    if (!c->broken)
        set_plan(&f);
    if (!c->broken && golden_called(c->run,
                                    sgt_model_collect_entropy(f.model, SGT_ENTROPY_BOTH),
                                    "sgt_model_collect_entropy"))
        (void)((!trains || (run_loss(&f) && run_logits(&f))) &&
               (!golden_evaluates(c, &f.config) || (run_evaluation(&f) && run_session(&f))));
    sgt_model_free(f.model);
    free(f.tokens);
    free(f.targets);
    free(f.expected_logits);
    free(f.logits);
}
