/* SPDX-License-Identifier: BSD-3-Clause */
#include "train_text_report.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* Seconds between progress lines. */
static const double LINE_INTERVAL = 5;

/* Records of entropies in a run. */
enum { ENTROPIES = 250 };

int report_open(reporter *r, const settings *o)
{
    *r = (reporter){.log_path = o->log, .bytes_per_step = o->batch * o->seq};
    if (!o->log)
        return EXIT_DONE;
    r->entropies = malloc((size_t)o->heads * sizeof *r->entropies);
    if (!r->entropies)
        return complain(EXIT_FAILED, "out of memory");
    if (!(r->log = fopen(o->log, "w")))
        return complain(EXIT_BAD_INPUT, "--log: %s: %s", o->log, strerror(errno));
    return EXIT_DONE;
}

int report_close(reporter *r)
{
    int status = EXIT_DONE;
    if (r->log && (ferror(r->log) | fclose(r->log)))
        status = complain(EXIT_FAILED, "%s: not everything could be written", r->log_path);
    if (fflush(stdout) || ferror(stdout))
        status = complain(EXIT_FAILED, "standard output could not be written");
    free(r->entropies);
    r->log = NULL;
    r->entropies = NULL;
    return status;
}

/* ---- JSON ---- */

static void json(reporter *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void json(reporter *r, const char *format, ...)
{
    if (!r->log)
        return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(r->log, format, arguments);
    va_end(arguments);
}

static void json_number(reporter *r, const char *key, double value)
{
    if (isfinite(value))
        json(r, ",\"%s\":%.9g", key, value);
    else
        json(r, ",\"%s\":null", key);
}

static void json_indices(reporter *r, const char *key, const int32_t *values, int32_t count)
{
    json(r, ",\"%s\":[", key);
    for (int32_t i = 0; i < count; i++)
        json(r, i ? ",%d" : "%d", values[i]);
    json(r, "]");
}

/* Item number h of a list. Four digits are more than a colour shows. */
static void json_entropy(reporter *r, int32_t h, double value)
{
    if (isfinite(value))
        json(r, h ? ",%.4f" : "%.4f", value);
    else
        json(r, h ? ",null" : "null");
}

static void json_string(reporter *r, const char *key, const char *text)
{
    json(r, ",\"%s\":\"", key);
    for (; *text; text++)
        if (*text == '"' || *text == '\\' || (unsigned char)*text < 32)
            json(r, "\\u%04x", (unsigned char)*text);
        else
            json(r, "%c", *text);
    json(r, "\"");
}

static void json_close(reporter *r)
{
    json(r, "}\n");
    if (r->log)
        fflush(r->log);
}

/* The heads of a layer's last pass that have a gain when its ramp is over. */
static void json_looped_heads(reporter *r, const sgt_plan *plan, int32_t layer)
{
    const float *targets = sgt_plan_targets(plan, layer, sgt_plan_depth(plan, layer));
    const char *comma = "";
    json(r, layer ? ",[" : "[");
    for (int32_t h = 0; h < sgt_plan_n_heads(plan) && targets; h++) {
        if (targets[h] > 0) {
            json(r, "%s%d", comma, h);
            comma = ",";
        }
    }
    json(r, "]");
}

static void json_depths(reporter *r, int64_t step, const sgt_plan *plan)
{
    int32_t n_layers = sgt_plan_n_layers(plan);
    json(r, "{\"type\":\"depth\",\"step\":%lld,\"depths\":[", (long long)step);
    for (int32_t i = 0; i < n_layers; i++)
        json(r, i ? ",%d" : "%d", sgt_plan_depth(plan, i));
    json(r, "],\"runs\":[");
    for (int32_t i = 0; i < n_layers; i++)
        json(r, i ? ",%d" : "%d", sgt_plan_extra_runs(plan, i));
    json(r, "],\"heads\":[");
    for (int32_t i = 0; i < n_layers; i++)
        json_looped_heads(r, plan, i);
    json(r, "]");
    json_close(r);
}

/* ---- the start ---- */

static uint64_t count_weights(const sgt_model *model)
{
    uint64_t total = 0;
    for (int32_t i = 0; i < sgt_model_n_parameters(model); i++) {
        sgt_tensor_view view = {.size = sizeof view};
        if (sgt_model_parameter(&view, model, i, SGT_PART_WEIGHT) == SGT_OK)
            total += view.count;
    }
    return total;
}

/* The first step at which growth is over, should every window end in a selection. */
static int64_t grown_at(const settings *o, const schedule *plan)
{
    return plan->growth_first + o->growth_layers * o->growth_depth * plan->growth_window;
}

static void print_start(const settings *o, const schedule *plan, const sgt_backend_info *backend,
                        const sgt_context_memory *memory, uint64_t weights)
{
    printf("model: %.2f M weights: %lld layers, %lld heads, d %lld, ff %lld\n",
           1e-6 * (double)weights, (long long)o->layers, (long long)o->heads,
           (long long)o->d_model, (long long)o->d_ff);
    printf("backend: %s (%s), %d threads, %.0f MiB\n", backend->name, backend->kernels,
           backend->threads, (double)memory->peak / 1048576);
    printf("plan: %lld steps of %lld x %lld bytes, warm-up %lld, peak rate %g",
           (long long)plan->steps, (long long)o->batch, (long long)o->seq,
           (long long)plan->warmup, plan->lr);
    if (plan->seconds > 0)
        printf(", at most %.1f minutes", plan->seconds / 60);
    putchar('\n');
    if (o->spec.kind == POLICY_SPARSE)
        printf("growth: first layer at step %lld, then every %lld, over by step %lld\n",
               (long long)plan->growth_first, (long long)plan->growth_window,
               (long long)grown_at(o, plan));
    else
        printf("depth: %s\n", o->policy);
    if (o->spec.kind == POLICY_SPARSE && grown_at(o, plan) > plan->steps)
        puts("growth: there are too few steps for all of it");
}

void report_start(reporter *r, const settings *o, const schedule *plan, const sgt_context *context,
                  const sgt_model *model, int64_t done)
{
    sgt_backend_info backend = {.size = sizeof backend};
    sgt_context_memory memory = {.size = sizeof memory};
    sgt_flops_total flops = {.size = sizeof flops};
    sgt_context_get_backend(&backend, context);
    sgt_context_get_memory(&memory, context);
    sgt_model_get_flops(&flops, model);
    r->plan = plan;
    r->entropy_every =
        o->entropy_every ? o->entropy_every : (plan->steps + ENTROPIES - 1) / ENTROPIES;
    r->last_line = now();
    r->flops_then = flops.executed;
    uint64_t weights = count_weights(model);
    print_start(o, plan, &backend, &memory, weights);

    json(r, "{\"type\":\"run\",\"token\":\"byte\",\"weights\":%llu", (unsigned long long)weights);
    json(r, ",\"d_model\":%lld,\"layers\":%lld,\"heads\":%lld,\"ff\":%lld", (long long)o->d_model,
         (long long)o->layers, (long long)o->heads, (long long)o->d_ff);
    json(r, ",\"batch\":%lld,\"seq\":%lld,\"steps\":%lld,\"warmup\":%lld,\"seed\":%lld",
         (long long)o->batch, (long long)o->seq, (long long)plan->steps, (long long)plan->warmup,
         (long long)o->seed);
    json(r, ",\"growth_first\":%lld,\"growth_window\":%lld,\"threads\":%d",
         (long long)plan->growth_first, (long long)plan->growth_window, backend.threads);
    json_number(r, "peak_lr", plan->lr);
    json_number(r, "minutes", plan->seconds / 60);
    json_string(r, "policy", o->policy);
    json_string(r, "kernels", backend.kernels);
    json_string(r, "version", sgt_version());
    json_close(r);
    json_depths(r, done, sgt_model_plan(model));
}

/* ---- while it runs ---- */

/* Training FLOPs per byte now and in the plain model, as a ratio - 1. */
static double cost_of_depth(const sgt_model *model)
{
    sgt_model_config config = {.size = sizeof config};
    sgt_flops_options options = {.size = sizeof options};
    sgt_flops plain = {.size = sizeof plain}, looped = {.size = sizeof looped};
    sgt_model_get_config(&config, model);
    sgt_flops_options_init(&options, sizeof options);
    options.loops = SGT_FLOPS_LOOPS_VANILLA;
    sgt_flops_count(&plain, &config, sgt_model_plan(model), &options);
    options.loops = SGT_FLOPS_LOOPS_NOW;
    sgt_flops_count(&looped, &config, sgt_model_plan(model), &options);
    return looped.training / plain.training - 1;
}

static void print_progress(reporter *r, const sgt_step_report *step, const sgt_flops_total *flops)
{
    double time = now(), elapsed = time - r->last_line - r->aside;
    int left = (int)(schedule_left(r->plan, step->step) + 0.5);
    printf("step %6lld/%lld  loss %.3f  lr %.2e  %.0f bytes/s  %.0f GFLOP/s  "
           "depth %+.2f %%  left %d:%02d\n",
           (long long)step->step, (long long)r->plan->steps, r->loss_sum / (double)r->steps_since,
           step->lr, (double)(r->steps_since * r->bytes_per_step) / elapsed,
           1e-9 * (flops->executed - r->flops_then) / elapsed, 100 * flops->overhead, left / 60,
           left % 60);
    r->last_line = time;
    r->aside = 0;
    r->flops_then = flops->executed;
    r->loss_sum = 0;
    r->steps_since = 0;
}

void report_step(reporter *r, double loss, const sgt_step_report *step, const sgt_model *model,
                 double seconds)
{
    sgt_flops_total flops = {.size = sizeof flops};
    sgt_model_get_flops(&flops, model);
    json(r, "{\"type\":\"step\",\"step\":%lld", (long long)step->step);
    json_number(r, "loss", loss);
    json_number(r, "lr", step->lr);
    json_number(r, "grad_norm", step->grad_norm);
    json_number(r, "tokens_per_s", (double)r->bytes_per_step / seconds);
    json_number(r, "overhead", flops.overhead);
    json_number(r, "overhead_now", cost_of_depth(model));
    if (step->skipped)
        json(r, ",\"skipped\":true");
    json_close(r);
    if (step->skipped)
        printf("step %6lld: the gradient was not finite, the update is left out\n",
               (long long)step->step);
    r->loss_sum += loss;
    r->steps_since++;
    if (now() - r->last_line >= LINE_INTERVAL || step->step == r->plan->steps)
        print_progress(r, step, &flops);
}

void report_entropies(reporter *r, int64_t step, const sgt_model *model)
{
    const sgt_plan *plan = sgt_model_plan(model);
    if (!r->log || (step % r->entropy_every && step != r->plan->steps))
        return;
    json(r, "{\"type\":\"entropy\",\"step\":%lld,\"kind\":\"last\",\"values\":[",
         (long long)step);
    for (int32_t i = 0; i < sgt_plan_n_layers(plan); i++) {
        json(r, i ? ",[" : "[");
        for (int32_t pass = 0; pass < sgt_model_n_passes(model, i); pass++) {
            sgt_status status =
                sgt_model_get_entropies(r->entropies, model, i, pass, SGT_ENTROPY_LAST);
            json(r, pass ? ",[" : "[");
            for (int32_t h = 0; h < sgt_plan_n_heads(plan); h++)
                json_entropy(r, h, status == SGT_OK ? r->entropies[h] : NAN);
            json(r, "]");
        }
        json(r, "]");
    }
    json(r, "]");
    json_close(r);
}

void report_growth(reporter *r, int64_t step, const sgt_growth_event *event,
                   const sgt_model *model)
{
    static const char *const names[] = {"none", "select", "deepen", "fix"};
    if (event->action == SGT_GROWTH_NONE)
        return;
    printf("step %6lld  growth: ", (long long)step);
    if (event->action == SGT_GROWTH_SELECT) {
        printf("layer %d loops, heads", event->layer);
        for (int32_t i = 0; i < event->n_heads; i++)
            printf(" %d", event->heads[i]);
    } else if (event->action == SGT_GROWTH_DEEPEN) {
        printf("layer %d loops %d times", event->layer, event->depth);
    } else {
        printf("over, looped layers:");
        for (int32_t i = 0; i < event->n_layers; i++)
            printf(" %d", event->layers[i]);
    }
    putchar('\n');
    json(r, "{\"type\":\"growth\",\"step\":%lld,\"action\":\"%s\"", (long long)step,
         names[event->action]);
    if (event->action == SGT_GROWTH_FIX) {
        json_indices(r, "layers", event->layers, event->n_layers);
    } else {
        json(r, ",\"layer\":%d,\"depth\":%d", event->layer, event->depth);
        json_indices(r, "heads", event->heads, event->n_heads);
    }
    json_close(r);
    json_depths(r, step, sgt_model_plan(model));
}

void report_aside(reporter *r, double seconds)
{
    r->aside += seconds;
}

void report_evaluation(reporter *r, int64_t step, const evaluation *e)
{
    printf("step %6lld  held-out: %.3f bits per byte (%lld bytes spread over the text)\n",
           (long long)step, e->bits_per_byte, (long long)e->bytes);
    json(r, "{\"type\":\"eval\",\"step\":%lld,\"bytes\":%lld", (long long)step,
         (long long)e->bytes);
    json_number(r, "bits_per_byte", e->bits_per_byte);
    json_close(r);
}

/* ---- the end ---- */

void report_last_evaluation(int64_t bytes, double seconds)
{
    printf("evaluating on %lld bytes of held-out text, about %.0f s\n", (long long)bytes, seconds);
}

/* What a byte costs: its FLOPs, and the weights that are read for the batch that it is in, or when
 * it is decoded for it alone. */
enum { TRAINING, EVALUATION, DECODING, PHASES };

typedef struct phase_cost {
    double flops;
    double weight_bytes;
} phase_cost;

static void count_phases(phase_cost costs[PHASES], const sgt_model *model)
{
    static const int32_t phases[PHASES] = {SGT_PHASE_FORWARD, SGT_PHASE_EVALUATE,
                                           SGT_PHASE_DECODE};
    sgt_model_config config = {.size = sizeof config};
    sgt_model_get_config(&config, model);
    for (int i = 0; i < PHASES; i++) {
        sgt_flops flops = {.size = sizeof flops};
        sgt_flops_options options;
        sgt_flops_options_init(&options, sizeof options);
        options.phase = phases[i];
        sgt_flops_count(&flops, &config, sgt_model_plan(model), &options);
        costs[i].flops = i == TRAINING ? flops.training : flops.forward;
        costs[i].weight_bytes = flops.weight_bytes;
    }
}

static void print_phases(const phase_cost costs[PHASES])
{
    printf("MFLOP per byte: %.4g in training, %.4g in evaluation, %.4g when decoded; MB of weights "
           "read: %.4g, %.4g a batch, %.4g a byte\n",
           1e-6 * costs[TRAINING].flops, 1e-6 * costs[EVALUATION].flops,
           1e-6 * costs[DECODING].flops, 1e-6 * costs[TRAINING].weight_bytes,
           1e-6 * costs[EVALUATION].weight_bytes, 1e-6 * costs[DECODING].weight_bytes);
}

static void json_phases(reporter *r, const phase_cost costs[PHASES])
{
    static const char *const names[PHASES] = {"training", "evaluation", "decoding"};
    json(r, ",\"phases\":{");
    for (int i = 0; i < PHASES; i++)
        json(r, "%s\"%s\":{\"flops\":%.17g,\"weight_bytes\":%.17g}", i ? "," : "", names[i],
             costs[i].flops, costs[i].weight_bytes);
    json(r, "}");
}

void report_end(reporter *r, int64_t steps, double seconds, const evaluation *e,
                const sgt_model *model)
{
    sgt_flops_total flops = {.size = sizeof flops};
    sgt_model_config config = {.size = sizeof config};
    sgt_model_get_flops(&flops, model);
    sgt_model_get_config(&config, model);
    double grown = cost_of_depth(model);
    phase_cost costs[PHASES];
    count_phases(costs, model);
    printf("training: %lld steps, %.1f million bytes, %.0f s", (long long)steps,
           1e-6 * (double)(steps * r->bytes_per_step), seconds);
    puts(r->plan->behind ? "; slower than planned, the rate followed the clock" : "");
    printf("FLOPs: %.3e in training, %+.2f %% against a run without loops; "
           "the grown model: %+.2f %% per byte\n",
           flops.executed, 100 * flops.overhead, 100 * grown);
    print_phases(costs);
    if (e->bytes == e->of)
        printf("held-out text: all %lld bytes", (long long)e->bytes);
    else
        printf("held-out text: %lld of %lld bytes, evenly spread", (long long)e->bytes,
               (long long)e->of);
    printf(", in windows of %d\n", config.max_seq_len);
    printf("held-out: %.3f bits per byte\n", e->bits_per_byte);

    json(r, "{\"type\":\"end\",\"steps\":%lld,\"held_out_bytes\":%lld", (long long)steps,
         (long long)e->bytes);
    json_number(r, "bits_per_byte", e->bits_per_byte);
    json_number(r, "seconds", seconds);
    json_number(r, "flops", flops.executed);
    json_number(r, "overhead", flops.overhead);
    json_number(r, "overhead_now", grown);
    json_phases(r, costs);
    json_close(r);
}
