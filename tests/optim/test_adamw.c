/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Many optimizer steps against AdamW written down in double: decay and its scope, rate and decay
 * factors, frozen parameters, clipping, schedules.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/sgt.h>

#include "testing.h"
#include "tiny_model.h"

#define STEPS 60
/* After all steps, as norm of the difference over norm. 1 - beta is taken in float32, which shifts
 * the moments of a beta near 1 but not, thanks to the bias correction, the weights. */
#define WEIGHT_BOUND 2e-6
#define MOMENT_BOUND 2e-5

/* One parameter of the reference. */
typedef struct reference {
    size_t count;
    int is_matrix;
    double rate_factor;
    double decay_factor;
    double *p;
    double *m;
    double *v;
} reference;

typedef struct trial {
    small_training tiny;
    sgt_optimizer_options options;
    sgt_optimizer *optimizer;
    reference *references;
    int32_t count;
    double gradient_scale;
    double norm; /* of the last step */
} trial;

static void start(trial *t, double gradient_scale)
{
    memset(t, 0, sizeof *t);
    t->tiny = tiny_model_make();
    t->gradient_scale = gradient_scale;
    t->count = sgt_model_n_parameters(t->tiny.model);
    t->references = calloc((size_t)t->count, sizeof *t->references);
    sgtt_ok(sgt_optimizer_options_init(&t->options, sizeof t->options));
    t->options.lr = 1e-2;
    for (int32_t i = 0; i < t->count; i++) {
        reference *r = &t->references[i];
        float *weights = tiny_model_read(&t->tiny, i, SGT_PART_WEIGHT);
        sgt_tensor_view view = {.size = sizeof view};
        sgtt_ok(sgt_model_parameter(&view, t->tiny.model, i, SGT_PART_WEIGHT));
        *r = (reference){.count = view.count,
                         .is_matrix = view.rank == 2,
                         .rate_factor = 1.0,
                         .decay_factor = 1.0};
        r->p = calloc(r->count, sizeof *r->p);
        r->m = calloc(r->count, sizeof *r->m);
        r->v = calloc(r->count, sizeof *r->v);
        for (size_t k = 0; k < r->count; k++)
            r->p[k] = weights[k];
        free(weights);
    }
}

static void create(trial *t)
{
    sgtt_ok(sgt_optimizer_create(&t->optimizer, t->tiny.model, &t->options));
    for (int32_t i = 0; i < t->count; i++)
        sgtt_ok(sgt_optimizer_set_factors(t->optimizer, i, t->references[i].rate_factor,
                                          t->references[i].decay_factor));
}

static void set_factors(trial *t, const char *name, double rate, double decay)
{
    reference *r = &t->references[tiny_model_find(&t->tiny, name)];
    r->rate_factor = rate;
    r->decay_factor = decay;
}

/* ---- the reference ---- */

static double gradient(const trial *t, int step, int32_t parameter, size_t element)
{
    return (float)(t->gradient_scale * tiny_model_gradient(step, parameter, element));
}

static void update_reference(trial *t, int step, double lr)
{
    const sgt_optimizer_options *o = &t->options;
    double sum = 0.0;
    for (int32_t i = 0; i < t->count; i++)
        for (size_t k = 0; k < t->references[i].count && t->references[i].rate_factor > 0.0; k++)
            sum += gradient(t, step, i, k) * gradient(t, step, i, k);
    t->norm = sqrt(sum);
    double scale = o->clip > 0.0 ? fmin(1.0, o->clip / (t->norm + 1e-6)) : 1.0;
    for (int32_t i = 0; i < t->count; i++) {
        reference *r = &t->references[i];
        int decays = o->decay_scope == SGT_DECAY_ALL || r->is_matrix;
        double rate = lr * r->rate_factor;
        double decay = decays ? o->weight_decay * r->decay_factor : 0.0;
        for (size_t k = 0; k < r->count && rate > 0.0; k++) {
            double g = scale * gradient(t, step, i, k);
            r->p[k] -= rate * decay * r->p[k];
            r->m[k] = o->beta1 * r->m[k] + (1.0 - o->beta1) * g;
            r->v[k] = o->beta2 * r->v[k] + (1.0 - o->beta2) * g * g;
            double m = r->m[k] / (1.0 - pow(o->beta1, step));
            double v = r->v[k] / (1.0 - pow(o->beta2, step));
            r->p[k] -= rate * m / (sqrt(v) + o->eps);
        }
    }
}

