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

typedef struct people {
    small_training t;
    sgt_batch batches[2];
} people;

static void be_born(people *p, training_life *life, const sgt_context_options *options, int kind,
                    int size)
{
    const sgt_growth_sgt_options rule = sgtt_small_rule(2, 3);
    const sgtt_small_recipe recipe = {
        .context = options, .config = sgtt_small_config(kind, size), .rule = &rule};
    const int32_t seq = size == SGTT_SIZE_LARGE ? 85 : 7, less = size == SGTT_SIZE_LARGE ? 20 : 2;
    TRY(life, sgtt_small_make(&p->t, &recipe));
    sgtt_randomize(p->t.model, 21);
    TRY(life, sgtt_small_loop(p->t.model, kind));
    for (int i = 0; i < 2; i++)
        p->batches[i] = sgtt_batch(2 + (size == SGTT_SIZE_LARGE) * i, seq - less * i,
                                   recipe.config.vocab_size, 31 + (uint64_t)i, 9);
}

static void take_step(people *p, training_life *life, int32_t step)
{
    sgt_metrics metrics = {.size = sizeof metrics}, evaluated = {.size = sizeof evaluated};
    sgt_step_report report = {.size = sizeof report};
    sgt_growth_event event = {.size = sizeof event};
    for (int i = 0; i < 2; i++) {
        TRY(life, sgt_model_forward(&metrics, p->t.model, &p->batches[i]));
        sgtt_ok(sgt_model_backward(p->t.model, 0.5 / (double)metrics.count)); /* needs no memory */
        life->losses[step] += 0.5 * metrics.loss;
    }
    TRY(life, sgt_model_evaluate(&evaluated, p->t.model, &p->batches[step % 2], NULL));
    life->evaluated[step] = evaluated.loss_sum;
    if (step == LIFE_STEPS - 1)
        life->gradients = sgtt_read_all(p->t.model, SGT_GRADIENT);
    sgtt_ok(sgt_optimizer_step(&report, p->t.optimizer));
    life->grad_norms[step] = report.grad_norm;
    sgt_growth_input input = {.size = sizeof input, .step = step + 1, .loss = metrics.loss};
    TRY(life, sgt_growth_step(&event, p->t.growth, &input));
    life->actions[step] = event.action;
}

/* A step with dlogits, under a plan of the host's own. */
static void take_last_step(people *p, training_life *life)
{
    sgt_tensor_view view = {.size = sizeof view};
    sgt_plan *plan;
    TRY(life, sgt_plan_clone(&plan, sgt_model_plan(p->t.model)));
    TRY(life, sgt_plan_set_depth(plan, 0, 3));
    sgtt_ok(sgt_plan_set_extra_runs(plan, 1, 2));
    TRY(life, sgt_model_set_plan(p->t.model, plan));
    sgtt_ok(sgt_model_collect_entropy(p->t.model, SGT_ENTROPY_LAST));
    TRY(life, sgt_model_forward_logits(&view, p->t.model, &p->batches[0]));
    float *dlogits = calloc(view.count, sizeof *dlogits);
    sgtt_ok(sgt_model_read_logits(dlogits, view.count, p->t.model));
    sgtt_ok(sgt_model_backward_logits(p->t.model, dlogits));
    sgtt_ok(sgt_model_entropies(life->entropies, p->t.model, 1, 1, SGT_ENTROPY_LAST));
    sgtt_ok(sgt_optimizer_step(NULL, p->t.optimizer));
    free(dlogits);
    sgt_plan_free(plan);
}

void training_life_run(training_life *life, const sgt_context_options *options, int kind, int size)
{
    people p = {0};
    memset(life, 0, sizeof *life);
    be_born(&p, life, options, kind, size);
    life->elements = sgtt_elements(p.t.model);
    for (int32_t step = 0; step < LIFE_STEPS; step++)
        take_step(&p, life, step);
    take_last_step(&p, life);
    life->weights = sgtt_read_all(p.t.model, SGT_WEIGHT);
    life->policy_bytes = sizeof life->policy;
    sgtt_ok(sgt_growth_policy_save(life->policy, &life->policy_bytes, p.t.policy));
    sgtt_small_free(&p.t);
    for (int i = 0; i < 2; i++)
        sgtt_batch_free(&p.batches[i]);
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
