/* SPDX-License-Identifier: BSD-3-Clause */
#include "training_life.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sgt/optimizer.h>

enum { MOST_REFUSED = 40, LIFE_STEPS = 14 };

/* ---- what chapters share ---- */

static int is_allowed(const training_life *life, sgt_status status)
{
    if (status > 0)
        return life->stops;
    for (size_t i = 0; i < sizeof life->allowed / sizeof *life->allowed; i++)
        if (life->allowed[i] != SGT_OK && life->allowed[i] == status)
            return 1;
    return 0;
}

void life_enter(const training_life *life)
{
    if (life->faults)
        life->faults->inside = 1;
    if (life->before)
        life->before();
}

int life_refused(training_life *life, sgt_status status, const char *call)
{
    if (life->after)
        life->after();
    if (life->faults)
        life->faults->inside = 0;
    if (status == SGT_OK)
        return 0;
    life->status = status;
    snprintf(life->refusal, sizeof life->refusal, "%s gave %s: %s", call,
             sgt_status_name(status), sgt_error_message());
    if (!is_allowed(life, status) || sgt_error_message()[0] == '\0')
        ck_abort_msg("%s", life->refusal);
    if (++life->refused > MOST_REFUSED)
        ck_abort_msg("for ever: %s", life->refusal);
    if (life->faults)
        sweep_lift(life->faults);
    if (life->look)
        life->look(life);
    return 1;
}

void life_tell(training_life *life, double number)
{
    ck_assert_int_lt(life->count, LIFE_NUMBERS);
    life->numbers[life->count++] = number;
}

/* FNV-1a, as a number that a double holds. */
void life_tell_bytes(training_life *life, const void *data, size_t bytes)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < bytes; i++)
        sum = (sum ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
    life_tell(life, (double)(sum >> 12));
}

void life_tell_file(training_life *life, const char *path)
{
    unsigned long bytes;
    unsigned char *data = scratch_read(path, &bytes);
    life_tell_bytes(life, data, bytes);
    free(data);
}

void life_tell_all(training_life *life, const sgt_model *model, int32_t part)
{
    float *values = sgtt_read_all(model, part);
    life_tell_bytes(life, values, sgtt_elements(model) * sizeof *values);
    free(values);
}

void life_check_equal(const training_life *a, const training_life *b, const char *what)
{
    ck_assert_msg(a->count == b->count, "%s: %d numbers, %d (%s)", what, (int)a->count,
                  (int)b->count, b->refusal);
    for (int32_t i = 0; i < a->count; i++)
        ck_assert_msg(memcmp(&a->numbers[i], &b->numbers[i], sizeof(double)) == 0,
                      "%s: number %d is %.17g, not %.17g (%s)", what, (int)i, b->numbers[i],
                      a->numbers[i], b->refusal);
}

/* ---- chapters ---- */

void life_begin(life_people *p, training_life *life, const sgt_model_config *config, int kind)
{
    const sgt_model_options options = sgtt_small_options(kind);
    const sgtt_small_recipe recipe = {
        .context = &life->options, .config = *config, .options = &options, .rule = &p->rule};
    const int large = config->max_seq_len > 80;
    TRY(life, sgtt_small_make(&p->t, &recipe));
    sgtt_randomize(p->t.model, 21);
    TRY(life, sgtt_small_loop(p->t.model, kind));
    for (int i = 0; i < 2; i++)
        p->batches[i] = sgtt_batch(2 + (large ? i : 0), large ? 85 - 20 * i : 7 - 2 * i,
                                   config->vocab_size, 31 + (uint64_t)i, 9);
}

void life_end(life_people *p)
{
    sgtt_small_free(&p->t);
    for (int i = 0; i < 2; i++)
        sgtt_batch_free(&p->batches[i]);
}

/* A call that needs no memory, and may be refused for other reasons. */
static int was_stopped(training_life *life, sgt_status status, const char *call)
{
    if (life->steady)
        sgtt_ok(status);
    return life_refused(life, status, call);
}