static void compare(const float *values, const double *expected, size_t count, double bound,
                    const char *what, int32_t parameter)
{
    double difference = 0.0;
    double norm = 0.0;
    for (size_t k = 0; k < count; k++) {
        difference += (values[k] - expected[k]) * (values[k] - expected[k]);
        norm += expected[k] * expected[k];
    }
    ck_assert_msg(sqrt(difference) <= bound * sqrt(norm), "%s of parameter %d: %g of %g", what,
                  (int)parameter, sqrt(difference), sqrt(norm));
}

/* Takes all steps with both, then compares and cleans up. */
static void run(trial *t)
{
    create(t);
    for (int step = 1; step <= STEPS; step++) {
        sgt_step_report report = {.size = sizeof report};
        double lr = 0.0;
        tiny_model_write_gradients(&t->tiny, step, t->gradient_scale);
        sgtt_ok(sgt_optimizer_get_scheduled_rate(&lr, t->optimizer, step));
        update_reference(t, step, lr);
        sgtt_ok(sgt_optimizer_step(&report, t->optimizer, NULL));
        ck_assert_double_eq_tol(report.grad_norm, t->norm, 1e-6 * t->norm);
        ck_assert_double_eq(report.lr, lr);
        ck_assert_int_eq(report.step, step);
        ck_assert_int_eq(report.skipped, 0);
    }
    for (int32_t i = 0; i < t->count; i++) {
        reference *r = &t->references[i];
        float *p = tiny_model_read(&t->tiny, i, SGT_PART_WEIGHT);
        float *m = tiny_model_read_moment(&t->tiny, t->optimizer, i, SGT_MOMENT_FIRST);
        float *v = tiny_model_read_moment(&t->tiny, t->optimizer, i, SGT_MOMENT_SECOND);
        compare(p, r->p, r->count, WEIGHT_BOUND, "weights", i);
        compare(m, r->m, r->count, MOMENT_BOUND, "first moments", i);
        compare(v, r->v, r->count, MOMENT_BOUND, "second moments", i);
        free(p);
        free(m);
        free(v);
        free(r->p);
        free(r->m);
        free(r->v);
    }
    free(t->references);
    sgt_optimizer_free(t->optimizer);
    sgtt_small_free(&t->tiny);
}

/* ---- the trials ---- */

static void as_usual(trial *t)
{
    (void)t;
}

static void clips(trial *t)
{
    t->options.clip = 0.5;
}

static void does_not_clip(trial *t)
{
    t->options.clip = 0.0;
}

static void decays_matrices_only(trial *t)
{
    t->options.decay_scope = SGT_DECAY_MATRICES;
    t->options.weight_decay = 0.7;
}

static void has_other_constants(trial *t)
{
    t->options.beta1 = 0.0;
    t->options.beta2 = 0.999;
    t->options.eps = 1e-3;
    t->options.weight_decay = 0.0;
}

static void has_factors_and_frozen_parameters(trial *t)
{
    set_factors(t, "model.embed_tokens.weight", 0.25, 1.0);
    set_factors(t, "model.layers.1.mlp.up_proj.weight", 2.0, 0.0);
    set_factors(t, "model.layers.0.input_layernorm.weight", 1.0, 3.0);
    set_factors(t, "model.layers.1.self_attn.k_proj.weight", 0.0, 5.0);
    set_factors(t, "lm_head.weight", 0.0, 1.0);
}

static void has_a_schedule(trial *t)
{
    t->options.schedule = SGT_SCHEDULE_COSINE;
    t->options.warmup_steps = 10;
    t->options.total_steps = STEPS - 5;
}

static const struct {
    double gradient_scale;
    void (*prepare)(trial *t);
} trials[] = {
    {0.01, as_usual},
    {3.0, clips},
    {3.0, does_not_clip},
    {0.01, decays_matrices_only},
    {0.01, has_other_constants},
    {0.5, has_factors_and_frozen_parameters},
    {0.01, has_a_schedule},
};

START_TEST(steps_are_those_of_the_reference)
{
    trial t;
    start(&t, trials[_i].gradient_scale);
    trials[_i].prepare(&t);
    run(&t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("adamw");
    TCase *tcase = tcase_create("adamw");
    tcase_add_loop_test(tcase, steps_are_those_of_the_reference, 0,
                        (int)(sizeof trials / sizeof trials[0]));
    suite_add_tcase(suite, tcase);
    return sgtt_run(suite);
}
