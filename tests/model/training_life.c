/* SPDX-License-Identifier: BSD-3-Clause */
#include "training_life.h"

#include <stdlib.h>
#include <string.h>

#include <sgt/growth.h>
#include <sgt/optimizer.h>

#define MOST_REFUSED 20

/* The call, again as long as memory is short. The message must say so. */
#define TRY(life, call)                                                                            \
    do {                                                                                           \
    } while (was_refused(life, call, #call))

static int was_refused(training_life *life, sgt_status status, const char *call)
{
    if (status == SGT_OK)
        return 0;
    if (status != SGT_E_OUT_OF_MEMORY || !strstr(sgt_error_message(), "bytes"))
        ck_abort_msg("%s gave %s: %s", call, sgt_status_name(status), sgt_error_message());
    if (++life->refused > MOST_REFUSED)
        ck_abort_msg("%s is refused for ever", call);
    return 1;
}

sgt_model_config training_life_shape(int32_t large)
{
    sgt_model_config config = sgtt_config();
    if (!large)
        return config;
    config.vocab_size = 97;
    config.d_model = 72;
    config.head_dim = 20;
    config.d_ff = 150;
    config.max_seq_len = 90;
    return config;
}

typedef struct people {
    sgt_context *context;
    sgt_model *model;
    sgt_optimizer *optimizer;
    sgt_growth_policy *policy;
    sgt_growth *growth;
    sgt_batch batches[2];
} people;

static void be_born(people *p, training_life *life, const sgt_context_options *options,
                    int32_t large)
{
    sgt_model_config config = training_life_shape(large);
    sgt_growth_sgt_options growth;
    sgtt_ok(sgt_growth_sgt_options_init(&growth, sizeof growth));
    growth.first_step = 2;
    growth.window = 3;
    growth.top_k_layers = 2;
    growth.max_layers = 2;
    growth.max_depth = 2;
    growth.fade = SGT_FADE_COSINE;
    TRY(life, sgt_context_create(&p->context, options));
    TRY(life, sgt_model_create(&p->model, p->context, &config));
    TRY(life, sgt_model_init_weights(p->model, NULL));
    sgtt_randomize(p->model, 21);
    TRY(life, sgt_optimizer_create(&p->optimizer, p->model, NULL));
    TRY(life, sgt_growth_policy_sgt(&p->policy, p->context, 3, 4, &growth));
    TRY(life, sgt_growth_create(&p->growth, p->model, p->policy, NULL));
    for (int i = 0; i < 2; i++)
        p->batches[i] = large ? sgtt_batch(2 + i, 85 - 20 * i, 97, 31 + (uint64_t)i, 9)
                              : sgtt_batch(2, 7 - 2 * i, 19, 31 + (uint64_t)i, 9);
}

static void take_step(people *p, training_life *life, int32_t step)
{
    sgt_metrics metrics = {.size = sizeof metrics}, evaluated = {.size = sizeof evaluated};
    sgt_step_report report = {.size = sizeof report};
    sgt_growth_event event = {.size = sizeof event};
    for (int i = 0; i < 2; i++) {
        TRY(life, sgt_model_forward(&metrics, p->model, &p->batches[i]));
        sgtt_ok(sgt_model_backward(p->model, 0.5 / (double)metrics.count)); /* needs no memory */
        life->losses[step] += 0.5 * metrics.loss;
    }
    TRY(life, sgt_model_evaluate(&evaluated, p->model, &p->batches[step % 2], NULL));
    life->evaluated[step] = evaluated.loss_sum;
    if (step == LIFE_STEPS - 1)
        life->gradients = sgtt_read_all(p->model, SGT_GRADIENT);
    sgtt_ok(sgt_optimizer_step(&report, p->optimizer));
    life->grad_norms[step] = report.grad_norm;
    sgt_growth_input input = {.size = sizeof input, .step = step + 1, .loss = metrics.loss};
    TRY(life, sgt_growth_step(&event, p->growth, &input));
    life->actions[step] = event.action;
}

/* A step with dlogits, under a plan of the host's own. */
static void take_last_step(people *p, training_life *life)
{
    sgt_tensor_view view = {.size = sizeof view};
    sgt_plan *plan;
    TRY(life, sgt_plan_clone(&plan, sgt_model_plan(p->model)));
    TRY(life, sgt_plan_set_depth(plan, 0, 3));
    sgtt_ok(sgt_plan_set_extra_runs(plan, 1, 2));
    TRY(life, sgt_model_set_plan(p->model, plan));
    sgtt_ok(sgt_model_collect_entropy(p->model, SGT_ENTROPY_LAST));
    TRY(life, sgt_model_forward_logits(&view, p->model, &p->batches[0]));
    float *dlogits = calloc(view.count, sizeof *dlogits);
    sgtt_ok(sgt_model_read_logits(dlogits, view.count, p->model));
    sgtt_ok(sgt_model_backward_logits(p->model, dlogits));
    sgtt_ok(sgt_model_entropies(life->entropies, p->model, 1, 1, SGT_ENTROPY_LAST));
    sgtt_ok(sgt_optimizer_step(NULL, p->optimizer));
    free(dlogits);
    sgt_plan_free(plan);
}

static void die(people *p)
{
    sgt_context_free(p->context);
    sgt_model_free(p->model);
    sgt_growth_policy_free(p->policy);
    sgt_optimizer_free(p->optimizer);
    sgt_growth_free(p->growth);
    for (int i = 0; i < 2; i++)
        sgtt_batch_free(&p->batches[i]);
}

void training_life_run(training_life *life, const sgt_context_options *options, int32_t large)
{
    people p = {0};
    memset(life, 0, sizeof *life);
    be_born(&p, life, options, large);
    life->elements = sgtt_elements(p.model);
    for (int32_t step = 0; step < LIFE_STEPS; step++)
        take_step(&p, life, step);
    take_last_step(&p, life);
    life->weights = sgtt_read_all(p.model, SGT_WEIGHT);
    life->policy_bytes = sizeof life->policy;
    sgtt_ok(sgt_growth_policy_save(life->policy, &life->policy_bytes, p.policy));
    die(&p);
}

void training_life_free(training_life *life)
{
    free(life->weights);
    free(life->gradients);
}

void training_life_check_equal(const training_life *a, const training_life *b, const char *what)
{
    for (int i = 0; i < LIFE_STEPS; i++) {
        ck_assert_msg(a->actions[i] == b->actions[i], "%s: action of step %d: %d, %d", what,
                      i + 1, (int)a->actions[i], (int)b->actions[i]);
        ck_assert_msg(memcmp(&a->losses[i], &b->losses[i], sizeof(double)) == 0,
                      "%s: loss of step %d: %.17g, %.17g", what, i + 1, a->losses[i],
                      b->losses[i]);
        ck_assert_msg(memcmp(&a->evaluated[i], &b->evaluated[i], sizeof(double)) == 0,
                      "%s: evaluation of step %d", what, i + 1);
        ck_assert_msg(memcmp(&a->grad_norms[i], &b->grad_norms[i], sizeof(double)) == 0,
                      "%s: gradient norm of step %d", what, i + 1);
    }
    ck_assert_msg(memcmp(a->gradients, b->gradients, a->elements * sizeof(float)) == 0,
                  "%s: gradients differ", what);
    ck_assert_msg(memcmp(a->weights, b->weights, a->elements * sizeof(float)) == 0,
                  "%s: weights differ", what);
    ck_assert_msg(a->policy_bytes == b->policy_bytes &&
                      memcmp(a->policy, b->policy, a->policy_bytes) == 0,
                  "%s: policies differ", what);
    ck_assert_msg(memcmp(a->entropies, b->entropies, sizeof a->entropies) == 0,
                  "%s: entropies differ", what);
}