/* 0 when a backward was refused: its step begins anew, from zero gradients. */
static int accumulate(life_people *p, training_life *life, double *loss)
{
    sgt_metrics metrics = {.size = sizeof metrics};
    *loss = 0.0;
    for (int i = 0; i < 2; i++) {
        TRY(life, sgt_model_forward(&metrics, p->t.model, &p->batches[i]));
        double scale = 0.5 / (double)metrics.count;
        life_enter(life);
        if (was_stopped(life, sgt_model_backward(p->t.model, scale, NULL), "sgt_model_backward")) {
            sgtt_fails(sgt_optimizer_step(NULL, p->t.optimizer, NULL), SGT_E_GRADIENTS_INVALID,
                       "backward");
            sgtt_ok(sgt_model_zero_gradients(p->t.model));
            return 0;
        }
        *loss += metrics.loss;
    }
    return 1;
}

void life_take_step(life_people *p, training_life *life, int32_t step)
{
    sgt_step_report report = {.size = sizeof report};
    sgt_growth_event event = {.size = sizeof event};
    sgt_metrics evaluated = {.size = sizeof evaluated};
    double loss;
    while (!accumulate(p, life, &loss))
        ;
    TRY(life, sgt_model_evaluate(&evaluated, p->t.model, &p->batches[step % 2], NULL));
    do
        life_enter(life);
    while (was_stopped(life, sgt_optimizer_step(&report, p->t.optimizer, NULL),
                       "sgt_optimizer_step"));
    sgt_growth_input input = {.size = sizeof input, .step = step, .loss = loss};
    TRY(life, sgt_growth_step(&event, p->t.growth, &input));
    life->losses[1] = loss;
    if (step == 1)
        life->losses[0] = loss;
    life->actions[event.action]++;
    life_tell(life, loss);
    life_tell(life, evaluated.loss_sum);
    life_tell(life, report.grad_norm);
    life_tell(life, event.action);
}

/* A step with a loss of the host's own, under a plan of the host's own. */
void life_step_by_hand(life_people *p, training_life *life)
{
    double entropies[4];
    sgt_tensor_view view = {.size = sizeof view};
    sgt_plan *plan = NULL;
    float *dlogits = NULL;
    MAKE(life, plan, sgt_plan_clone(&plan, sgt_model_plan(p->t.model)));
    TRY(life, sgt_plan_set_depth(plan, 0, 3));
    TRY(life, sgt_plan_set_extra_runs(plan, 1, 2));
    TRY(life, sgt_model_set_plan(p->t.model, plan));
    TRY(life, sgt_model_collect_entropy(p->t.model, SGT_ENTROPY_BOTH));
    do {
        TRY(life, sgt_model_forward_logits(&view, p->t.model, &p->batches[0]));
        dlogits = realloc(dlogits, view.count * sizeof *dlogits);
        sgtt_ok(sgt_model_read_logits(dlogits, view.count, p->t.model));
        life_enter(life);
    } while (life_refused(life, sgt_model_backward_logits(p->t.model, dlogits, NULL),
                          "sgt_model_backward_logits") &&
             sgt_model_zero_gradients(p->t.model) == SGT_OK);
    sgtt_ok(sgt_model_get_entropies(entropies, p->t.model, 1, 1, SGT_ENTROPY_MEAN));
    for (int32_t head = 0; head < sgt_plan_n_heads(plan); head++)
        life_tell(life, entropies[head]);
    life_tell_all(life, p->t.model, SGT_PART_GRADIENT);
    TRY(life, sgt_optimizer_step(NULL, p->t.optimizer, NULL));
    sgt_plan_free(plan);
    free(dlogits);
}

void training_life_run(training_life *life, int kind, int size)
{
    const sgt_model_config config = sgtt_small_config(kind, size);
    life_people p = {.rule = sgtt_small_rule(2, 3)};
    unsigned char policy[2048];
    size_t bytes = sizeof policy;
    life_begin(&p, life, &config, kind);
    for (int32_t step = 1; step <= LIFE_STEPS; step++)
        life_take_step(&p, life, step);
    life_step_by_hand(&p, life);
    life_tell_all(life, p.t.model, SGT_PART_WEIGHT);
    sgtt_ok(sgt_growth_policy_save(policy, &bytes, p.t.policy));
    life_tell_bytes(life, policy, bytes);
    life_end(&p);
}
